//! What Winograd's algorithm needs beside the micro-kernel: the transforms, and the end of sums. The plain ones compile to
//! vector instructions too, but with a check of bounds for each of them, which takes several times as long. (Closures are called by name: the array functions of the library do not have the target feature.)

use core::arch::x86_64::*;
use core::ops::Range;

use super::{Avx2, Columns, End, ONCE, ROWS, TWICE, finish};
use crate::isa::avx2::Factors;
use crate::ops::gemm::winograd::{self, WinogradIsa};
use crate::pack::panels::COLUMNS;
use crate::params::Conv;
use crate::requant::Rounding;

impl WinogradIsa for Avx2 {
    fn raw(self) -> Columns {
        // SAFETY: the token proves AVX2.
        unsafe { raw() }
    }

    fn inputs(
        self,
        strip: &[u8],
        row: usize,
        pixel: usize,
        target: &mut [u8],
        position: usize,
        bytes: usize,
    ) {
        // SAFETY: the token proves AVX2.
        unsafe { inputs(strip, row, pixel, target, position, bytes) }
    }

    fn weights(self, panel: &[u8], zero_point: i16, x: usize, target: &mut [u8], step: usize) {
        // SAFETY: the token proves AVX2.
        unsafe {
            match x {
                0 => self::weights::<0>(panel, zero_point, target, step),
                1 => self::weights::<1>(panel, zero_point, target, step),
                2 => self::weights::<2>(panel, zero_point, target, step),
                _ => self::weights::<3>(panel, zero_point, target, step),
            }
        }
    }

    fn back(self, products: &[u8], position: usize, sums: &mut [[i32; COLUMNS]], width: usize) {
        // SAFETY: the token proves AVX2.
        unsafe { back(products, position, sums, width) }
    }

    fn end(self, sums: &[[i32; COLUMNS]], columns: &Columns, output: &mut [u8], pitch: usize) {
        for (i, sums) in sums.chunks(ROWS).enumerate() {
            let output = &mut output[i * ROWS * pitch..];
            // SAFETY: the token proves AVX2.
            unsafe {
                match sums.as_array::<ROWS>() {
                    Some(sums) => end(sums, columns, output, pitch),
                    None => sums.iter().enumerate().for_each(|(r, row)| {
                        end(&[*row], columns, &mut output[r * pitch..], pitch);
                    }),
                }
            }
        }
    }
}

