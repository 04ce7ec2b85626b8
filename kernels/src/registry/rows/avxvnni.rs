//! x86-64 AVX-VNNI.

use super::{Code, quad_row, weights_s4, weights_s8, weights_u8};
use crate::isa::IsaKind;
#[cfg(target_arch = "x86_64")]
use crate::isa::avxvnni;
use crate::registry::{Entry, Kernel};

const ISA: IsaKind = IsaKind::AvxVnni;

pub(super) const ROWS: &[Kernel] = &[
    quad_row("gemm_x8s8_6x16k4_avxvnni", ISA, 6, weights_s8, QUADS),
    quad_row("gemm_x8s4_6x16k4_avxvnni", ISA, 6, weights_s4, QUADS),
    quad_row("gemm_x8u8_6x16k4_avxvnni", ISA, 6, weights_u8, QUADS),
];

const QUADS: Code = on!(
    "x86_64",
    (Entry::Conv(avxvnni::conv), crate::ops::gemm::scratch::<avxvnni::AvxVnni>),
    (Entry::Elsewhere, super::no_scratch)
);
