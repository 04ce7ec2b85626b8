//! Weights in the layout of a kernel: from the file where they lie, else packed at load.

use core::ops::Range;

use dyadic_format::section::SectionKind;
use dyadic_format::{AlignedBytes, Storage};
use dyadic_kernels::pack::{pack, packed_len, padding_is_neutral, unpack};
use dyadic_kernels::params::Conv;
use dyadic_kernels::registry::{Kernel, Layout};

use super::operator::Operator;
use super::{Lowering, section_start};
use crate::error::{LoadError, Warning};
use crate::step::Weights;

/// The layouts that a file may hold, by their numbers there.
const LAYOUTS: [(u32, Layout); 4] =
    [(1, Layout::Panels16x2), (2, Layout::Depthwise32x2), (3, Layout::Panels16x4), (4, Layout::Panels16x8)];

/// A form of weights that was made at load: tensor, number of the layout (0 for logical), groups. The tensor has the
/// type and all other extents.
pub(super) type Form = (u32, u32, usize);

/// The weights of a convolution for `kernel`.
pub(super) fn bind(
    op: &Operator,
    kernel: &'static Kernel,
    params: &Conv,
    state: &mut Lowering,
) -> Result<Weights, LoadError> {
    let weights = op.input(1);
    let logical = match Storage::from_number(weights.storage) {
        Some(Storage::Constant) => Some(op.constant(weights)),
        Some(Storage::PackedOnly) => None,
        Some(Storage::Arena) | None => {
            return Err(op.refusal("weight storage", weights.storage, "a constant"));
        }
    };
    if let (Layout::Logical, Some(range)) = (kernel.layout, &logical) {
        return Ok(Weights::File(range.clone()));
    }
    let number = LAYOUTS.iter().find(|(_, layout)| *layout == kernel.layout).map_or(0, |(number, _)| *number);
    if let Some(range) = in_file(op, kernel.layout, number, params)? {
        return Ok(Weights::File(range));
    }
    let form = (op.weight_number(), number, params.groups);
    if let Some(&made) = state.forms.get(&form) {
        return Ok(Weights::Repacked(made));
    }
    let memory = match logical {
        Some(range) => {
            repack(op, kernel.layout, &Conv { weights: &op.view.file()[range], ..*params }, state)?
        }
        None if kernel.layout == Layout::Logical => decode(op, params, state)?,
        None => {
            let weights = decode(op, params, state)?;
            let packed = repack(op, kernel.layout, &Conv { weights: &weights, ..*params }, state)?;
            state.budget.release(weights.len() as u64);
            packed
        }
    };
    let (operator, name, bytes) = (op.index(), state.model.name(op.text()), memory.len());
    state.warnings.push(Warning::Repacked { operator, name, kernel: kernel.name, bytes });
    state.forms.insert(form, state.repacked.len());
    state.repacked.push(memory);
    Ok(Weights::Repacked(state.repacked.len() - 1))
}

/// Where the operator's weights lie packed in that layout, if they do. Kernels count on what lies behind the weights:
/// padding that adds nothing. That the weights are the logical ones is left to `verify`.
fn in_file(
    op: &Operator,
    layout: Layout,
    number: u32,
    params: &Conv,
) -> Result<Option<Range<usize>>, LoadError> {
    let Some(record) = op.packed().iter().find(|record| record.layout == number) else { return Ok(None) };
    let bytes = packed_len(layout, params);
    op.require(record.bytes == bytes as u64, "packed weight size", record.bytes, bytes)?;
    let neutral = padding_is_neutral(layout, params, op.view.packed(record));
    op.require(neutral, "padding of packed weights", layout, "padding that adds nothing")?;
    let start = section_start(op.view, SectionKind::Packed) + record.offset as usize;
    Ok(Some(start..start + bytes))
}

/// `params.weights` in that layout.
fn repack(
    op: &Operator,
    layout: Layout,
    params: &Conv,
    state: &mut Lowering,
) -> Result<AlignedBytes, LoadError> {
    let mut memory = state.budget.allocate(packed_len(layout, params) as u64)?;
    let packed = pack(layout, params, &mut memory);
    op.require(packed, "weights", layout, "a type that the kernel's layout holds")?;
    Ok(memory)
}

/// The logical weights of a file that holds them only packed.
fn decode(op: &Operator, params: &Conv, state: &mut Lowering) -> Result<AlignedBytes, LoadError> {
    let bytes = op.input(1).bytes;
    for record in op.packed() {
        let Some(&(_, layout)) = LAYOUTS.iter().find(|(number, _)| *number == record.layout) else {
            continue;
        };
        if record.bytes != packed_len(layout, params) as u64 {
            continue;
        }
        let mut logical = state.budget.allocate(bytes)?;
        if unpack(layout, params, op.view.packed(record), &mut logical) {
            return Ok(logical);
        }
        state.budget.release(bytes);
    }
    Err(op.refusal("weights", format_args!("left out"), "logical weights, or packed ones of a known layout"))
}
