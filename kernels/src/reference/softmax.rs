//! Softmax over the last axis in fixed point: rule 12. The exponential and the reciprocal are those of gemmlowp's
//! `fixedpoint.h`; `Qi.f` is a signed number with `i` integer and `f` fraction bits.

use crate::params::Softmax;
use crate::requant::{divide_by_power_of_two, doubling_high_mul};

/// Integer bits of the scaled differences: Q5.26.
const DIFF_INTEGER_BITS: i32 = 5;
/// Integer bits of the sum of exponentials: Q12.19.
pub(crate) const SUM_INTEGER_BITS: i32 = 12;

/// Rows of `depth` values; the output has scale 1/256 and its zero point at the minimum of its type.
pub fn softmax(p: &Softmax, input: &[u8], output: &mut [u8]) {
    let rows = input.len() / p.depth.max(1);
    for row in 0..rows {
        let first = row * p.depth;
        let value = |i: usize| p.elem.load(input, first + i);
        let largest = (0..p.depth).map(value).max().unwrap_or(0);
        let exponential = |i: usize| {
            let diff = value(i) - largest;
            (diff >= p.diff_min).then(|| exp_on_negative(scaled_difference(p, diff)))
        };
        // In 64 bits: 2^12 equal values already leave Q12.19.
        let terms = (0..p.depth).filter_map(exponential).map(|e| rounding_shift(e, SUM_INTEGER_BITS));
        let sum: i64 = terms.map(i64::from).sum();
        let (reciprocal, bits_over_unit) = reciprocal(sum);
        for i in 0..p.depth {
            let probability = exponential(i)
                .map_or(0, |e| rounding_shift(high_mul(reciprocal, e), bits_over_unit + 31 - 8));
            let v = (i64::from(probability) + i64::from(p.output.min())).min(i64::from(p.output.max()));
            p.output.store(output, first + i, v as i32);
        }
    }
}

/// `diff * beta * s_in` as Q5.26.
pub(crate) fn scaled_difference(p: &Softmax, diff: i32) -> i32 {
    doubling_high_mul(i64::from(diff) << p.left_shift, p.multiplier) as i32
}

/// Saturating rounding doubling high product of two Q0.31 numbers.
pub(crate) fn high_mul(a: i32, b: i32) -> i32 {
    if a == i32::MIN && b == i32::MIN {
        return i32::MAX;
    }
    doubling_high_mul(i64::from(a), b) as i32
}

/// Division by `2^exponent`, ties away from zero; 0 from an exponent of 33 on, as it is for every 32-bit number.
pub(crate) fn rounding_shift(x: i32, exponent: i32) -> i32 {
    divide_by_power_of_two(i64::from(x), exponent.min(33)) as i32
}

/// `exp(x)` of a Q5.26 number `x <= 0`, as Q0.31.
pub(crate) fn exp_on_negative(x: i32) -> i32 {
    const FRACTION_BITS: i32 = 31 - DIFF_INTEGER_BITS;
    const QUARTER: i32 = 1 << (FRACTION_BITS - 2);
    if x == 0 {
        return i32::MAX;
    }
    // x = fine, in [-1/4, 0), minus coarse, a multiple of 1/4.
    let fine = (x & (QUARTER - 1)) - QUARTER;
    let mut result = exp_on_quarter(fine << DIFF_INTEGER_BITS);
    let coarse = fine.wrapping_sub(x);
    // exp(-2^k) as Q0.31 for k = -2 ..= 4.
    const FACTORS: [i32; 7] = [1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242];
    for (k, &factor) in FACTORS.iter().enumerate() {
        if coarse & (QUARTER << k) != 0 {
            result = high_mul(result, factor);
        }
    }
    result
}

/// `exp(a)` for a Q0.31 number in [-1/4, 0): the Taylor series round -1/8 to the fourth power.
fn exp_on_quarter(a: i32) -> i32 {
    const EXP_MINUS_EIGHTH: i32 = 1895147668;
    const THIRD: i32 = 715827883;
    let x = a + (1 << 28);
    let x2 = high_mul(x, x);
    let x3 = high_mul(x2, x);
    let x4 = high_mul(x2, x2);
    let x4_over_4 = rounding_shift(x4, 2);
    let tail = rounding_shift(high_mul(x4_over_4 + x3, THIRD) + x2, 1);
    EXP_MINUS_EIGHTH.saturating_add(high_mul(EXP_MINUS_EIGHTH, x + tail))
}

/// The reciprocal of a sum with 19 fraction bits, at least 1, as a Q0.31 number `r` and the count `n` of integer bits:
/// `1 / sum = r * 2^-n`. Three Newton steps on `1 / (1 + y)`, `0 <= y < 1`; what a sum has beyond 32 bits is cut off.
pub(crate) fn reciprocal(sum: i64) -> (i32, i32) {
    let sum = sum.max(1);
    let headroom = sum.leading_zeros() as i32 - 32;
    let normal = if headroom >= 0 { sum << headroom } else { sum >> -headroom };
    (one_over_one_plus((normal - (1 << 31)) as i32), SUM_INTEGER_BITS - headroom)
}

/// `1 / (1 + y)` for a Q0.31 number `0 <= y < 1`, as Q0.31.
fn one_over_one_plus(y: i32) -> i32 {
    // Half of the denominator, Q0.31, rounded half up.
    let half = ((i64::from(y) + i64::from(i32::MAX) + 1) >> 1) as i32;
    // Start of the iteration in Q2.29: 48/17 - 32/17 * half.
    const C48_17: i32 = 1515870810;
    const MINUS_C32_17: i32 = -1010580540;
    let mut x = C48_17.wrapping_add(high_mul(half, MINUS_C32_17));
    for _ in 0..3 {
        let error = (1i32 << 29).wrapping_sub(high_mul(half, x));
        // Product of two Q2.29 numbers is Q4.27: back to Q2.29, saturating.
        x = x.wrapping_add(saturating_shift_left(high_mul(x, error), 2));
    }
    saturating_shift_left(x, 1)
}

/// `x * 2^n` clamped to 32 bits.
fn saturating_shift_left(x: i32, n: i32) -> i32 {
    (i64::from(x) << n).clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}
