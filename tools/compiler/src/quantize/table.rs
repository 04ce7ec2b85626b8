//! 256-entry tables: any function of one 8-bit value.
//!
//! Entry `i` belongs to the raw byte `i`; a signed value is indexed by its two's complement byte.

use dyadic_format::operator::TableFunction;
use dyadic_kernels::ElemType;
use dyadic_kernels::requant::{Dyadic, rescale_once, rescale_twice, saturate};

use super::dyadic::{FactorError, from_real};
use super::factors::rescale;

/// Type, scale and zero point of one side of a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Side {
    /// u8 or s8.
    pub elem: ElemType,
    /// Scale.
    pub scale: f32,
    /// Zero point.
    pub zero_point: i32,
}

/// Makes a table.
///
/// `arguments` are the slope of a leaky ReLU, alpha and beta of the functions that have them, and unused otherwise; the
/// result is clamped to `lo..=hi`.
///
/// # Errors
/// When a ratio of scales has no dyadic form.
pub fn build(
    function: TableFunction,
    arguments: [f32; 2],
    from: Side,
    to: Side,
    (lo, hi): (i32, i32),
) -> Result<[u8; 256], FactorError> {
    let value = evaluator(function, arguments, from, to)?;
    let mut table = [0; 256];
    for (byte, entry) in table.iter_mut().enumerate() {
        let code = from.elem.load(&[byte as u8], 0);
        *entry = saturate(value(code - from.zero_point), to.zero_point, lo, hi) as u8;
    }
    Ok(table)
}

/// The function from a centred input code to the output's code before its zero point.
fn evaluator(
    function: TableFunction,
    arguments @ [argument, _]: [f32; 2],
    from: Side,
    to: Side,
) -> Result<Box<dyn Fn(i32) -> i64>, FactorError> {
    let real = move |x: i32| f64::from(from.scale) * f64::from(x);
    let to_code = move |y: f64| libm::floor(y / f64::from(to.scale) + 0.5) as i64;
    let single = move |x: i32| from.scale * x as f32;
    let from_single = move |y: f32| libm::roundf(y * (1.0 / to.scale)) as i64;
    Ok(match function {
        TableFunction::RescaleOnce => {
            let factor = rescale(from.scale, to.scale)?;
            Box::new(move |x| rescale_once(x, factor))
        }
        TableFunction::RescaleTwice => {
            let factor = rescale(from.scale, to.scale)?;
            Box::new(move |x| rescale_twice(x, factor))
        }
        TableFunction::ReluTflite => {
            let factor = from_real(f64::from(from.scale / to.scale))?;
            Box::new(move |x| rescale_twice(x, factor))
        }
        TableFunction::QuantizeFloat => {
            let whole = from.zero_point;
            Box::new(move |x| libm::roundf((x + whole) as f32 / to.scale) as i64)
        }
        TableFunction::RescaleFloat => Box::new(rescale_float(from, to)),
        TableFunction::LogisticTflite => Box::new(move |x| {
            let e = libm::exp(-f64::from(single(x))) as f32;
            from_single(1.0 / (1.0 + e))
        }),
        TableFunction::TanhTflite => Box::new(move |x| from_single(libm::tanh(f64::from(single(x))) as f32)),
        TableFunction::Logistic
        | TableFunction::Tanh
        | TableFunction::HardSwish
        | TableFunction::Elu
        | TableFunction::Gelu
        | TableFunction::GeluTanh
        | TableFunction::HardSigmoid
        | TableFunction::Swish
        | TableFunction::Sign => {
            let [alpha, beta] = arguments.map(f64::from);
            Box::new(move |x| to_code(activation(function, alpha, beta, real(x))))
        }
        TableFunction::HardSwishTflite => Box::new(hard_swish_tflite(from, to)?),
        TableFunction::LeakyRelu => {
            let above = rescale(from.scale, to.scale)?;
            let below = magnitude(f64::from(from.scale) * f64::from(argument.abs()) / f64::from(to.scale))?;
            let sign = if argument < 0.0 { -1 } else { 1 };
            Box::new(move |x| if x >= 0 { rescale_once(x, above) } else { rescale_once(sign * x, below) })
        }
        TableFunction::LeakyReluTflite => {
            let above = from_real(f64::from(from.scale / to.scale))?;
            let below = magnitude(f64::from(from.scale * argument.abs() / to.scale))?;
            let sign = if argument < 0.0 { -1 } else { 1 };
            Box::new(move |x| if x >= 0 { rescale_twice(x, above) } else { sign * rescale_twice(x, below) })
        }
    })
}

