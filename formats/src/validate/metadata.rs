//! What a run does not need: provenance, recipe, labels, golden records, signature.

use crate::place::{Checked, at};
use crate::records::{ChannelOrder, GoldenRecord, ProvenanceRecord, RecipeRecord};
use crate::section::{SectionKind, SectionRecord};
use crate::view::ModelView;

use super::{Starts, TablesInUse};

pub(super) fn metadata(view: &ModelView, starts: &Starts, tables: &mut TablesInUse) -> Checked {
    provenance(view, starts)?;
    recipe(view, starts, tables)?;
    for (i, &label) in view.labels.iter().enumerate() {
        starts.record(SectionKind::Labels, i).text("label", label, starts.strings)?;
    }
    for (i, golden) in view.golden.iter().enumerate() {
        let p = starts.record(SectionKind::Golden, i);
        let q = at!(p, GoldenRecord, output);
        q.range("output number", golden.output.into(), 1, view.outputs.len() as u64)?;
        at!(p, GoldenRecord, reserved).field(golden.reserved == 0, "reserved", golden.reserved, "0")?;
    }
    length(view, starts, SectionKind::Signature, 0, "no bytes in version 1")
}

fn provenance(view: &ModelView, starts: &Starts) -> Checked {
    let one = SectionKind::Provenance.record_bytes() as u64;
    length(view, starts, SectionKind::Provenance, one, "one record")?;
    let Some(record) = view.provenance else { return Ok(()) };
    let p = starts.section(SectionKind::Provenance);
    at!(p, ProvenanceRecord, tool).text("tool", record.tool, starts.strings)?;
    at!(p, ProvenanceRecord, options).text("options", record.options, starts.strings)?;
    at!(p, ProvenanceRecord, description).text("description", record.description, starts.strings)
}

/// A section that has `bytes` bytes when it is there.
fn length(
    view: &ModelView,
    starts: &Starts,
    kind: SectionKind,
    bytes: u64,
    expected: &'static str,
) -> Checked {
    let wrong = |s: &&SectionRecord| s.kind == kind as u32 && s.bytes != bytes;
    let Some(section) = view.sections.iter().find(wrong) else { return Ok(()) };
    starts.section(kind).field(false, kind.name(), section.bytes, expected)
}

/// At most one recipe per model input, in the order of the inputs.
fn recipe(view: &ModelView, starts: &Starts, tables: &mut TablesInUse) -> Checked {
    let mut last = None;
    for (i, recipe) in view.recipe.iter().enumerate() {
        let p = starts.record(SectionKind::Recipe, i);
        p.range("input number", recipe.input.into(), 1, view.inputs.len() as u64)?;
        p.field(last < Some(recipe.input), "input number", recipe.input, "inputs in order, each once")?;
        last = Some(recipe.input);
        let order = ChannelOrder::from_number(recipe.order);
        at!(p, RecipeRecord, order).field(order.is_some(), "channel order", recipe.order, "1 to 3")?;
        let channels = if order == Some(ChannelOrder::Gray) { 1 } else { 3 };
        let q = at!(p, RecipeRecord, channels);
        q.field(recipe.channels == channels, "recipe channels", recipe.channels, "1 for gray, else 3")?;
        tables.take(at!(p, RecipeRecord, tables_first), recipe.tables_first, channels)?;
    }
    Ok(())
}
