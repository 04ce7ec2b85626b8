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

/// The variants of [`Rounding`] as constants.
pub(crate) const ONCE: u8 = Rounding::Once as u8;
pub(crate) const TWICE: u8 = Rounding::Twice as u8;
pub(crate) const ONCE_AWAY: u8 = Rounding::OnceAway as u8;

/// Eight consecutive values; lanes beyond the end of `values` hold `rest`.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn load_8x32(values: &[i32], rest: i32) -> __m256i {
    let mut lanes = [rest; 8];
    let count = values.len().min(8);
    lanes[..count].copy_from_slice(&values[..count]);
    // SAFETY: `lanes` is 32 readable bytes.
    unsafe { _mm256_loadu_si256(lanes.as_ptr().cast()) }
}

/// Swaps values 1 and 2 of every four: from rounded order to that of the lanes, and back.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn in_order(values: __m256i) -> __m256i {
    _mm256_shuffle_epi32::<0b11_01_10_00>(values)
}

/// The high 32 bits of the products of even lanes and of odd ones, in rounded order.
#[inline]
#[target_feature(enable = "avx2")]
fn high_halves(even: __m256i, odd: __m256i) -> __m256i {
    // One `vshufps` in the code made: it takes words of two vectors, and only its intrinsic has floats in its name.
    let [even, odd] = [even, odd].map(|product| _mm256_shuffle_epi32::<0b11_01_11_01>(product));
    _mm256_blend_epi32::<0b11001100>(even, odd)
}

/// Dyadic factors of eight lanes: [`Factors::scale_up`], then [`Factors::round`], is [`crate::requant::rescale`],
/// exact for every accumulator when the output has 16 bits or fewer. An accumulator is shifted left when the factor is so
/// large that the forms below need it, after being clamped to what the shift keeps. A clamped value is off the
/// 16-bit range on either side of the clamp: its product with a multiplier of 2^30 or more is 2^28 - 2^14 at the least.
///
/// Products of even lanes and of odd lanes come in two vectors. The high halves of both are taken out in one shuffle, which
/// leaves them in another order: *rounded order*, where a half of four lanes holds values 0, 2, 1, 3. [`in_order`] undoes it;
/// narrowing to bytes does so on the way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Factors {
    multiplier: __m256i,
    /// The multipliers of the odd lanes, in the even lanes.
    multiplier_odd: __m256i,
    /// Right shift after the product, in rounded order.
    right: __m256i,
    /// One rounding: `2^(right - 1)`. Two: `2^right - 1`. In rounded order.
    round: __m256i,
    /// Left shift before the product, and the largest accumulator it keeps.
    left: __m256i,
    limit: __m256i,
    any_left: bool,
}

