//! x86-64 AVX-512 VNNI.

use super::{Code, depthwise_row, quad_row, row, weights_s4, weights_s8, weights_u8};
use crate::isa::IsaKind;
#[cfg(target_arch = "x86_64")]
use crate::isa::avx512vnni;
use crate::ops;
use crate::params::Conv;
use crate::registry::{Accepts, Entry, Kernel, KernelOp, Tile};

const ISA: IsaKind = IsaKind::Avx512Vnni;

/// A tile takes two neighbouring panels.
const fn wide(name: &'static str, accepts: fn(&Conv) -> bool, code: Code) -> Kernel {
    Kernel { tile: Tile { mr: 14, nr: 32, kr: 4 }, ..quad_row(name, ISA, 14, accepts, code) }
}

pub(super) const ROWS: &[Kernel] = &[
    wide("gemm_x8s8_14x32k4_avx512vnni", weights_s8, QUADS),
    wide("gemm_x8s4_14x32k4_avx512vnni", weights_s4, QUADS),
    wide("gemm_x8u8_14x32k4_avx512vnni", weights_u8, QUADS),
    depthwise_row("depthwise_x8_avx512vnni", ISA, ops::depthwise::accepts_tiled, DEPTHWISE),
    row(
        "add_x8_avx512vnni",
        KernelOp::Add,
        ISA,
        Accepts::Add(ops::add::accepts_vectors),
        on!("x86_64", Entry::Add(avx512vnni::add::add), Entry::Elsewhere),
    ),
];

const QUADS: Code = on!(
    "x86_64",
    (Entry::Conv(avx512vnni::gemm::conv), crate::ops::gemm::scratch::<avx512vnni::Avx512Vnni>),
    (Entry::Elsewhere, super::no_scratch)
);

const DEPTHWISE: Code = on!(
    "x86_64",
    (Entry::Conv(avx512vnni::depthwise::depthwise), ops::depthwise::tiles::scratch),
    (Entry::Elsewhere, super::no_scratch)
);
