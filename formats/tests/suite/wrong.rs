//! Ways to be wrong, one row each: what is changed, what is said about it, and where.

use std::mem::offset_of;

use dyadic_format::records::ProvenanceRecord;
use dyadic_format::section::SectionKind;
use dyadic_format::{Contents, OperatorRecord, Problem, TensorRecord};

use crate::models::mixed;
use crate::seal::{error, file, section};

mod frame;
mod operators;
mod records;

/// What is expected of an error.
enum Says {
    /// [`Problem::Field`] of this field with this value.
    Field(&'static str, i64),
    /// [`Problem::Range`] of this field.
    Range(&'static str),
    /// [`Problem::Field`] of this field, whose value follows from the model.
    Names(&'static str),
    /// Exactly this.
    Exactly(Problem),
}

impl Says {
    fn fits(&self, problem: Problem) -> bool {
        match (self, problem) {
            (&Says::Field(name, value), Problem::Field { field, found, .. }) => {
                (name, value) == (field, found)
            }
            (&Says::Range(name), Problem::Range { field, .. }) => name == field,
            (&Says::Names(name), Problem::Field { field, .. }) => name == field,
            (&Says::Exactly(expected), problem) => expected == problem,
            (Says::Field(..) | Says::Range(_) | Says::Names(_), _) => false,
        }
    }
}

/// A change of the contents, what is said, and where: a section and a byte in it.
type Row = (&'static str, fn(&mut Contents), Says, SectionKind, usize);

fn refuse(rows: &[Row]) {
    // Under Miri, which is slow, a part of the rows.
    for (name, change, says, kind, at) in rows.iter().step_by(if cfg!(miri) { 7 } else { 1 }) {
        let mut contents = mixed();
        change(&mut contents);
        let bytes = file(&contents);
        let error = error(&bytes).unwrap_or_else(|| panic!("{name}: opened"));
        assert!(says.fits(error.problem), "{name}: {error}");
        let offset = (section(&bytes, *kind).0 + at) as u64;
        assert_eq!(error.offset, offset, "{name}: {error}, not in {}", kind.name());
    }
}

/// Byte of a field of tensor `i`.
const fn t(i: usize, field: usize) -> usize {
    i * size_of::<TensorRecord>() + field
}

/// Byte of a field of operator `i`.
const fn o(i: usize, field: usize) -> usize {
    i * size_of::<OperatorRecord>() + field
}

/// Byte of a field of the parameters of operator `i`.
const fn p(i: usize, field: usize) -> usize {
    o(i, offset_of!(OperatorRecord, params)) + field
}

/// Sets parameter word `field / 4` of operator `i`.
fn set(c: &mut Contents, i: usize, field: usize, value: i32) {
    c.operators[i].params[field / 4] = value;
}

macro_rules! of {
    ($record:ty, $field:ident) => {
        offset_of!($record, $field)
    };
}
use of;

pub fn provenance(c: &mut Contents) -> &mut ProvenanceRecord {
    c.provenance.as_mut().expect("the model has one")
}

/// Number of a tensor of the model.
pub fn number(name: &str) -> usize {
    let c = mixed();
    let is =
        |t: &TensorRecord| &c.strings[t.name.offset as usize..][..t.name.bytes as usize] == name.as_bytes();
    c.tensors.iter().position(is).expect("a tensor of the model")
}

pub fn tensor<'c>(c: &'c mut Contents, name: &str) -> &'c mut TensorRecord {
    &mut c.tensors[number(name)]
}
