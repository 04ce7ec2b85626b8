//! The rows. To add a kernel, add one here.

use core::ops::Range;

use super::{Accepts, ConvFn, Entry, Kernel, KernelOp, Layout, Tile};
#[cfg(target_arch = "x86_64")]
use crate::isa::avx2;
use crate::isa::{IsaKind, portable};
use crate::ops::gemm;
use crate::params::{Add, ArgMax, AveragePool, ChannelTable, Conv, MaxPool, Requantize, Resize};
use crate::types::ElemType;
use crate::{ops, reference};

/// Every kernel that was compiled in.
pub static KERNELS: &[Kernel] = &[
    #[cfg(target_arch = "x86_64")]
    gemm_row("gemm_x8s8_6x16k2_avx2", IsaKind::Avx2, 6, weights_s8, GEMM_AVX2),
    #[cfg(target_arch = "x86_64")]
    gemm_row("gemm_x8s4_6x16k2_avx2", IsaKind::Avx2, 6, weights_s4, GEMM_AVX2),
    #[cfg(target_arch = "x86_64")]
    gemm_row("gemm_x8u8_6x16k2_avx2", IsaKind::Avx2, 6, weights_u8, GEMM_AVX2),
    gemm_row("gemm_x8s8_4x16k2_portable", IsaKind::Portable, 4, weights_s8, GEMM_PORTABLE),
    gemm_row("gemm_x8s4_4x16k2_portable", IsaKind::Portable, 4, weights_s4, GEMM_PORTABLE),
    gemm_row("gemm_x8u8_4x16k2_portable", IsaKind::Portable, 4, weights_u8, GEMM_PORTABLE),
    reference("gemm_reference", KernelOp::Gemm, Entry::Conv(conv2d)),
    Kernel {
        accepts: Accepts::Conv(is_depthwise),
        ..reference("depthwise_reference", KernelOp::Depthwise, Entry::Conv(depthwise))
    },
    reference("add_reference", KernelOp::Add, Entry::Add(add)),
    Kernel {
        accepts: Accepts::Requantize(whole_bytes),
        ..reference("requantize_reference", KernelOp::Requantize, Entry::Requantize(requantize))
    },
    reference("table_reference", KernelOp::Table, Entry::Table(table)),
    reference("average_pool_reference", KernelOp::AveragePool, Entry::AveragePool(average_pool)),
    reference("max_pool_reference", KernelOp::MaxPool, Entry::MaxPool(max_pool)),
    reference("mean_reference", KernelOp::Mean, Entry::Mean(reference::mean)),
    reference("softmax_reference", KernelOp::Softmax, Entry::Softmax(reference::softmax)),
    reference("bilinear10_reference", KernelOp::Bilinear10, Entry::Resize(bilinear_10bit)),
    reference("bilinear_rational_reference", KernelOp::BilinearRational, Entry::Resize(bilinear_rational)),
    Kernel {
        accepts: Accepts::Resize(ops::resize::accepts_u8),
        ..reference("bilinear_single_reference", KernelOp::BilinearSingle, Entry::Resize(bilinear_single))
    },
    reference("argmax_reference", KernelOp::ArgMax, Entry::ArgMax(argmax)),
    depthwise_row("depthwise_x8_portable", IsaKind::Portable, ops::depthwise::accepts, DEPTHWISE_PORTABLE),
    #[cfg(target_arch = "x86_64")]
    depthwise_row("depthwise_x8_avx2", IsaKind::Avx2, ops::depthwise::avx2::accepts, DEPTHWISE_AVX2),
    row(
        "add_x8_portable",
        KernelOp::Add,
        IsaKind::Portable,
        Accepts::Add(ops::add::accepts),
        Entry::Add(ops::add::add_portable),
    ),
    #[cfg(target_arch = "x86_64")]
    row(
        "add_x8_avx2",
        KernelOp::Add,
        IsaKind::Avx2,
        Accepts::Add(avx2::add::accepts),
        Entry::Add(avx2::add::add),
    ),
    row(
        "add_x16_portable",
        KernelOp::Add,
        IsaKind::Portable,
        Accepts::Add(ops::stream::accepts_add),
        Entry::Add(ops::stream::add),
    ),
    #[cfg(target_arch = "x86_64")]
    row(
        "add_x16_avx2",
        KernelOp::Add,
        IsaKind::Avx2,
        Accepts::Add(ops::stream::accepts_add),
        Entry::Add(avx2::compiled::add_stream),
    ),
    row(
        "requantize_x16_portable",
        KernelOp::Requantize,
        IsaKind::Portable,
        Accepts::Requantize(ops::stream::accepts_requantize),
        Entry::Requantize(ops::stream::requantize),
    ),
    #[cfg(target_arch = "x86_64")]
    row(
        "requantize_x16_avx2",
        KernelOp::Requantize,
        IsaKind::Avx2,
        Accepts::Requantize(ops::stream::accepts_requantize),
        Entry::Requantize(avx2::compiled::requantize),
    ),
    row(
        "table_x8_portable",
        KernelOp::Table,
        IsaKind::Portable,
        Accepts::All,
        Entry::Table(ops::table::table_portable),
    ),
    reference("channel_table_reference", KernelOp::ChannelTable, Entry::ChannelTable(channel_table)),
    row(
        "channel_table_x8_portable",
        KernelOp::ChannelTable,
        IsaKind::Portable,
        Accepts::All,
        Entry::ChannelTable(ops::table::channel_table),
    ),
    #[cfg(target_arch = "x86_64")]
    row("table_x8_avx2", KernelOp::Table, IsaKind::Avx2, Accepts::All, Entry::Table(avx2::table::table)),
    row(
        "average_pool_x8_portable",
        KernelOp::AveragePool,
        IsaKind::Portable,
        Accepts::AveragePool(ops::pool::accepts_average),
        Entry::AveragePool(ops::pool::average_pool),
    ),
    #[cfg(target_arch = "x86_64")]
    row(
        "average_pool_x8_avx2",
        KernelOp::AveragePool,
        IsaKind::Avx2,
        Accepts::AveragePool(ops::pool::accepts_average),
        Entry::AveragePool(avx2::compiled::average_pool),
    ),
    row(
        "max_pool_x8_portable",
        KernelOp::MaxPool,
        IsaKind::Portable,
        Accepts::MaxPool(ops::pool::accepts_max),
        Entry::MaxPool(ops::pool::max_pool),
    ),
    #[cfg(target_arch = "x86_64")]
    row(
        "max_pool_x8_avx2",
        KernelOp::MaxPool,
        IsaKind::Avx2,
        Accepts::MaxPool(ops::pool::accepts_max),
        Entry::MaxPool(avx2::compiled::max_pool),
    ),
    row(
        "max_pool_s16_portable",
        KernelOp::MaxPool,
        IsaKind::Portable,
        Accepts::MaxPool(ops::pool::accepts_max_words),
        Entry::MaxPool(ops::pool::max_pool_words),
    ),
    #[cfg(target_arch = "x86_64")]
    row(
        "max_pool_s16_avx2",
        KernelOp::MaxPool,
        IsaKind::Avx2,
        Accepts::MaxPool(ops::pool::accepts_max_words),
        Entry::MaxPool(avx2::compiled::max_pool_words),
    ),
    whole(row(
        "mean_x8_portable",
        KernelOp::Mean,
        IsaKind::Portable,
        Accepts::Mean(ops::mean::accepts),
        Entry::Mean(ops::mean::mean),
    )),
    #[cfg(target_arch = "x86_64")]
    whole(row(
        "mean_x8_avx2",
        KernelOp::Mean,
        IsaKind::Avx2,
        Accepts::Mean(ops::mean::accepts),
        Entry::Mean(avx2::compiled::mean),
    )),
    row(
        "bilinear10_x8_portable",
        KernelOp::Bilinear10,
        IsaKind::Portable,
        Accepts::Resize(ops::resize::accepts_bytes),
        Entry::Resize(ops::resize::bilinear_10bit),
    ),
    #[cfg(target_arch = "x86_64")]
    row(
        "bilinear10_x8_avx2",
        KernelOp::Bilinear10,
        IsaKind::Avx2,
        Accepts::Resize(ops::resize::accepts_bytes),
        Entry::Resize(avx2::compiled::bilinear_10bit),
    ),
    row(
        "bilinear_rational_x8_portable",
        KernelOp::BilinearRational,
        IsaKind::Portable,
        Accepts::Resize(ops::resize::accepts_bytes),
        Entry::Resize(ops::resize::bilinear_rational),
    ),
    #[cfg(target_arch = "x86_64")]
    row(
        "bilinear_rational_x8_avx2",
        KernelOp::BilinearRational,
        IsaKind::Avx2,
        Accepts::Resize(ops::resize::accepts_bytes),
        Entry::Resize(avx2::compiled::bilinear_rational),
    ),
    row(
        "bilinear_single_u8_portable",
        KernelOp::BilinearSingle,
        IsaKind::Portable,
        Accepts::Resize(ops::resize::accepts_u8),
        Entry::Resize(ops::resize::bilinear_single),
    ),
    #[cfg(target_arch = "x86_64")]
    row(
        "bilinear_single_u8_avx2",
        KernelOp::BilinearSingle,
        IsaKind::Avx2,
        Accepts::Resize(ops::resize::accepts_u8),
        Entry::Resize(avx2::compiled::bilinear_single),
    ),
    row(
        "argmax_x8_portable",
        KernelOp::ArgMax,
        IsaKind::Portable,
        Accepts::ArgMax(ops::argmax::accepts),
        Entry::ArgMax(ops::argmax::argmax),
    ),
    #[cfg(target_arch = "x86_64")]
    row(
        "argmax_x8_avx2",
        KernelOp::ArgMax,
        IsaKind::Avx2,
        Accepts::ArgMax(ops::argmax::accepts),
        Entry::ArgMax(avx2::compiled::argmax),
    ),
    whole(row(
        "softmax_x8_portable",
        KernelOp::Softmax,
        IsaKind::Portable,
        Accepts::Softmax(ops::softmax::accepts),
        Entry::Softmax(ops::softmax::softmax),
    )),
];

