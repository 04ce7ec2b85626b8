//! Messages of an `.onnx` file, generated from `onnx.proto`, and a table of their fields.
//!
//! `onnx.proto` is the public ONNX definition, unchanged (Apache-2.0, from the ONNX authors, release 1.23.2). [`MESSAGES`]
//! says the same as the messages do, for those who want to walk a file before anything of it is allocated. Never edit
//! `generated.rs` and `fields.rs`; to make them again:
//!
//! ```text
//! cd tools/compiler/schema/onnx/generate && cargo run --locked
//! ```
#![forbid(unsafe_code)]

#[allow(clippy::all, rustdoc::all)]
#[rustfmt::skip]
mod generated;

#[rustfmt::skip]
mod fields;

pub use fields::{MESSAGES, MODEL};
pub use generated::*;
/// Encoding and decoding of the messages.
pub use prost::{DecodeError, Message};

/// A message of the definition.
#[derive(Debug)]
pub struct MessageInfo {
    /// Name, for example `NodeProto`.
    pub name: &'static str,
    /// Bytes that one takes in memory, without what it owns.
    pub size: usize,
    /// Its fields, by ascending number.
    pub fields: &'static [FieldInfo],
}

/// A field of a message.
#[derive(Debug)]
pub struct FieldInfo {
    /// Number on the wire.
    pub number: u32,
    /// Name.
    pub name: &'static str,
    /// Whether it may occur several times.
    pub repeated: bool,
    /// What it holds.
    pub kind: Kind,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number written with a variable number of bytes; so many bytes in memory.
    Varint(usize),
    /// A number of 4 bytes.
    Fixed32,
    /// A number of 8 bytes.
    Fixed64,
    /// Bytes or text.
    Bytes,
    /// A message: its place in [`MESSAGES`].
    Message(usize),
}
