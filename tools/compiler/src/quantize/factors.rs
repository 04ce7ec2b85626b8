//! The factors of each operator under each contract, from scales alone.

use dyadic_format::operator::{AddParams, ScaleProduct};
use dyadic_kernels::ElemType;
use dyadic_kernels::requant::Dyadic;

use super::Contract;
use super::dyadic::{FactorError, from_real, joint};
use crate::ir::Activation;

/// Factor of one output channel of a convolution or fully connected layer.
///
/// # Errors
/// When the ratio has no dyadic form.
pub fn convolution(
    input: f32,
    weight: f32,
    output: f32,
    product: ScaleProduct,
) -> Result<Dyadic, FactorError> {
    let product = match product {
        ScaleProduct::Double => f64::from(input) * f64::from(weight),
        ScaleProduct::Single => f64::from(input * weight),
    };
    from_real(product / f64::from(output))
}

/// Whether `output` is the scale of the accumulators of a convolution: `input * weight`, but for a rounding or two of
/// float32 on the way.
pub fn follows(input: f32, weight: f32, output: f32) -> bool {
    let (product, output) = (f64::from(input) * f64::from(weight), f64::from(output));
    (product - output).abs() <= output / 1_048_576.0
}

/// Factor of a rescale in one tensor's place, all in float64.
///
/// # Errors
/// When the ratio has no dyadic form.
pub fn rescale(input: f32, output: f32) -> Result<Dyadic, FactorError> {
    from_real(f64::from(input) / f64::from(output))
}

/// Factors of an addition or subtraction, without its clamp.
///
/// # Errors
/// When a ratio has no dyadic form, or TFLite's sum would need a factor of 1 or more.
pub fn addition(first: f32, second: f32, output: f32, contract: Contract) -> Result<AddParams, FactorError> {
    let (s1, s2, sy) = (f64::from(first), f64::from(second), f64::from(output));
    let (multipliers, shifts) = match contract {
        Contract::Dyadic => {
            let (m1, m2, shift) = joint(s1 / sy, s2 / sy)?;
            ([m1, m2, 0], [shift, 0, 0])
        }
        Contract::Tflite => {
            let twice = 2.0 * if s1 > s2 { s1 } else { s2 };
            let sum = twice / (1_048_576.0 * sy);
            if sum >= 1.0 {
                return Err(FactorError(sum));
            }
            let factors = [from_real(s1 / twice)?, from_real(s2 / twice)?, from_real(sum)?];
            (factors.map(|d| d.multiplier), factors.map(|d| d.shift))
        }
    };
    Ok(AddParams { multipliers, shifts, lo: 0, hi: 0 })
}

/// The largest dyadic number, `(2^31 - 1) / 2^16`.
const LARGEST: f64 = 2_147_483_647.0 / 65_536.0;

/// Factor of a product. TFLite evaluates the whole ratio in float32.
///
/// # Errors
/// When the ratio has no dyadic form.
pub fn product(first: f32, second: f32, output: f32, contract: Contract) -> Result<Dyadic, FactorError> {
    let ratio = match contract {
        Contract::Dyadic => f64::from(first) * f64::from(second) / f64::from(output),
        Contract::Tflite => f64::from(first * second / output),
    };
    // An output whose scale is next to nothing (a gate that training never opened): from the largest factor on, every
    // product but zero saturates an 8-bit output, so a larger factor would give the same.
    from_real(if ratio.is_finite() { ratio.min(LARGEST) } else { ratio })
}

/// Factor of a mean over `count` values, the count folded in.
///
/// `dyadic`: the factor `s_in / (s_out * count)`, one rounding. `tflite`: `m' = floor(m * 2^k / count)` with
/// `k = min(floor(log2 count), 32, s)` and `s' = s + k`; `m'` may be below 2^30.
///
/// # Errors
/// When the ratio has no dyadic form, or the count does not fit.
pub fn mean(input: f32, output: f32, count: usize, contract: Contract) -> Result<Dyadic, FactorError> {
    match contract {
        Contract::Dyadic => from_real(f64::from(input) / (f64::from(output) * count as f64)),
        Contract::Tflite => {
            let factor = rescale(input, output)?;
            let shift = (count.max(1).ilog2() as i32).min(32).min(62 - factor.shift);
            let multiplier = (i64::from(factor.multiplier) << shift) / count.max(1) as i64;
            Ok(Dyadic { multiplier: multiplier as i32, shift: factor.shift + shift })
        }
    }
}

/// `(multiplier, left shift, diff_min)` of a softmax: `beta * input * 2^26`, at most 2^31 - 1.
///
/// # Errors
/// When that product is 1 or less.
pub fn softmax(beta: f32, input: f32) -> Result<(i32, i32, i32), FactorError> {
    let real = f64::from(beta) * f64::from(input) * 67_108_864.0;
    let real = if real < 2_147_483_647.0 { real } else { 2_147_483_647.0 };
    if real.is_nan() || real <= 1.0 {
        return Err(FactorError(real));
    }
    let (fraction, mut exponent) = super::dyadic::frexp(real);
    let mut multiplier = libm::floor(fraction * 2_147_483_648.0 + 0.5) as i64;
    if multiplier == 1 << 31 {
        multiplier >>= 1;
        exponent += 1;
    }
    // The differences have 5 integer bits in Q5.26; below this one the exponential is nothing.
    let diff_min = -libm::floor(31.0 * 67_108_864.0 / libm::ldexp(1.0, exponent)) as i32;
    Ok((multiplier as i32, exponent, diff_min))
}

/// A clamp within `least..=most`.
pub fn within((lo, hi): (i32, i32), (least, most): (i32, i32)) -> (i32, i32) {
    (lo.clamp(least, most), hi.clamp(least, most))
}

/// The clamp of an activation in the output's codes: `zp + round(v / scale)` in float32, half away from zero.
pub fn clamp(activation: Activation, elem: ElemType, scale: f32, zero_point: i32) -> (i32, i32) {
    let code = |real: f32| {
        let steps = f64::from(libm::roundf(real / scale));
        // Far outside every type, so that a tiny scale saturates instead of overflowing.
        zero_point.saturating_add(steps.clamp(-1e9, 1e9) as i32)
    };
    let (min, max) = (elem.min(), elem.max());
    let (lo, hi) = match activation {
        Activation::None => (min, max),
        Activation::Relu => (code(0.0).max(min), max),
        Activation::Relu6 => (code(0.0).max(min), code(6.0).min(max)),
        Activation::ReluN1To1 => (code(-1.0).max(min), code(1.0).min(max)),
    };
    // The zero point lies in the range of the type, so the limits do not cross.
    (lo.min(max), hi.max(min))
}
