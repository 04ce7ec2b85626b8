//! The scalar reference: the specification, for every operation.

use core::ops::Range;

use super::plain;
use crate::ops;
use crate::params::{Add, ArgMax, AveragePool, ChannelTable, Conv, MaxPool, Requantize, Resize};
use crate::reference;
use crate::registry::{Accepts, Entry, Kernel, KernelOp};

pub(super) const ROWS: &[Kernel] = &[
    plain("gemm_reference", KernelOp::Gemm, Entry::Conv(conv2d)),
    Kernel {
        accepts: Accepts::Conv(is_depthwise),
        ..plain("depthwise_reference", KernelOp::Depthwise, Entry::Conv(depthwise))
    },
    plain("add_reference", KernelOp::Add, Entry::Add(add)),
    Kernel {
        accepts: Accepts::Requantize(whole_bytes),
        ..plain("requantize_reference", KernelOp::Requantize, Entry::Requantize(requantize))
    },
    plain("table_reference", KernelOp::Table, Entry::Table(table)),
    plain("average_pool_reference", KernelOp::AveragePool, Entry::AveragePool(average_pool)),
    plain("max_pool_reference", KernelOp::MaxPool, Entry::MaxPool(max_pool)),
    plain("mean_reference", KernelOp::Mean, Entry::Mean(reference::mean)),
    plain("softmax_reference", KernelOp::Softmax, Entry::Softmax(reference::softmax)),
    plain("bilinear10_reference", KernelOp::Bilinear10, Entry::Resize(bilinear_10bit)),
    plain("bilinear_rational_reference", KernelOp::BilinearRational, Entry::Resize(bilinear_rational)),
    Kernel {
        accepts: Accepts::Resize(ops::resize::accepts_u8),
        ..plain("bilinear_single_reference", KernelOp::BilinearSingle, Entry::Resize(bilinear_single))
    },
    plain("argmax_reference", KernelOp::ArgMax, Entry::ArgMax(argmax)),
    plain("channel_table_reference", KernelOp::ChannelTable, Entry::ChannelTable(channel_table)),
];

fn is_depthwise(p: &Conv) -> bool {
    p.groups == p.in_channels
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