#[cfg(target_arch = "x86_64")]
const GEMM_AVX2: (ConvFn, fn(&Conv) -> usize) = (avx2::gemm::conv, gemm::scratch::<avx2::Avx2>);
const GEMM_PORTABLE: (ConvFn, fn(&Conv) -> usize) =
    (portable::gemm::conv, gemm::scratch::<portable::Portable>);

const DEPTHWISE_PORTABLE: (ConvFn, fn(&Conv) -> usize) = (ops::depthwise::depthwise_portable, no_scratch);
#[cfg(target_arch = "x86_64")]
const DEPTHWISE_AVX2: (ConvFn, fn(&Conv) -> usize) =
    (ops::depthwise::avx2::depthwise, ops::depthwise::avx2::scratch);

const fn depthwise_row(
    name: &'static str,
    isa: IsaKind,
    accepts: fn(&Conv) -> bool,
    (conv, scratch): (ConvFn, fn(&Conv) -> usize),
) -> Kernel {
    Kernel {
        tile: Tile { mr: 1, nr: 32, kr: 2 },
        layout: Layout::Depthwise32x2,
        scratch,
        ..row(name, KernelOp::Depthwise, isa, Accepts::Conv(accepts), Entry::Conv(conv))
    }
}

/// A banded kernel.
const fn row(name: &'static str, op: KernelOp, isa: IsaKind, accepts: Accepts, entry: Entry) -> Kernel {
    Kernel { name, op, isa, accepts, entry, banded: true, ..reference(name, op, entry) }
}

