//! Makes a `.dyad` file of a quantized network: import, passes, proofs, memory plan, emit.
//!
//! Floats live in this crate (scales, tables) and nowhere further down; see [`quantize`].
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod compile;
mod describe;
pub mod emit;
pub mod from_onnx;
pub mod from_tflite;
pub mod import;
pub mod ir;
pub mod memory_plan;
pub mod options;
pub mod pack;
pub mod passes;
pub mod prove;
pub mod quantize;
pub mod records;
pub mod unsupported;
pub mod verify;
pub use compile::{CompileError, Compiled, Source, compile};
pub use options::Options;