impl Factors {
    /// From multipliers (0 or 2^30 to 2^31 - 1) and shifts (16 to 62) of up to eight channels; the other lanes give 0.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn new(multipliers: &[i32], shifts: &[i32], rounding: Rounding) -> Factors {
        let (multiplier, shift) = (load_8x32(multipliers, 0), load_8x32(shifts, 62));
        let one = _mm256_set1_epi32(1);
        // The high half of the product is floor(P / 2^32) for one rounding, floor(P / 2^31) for two; the least
        // shift that leaves `round` an integer follows.
        let (taken, least) = match rounding {
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
            right: in_order(right),
            round: in_order(round),
            left,
            limit: _mm256_srlv_epi32(_mm256_set1_epi32(i32::MAX), left),
            any_left: _mm256_testz_si256(left, left) == 0,
        }
    }

    /// Multipliers, right shifts and what is added before them, of eight lanes in their order.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn in_lanes(&self) -> [__m256i; 3] {
        [self.multiplier, in_order(self.right), in_order(self.round)]
    }

    /// Whether any lane needs [`Factors::scale_up`] before its rounding.
    #[inline]
    pub(crate) fn scales_up(&self) -> bool {
        self.any_left
    }

    /// `acc * 2^left`, clamped first so that nothing is shifted out.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn scale_up(&self, acc: __m256i) -> __m256i {
        let lowest = _mm256_xor_si256(self.limit, _mm256_set1_epi32(-1));
        let kept = _mm256_max_epi32(_mm256_min_epi32(acc, self.limit), lowest);
        _mm256_sllv_epi32(kept, self.left)
    }

    /// The rounding of scaled-up accumulators, in rounded order: a [`Rounding`] as a constant.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn round<const ROUNDING: u8>(&self, acc: __m256i) -> __m256i {
        match ROUNDING {
            ONCE => self.round_once(acc),
            TWICE => self.round_twice(acc),
            _ => self.round_away(acc),
        }
    }

    /// `floor((acc*m + 2^(s-1)) / 2^s)` of scaled-up accumulators. With `P = acc*m` and `q = floor(P / 2^32)` it
    /// is `floor((q + 2^(s-33)) / 2^(s-32))`: adding an integer commutes with floor.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn round_once(&self, acc: __m256i) -> __m256i {
        let even = _mm256_mul_epi32(acc, self.multiplier);
        let odd = _mm256_mul_epi32(_mm256_srli_epi64::<32>(acc), self.multiplier_odd);
        _mm256_srav_epi32(_mm256_add_epi32(high_halves(even, odd), self.round), self.right)
    }

    /// `sgn(acc) * floor((|acc|*m + 2^(s-1)) / 2^s)` of scaled-up accumulators: [`Factors::round_once`] of magnitudes,
    /// which are unsigned because 2^31 is one of them.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn round_away(&self, acc: __m256i) -> __m256i {
        let magnitude = _mm256_abs_epi32(acc);
        let even = _mm256_mul_epu32(magnitude, self.multiplier);
        let odd = _mm256_mul_epu32(_mm256_srli_epi64::<32>(magnitude), self.multiplier_odd);
        let rounded = _mm256_srlv_epi32(_mm256_add_epi32(high_halves(even, odd), self.round), self.right);
        _mm256_sign_epi32(rounded, in_order(acc))
    }

    /// `h = floor((acc*m + 2^30) / 2^31)`, then `h / 2^(s-31)` to nearest with ties away from zero, of scaled-up
    /// accumulators.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn round_twice(&self, acc: __m256i) -> __m256i {
        let half = _mm256_set1_epi64x(1 << 30);
        let even = _mm256_mul_epi32(acc, self.multiplier);
        let odd = _mm256_mul_epi32(_mm256_srli_epi64::<32>(acc), self.multiplier_odd);
        let [even, odd] = [even, odd].map(|product| _mm256_slli_epi64::<1>(_mm256_add_epi64(product, half)));
        let h = high_halves(even, odd);
        // Up when the remainder exceeds one half, a negative value only when it exceeds it by one more.
        let negative = _mm256_srai_epi32::<31>(h);
        let threshold = _mm256_sub_epi32(_mm256_srli_epi32::<1>(self.round), negative);
        let up = _mm256_cmpgt_epi32(_mm256_and_si256(h, self.round), threshold);
        _mm256_sub_epi32(_mm256_srav_epi32(h, self.right), up)
    }
}

/// The end of an operation with an 8-bit output: zero point, clamp, narrowing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Narrow {
    /// In 16-bit lanes; for u8 less 128, like the limits, so that one signed form serves both types.
    zero_point: __m256i,
    lo: __m256i,
    hi: __m256i,
    /// 0x80 for u8: back from the signed form.
    flip: __m256i,
}

