//! Plain Rust, shaped so that the compiler vectorises it for whatever baseline it is given.

pub(crate) mod gemm;

/// Nothing to prove: every CPU runs this.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable;
