//! From real scales to integers. Floats end here.
//!
//! Everything in this module is a pure function of scales, types and the contract, evaluated with IEEE operations and
//! a pinned pure-Rust library of functions, so that every host makes the same file; `verify` calls the same functions
//! on the scales stored in a file.

pub mod dyadic;
pub mod factors;
pub mod scale;
pub mod table;

/// Which rounding rules a file uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Contract {
    /// One rounding, ties toward +infinity, everywhere.
    #[default]
    Dyadic,
    /// The rules of TFLite's reference kernels, operator by operator.
    Tflite,
}

/// Nearest whole number, ties to the even one, as ONNX quantizes.
pub fn round_half_even(value: f64) -> f64 {
    libm::rint(value)
}

impl Contract {
    /// The name on the command line and in the provenance.
    pub const fn name(self) -> &'static str {
        match self {
            Contract::Dyadic => "dyadic",
            Contract::Tflite => "tflite",
        }
    }

    /// The contract of that name.
    pub fn from_name(name: &str) -> Option<Contract> {
        [Contract::Dyadic, Contract::Tflite].into_iter().find(|c| c.name() == name)
    }
}
