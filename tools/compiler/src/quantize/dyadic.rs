//! Real factors to dyadic numbers.

use dyadic_kernels::requant::{Dyadic, MAX_SHIFT, MIN_SHIFT};

/// A factor that has no dyadic form: 2^15 or more, or not a finite number above 0.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("the scale ratio {0} has no dyadic form (expected a number in (0, 32768))")]
pub struct FactorError(pub f64);

/// `real = fraction * 2^exponent` with `fraction` in [1/2, 1).
pub fn frexp(real: f64) -> (f64, i32) {
    libm::frexp(real)
}

/// `multiplier / 2^shift` nearest to `real`: `m = floor(fraction * 2^31 + 1/2)`, `m = 2^31` renormalised, and a factor
/// below what a shift of 62 can carry becomes zero.
///
/// # Errors
/// When `real` is not in (0, 2^15).
pub fn from_real(real: f64) -> Result<Dyadic, FactorError> {
    if !(real.is_finite() && real > 0.0) {
        return Err(FactorError(real));
    }
    let (fraction, mut exponent) = frexp(real);
    // At most 2^31, exact: the product is a power-of-two scaling, and the sum needs 32 + 22 bits.
    let mut multiplier = libm::floor(fraction * 2_147_483_648.0 + 0.5) as i64;
    if multiplier == 1 << 31 {
        multiplier >>= 1;
        exponent += 1;
    }
    let shift = 31 - exponent;
    if shift > MAX_SHIFT {
        return Ok(Dyadic { multiplier: 0, shift: MAX_SHIFT });
    }
    if shift < MIN_SHIFT {
        return Err(FactorError(real));
    }
    Ok(Dyadic { multiplier: multiplier as i32, shift })
}

/// Two multipliers below 2^24 over one shift, the larger normalised to 24 bits as far as a shift of 62 allows:
/// `(m1, m2, shift)`.
///
/// # Errors
/// When the larger factor is not in (0, 2^23), or the smaller one not above 0.
pub fn joint(first: f64, second: f64) -> Result<(i32, i32, i32), FactorError> {
    let larger = if first > second { first } else { second };
    if !(larger.is_finite() && larger > 0.0 && first > 0.0 && second > 0.0) {
        return Err(FactorError(larger));
    }
    let (_, mut exponent) = frexp(larger);
    let scaled = |real: f64, shift: i32| libm::floor(libm::ldexp(real, shift) + 0.5) as i64;
    if scaled(larger, 24 - exponent) == 1 << 24 {
        exponent += 1;
    }
    let shift = (24 - exponent).min(MAX_SHIFT);
    if shift < 1 {
        return Err(FactorError(larger));
    }
    Ok((scaled(first, shift) as i32, scaled(second, shift) as i32, shift))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_are_normalised() {
        assert_eq!(from_real(1.0).unwrap(), Dyadic { multiplier: 1 << 30, shift: 30 });
        assert_eq!(from_real(0.5).unwrap(), Dyadic { multiplier: 1 << 30, shift: 31 });
        // The largest double below 1 rounds up to 2^31 and is renormalised.
        assert_eq!(from_real(1.0 - f64::EPSILON / 2.0).unwrap(), Dyadic { multiplier: 1 << 30, shift: 30 });
        assert_eq!(from_real(libm::ldexp(1.0, -32)).unwrap(), Dyadic { multiplier: 1 << 30, shift: 62 });
        assert_eq!(from_real(libm::ldexp(0.99, -32)).unwrap(), Dyadic { multiplier: 0, shift: 62 });
        assert!(from_real(32768.0).is_err());
        assert!(from_real(0.0).is_err());
        assert!(from_real(f64::NAN).is_err());
        assert!(from_real(f64::INFINITY).is_err());
    }

    #[test]
    fn joint_factors_share_a_shift() {
        assert_eq!(joint(0.5, 0.25).unwrap(), (1 << 23, 1 << 22, 24));
        assert_eq!(joint(0.25, 0.5).unwrap(), (1 << 22, 1 << 23, 24));
        let (m1, m2, shift) = joint(1.0 - f64::EPSILON / 2.0, 1e-3).unwrap();
        assert_eq!((m1, shift), (1 << 23, 23));
        assert_eq!(m2, 8389);
        assert!(joint(8_388_608.0, 1.0).is_err());
        // Too small for the largest shift: less precise, in the end zero.
        assert_eq!(joint(libm::ldexp(1.0, -40), 1e-35).unwrap(), (1 << 22, 0, 62));
        assert_eq!(joint(1e-33, 1e-35).unwrap(), (0, 0, 62));
    }
}
