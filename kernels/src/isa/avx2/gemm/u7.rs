//! The 6x16 micro-kernel for activations of 0 to 127: bytes by bytes.
//!
//! `vpmaddubsw` multiplies 32 unsigned activations by signed weights and adds neighbours in 16 bits, where two products of such
//! activations fit whatever the weights are: `127 * (-128 - 128) = -32512`. With the four products of a lane added up by
//! `vpmaddwd` that is `vpdpbusd`, so the rest is what [`super::quads`] says.

use core::arch::x86_64::*;
use core::ops::Range;

use super::super::{Avx2, ONCE, TWICE};
use super::quads::{self, Dot, ROWS, S8, halves};
use super::{Columns, End, checked_panel, finish, loops, rows_of_run};
use crate::ops::gemm::{Tile, Weights};
use crate::pack::panels::{COLUMNS, QUAD_BYTES, QUADS};
use crate::params::Conv;
use crate::requant::Rounding;

/// AVX2, for products whose activations [`crate::ops::gemm::accepts_u7`] bounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct U7(Avx2);

impl Dot for U7 {
    type Lanes = halves::Lanes;
    type Columns = Columns;
    const ROWS: usize = ROWS;

    fn avx2(self) -> Avx2 {
        self.0
    }

    fn columns(self, _: &Conv, columns: Columns) -> Columns {
        columns
    }

    #[inline]
    fn tile(self, t: &Tile, columns: &Columns, output: &mut [u8], pitch: usize) {
        assert!(matches!(t.weights, Weights::S8(_)));
        // SAFETY: the token proves AVX2.
        unsafe {
            match t.rows {
                1 => part_tile::<1>(t, columns, output, pitch),
                2 => part_tile::<2>(t, columns, output, pitch),
                3 => part_tile::<3>(t, columns, output, pitch),
                4 => part_tile::<4>(t, columns, output, pitch),
                5 => part_tile::<5>(t, columns, output, pitch),
                _ => full_tile(t, columns, output, pitch),
            }
        }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> halves::Lanes {
        // SAFETY: the caller's promise.
        unsafe { halves::load(from) }
    }

    #[inline(always)]
    unsafe fn nibbles(codes: halves::Lanes) -> [halves::Lanes; 2] {
        // SAFETY: the caller's promise.
        unsafe { halves::nibbles(codes) }
    }

    #[inline(always)]
    unsafe fn dot([first, second]: halves::Lanes, row: *const u8, weights: halves::Lanes) -> halves::Lanes {
        // SAFETY: the caller's promise.
        unsafe {
            let x = _mm256_set1_epi32(row.cast::<i32>().read_unaligned());
            let ones = _mm256_set1_epi16(1);
            [
                _mm256_add_epi32(first, _mm256_madd_epi16(_mm256_maddubs_epi16(x, weights[0]), ones)),
                _mm256_add_epi32(second, _mm256_madd_epi16(_mm256_maddubs_epi16(x, weights[1]), ones)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn add(sums: halves::Lanes, value: i32) -> halves::Lanes {
        // SAFETY: the caller's promise.
        unsafe { halves::add(sums, value) }
    }
}

/// One tile of fewer rows than the full one.
#[target_feature(enable = "avx2")]
fn part_tile<const MR: usize>(t: &Tile, columns: &Columns, output: &mut [u8], pitch: usize) {
    // SAFETY: the target feature.
    unsafe { quads::tile::<U7, MR, S8>(t, columns, output, pitch) }
}

#[target_feature(enable = "avx2")]
fn full_tile(t: &Tile, columns: &Columns, output: &mut [u8], pitch: usize) {
    let mut acc = [columns.bias; ROWS];
    let mut panel = checked_panel::<ROWS, QUADS>(t);
    let rows = rows_of_run::<ROWS>(t, 0);
    let sums: &mut loops::Sums = acc.as_flattened_mut().try_into().expect("two for each row");
    let steps = t.activations.steps;
    let ahead = t.fetched(t.activations.runs * steps * QUAD_BYTES);
    for run in 0..t.activations.runs {
        let at = run * t.activations.run_step;
        // SAFETY: `checked_panel`: each step has 64 bytes of weights, and each row 4 bytes.
        panel = unsafe { loops::quads(sums, rows, at, panel, steps, ahead) };
    }
    end_in_registers!(columns, acc, output, pitch, [0, 2, 4]);
    // A copy: the accumulators above need no place in memory.
    finish(columns, &mut { acc }, output, pitch);
}

/// The `ConvFn` of the AVX2 row for activations of 0 to 127.
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
    let isa = U7(unsafe { Avx2::new() });
    crate::ops::gemm::run(isa, p, packed, input, rows, output, scratch);
}
