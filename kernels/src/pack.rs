//! Packed weights: one module per layout.

pub mod depthwise;
