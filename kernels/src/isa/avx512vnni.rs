//! x86-64 AVX-512 VNNI: `vpdpbusd` on vectors of 512 bits. Beside it the kernels use AVX-512 F, BW and VL.

use super::avx2::Avx2;

mod columns;
pub(crate) mod gemm;
mod loops;

/// Proof that the CPU has AVX2 and AVX-512 BW, VL and VNNI.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512Vnni(Avx2);

impl Avx512Vnni {
    /// # Safety
    /// The CPU has AVX2 and AVX-512 BW, VL and VNNI.
    #[inline]
    pub(crate) unsafe fn new() -> Avx512Vnni {
        // SAFETY: the caller's promise.
        Avx512Vnni(unsafe { Avx2::new() })
    }
}
