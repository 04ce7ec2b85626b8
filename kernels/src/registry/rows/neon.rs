//! Armv8.0 Advanced SIMD.

use super::{Code, depthwise_row, octet_row, row, weights_s4, weights_s8, weights_u8};
use crate::isa::IsaKind;
#[cfg(target_arch = "aarch64")]
use crate::isa::neon;
use crate::ops;
use crate::registry::{Accepts, Entry, Kernel, KernelOp};

const ISA: IsaKind = IsaKind::Neon;

macro_rules! arm {
    ($entry:expr) => {
        on!("aarch64", $entry, Entry::Elsewhere)
    };
    ($entry:expr, $scratch:expr) => {
        on!("aarch64", (Entry::Conv($entry), $scratch), (Entry::Elsewhere, super::no_scratch))
    };
}

pub(super) const ROWS: &[Kernel] = &[
    octet_row("gemm_x8s8_4x16k8_neon", ISA, 4, weights_s8, OCTETS),
    octet_row("gemm_x8s4_8x16k8_neon", ISA, 8, weights_s4, NIBBLES),
    octet_row("gemm_x8u8_4x16k8_neon", ISA, 4, weights_u8, OCTETS),
    depthwise_row("depthwise_x8_neon", ISA, ops::depthwise::accepts_tiled, DEPTHWISE),
    row(
        "add_x8_neon",
        KernelOp::Add,
        ISA,
        Accepts::Add(ops::add::accepts_vectors),
        arm!(Entry::Add(neon::add::add)),
    ),
    row("table_x8_neon", KernelOp::Table, ISA, Accepts::All, arm!(Entry::Table(neon::table::table))),
];

const OCTETS: Code = arm!(neon::gemm::conv, ops::gemm::scratch::<neon::Neon>);
const NIBBLES: Code = arm!(neon::gemm::nibbles::conv, ops::gemm::scratch::<neon::gemm::nibbles::Nibbles>);
const DEPTHWISE: Code = arm!(neon::depthwise::depthwise, ops::depthwise::tiles::scratch);
