//! Data movement: pad, concatenate, reshape, strided copy, tile.

use dyadic_format::Storage;
use dyadic_format::operator::{ConcatParams, GatherParams, NO_TABLE, PadParams, StridedCopyParams};
use dyadic_kernels::isa::IsaKind;
use dyadic_kernels::params::MAX_RANK;
use dyadic_kernels::registry::Choice;

use super::operator::{BYTES, Operator};
use super::{Budget, KernelName};
use crate::error::LoadError;
use crate::step::{Action, Branch, Move, Naive, Source, Strided};

const IN_PLACE: KernelName = ("in_place", IsaKind::Portable);

fn moved(movement: Move, name: &'static str) -> (Action, KernelName) {
    (Action::Move(movement), (name, IsaKind::Portable))
}

/// The fast walk, or the reference where it is forced.
pub(super) fn fast_or_naive(
    choice: Choice,
    fast: (Action, KernelName),
    naive: Naive,
    input: Source,
) -> (Action, KernelName) {
    if choice.isa != IsaKind::Reference {
        return fast;
    }
    let name = (naive.name(), IsaKind::Reference);
    (Action::Move(Move::Naive { naive, input }), name)
}

pub(super) fn pad(op: &Operator, p: &PadParams, choice: Choice) -> Result<(Action, KernelName), LoadError> {
    op.require_same_codes(0)?;
    let (shape, out) = (op.shape(op.input(0))?, op.shape(op.output())?);
    op.require(out.rank() == shape.rank(), "output rank", out.rank(), shape.rank())?;
    let before = p.before.map(|b| b as usize);
    for axis in 0..MAX_RANK {
        let Some((&inner, &outer)) = shape.as_slice().get(axis).zip(out.as_slice().get(axis)) else {
            op.require(before[axis] == 0, "padding of an absent axis", before[axis], 0)?;
            continue;
        };
        let fits = before[axis].checked_add(inner).is_some_and(|end| end <= outer);
        op.require(
            fits,
            "output shape",
            out.as_slice(),
            alloc::format!("room for {:?} behind {before:?}", shape.as_slice()),
        )?;
    }
    let (elem, value, input) = (op.elem(op.output()), p.value, op.source(0)?);
    let naive = Naive::Pad { elem, shape, before, value, out };
    let fast = Move::Pad { elem, shape, before, value, out, input: input.clone() };
    Ok(fast_or_naive(choice, moved(fast, "pad_portable"), naive, input))
}

/// Branches that already lie in their part of the output need nothing.
pub(super) fn concat(
    op: &Operator,
    p: &ConcatParams,
    budget: &mut Budget,
) -> Result<(Action, KernelName), LoadError> {
    let out = op.dims(op.output());
    let axis = p.axis as usize;
    op.require(axis < out.len(), "axis", axis, alloc::format!("below {}", out.len()))?;
    let elem = op.elem(op.output());
    op.require(elem.bits() >= 8, "type", format_args!("{}", elem.name()), "8 bits or more")?;
    let width = elem.bits() / 8;
    let inner: usize = out[axis + 1..].iter().product();
    let outer: usize = out[..axis].iter().product();
    let pitch = out[axis] * inner * width;
    let (mut branches, mut first) = (budget.list(op.input_count())?, 0);
    for index in 0..op.input_count() {
        let dims = op.dims(op.input(index));
        let others = dims.len() == out.len() && (0..out.len()).all(|i| i == axis || dims[i] == out[i]);
        op.require(others, "input shape", &dims, alloc::format!("{out:?} except along axis {axis}"))?;
        let run = dims[axis] * inner * width;
        op.require(run <= pitch - first, "input shape", &dims, "inputs that fill the output")?;
        branches.extend(branch(op, index, outer, first, run)?);
        first += run;
    }
    op.require(first == pitch, "output shape", &out, "the sum of the inputs along the axis")?;
    if branches.is_empty() {
        return Ok((Action::Move(Move::Nothing), IN_PLACE));
    }
    Ok(moved(Move::Concat { pitch, branches }, "concat_portable"))
}

/// One input of a concatenation, `run` bytes at byte `first` of every output run; `None` when it is made in place.
fn branch(
    op: &Operator,
    index: usize,
    outer: usize,
    first: usize,
    run: usize,
) -> Result<Option<Branch>, LoadError> {
    let input = op.input(index);
    let table = match op.concat_tables()[index] {
        NO_TABLE => {
            op.require_same_codes(index)?;
            None
        }
        number => {
            op.require_elem(input, "input type with a table", &BYTES)?;
            op.require_elem(op.output(), "output type with a table", &BYTES)?;
            Some(op.table(number))
        }
    };
    let place = op.arena(op.output()).start + first;
    let there = input.storage == Storage::Arena as u8 && op.arena(input) == (place..place + run);
    if there && outer == 1 && table.is_none() {
        return Ok(None);
    }
    Ok(Some(Branch { input: op.source(index)?, run, first, table }))
}

