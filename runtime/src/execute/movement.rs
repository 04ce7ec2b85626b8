//! Data movement by contiguous runs. The reference moves single elements; these give the same bytes.

use dyadic_kernels::ElemType;
use dyadic_kernels::params::{Dims, MAX_RANK};
use dyadic_kernels::reference;

use crate::step::{Branch, Strided};

/// One branch of a concatenation.
pub(super) fn concat(
    input: &[u8],
    branch: &Branch,
    table: Option<&[u8; 256]>,
    outer: usize,
    pitch: usize,
    output: &mut [u8],
) {
    let (first, run) = (branch.first, branch.run);
    if run == 0 {
        return;
    }
    for (source, target) in input.chunks_exact(run).zip(output.chunks_exact_mut(pitch)).take(outer) {
        let target = &mut target[first..first + run];
        match table {
            None => target.copy_from_slice(source),
            Some(table) => reference::table(table, Some(source), target),
        }
    }
}

/// Fills, then copies runs of the innermost axes that are not padded.
pub(super) fn pad(
    elem: ElemType,
    (dims, input): (&Dims, &[u8]),
    before: &[usize; MAX_RANK],
    value: i32,
    out: &Dims,
    output: &mut [u8],
) {
    if elem.bits() != 8 {
        return reference::pad(elem, dims, input, before, value, out, output);
    }
    output.fill(value as u8);
    let (small, large) = (dims.as_slice(), out.as_slice());
    // Axes from `axis` on are copied as one run.
    let whole = (0..small.len()).rev().take_while(|&a| small[a] == large[a]).count();
    let axis = small.len().saturating_sub(whole + 1);
    let run: usize = small[axis..].iter().product();
    let strides = out.strides();
    let first: usize = (0..small.len()).map(|a| before[a] * strides[a]).sum();
    let mut at = [0usize; MAX_RANK];
    for source in input.chunks_exact(run.max(1)) {
        let target = first + (0..axis).map(|a| at[a] * strides[a]).sum::<usize>();
        output[target..target + run].copy_from_slice(source);
        for a in (0..axis).rev() {
            at[a] += 1;
            if at[a] < small[a] {
                break;
            }
            at[a] = 0;
        }
    }
}

/// Copies along the two innermost axes in plain loops; contiguous rows as a whole.
pub(super) fn strided_copy(elem: ElemType, copy: &Strided, input: &[u8], output: &mut [u8]) {
    if elem.bits() != 8 || copy.out.rank() < 2 {
        return reference::copy_strided(elem, input, copy.start, &copy.strides, &copy.out, output);
    }
    let extents = copy.out.as_slice();
    let outer = extents.len() - 2;
    let [rows, columns] = [extents[outer], extents[outer + 1]];
    let [down, right] = [copy.strides[outer], copy.strides[outer + 1]];
    let mut at = [0usize; MAX_RANK];
    for plane in output.chunks_exact_mut(rows * columns) {
        let offset: isize = (0..outer).map(|a| at[a] as isize * copy.strides[a]).sum();
        let mut start = copy.start.wrapping_add_signed(offset);
        for row in plane.chunks_exact_mut(columns) {
            if right == 1 {
                row.copy_from_slice(&input[start..start + columns]);
            } else {
                let mut from = start;
                for value in row {
                    *value = input[from];
                    from = from.wrapping_add_signed(right);
                }
            }
            start = start.wrapping_add_signed(down);
        }
        for a in (0..outer).rev() {
            at[a] += 1;
            if at[a] < extents[a] {
                break;
            }
            at[a] = 0;
        }
    }
}
