//! The 8x8 micro-kernels: 16 accumulators of two rows by two columns each. A tile of 8x16 is two of them.
//!
//! A vector of a panel of octets is two columns, eight positions deep, as `smmla` takes them; two rows are brought together
//! when they were loaded. Nothing saturates; sums are those of the reference modulo 2^32.
//!
//! A byte of nibbles holds the weight of an even step in its low half and that of the odd one in its high half. Shifted left by
//! 4, or with the low half cleared, it is a signed byte of 16 times the weight. The sums are 16 times too large, and dividing them
//! is exact because they are below 2^31: see [`accepts_arm`](crate::ops::gemm::accepts_arm).

use core::arch::aarch64::*;
use core::ops::Range;

use super::I8mm;
use crate::isa::neon::columns::Columns;
use crate::isa::neon::gemm::{begin, columns, flip, rows_of_run};
use crate::ops::gemm::{Centre, Form, GemmIsa, Tile, Weights};
use crate::pack::panels::{OCTET_BYTES, OCTETS};
use crate::params::Conv;

mod loops;

use loops::Sums;

/// Rows of a full tile.
const ROWS: usize = 8;

impl GemmIsa for I8mm {
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
        // SAFETY: the token proves Advanced SIMD and its int8 matrix multiply.
        unsafe { self::tile(tile, columns, output, pitch) }
    }
}

/// One tile.
#[target_feature(enable = "neon,i8mm")]
fn tile(t: &Tile, columns: &Columns, output: &mut [u8], pitch: usize) {
    let mut acc = begin::<ROWS>(t, columns, OCTETS);
    for half in 0..columns.width().div_ceil(8) {
        let (sums, nibbles) = match *t.weights {
            Weights::S8(panel) | Weights::U8(panel, _) => (multiply(t, panel, half), false),
            Weights::S4(panel) => (multiply_nibbles(t, panel, half), true),
            Weights::Wide(_) => unreachable!("the rows take bytes and nibbles"),
        };
        for (r, acc) in acc.iter_mut().enumerate() {
            for (q, acc) in acc[2 * half..][..2].iter_mut().enumerate() {
                let products = four_columns(sums[r / 2][2 * q], sums[r / 2][2 * q + 1], r % 2);
                *acc = if nibbles { vsraq_n_s32::<4>(*acc, products) } else { vaddq_s32(*acc, products) };
            }
        }
    }
    for (r, acc) in acc.iter().take(t.rows).enumerate() {
        columns.finish(&[*acc], &mut output[r * pitch..], pitch);
    }
}

/// Row `row` of two vectors of two rows by two columns.
#[inline]
#[target_feature(enable = "neon")]
fn four_columns(left: int32x4_t, right: int32x4_t, row: usize) -> int32x4_t {
    let (left, right) = (vreinterpretq_s64_s32(left), vreinterpretq_s64_s32(right));
    vreinterpretq_s32_s64(if row == 0 { vzip1q_s64(left, right) } else { vzip2q_s64(left, right) })
}

/// The activations of eight rows by half a panel of s8 or u8.
#[inline]
#[target_feature(enable = "neon,i8mm")]
fn multiply(t: &Tile, panel: &[u8], half: usize) -> Sums {
    t.check(t.rows, OCTETS, panel.len(), OCTET_BYTES);
    let mut sums = [[vdupq_n_s32(0); 4]; 4];
    let steps = t.activations.steps;
    for run in 0..t.activations.runs {
        let rows = rows_of_run(t, run);
        let weights = panel.as_ptr().wrapping_add(run * steps * OCTET_BYTES + half * OCTET_BYTES / 2);
        // SAFETY: `check`: `steps` steps of this run lie at each row and, half of each, at `weights`.
        unsafe {
            if steps > 1 {
                loops::pairs(&mut sums, rows, weights, steps / 2);
            }
            if !steps.is_multiple_of(2) {
                let rows = rows.map(|row| row.wrapping_add((steps - 1) * OCTETS));
                loops::single(&mut sums, rows, weights.wrapping_add((steps - 1) * OCTET_BYTES));
            }
        }
    }
    sums
}

/// The activations of eight rows by 16 times half a panel of s4.
#[inline]
#[target_feature(enable = "neon,i8mm")]
fn multiply_nibbles(t: &Tile, panel: &[u8], half: usize) -> Sums {
    let pairs = t.activations.steps / 2;
    assert!(t.activations.steps.is_multiple_of(2) && pairs > 0);
    t.check(t.rows, OCTETS, panel.len(), OCTET_BYTES / 2);
    let mut sums = [[vdupq_n_s32(0); 4]; 4];
    for run in 0..t.activations.runs {
        let weights = panel.as_ptr().wrapping_add(run * pairs * OCTET_BYTES + half * OCTET_BYTES / 2);
        // SAFETY: `check`: `pairs` pairs of steps of this run lie at each row and, half of each, at `weights`.
        unsafe { loops::nibbles(&mut sums, rows_of_run(t, run), weights, pairs) };
    }
    sums
}

/// The `ConvFn` of the int8 matrix multiply rows.
///
/// # Safety
/// The CPU has Advanced SIMD and its int8 matrix multiply.
pub(crate) unsafe fn conv(
    p: &Conv,
    packed: &[u8],
    input: &[u8],
    rows: Range<usize>,
    output: &mut [u8],
    scratch: &mut [u8],
) {
    // SAFETY: the caller's promise.
    let isa = unsafe { I8mm::new() };
    crate::ops::gemm::run(isa, p, packed, input, rows, output, scratch);
}
