//! Armv8.0 Advanced SIMD: vectors of four 32-bit lanes.

use core::arch::aarch64::*;

use crate::params::Output;
use crate::requant::Rounding;
use crate::types::ElemType;

pub(crate) mod add;
pub(crate) mod columns;
pub(crate) mod depthwise;
pub(crate) mod gemm;
pub(crate) mod table;

/// Proof that the CPU has Advanced SIMD.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Neon(());

impl Neon {
    /// # Safety
    /// The CPU has Advanced SIMD.
    #[inline]
    pub(crate) unsafe fn new() -> Neon {
        Neon(())
    }
}

/// Dyadic factors of four lanes: [`Factors::rescale`] is [`crate::requant::rescale`], exact for every accumulator when the
/// output has 16 bits or fewer, for one rounding and for two. An accumulator is shifted left when the factor is so large
/// that the forms below need it, after being clamped to what the shift keeps. A clamped value is off the 16-bit range on
/// either side of the clamp: its product with a multiplier of 2^30 or more is 2^28 - 2^14 at the least.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Factors {
    multiplier: int32x4_t,
    /// Right shift after the product, negated.
    right: int32x4_t,
    /// Left shift before the product, and the largest accumulator it keeps.
    left: int32x4_t,
    limit: int32x4_t,
    /// All ones where a right shift takes place.
    shifted: int32x4_t,
}

impl Factors {
    /// From multipliers (0 or 2^30 to 2^31 - 1) and shifts (16 to 62).
    #[inline]
    #[target_feature(enable = "neon")]
    pub(crate) fn new(multipliers: &[i32; 4], shifts: &[i32; 4], rounding: Rounding) -> Factors {
        let shift = load_4x32(shifts);
        // The high half of the doubled product is that over 2^31; one rounding needs one bit more to be left.
        let least = match rounding {
            Rounding::Once | Rounding::OnceAway => vdupq_n_s32(32),
            Rounding::Twice => vdupq_n_s32(31),
        };
        let left = vmaxq_s32(vsubq_s32(least, shift), vdupq_n_s32(0));
        let right = vsubq_s32(vdupq_n_s32(31), vaddq_s32(shift, left));
        Factors {
            multiplier: load_4x32(multipliers),
            right,
            left,
            limit: vshlq_s32(vdupq_n_s32(i32::MAX), vnegq_s32(left)),
            shifted: vreinterpretq_s32_u32(vcltq_s32(right, vdupq_n_s32(0))),
        }
    }

    /// Whether any lane needs the general form of [`Factors::rescale`].
    #[inline]
    #[target_feature(enable = "neon")]
    pub(crate) fn is_mixed(&self) -> bool {
        vmaxvq_s32(self.left) != 0 || vmaxvq_s32(self.shifted) == 0
    }

    /// One rounding: with `P = acc*m` and `q = floor(P / 2^31)`, `floor((P + 2^(s-1)) / 2^s)` is
    /// `floor((q + 2^(s-32)) / 2^(s-31))`: adding an integer commutes with floor. Two: `h = floor((P + 2^30) / 2^31)`, then
    /// `h / 2^(s-31)` with ties away from zero, which a negative value less 1 turns into ties upward. No product saturates,
    /// because no multiplier is negative, and no shift loses a carry.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(crate) fn rescale<const TWICE: bool, const MIXED: bool>(&self, acc: int32x4_t) -> int32x4_t {
        let mut acc = acc;
        if MIXED {
            let kept = vmaxq_s32(vminq_s32(acc, self.limit), vmvnq_s32(self.limit));
            acc = vshlq_s32(kept, self.left);
        }
        if !TWICE {
            return vrshlq_s32(vqdmulhq_s32(acc, self.multiplier), self.right);
        }
        let h = vqrdmulhq_s32(acc, self.multiplier);
        let mut away = h;
        if MIXED {
            away = vandq_s32(away, self.shifted);
        }
        // The sign as -1.
        vrshlq_s32(vsraq_n_s32::<31>(h, away), self.right)
    }
}

impl Factors {
    /// As [`Factors::rescale`] for one rounding, ties away from zero. With `P` and `q` as there, a negative tie is a `P` that
    /// 2^31 divides; less 1, its `q` rounds down, and that of another such `P` rounds as before.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(crate) fn rescale_away(&self, acc: int32x4_t) -> int32x4_t {
        let kept = vmaxq_s32(vminq_s32(acc, self.limit), vmvnq_s32(self.limit));
        let acc = vshlq_s32(kept, self.left);
        // Bits 0 to 30 of the product, all of them 0.
        let whole = vceqzq_s32(vshlq_n_s32::<1>(vmulq_s32(acc, self.multiplier)));
        let down = vandq_s32(vreinterpretq_s32_u32(whole), vshrq_n_s32::<31>(acc));
        vrshlq_s32(vaddq_s32(vqdmulhq_s32(acc, self.multiplier), down), self.right)
    }
}

