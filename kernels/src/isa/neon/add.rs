//! Addition and subtraction, 16 values at a time.

use core::arch::aarch64::*;

use super::{Narrow, Neon};
use crate::ops::add::HALF;
use crate::params::{Add, AddRule, Quant};
use crate::requant::Dyadic;
use crate::types::ElemType;

/// Values of a vector, widened: [`Centre::words`].
type Words = [int16x8_t; 2];
/// The same in 32 bits.
type Lanes = [int32x4_t; 4];

/// See [`crate::registry::AddFn`].
#[target_feature(enable = "neon")]
pub(crate) fn add(p: &Add, first: Option<&[u8]>, second: &[u8], output: &mut [u8]) {
    // SAFETY: the target feature of this function.
    let isa = unsafe { Neon::new() };
    match p.rule {
        AddRule::Joint { m1, m2, shift } => {
            let m2 = if p.subtract { -m2 } else { m2 };
            each(p, first, second, output, &Joint::new(isa, [m1, m2], shift));
        }
        AddRule::Separate { first: a, second: b } => {
            let rule = Separate { factors: [Once::new(isa, a), Once::new(isa, b)], subtract: p.subtract };
            each(p, first, second, output, &rule);
        }
        AddRule::Tflite { first: a, second: b, sum } => {
            let factors = [Twice::new(isa, a), Twice::new(isa, b)];
            each(
                p,
                first,
                second,
                output,
                &Tflite { factors, sum: Twice::new(isa, sum), subtract: p.subtract },
            );
        }
    }
}

/// Adds with `rule`.
#[inline]
#[target_feature(enable = "neon")]
fn each(p: &Add, first: Option<&[u8]>, second: &[u8], output: &mut [u8], rule: &impl Rule) {
    let centres = [Centre::new(p.first), Centre::new(p.second)];
    let narrow = Narrow::new(&p.output);
    let count = output.len();
    let (second, second_rest) = second[..count].as_chunks::<16>();
    let (first, first_rest) = match first {
        Some(first) => first[..count].as_chunks::<16>(),
        None => (&[][..], &[][..]),
    };
    let in_place = first.is_empty() && first_rest.is_empty();
    let (output, output_rest) = output.as_chunks_mut::<16>();
    let mut tail = ([0; 16], [0; 16]);
    tail.0[..output_rest.len()].copy_from_slice(if in_place { output_rest } else { first_rest });
    tail.1[..output_rest.len()].copy_from_slice(second_rest);
    // The tail is the last turn of the same loop: with one call the sum is inlined.
    for i in 0..=output.len() {
        let b = second.get(i).unwrap_or(&tail.1);
        let a = if in_place { output.get(i) } else { first.get(i) };
        let a = centres[0].words(a.unwrap_or(&tail.0));
        let bytes = narrow.narrow(rule.sums(a, centres[1].words(b)));
        // SAFETY: 16 writable bytes.
        unsafe { vst1q_u8(output.get_mut(i).unwrap_or(&mut tail.0).as_mut_ptr(), bytes) };
    }
    output_rest.copy_from_slice(&tail.0[..output_rest.len()]);
}

/// How bytes become values less their zero point.
struct Centre {
    /// To u8.
    flip: uint8x16_t,
    zero_point: uint8x8_t,
}

