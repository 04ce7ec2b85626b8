//! x86-64 AVX2.

pub mod depthwise;
