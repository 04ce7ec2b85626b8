//! x86-64 AVX-512 VNNI: `vpdpbusd` on vectors of 512 bits, each the 16 columns of a panel. Beside it the kernels use AVX-512
//! F and BW; the end of a tile is that of AVX2.

use core::arch::x86_64::*;
use core::ops::Range;

use super::avx2::Avx2;
use super::avx2::gemm::Columns;
use super::avx2::gemm::quads::{self, Dot, tile_of};
use crate::ops::gemm::{Second, Tile, Weights};
use crate::params::Conv;

/// Rows of a full tile.
const ROWS: usize = 8;

/// Proof that the CPU has AVX2 and AVX-512 BW, VL and VNNI.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512Vnni(Avx2);

impl Avx512Vnni {
    /// # Safety
    /// The CPU has AVX2 and AVX-512 BW, VL and VNNI.
    #[inline]
    pub(crate) unsafe fn new() -> Avx512Vnni {
        // SAFETY: the caller's promise.
        Avx512Vnni(unsafe { Avx2::new() })
    }
}

impl Dot for Avx512Vnni {
    type Lanes = __m512i;
    const ROWS: usize = ROWS;
    const PAIRS: bool = true;

    fn avx2(self) -> Avx2 {
        self.0
    }

    #[inline]
    fn tile(self, t: &Tile, columns: &Columns, output: &mut [u8], pitch: usize) {
        // SAFETY: the token proves AVX2 and AVX-512 BW, VL and VNNI.
        unsafe { tile_of!(t, [1, 2, 3, 4, 5, 6, 7], { ROWS }, tile(t, columns, output, pitch)) }
    }

    #[inline]
    fn pair(self, t: &Tile, columns: &Columns, second: Second<Columns>, output: &mut [u8], pitch: usize) {
        // SAFETY: the token proves AVX2 and AVX-512 BW, VL and VNNI.
        unsafe { tile_of!(t, [1, 2, 3, 4, 5, 6, 7], { ROWS }, pair(t, columns, second, output, pitch)) }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn nibbles(codes: __m512i) -> [__m512i; 2] {
        // SAFETY: the caller's promise.
        unsafe {
            let low = _mm512_set1_epi8(15);
            // The value of a nibble as a signed byte.
            let signed =
                _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1));
            let odd = _mm512_srli_epi16::<4>(codes);
            [
                _mm512_shuffle_epi8(signed, _mm512_and_si512(codes, low)),
                _mm512_shuffle_epi8(signed, _mm512_and_si512(odd, low)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn dot(sums: __m512i, row: *const u8, weights: __m512i) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe {
            let x = _mm512_set1_epi32(row.cast::<i32>().read_unaligned());
            _mm512_dpbusd_epi32(sums, x, weights)
        }
    }

    #[inline(always)]
    unsafe fn add(sums: __m512i, value: i32) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_add_epi32(sums, _mm512_set1_epi32(value)) }
    }
}

/// A tile of `MR` rows by one panel.
#[target_feature(enable = "avx2,avx512bw,avx512vl,avx512vnni")]
fn tile<const MR: usize, const WEIGHTS: u8>(t: &Tile, columns: &Columns, output: &mut [u8], pitch: usize) {
    let mut acc = [[start(columns)]; MR];
    // SAFETY: the target features.
    unsafe { quads::multiply::<Avx512Vnni, MR, 1, WEIGHTS>(t, [*t.weights], &mut acc) };
    end::<MR>(columns, core::array::from_fn(|r| acc[r][0]), output, pitch);
}

/// A tile of `MR` rows by two panels.
#[target_feature(enable = "avx2,avx512bw,avx512vl,avx512vnni")]
fn pair<const MR: usize, const WEIGHTS: u8>(
    t: &Tile,
    columns: &Columns,
    second: Second<Columns>,
    output: &mut [u8],
    pitch: usize,
) {
    let mut acc = [[start(columns), start(second.columns)]; MR];
    // SAFETY: the target features.
    unsafe { quads::multiply::<Avx512Vnni, MR, 2, WEIGHTS>(t, [*t.weights, second.weights], &mut acc) };
    end::<MR>(columns, core::array::from_fn(|r| acc[r][0]), output, pitch);
    end::<MR>(second.columns, core::array::from_fn(|r| acc[r][1]), &mut output[second.at..], pitch);
}

/// What the sums of a row start from.
#[inline]
#[target_feature(enable = "avx512f")]
fn start(columns: &Columns) -> __m512i {
    let [first, second] = columns.bias();
    _mm512_inserti64x4::<1>(_mm512_castsi256_si512(first), second)
}

/// Rescales, narrows and stores the rows of a panel.
#[target_feature(enable = "avx2,avx512f")]
fn end<const MR: usize>(columns: &Columns, acc: [__m512i; MR], output: &mut [u8], pitch: usize) {
    let mut halves = [[_mm256_setzero_si256(); 2]; MR];
    for (halves, acc) in halves.iter_mut().zip(acc) {
        *halves = [_mm512_castsi512_si256(acc), _mm512_extracti64x4_epi64::<1>(acc)];
    }
    quads::end(columns, &mut halves, output, pitch);
}

/// The `ConvFn` of the AVX-512 VNNI rows.
///
/// # Safety
/// The CPU has AVX2 and AVX-512 BW, VL and VNNI.
pub(crate) unsafe fn conv(
    p: &Conv,
    packed: &[u8],
    input: &[u8],
    rows: Range<usize>,
    output: &mut [u8],
    scratch: &mut [u8],
) {
    // SAFETY: the caller's promise.
    let isa = unsafe { Avx512Vnni::new() };
    crate::ops::gemm::run(isa, p, packed, input, rows, output, scratch);
}
