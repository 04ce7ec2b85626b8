//! x86-64 AVX2.

use super::{
    Code, depthwise_row, pair_row, quad_row, row, weights_s4, weights_s8, weights_u8, whole, winograd_s8,
    winograd_u8,
};
use crate::isa::IsaKind;
#[cfg(target_arch = "x86_64")]
use crate::isa::avx2;
use crate::ops;
use crate::registry::{Accepts, Entry, Kernel, KernelOp};

const ISA: IsaKind = IsaKind::Avx2;

macro_rules! x86 {
    ($entry:expr) => {
        on!("x86_64", $entry, Entry::Elsewhere)
    };
    ($entry:expr, $scratch:expr) => {
        on!("x86_64", (Entry::Conv($entry), $scratch), (Entry::Elsewhere, super::no_scratch))
    };
}

pub(super) const ROWS: &[Kernel] = &[
    pair_row("winograd_x8s8_6x16k2_avx2", ISA, 6, winograd_s8, WINOGRAD),
    pair_row("winograd_x8u8_6x16k2_avx2", ISA, 6, winograd_u8, WINOGRAD),
    quad_row("gemm_u7s8_6x16k4_avx2", ISA, 6, ops::gemm::accepts_u7, U7),
    pair_row("gemm_x8s8_6x16k2_avx2", ISA, 6, weights_s8, PAIRS),
    quad_row("gemm_x8s4_6x16k4_avx2", ISA, 6, weights_s4, NIBBLES),
    pair_row("gemm_x8u8_6x16k2_avx2", ISA, 6, weights_u8, PAIRS),
    depthwise_row("depthwise_x8_avx2", ISA, ops::depthwise::accepts_tiled, DEPTHWISE),
    row(
        "add_x8_avx2",
        KernelOp::Add,
        ISA,
        Accepts::Add(ops::add::accepts_vectors),
        x86!(Entry::Add(avx2::add::add)),
    ),
    row(
        "add_x16_avx2",
        KernelOp::Add,
        ISA,
        Accepts::Add(ops::stream::accepts_add),
        x86!(Entry::Add(avx2::compiled::add_stream)),
    ),
    row(
        "requantize_x16_avx2",
        KernelOp::Requantize,
        ISA,
        Accepts::Requantize(ops::stream::accepts_requantize),
        x86!(Entry::Requantize(avx2::compiled::requantize)),
    ),
    row("table_x8_avx2", KernelOp::Table, ISA, Accepts::All, x86!(Entry::Table(avx2::table::table))),
    row(
        "average_pool_x8_avx2",
        KernelOp::AveragePool,
        ISA,
        Accepts::AveragePool(ops::pool::accepts_average),
        x86!(Entry::AveragePool(avx2::compiled::average_pool)),
    ),
    row(
        "max_pool_x8_avx2",
        KernelOp::MaxPool,
        ISA,
        Accepts::MaxPool(ops::pool::accepts_max),
        x86!(Entry::MaxPool(avx2::compiled::max_pool)),
    ),
    row(
        "max_pool_s16_avx2",
        KernelOp::MaxPool,
        ISA,
        Accepts::MaxPool(ops::pool::accepts_max_words),
        x86!(Entry::MaxPool(avx2::compiled::max_pool_words)),
    ),
    whole(row(
        "mean_x8_avx2",
        KernelOp::Mean,
        ISA,
        Accepts::Mean(ops::mean::accepts),
        x86!(Entry::Mean(avx2::compiled::mean)),
    )),
    row(
        "bilinear10_x8_avx2",
        KernelOp::Bilinear10,
        ISA,
        Accepts::Resize(ops::resize::accepts_bytes),
        x86!(Entry::Resize(avx2::compiled::bilinear_10bit)),
    ),
    row(
        "bilinear_rational_x8_avx2",
        KernelOp::BilinearRational,
        ISA,
        Accepts::Resize(ops::resize::accepts_bytes),
        x86!(Entry::Resize(avx2::compiled::bilinear_rational)),
    ),
    row(
        "bilinear_single_u8_avx2",
        KernelOp::BilinearSingle,
        ISA,
        Accepts::Resize(ops::resize::accepts_u8),
        x86!(Entry::Resize(avx2::compiled::bilinear_single)),
    ),
    row(
        "argmax_x8_avx2",
        KernelOp::ArgMax,
        ISA,
        Accepts::ArgMax(ops::argmax::accepts),
        x86!(Entry::ArgMax(avx2::compiled::argmax)),
    ),
];

const PAIRS: Code = x86!(avx2::gemm::conv, ops::gemm::scratch::<avx2::Avx2>);
const WINOGRAD: Code = x86!(avx2::gemm::winograd::conv, ops::gemm::winograd::scratch);
const U7: Code = x86!(avx2::gemm::u7::conv, ops::gemm::scratch::<avx2::gemm::u7::U7>);
const NIBBLES: Code = x86!(avx2::gemm::nibbles::conv, ops::gemm::scratch::<avx2::gemm::nibbles::Nibbles>);
const DEPTHWISE: Code = x86!(avx2::depthwise::depthwise, ops::depthwise::tiles::scratch);
