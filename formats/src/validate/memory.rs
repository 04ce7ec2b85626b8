//! The order of execution and the memory plan: every value that is read was written and is still there.
//!
//! The arena is followed write by write. A map holds the pieces of the arena that still carry a whole value; a write
//! takes away every piece that it touches and adds its own, so each piece is added and taken away once and the work is
//! `n log n` in the number of operators and operands.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use core::mem::offset_of;

use crate::error::{FormatError, Problem};
use crate::operator::{NO_TABLE, OpKind, OperatorRecord, Params};
use crate::place::{Checked, Place};
use crate::section::SectionKind;
use crate::tensor::TensorRecord;
use crate::view::ModelView;

use super::Starts;
use super::tensor::in_arena;

/// A value in the arena: the number of the tensor that it was written for.
type Value = u32;

/// What is known of a tensor at a point of the execution.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing has named it so far.
    New,
    /// A constant that an operator has read.
    Constant,
    /// An arena tensor that was written and holds this value.
    Written(Value),
}

struct Arena<'v, 'a> {
    view: &'v ModelView<'a>,
    states: Vec<State>,
    /// First byte of a piece to its end and value. Pieces do not overlap.
    pieces: BTreeMap<u64, (u64, Value)>,
}

/// Follows a run from the model's inputs to its outputs.
pub(super) fn plan(view: &ModelView, starts: &Starts) -> Checked {
    let mut arena = Arena { view, states: vec![State::New; view.tensors.len()], pieces: BTreeMap::new() };
    let mut end = 0;
    for (i, &number) in view.inputs.iter().enumerate() {
        let p = starts.record(SectionKind::Inputs, i);
        let (start, stop) = region(&view.tensors[number as usize]);
        if let Some(other) = arena.first_in(start, stop) {
            p.fail(Problem::Overlap { tensor: number, other })?;
        }
        arena.write(p, number)?;
        end = end.max(stop);
    }
    for (i, op) in view.operators.iter().enumerate() {
        arena.operator(starts, op, starts.record(SectionKind::Operators, i))?;
        let stops = view.operator_outputs(op).iter().map(|&t| region(&view.tensors[t as usize]).1);
        end = stops.fold(end, u64::max);
    }
    for (i, &number) in view.outputs.iter().enumerate() {
        arena.read(starts.record(SectionKind::Outputs, i), number)?;
    }
    for (i, &state) in arena.states.iter().enumerate() {
        if state == State::New {
            let tensor = i as u32;
            starts.record(SectionKind::Tensors, i).fail(Problem::Unused { tensor })?;
        }
    }
    let p = Place { offset: offset_of!(crate::header::Header, arena_bytes) as u64 };
    let size = view.header.arena_bytes;
    // Every end is at most the arena size, so rounding up does not overflow.
    let whole = size == end.next_multiple_of(crate::ALIGNMENT as u64);
    p.field(whole, "arena size", size, "the end of the last tensor, rounded up to 64")
}

/// First byte in the arena, and the byte behind the last.
fn region(tensor: &TensorRecord) -> (u64, u64) {
    (tensor.offset, tensor.offset + tensor.bytes)
}

impl Arena<'_, '_> {
    /// The value of the first piece that shares bytes with `start..stop`, and where that piece begins.
    fn overlapping(&self, start: u64, stop: u64) -> Option<(u64, Value)> {
        let before = self.pieces.range(..start).next_back().filter(|&(_, &(end, _))| end > start);
        let found = before.or_else(|| self.pieces.range(start..stop).next());
        found.map(|(&first, &(_, value))| (first, value))
    }

    fn first_in(&self, start: u64, stop: u64) -> Option<Value> {
        self.overlapping(start, stop).map(|(_, value)| value)
    }

    /// Gives the bytes of a tensor to it, which nothing has written before.
    fn write(&mut self, p: Place, number: u32) -> Checked {
        self.first_write(p, number, number)?;
        let (start, stop) = region(&self.view.tensors[number as usize]);
        while let Some((first, _)) = self.overlapping(start, stop) {
            self.pieces.remove(&first);
        }
        self.pieces.insert(start, (stop, number));
        Ok(())
    }

