//! Data movement: rule 17. No value changes, except through a concatenation branch's own table.

use crate::params::{Dims, MAX_RANK};
use crate::types::ElemType;

/// Calls `f(index, a_index, b_index)` for every element of `out`, the inputs broadcast to it.
pub(super) fn for_each_pair(a: &Dims, b: &Dims, out: &Dims, mut f: impl FnMut(usize, usize, usize)) {
    let (Some(sa), Some(sb)) = (a.broadcast_strides(out), b.broadcast_strides(out)) else {
        panic!("shapes {:?} and {:?} do not broadcast to {:?}", a.as_slice(), b.as_slice(), out.as_slice())
    };
    let extents = out.as_slice();
    let mut at = [0usize; MAX_RANK];
    for index in 0..out.count() {
        let offset = |strides: &[usize; MAX_RANK]| (0..extents.len()).map(|i| at[i] * strides[i]).sum();
        f(index, offset(&sa), offset(&sb));
        advance(&mut at, extents);
    }
}

/// The next index in row-major order.
fn advance(at: &mut [usize; MAX_RANK], extents: &[usize]) {
    for axis in (0..extents.len()).rev() {
        at[axis] += 1;
        if at[axis] < extents[axis] {
            return;
        }
        at[axis] = 0;
    }
}

/// Transpose, slice, strided slice, split and unpack: output element `o` is input element
/// `start + sum o[i] * strides[i]`. Strides are in elements and may be negative or zero.
///
/// # Panics
/// When an index leaves the input.
pub fn copy_strided(
    elem: ElemType,
    input: &[u8],
    start: usize,
    strides: &[isize; MAX_RANK],
    out: &Dims,
    output: &mut [u8],
) {
    let extents = out.as_slice();
    let mut at = [0usize; MAX_RANK];
    for index in 0..out.count() {
        let offset: isize = (0..extents.len()).map(|i| at[i] as isize * strides[i]).sum();
        elem.store(output, index, elem.load(input, start.wrapping_add_signed(offset)));
        advance(&mut at, extents);
    }
}

/// Output of shape `before + shape + after` per axis (`out`), filled with `value` round the input.
pub fn pad(
    elem: ElemType,
    shape: &Dims,
    input: &[u8],
    before: &[usize; MAX_RANK],
    value: i32,
    out: &Dims,
    output: &mut [u8],
) {
    let (inner, strides, extents) = (shape.as_slice(), shape.strides(), out.as_slice());
    let mut at = [0usize; MAX_RANK];
    for index in 0..out.count() {
        let source = (0..extents.len()).try_fold(0, |sum, i| {
            let position = at[i].checked_sub(before[i]).filter(|&p| p < inner[i])?;
            Some(sum + position * strides[i])
        });
        elem.store(output, index, source.map_or(value, |s| elem.load(input, s)));
        advance(&mut at, extents);
    }
}

/// Repeats the input along every axis; `out` is a multiple of `shape` on each.
pub fn tile(elem: ElemType, shape: &Dims, input: &[u8], out: &Dims, output: &mut [u8]) {
    let (inner, strides, extents) = (shape.as_slice(), shape.strides(), out.as_slice());
    let mut at = [0usize; MAX_RANK];
    for index in 0..out.count() {
        let source: usize = (0..extents.len()).map(|i| at[i] % inner[i] * strides[i]).sum();
        elem.store(output, index, elem.load(input, source));
        advance(&mut at, extents);
    }
}

/// Along the middle axis of `outer x extent x inner` elements: `out[o, i, ..] = in[o, indices[i], ..]`.
///
/// # Panics
/// When an index is not one of the `extent` positions.
pub fn gather(
    elem: ElemType,
    [outer, extent, inner]: [usize; 3],
    indices: &[i32],
    input: &[u8],
    output: &mut [u8],
) {
    let mut to = 0;
    for o in 0..outer {
        for &index in indices {
            let from = (o * extent + index as usize) * inner;
            for i in 0..inner {
                elem.store(output, to, elem.load(input, from + i));
                to += 1;
            }
        }
    }
}

/// One branch of a concatenation: copies `outer` runs of `run` bytes into an output whose runs are `pitch` bytes
/// apart, from byte `first` of each; 8-bit values go through the branch's `table` when it has one.
pub fn concat(
    input: &[u8],
    outer: usize,
    run: usize,
    table: Option<&[u8; 256]>,
    output: &mut [u8],
    first: usize,
    pitch: usize,
) {
    for o in 0..outer {
        for i in 0..run {
            let value = input[o * run + i];
            output[o * pitch + first + i] = table.map_or(value, |t| t[usize::from(value)]);
        }
    }
}
