//! Addition and subtraction, 32 values at a time.

use core::arch::x86_64::*;

use super::bytes::{Finish, Quads, centred_high, load, offset, pairs, products, store};
use crate::ops::add::HALF;
use crate::params::{Add, AddRule};
use crate::requant::Dyadic;

/// See [`crate::registry::AddFn`].
#[target_feature(enable = "avx2")]
pub(crate) fn add(p: &Add, first: Option<&[u8]>, second: &[u8], output: &mut [u8]) {
    let sum = Sum::new(p);
    let count = output.len();
    let (second, second_rest) = second[..count].as_chunks::<32>();
    let (first, first_rest) = match first {
        Some(first) => first[..count].as_chunks::<32>(),
        None => (&[][..], &[][..]),
    };
    let in_place = first.is_empty() && first_rest.is_empty();
    let (output, output_rest) = output.as_chunks_mut::<32>();
    let mut tail = ([0; 32], [0; 32]);
    tail.0[..output_rest.len()].copy_from_slice(if in_place { output_rest } else { first_rest });
    tail.1[..output_rest.len()].copy_from_slice(second_rest);
    // The tail is the last turn of the same loop: with one call the sum is inlined.
    for i in 0..=output.len() {
        let b = load(second.get(i).unwrap_or(&tail.1));
        let a = if in_place { output.get(i) } else { first.get(i) };
        let bytes = sum.of(load(a.unwrap_or(&tail.0)), b);
        match output.get_mut(i) {
            Some(out) => store(out, bytes),
            None => store(&mut tail.0, bytes),
        }
    }
    output_rest.copy_from_slice(&tail.0[..output_rest.len()]);
}

/// An addition, prepared.
struct Sum {
    /// To u8.
    flips: [__m256i; 2],
    rule: Rule,
    finish: Finish,
}

enum Rule {
    Joint(Joint),
    /// Zero points in words; `negate` is all ones to subtract.
    Separate {
        zero_points: [__m256i; 2],
        factors: [Once; 2],
        negate: __m256i,
    },
    Tflite(Tflite),
}

impl Sum {
    #[target_feature(enable = "avx2")]
    fn new(p: &Add) -> Sum {
        let offsets = [offset(p.first.elem), offset(p.second.elem)];
        let zero_points = [p.first.zero_point + offsets[0], p.second.zero_point + offsets[1]];
        let words = [_mm256_set1_epi16(zero_points[0] as i16), _mm256_set1_epi16(zero_points[1] as i16)];
        let negate = _mm256_set1_epi32(if p.subtract { -1 } else { 0 });
        let rule = match p.rule {
            AddRule::Joint { m1, m2, shift } => {
                let m2 = if p.subtract { -m2 } else { m2 };
                Rule::Joint(Joint::new([m1, m2], zero_points, shift))
            }
            AddRule::Separate { first, second } => {
                Rule::Separate { zero_points: words, factors: [Once::new(first), Once::new(second)], negate }
            }
            AddRule::Tflite { first, second, sum } => Rule::Tflite(Tflite {
                zero_points: words,
                factors: [Twice::new(first), Twice::new(second)],
                sum: Twice::new(sum),
                negate,
                halves: [first == HALF, second == HALF],
            }),
        };
        let flips = [_mm256_set1_epi8(offsets[0] as i8), _mm256_set1_epi8(offsets[1] as i8)];
        Sum { flips, rule, finish: Finish::new(&p.output) }
    }

    /// 32 sums.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn of(&self, a: __m256i, b: __m256i) -> __m256i {
        let (a, b) = (_mm256_xor_si256(a, self.flips[0]), _mm256_xor_si256(b, self.flips[1]));
        let values = match &self.rule {
            Rule::Joint(joint) => joint.of(pairs(a, b)),
            Rule::Separate { zero_points, factors, negate } => {
                let mut values = centred_high(a, zero_points[0]);
                for (a, b) in values.iter_mut().zip(centred_high(b, zero_points[1])) {
                    *a = _mm256_add_epi32(factors[0].of(*a), signed(factors[1].of(b), *negate));
                }
                values
            }
            Rule::Tflite(tflite) => match tflite.halves {
                [true, false] => tflite.of::<true, false>(a, b),
                [false, true] => tflite.of::<false, true>(a, b),
                [true, true] => tflite.of::<true, true>(a, b),
                [false, false] => tflite.of::<false, false>(a, b),
            },
        };
        self.finish.narrow(values)
    }
}

/// One rounding of values of 9 bits that come times 2^16: `floor((x*m + 2^(s-1)) / 2^s)`.
struct Once {
    multiplier: __m256i,
    round: __m256i,
    right: __m128i,
}

