//! x86-64 AVX2: vectors of eight 32-bit lanes.

use core::arch::x86_64::*;

use crate::params::Output;
use crate::requant::Rounding;
use crate::types::ElemType;

pub(crate) mod add;
pub(crate) mod bytes;
pub(crate) mod compiled;
pub(crate) mod depthwise;
pub(crate) mod gemm;
pub(crate) mod table;

/// Proof that the CPU has AVX2.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// # Safety
    /// The CPU has AVX2.
    #[inline]
    pub(crate) unsafe fn new() -> Avx2 {
        Avx2(())
    }
}

/// Eight consecutive values; lanes beyond the end of `values` are zero.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn load_8x32(values: &[i32]) -> __m256i {
    let mut lanes = [0; 8];
    let count = values.len().min(8);
    lanes[..count].copy_from_slice(&values[..count]);
    // SAFETY: `lanes` is 32 readable bytes.
    unsafe { _mm256_loadu_si256(lanes.as_ptr().cast()) }
}

/// Dyadic factors of eight lanes, prepared for [`Factors::rescale`].
///
/// Exact for every accumulator when the output has 8 bits: an accumulator is shifted left when the factor is so
/// large that the forms below need it, after being clamped to what the shift keeps. A clamped value is off the
/// 8-bit range on either side of the clamp.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Factors {
    multiplier: __m256i,
    /// The multipliers of the odd lanes, in the even lanes.
    multiplier_odd: __m256i,
    /// Right shift after the product.
    right: __m256i,
    /// One rounding: `2^(right - 1)`. Two: `2^right - 1`.
    round: __m256i,
    /// Left shift before the product, and the largest accumulator it keeps.
    left: __m256i,
    limit: __m256i,
    any_left: bool,
}

