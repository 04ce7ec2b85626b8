//! The rescaling rules: the only scalar definitions of every rounding in Dyadic.
//!
//! A real factor `M` is a *dyadic number* `m / 2^s` (HAWQ-V3, arXiv:2011.10680). Rules that take one accumulator
//! evaluate exact integers in 64 bits: `|acc * m| <= 2^62` and the rounder is at most `2^61`.

/// Smallest shift of a [`Dyadic`].
pub const MIN_SHIFT: i32 = 16;
/// Largest shift of a [`Dyadic`]; a smaller factor is stored as `m = 0`.
pub const MAX_SHIFT: i32 = 62;

/// A dyadic factor `multiplier / 2^shift`: `multiplier` is 0 or in `[2^30, 2^31)`, `shift` in `16..=62`. Only the mean
/// of TFLite (rule 11) has multipliers below `2^30`, because it divides one by a count without normalising it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dyadic {
    /// 0, or 2^30 to 2^31 - 1; from 0 on for rule 11.
    pub multiplier: i32,
    /// 16 to 62.
    pub shift: i32,
}

impl Dyadic {
    /// `None` when multiplier or shift is out of its range.
    pub const fn new(multiplier: i32, shift: i32) -> Option<Dyadic> {
        if multiplier == 0 || multiplier >= 1 << 30 { Dyadic::unnormalised(multiplier, shift) } else { None }
    }

    /// As [`Dyadic::new`] with any multiplier from 0 to 2^31 - 1, for rule 11. Every rescale here takes such a factor.
    pub const fn unnormalised(multiplier: i32, shift: i32) -> Option<Dyadic> {
        if multiplier >= 0 && MIN_SHIFT <= shift && shift <= MAX_SHIFT {
            Some(Dyadic { multiplier, shift })
        } else {
            None
        }
    }
}

/// How an accumulator becomes an output value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rounding {
    /// One rounding, ties toward +infinity: `floor((acc*m + 2^(s-1)) / 2^s)`. The `dyadic` contract.
    Once,
    /// Two roundings as TFLite's reference kernels: see [`rescale_twice`].
    Twice,
    /// One rounding, ties away from zero: TFLite's fully connected layers. The compiler asks for it only where a tie
    /// below zero can occur; everywhere else [`Rounding::Once`] gives the same values.
    OnceAway,
}

/// `floor((acc*m + 2^(s-1)) / 2^s)`: one rounding, ties toward +infinity.
#[inline]
pub const fn rescale_once(acc: i32, d: Dyadic) -> i64 {
    (acc as i64 * d.multiplier as i64 + (1i64 << (d.shift - 1))) >> d.shift
}

/// `sgn(acc) * floor((|acc|*m + 2^(s-1)) / 2^s)`: one rounding, ties away from zero.
#[inline]
pub const fn rescale_once_away(acc: i32, d: Dyadic) -> i64 {
    // Below zero the rounder is one less, which turns exactly the ties downward.
    (acc as i64 * d.multiplier as i64 + (1i64 << (d.shift - 1)) - (acc < 0) as i64) >> d.shift
}

/// The two roundings of gemmlowp and TFLite. For `s <= 31` the accumulator is first shifted left by `31 - s`;
/// then `h = floor((x*m + 2^30) / 2^31)` (the rounding doubling high product), then for `s > 31` a division by
/// `2^(s-31)` with ties away from zero.
///
/// The left shift is exact here; TFLite evaluates it in 32 bits, so the two agree whenever
/// `|acc| * 2^(31-s) < 2^31`, which the compiler proves.
#[inline]
pub const fn rescale_twice(acc: i32, d: Dyadic) -> i64 {
    let left = if d.shift < 31 { 31 - d.shift } else { 0 };
    let right = if d.shift > 31 { d.shift - 31 } else { 0 };
    divide_by_power_of_two(doubling_high_mul((acc as i64) << left, d.multiplier), right)
}

/// `floor((x*m + 2^30) / 2^31)`, evaluated in 128 bits because a left-shifted `x` may exceed 32.
#[inline]
pub const fn doubling_high_mul(x: i64, multiplier: i32) -> i64 {
    ((x as i128 * multiplier as i128 + (1 << 30)) >> 31) as i64
}

/// `x / 2^exponent` rounded to nearest, ties away from zero; `0 <= exponent <= 62`.
#[inline]
pub const fn divide_by_power_of_two(x: i64, exponent: i32) -> i64 {
    let mask = (1i64 << exponent) - 1;
    let threshold = (mask >> 1) + (x < 0) as i64;
    (x >> exponent) + ((x & mask) > threshold) as i64
}

/// The rescale of that rounding.
#[inline]
pub const fn rescale(acc: i32, d: Dyadic, rounding: Rounding) -> i64 {
    match rounding {
        Rounding::Once => rescale_once(acc, d),
        Rounding::Twice => rescale_twice(acc, d),
        Rounding::OnceAway => rescale_once_away(acc, d),
    }
}

/// `clamp(zero_point + value, lo, hi)`, the end of every rule. `lo..=hi` carries ReLU and ReLU6.
#[inline]
pub const fn saturate(value: i64, zero_point: i32, lo: i32, hi: i32) -> i32 {
    let v = value.saturating_add(zero_point as i64);
    if v < lo as i64 {
        lo
    } else if v > hi as i64 {
        hi
    } else {
        v as i32
    }
}

/// Joint addition: `floor((a*m1 + b*m2 + 2^(s-1)) / 2^s)` with `|m1|, |m2| < 2^24`, `1 <= s <= 62`, `a` and `b`
/// of 16 bits or fewer after the zero point is subtracted (17 bits in all).
#[inline]
pub const fn add_joint(a: i32, b: i32, m1: i32, m2: i32, shift: i32) -> i64 {
    (a as i64 * m1 as i64 + b as i64 * m2 as i64 + (1i64 << (shift - 1))) >> shift
}
