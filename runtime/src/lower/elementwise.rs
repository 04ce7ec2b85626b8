//! Addition, subtraction, product, tables, requantization.

use dyadic_format::Rule;
use dyadic_format::operator::{AddParams, ChannelTableParams, MulParams, TableParams};
use dyadic_kernels::isa::IsaKind;
use dyadic_kernels::params::{Add, AddRule, ChannelTable, Dims, Mul, Requantize};
use dyadic_kernels::registry::{Choice, KernelOp};
use dyadic_kernels::requant::Dyadic;

use super::operator::{ACTIVATIONS, BYTES, NARROW, Operator};
use super::{KernelName, named, quant};
use crate::error::LoadError;
use crate::step::{Action, Elements, Whole};

/// Addition and subtraction: a kernel for equal shapes, the reference for broadcast ones.
pub(super) fn add(
    op: &Operator,
    p: &AddParams,
    subtract: bool,
    choice: Choice,
) -> Result<(Action, KernelName), LoadError> {
    let shapes = broadcast(op)?;
    for tensor in [op.input(0), op.input(1), op.output()] {
        op.require_elem(tensor, "type", &ACTIVATIONS)?;
    }
    let params = Add {
        first: quant(op.input(0)),
        second: quant(op.input(1)),
        subtract,
        rule: add_rule(op, p)?,
        output: op.end(p.lo, p.hi),
    };
    let second = op.source(1)?;
    if !equal_shapes(op, &shapes) {
        let whole = Whole::Add { params, shapes, first: op.source(0)?, second };
        return Ok((Action::Whole(whole), ("add_broadcast_reference", IsaKind::Reference)));
    }
    let first = op.source_in_place(0)?;
    let kernel = op.chosen(choice.add(KernelOp::Add, &params), KernelOp::Add)?;
    Ok((Action::Elements(Elements::Add { kernel, params, first, second }), named(kernel.kernel())))
}

/// Input shapes and output shape; the output has the broadcast shape of the inputs.
fn broadcast(op: &Operator) -> Result<[Dims; 3], LoadError> {
    let out = op.shape(op.output())?;
    for index in 0..2 {
        let shape = op.shape(op.input(index))?;
        let fits = shape.broadcast_strides(&out).is_some();
        op.require(
            fits,
            "input shape",
            shape.as_slice(),
            alloc::format!("one that broadcasts to {:?}", out.as_slice()),
        )?;
    }
    Ok([op.shape(op.input(0))?, op.shape(op.input(1))?, out])
}

/// Whether the element-wise kernels apply: every element of an input is used once, in order. Odd counts of 4-bit
/// elements end inside a byte, which those kernels do not know.
fn equal_shapes(op: &Operator, [a, b, out]: &[Dims; 3]) -> bool {
    let nibbles = [op.input(0), op.input(1), op.output()].into_iter().any(|t| op.elem(t).bits() == 4);
    a.count() == out.count() && b.count() == out.count() && !(nibbles && out.count() % 2 == 1)
}

fn add_rule(op: &Operator, p: &AddParams) -> Result<AddRule, LoadError> {
    let factor = |i: usize| op.dyadic(p.multipliers[i], p.shifts[i]);
    match op.rule() {
        Rule::AddJoint => {
            let ([m1, m2, _], [shift, ..]) = (p.multipliers, p.shifts);
            let small = [m1, m2].iter().all(|m| (0..1 << 24).contains(m));
            op.require(small, "multipliers", [m1, m2], "0 to 2^24 - 1")?;
            op.require((1..=62).contains(&shift), "shift", shift, "1 to 62")?;
            Ok(AddRule::Joint { m1, m2, shift })
        }
        Rule::AddSeparate => Ok(AddRule::Separate { first: factor(0)?, second: factor(1)? }),
        Rule::AddTflite => {
            // The rule shifts inputs of 9 bits left by 20 and adds the rescaled values in 32 bits.
            for tensor in [op.input(0), op.input(1)] {
                op.require_elem(tensor, "type under this rule", &BYTES)?;
            }
            let (first, second) = (factor(0)?, factor(1)?);
            let half =
                |d: Dyadic| d.multiplier == 0 || d.shift > 31 || (d.shift, d.multiplier) == (31, 1 << 30);
            op.require(half(first) && half(second), "input factors", (first, second), "at most 1/2")?;
            Ok(AddRule::Tflite { first, second, sum: factor(2)? })
        }
        rule => Err(op.refusal("rule", format_args!("{}", rule.name()), "a rule of addition")),
    }
}

