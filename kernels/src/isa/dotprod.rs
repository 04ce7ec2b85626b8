//! Armv8.2 dot product: `sdot` adds four products of signed bytes to each 32-bit lane.

use super::neon::Neon;

pub(crate) mod gemm;

/// Proof that the CPU has Advanced SIMD and its dot product.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DotProd(Neon);

impl DotProd {
    /// # Safety
    /// The CPU has Advanced SIMD and its dot product.
    #[inline]
    pub(crate) unsafe fn new() -> DotProd {
        // SAFETY: the caller's promise.
        DotProd(unsafe { Neon::new() })
    }
}
