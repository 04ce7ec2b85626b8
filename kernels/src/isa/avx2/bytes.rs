//! 32 bytes and their values: how kernels that work on whole vectors of u8 and s8 begin and end.
//!
//! Widening interleaves with zero inside 128-bit halves: of 32 values, quad `q` holds values `4q..4q+4` and
//! `16+4q..16+4q+4`. Narrowing undoes it. s8 is computed as u8, plus 128.

use core::arch::x86_64::*;

use crate::params::Output;
use crate::types::ElemType;

/// 32 values of 32 bits, in quads.
pub(crate) type Quads = [__m256i; 4];

/// What turns s8 into u8 and back: 128, or 0 for u8.
pub(crate) const fn offset(elem: ElemType) -> i32 {
    match elem {
        ElemType::S8 => 128,
        ElemType::U8 | ElemType::U4 | ElemType::S4 | ElemType::S16 | ElemType::S32 => 0,
    }
}

/// Quads of 32-bit lanes, the even bytes from `a` and the odd ones zero, as pairs of words: `a`'s byte low, `b`'s
/// byte high.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn pairs(a: __m256i, b: __m256i) -> Quads {
    let zero = _mm256_setzero_si256();
    let (low, high) = (_mm256_unpacklo_epi8(a, b), _mm256_unpackhi_epi8(a, b));
    [
        _mm256_unpacklo_epi8(low, zero),
        _mm256_unpackhi_epi8(low, zero),
        _mm256_unpacklo_epi8(high, zero),
        _mm256_unpackhi_epi8(high, zero),
    ]
}

/// Quads of `byte - zero_point`, times 2^16; `zero_point` in every word.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn centred_high(bytes: __m256i, zero_point: __m256i) -> Quads {
    let zero = _mm256_setzero_si256();
    let low = _mm256_sub_epi16(_mm256_unpacklo_epi8(bytes, zero), zero_point);
    let high = _mm256_sub_epi16(_mm256_unpackhi_epi8(bytes, zero), zero_point);
    [
        _mm256_unpacklo_epi16(zero, low),
        _mm256_unpackhi_epi16(zero, low),
        _mm256_unpacklo_epi16(zero, high),
        _mm256_unpackhi_epi16(zero, high),
    ]
}

/// The end of an operation: zero point, clamp, narrowing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finish {
    /// In words.
    zero_point: __m256i,
    lo: __m256i,
    hi: __m256i,
    flip: __m256i,
}

impl Finish {
    /// `output` is u8 or s8.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn new(output: &Output) -> Finish {
        let offset = offset(output.elem);
        Finish {
            zero_point: _mm256_set1_epi16((output.zero_point + offset) as i16),
            lo: _mm256_set1_epi8((output.lo + offset) as i8),
            hi: _mm256_set1_epi8((output.hi + offset) as i8),
            flip: _mm256_set1_epi8(offset as i8),
        }
    }

    /// `clamp(zero_point + value, lo, hi)`. The saturating steps change only what the clamp moves to the same limit.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn narrow(&self, values: Quads) -> __m256i {
        let low = _mm256_adds_epi16(_mm256_packs_epi32(values[0], values[1]), self.zero_point);
        let high = _mm256_adds_epi16(_mm256_packs_epi32(values[2], values[3]), self.zero_point);
        let bytes = _mm256_packus_epi16(low, high);
        let bytes = _mm256_min_epu8(_mm256_max_epu8(bytes, self.lo), self.hi);
        _mm256_xor_si256(bytes, self.flip)
    }
}

/// 32 bytes.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn load(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: 32 readable bytes.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

/// 32 bytes.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn store(bytes: &mut [u8; 32], value: __m256i) {
    // SAFETY: 32 writable bytes.
    unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), value) }
}

/// The odd 32-bit lanes, in the even ones.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn odd_lanes(a: __m256i) -> __m256i {
    _mm256_shuffle_epi32::<0b11_11_01_01>(a)
}

/// The 64-bit products of the even 32-bit lanes and of the odd ones; `b_odd` are the [`odd_lanes`] of `b`.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn products(a: __m256i, b: __m256i, b_odd: __m256i) -> (__m256i, __m256i) {
    (multiply_even(a, b), multiply_even(odd_lanes(a), b_odd))
}

/// `vpmuldq`. The intrinsic is a sign extension and a product to the compiler, which moves the former out of loops and
/// then finds no instruction for the latter; so the instruction is written out.
#[inline]
#[target_feature(enable = "avx2")]
fn multiply_even(a: __m256i, b: __m256i) -> __m256i {
    let product;
    // SAFETY: reads and writes nothing but its operands.
    unsafe {
        core::arch::asm!(
            "vpmuldq {product}, {a}, {b}",
            a = in(ymm_reg) a,
            b = in(ymm_reg) b,
            product = lateout(ymm_reg) product,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    product
}
