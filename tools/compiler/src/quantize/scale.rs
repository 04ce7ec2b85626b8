//! A float32 scale is a dyadic number itself: `mantissa * 2^exponent`, stored exactly.

use dyadic_format::records::ScaleRecord;

/// The exact form of a finite scale above 0: mantissa 1 to 2^24 - 1.
pub fn to_record(scale: f32) -> ScaleRecord {
    let bits = scale.to_bits();
    let fraction = (bits & 0x7f_ffff) as i32;
    let biased = ((bits >> 23) & 0xff) as i16;
    let (mantissa, exponent) =
        if biased == 0 { (fraction, -149) } else { (fraction | 1 << 23, biased - 150) };
    ScaleRecord { mantissa, exponent, reserved: 0 }
}

/// The float32 of a record that [`to_record`] made.
pub fn from_record(record: &ScaleRecord) -> f32 {
    // Exact in float64, and exact in float32 because the mantissa has 24 bits.
    libm::ldexp(f64::from(record.mantissa), i32::from(record.exponent)) as f32
}

/// A signed real argument as mantissa and exponent, for operator parameters.
pub fn argument_to_words(value: f32) -> [i32; 2] {
    let record = to_record(value.abs());
    let sign = if value.is_sign_negative() { -1 } else { 1 };
    [sign * record.mantissa, i32::from(record.exponent)]
}

/// The inverse of [`argument_to_words`].
pub fn argument_from_words([mantissa, exponent]: [i32; 2]) -> f32 {
    libm::ldexp(f64::from(mantissa), exponent) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exponent_round_trips() {
        for exponent in 0..255u32 {
            for fraction in [0, 1, 0x2a_aaaa, 0x7f_ffff] {
                let scale = f32::from_bits(exponent << 23 | fraction);
                if scale > 0.0 {
                    assert_eq!(from_record(&to_record(scale)).to_bits(), scale.to_bits());
                }
            }
        }
        for value in [0.25f32, -0.1, 3.5] {
            assert_eq!(argument_from_words(argument_to_words(value)).to_bits(), value.to_bits());
        }
    }
}
