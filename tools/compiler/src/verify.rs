//! What can be proven of a file from itself: certificates, packed weights, constants.
//!
//! Each check returns one sentence per contradiction; an empty list is the proof.

use std::borrow::Cow;

use dyadic_format::{ModelView, Storage, TensorRecord};
use dyadic_kernels::pack::{packed_len, unpack};
use dyadic_kernels::params::Conv;

use crate::pack::{convolution, layout_of};
use crate::prove::prove;
use crate::records::{Program, codes, elem_of, interval};

mod constants;
mod rules;

pub use constants::check as constants;
pub(crate) use rules::makes;

/// A file's records with every weight in logical form.
#[derive(Debug)]
pub struct Logical<'a> {
    tensors: Cow<'a, [TensorRecord]>,
    weights: Cow<'a, [u8]>,
    view: ModelView<'a>,
}

impl<'a> Logical<'a> {
    /// Decodes packed weights where the file leaves the logical ones out.
    ///
    /// # Errors
    /// Weights that are in no layout this program knows.
    pub fn of(view: &ModelView<'a>) -> Result<Logical<'a>, String> {
        let mut logical =
            Logical { tensors: view.tensors().into(), weights: view.weights().into(), view: *view };
        for (number, op) in view.operators().iter().enumerate() {
            let operands = view.operator_inputs(op);
            let Some(&tensor) = operands.get(1) else { continue };
            let record = &logical.tensors[tensor as usize];
            if record.storage != Storage::PackedOnly as u8 {
                continue;
            }
            let Some((_, conv)) = convolution(&logical.program(), op) else { continue };
            let mut bytes = vec![0; record.bytes as usize];
            let decoded = view.packed_index().iter().filter(|p| p.operator as usize == number).any(|p| {
                layout_of(p.layout).is_some_and(|layout| unpack(layout, &conv, view.packed(p), &mut bytes))
            });
            if !decoded {
                return Err(format!("operator {number}: no packed weights that decode"));
            }
            let weights = logical.weights.to_mut();
            weights.resize(weights.len().next_multiple_of(64), 0);
            let offset = weights.len() as u64;
            weights.extend(bytes);
            let record = &mut logical.tensors.to_mut()[tensor as usize];
            record.storage = Storage::Constant as u8;
            record.offset = offset;
        }
        Ok(logical)
    }

    /// The records.
    pub fn program(&self) -> Program<'_> {
        Program { tensors: &self.tensors, weights: &self.weights, ..Program::of_view(&self.view) }
    }
}

/// (a) Recomputes every range and interval from the weights and compares them with the stored ones.
pub fn certificates(view: &ModelView) -> Vec<String> {
    let logical = match Logical::of(view) {
        Ok(logical) => logical,
        Err(problem) => return vec![problem],
    };
    let proof = match prove(&logical.program()) {
        Ok(proof) => proof,
        Err(overflow) => return vec![overflow.to_string()],
    };
    let mut problems = Vec::new();
    for (number, (record, range)) in view.tensors().iter().zip(&proof.ranges).enumerate() {
        if (record.lo, record.hi) != *range {
            let name = view.text(record.name);
            problems.push(format!(
                "tensor {number} '{name}': stored range {}..{}, proven {}..{}",
                record.lo, record.hi, range.0, range.1
            ));
        }
        // Kernels that sum in few bits count on the codes.
        let (least, most) = codes(record);
        if range.0 < least || most < range.1 {
            let name = view.text(record.name);
            problems.push(format!(
                "tensor {number} '{name}' may hold {}..{}, beyond its codes {least}..{most}",
                range.0, range.1
            ));
        }
    }
    for (number, (op, intervals)) in view.operators().iter().zip(&proof.intervals).enumerate() {
        let stored = view.operator_intervals(op);
        let name = view.text(op.name);
        if stored.len() != intervals.len() {
            problems.push(format!(
                "operator {number} ({name}): {} intervals, expected {}",
                stored.len(),
                intervals.len()
            ));
            continue;
        }
        let wrong = stored.iter().zip(intervals).enumerate().find(|(_, (s, i))| **s != interval(**i));
        if let Some((channel, (s, i))) = wrong {
            problems.push(format!(
                "operator {number} ({name}) channel {channel}: stored interval {}..{}, computed {}..{}",
                s.lo, s.hi, i.0, i.1
            ));
        }
    }
    problems
}

/// (b) Decodes every packed layout and compares it with the logical weights; padding must be zero.
pub fn packed(view: &ModelView) -> Vec<String> {
    let logical = match Logical::of(view) {
        Ok(logical) => logical,
        Err(problem) => return vec![problem],
    };
    let program = logical.program();
    let mut problems = Vec::new();
    for record in view.packed_index() {
        let number = record.operator as usize;
        let op = &view.operators()[number];
        let mut wrong = |what: &str| {
            problems.push(format!(
                "operator {number} ({}) layout {}: {what}",
                view.text(op.name),
                record.layout
            ));
        };
        match (layout_of(record.layout), convolution(&program, op)) {
            // Layouts of newer tools are passed over by the runtime, too.
            (None, _) => {}
            (Some(_), None) => wrong("packed weights of an operator that has none"),
            (Some(layout), Some((_, conv))) => check_packed(layout, &conv, view.packed(record), &mut wrong),
        }
    }
    problems
}

fn check_packed(
    layout: dyadic_kernels::registry::Layout,
    conv: &Conv,
    packed: &[u8],
    wrong: &mut dyn FnMut(&str),
) {
    if packed.len() != packed_len(layout, conv) {
        return wrong("wrong length");
    }
    let mut decoded = vec![0; conv.weights.len()];
    if !unpack(layout, conv, packed, &mut decoded) {
        wrong("does not decode: padding is not zero or a code is not one of a weight");
    } else if decoded != conv.weights {
        let at = decoded.iter().zip(conv.weights).position(|(a, b)| a != b).unwrap_or(0);
        wrong(&format!("byte {at} of the weights decodes to {}, expected {}", decoded[at], conv.weights[at]));
    }
}

/// One side of a table, from a record.
fn side(view: &ModelView, tensor: &TensorRecord) -> crate::quantize::table::Side {
    crate::quantize::table::Side {
        elem: elem_of(tensor),
        scale: scale(view, tensor),
        zero_point: tensor.zero_point,
    }
}

fn scale(view: &ModelView, tensor: &TensorRecord) -> f32 {
    view.scales(tensor).first().map_or(1.0, crate::quantize::scale::from_record)
}
