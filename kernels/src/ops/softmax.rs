//! Softmax: what the reference computes, each of the 256 possible exponentials once.

use crate::params::Softmax;
use crate::reference::softmax::{
    SUM_INTEGER_BITS, exp_on_negative, high_mul, reciprocal, rounding_shift, scaled_difference,
};
use crate::types::ElemType;

/// 8-bit types, and rows whose sum of exponentials fits Q12.19.
pub(crate) fn accepts(p: &Softmax) -> bool {
    let byte = |elem| matches!(elem, ElemType::U8 | ElemType::S8);
    byte(p.elem) && byte(p.output) && (1..1 << SUM_INTEGER_BITS).contains(&p.depth)
}

/// See [`crate::registry::SoftmaxFn`].
pub(crate) fn softmax(p: &Softmax, input: &[u8], output: &mut [u8]) {
    // By `largest - value`, computed when first met.
    let mut exponentials = [None; 256];
    let flip = if p.elem == ElemType::S8 { 0x80 } else { 0 };
    for (row, out) in input.chunks_exact(p.depth).zip(output.chunks_exact_mut(p.depth)) {
        let largest = row.iter().map(|&x| x ^ flip).max().unwrap_or(0);
        let mut exponential = |x: u8| {
            let below = largest - (x ^ flip);
            *exponentials[usize::from(below)].get_or_insert_with(|| exponential(p, below))
        };
        // Below 2^31: fewer than 2^12 terms of at most 2^19.
        let sum: i32 = row.iter().map(|&x| rounding_shift(exponential(x), SUM_INTEGER_BITS)).sum();
        let (reciprocal, bits_over_unit) = reciprocal(sum.into());
        // Equal values have equal outputs.
        let mut outputs = [None; 256];
        for (&x, out) in row.iter().zip(out) {
            *out = *outputs[usize::from(x)].get_or_insert_with(|| {
                let scaled = high_mul(reciprocal, exponential(x));
                let v = rounding_shift(scaled, bits_over_unit + 31 - 8) + p.output.min();
                v.min(p.output.max()) as u8
            });
        }
    }
}

/// The exponential of a value `below` the largest, 0 beyond `diff_min`.
fn exponential(p: &Softmax, below: u8) -> i32 {
    let diff = -i32::from(below);
    if diff >= p.diff_min { exp_on_negative(scaled_difference(p, diff)) } else { 0 }
}