/// The end of an operation with an 8-bit output: zero point, clamp, narrowing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Narrow {
    /// In 16-bit lanes; for u8 less 128, like the limits, so that one signed form serves both types.
    zero_point: int16x8_t,
    lo: int8x16_t,
    hi: int8x16_t,
    /// 0x80 for u8: back from the signed form.
    flip: uint8x16_t,
}

impl Narrow {
    /// `output` is u8 or s8.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(crate) fn new(output: &Output) -> Narrow {
        let offset = if output.elem == ElemType::U8 { 128 } else { 0 };
        Narrow {
            zero_point: vdupq_n_s16((output.zero_point - offset) as i16),
            lo: vdupq_n_s8((output.lo - offset) as i8),
            hi: vdupq_n_s8((output.hi - offset) as i8),
            flip: vdupq_n_u8(offset as u8),
        }
    }

    /// `clamp(zero_point + value, lo, hi)` of 16 values. The saturating steps change only values that the clamp moves to
    /// the same limit.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(crate) fn narrow(&self, values: [int32x4_t; 4]) -> uint8x16_t {
        let low = vqmovn_high_s32(vqmovn_s32(values[0]), values[1]);
        let high = vqmovn_high_s32(vqmovn_s32(values[2]), values[3]);
        let low = vqaddq_s16(low, self.zero_point);
        let high = vqaddq_s16(high, self.zero_point);
        let bytes = vqmovn_high_s16(vqmovn_s16(low), high);
        let bytes = vminq_s8(vmaxq_s8(bytes, self.lo), self.hi);
        veorq_u8(vreinterpretq_u8_s8(bytes), self.flip)
    }
}

#[inline]
#[target_feature(enable = "neon")]
pub(crate) fn load_4x32(values: &[i32; 4]) -> int32x4_t {
    // SAFETY: 16 readable bytes.
    unsafe { vld1q_s32(values.as_ptr()) }
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

    /// Accumulators on both sides of every step of the output: where the real value is halfway between two integers.
    fn steps(d: Dyadic) -> impl Iterator<Item = i32> {
        let halfway =
            move |k: i64| (i128::from(2 * k + 1) << (d.shift - 1)) / i128::from(d.multiplier.max(1));
        let near = move |k| (-2..=2).map(move |by| halfway(k) + by);
        let kept = |acc| i32::try_from(acc).ok();
        (-260..=260).flat_map(near).filter_map(kept)
    }

    #[target_feature(enable = "neon")]
    fn check(d: Dyadic, rounding: Rounding, output: &Output) {
        let factors = Factors::new(&[d.multiplier; 4], &[d.shift; 4], rounding);
        let narrow = Narrow::new(output);
        for acc in accumulators().chain(steps(d)) {
            let value = vdupq_n_s32(acc);
            let mut all = std::vec![match rounding {
                Rounding::OnceAway => factors.rescale_away(value),
                Rounding::Twice => factors.rescale::<true, true>(value),
                Rounding::Once => factors.rescale::<false, true>(value),
            }];
            if !factors.is_mixed() {
                all.push(match rounding {
                    Rounding::OnceAway => factors.rescale_away(value),
                    Rounding::Twice => factors.rescale::<true, false>(value),
                    Rounding::Once => factors.rescale::<false, false>(value),
                });
            }
            let expected = output.saturate(rescale(acc, d, rounding)) as u8;
            for values in all {
                let mut bytes = [0u8; 16];
                // SAFETY: `bytes` is 16 writable bytes.
                unsafe { vst1q_u8(bytes.as_mut_ptr(), narrow.narrow([values; 4])) };
                assert_eq!(bytes, [expected; 16], "{acc} {d:?} {rounding:?} {output:?}");
            }
        }
    }

    #[test]
    fn rescaling_equals_the_definition() {
        for shift in 16..=62 {
            for multiplier in [0, 1 << 30, (1 << 30) + 1, 0x5555_5555, i32::MAX] {
                for rounding in [Rounding::Once, Rounding::Twice, Rounding::OnceAway] {
                    for (elem, zero_point) in
                        [(ElemType::S8, -128), (ElemType::S8, 127), (ElemType::U8, 0), (ElemType::U8, 255)]
                    {
                        let output = Output { elem, zero_point, lo: elem.min(), hi: elem.max() };
                        // SAFETY: the tests are built for a target that has Advanced SIMD.
                        unsafe { check(Dyadic { multiplier, shift }, rounding, &output) };
                    }
                }
            }
        }
    }
}