/// A kernel that is given all of its output at once.
const fn whole(row: Kernel) -> Kernel {
    Kernel { banded: false, ..row }
}

const fn no_scratch(_: &Conv) -> usize {
    0
}

const fn reference(name: &'static str, op: KernelOp, entry: Entry) -> Kernel {
    Kernel {
        name,
        op,
        isa: IsaKind::Reference,
        tile: Tile { mr: 1, nr: 1, kr: 1 },
        layout: Layout::Logical,
        accepts: Accepts::All,
        scratch: no_scratch,
        banded: false,
        entry,
    }
}

const fn gemm_row(
    name: &'static str,
    isa: IsaKind,
    mr: usize,
    accepts: fn(&Conv) -> bool,
    (conv, scratch): (ConvFn, fn(&Conv) -> usize),
) -> Kernel {
    Kernel {
        name,
        op: KernelOp::Gemm,
        isa,
        tile: Tile { mr, nr: 16, kr: 2 },
        layout: Layout::Panels16x2,
        accepts: Accepts::Conv(accepts),
        scratch,
        banded: true,
        entry: Entry::Conv(conv),
    }
}

fn is_depthwise(p: &Conv) -> bool {
    p.groups == p.in_channels
}

fn weights_s8(p: &Conv) -> bool {
    gemm::accepts(p, ElemType::S8)
}