impl Narrow {
    /// `output` is u8 or s8.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn new(output: &Output) -> Narrow {
        let offset = if output.elem == ElemType::U8 { 128 } else { 0 };
        Narrow {
            zero_point: _mm256_set1_epi16((output.zero_point - offset) as i16),
            lo: _mm256_set1_epi8((output.lo - offset) as i8),
            hi: _mm256_set1_epi8((output.hi - offset) as i8),
            flip: _mm256_set1_epi8(offset as i8),
        }
    }

    /// `clamp(zero_point + value, lo, hi)` of 32 values, `values[0]` holding values 0 to 7 in rounded order. The saturating
    /// steps change only values that the clamp moves to the same limit.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn narrow(&self, values: [__m256i; 4]) -> __m256i {
        let words = [self.words(values[0], values[1]), self.words(values[2], values[3])];
        // 0-3, 8-11, 16-19, 24-27 | 4-7, 12-15, 20-23, 28-31, every four in rounded order
        let bytes = _mm256_packs_epi16(words[0], words[1]);
        let fours = _mm_setr_epi8(0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15);
        let bytes = _mm256_shuffle_epi8(bytes, _mm256_broadcastsi128_si256(fours));
        let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
        let bytes = _mm256_permutevar8x32_epi32(bytes, order);
        _mm256_xor_si256(_mm256_min_epi8(_mm256_max_epi8(bytes, self.lo), self.hi), self.flip)
    }

    /// Zero point added, in 16 bits: values 0-3, 8-11 | 4-7, 12-15.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn words(&self, first: __m256i, second: __m256i) -> __m256i {
        _mm256_adds_epi16(_mm256_packs_epi32(first, second), self.zero_point)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::requant::{Dyadic, rescale};

    /// Accumulators round every power of two, and their negatives.
    fn accumulators() -> impl Iterator<Item = i32> {
        let near = |bit: u32| (-3..=3).map(move |d| (1i64 << bit) + d);
        (0..=31)
            .flat_map(near)
            .flat_map(|v| [v, -v])
            .map(|v| v.clamp(i32::MIN.into(), i32::MAX.into()) as i32)
    }

    #[target_feature(enable = "avx2")]
    fn check(d: Dyadic, rounding: Rounding, output: &Output) {
        let factors = Factors::new(&[d.multiplier; 8], &[d.shift; 8], rounding);
        let narrow = Narrow::new(output);
        let accumulators: std::vec::Vec<i32> = accumulators().collect();
        for chunk in accumulators.chunks(8) {
            let scaled = factors.scale_up(load_8x32(chunk, 0));
            let values = match rounding {
                Rounding::Once => factors.round::<ONCE>(scaled),
                Rounding::Twice => factors.round::<TWICE>(scaled),
                Rounding::OnceAway => factors.round::<ONCE_AWAY>(scaled),
            };
            let mut bytes = [0u8; 32];
            // SAFETY: `bytes` is 32 writable bytes.
            unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), narrow.narrow([values; 4])) };
            for (i, &acc) in chunk.iter().enumerate() {
                let expected = output.saturate(rescale(acc, d, rounding)) as u8;
                for lane in [i, 8 + i, 16 + i, 24 + i] {
                    assert_eq!(bytes[lane], expected, "{acc} {d:?} {rounding:?} {output:?}");
                }
            }
        }
    }

    #[test]
    fn rescaling_equals_the_definition() {
        if !std::is_x86_feature_detected!("avx2") {
            return;
        }
        for shift in 16..=62 {
            for multiplier in [0, 1 << 30, (1 << 30) + 1, 0x5555_5555, i32::MAX] {
                for rounding in [Rounding::Once, Rounding::Twice, Rounding::OnceAway] {
                    for (elem, zero_point) in
                        [(ElemType::S8, -128), (ElemType::S8, 127), (ElemType::U8, 0), (ElemType::U8, 255)]
                    {
                        let output = Output { elem, zero_point, lo: elem.min(), hi: elem.max() };
                        // SAFETY: AVX2 was detected above.
                        unsafe { check(Dyadic { multiplier, shift }, rounding, &output) };
                    }
                }
            }
        }
    }
}
