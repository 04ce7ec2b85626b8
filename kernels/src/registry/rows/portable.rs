//! Plain Rust, for every CPU.

use super::{
    Code, depthwise_row, no_scratch, pair_row, row, weights_s4, weights_s8, weights_u8, whole, winograd_s8,
    winograd_u8,
};
use crate::isa::{IsaKind, portable};
use crate::ops;
use crate::registry::{Accepts, Entry, Kernel, KernelOp};

const ISA: IsaKind = IsaKind::Portable;

pub(super) const ROWS: &[Kernel] = &[
    pair_row("winograd_x8s8_4x16k2_portable", ISA, 4, winograd_s8, WINOGRAD),
    pair_row("winograd_x8u8_4x16k2_portable", ISA, 4, winograd_u8, WINOGRAD),
    pair_row("gemm_x8s8_4x16k2_portable", ISA, 4, weights_s8, GEMM),
    pair_row("gemm_x8s4_4x16k2_portable", ISA, 4, weights_s4, GEMM),
    pair_row("gemm_x8u8_4x16k2_portable", ISA, 4, weights_u8, GEMM),
    depthwise_row("depthwise_x8_portable", ISA, ops::depthwise::accepts, DEPTHWISE),
    row(
        "add_x8_portable",
        KernelOp::Add,
        ISA,
        Accepts::Add(ops::add::accepts),
        Entry::Add(ops::add::add_portable),
    ),
    row(
        "add_x16_portable",
        KernelOp::Add,
        ISA,
        Accepts::Add(ops::stream::accepts_add),
        Entry::Add(ops::stream::add),
    ),
    row(
        "requantize_x16_portable",
        KernelOp::Requantize,
        ISA,
        Accepts::Requantize(ops::stream::accepts_requantize),
        Entry::Requantize(ops::stream::requantize),
    ),
    row("table_x8_portable", KernelOp::Table, ISA, Accepts::All, Entry::Table(ops::table::table_portable)),
    row(
        "channel_table_x8_portable",
        KernelOp::ChannelTable,
        ISA,
        Accepts::All,
        Entry::ChannelTable(ops::table::channel_table),
    ),
    row(
        "average_pool_x8_portable",
        KernelOp::AveragePool,
        ISA,
        Accepts::AveragePool(ops::pool::accepts_average),
        Entry::AveragePool(ops::pool::average_pool),
    ),
    row(
        "max_pool_x8_portable",
        KernelOp::MaxPool,
        ISA,
        Accepts::MaxPool(ops::pool::accepts_max),
        Entry::MaxPool(ops::pool::max_pool),
    ),
    row(
        "max_pool_s16_portable",
        KernelOp::MaxPool,
        ISA,
        Accepts::MaxPool(ops::pool::accepts_max_words),
        Entry::MaxPool(ops::pool::max_pool_words),
    ),
    whole(row(
        "mean_x8_portable",
        KernelOp::Mean,
        ISA,
        Accepts::Mean(ops::mean::accepts),
        Entry::Mean(ops::mean::mean),
    )),
    row(
        "bilinear10_x8_portable",
        KernelOp::Bilinear10,
        ISA,
        Accepts::Resize(ops::resize::accepts_bytes),
        Entry::Resize(ops::resize::bilinear_10bit),
    ),
    row(
        "bilinear_rational_x8_portable",
        KernelOp::BilinearRational,
        ISA,
        Accepts::Resize(ops::resize::accepts_bytes),
        Entry::Resize(ops::resize::bilinear_rational),
    ),
    row(
        "bilinear_single_u8_portable",
        KernelOp::BilinearSingle,
        ISA,
        Accepts::Resize(ops::resize::accepts_u8),
        Entry::Resize(ops::resize::bilinear_single),
    ),
    row(
        "argmax_x8_portable",
        KernelOp::ArgMax,
        ISA,
        Accepts::ArgMax(ops::argmax::accepts),
        Entry::ArgMax(ops::argmax::argmax),
    ),
    whole(row(
        "softmax_x8_portable",
        KernelOp::Softmax,
        ISA,
        Accepts::Softmax(ops::softmax::accepts),
        Entry::Softmax(ops::softmax::softmax),
    )),
];

const GEMM: Code = (Entry::Conv(portable::gemm::conv), ops::gemm::scratch::<portable::Portable>);
const WINOGRAD: Code = (Entry::Conv(portable::gemm::winograd), ops::gemm::winograd::scratch);
const DEPTHWISE: Code = (Entry::Conv(ops::depthwise::depthwise_portable), no_scratch);
