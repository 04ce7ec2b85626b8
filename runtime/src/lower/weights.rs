//! Weights in the layout of a kernel: from the file where they lie, else packed at load.

use alloc::string::ToString;

use dyadic_format::Storage;
use dyadic_format::section::SectionKind;
use dyadic_kernels::pack::{pack, packed_len, unpack};
use dyadic_kernels::params::Conv;
use dyadic_kernels::registry::{Kernel, Layout};

use super::operator::Operator;
use super::{Lowering, section_start};
use crate::arena::Aligned;
use crate::error::{LoadError, Warning};
use crate::step::Weights;

/// The layouts that a file may hold, by their numbers there.
const LAYOUTS: [(u32, Layout); 2] = [(1, Layout::Panels16x2), (2, Layout::Depthwise32x2)];

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
    let bytes = packed_len(kernel.layout, params);
    if kernel.layout == Layout::Logical {
        if let Some(range) = logical {
            return Ok(Weights::File(range));
        }
        let memory = decode(op, params, state)?;
        return Ok(keep(op, kernel, memory, bytes, state));
    }
    let number = LAYOUTS.iter().find(|(_, layout)| *layout == kernel.layout).map(|(number, _)| *number);
    let found = op.packed().iter().find(|record| Some(record.layout) == number);
    if let Some(record) = found {
        op.require(record.bytes == bytes as u64, "packed weight size", record.bytes, bytes)?;
        let start = section_start(op.view, SectionKind::Packed) + record.offset as usize;
        return Ok(Weights::File(start..start + bytes));
    }
    let decoded;
    let weights = match logical {
        Some(range) => &op.view.file()[range],
        None => {
            decoded = decode(op, params, state)?;
            decoded.bytes()
        }
    };
    let mut memory = state.budget.allocate(bytes as u64)?;
    let packed = pack(kernel.layout, &Conv { weights, ..*params }, memory.bytes_mut());
    op.require(packed, "weights", kernel.layout, "a type that the kernel's layout holds")?;
    Ok(keep(op, kernel, memory, bytes, state))
}

/// Keeps weights that were made at load.
fn keep(
    op: &Operator,
    kernel: &'static Kernel,
    memory: Aligned,
    bytes: usize,
    state: &mut Lowering,
) -> Weights {
    let (operator, name, kernel) = (op.index(), op.name().to_string(), kernel.name);
    state.warnings.push(Warning::Repacked { operator, name, kernel, bytes });
    state.repacked.push(memory);
    Weights::Repacked(state.repacked.len() - 1)
}

/// The logical weights of a file that holds them only packed.
fn decode(op: &Operator, params: &Conv, state: &mut Lowering) -> Result<Aligned, LoadError> {
    for record in op.packed() {
        let Some(&(_, layout)) = LAYOUTS.iter().find(|(number, _)| *number == record.layout) else {
            continue;
        };
        let mut logical = state.budget.allocate(op.input(1).bytes)?;
        if unpack(layout, params, op.view.packed(record), logical.bytes_mut()) {
            return Ok(logical);
        }
    }
    Err(op.refusal("weights", format_args!("left out"), "logical weights, or packed ones of a known layout"))
}
