//! Makes a `.dyad` file of a quantized network.
//!
//! - [`import`]: bytes of a network file to a checked structure of that format.
#![forbid(unsafe_code)]

pub mod import;
