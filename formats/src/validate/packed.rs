//! Packed weights: the index, and that no weights are left out without a packed copy.

use core::mem::offset_of;

use crate::error::Problem;
use crate::operator::{OpKind, OperatorRecord};
use crate::place::{Checked, at};
use crate::records::PackedRecord;
use crate::section::SectionKind;
use crate::tensor::Storage;
use crate::view::ModelView;

use super::operator::has_weights;
use super::{Starts, row};

pub(super) fn packed(view: &ModelView, starts: &Starts) -> Checked {
    let mut pieces = row("packed weights", view.packed);
    let payload = (starts.section(SectionKind::Packed), view.packed);
    let mut last = None;
    for (i, record) in view.packed_index.iter().enumerate() {
        let p = starts.record(SectionKind::PackedIndex, i);
        p.range("operator number", record.operator.into(), 1, view.operators.len() as u64)?;
        let kind = OpKind::from_number(view.operators[record.operator as usize].kind);
        p.field(
            kind.is_some_and(has_weights),
            "operator number",
            record.operator,
            "an operator with weights",
        )?;
        let layout = at!(p, PackedRecord, layout);
        layout.field(record.layout != 0, "layout", record.layout, "a layout number")?;
        let key = Some((record.operator, record.layout));
        p.field(last < key, "packed index", record.operator, "operators in order, each layout once")?;
        last = key;
        let size = at!(p, PackedRecord, bytes);
        size.field(record.bytes != 0, "packed weights", record.bytes, "at least one byte")?;
        pieces.take_aligned(at!(p, PackedRecord, offset), record.offset, record.bytes, payload)?;
    }
    pieces.finish(payload.0, 1)?;
    for (i, op) in view.operators.iter().enumerate() {
        left_out(view, starts, i, op)?;
    }
    Ok(())
}

/// Weights whose logical bytes are left out must be there in some packed layout.
fn left_out(view: &ModelView, starts: &Starts, index: usize, op: &OperatorRecord) -> Checked {
    // Only weights may be packed only, and they are the second input.
    let Some(&weights) = view.operator_inputs(op).get(1) else { return Ok(()) };
    let only = view.tensors[weights as usize].storage == Storage::PackedOnly as u8;
    if only && view.packed_layouts(index).is_empty() {
        let p = starts.record(SectionKind::Operators, index);
        return p.at(offset_of!(OperatorRecord, operands_first)).fail(Problem::NotPacked { tensor: weights });
    }
    Ok(())
}