/// Product, by the reference.
pub(super) fn mul(op: &Operator, p: &MulParams) -> Result<(Action, KernelName), LoadError> {
    let shapes = broadcast(op)?;
    // Products of two centred 8-bit values fit 32 bits.
    op.require_elem(op.input(0), "type", &NARROW)?;
    op.require_elem(op.input(1), "type", &NARROW)?;
    op.require_elem(op.output(), "output type", &ACTIVATIONS)?;
    let params = Mul {
        first: quant(op.input(0)),
        second: quant(op.input(1)),
        scale: op.dyadic(p.multiplier, p.shift)?,
        rounding: op.rounding()?,
        output: op.end(p.lo, p.hi),
    };
    let whole = Whole::Mul { params, shapes, first: op.source(0)?, second: op.source(1)? };
    Ok((Action::Whole(whole), ("mul_reference", IsaKind::Reference)))
}

/// A function of one 8-bit value.
pub(super) fn table(
    op: &Operator,
    p: &TableParams,
    choice: Choice,
) -> Result<(Action, KernelName), LoadError> {
    op.require_elem(op.input(0), "input type", &BYTES)?;
    op.require_elem(op.output(), "output type", &BYTES)?;
    same_elements(op)?;
    // The file was checked to hold the table.
    let entries = &op.view.tables()[p.table as usize];
    let (input, table) = (op.source_in_place(0)?, op.table(p.table));
    let kernel = op.chosen(choice.table(KernelOp::Table, entries), KernelOp::Table)?;
    Ok((Action::Elements(Elements::Table { kernel, table, input }), named(kernel.kernel())))
}

/// A function of one 8-bit value for every channel of the last axis.
pub(super) fn channel_table(
    op: &Operator,
    p: &ChannelTableParams,
    choice: Choice,
) -> Result<(Action, KernelName), LoadError> {
    op.require_elem(op.input(0), "input type", &BYTES)?;
    op.require_elem(op.output(), "output type", &BYTES)?;
    let (from, to) = (op.dims(op.input(0)), op.dims(op.output()));
    op.require(from == to, "output shape", &to, alloc::format!("{from:?}"))?;
    // The file was checked to hold as many tables.
    let (first, channels) = (p.tables_first as usize, to.last().copied().unwrap_or(1));
    let params = ChannelTable { tables: &op.view.tables()[first..][..channels] };
    let kernel = op.chosen(choice.channel_table(KernelOp::ChannelTable, &params), KernelOp::ChannelTable)?;
    let (input, tables) = (op.source_in_place(0)?, op.tables(p.tables_first, channels));
    Ok((Action::Elements(Elements::ChannelTable { kernel, tables, input }), named(kernel.kernel())))
}

/// Another scale, zero point or integer type.
pub(super) fn requantize(
    op: &Operator,
    p: &MulParams,
    choice: Choice,
) -> Result<(Action, KernelName), LoadError> {
    op.require_elem(op.output(), "output type", &ACTIVATIONS)?;
    same_elements(op)?;
    let params = Requantize {
        from: quant(op.input(0)),
        scale: op.dyadic(p.multiplier, p.shift)?,
        rounding: op.rounding()?,
        to: op.end(p.lo, p.hi),
    };
    let input = op.source(0)?;
    if [params.from.elem, params.to.elem].iter().any(|elem| elem.bits() < 8) {
        let whole = Whole::Requantize { params, count: op.elements(op.output()), input };
        return Ok((Action::Whole(whole), ("requantize_reference", IsaKind::Reference)));
    }
    let kernel = op.chosen(choice.requantize(KernelOp::Requantize, &params), KernelOp::Requantize)?;
    Ok((Action::Elements(Elements::Requantize { kernel, params, input }), named(kernel.kernel())))
}

fn same_elements(op: &Operator) -> Result<(), LoadError> {
    let (found, expected) = (op.elements(op.output()), op.elements(op.input(0)));
    op.require(found == expected, "output elements", found, expected)
}
