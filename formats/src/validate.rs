//! Checks every record of a file once. Each function returns the first thing that is wrong.
//!
//! Work is bounded by the length of the file, because the pieces of a section that records point at may not be
//! shared: scales and constants lie in the order of tensors, operands, constants and intervals in the order of
//! operators ([`Row`]).

mod memory;
mod metadata;
mod operator;
mod packed;
mod params;
mod tensor;

use alloc::vec;
use alloc::vec::Vec;
use core::mem::offset_of;

use crate::error::{FormatError, Problem};
use crate::place::{Checked, Place, Row};
use crate::records::{IntervalRecord, ScaleRecord};
use crate::section::SectionKind;
use crate::view::ModelView;

/// Largest arena, in bytes.
pub(crate) const MAX_ARENA: u64 = 1 << 40;

/// Checks what the sections of a file hold.
pub(crate) fn records(view: &ModelView) -> Checked {
    let starts = Starts { view, strings: strings(view)? };
    for (i, scale) in view.scales.iter().enumerate() {
        check_scale(starts.record(SectionKind::Scales, i), scale)?;
    }
    for (i, interval) in view.intervals.iter().enumerate() {
        check_interval(starts.record(SectionKind::Intervals, i), interval)?;
    }
    tensor::tensors(view, &starts)?;
    interface(view, &starts)?;
    let mut tables = TablesInUse(vec![false; view.tables.len()]);
    operator::operators(view, &starts, &mut tables)?;
    packed::packed(view, &starts)?;
    memory::plan(view, &starts)?;
    metadata::metadata(view, &starts, &mut tables)?;
    tables.finish(starts.section(SectionKind::Tables))
}

/// Where the sections of a file start, and its text.
struct Starts<'v, 'a> {
    view: &'v ModelView<'a>,
    strings: &'a str,
}

impl Starts<'_, '_> {
    /// The payload of a section; the start of the file when it is absent, where nothing is ever checked.
    fn section(&self, kind: SectionKind) -> Place {
        let found = self.view.sections.iter().find(|s| s.kind == kind as u32);
        Place { offset: found.map_or(0, |s| s.offset) }
    }

    /// Record `index` of a section.
    fn record(&self, kind: SectionKind, index: usize) -> Place {
        self.section(kind).at(index * kind.record_bytes())
    }
}

/// The tables that something refers to. Tables may be shared.
struct TablesInUse(Vec<bool>);

impl TablesInUse {
    /// `count` tables from `first` on.
    fn take(&mut self, p: Place, first: u32, count: u32) -> Checked {
        p.range("table number", first.into(), count.into(), self.0.len() as u64)?;
        self.0[first as usize..][..count as usize].fill(true);
        Ok(())
    }

    fn finish(&self, section: Place) -> Checked {
        match self.0.iter().position(|used| !used) {
            None => Ok(()),
            Some(i) => section.at(i * SectionKind::Tables.record_bytes()).field(
                false,
                "table number",
                i,
                "a table that is used",
            ),
        }
    }
}

fn check_scale(p: Place, scale: &ScaleRecord) -> Checked {
    let (mantissa, exponent) = (scale.mantissa, i32::from(scale.exponent));
    let mantissa_ok = (1..1 << 24).contains(&mantissa);
    p.field(mantissa_ok, "scale mantissa", mantissa, "1 to 2^24 - 1")?;
    let exponent_ok = exponent >= -149 && exponent + 32 - mantissa.leading_zeros() as i32 <= 128;
    let expected = "-149 or more, the scale below 2^128";
    p.at(offset_of!(ScaleRecord, exponent)).field(exponent_ok, "scale exponent", exponent, expected)?;
    p.at(offset_of!(ScaleRecord, reserved)).field(scale.reserved == 0, "reserved", scale.reserved, "0")
}

fn check_interval(p: Place, interval: &IntervalRecord) -> Checked {
    let IntervalRecord { lo, hi } = *interval;
    p.field(lo >= i32::MIN.into(), "interval", lo, "a lower bound of 32 bits")?;
    let p = p.at(offset_of!(IntervalRecord, hi));
    p.field(
        lo <= hi && hi <= i32::MAX.into(),
        "interval",
        hi,
        "an upper bound of 32 bits, not below the lower",
    )
}

/// The section `Strings`, which must be UTF-8 as a whole.
fn strings<'a>(view: &ModelView<'a>) -> Result<&'a str, FormatError> {
    core::str::from_utf8(view.strings).map_err(|error| {
        let start =
            view.sections.iter().find(|s| s.kind == SectionKind::Strings as u32).map_or(0, |s| s.offset);
        let found = view.strings.get(error.valid_up_to()).copied().unwrap_or(0).into();
        let problem = Problem::Field { field: "text", found, expected: "UTF-8" };
        FormatError { offset: start + error.valid_up_to() as u64, problem }
    })
}

/// Model inputs and outputs: at least one each, all in the arena. An output may be given more than once; their number
/// is bounded, so that what a reader keeps of each is bounded by the tensors of the file.
fn interface(view: &ModelView, starts: &Starts) -> Checked {
    for (kind, list) in [(SectionKind::Inputs, view.inputs), (SectionKind::Outputs, view.outputs)] {
        let p = starts.section(kind);
        p.field(!list.is_empty(), kind.name(), list.len(), "at least one tensor number")?;
        p.field(list.len() <= view.tensors.len(), kind.name(), list.len(), "at most as many as tensors")?;
        for (i, &number) in list.iter().enumerate() {
            let p = starts.record(kind, i);
            p.range("tensor number", number.into(), 1, view.tensors.len() as u64)?;
            let storage = view.tensors[number as usize].storage;
            p.field(tensor::in_arena(storage), "storage", storage, "arena")?;
        }
    }
    Ok(())
}

/// A row over a section of the view.
fn row<T>(field: &'static str, section: &[T]) -> Row {
    Row::new(field, section.len())
}
