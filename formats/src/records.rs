//! The small records: text, scales, intervals, packed weights, provenance, recipe, self-test.

use bytemuck::{Pod, Zeroable};

/// A piece of the `Strings` section.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct TextRef {
    /// First byte.
    pub offset: u32,
    /// Length in bytes; the piece is valid UTF-8.
    pub bytes: u32,
}

/// A positive real scale, exactly `mantissa * 2^exponent`. Every finite float32 has such a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct ScaleRecord {
    /// 1 to 2^24 - 1.
    pub mantissa: i32,
    /// -149 to 127, and `mantissa * 2^exponent` below 2^128.
    pub exponent: i16,
    /// Zero.
    pub reserved: u16,
}

/// Proven bounds of every partial sum of one output channel, bias included; both fit 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct IntervalRecord {
    /// Lower bound.
    pub lo: i64,
    /// Upper bound.
    pub hi: i64,
}

/// Packed weights of one operator in one layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct PackedRecord {
    /// Operator number.
    pub operator: u32,
    /// Layout number, at least 1: 1 panels of 16 output channels with depth pairs, 2 depthwise blocks of 32 channels with
    /// tap pairs. A reader passes over numbers that it does not know.
    pub layout: u32,
    /// First byte in the `Packed` section, a multiple of 64.
    pub offset: u64,
    /// Length in bytes.
    pub bytes: u64,
}

/// Where the file comes from.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct ProvenanceRecord {
    /// BLAKE3 of the source file.
    pub source_digest: [u8; 32],
    /// Size of the source file in bytes.
    pub source_bytes: u64,
    /// Name and version of the tool.
    pub tool: TextRef,
    /// The options that shaped the file, in a canonical order.
    pub options: TextRef,
    /// What the source file calls itself.
    pub description: TextRef,
}

/// How pixels become one input: channel order, then a table per channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct RecipeRecord {
    /// Number of the model input.
    pub input: u32,
    /// [`ChannelOrder`].
    pub order: u32,
    /// First of the tables, one per channel.
    pub tables_first: u32,
    /// Channels: 1 when gray, else 3.
    pub channels: u32,
}

/// Channel order that a network wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ChannelOrder {
    /// Red first.
    Rgb = 1,
    /// Blue first.
    Bgr = 2,
    /// One channel: luma.
    Gray = 3,
}

impl ChannelOrder {
    /// The order of that number.
    pub const fn from_number(number: u32) -> Option<ChannelOrder> {
        match number {
            1 => Some(ChannelOrder::Rgb),
            2 => Some(ChannelOrder::Bgr),
            3 => Some(ChannelOrder::Gray),
            _ => None,
        }
    }
}

/// One output of a self-test run on seeded inputs ([`crate::seeded`]).
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct GoldenRecord {
    /// Seed of the inputs.
    pub seed: u64,
    /// Number of the model output.
    pub output: u32,
    /// Zero.
    pub reserved: u32,
    /// BLAKE3 of the output bytes.
    pub digest: [u8; 32],
}