pub(super) fn reshape(op: &Operator) -> Result<(Action, KernelName), LoadError> {
    op.require_same_codes(0)?;
    let (found, expected) = (op.elements(op.output()), op.elements(op.input(0)));
    op.require(found == expected, "output elements", found, expected)?;
    match op.source_in_place(0)? {
        Source::InPlace => Ok((Action::Move(Move::Nothing), IN_PLACE)),
        input @ (Source::Arena(_) | Source::File(_)) => Ok(moved(Move::Copy { input }, "copy_portable")),
    }
}

pub(super) fn strided_copy(
    op: &Operator,
    p: &StridedCopyParams,
    choice: Choice,
) -> Result<(Action, KernelName), LoadError> {
    op.require_same_codes(0)?;
    let out = op.shape(op.output())?;
    // The smallest and the largest input element that is read, exactly: start, strides and extents are below 2^32.
    let (mut lowest, mut highest) = (i128::from(p.start), i128::from(p.start));
    for (axis, &stride) in p.strides.iter().enumerate() {
        let Some(&extent) = out.as_slice().get(axis) else {
            op.require(stride == 0, "stride of an absent axis", stride, 0)?;
            continue;
        };
        let reach = i128::from(stride) * (extent as i128 - 1);
        lowest += reach.min(0);
        highest += reach.max(0);
    }
    let count = op.elements(op.input(0));
    let inside = lowest >= 0 && highest < count as i128;
    let found = (lowest, highest);
    op.require(inside, "first and last element", found, alloc::format!("inside {count} elements"))?;
    let strides = p.strides.map(|stride| stride as isize);
    let (elem, start, input) = (op.elem(op.output()), p.start as usize, op.source(0)?);
    let walk = Strided::new(start, &strides, &out);
    let fast = Move::StridedCopy { elem, walk, input: input.clone() };
    let naive = Naive::StridedCopy { elem, start, strides, out };
    Ok(fast_or_naive(choice, moved(fast, "strided_copy_portable"), naive, input))
}

/// The file was checked to hold the indices, each a position of the input along the axis.
pub(super) fn gather(
    op: &Operator,
    p: &GatherParams,
    choice: Choice,
) -> Result<(Action, KernelName), LoadError> {
    op.require_same_codes(0)?;
    let (from, to, axis) = (op.dims(op.input(0)), op.dims(op.output()), p.axis as usize);
    let others = from.len() == to.len() && (0..to.len()).all(|i| i == axis || from[i] == to[i]);
    op.require(others, "input shape", &from, alloc::format!("{to:?} except along axis {axis}"))?;
    let (outer, rest) = from.split_at(axis);
    let [extent, inner @ ..] = rest else {
        return Err(op.refusal("axis", axis, alloc::format!("below {}", from.len())));
    };
    let by_reference = choice.isa == IsaKind::Reference;
    let gather = Move::Gather {
        elem: op.elem(op.output()),
        shape: [outer.iter().product(), *extent, inner.iter().product()],
        indices: op.constants(p.constants_first, to[axis]),
        by_reference,
        input: op.source(0)?,
    };
    let name = if by_reference {
        ("gather_reference", IsaKind::Reference)
    } else {
        ("gather_portable", IsaKind::Portable)
    };
    Ok((Action::Move(gather), name))
}

pub(super) fn tile(op: &Operator, choice: Choice) -> Result<(Action, KernelName), LoadError> {
    op.require_same_codes(0)?;
    let (shape, out) = (op.shape(op.input(0))?, op.shape(op.output())?);
    let multiple = shape.rank() == out.rank()
        && shape.as_slice().iter().zip(out.as_slice()).all(|(&s, &o)| o.is_multiple_of(s));
    op.require(
        multiple,
        "output shape",
        out.as_slice(),
        alloc::format!("multiples of {:?}", shape.as_slice()),
    )?;
    let (elem, input) = (op.elem(op.output()), op.source(0)?);
    let fast = Move::Tile { elem, shape, out, input: input.clone() };
    Ok(fast_or_naive(choice, moved(fast, "tile_portable"), Naive::Tile { elem, shape, out }, input))
}
