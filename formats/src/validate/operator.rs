//! Operator records: kind, rule, operands, intervals.

use crate::operator::{NO_TABLE, OpKind, OperatorRecord, Params, Rule};
use crate::place::{Checked, Place, Row, at};
use crate::records::IntervalRecord;
use crate::section::SectionKind;
use crate::tensor::{Storage, TensorRecord};
use crate::view::ModelView;

use super::tensor::in_arena;
use super::{Starts, TablesInUse, params, row};

pub(super) fn operators(view: &ModelView, starts: &Starts, tables: &mut TablesInUse) -> Checked {
    let mut operands = row("operands", view.operands);
    let mut intervals = row("intervals", view.intervals);
    let mut constants = row("constants", view.constants);
    for (i, op) in view.operators.iter().enumerate() {
        let p = starts.record(SectionKind::Operators, i);
        p.text("operator name", op.name, starts.strings)?;
        let (kind, rule) = kind_and_rule(p, op)?;
        let count = arity(p, op, kind)?;
        operands.take(at!(p, OperatorRecord, operands_first), op.operands_first.into(), count)?;
        let list = starts.section(SectionKind::Operands);
        let output = tensors(view, op, kind, list)?;
        let first = op.operands_first as usize + usize::from(op.inputs) + 1;
        for (k, &table) in view.concat_tables(op).iter().enumerate() {
            if table != NO_TABLE {
                tables.take(list.at(4 * (first + k)), table, 1)?;
            }
        }
        interval_count(p, op, kind, output, &mut intervals)?;
        at!(p, OperatorRecord, reserved).field(op.reserved == 0, "reserved", op.reserved, "0")?;
        let words = Params::from_words(kind, &op.params);
        let place = at!(p, OperatorRecord, params);
        let differs = |(word, read): (&i32, &i32)| word != read;
        if let Some(i) = op.params.iter().zip(&words.words()).position(differs) {
            place.at(4 * i).field(false, "unused parameters", op.params[i], "0")?;
        }
        let input = &view.tensors[view.operator_inputs(op)[0] as usize];
        params::Check {
            place,
            rule,
            input,
            output,
            payload: starts.section(SectionKind::Constants),
            values: view.constants,
            constants: &mut constants,
            tables,
        }
        .check(&words)?;
    }
    operands.finish(starts.section(SectionKind::Operands), 4)?;
    constants.finish(starts.section(SectionKind::Constants), 4)?;
    intervals.finish(starts.section(SectionKind::Intervals), size_of::<IntervalRecord>())
}

fn kind_and_rule(p: Place, op: &OperatorRecord) -> Result<(OpKind, Rule), crate::FormatError> {
    let (kind, rule) = (OpKind::from_number(op.kind), Rule::from_number(op.rule));
    at!(p, OperatorRecord, kind).field(kind.is_some(), "operator kind", op.kind, "a known operator")?;
    // Both numbers are known behind their checks.
    let (kind, known) = (kind.unwrap_or(OpKind::Reshape), rule.unwrap_or(Rule::Move));
    let rule_ok = rule.is_some() && allowed(kind).contains(&known);
    at!(p, OperatorRecord, rule).field(rule_ok, "rule", op.rule, "a rule of this operator")?;
    Ok((kind, known))
}

/// Whether the second input of an operator is a weight tensor.
pub(super) const fn has_weights(kind: OpKind) -> bool {
    matches!(kind, OpKind::Conv2d | OpKind::DepthwiseConv2d | OpKind::FullyConnected)
}

