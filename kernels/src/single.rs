//! Float32 steps in integers: what IEEE 754 single precision computes, for rules that are defined by it.
//!
//! Some of TFLite's reference kernels find coordinates and weights in float32. Their values are dyadic numbers, so
//! every step has an exact integer result, rounded to 24 bits, ties to even. Exponents are unbounded here: the
//! coordinates and weights of a resize come nowhere near the ends of float32's.

/// Significant bits of a float32.
const PRECISION: u32 = 24;

/// A float32 value `mantissa * 2^exponent`. Zero is `0 * 2^0`; every other mantissa has exactly 24 bits, so equal
/// values have equal fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Single {
    mantissa: i32,
    exponent: i32,
}

impl Single {
    /// 0.
    pub const ZERO: Single = Single { mantissa: 0, exponent: 0 };
    /// 1/2.
    pub const HALF: Single = Single { mantissa: 1 << 23, exponent: -24 };
    /// 1.
    pub const ONE: Single = Single { mantissa: 1 << 23, exponent: -23 };

    /// The float32 nearest to a whole number.
    pub const fn from_integer(value: i32) -> Single {
        nearest(value < 0, value.unsigned_abs() as u64, 0)
    }

    /// `self + other`, rounded.
    pub const fn plus(self, other: Single) -> Single {
        if self.mantissa == 0 {
            return other;
        }
        if other.mantissa == 0 {
            return self;
        }
        let (large, small) = if self.exponent >= other.exponent { (self, other) } else { (other, self) };
        let apart = large.exponent - small.exponent;
        // Far apart only the sign of the smaller one matters: any value below a quarter of the last place rounds
        // alike.
        let (bits, rest) =
            if apart <= 38 { (apart, small.mantissa as i64) } else { (38, small.mantissa.signum() as i64) };
        let sum = ((large.mantissa as i64) << bits) + rest;
        nearest(sum < 0, sum.unsigned_abs(), large.exponent - bits)
    }

    /// `self - other`, rounded.
    pub const fn minus(self, other: Single) -> Single {
        self.plus(Single { mantissa: -other.mantissa, exponent: other.exponent })
    }

    /// `self * other`, rounded.
    pub const fn times(self, other: Single) -> Single {
        let product = self.mantissa as i64 * other.mantissa as i64;
        nearest(product < 0, product.unsigned_abs(), self.exponent + other.exponent)
    }

    /// `self / other`, rounded; 0 for a divisor of 0.
    pub const fn over(self, other: Single) -> Single {
        if other.mantissa == 0 {
            return Single::ZERO;
        }
        // 38 bits more than the divisor has: a quotient of at least 38 bits, whose last one also stands for every
        // remainder.
        let dividend = (self.mantissa.unsigned_abs() as u64) << 38;
        let divisor = other.mantissa.unsigned_abs() as u64;
        let quotient = (dividend / divisor) | !dividend.is_multiple_of(divisor) as u64;
        nearest((self.mantissa < 0) != (other.mantissa < 0), quotient, self.exponent - other.exponent - 38)
    }

    /// The largest whole number that is not above; values beyond 63 bits saturate.
    pub const fn floor(self) -> i64 {
        let mantissa = self.mantissa as i64;
        if self.exponent < 0 {
            // A shift by 63 leaves the sign, as every longer one would.
            let bits = if self.exponent < -63 { 63 } else { -self.exponent };
            mantissa >> bits
        } else if self.exponent < 39 {
            mantissa << self.exponent
        } else if mantissa < 0 {
            i64::MIN
        } else {
            i64::MAX
        }
    }

    /// The smallest whole number that is not below.
    pub const fn ceil(self) -> i64 {
        Single { mantissa: -self.mantissa, exponent: self.exponent }.floor().saturating_neg()
    }

    /// The whole number between this one and zero, the nearest to it.
    pub const fn truncated(self) -> i64 {
        if self.mantissa < 0 { self.ceil() } else { self.floor() }
    }

    /// The nearest whole number, ties away from zero.
    pub const fn rounded(self) -> i64 {
        // Exact: one bit more, then half of it.
        let twice = Single { exponent: self.exponent.saturating_add(1), ..self };
        if self.mantissa < 0 { (twice.ceil() - 1) / 2 } else { (twice.floor() + 1) / 2 }
    }

    /// The nearest multiple of `2^-bits`, in that unit, ties toward +infinity.
    pub const fn fixed_point(self, bits: i32) -> i64 {
        Single { exponent: self.exponent + bits, ..self }.plus_half_floor()
    }

    const fn plus_half_floor(self) -> i64 {
        let twice = Single { exponent: self.exponent + 1, ..self };
        (twice.floor() + 1) >> 1
    }
}

/// `magnitude * 2^exponent` with 24 significant bits, ties to even.
const fn nearest(negative: bool, magnitude: u64, exponent: i32) -> Single {
    if magnitude == 0 {
        return Single::ZERO;
    }
    let bits = u64::BITS - magnitude.leading_zeros();
    let (mut kept, mut exponent) = if bits <= PRECISION {
        (magnitude << (PRECISION - bits), exponent - (PRECISION - bits) as i32)
    } else {
        let drop = bits - PRECISION;
        let (floor, rest, half) = (magnitude >> drop, magnitude & ((1 << drop) - 1), 1 << (drop - 1));
        let up = rest > half || rest == half && floor & 1 == 1;
        (floor + up as u64, exponent + drop as i32)
    };
    if kept == 1 << PRECISION {
        kept >>= 1;
        exponent += 1;
    }
    let mantissa = kept as i32;
    Single { mantissa: if negative { -mantissa } else { mantissa }, exponent }
}
