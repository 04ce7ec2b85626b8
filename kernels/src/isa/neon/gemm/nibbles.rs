//! The 8x16 micro-kernel for weights of 4 bits: two columns at a time, products added in 16 bits.
//!
//! A product of a signed byte and s4 is at most 2^10, so 16 bits hold 31 of them: nearly one instruction for 8 products,
//! and two rows share what it takes to make bytes of nibbles with six others.

use core::arch::aarch64::*;
use core::ops::Range;

use super::loops::{self, MOST_NIBBLES, NarrowSums};
use super::{columns, flip, row, rows_of_run};
use crate::isa::neon::Neon;
use crate::isa::neon::columns::{Columns, Row};
use crate::ops::gemm::{Centre, Form, GemmIsa, Tile, Weights};
use crate::pack::panels::{COLUMNS, OCTET_BYTES, OCTETS};
use crate::params::Conv;

/// Rows of a full tile.
const ROWS: usize = 8;
/// Bytes that two columns have in a pair of steps.
const PAIR_OF_COLUMNS: usize = 2 * OCTETS;

/// Armv8.0 for nibbles.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nibbles(Neon);

impl GemmIsa for Nibbles {
    const ROWS: usize = ROWS;
    const FORM: Form = Form::Signed;
    const KR: usize = OCTETS;
    const EXPAND_FROM: usize = usize::MAX;
    type Columns = Columns;

    fn columns(self, p: &Conv, channels: Range<usize>, sums: &[u8]) -> Columns {
        // SAFETY: the token proves Advanced SIMD.
        unsafe { columns(p, channels, sums) }
    }

    #[inline]
    fn convert(self, source: &[u8], count: usize, centre: Centre, target: &mut [u8]) {
        flip(source, count, centre, target);
    }

    #[inline]
    fn tile(self, tile: &Tile, columns: &Columns, output: &mut [u8], pitch: usize) {
        // SAFETY: the token proves Advanced SIMD.
        unsafe { self::tile(tile, columns, output, pitch) }
    }
}

/// One tile.
#[target_feature(enable = "neon")]
fn tile(t: &Tile, columns: &Columns, output: &mut [u8], pitch: usize) {
    let Weights::S4(weights) = *t.weights else { unreachable!("the row takes s4") };
    assert!(t.activations.steps.is_multiple_of(2));
    t.check(t.rows, OCTETS, weights.len(), OCTET_BYTES / 2);
    if t.rows == 1 {
        return one_row(t, weights, columns, output, pitch);
    }
    let mut values = [[0i32; COLUMNS]; ROWS];
    for pair in 0..columns.width().div_ceil(2) {
        // SAFETY: `check`, and a pair of steps of weights has eight pairs of columns.
        let sums = unsafe { multiply(t, weights.as_ptr().add(pair * PAIR_OF_COLUMNS)) };
        for (rows, sums) in values.as_chunks_mut::<2>().0.iter_mut().zip(sums) {
            let halves = [vget_low_s32(sums), vget_high_s32(sums)];
            for (row, half) in rows.iter_mut().zip(halves) {
                // SAFETY: 8 writable bytes.
                unsafe { vst1_s32(row.as_chunks_mut::<2>().0[pair].as_mut_ptr(), half) };
            }
        }
    }
    for (r, values) in values.iter().take(t.rows).enumerate() {
        let mut acc: Row = columns.bias();
        for (acc, values) in acc.iter_mut().zip(values.as_chunks::<4>().0) {
            // SAFETY: 16 readable bytes.
            *acc = vaddq_s32(*acc, unsafe { vld1q_s32(values.as_ptr()) });
        }
        columns.finish(&[acc], &mut output[r * pitch..], pitch);
    }
}

/// A tile of one row.
#[target_feature(enable = "neon")]
fn one_row(t: &Tile, weights: &[u8], columns: &Columns, output: &mut [u8], pitch: usize) {
    let mut acc = columns.bias();
    for eighth in 0..columns.width().div_ceil(row::COLUMNS) {
        // SAFETY: `check` of `tile`, and a pair of steps of weights has two times eight columns.
        let sums = unsafe { row::multiply_nibbles(t, weights.as_ptr().add(eighth * row::BYTES)) };
        for (acc, sums) in acc[2 * eighth..].iter_mut().zip(sums) {
            *acc = vaddq_s32(*acc, sums);
        }
    }
    columns.finish(&[acc], output, pitch);
}

/// The activations of eight rows by two columns of a panel. Vector `i` is rows `2i` and `2i + 1`, two columns each.
///
/// # Safety
/// [`Tile::check`] passed for the panel, whose first pair of steps has its weights of the two columns at `weights`.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn multiply(t: &Tile, mut weights: *const u8) -> [int32x4_t; 4] {
    let mut sums = [vdupq_n_s32(0); 4];
    for run in 0..t.activations.runs {
        let mut rows = rows_of_run::<ROWS>(t, run);
        let mut left = t.activations.steps / 2;
        while left > 0 {
            // Parts of about the same length.
            let count = left.div_ceil(left.div_ceil(MOST_NIBBLES));
            // SAFETY: the caller's promise: of this run, `left` pairs of steps lie at each row and at `weights`.
            let narrow = unsafe { loops::nibbles(rows, weights, count) };
            for (sum, part) in sums.iter_mut().zip(widened(&narrow)) {
                *sum = vaddq_s32(*sum, part);
            }
            rows = rows.map(|row| row.wrapping_add(2 * OCTETS * count));
            weights = weights.wrapping_add(OCTET_BYTES * count);
            left -= count;
        }
    }
    sums
}

/// The sums over all lanes.
#[inline]
#[target_feature(enable = "neon")]
fn widened(narrow: &NarrowSums) -> [int32x4_t; 4] {
    let row = |[a, b]: [int16x8_t; 2]| vpaddq_s32(vpaddlq_s16(a), vpaddlq_s16(b));
    core::array::from_fn(|i| vpaddq_s32(row(narrow[2 * i]), row(narrow[2 * i + 1])))
}

/// The `ConvFn` of the NEON row for weights of 4 bits.
///
/// # Safety
/// The CPU has Advanced SIMD.
pub(crate) unsafe fn conv(
    p: &Conv,
    packed: &[u8],
    input: &[u8],
    rows: Range<usize>,
    output: &mut [u8],
    scratch: &mut [u8],
) {
    // SAFETY: the caller's promise.
    let isa = Nibbles(unsafe { Neon::new() });
    crate::ops::gemm::run(isa, p, packed, input, rows, output, scratch);
}
