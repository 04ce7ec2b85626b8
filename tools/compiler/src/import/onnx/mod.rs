//! ONNX: what a file says, checked. [`crate::from_onnx`] decides what it becomes.

mod model;

pub use model::*;