impl Centre {
    #[inline]
    #[target_feature(enable = "neon")]
    fn new(quant: Quant) -> Centre {
        let offset = if quant.elem == ElemType::S8 { 128 } else { 0 };
        Centre { flip: vdupq_n_u8(offset as u8), zero_point: vdup_n_u8((quant.zero_point + offset) as u8) }
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn words(&self, bytes: &[u8; 16]) -> Words {
        // SAFETY: 16 readable bytes.
        let bytes = veorq_u8(unsafe { vld1q_u8(bytes.as_ptr()) }, self.flip);
        let low = vsubl_u8(vget_low_u8(bytes), self.zero_point);
        let high = vsubl_u8(vget_high_u8(bytes), self.zero_point);
        [vreinterpretq_s16_u16(low), vreinterpretq_s16_u16(high)]
    }
}

/// An addition, prepared. Whoever owns one knows that the CPU has Advanced SIMD.
trait Rule {
    /// Values before the output's zero point.
    fn sums(&self, a: Words, b: Words) -> Lanes;
}

/// The joint rule in 32 bits: with `m = 4096 * h + l`, `H = a*h1 + b*h2` and `L = a*l1 + b*l2` the sum is
/// `floor((H + floor(L / 2^12) + 2^(s-13)) / 2^(s-12))`.
struct Joint {
    high: [i16; 2],
    low: [i16; 2],
    /// `12 - s`.
    right: int32x4_t,
}

impl Joint {
    fn new(_: Neon, m: [i32; 2], shift: i32) -> Joint {
        Joint {
            high: m.map(|m| (m >> 12) as i16),
            low: m.map(|m| (m & 4095) as i16),
            // SAFETY: the token proves Advanced SIMD.
            right: unsafe { vdupq_n_s32(12 - shift) },
        }
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn four(&self, a: int16x4_t, b: int16x4_t) -> int32x4_t {
        let high = vmlal_n_s16(vmull_n_s16(a, self.high[0]), b, self.high[1]);
        let low = vmlal_n_s16(vmull_n_s16(a, self.low[0]), b, self.low[1]);
        vrshlq_s32(vsraq_n_s32::<12>(high, low), self.right)
    }
}

impl Rule for Joint {
    #[inline(always)]
    fn sums(&self, a: Words, b: Words) -> Lanes {
        // SAFETY: the token that made this proves Advanced SIMD.
        unsafe {
            let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (fours(a), fours(b));
            [self.four(a0, b0), self.four(a1, b1), self.four(a2, b2), self.four(a3, b3)]
        }
    }
}

/// A rounding of each input.
struct Separate {
    factors: [Once; 2],
    subtract: bool,
}

impl Rule for Separate {
    #[inline(always)]
    fn sums(&self, a: Words, b: Words) -> Lanes {
        // SAFETY: the token that made the factors proves Advanced SIMD.
        unsafe {
            let (mut sums, b) = (high_halves(a), high_halves(b));
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum = plus(self.factors[0].of(*sum), self.factors[1].of(b), self.subtract);
            }
            sums
        }
    }
}

/// TFLite's rule.
struct Tflite {
    factors: [Twice; 2],
    sum: Twice,
    subtract: bool,
}

impl Rule for Tflite {
    #[inline(always)]
    fn sums(&self, a: Words, b: Words) -> Lanes {
        // SAFETY: the token that made the factors proves Advanced SIMD.
        unsafe {
            let (mut sums, b) = (high_halves(a), high_halves(b));
            for (sum, b) in sums.iter_mut().zip(b) {
                let a = self.factors[0].of(vshlq_n_s32::<4>(*sum));
                let b = self.factors[1].of(vshlq_n_s32::<4>(b));
                *sum = self.sum.of(plus(a, b, self.subtract));
            }
            sums
        }
    }
}

/// One rounding of values of 9 bits that come times 2^16, `floor((x*m + 2^(s-1)) / 2^s)`, as rounding of
/// `floor(x*m / 2^15)`.
struct Once {
    multiplier: int32x4_t,
    /// `15 - s`.
    right: int32x4_t,
}

impl Once {
    /// `factor.shift` is at least 17.
    fn new(_: Neon, factor: Dyadic) -> Once {
        // SAFETY: the token proves Advanced SIMD.
        unsafe { Once { multiplier: vdupq_n_s32(factor.multiplier), right: vdupq_n_s32(15 - factor.shift) } }
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn of(&self, x: int32x4_t) -> int32x4_t {
        vrshlq_s32(vqdmulhq_s32(x, self.multiplier), self.right)
    }
}

/// Two roundings of a factor below 1/2, or of [`HALF`] of an even value, which is exact.
struct Twice {
    multiplier: int32x4_t,
    /// `31 - s`.
    right: int32x4_t,
    /// All ones where there is a second rounding.
    second: int32x4_t,
}

impl Twice {
    /// `factor.shift` is at least 32, or the factor is [`HALF`].
    fn new(_: Neon, factor: Dyadic) -> Twice {
        let second = if factor == HALF { 0 } else { -1 };
        // SAFETY: the token proves Advanced SIMD.
        unsafe {
            Twice {
                multiplier: vdupq_n_s32(factor.multiplier),
                right: vdupq_n_s32(31 - factor.shift),
                second: vdupq_n_s32(second),
            }
        }
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn of(&self, x: int32x4_t) -> int32x4_t {
        let high = vqrdmulhq_s32(x, self.multiplier);
        // Ties away from zero: a negative value, less 1, rounds up only from beyond the tie.
        vrshlq_s32(vsraq_n_s32::<31>(high, vandq_s32(high, self.second)), self.right)
    }
}

/// `a + b` or `a - b`.
#[inline]
#[target_feature(enable = "neon")]
fn plus(a: int32x4_t, b: int32x4_t, subtract: bool) -> int32x4_t {
    if subtract { vsubq_s32(a, b) } else { vaddq_s32(a, b) }
}

/// Four values each.
#[inline]
#[target_feature(enable = "neon")]
fn fours([low, high]: Words) -> [int16x4_t; 4] {
    [vget_low_s16(low), vget_high_s16(low), vget_low_s16(high), vget_high_s16(high)]
}

/// Values times 2^16.
#[inline]
#[target_feature(enable = "neon")]
fn high_halves([low, high]: Words) -> Lanes {
    [
        vshll_n_s16::<16>(vget_low_s16(low)),
        vshll_high_n_s16::<16>(low),
        vshll_n_s16::<16>(vget_low_s16(high)),
        vshll_high_n_s16::<16>(high),
    ]
}
