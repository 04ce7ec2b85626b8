//! Mean over axes, softmax, index of the largest value.

use dyadic_format::Rule;
use dyadic_format::operator::{ArgMaxParams, MeanParams, SoftmaxParams};
use dyadic_kernels::ElemType;
use dyadic_kernels::params::{ArgMax, MAX_RANK, Mean, Softmax};
use dyadic_kernels::registry::{Choice, KernelOp};
use dyadic_kernels::requant::{Dyadic, MAX_SHIFT, MIN_SHIFT};

use super::operator::{ACTIVATIONS, BYTES, Operator};
use super::{KernelName, named, quant};
use crate::error::LoadError;
use crate::step::{Action, Rows, Whole};

/// Longest softmax row: 4095 exponentials of at most 2^19 sum up below 2^31.
const MAX_SOFTMAX: usize = 4095;

pub(super) fn mean(op: &Operator, p: &MeanParams, choice: Choice) -> Result<(Action, KernelName), LoadError> {
    op.require_elem(op.input(0), "input type", &ACTIVATIONS)?;
    op.require_elem(op.output(), "output type", &ACTIVATIONS)?;
    let shape = op.shape(op.input(0))?;
    let known = (u64::from(p.axes)) < 1 << shape.rank();
    op.require(known, "axes", p.axes, alloc::format!("bits below 2^{}", shape.rank()))?;
    let axes: [bool; MAX_RANK] = core::array::from_fn(|axis| p.axes & 1 << axis != 0);
    let kept: usize =
        shape.as_slice().iter().zip(axes).filter(|(_, reduced)| !reduced).map(|(e, _)| e).product();
    let found = op.elements(op.output());
    op.require(found == kept, "output elements", found, kept)?;
    let params = Mean {
        shape,
        axes,
        input: quant(op.input(0)),
        scale: mean_factor(op, p)?,
        rounding: op.rounding()?,
        output: op.end(p.lo, p.hi),
    };
    let kernel = op.chosen(choice.mean(KernelOp::Mean, &params), KernelOp::Mean)?;
    Ok((Action::Whole(Whole::Mean { kernel, params, input: op.source(0)? }), named(kernel.kernel())))
}

/// TFLite divides the multiplier by the count, so under its rule any multiplier may come out.
fn mean_factor(op: &Operator, p: &MeanParams) -> Result<Dyadic, LoadError> {
    if op.rule() != Rule::MeanTwice {
        return op.dyadic(p.multiplier, p.shift);
    }
    let valid = p.multiplier >= 0 && (MIN_SHIFT..=MAX_SHIFT).contains(&p.shift);
    op.require(valid, "factor", (p.multiplier, p.shift), "multiplier of at least 0, shift 16 to 62")?;
    Ok(Dyadic { multiplier: p.multiplier, shift: p.shift })
}

pub(super) fn softmax(
    op: &Operator,
    p: &SoftmaxParams,
    choice: Choice,
) -> Result<(Action, KernelName), LoadError> {
    op.require_elem(op.input(0), "input type", &BYTES)?;
    op.require_elem(op.output(), "output type", &BYTES)?;
    let (input, output) = (op.dims(op.input(0)), op.dims(op.output()));
    op.require(input == output, "output shape", &output, alloc::format!("{input:?}"))?;
    let depth = input.last().copied().unwrap_or(1);
    op.require(depth <= MAX_SOFTMAX, "last axis", depth, "at most 4095")?;
    op.require(p.multiplier >= 0, "multiplier", p.multiplier, "at least 0")?;
    op.require((0..=31).contains(&p.left_shift), "left shift", p.left_shift, "0 to 31")?;
    let least = Softmax::least_difference(p.left_shift);
    op.require(
        (least..=0).contains(&p.diff_min),
        "least difference",
        p.diff_min,
        alloc::format!("{least} to 0"),
    )?;
    let zero_point = op.output().zero_point;
    let lowest = op.elem(op.output()).min();
    op.require(zero_point == lowest, "output zero point", zero_point, lowest)?;
    let params = Softmax {
        depth,
        elem: op.elem(op.input(0)),
        output: op.elem(op.output()),
        multiplier: p.multiplier,
        left_shift: p.left_shift,
        diff_min: p.diff_min,
    };
    let kernel = op.chosen(choice.softmax(KernelOp::Softmax, &params), KernelOp::Softmax)?;
    Ok((Action::Whole(Whole::Softmax { kernel, params, input: op.source(0)? }), named(kernel.kernel())))
}

pub(super) fn argmax(
    op: &Operator,
    p: &ArgMaxParams,
    choice: Choice,
) -> Result<(Action, KernelName), LoadError> {
    op.require_elem(op.output(), "output type", &[ElemType::S32])?;
    let input = op.dims(op.input(0));
    let axis = p.axis as usize;
    let Some(&depth) = input.get(axis) else {
        return Err(op.refusal("axis", axis, alloc::format!("below {}", input.len())));
    };
    let (outer, inner): (usize, usize) = (input[..axis].iter().product(), input[axis + 1..].iter().product());
    let found = op.elements(op.output());
    op.require(found == outer * inner, "output elements", found, outer * inner)?;
    let params = ArgMax { elem: op.elem(op.input(0)), outer, depth, inner };
    let kernel = op.chosen(choice.argmax(KernelOp::ArgMax, &params), KernelOp::ArgMax)?;
    Ok((Action::Rows(Rows::ArgMax { kernel, params, input: op.source(0)? }), named(kernel.kernel())))
}
