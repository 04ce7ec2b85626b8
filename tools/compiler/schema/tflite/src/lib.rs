//! Accessors and writers for the tables of a `.tflite` file, generated from `tflite.fbs`.
//!
//! `tflite.fbs` is the part of the public TFLite schema (Apache-2.0, see its header) that the compiler reads; its
//! header lists what was changed. Every accessor checks offsets and lengths against the bytes given and returns an
//! error where they lie outside. Never edit `generated.rs`; to make it again:
//!
//! ```text
//! cargo install planus-cli --version 1.3.0
//! cd tools/compiler/schema/tflite && planus rust -o src/generated.rs tflite.fbs
//! ```

#[allow(clippy::all, missing_debug_implementations, unsafe_op_in_unsafe_fn)]
#[rustfmt::skip]
mod generated;

pub use generated::tflite::*;

/// Ends a file: puts the header before `root`, which `builder` wrote or is about to write.
pub fn finish(mut builder: planus::Builder, root: impl planus::WriteAsOffset<Model>) -> Vec<u8> {
    let mut bytes = builder.finish(root, Some(*b"TFL3")).to_vec();
    // A FlatBuffer starts with the root's offset, counted from byte 0, and then the identifier. planus 1.3 puts the
    // identifier first and counts from the offset's own place at byte 4.
    if let Some((header, _)) = bytes.split_first_chunk_mut::<8>()
        && header.starts_with(b"TFL3")
    {
        let [.., a, b, c, d] = *header;
        let root = u32::from_le_bytes([a, b, c, d]) + 4;
        header[..4].copy_from_slice(&root.to_le_bytes());
        header[4..].copy_from_slice(b"TFL3");
    }
    bytes
}