fn weights_s4(p: &Conv) -> bool {
    gemm::accepts(p, ElemType::S4)
}

fn weights_u8(p: &Conv) -> bool {
    gemm::accepts(p, ElemType::U8)
}

// The reference takes the logical weights from its parameters and computes everything at once.

fn conv2d(p: &Conv, _: &[u8], input: &[u8], _: Range<usize>, output: &mut [u8], _: &mut [u8]) {
    reference::conv2d(p, input, output);
}

fn depthwise(p: &Conv, _: &[u8], input: &[u8], _: Range<usize>, output: &mut [u8], _: &mut [u8]) {
    reference::depthwise(p, input, output);
}

fn add(p: &Add, first: Option<&[u8]>, second: &[u8], output: &mut [u8]) {
    reference::add_equal_shapes(p, first, second, output);
}

fn table(entries: &[u8; 256], input: Option<&[u8]>, output: &mut [u8]) {
    reference::table(entries, input, output);
}

fn channel_table(p: &ChannelTable, input: Option<&[u8]>, output: &mut [u8]) {
    reference::channel_table(p.tables, input, output);
}

/// Where an element ends inside a byte, the length does not say how many there are.
fn whole_bytes(p: &Requantize) -> bool {
    p.from.elem.bits() >= 8 && p.to.elem.bits() >= 8
}

fn requantize(p: &Requantize, input: &[u8], output: &mut [u8]) {
    let count = output.len() * 8 / p.to.elem.bits();
    reference::requantize(p.from, p.scale, p.rounding, p.to, count, input, output);
}

fn average_pool(p: &AveragePool, input: &[u8], _: Range<usize>, output: &mut [u8]) {
    reference::average_pool(p, input, output);
}

fn max_pool(p: &MaxPool, input: &[u8], _: Range<usize>, output: &mut [u8]) {
    reference::max_pool(p, input, output);
}

fn bilinear_10bit(p: &Resize, input: &[u8], _: Range<usize>, output: &mut [u8]) {
    reference::bilinear_10bit(p, input, output);
}

fn bilinear_rational(p: &Resize, input: &[u8], _: Range<usize>, output: &mut [u8]) {
    reference::bilinear_rational(p, input, output);
}

fn bilinear_single(p: &Resize, input: &[u8], _: Range<usize>, output: &mut [u8]) {
    reference::bilinear_single(p, input, output);
}

fn argmax(p: &ArgMax, input: &[u8], _: Range<usize>, output: &mut [u8]) {
    reference::argmax(p.elem, p.outer, p.depth, p.inner, input, output);
}