/// The real functions, evaluated in float64 in the order written.
fn activation(function: TableFunction, alpha: f64, beta: f64, x: f64) -> f64 {
    match function {
        TableFunction::Logistic => 1.0 / (1.0 + libm::exp(-x)),
        TableFunction::Tanh => libm::tanh(x),
        TableFunction::HardSwish => x * (x + 3.0).clamp(0.0, 6.0) / 6.0,
        TableFunction::Elu if x >= 0.0 => x,
        TableFunction::Elu => alpha * libm::expm1(x),
        TableFunction::Gelu => 0.5 * x * (1.0 + libm::erf(x * core::f64::consts::FRAC_1_SQRT_2)),
        TableFunction::GeluTanh => {
            let inner = libm::sqrt(core::f64::consts::FRAC_2_PI) * (x + 0.044715 * x * x * x);
            0.5 * x * (1.0 + libm::tanh(inner))
        }
        TableFunction::Swish => x / (1.0 + libm::exp(-alpha * x)),
        TableFunction::Sign if x >= 0.0 => alpha,
        TableFunction::Sign => -alpha,
        _ => (alpha * x + beta).clamp(0.0, 1.0),
    }
}

/// As [`from_real`], zero allowed.
fn magnitude(real: f64) -> Result<Dyadic, FactorError> {
    if real == 0.0 { Ok(Dyadic { multiplier: 0, shift: 62 }) } else { from_real(real) }
}

/// The float32 steps of TFLite's reference concatenation of u8 tensors.
fn rescale_float(from: Side, to: Side) -> impl Fn(i32) -> i64 {
    let scale = from.scale * (1.0 / to.scale);
    let bias = -(from.zero_point as f32) * scale;
    move |x| libm::roundf((x + from.zero_point) as f32 * scale + bias) as i64
}

/// TFLite's integer hard swish: 16-bit products with doubling high multiplication.
fn hard_swish_tflite(from: Side, to: Side) -> Result<impl Fn(i32) -> i64, FactorError> {
    let fine = (1.0 / 128.0) * from.scale;
    let (out_multiplier, out_exponent) = narrow(fine / to.scale)?;
    let (gate_multiplier, gate_exponent) = narrow(fine / (3.0 / 32768.0))?;
    if out_exponent > 0 {
        return Err(FactorError(f64::from(fine / to.scale)));
    }
    Ok(move |x: i32| {
        let fine = (x << 7) as i16;
        let scaled = high_mul_16(fine, out_multiplier);
        let mut gate = i32::from(fine);
        if gate_exponent > 0 {
            gate = saturate_16(gate << (gate_exponent - 1).min(15));
        }
        gate = i32::from(high_mul_16(gate as i16, gate_multiplier));
        if gate_exponent > 0 {
            gate = saturate_16(gate << 1);
        } else {
            gate = divide(gate, -gate_exponent);
        }
        let gate = (gate + (1 << 15)) >> 1;
        // Truncating toward zero, as the shift of a magnitude.
        let product = gate * i32::from(scaled);
        let high = if product >= 0 { product >> 15 } else { -(-product >> 15) };
        i64::from(divide(high, -out_exponent))
    })
}

/// A 16-bit multiplier and an exponent: `real = m / 2^15 * 2^exponent`.
fn narrow(real: f32) -> Result<(i16, i32), FactorError> {
    let factor = from_real(f64::from(real))?;
    let m = (i64::from(factor.multiplier) + (1 << 15)) >> 16;
    Ok((m.min(32767) as i16, 31 - factor.shift))
}

fn high_mul_16(a: i16, b: i16) -> i16 {
    saturate_16((i32::from(a) * i32::from(b) + (1 << 14)) >> 15) as i16
}

fn saturate_16(x: i32) -> i32 {
    x.clamp(-32768, 32767)
}

/// Division by `2^exponent`, ties away from zero.
fn divide(x: i32, exponent: i32) -> i32 {
    dyadic_kernels::requant::divide_by_power_of_two(i64::from(x), exponent.clamp(0, 31)) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    const S8: Side = Side { elem: ElemType::S8, scale: 0.1, zero_point: -3 };

    #[test]
    fn rescale_to_itself_is_the_identity() {
        for function in [TableFunction::RescaleOnce, TableFunction::RescaleTwice, TableFunction::RescaleFloat]
        {
            let table = build(function, [0.0; 2], S8, S8, (-128, 127)).unwrap();
            assert!((0..256).all(|i| table[i] == i as u8), "{function:?}");
        }
    }

    #[test]
    fn logistic_of_zero_is_one_half() {
        let to = Side { elem: ElemType::S8, scale: 1.0 / 256.0, zero_point: -128 };
        for function in [TableFunction::Logistic, TableFunction::LogisticTflite] {
            let table = build(function, [0.0; 2], S8, to, (-128, 127)).unwrap();
            assert_eq!(table[(-3i8) as u8 as usize] as i8, 0);
            assert_eq!(table[127] as i8, 127);
            assert_eq!(table[128] as i8, -128);
        }
    }

    #[test]
    fn u8_to_s8_shifts_by_128() {
        let u8_side = Side { elem: ElemType::U8, scale: 0.5, zero_point: 130 };
        let s8_side = Side { elem: ElemType::S8, scale: 0.5, zero_point: 2 };
        let table = build(TableFunction::RescaleTwice, [0.0; 2], u8_side, s8_side, (-128, 127)).unwrap();
        assert!((0..256).all(|i| table[i] == (i as u8) ^ 0x80));
    }
}
