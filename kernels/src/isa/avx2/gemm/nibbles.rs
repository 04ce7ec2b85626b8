//! The 6x16 micro-kernel for weights of 4 bits: bytes times nibbles, summed in 16 bits.
//!
//! `vpmaddubsw` multiplies 32 unsigned activations by signed weights and adds neighbours. With weights of -8 to 7 a sum of
//! two products is at least `-16 * a` and at most `14 * a` for the largest activation `a`, so `32768 / (16 * a)` of them fit
//! a lane: 8 for bytes, 136 for activations of 4 bits. After so many steps the lanes are folded into 32 bits. The nibbles are
//! unpacked in registers, once for the rows of a tile.

use core::arch::x86_64::*;
use core::ops::Range;

use super::super::{Avx2, ONCE, TWICE};
use super::{Columns, End, checked_panel, columns, finish, less_zero_point, loops, rows_of_run};
use crate::ops::gemm::{Activations, Centre, Form, GemmIsa, Tile, Weights, largest_activation};
use crate::pack::panels::{COLUMNS, QUAD_BYTES, QUADS};
use crate::params::Conv;
use crate::requant::Rounding;

/// Rows of a full tile.
const ROWS: usize = 6;

/// AVX2 with activations as bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nibbles(Avx2);

/// The epilogue, and how many steps fit 16 bits.
pub(crate) struct NibbleColumns {
    columns: Columns,
    /// An even number.
    period: usize,
}

impl GemmIsa for Nibbles {
    const ROWS: usize = ROWS;
    const FORM: Form = Form::Unsigned;
    const EXPAND_FROM: usize = usize::MAX;
    type Columns = NibbleColumns;

    fn columns(self, p: &Conv, channels: Range<usize>, sums: &[u8]) -> NibbleColumns {
        // SAFETY: the token proves AVX2.
        let columns = unsafe { less_zero_point(columns(p, channels), p, sums) };
        NibbleColumns { columns, period: period(p) }
    }

    #[inline]
    fn convert(self, source: &[u8], count: usize, centre: Centre, target: &mut [u8]) {
        for (target, byte) in target[..count].iter_mut().zip(&source[..count]) {
            *target = byte ^ centre.flip;
        }
    }

    #[inline]
    fn tile(self, tile: &Tile, columns: &NibbleColumns, output: &mut [u8], pitch: usize) {
        // SAFETY: the token proves AVX2.
        unsafe {
            match tile.rows {
                1 => self::tile::<1>(tile, columns, output, pitch),
                2 => self::tile::<2>(tile, columns, output, pitch),
                3 => self::tile::<3>(tile, columns, output, pitch),
                4 => self::tile::<4>(tile, columns, output, pitch),
                5 => self::tile::<5>(tile, columns, output, pitch),
                _ => self::tile::<ROWS>(tile, columns, output, pitch),
            }
        }
    }
}

/// Steps whose sums fit 16 bits: see the head of this file.
fn period(p: &Conv) -> usize {
    (2048 / largest_activation(p).max(1) / 2 * 2).max(2)
}

/// One tile of `MR` rows by 16 columns.
#[target_feature(enable = "avx2")]
fn tile<const MR: usize>(t: &Tile, columns: &NibbleColumns, output: &mut [u8], pitch: usize) {
    let mut acc = [columns.columns.bias; MR];
    multiply(t, columns.period / 2, &mut acc);
    if MR == ROWS {
        end_in_registers!(columns.columns, acc, output, pitch, [0, 2, 4]);
    }
    // A copy: the accumulators above need no place in memory.
    finish(&columns.columns, &mut { acc }, output, pitch);
}

/// `acc[r] += activations of row r * weights`, folded after every `period` double steps.
#[inline]
#[target_feature(enable = "avx2")]
fn multiply<const MR: usize>(t: &Tile, period: usize, acc: &mut [[__m256i; 2]; MR]) {
    let mut panel = checked_panel::<MR, QUADS>(t);
    let Activations { runs, run_step, steps, .. } = *t.activations;
    assert!(steps.is_multiple_of(2) && matches!(t.weights, Weights::S4(_)) && period > 0);
    let ones = _mm256_set1_epi16(1);
    if let Ok(sums) = <&mut loops::Sums>::try_from(acc.as_flattened_mut()) {
        let rows = rows_of_run::<ROWS>(t, 0);
        let ahead = t.fetched(runs * steps / 2 * QUAD_BYTES);
        for run in 0..runs {
            // SAFETY: `checked_panel`: each double step has 64 bytes of weights, and each row 8 bytes.
            panel = unsafe { loops::nibbles(sums, rows, run * run_step, panel, (steps / 2, period), ahead) };
        }
        return;
    }
    for run in 0..runs {
        let mut rows = rows_of_run::<MR>(t, run);
        let mut left = steps / 2;
        while left > 0 {
            let count = left.min(period);
            left -= count;
            // SAFETY: `checked_panel`: each double step has 64 bytes of weights, and each row 8 bytes.
            let words = unsafe { double_steps(count, &mut rows, &mut panel) };
            for (acc, words) in acc.as_flattened_mut().iter_mut().zip(words.as_flattened()) {
                *acc = _mm256_add_epi32(*acc, _mm256_madd_epi16(*words, ones));
            }
        }
    }
}

/// The 16-bit sums of `count` double steps: twice four depth positions.
///
/// # Safety
/// `count` times 8 bytes behind each row and 64 behind the panel are readable.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn double_steps<const MR: usize>(
    count: usize,
    rows: &mut [*const u8; MR],
    panel: &mut *const u8,
) -> [[__m256i; 2]; MR] {
    let low = _mm256_set1_epi8(15);
    // The value of a nibble as a signed byte.
    let signed =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1));
    let mut sums = [[_mm256_setzero_si256(); 2]; MR];
    for step in 0..count {
        // SAFETY: the caller's promise.
        unsafe {
            let codes = [_mm256_loadu_si256(panel.cast()), _mm256_loadu_si256(panel.add(32).cast())];
            *panel = panel.add(QUAD_BYTES);
            let even = codes.map(|c| _mm256_shuffle_epi8(signed, _mm256_and_si256(c, low)));
            let odd =
                codes.map(|c| _mm256_shuffle_epi8(signed, _mm256_and_si256(_mm256_srli_epi16::<4>(c), low)));
            for (row, sums) in rows.iter().zip(&mut sums) {
                for (at, weights) in [(0, even), (4, odd)] {
                    let x = _mm256_set1_epi32(row.add(8 * step + at).cast::<i32>().read_unaligned());
                    for half in 0..2 {
                        sums[half] = _mm256_add_epi16(sums[half], _mm256_maddubs_epi16(x, weights[half]));
                    }
                }
            }
        }
    }
    for row in rows {
        *row = row.wrapping_add(8 * count);
    }
    sums
}

/// The `ConvFn` of the AVX2 rows for weights of 4 bits.
///
/// # Safety
/// The CPU has AVX2.
pub(crate) unsafe fn conv(
    p: &Conv,
    packed: &[u8],
    input: &[u8],
    rows: Range<usize>,
    output: &mut [u8],
    scratch: &mut [u8],
) {
    // SAFETY: the caller's promise.
    let isa = Nibbles(unsafe { Avx2::new() });
    crate::ops::gemm::run(isa, p, packed, input, rows, output, scratch);
}
