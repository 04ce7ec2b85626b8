//! Pooling and resizing of NHWC tensors.

use dyadic_format::Rule;
use dyadic_format::operator::{PoolParams, ResizeParams};
use dyadic_kernels::ElemType;
use dyadic_kernels::geometry::{Axis, Window};
use dyadic_kernels::isa::IsaKind;
use dyadic_kernels::params::{AveragePool, AverageRule, Coordinates, MaxPool, Resize};
use dyadic_kernels::reference::{nearest_index, nearest_single_index};
use dyadic_kernels::registry::{Choice, KernelOp};

use super::movement::fast_or_naive;
use super::operator::{ACTIVATIONS, BYTES, Operator};
use super::{Budget, KernelName, named, quant};
use crate::error::LoadError;
use crate::step::{Action, Move, Naive, Nearest, Rows};

/// Largest pooling window along one axis. A window has no weights in the file that would bound the work it asks for.
const MAX_POOL: u32 = 1 << 12;

/// Batch, window and channels.
fn window(op: &Operator, p: &PoolParams) -> Result<(usize, Window, usize), LoadError> {
    let [batch, in_h, in_w, channels] = op.nhwc(op.input(0), "input shape")?;
    let output = op.nhwc(op.output(), "output shape")?;
    op.require(output[0] == batch, "output batch", output[0], batch)?;
    op.require(output[3] == channels, "output channels", output[3], channels)?;
    op.require(p.kernel.iter().all(|&k| k <= MAX_POOL), "window", p.kernel, "at most 4096 by 4096")?;
    let axis = |i: usize, input, output| Axis {
        input,
        output,
        kernel: p.kernel[i] as usize,
        stride: p.stride[i] as usize,
        dilation: 1,
        pad: p.pad[i] as usize,
    };
    let window = Window { y: axis(0, in_h, output[1]), x: axis(1, in_w, output[2]) };
    for axis in [&window.y, &window.x] {
        op.require(axis.is_valid(), "window", axis, "extents and stride of at least 1, below 2^28")?;
    }
    Ok((batch, window, channels))
}

pub(super) fn average_pool(
    op: &Operator,
    p: &PoolParams,
    choice: Choice,
) -> Result<(Action, KernelName), LoadError> {
    let (batch, window, channels) = window(op, p)?;
    op.require_elem(op.input(0), "input type", &ACTIVATIONS)?;
    op.require_elem(op.output(), "output type", &ACTIVATIONS)?;
    let (mut rule, mut constants) = (AverageRule::RawHalfAway, None);
    if op.rule() == Rule::AverageOnce {
        let taps = window.taps();
        // The file was checked to hold two constants per tap.
        let words = &op.view.constants()[p.constants_first as usize..][..2 * taps];
        let (multipliers, shifts) = words.split_at(taps);
        for (&multiplier, &shift) in multipliers.iter().zip(shifts) {
            op.dyadic(multiplier, shift)?;
        }
        rule = AverageRule::Rescale { multipliers, shifts };
        constants = Some(op.constants(p.constants_first, 2 * taps));
    } else {
        op.require_same_codes(0)?;
    }
    let input = quant(op.input(0));
    let params = AveragePool { batch, window, channels, input, rule, output: op.end(p.lo, p.hi) };
    let kernel = op.chosen(choice.average_pool(KernelOp::AveragePool, &params), KernelOp::AveragePool)?;
    let params =
        AveragePool { rule: AverageRule::RawHalfAway, batch, window, channels, input, output: params.output };
    let rows = Rows::AveragePool { kernel, params, constants, input: op.source(0)? };
    Ok((Action::Rows(rows), named(kernel.kernel())))
}

pub(super) fn max_pool(
    op: &Operator,
    p: &PoolParams,
    choice: Choice,
) -> Result<(Action, KernelName), LoadError> {
    let (batch, window, channels) = window(op, p)?;
    op.require_elem(op.input(0), "input type", &ACTIVATIONS)?;
    op.require_same_codes(0)?;
    let params = MaxPool { batch, window, channels, elem: op.elem(op.input(0)), lo: p.lo, hi: p.hi };
    let kernel = op.chosen(choice.max_pool(KernelOp::MaxPool, &params), KernelOp::MaxPool)?;
    Ok((Action::Rows(Rows::MaxPool { kernel, params, input: op.source(0)? }), named(kernel.kernel())))
}

fn resize(op: &Operator, p: &ResizeParams) -> Result<Resize, LoadError> {
    let input = op.nhwc(op.input(0), "input shape")?;
    let output = op.nhwc(op.output(), "output shape")?;
    op.require(output[0] == input[0], "output batch", output[0], input[0])?;
    op.require(output[3] == input[3], "output channels", output[3], input[3])?;
    for extent in [input[1], input[2], output[1], output[2]] {
        op.require(extent <= Resize::MAX_EXTENT, "extent", extent, "at most 16384")?;
    }
    op.require_same_codes(0)?;
    let coordinates = match p.coordinates {
        1 => Coordinates::Asymmetric,
        2 => Coordinates::AlignCorners,
        3 => Coordinates::HalfPixel,
        other => return Err(op.refusal("coordinates", other, "1 to 3")),
    };
    Ok(Resize {
        batch: input[0],
        input: [input[1], input[2]],
        output: [output[1], output[2]],
        channels: input[3],
        elem: op.elem(op.input(0)),
        coordinates,
    })
}

pub(super) fn bilinear(
    op: &Operator,
    p: &ResizeParams,
    choice: Choice,
) -> Result<(Action, KernelName), LoadError> {
    let params = resize(op, p)?;
    op.require_elem(op.input(0), "type", &BYTES)?;
    let kernel_op = match op.rule() {
        Rule::Bilinear10 => KernelOp::Bilinear10,
        Rule::BilinearRational => KernelOp::BilinearRational,
        Rule::BilinearSingle => {
            op.require_elem(op.input(0), "type under this rule", &[ElemType::U8])?;
            KernelOp::BilinearSingle
        }
        rule => {
            return Err(op.refusal("rule", format_args!("{}", rule.name()), "a rule of bilinear resizing"));
        }
    };
    let kernel = op.chosen(choice.resize(kernel_op, &params), kernel_op)?;
    Ok((Action::Rows(Rows::Bilinear { kernel, params, input: op.source(0)? }), named(kernel.kernel())))
}

pub(super) fn nearest(
    op: &Operator,
    p: &ResizeParams,
    choice: Choice,
    budget: &mut Budget,
) -> Result<(Action, KernelName), LoadError> {
    let (params, input) = (resize(op, p)?, op.source(0)?);
    let (align, half) =
        (params.coordinates == Coordinates::AlignCorners, params.coordinates == Coordinates::HalfPixel);
    let tables = [budget.list(params.output[0])?, budget.list(params.output[1])?];
    let (walk, naive) = match op.rule() {
        Rule::Nearest => (
            Nearest::new(&params, tables, |o, size, out| nearest_index(o, size, out, params.coordinates)),
            Naive::Nearest(params),
        ),
        Rule::NearestSingle => (
            Nearest::new(&params, tables, |o, size, out| nearest_single_index(o, size, out, align, half)),
            Naive::NearestSingle(params),
        ),
        rule => {
            return Err(op.refusal("rule", format_args!("{}", rule.name()), "a rule of nearest neighbours"));
        }
    };
    let fast = Action::Move(Move::Nearest { walk, input: input.clone() });
    Ok(fast_or_naive(choice, (fast, ("nearest_portable", IsaKind::Portable)), naive, input))
}