impl Factors {
    /// From multipliers (0 or 2^30 to 2^31 - 1) and shifts (16 to 62). Lanes with other shifts give unspecified
    /// values.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn new(multiplier: __m256i, shift: __m256i, rounding: Rounding) -> Factors {
        let one = _mm256_set1_epi32(1);
        // The high half of the product is floor(P / 2^32) for one rounding, floor(P / 2^31) for two; the least
        // shift that leaves `round` an integer follows.
        let (taken, least) = match rounding {
            // The rows decline `OnceAway`.
            Rounding::Once | Rounding::OnceAway => (_mm256_set1_epi32(32), _mm256_set1_epi32(33)),
            Rounding::Twice => (_mm256_set1_epi32(31), _mm256_set1_epi32(31)),
        };
        let left = _mm256_max_epi32(_mm256_sub_epi32(least, shift), _mm256_setzero_si256());
        let right = _mm256_sub_epi32(_mm256_add_epi32(shift, left), taken);
        let round = match rounding {
            Rounding::Once | Rounding::OnceAway => _mm256_sllv_epi32(one, _mm256_sub_epi32(right, one)),
            Rounding::Twice => _mm256_sub_epi32(_mm256_sllv_epi32(one, right), one),
        };
        Factors {
            multiplier,
            multiplier_odd: _mm256_srli_epi64::<32>(multiplier),
            right,
            round,
            left,
            limit: _mm256_srlv_epi32(_mm256_set1_epi32(i32::MAX), left),
            any_left: _mm256_testz_si256(left, left) == 0,
        }
    }

    /// From slices of up to eight channels.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn load(multipliers: &[i32], shifts: &[i32], rounding: Rounding) -> Factors {
        Factors::new(load_8x32(multipliers), load_8x32(shifts), rounding)
    }

    /// [`crate::requant::rescale`] of eight accumulators, exact where an 8-bit output can tell.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn rescale(&self, acc: __m256i, rounding: Rounding) -> __m256i {
        match rounding {
            Rounding::Once | Rounding::OnceAway => self.rescale_once(acc),
            Rounding::Twice => self.rescale_twice(acc),
        }
    }

    /// `floor((acc*m + 2^(s-1)) / 2^s)`. With `P = acc*m` and `q = floor(P / 2^32)` it is
    /// `floor((q + 2^(s-33)) / 2^(s-32))`: adding an integer commutes with floor.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn rescale_once(&self, acc: __m256i) -> __m256i {
        let acc = self.scale_up(acc);
        let even = _mm256_mul_epi32(acc, self.multiplier);
        let odd = _mm256_mul_epi32(_mm256_srli_epi64::<32>(acc), self.multiplier_odd);
        let high = _mm256_blend_epi32::<0b1010_1010>(_mm256_srli_epi64::<32>(even), odd);
        _mm256_srav_epi32(_mm256_add_epi32(high, self.round), self.right)
    }

    /// `h = floor((acc*m + 2^30) / 2^31)`, then `h / 2^(s-31)` to nearest with ties away from zero.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn rescale_twice(&self, acc: __m256i) -> __m256i {
        let acc = self.scale_up(acc);
        let half = _mm256_set1_epi64x(1 << 30);
        let even = _mm256_mul_epi32(acc, self.multiplier);
        let odd = _mm256_mul_epi32(_mm256_srli_epi64::<32>(acc), self.multiplier_odd);
        let even = _mm256_srli_epi64::<31>(_mm256_add_epi64(even, half));
        let odd = _mm256_slli_epi64::<1>(_mm256_add_epi64(odd, half));
        let h = _mm256_blend_epi32::<0b1010_1010>(even, odd);
        // Up when the remainder exceeds one half, a negative value only when it exceeds it by one more.
        let negative = _mm256_srai_epi32::<31>(h);
        let threshold = _mm256_sub_epi32(_mm256_srli_epi32::<1>(self.round), negative);
        let up = _mm256_cmpgt_epi32(_mm256_and_si256(h, self.round), threshold);
        _mm256_sub_epi32(_mm256_srav_epi32(h, self.right), up)
    }

    /// `acc * 2^left`, clamped first so that nothing is shifted out.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn scale_up(&self, acc: __m256i) -> __m256i {
        if !self.any_left {
            return acc;
        }
        let lowest = _mm256_xor_si256(self.limit, _mm256_set1_epi32(-1));
        let kept = _mm256_max_epi32(_mm256_min_epi32(acc, self.limit), lowest);
        _mm256_sllv_epi32(kept, self.left)
    }
}

/// The end of an operation with an 8-bit output: zero point, clamp, narrowing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Narrow {
    /// In 16-bit lanes; for u8 less 128, like the limits, so that one signed form serves both types.
    zero_point: __m256i,
    lo: __m128i,
    hi: __m128i,
    /// 0x80 for u8: back from the signed form.
    flip: __m128i,
}

impl Narrow {
    /// `output` is u8 or s8.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn new(output: &Output) -> Narrow {
        let offset = if output.elem == ElemType::U8 { 128 } else { 0 };
        Narrow {
            zero_point: _mm256_set1_epi16((output.zero_point - offset) as i16),
            lo: _mm_set1_epi8((output.lo - offset) as i8),
            hi: _mm_set1_epi8((output.hi - offset) as i8),
            flip: _mm_set1_epi8(offset as i8),
        }
    }

    /// `clamp(zero_point + value, lo, hi)` of sixteen values, `first` holding values 0 to 7. The saturating steps
    /// change only values that the clamp moves to the same limit.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn narrow(&self, first: __m256i, second: __m256i) -> __m128i {
        // 0-3, 8-11 | 4-7, 12-15
        let words = _mm256_adds_epi16(_mm256_packs_epi32(first, second), self.zero_point);
        let (low, high) = (_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
        let bytes = _mm_shuffle_epi32::<0b11_01_10_00>(_mm_packs_epi16(low, high));
        _mm_xor_si128(_mm_min_epi8(_mm_max_epi8(bytes, self.lo), self.hi), self.flip)
    }
}
