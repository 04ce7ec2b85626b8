//! Fast kernel bodies.

pub mod depthwise;
