//! Packed weights for the wanted instruction sets: a cache in the file that the runtime uses in place.

use dyadic_format::operator::ConvParams;
use dyadic_format::{Contents, OperatorRecord, Params};
use dyadic_kernels::geometry::{Axis, Window};
use dyadic_kernels::isa::IsaKind;
use dyadic_kernels::pack::{pack as pack_weights, packed_len};
use dyadic_kernels::params::Conv;
use dyadic_kernels::registry::{Accepts, KernelOp, Layout, kernels};
use dyadic_kernels::requant::Rounding;

use crate::options::Options;
use crate::records::{Program, codes, conv_constants, output, quant, rounding};

/// Layout numbers of the file.
pub const fn layout_number(layout: Layout) -> Option<u32> {
    match layout {
        Layout::Logical => None,
        Layout::Panels16x2 => Some(1),
        Layout::Depthwise32x2 => Some(2),
        Layout::Panels16x4 => Some(3),
        Layout::Panels16x8 => Some(4),
    }
}

/// The layout of that number.
pub const fn layout_of(number: u32) -> Option<Layout> {
    match number {
        1 => Some(Layout::Panels16x2),
        2 => Some(Layout::Depthwise32x2),
        3 => Some(Layout::Panels16x4),
        4 => Some(Layout::Panels16x8),
        _ => None,
    }
}

/// Adds the packed weights of every convolution for every target, each layout once.
pub(crate) fn pack(contents: &mut Contents, options: &Options) {
    for number in 0..contents.operators.len() {
        for (layout, bytes) in packed_forms(contents, number, &options.targets) {
            contents.packed(number as u32, layout, &bytes);
        }
    }
    if options.board {
        contents.leave_out_packed_weights();
    }
}

fn packed_forms(contents: &Contents, number: usize, targets: &[IsaKind]) -> Vec<(u32, Vec<u8>)> {
    let program = Program::of_contents(contents);
    let op = &program.operators[number];
    let Some((kernel_op, conv)) = convolution(&program, op) else { return Vec::new() };
    let mut forms = Vec::new();
    for &target in targets {
        let Some(layout) = preferred_layout(target, kernel_op, &conv) else { continue };
        let Some(id) = layout_number(layout) else { continue };
        if forms.iter().all(|(other, _)| *other != id) {
            let length = packed_len(layout, &conv);
            if length == usize::MAX {
                continue;
            }
            let mut bytes = vec![0; length];
            if pack_weights(layout, &conv, &mut bytes) {
                forms.push((id, bytes));
            }
        }
    }
    forms.sort_by_key(|(id, _)| *id);
    forms
}

/// The layout of the strongest kernel of `target` that takes these parameters. The reference reads logical weights.
fn preferred_layout(target: IsaKind, op: KernelOp, conv: &Conv) -> Option<Layout> {
    if target == IsaKind::Reference {
        return None;
    }
    let takes = |accepts: Accepts| match accepts {
        Accepts::Conv(test) => test(conv),
        Accepts::All => true,
        _ => false,
    };
    let isas = IsaKind::ALL.into_iter().rev().filter(|&isa| target.includes(isa));
    let mut rows = isas.flat_map(|isa| kernels().filter(move |k| k.isa == isa && k.op == op));
    rows.find(|k| takes(k.accepts) && k.isa != IsaKind::Reference).map(|k| k.layout)
}

/// The parameters of a convolution, depthwise convolution or fully connected layer.
pub fn convolution<'a>(program: &Program<'a>, op: &OperatorRecord) -> Option<(KernelOp, Conv<'a>)> {
    let kind = dyadic_format::OpKind::from_number(op.kind)?;
    let (kernel_op, params) = match Params::from_words(kind, &op.params) {
        Params::Conv2d(p) | Params::FullyConnected(p) => (KernelOp::Gemm, p),
        Params::DepthwiseConv2d(p) => (KernelOp::Depthwise, p),
        _ => return None,
    };
    let (from, weights, to) = (program.input(op, 0), program.input(op, 1), program.output(op));
    let extent = |t: &dyadic_format::TensorRecord, axis: usize| t.shape().get(axis).map(|&e| e as usize);
    let out_channels = extent(weights, 0)?;
    let rule = dyadic_format::Rule::from_number(op.rule)?;
    let [bias, multipliers, shifts] = conv_constants(program, &params, rule, out_channels)?;
    let (batch, window, in_channels) = if matches!(kind, dyadic_format::OpKind::FullyConnected) {
        let depth = extent(weights, 1)?;
        let elements: usize = from.shape().iter().map(|&e| e as usize).product();
        (elements / depth, Window::POINT, depth)
    } else {
        (extent(from, 0)?, window(&params, from, weights, to)?, extent(from, 3)?)
    };
    let conv = Conv {
        batch,
        window,
        in_channels,
        out_channels,
        groups: params.groups as usize,
        input: quant(from),
        input_codes: codes(from),
        weight: quant(weights),
        weights: program.constant(weights),
        bias,
        multipliers,
        shifts,
        rounding: rounding(rule).unwrap_or(Rounding::Once),
        output: output(to, params.lo, params.hi),
    };
    Some((kernel_op, conv))
}

fn window(
    p: &ConvParams,
    from: &dyadic_format::TensorRecord,
    weights: &dyadic_format::TensorRecord,
    to: &dyadic_format::TensorRecord,
) -> Option<Window> {
    let axis = |i: usize| {
        Some(Axis {
            input: *from.shape().get(i + 1)? as usize,
            output: *to.shape().get(i + 1)? as usize,
            kernel: *weights.shape().get(i + 1)? as usize,
            stride: p.stride[i] as usize,
            dilation: p.dilation[i] as usize,
            pad: p.pad[i] as usize,
        })
    };
    Some(Window { y: axis(0)?, x: axis(1)? })
}
