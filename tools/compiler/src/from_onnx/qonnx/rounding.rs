//! Rounding modes and ranges of codes of QONNX.

use crate::from_onnx::attributes::Attributes;
use crate::import::onnx::Node;
use crate::quantize::round_half_even;
use crate::unsupported::{Lowered, refuse, refuse_with};

/// How a quotient becomes a whole number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rounding {
    /// Half to even.
    HalfEven,
    /// Half away from zero.
    HalfUp,
    /// Half toward zero.
    HalfDown,
    /// Away from zero.
    Up,
    /// Toward zero.
    Down,
    /// Up.
    Ceil,
    /// Down.
    Floor,
}

impl Rounding {
    /// The mode that a node names.
    pub fn of(node: &Node, default: &str) -> Lowered<Rounding> {
        let mode = node.text("rounding_mode", default)?.to_ascii_uppercase();
        Ok(match mode.as_str() {
            "ROUND" | "HALF_EVEN" | "ROUND_HALF_EVEN" => Rounding::HalfEven,
            "HALF_UP" => Rounding::HalfUp,
            "HALF_DOWN" => Rounding::HalfDown,
            "UP" => Rounding::Up,
            "DOWN" | "ROUND_TO_ZERO" => Rounding::Down,
            "CEIL" => Rounding::Ceil,
            "FLOOR" => Rounding::Floor,
            _ => {
                return refuse_with(
                    format!("rounding mode {mode}"),
                    "export with rounding mode ROUND or FLOOR",
                );
            }
        })
    }

    /// The whole number.
    pub fn round(self, value: f64) -> f64 {
        let away = |magnitude: f64| if value < 0.0 { -magnitude } else { magnitude };
        match self {
            Rounding::HalfEven => round_half_even(value),
            Rounding::HalfUp => away(libm::floor(value.abs() + 0.5)),
            Rounding::HalfDown => away(libm::ceil(value.abs() - 0.5)),
            Rounding::Up => away(libm::ceil(value.abs())),
            Rounding::Down => libm::trunc(value),
            Rounding::Ceil => libm::ceil(value),
            Rounding::Floor => libm::floor(value),
        }
    }

    /// Half a code that is added before rounding to the nearest; `None` where the sign of the number decides.
    pub fn half(self, never_negative: bool) -> Option<f64> {
        match self {
            Rounding::HalfEven | Rounding::HalfUp | Rounding::HalfDown => Some(0.0),
            Rounding::Floor => Some(-0.5),
            Rounding::Ceil => Some(0.5),
            Rounding::Down if never_negative => Some(-0.5),
            Rounding::Up if never_negative => Some(0.5),
            Rounding::Down | Rounding::Up => None,
        }
    }
}

/// Codes of a number of bits.
pub(super) fn code_range(bits: u32, signed: bool, narrow: bool) -> Lowered<(i32, i32)> {
    if bits == 0 || bits > 32 || !signed && bits > 31 {
        return refuse(format!("{bits} bits, expected 1 to 32, or 31 without sign"));
    }
    let (narrow, full) = (i64::from(narrow), 1i64 << bits);
    let (lo, hi) = if signed { (narrow - full / 2, full / 2 - 1) } else { (0, full - 1 - narrow) };
    if lo > hi { refuse("a narrow range of one bit") } else { Ok((lo as i32, hi as i32)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_modes_are_those_of_qonnx() {
        let values = [-2.5, -1.5, -0.5, -0.3, 0.0, 0.3, 0.5, 1.5, 2.5];
        let found = |r: Rounding| values.map(|v| r.round(v) as i32);
        assert_eq!(found(Rounding::HalfEven), [-2, -2, 0, 0, 0, 0, 0, 2, 2]);
        assert_eq!(found(Rounding::HalfUp), [-3, -2, -1, 0, 0, 0, 1, 2, 3]);
        assert_eq!(found(Rounding::HalfDown), [-2, -1, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(found(Rounding::Up), [-3, -2, -1, -1, 0, 1, 1, 2, 3]);
        assert_eq!(found(Rounding::Down), [-2, -1, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(found(Rounding::Ceil), [-2, -1, 0, 0, 0, 1, 1, 2, 3]);
        assert_eq!(found(Rounding::Floor), [-3, -2, -1, -1, 0, 0, 0, 1, 2]);
    }

    #[test]
    fn ranges_of_codes() {
        assert_eq!(code_range(3, true, false).unwrap(), (-4, 3));
        assert_eq!(code_range(3, true, true).unwrap(), (-3, 3));
        assert_eq!(code_range(4, false, false).unwrap(), (0, 15));
        assert_eq!(code_range(4, false, true).unwrap(), (0, 14));
        assert_eq!(code_range(32, true, false).unwrap(), (i32::MIN, i32::MAX));
        for (bits, signed, narrow) in [(0, true, false), (33, true, false), (32, false, false)] {
            assert!(code_range(bits, signed, narrow).is_err());
        }
    }
}
