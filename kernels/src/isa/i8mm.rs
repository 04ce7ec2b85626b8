//! Armv8.6 int8 matrix multiply: `smmla` adds the products of two rows by two columns, eight positions deep, to a vector.

use super::neon::Neon;

pub(crate) mod gemm;

/// Proof that the CPU has Advanced SIMD and its int8 matrix multiply.
#[derive(Clone, Copy, Debug)]
pub(crate) struct I8mm(Neon);

impl I8mm {
    /// # Safety
    /// The CPU has Advanced SIMD and its int8 matrix multiply.
    #[inline]
    pub(crate) unsafe fn new() -> I8mm {
        // SAFETY: the caller's promise.
        I8mm(unsafe { Neon::new() })
    }
}
