//! x86-64 AVX-VNNI: `vpdpbusd` on vectors of 256 bits.

use core::arch::x86_64::*;
use core::ops::Range;

use super::avx2::Avx2;
use super::avx2::gemm::Columns;
use super::avx2::gemm::quads::{self, Dot, halves, tile_of};
use crate::ops::gemm::{Tile, Weights};
use crate::params::Conv;

/// Proof that the CPU has AVX2 and AVX-VNNI.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AvxVnni(Avx2);

impl AvxVnni {
    /// # Safety
    /// The CPU has AVX2 and AVX-VNNI.
    #[inline]
    pub(crate) unsafe fn new() -> AvxVnni {
        // SAFETY: the caller's promise.
        AvxVnni(unsafe { Avx2::new() })
    }
}

impl Dot for AvxVnni {
    type Lanes = halves::Lanes;
    type Columns = Columns;
    const ROWS: usize = quads::ROWS;

    fn avx2(self) -> Avx2 {
        self.0
    }

    fn columns(self, _: &Conv, columns: Columns) -> Columns {
        columns
    }

    #[inline]
    fn tile(self, t: &Tile, columns: &Columns, output: &mut [u8], pitch: usize) {
        // SAFETY: the token proves AVX2 and AVX-VNNI.
        unsafe { tile_of!(t, [1, 2, 3, 4, 5], { quads::ROWS }, tile(t, columns, output, pitch)) }
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
    unsafe fn dot(sums: halves::Lanes, row: *const u8, weights: halves::Lanes) -> halves::Lanes {
        // SAFETY: the caller's promise.
        unsafe {
            let x = _mm256_set1_epi32(row.cast::<i32>().read_unaligned());
            [_mm256_dpbusd_avx_epi32(sums[0], x, weights[0]), _mm256_dpbusd_avx_epi32(sums[1], x, weights[1])]
        }
    }

    #[inline(always)]
    unsafe fn add(sums: halves::Lanes, value: i32) -> halves::Lanes {
        // SAFETY: the caller's promise.
        unsafe { halves::add(sums, value) }
    }
}

#[target_feature(enable = "avx2,avxvnni")]
fn tile<const MR: usize, const WEIGHTS: u8>(t: &Tile, columns: &Columns, output: &mut [u8], pitch: usize) {
    // SAFETY: the target features.
    unsafe { quads::tile::<AvxVnni, MR, WEIGHTS>(t, columns, output, pitch) }
}

/// The `ConvFn` of the AVX-VNNI rows.
///
/// # Safety
/// The CPU has AVX2 and AVX-VNNI.
pub(crate) unsafe fn conv(
    p: &Conv,
    packed: &[u8],
    input: &[u8],
    rows: Range<usize>,
    output: &mut [u8],
    scratch: &mut [u8],
) {
    // SAFETY: the caller's promise.
    let isa = unsafe { AvxVnni::new() };
    crate::ops::gemm::run(isa, p, packed, input, rows, output, scratch);
}
