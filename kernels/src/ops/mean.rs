//! Mean over neighbouring axes: plain Rust, compiled once for every CPU and once for AVX2.

use super::pool::add_values;
use crate::params::Mean;
use crate::requant::rescale;
use crate::types::ElemType;

/// Elements that are summed together.
const WIDTH: usize = 32;

/// `(outer, reduced, inner)`: the shape with the reduced axes as one. `None` when kept axes lie between them, or
/// without elements; axes of extent 1 do not count.
fn split(p: &Mean) -> Option<[usize; 3]> {
    let mut parts = [1; 3];
    let mut part = 0;
    for (&extent, &reduced) in p.shape.as_slice().iter().zip(&p.axes).filter(|&(&extent, _)| extent != 1) {
        part = match (part, reduced) {
            (0, false) => 0,
            (0 | 1, true) => 1,
            (1 | 2, false) => 2,
            _ => return None,
        };
        parts[part] *= extent;
    }
    parts.iter().all(|&part| part > 0).then_some(parts)
}

/// 8-bit types, reduced axes side by side.
pub(crate) fn accepts(p: &Mean) -> bool {
    let byte = |elem| matches!(elem, ElemType::U8 | ElemType::S8);
    byte(p.input.elem) && byte(p.output.elem) && split(p).is_some()
}

/// See [`crate::registry::MeanFn`].
#[inline(always)]
pub(crate) fn mean(p: &Mean, input: &[u8], output: &mut [u8]) {
    let Some([outer, reduced, inner]) = split(p) else { return };
    let offset = (reduced as i32).wrapping_mul(p.input.zero_point);
    let end = |sum: i32| p.output.saturate(rescale(sum.wrapping_sub(offset), p.scale, p.rounding)) as u8;
    for o in 0..outer {
        let input = &input[o * reduced * inner..][..reduced * inner];
        let output = &mut output[o * inner..][..inner];
        if inner == 1 {
            let mut sums = [0; WIDTH];
            input.chunks(WIDTH).for_each(|values| add_values(p.input.elem, values, &mut sums));
            output[0] = end(sums.into_iter().fold(0, i32::wrapping_add));
            continue;
        }
        for (first, out) in (0..inner).step_by(WIDTH).zip(output.chunks_mut(WIDTH)) {
            let mut sums = [0; WIDTH];
            for row in input.chunks_exact(inner) {
                add_values(p.input.elem, &row[first..first + out.len()], &mut sums);
            }
            out.iter_mut().zip(sums).for_each(|(out, sum)| *out = end(sum));
        }
    }
}
