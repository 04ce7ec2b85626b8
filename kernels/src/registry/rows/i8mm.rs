//! Armv8.6 int8 matrix multiply.

use super::{Code, arm_s4, arm_s8, octet_row, weights_u8};
use crate::isa::IsaKind;
#[cfg(target_arch = "aarch64")]
use crate::isa::i8mm::{self, gemm};
#[cfg(target_arch = "aarch64")]
use crate::ops;
use crate::registry::{Entry, Kernel};

const ISA: IsaKind = IsaKind::I8mm;

macro_rules! arm {
    ($entry:expr, $scratch:expr) => {
        on!("aarch64", (Entry::Conv($entry), $scratch), (Entry::Elsewhere, super::no_scratch))
    };
}

pub(super) const ROWS: &[Kernel] = &[
    octet_row("gemm_x8s8_8x16k8_i8mm", ISA, 8, arm_s8, OCTETS),
    octet_row("gemm_x8s4_8x16k8_i8mm", ISA, 8, arm_s4, OCTETS),
    octet_row("gemm_x8u8_8x16k8_i8mm", ISA, 8, weights_u8, OCTETS),
];

const OCTETS: Code = arm!(gemm::conv, ops::gemm::scratch::<i8mm::I8mm>);