#[target_feature(enable = "avx2")]
fn raw() -> Columns {
    let none = Factors::new(&[], &[], Rounding::Once);
    let zero = _mm256_setzero_si256();
    Columns {
        bias: [zero; 2],
        factors: [none; 2],
        rounding: Rounding::Once,
        end: End::Raw,
        width: COLUMNS,
        plain: false,
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn add(a: __m256i, b: __m256i) -> __m256i {
    _mm256_add_epi16(a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
fn sub(a: __m256i, b: __m256i) -> __m256i {
    _mm256_sub_epi16(a, b)
}

/// `Bt` times a column.
#[inline]
#[target_feature(enable = "avx2")]
fn bt([a, b, c, d]: [__m256i; 4]) -> [__m256i; 4] {
    [sub(a, c), add(b, c), sub(c, b), sub(b, d)]
}

#[target_feature(enable = "avx2")]
fn inputs(strip: &[u8], pitch: usize, pixel: usize, target: &mut [u8], position: usize, bytes: usize) {
    assert!(bytes.is_multiple_of(32));
    assert!(3 * pitch + 3 * pixel + bytes <= strip.len() && 15 * position + bytes <= target.len());
    for at in (0..bytes).step_by(32) {
        // SAFETY: rows 0 to 3, pixels 0 to 3 and elements 0 to 15, of `bytes` each, are inside by the assertions.
        unsafe {
            let load = |y: usize, x: usize| {
                _mm256_loadu_si256(strip.as_ptr().add(y * pitch + x * pixel + at).cast())
            };
            let row = |y: usize| bt([load(y, 0), load(y, 1), load(y, 2), load(y, 3)]);
            let (a, b, c, d) = (row(0), row(1), row(2), row(3));
            for x in 0..4 {
                for (y, words) in bt([a[x], b[x], c[x], d[x]]).into_iter().enumerate() {
                    _mm256_storeu_si256(target.as_mut_ptr().add((4 * y + x) * position + at).cast(), words);
                }
            }
        }
    }
}

/// Column `X` of the transformed weights.
#[target_feature(enable = "avx2")]
fn weights<const X: usize>(panel: &[u8], zero_point: i16, target: &mut [u8], step: usize) {
    let tap = panel.len() / 9;
    assert!(tap.is_multiple_of(16) && 3 * step + 2 * tap <= target.len());
    let zero_point = _mm256_set1_epi16(zero_point);
    for at in (0..tap).step_by(16) {
        // SAFETY: taps 0 to 8 are inside by their length, rows 0 to 3 of twice as many bytes by the assertion.
        unsafe {
            let load = |ky: usize, kx: usize| {
                let bytes = _mm_loadu_si128(panel.as_ptr().add((3 * ky + kx) * tap + at).cast());
                sub(_mm256_cvtepi8_epi16(bytes), zero_point)
            };
            // Row `X` of 2 G.
            let row = |ky: usize| match X {
                0 => add(load(ky, 0), load(ky, 0)),
                1 => add(add(load(ky, 0), load(ky, 2)), load(ky, 1)),
                2 => sub(add(load(ky, 0), load(ky, 2)), load(ky, 1)),
                _ => add(load(ky, 2), load(ky, 2)),
            };
            let (a, b, c) = (row(0), row(1), row(2));
            let ends = add(a, c);
            let column = [add(a, a), add(ends, b), sub(ends, b), add(c, c)];
            for (y, words) in column.into_iter().enumerate() {
                _mm256_storeu_si256(target.as_mut_ptr().add(y * step + 2 * at).cast(), words);
            }
        }
    }
}

/// `At` times a column.
#[inline]
#[target_feature(enable = "avx2")]
fn at([a, b, c, d]: [__m256i; 4]) -> [__m256i; 2] {
    [_mm256_add_epi32(_mm256_add_epi32(a, b), c), _mm256_sub_epi32(_mm256_sub_epi32(b, c), d)]
}

#[target_feature(enable = "avx2")]
fn back(products: &[u8], position: usize, sums: &mut [[i32; COLUMNS]], width: usize) {
    let tiles = width / 2;
    assert!(15 * position + tiles * 4 * COLUMNS <= products.len() && 2 * width <= sums.len());
    for (tile, half) in (0..tiles).flat_map(|tile| [(tile, 0), (tile, 1)]) {
        // SAFETY: elements 0 to 15 of `tiles` tiles, 64 bytes each, are inside by the assertion; so are both rows of `width`
        // sums, of 16 columns in two halves.
        unsafe {
            let from = products.as_ptr().add((2 * tile + half) * 32);
            let load = |y: usize, x: usize| _mm256_loadu_si256(from.add((4 * y + x) * position).cast());
            let row = |y: usize| at([load(y, 0), load(y, 1), load(y, 2), load(y, 3)]);
            let (a, b, c, d) = (row(0), row(1), row(2), row(3));
            for x in 0..2 {
                for (y, values) in at([a[x], b[x], c[x], d[x]]).into_iter().enumerate() {
                    let to = sums.as_mut_ptr().add(y * width + 2 * tile + x).cast::<__m256i>();
                    _mm256_storeu_si256(to.add(half), _mm256_srai_epi32::<2>(values));
                }
            }
        }
    }
}

/// The end of `MR` rows of sums.
#[target_feature(enable = "avx2")]
fn end<const MR: usize>(sums: &[[i32; COLUMNS]; MR], columns: &Columns, output: &mut [u8], pitch: usize) {
    let mut acc = [columns.bias; MR];
    for (acc, sums) in acc.iter_mut().zip(sums) {
        for (acc, sums) in acc.iter_mut().zip(sums.as_chunks::<8>().0) {
            // SAFETY: eight values of 32 bits.
            *acc = _mm256_add_epi32(*acc, unsafe { _mm256_loadu_si256(sums.as_ptr().cast()) });
        }
    }
    if MR == ROWS {
        end_in_registers!(columns, acc, output, pitch, [0, 2, 4]);
    }
    finish(columns, &mut { acc }, output, pitch);
}

/// The `ConvFn` of the AVX2 rows by Winograd's algorithm.
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
    let isa = unsafe { Avx2::new() };
    winograd::run(isa, p, packed, input, rows, output, scratch);
}