impl Once {
    /// `factor.shift` is at least 17. From 41 on the result is 0, so 47 does for all that are larger.
    #[target_feature(enable = "avx2")]
    fn new(factor: Dyadic) -> Once {
        let right = factor.shift.min(47) - 16;
        Once {
            multiplier: _mm256_set1_epi32(factor.multiplier),
            round: _mm256_set1_epi32(1 << (right - 1)),
            right: _mm_cvtsi32_si128(right),
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn of(&self, x: __m256i) -> __m256i {
        let (even, odd) = products(x, self.multiplier, self.multiplier);
        let high = _mm256_blend_epi32::<0b1010_1010>(_mm256_srli_epi64::<32>(even), odd);
        _mm256_sra_epi32(_mm256_add_epi32(high, self.round), self.right)
    }
}

/// TFLite's rule.
struct Tflite {
    /// In words.
    zero_points: [__m256i; 2],
    factors: [Twice; 2],
    sum: Twice,
    /// All ones to subtract.
    negate: __m256i,
    /// Whether a factor is [`HALF`].
    halves: [bool; 2],
}

impl Tflite {
    /// Values before the output's zero point; `FIRST` and `SECOND` are `halves`.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn of<const FIRST: bool, const SECOND: bool>(&self, a: __m256i, b: __m256i) -> Quads {
        let a = centred_high(a, self.zero_points[0]);
        let b = centred_high(b, self.zero_points[1]);
        [
            self.quad::<FIRST, SECOND>(a[0], b[0]),
            self.quad::<FIRST, SECOND>(a[1], b[1]),
            self.quad::<FIRST, SECOND>(a[2], b[2]),
            self.quad::<FIRST, SECOND>(a[3], b[3]),
        ]
    }

    /// Of inputs times 2^16.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn quad<const FIRST: bool, const SECOND: bool>(&self, a: __m256i, b: __m256i) -> __m256i {
        let a = term::<FIRST>(a, &self.factors[0]);
        let b = term::<SECOND>(b, &self.factors[1]);
        self.sum.of(_mm256_add_epi32(a, signed(b, self.negate)))
    }
}

/// An input, given times 2^16, times 2^20 and rescaled. Half of it is exact.
#[inline]
#[target_feature(enable = "avx2")]
fn term<const IS_HALF: bool>(x: __m256i, factor: &Twice) -> __m256i {
    if IS_HALF { _mm256_slli_epi32::<3>(x) } else { factor.of(_mm256_slli_epi32::<4>(x)) }
}

/// Two roundings of a factor below 1/2.
struct Twice {
    multiplier: __m256i,
    round: __m256i,
    right: __m128i,
}

impl Twice {
    /// `factor.shift` is at least 32; of [`HALF`], which [`term`] takes, something unused.
    #[target_feature(enable = "avx2")]
    fn new(factor: Dyadic) -> Twice {
        let right = (factor.shift - 31).max(1);
        Twice {
            multiplier: _mm256_set1_epi32(factor.multiplier),
            round: _mm256_set1_epi32(1 << (right - 1)),
            right: _mm_cvtsi32_si128(right),
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn of(&self, x: __m256i) -> __m256i {
        let (even, odd) = products(x, self.multiplier, self.multiplier);
        let half = _mm256_set1_epi64x(1 << 30);
        let even = _mm256_srli_epi64::<31>(_mm256_add_epi64(even, half));
        let odd = _mm256_slli_epi64::<1>(_mm256_add_epi64(odd, half));
        let high = _mm256_blend_epi32::<0b1010_1010>(even, odd);
        // Ties away from zero: a negative value rounds up only from beyond the tie.
        let negative = _mm256_srai_epi32::<31>(high);
        let rounded = _mm256_add_epi32(_mm256_add_epi32(high, self.round), negative);
        _mm256_sra_epi32(rounded, self.right)
    }
}

/// `-values` where `negate` is all ones.
#[inline]
#[target_feature(enable = "avx2")]
fn signed(values: __m256i, negate: __m256i) -> __m256i {
    _mm256_sub_epi32(_mm256_xor_si256(values, negate), negate)
}

/// The joint rule in 32 bits: with `m = 4096 * h + l`, `H = a*h1 + b*h2` and `L = a*l1 + b*l2` the sum is
/// `floor((H + floor(L / 2^12) + 2^(s-13)) / 2^(s-12))`. The zero points make a constant, split the same way.
struct Joint {
    high: __m256i,
    low: __m256i,
    high_constant: __m256i,
    low_constant: __m256i,
    shift: __m128i,
}

impl Joint {
    #[target_feature(enable = "avx2")]
    fn new(m: [i32; 2], zero_points: [i32; 2], shift: i32) -> Joint {
        let words = |first: i32, second: i32| first & 0xffff | second << 16;
        let constant =
            -(i64::from(zero_points[0]) * i64::from(m[0]) + i64::from(zero_points[1]) * i64::from(m[1]));
        Joint {
            high: _mm256_set1_epi32(words(m[0] >> 12, m[1] >> 12)),
            low: _mm256_set1_epi32(words(m[0] & 4095, m[1] & 4095)),
            high_constant: _mm256_set1_epi32((constant >> 12) as i32 + (1 << (shift - 13))),
            low_constant: _mm256_set1_epi32((constant & 4095) as i32),
            shift: _mm_cvtsi32_si128(shift - 12),
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn of(&self, mut pairs: Quads) -> Quads {
        for pair in &mut pairs {
            let low = _mm256_add_epi32(_mm256_madd_epi16(*pair, self.low), self.low_constant);
            let high = _mm256_add_epi32(_mm256_madd_epi16(*pair, self.high), self.high_constant);
            *pair = _mm256_sra_epi32(_mm256_add_epi32(high, _mm256_srai_epi32::<12>(low)), self.shift);
        }
        pairs
    }
}
