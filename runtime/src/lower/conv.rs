//! Convolution, depthwise convolution, fully connected layer.

use dyadic_format::operator::ConvParams;
use dyadic_format::{OpKind, Rule};
use dyadic_kernels::ElemType;
use dyadic_kernels::geometry::{Axis, LIMIT, Window};
use dyadic_kernels::params::Conv;
use dyadic_kernels::registry::KernelOp;
use dyadic_kernels::requant::{Dyadic, Rounding};

use super::operator::{ACTIVATIONS, NARROW, Operator};
use super::{KernelName, Lowering, named, quant, weights};
use crate::error::LoadError;
use crate::step::{Action, ConvStep, Rows};

/// The geometry of a convolution in NHWC and OHWI.
struct Geometry {
    batch: usize,
    window: Window,
    in_channels: usize,
    out_channels: usize,
    groups: usize,
}

/// [`OpKind::Conv2d`] and [`OpKind::DepthwiseConv2d`].
pub(super) fn convolution(
    op: &Operator,
    p: &ConvParams,
    state: &mut Lowering,
) -> Result<(Action, KernelName), LoadError> {
    let [batch, in_h, in_w, in_channels] = op.nhwc(op.input(0), "input shape")?;
    let [out_channels, k_h, k_w, depth] = op.nhwc(op.input(1), "weight shape")?;
    let output = op.nhwc(op.output(), "output shape")?;
    let groups = p.groups as usize;
    let depthwise = op.kind() == OpKind::DepthwiseConv2d;
    if depthwise {
        op.require(groups == in_channels, "groups", groups, in_channels)?;
    }
    let divides = groups > 0 && in_channels.is_multiple_of(groups) && out_channels.is_multiple_of(groups);
    op.require(divides, "groups", groups, "a divisor of input and output channels")?;
    op.require(depth == in_channels / groups, "weight depth", depth, in_channels / groups)?;
    op.require(output[0] == batch, "output batch", output[0], batch)?;
    op.require(output[3] == out_channels, "output channels", output[3], out_channels)?;
    let axis = |i: usize, input, output, kernel| Axis {
        input,
        output,
        kernel,
        stride: p.stride[i] as usize,
        dilation: p.dilation[i] as usize,
        pad: p.pad[i] as usize,
    };
    let window = Window { y: axis(0, in_h, output[1], k_h), x: axis(1, in_w, output[2], k_w) };
    let geometry = Geometry { batch, window, in_channels, out_channels, groups };
    finish(op, p, geometry, if depthwise { KernelOp::Depthwise } else { KernelOp::Gemm }, state)
}

/// [`OpKind::FullyConnected`]: the input is rows of as many values as a weight row has.
pub(super) fn fully_connected(
    op: &Operator,
    p: &ConvParams,
    state: &mut Lowering,
) -> Result<(Action, KernelName), LoadError> {
    let weights = op.dims(op.input(1));
    let &[out_channels, in_channels] = weights.as_slice() else {
        return Err(op.refusal("weight shape", &weights, "two axes"));
    };
    let elements = op.elements(op.input(0));
    let whole = elements.is_multiple_of(in_channels);
    op.require(whole, "input elements", elements, alloc::format!("a multiple of {in_channels}"))?;
    let batch = elements / in_channels;
    let output = op.dims(op.output());
    op.require(output.last() == Some(&out_channels), "output shape", &output, out_channels)?;
    // Both factors are below 2^31.
    let (found, expected) = (op.elements(op.output()) as u64, batch as u64 * out_channels as u64);
    op.require(found == expected, "output elements", found, expected)?;
    let plain = p.stride == [1; 2] && p.dilation == [1; 2] && p.pad == [0; 2] && p.groups == 1;
    op.require(plain, "window", p, "stride, dilation and groups 1, no padding")?;
    let geometry = Geometry { batch, window: Window::POINT, in_channels, out_channels, groups: 1 };
    finish(op, p, geometry, KernelOp::Gemm, state)
}

/// Extents within the limits of the index arithmetic. Windows that see nothing but padding are allowed.
fn check_window(op: &Operator, window: &Window) -> Result<(), LoadError> {
    for axis in [&window.y, &window.x] {
        op.require(
            axis.is_valid(),
            "window",
            axis,
            "extents, stride and dilation of at least 1, below 2^28",
        )?;
    }
    // A kernel may widen all that the windows reach, borders included; that area must be countable in 32 bits.
    let reach = |a: &Axis| a.output as u64 * a.stride as u64 + a.kernel as u64 * a.dilation as u64;
    let product = reach(&window.y).saturating_mul(reach(&window.x));
    op.require(product <= LIMIT as u64 * 16, "window", window, "a smaller reach")
}

fn finish(
    op: &Operator,
    p: &ConvParams,
    geometry: Geometry,
    kernel_op: KernelOp,
    state: &mut Lowering,
) -> Result<(Action, KernelName), LoadError> {
    let Geometry { batch, window, in_channels, out_channels, groups } = geometry;
    check_window(op, &window)?;
    check_types(op)?;
    let count = op.rule().constants_per_channel() * out_channels;
    // The file was checked to hold them.
    let words = &op.view.constants()[p.constants_first as usize..][..count];
    let (bias, factors) = words.split_at(out_channels);
    let (multipliers, shifts) = factors.split_at(factors.len() / 2);
    check_factors(op, multipliers, shifts)?;
    let params = Conv {
        batch,
        window,
        in_channels,
        out_channels,
        groups,
        input: quant(op.input(0)),
        input_codes: op.input_codes(0),
        weight: quant(op.input(1)),
        weights: &[],
        bias,
        multipliers,
        shifts,
        // Accumulators that are given as they are round nothing.
        rounding: if op.rule() == Rule::Accumulate { Rounding::Once } else { op.rounding()? },
        output: op.end(p.lo, p.hi),
    };
    let input = op.source(0)?;
    let kernel = op.chosen(state.choice.conv(kernel_op, &params), kernel_op)?;
    let step = ConvStep {
        kernel,
        params: Conv { bias: &[], multipliers: &[], shifts: &[], weights: &[], ..params },
        weights: weights::bind(op, kernel.kernel(), &params, state)?,
        constants: op.constants(p.constants_first, count),
        scratch: (kernel.kernel().scratch)(&params),
        input,
    };
    Ok((Action::Rows(Rows::Conv(step)), named(kernel.kernel())))
}

fn check_types(op: &Operator) -> Result<(), LoadError> {
    let weights = op.input(1);
    op.require_elem(op.input(0), "input type", &NARROW)?;
    let outputs: &[ElemType] = if op.rule() == Rule::Accumulate { &[ElemType::S32] } else { &ACTIVATIONS };
    op.require_elem(op.output(), "output type", outputs)?;
    op.require_elem(weights, "weight type", &[ElemType::S8, ElemType::S4, ElemType::U8])?;
    let symmetric = op.elem(weights) == ElemType::U8 || weights.zero_point == 0;
    op.require(symmetric, "weight zero point", weights.zero_point, "0 for signed weights")
}

/// Every multiplier and shift, channel by channel.
fn check_factors(op: &Operator, multipliers: &[i32], shifts: &[i32]) -> Result<(), LoadError> {
    for (channel, (&multiplier, &shift)) in multipliers.iter().zip(shifts).enumerate() {
        if Dyadic::new(multiplier, shift).is_none() {
            let found = format_args!("{multiplier} / 2^{shift} in channel {channel}");
            return Err(op.refusal("factor", found, "multiplier 0 or 2^30 to 2^31 - 1, shift 16 to 62"));
        }
    }
    Ok(())
}
