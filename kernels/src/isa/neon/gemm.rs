//! The 4x16 micro-kernel for Armv8.0, which has no dot product: four columns at a time, a lane sums every fourth product.
//!
//! Two products of signed bytes are added in 16 bits before they go to 32: three instructions for 16 products. That holds all
//! sums but `-128 * -128 * 2 = 2^15`. Activations of -128 are common (they are the zero of many tensors), weights of
//! -128 are not, and [`GemmIsa::inspect`] knows the panels that have some: four columns with one take a loop that adds every
//! product in 32 bits, four instructions for 16 products. Sums are those of the reference modulo 2^32.

use core::arch::aarch64::*;
use core::ops::Range;

use super::Neon;
use super::columns::{Columns, Row};
use crate::ops::gemm::{Centre, Form, GemmIsa, Tile, Weights};
use crate::pack::panels::{OCTET_BYTES, OCTETS};
use crate::params::Conv;

mod loops;
pub(crate) mod nibbles;
mod row;

use loops::Sums;

/// Rows of a full tile.
const ROWS: usize = 4;
/// Columns of a loop, and their bytes in a step.
const QUARTER: usize = 4;
const QUARTER_BYTES: usize = OCTETS * QUARTER;

/// One panel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Panel {
    columns: Columns,
    /// Whether a weight of four columns is -128.
    lowest: [bool; 4],
}

impl GemmIsa for Neon {
    const ROWS: usize = ROWS;
    const FORM: Form = Form::Signed;
    const KR: usize = OCTETS;
    const EXPAND_FROM: usize = usize::MAX;
    type Columns = Panel;

    fn columns(self, p: &Conv, channels: Range<usize>, sums: &[u8]) -> Panel {
        // SAFETY: the token proves Advanced SIMD.
        Panel { columns: unsafe { columns(p, channels, sums) }, lowest: [true; 4] }
    }

    fn inspect(self, panel: &[u8], columns: &mut Panel) {
        // SAFETY: the token proves Advanced SIMD.
        columns.lowest = unsafe { lowest(panel) };
    }

    #[inline]
    fn convert(self, source: &[u8], count: usize, centre: Centre, target: &mut [u8]) {
        flip(source, count, centre, target);
    }

    #[inline]
    fn tile(self, tile: &Tile, panel: &Panel, output: &mut [u8], pitch: usize) {
        // SAFETY: the token proves Advanced SIMD.
        unsafe { self::tile(tile, panel, output, pitch) }
    }
}

/// Bytes to signed bytes.
#[inline]
pub(crate) fn flip(source: &[u8], count: usize, centre: Centre, target: &mut [u8]) {
    for (target, byte) in target[..count].iter_mut().zip(&source[..count]) {
        *target = byte ^ centre.flip;
    }
}

#[target_feature(enable = "neon")]
pub(crate) fn columns(p: &Conv, channels: Range<usize>, sums: &[u8]) -> Columns {
    Columns::new(p, channels).less_zero_point(Centre::of_input(p, Form::Signed).offset, sums)
}

/// Whether a weight of each four columns of a panel of s8 is -128.
#[target_feature(enable = "neon")]
fn lowest(panel: &[u8]) -> [bool; 4] {
    let mut least = [vdupq_n_s8(0); 8];
    for step in panel.as_chunks::<OCTET_BYTES>().0 {
        for (least, weights) in least.iter_mut().zip(step.as_chunks::<16>().0) {
            // SAFETY: 16 readable bytes.
            *least = vminq_s8(*least, unsafe { vld1q_s8(weights.as_ptr().cast()) });
        }
    }
    core::array::from_fn(|q| vminvq_s8(vminq_s8(least[2 * q], least[2 * q + 1])) == i8::MIN)
}

/// One tile.
#[target_feature(enable = "neon")]
fn tile(t: &Tile, panel: &Panel, output: &mut [u8], pitch: usize) {
    let (Weights::S8(weights) | Weights::U8(weights, _)) = *t.weights else {
        unreachable!("the rows take s8 and u8")
    };
    t.check(t.rows, OCTETS, weights.len(), OCTET_BYTES);
    let mut acc = begin::<ROWS>(t, &panel.columns, OCTETS);
    if t.rows == 1 {
        for eighth in 0..panel.columns.width().div_ceil(row::COLUMNS) {
            let lowest = panel.lowest[2 * eighth] || panel.lowest[2 * eighth + 1];
            // SAFETY: `check`, and a step of weights has two times eight columns.
            let sums = unsafe { row::multiply(t, weights.as_ptr().add(eighth * row::BYTES), lowest) };
            for (acc, sums) in acc[0][2 * eighth..].iter_mut().zip(sums) {
                *acc = vaddq_s32(*acc, sums);
            }
        }
        return panel.columns.finish(&[acc[0]], output, pitch);
    }
    for quarter in 0..panel.columns.width().div_ceil(QUARTER) {
        // SAFETY: `check`, and a step of weights has four quarters.
        let sums =
            unsafe { multiply(t, weights.as_ptr().add(quarter * QUARTER_BYTES), panel.lowest[quarter]) };
        for (r, acc) in acc.iter_mut().enumerate() {
            let low = vpaddq_s32(sums[0][r], sums[1][r]);
            let high = vpaddq_s32(sums[2][r], sums[3][r]);
            acc[quarter] = vaddq_s32(acc[quarter], vpaddq_s32(low, high));
        }
    }
    finish(t.rows, &panel.columns, &acc, output, pitch);
}