/// Checks the number of inputs and outputs; returns the number of entries in `Operands`.
fn arity(p: Place, op: &OperatorRecord, kind: OpKind) -> Result<u64, crate::FormatError> {
    let ok = match kind {
        OpKind::Concat => op.inputs >= 1,
        OpKind::Conv2d | OpKind::DepthwiseConv2d | OpKind::FullyConnected => op.inputs == 2,
        OpKind::Add | OpKind::Sub | OpKind::Mul => op.inputs == 2,
        OpKind::AveragePool2d | OpKind::MaxPool2d | OpKind::Mean | OpKind::Pad | OpKind::Reshape => {
            op.inputs == 1
        }
        OpKind::StridedCopy | OpKind::Tile | OpKind::Table | OpKind::Requantize | OpKind::Softmax => {
            op.inputs == 1
        }
        OpKind::ResizeBilinear | OpKind::ResizeNearest | OpKind::ArgMax => op.inputs == 1,
        OpKind::Gather | OpKind::ChannelTable => op.inputs == 1,
    };
    at!(p, OperatorRecord, inputs).field(ok, "input count", op.inputs, "the inputs of this operator")?;
    at!(p, OperatorRecord, outputs).field(op.outputs == 1, "output count", op.outputs, "1")?;
    let tables = if kind == OpKind::Concat { op.inputs } else { 0 };
    Ok(u64::from(op.inputs) + u64::from(op.outputs) + u64::from(tables))
}

/// Checks the tensor numbers; returns the output. Weights are constant, everything else has its logical bytes.
fn tensors<'a>(
    view: &ModelView<'a>,
    op: &OperatorRecord,
    kind: OpKind,
    list: Place,
) -> Result<&'a TensorRecord, crate::FormatError> {
    let first = op.operands_first as usize;
    let inputs = usize::from(op.inputs);
    for (k, &number) in view.operands[first..=first + inputs].iter().enumerate() {
        let p = list.at(4 * (first + k));
        p.range("tensor number", number.into(), 1, view.tensors.len() as u64)?;
        let storage = view.tensors[number as usize].storage;
        let arena = in_arena(storage);
        if k == inputs {
            p.field(arena, "output storage", storage, "arena")?;
        } else if has_weights(kind) && k == 1 {
            p.field(!arena, "weight storage", storage, "constant or packed only")?;
        } else {
            let packed = storage == Storage::PackedOnly as u8;
            p.field(!packed, "input storage", storage, "arena or constant")?;
        }
    }
    Ok(&view.tensors[view.operands[first + inputs] as usize])
}

fn interval_count(
    p: Place,
    op: &OperatorRecord,
    kind: OpKind,
    output: &TensorRecord,
    intervals: &mut Row,
) -> Checked {
    let channels = params::channels(output);
    let ok = op.intervals_count == 0 || has_weights(kind) && op.intervals_count == channels;
    let expected = "one per output channel of a convolution, or none";
    at!(p, OperatorRecord, intervals_count).field(ok, "interval count", op.intervals_count, expected)?;
    let first = at!(p, OperatorRecord, intervals_first);
    intervals.take(first, op.intervals_first.into(), op.intervals_count.into())
}

/// The rules that an operator may name.
const fn allowed(kind: OpKind) -> &'static [Rule] {
    match kind {
        OpKind::Conv2d | OpKind::DepthwiseConv2d | OpKind::FullyConnected => {
            &[Rule::RequantOnce, Rule::RequantTwice, Rule::RequantOnceAway, Rule::Accumulate]
        }
        OpKind::Requantize => &[Rule::RequantOnce, Rule::RequantTwice, Rule::RequantOnceAway],
        OpKind::Add | OpKind::Sub => &[Rule::AddJoint, Rule::AddSeparate, Rule::AddTflite],
        OpKind::Mul => &[Rule::MulOnce, Rule::MulTwice],
        OpKind::AveragePool2d => &[Rule::AverageOnce, Rule::AverageHalfAway],
        OpKind::MaxPool2d => &[Rule::Max],
        OpKind::Mean => &[Rule::MeanOnce, Rule::MeanTwice],
        OpKind::Pad | OpKind::Concat | OpKind::Reshape | OpKind::StridedCopy | OpKind::Tile => &[Rule::Move],
        OpKind::Gather => &[Rule::Move],
        OpKind::Table | OpKind::ChannelTable => &[Rule::Table],
        OpKind::Softmax => &[Rule::Softmax],
        OpKind::ResizeBilinear => &[Rule::Bilinear10, Rule::BilinearRational, Rule::BilinearSingle],
        OpKind::ResizeNearest => &[Rule::Nearest, Rule::NearestSingle],
        OpKind::ArgMax => &[Rule::ArgMax],
    }
}
