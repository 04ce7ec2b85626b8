//! The memory plan under check: every value that is read is still the one that was made.

use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use dyadic_format::{ModelView, OpKind, Storage, TensorRecord};

use super::operator::Operator;
use crate::error::LoadError;
use crate::step::{Action, Move, Step};

/// Which value every byte of the arena holds, as disjoint pieces by their first byte.
struct Arena {
    pieces: BTreeMap<u64, (u64, usize)>,
    values: usize,
}

impl Arena {
    /// A new value takes all of `range`.
    fn write(&mut self, range: Range<u64>) -> usize {
        self.cut(range.start);
        self.cut(range.end);
        let inside: Vec<u64> = self.pieces.range(range.clone()).map(|(&start, _)| start).collect();
        for start in inside {
            self.pieces.remove(&start);
        }
        self.values += 1;
        self.pieces.insert(range.start, (range.end, self.values));
        self.values
    }

    /// Splits the piece across byte `at`.
    fn cut(&mut self, at: u64) {
        if let Some((_, piece)) = self.pieces.range_mut(..at).next_back()
            && piece.0 > at
        {
            let rest = *piece;
            piece.0 = at;
            self.pieces.insert(at, rest);
        }
    }

    /// Whether all of `range` holds `value`.
    fn holds(&self, range: Range<u64>, value: usize) -> bool {
        self.pieces
            .range(..=range.start)
            .next_back()
            .is_some_and(|(_, &(end, found))| end >= range.end && found == value)
    }
}

fn bytes(tensor: &TensorRecord) -> Range<u64> {
    tensor.offset..tensor.offset + tensor.bytes
}

/// Follows a run through the arena. Every arena tensor that an operator reads, and every output of the model, must
/// have been made before and not been overwritten since.
pub(super) fn check(view: &ModelView, steps: &[Step]) -> Result<(), LoadError> {
    let mut arena = Arena { pieces: BTreeMap::new(), values: 0 };
    // The value that each tensor was made as; 0 is none.
    let mut values = vec![0; view.tensors().len()];
    for &number in view.inputs() {
        values[number as usize] = arena.write(bytes(&view.tensors()[number as usize]));
    }
    for (index, step) in steps.iter().enumerate() {
        let op = Operator::new(view, index)?;
        let reads = op.input_numbers().iter().map(|&n| n as usize);
        let arena_reads = || reads.clone().filter(|&n| view.tensors()[n].storage == Storage::Arena as u8);
        for number in arena_reads() {
            let tensor = &view.tensors()[number];
            let there = values[number] != 0 && arena.holds(bytes(tensor), values[number]);
            let expected = "a value that was made before and not been overwritten";
            op.require(there, "an input", format_args!("'{}'", view.text(tensor.name)), expected)?;
        }
        match (&step.action, op.kind()) {
            // The output is another name of the input's bytes.
            (Action::Move(Move::Nothing), OpKind::Reshape) => {
                values[op.output_number()] = values[op.input_numbers()[0] as usize];
            }
            _ => {
                let output = bytes(op.output());
                let made = arena.write(output.clone());
                values[op.output_number()] = made;
                // Branches that were made in their place of a concatenation hold their values on.
                if op.kind() == OpKind::Concat {
                    let inside = |n: &usize| {
                        let place = bytes(&view.tensors()[*n]);
                        output.start <= place.start && place.end <= output.end
                    };
                    arena_reads().filter(inside).for_each(|n| values[n] = made);
                }
            }
        }
    }
    for &number in view.outputs() {
        let tensor = &view.tensors()[number as usize];
        if values[number as usize] == 0 || !arena.holds(bytes(tensor), values[number as usize]) {
            return Err(LoadError::Tensor {
                name: view.text(tensor.name).to_string(),
                what: "an output of the model",
                found: "overwritten or never made".to_string(),
                expected: "a value that lives to the end",
            });
        }
    }
    Ok(())
}