/// What the accumulators of a tile begin with, steps having `step` bytes: the bias. Weights of u8 are stored less 128, and with
/// `z` for their zero point stored alike, `sum a * (w - z)` is `sum a * w` less `z * sum a`, which is taken off here.
/// Rows that the tile does not have are its last one.
///
/// # Panics
/// When activations that the tile reads are not there.
#[inline]
#[target_feature(enable = "neon")]
pub(crate) fn begin<const MR: usize>(t: &Tile, columns: &Columns, step: usize) -> [Row; MR] {
    let mut acc = [columns.bias(); MR];
    let Weights::U8(_, zero_point) = *t.weights else { return acc };
    let a = t.activations;
    for run in 0..a.runs {
        for (&first, acc) in t.first[..t.rows].iter().zip(&mut acc) {
            let row = &a.bytes[first + run * a.run_step..][..step * a.steps];
            let less = vdupq_n_s32(sum(row).wrapping_mul(zero_point.into()));
            for acc in acc {
                *acc = vsubq_s32(*acc, less);
            }
        }
    }
    acc
}

/// The sum of signed bytes, modulo 2^32.
#[target_feature(enable = "neon")]
fn sum(bytes: &[u8]) -> i32 {
    let (whole, rest) = bytes.as_chunks::<16>();
    let mut sums = vdupq_n_s32(0);
    for bytes in whole {
        // SAFETY: 16 readable bytes.
        let bytes = unsafe { vld1q_s8(bytes.as_ptr().cast()) };
        sums = vpadalq_s16(sums, vpaddlq_s8(bytes));
    }
    rest.iter().fold(vaddvq_s32(sums), |sum, &byte| sum.wrapping_add((byte as i8).into()))
}

/// The end of the first `rows` rows.
#[inline]
#[target_feature(enable = "neon")]
fn finish(rows: usize, columns: &Columns, acc: &[Row; ROWS], output: &mut [u8], pitch: usize) {
    let [a, b, c, _] = *acc;
    match rows {
        1 => columns.finish(&[a], output, pitch),
        2 => columns.finish(&[a, b], output, pitch),
        3 => columns.finish(&[a, b, c], output, pitch),
        _ => columns.finish(acc, output, pitch),
    }
}

/// Where run `run` of each row starts; rows that the tile does not have are its last one.
#[inline]
pub(crate) fn rows_of_run<const MR: usize>(t: &Tile, run: usize) -> [*const u8; MR] {
    let at = |r: usize| t.first[r.min(t.rows - 1)] + run * t.activations.run_step;
    core::array::from_fn(|r| t.activations.bytes.as_ptr().wrapping_add(at(r)))
}

/// The activations of four rows by four columns of a panel; `lowest` where a weight of these is -128.
///
/// # Safety
/// [`Tile::check`] passed for the panel, whose first step has its weights of the four columns at `weights`.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn multiply(t: &Tile, mut weights: *const u8, lowest: bool) -> Sums {
    let mut sums = [[vdupq_n_s32(0); 4]; 4];
    let steps = t.activations.steps;
    let pairs = if lowest { 0 } else { steps / 2 };
    for run in 0..t.activations.runs {
        let rows = rows_of_run(t, run);
        if pairs > 0 {
            // SAFETY: the caller's promise: `steps` steps of this run lie at each row and at `weights`.
            unsafe { loops::pairs(&mut sums, rows, weights, pairs) };
        }
        if 2 * pairs < steps {
            let rows = rows.map(|row| row.wrapping_add(2 * pairs * OCTETS));
            let weights = weights.wrapping_add(2 * pairs * OCTET_BYTES);
            // SAFETY: as above, the other steps.
            unsafe { loops::singles(&mut sums, rows, weights, steps - 2 * pairs) };
        }
        weights = weights.wrapping_add(steps * OCTET_BYTES);
    }
    sums
}

/// The `ConvFn` of the NEON rows for weights of 8 bits.
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
    let isa = unsafe { Neon::new() };
    crate::ops::gemm::run(isa, p, packed, input, rows, output, scratch);
}
