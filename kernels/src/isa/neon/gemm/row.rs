//! One row by eight columns: fully connected layers of a single picture, and what is left behind the last full tile. The loops for
//! several rows would multiply it four or eight times.

use core::arch::aarch64::*;

use super::loops::MOST_NIBBLES;
use super::rows_of_run;
use crate::ops::gemm::Tile;
use crate::pack::panels::{OCTET_BYTES, OCTETS};

/// Columns of a call.
pub(super) const COLUMNS: usize = 8;
/// Their bytes in a step.
pub(super) const BYTES: usize = OCTETS * COLUMNS;

/// Sums of four columns, from those of their lanes.
#[inline]
#[target_feature(enable = "neon")]
fn four(sums: &[int32x4_t]) -> int32x4_t {
    vpaddq_s32(vpaddq_s32(sums[0], sums[1]), vpaddq_s32(sums[2], sums[3]))
}

/// # Safety
/// 8 bytes are readable.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn load(bytes: *const u8) -> int8x8_t {
    // SAFETY: the caller's promise.
    unsafe { vld1_s8(bytes.cast()) }
}

/// Eight columns of a panel of s8; `lowest` where a weight of these is -128: see [`super::multiply`].
///
/// # Safety
/// [`Tile::check`] passed for the panel, whose first step has its weights of the eight columns at `weights`.
#[target_feature(enable = "neon")]
pub(super) unsafe fn multiply(t: &Tile, mut weights: *const u8, lowest: bool) -> [int32x4_t; 2] {
    let mut sums = [vdupq_n_s32(0); COLUMNS];
    for run in 0..t.activations.runs {
        let [mut row] = rows_of_run::<1>(t, run);
        let mut left = t.activations.steps;
        while left > 0 {
            let together = if lowest { 1 } else { left.min(2) };
            for (c, sum) in sums.iter_mut().enumerate() {
                // SAFETY: the caller's promise: of this run, `left` steps lie at `row` and `weights`.
                unsafe {
                    let mut products = vmull_s8(load(row), load(weights.add(OCTETS * c)));
                    if together == 2 {
                        let odd = load(weights.add(OCTET_BYTES + OCTETS * c));
                        products = vmlal_s8(products, load(row.add(OCTETS)), odd);
                    }
                    *sum = vpadalq_s16(*sum, products);
                }
            }
            row = row.wrapping_add(together * OCTETS);
            weights = weights.wrapping_add(together * OCTET_BYTES);
            left -= together;
        }
    }
    [four(&sums[..4]), four(&sums[4..])]
}

/// Eight columns of a panel of s4.
///
/// # Safety
/// [`Tile::check`] passed for the panel, whose first pair of steps has its weights of the eight columns at `weights`.
#[target_feature(enable = "neon")]
pub(super) unsafe fn multiply_nibbles(t: &Tile, mut weights: *const u8) -> [int32x4_t; 2] {
    let mut sums = [vdupq_n_s32(0); 2];
    for run in 0..t.activations.runs {
        let [mut row] = rows_of_run::<1>(t, run);
        let mut left = t.activations.steps / 2;
        while left > 0 {
            let count = left.min(MOST_NIBBLES);
            let mut narrow = [vdupq_n_s16(0); COLUMNS];
            for _ in 0..count {
                for (c, narrow) in narrow.iter_mut().enumerate() {
                    // SAFETY: the caller's promise: of this run, `left` pairs of steps lie at `row` and `weights`.
                    unsafe {
                        let codes = load(weights.add(OCTETS * c));
                        let even = vshr_n_s8::<4>(vshl_n_s8::<4>(codes));
                        *narrow = vmlal_s8(*narrow, load(row), even);
                        *narrow = vmlal_s8(*narrow, load(row.add(OCTETS)), vshr_n_s8::<4>(codes));
                    }
                }
                row = row.wrapping_add(2 * OCTETS);
                weights = weights.wrapping_add(OCTET_BYTES);
            }
            let wide = narrow.map(|narrow| vpaddlq_s16(narrow));
            sums = [vaddq_s32(sums[0], four(&wide[..4])), vaddq_s32(sums[1], four(&wide[4..]))];
            left -= count;
        }
    }
    sums
}
