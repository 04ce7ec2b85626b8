//! Armv8.2 dot product.

use super::{Code, arm_s4, arm_s8, quad_row, weights_u8};
use crate::isa::IsaKind;
#[cfg(target_arch = "aarch64")]
use crate::isa::dotprod::{self, gemm};
#[cfg(target_arch = "aarch64")]
use crate::ops;
use crate::registry::{Entry, Kernel};

const ISA: IsaKind = IsaKind::DotProd;

macro_rules! arm {
    ($entry:expr, $scratch:expr) => {
        on!("aarch64", (Entry::Conv($entry), $scratch), (Entry::Elsewhere, super::no_scratch))
    };
}

pub(super) const ROWS: &[Kernel] = &[
    quad_row("gemm_x8s8_8x16k4_dotprod", ISA, 8, arm_s8, QUADS),
    quad_row("gemm_x8s4_8x16k4_dotprod", ISA, 8, arm_s4, QUADS),
    quad_row("gemm_x8u8_8x16k4_dotprod", ISA, 8, weights_u8, QUADS),
];

const QUADS: Code = arm!(gemm::conv, ops::gemm::scratch::<dotprod::DotProd>);