    fn first_write(&mut self, p: Place, number: u32, value: Value) -> Checked {
        let state = &mut self.states[number as usize];
        if *state != State::New {
            return p.fail(Problem::WrittenTwice { tensor: number });
        }
        *state = State::Written(value);
        Ok(())
    }

    /// Checks that a tensor still holds what was written; returns the value in its bytes, none for a constant.
    fn read(&mut self, p: Place, number: u32) -> Result<Option<Value>, FormatError> {
        let tensor = &self.view.tensors[number as usize];
        if !in_arena(tensor.storage) {
            self.states[number as usize] = State::Constant;
            return Ok(None);
        }
        let State::Written(value) = self.states[number as usize] else {
            return Err(FormatError { offset: p.offset, problem: Problem::NotWritten { tensor: number } });
        };
        let (start, stop) = region(tensor);
        if self.pieces.get(&start) != Some(&(stop, value)) {
            return Err(FormatError { offset: p.offset, problem: Problem::Overwritten { tensor: number } });
        }
        Ok(Some(value))
    }

    /// The inputs are read, then the output is written; in the same bytes only where that is the same to the operator.
    fn operator(&mut self, starts: &Starts, op: &OperatorRecord, p: Place) -> Checked {
        let list = starts.section(SectionKind::Operands).at(4 * op.operands_first as usize);
        let view = self.view;
        let [output] = *view.operator_outputs(op) else { return Ok(()) };
        let to = region(&view.tensors[output as usize]);
        let mut first = None;
        // Where the next branch of a concatenation ends up when whole branches lie one after another.
        let mut branch = to.0;
        for (i, &number) in view.operator_inputs(op).iter().enumerate() {
            let value = self.read(list.at(4 * i), number)?;
            first = first.or(value);
            let input = &view.tensors[number as usize];
            let from = region(input);
            let shared = value.is_some() && from.0 < to.1 && to.0 < from.1;
            if shared && !self.may_share(op, i, from, to, branch) {
                list.at(4 * i).fail(Problem::Overlap { tensor: output, other: number })?;
            }
            branch += input.bytes;
        }
        // A reshape in place moves nothing: its input stays readable under both numbers.
        let same = view.operator_inputs(op).first().is_some_and(|&t| region(&view.tensors[t as usize]) == to);
        match first {
            Some(value) if same && op.kind == OpKind::Reshape as u16 => self.first_write(p, output, value),
            _ => self.write(p, output),
        }
    }

    /// Whether input `index` in the bytes `from` may share bytes with the output in `to`: tables and an addition of equal
    /// shapes may overwrite their first input element by element, a concatenation may find a branch at `branch`, where
    /// it would copy it.
    fn may_share(
        &self,
        op: &OperatorRecord,
        index: usize,
        from: (u64, u64),
        to: (u64, u64),
        branch: u64,
    ) -> bool {
        let shape = |number: u32| self.view.tensors[number as usize].shape();
        let (inputs, outputs) = (self.view.operator_inputs(op), self.view.operator_outputs(op));
        let [output] = *outputs else { return false };
        let in_place = index == 0 && from == to && inputs.iter().all(|&input| shape(input) == shape(output));
        match self.view.params(op) {
            Params::Reshape(_) => from == to,
            Params::Table(_) | Params::ChannelTable(_) | Params::Add(_) | Params::Sub(_) => in_place,
            Params::Concat(c) => {
                let outer = shape(output).get(..c.axis as usize).unwrap_or(&[]);
                let copied = self.view.concat_tables(op).get(index) == Some(&NO_TABLE);
                copied && from.0 == branch && from.1 <= to.1 && outer.iter().all(|&extent| extent == 1)
            }
            Params::Conv2d(_) | Params::DepthwiseConv2d(_) | Params::FullyConnected(_) => false,
            Params::AveragePool2d(_) | Params::MaxPool2d(_) | Params::Mean(_) | Params::Pad(_) => false,
            Params::StridedCopy(_) | Params::Tile(_) | Params::Softmax(_) => false,
            Params::Mul(_) | Params::Requantize(_) => false,
            Params::ResizeBilinear(_) | Params::ResizeNearest(_) | Params::ArgMax(_) | Params::Gather(_) => {
                false
            }
        }
    }
}
