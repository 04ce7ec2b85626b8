//! Index of the largest value along the last axis: plain Rust, compiled once for every CPU and once for AVX2.

use core::ops::Range;

use crate::params::ArgMax;
use crate::types::ElemType;

/// 8-bit types, last axis.
pub(crate) fn accepts(p: &ArgMax) -> bool {
    matches!(p.elem, ElemType::U8 | ElemType::S8) && p.inner == 1 && (1..1 << 24).contains(&p.depth)
}

/// Values that are compared together.
const LANES: usize = 16;

/// See [`crate::registry::ArgMaxFn`].
#[inline(always)]
pub(crate) fn argmax(p: &ArgMax, input: &[u8], rows: Range<usize>, output: &mut [u8]) {
    let flip = if p.elem == ElemType::S8 { 0x80 } else { 0 };
    let input = &input[rows.start * p.depth..rows.end * p.depth];
    for (values, index) in input.chunks_exact(p.depth).zip(output.as_chunks_mut::<4>().0) {
        *index = first_largest(values, flip).to_le_bytes();
    }
}

/// The largest of `value * 2^24 + (2^24 - 1 - index)` is the first of the largest values.
#[inline(always)]
fn first_largest(values: &[u8], flip: u8) -> u32 {
    const LOW: u32 = (1 << 24) - 1;
    let key = |i: usize, value: u8| u32::from(value ^ flip) << 24 | (LOW - i as u32);
    let (vectors, rest) = values.as_chunks::<LANES>();
    let mut keys = [0u32; LANES];
    for (v, vector) in vectors.iter().enumerate() {
        for (i, (best, &value)) in keys.iter_mut().zip(vector).enumerate() {
            *best = key(v * LANES + i, value).max(*best);
        }
    }
    let whole = keys.into_iter().max().unwrap_or(0);
    let tail = rest.iter().enumerate().map(|(i, &value)| key(vectors.len() * LANES + i, value));
    LOW - (tail.fold(whole, u32::max) & LOW)
}
