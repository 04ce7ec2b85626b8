//! Accessors and writers for the tables of a `.tflite` file, generated from `tflite.fbs`.
//!
//! `tflite.fbs` is the part of the public TFLite schema (Apache-2.0, see its header) that the compiler reads; its
//! header lists what was changed. Every accessor checks offsets and lengths against the bytes given and returns an
//! error where they lie outside. Never edit `generated.rs`; to make it again:
//!
//! ```text
//! cargo install planus-cli --version 1.3.0
//! cd tools/compiler/schema && planus rust -o src/generated.rs tflite.fbs
//! ```

#[allow(clippy::all, missing_debug_implementations, unsafe_op_in_unsafe_fn)]
#[rustfmt::skip]
mod generated;

pub use generated::tflite::*;
