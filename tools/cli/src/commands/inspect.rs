//! `dyadic inspect`: what is in a file.

use std::io::Write;

use dyadic_format::section::SectionKind;
use dyadic_format::{ElemCode, ModelView, Rule, Storage, TensorRecord};
use dyadic_runtime::{Model, Options, Session};

use super::Answer;
use crate::args::Inspect;
use crate::error::{Error, Result};
use crate::table::Table;
use crate::text::{extents, hex, shown};
use crate::{isa, load, text};

mod graph;
mod json;

pub fn run(args: &Inspect) -> Result<Answer> {
    let model = load::model(&args.model)?;
    // Only for the choice of kernels: nothing runs, so there are no threads, and what a run would warn of is no news.
    let options = Options { isa: args.isa.get()?, ..Options::default() };
    let session = Session::new(model.clone(), &options).map_err(|e| Error::file(&args.model, e))?;
    if let Some(path) = &args.svg {
        graph::write_svg(path, &model.view())?;
    }
    let out = &mut std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", text::json(&json::to_json(&model, &session)))?;
    } else if args.dot {
        graph::write_dot(out, &model.view())?;
    } else {
        print(out, &model, &session)?;
    }
    Ok(Answer::Yes)
}

fn elem_name(code: u8) -> &'static str {
    match ElemCode::from_number(code) {
        Some(ElemCode::U8) => "u8",
        Some(ElemCode::S8) => "s8",
        Some(ElemCode::U4) => "u4",
        Some(ElemCode::S4) => "s4",
        Some(ElemCode::S16) => "s16",
        Some(ElemCode::S32) => "s32",
        None => "?",
    }
}

/// Bits that hold every value of a proven range, where they are fewer than the type has.
fn fewer_bits(tensor: &TensorRecord) -> Option<u32> {
    let elem = ElemCode::from_number(tensor.elem)?;
    let signed = elem.range().0 < 0;
    // Without its sign a negative value needs as many bits as the one that mirrors it round -1/2.
    let magnitude = |v: i32| u32::BITS - (if v < 0 { !v } else { v }).leading_zeros();
    let bits = (magnitude(tensor.lo).max(magnitude(tensor.hi)) + u32::from(signed)).max(1);
    (u64::from(bits) < elem.bits()).then_some(bits)
}

/// The type of a tensor, and the bits that it needs.
fn elem_and_bits(tensor: &TensorRecord) -> String {
    let name = elem_name(tensor.elem);
    fewer_bits(tensor).map_or(name.to_string(), |bits| format!("{name} ({bits} bits)"))
}

fn rule(number: u16) -> &'static str {
    Rule::from_number(number).map_or("?", Rule::name)
}

/// Bits that the largest proven accumulator leaves free below 32.
fn spare_bits(view: &ModelView, op: &dyadic_format::OperatorRecord) -> Option<u32> {
    let largest =
        view.operator_intervals(op).iter().map(|i| i.lo.unsigned_abs().max(i.hi.unsigned_abs())).max()?;
    Some(largest.leading_zeros().saturating_sub(33))
}

fn print(out: &mut impl Write, model: &Model, session: &Session) -> Result<()> {
    let view = model.view();
    writeln!(out, "digest {}", hex(&view.header().digest))?;
    if let Some(p) = view.provenance() {
        writeln!(out, "made by {} ({})", shown(view.text(p.tool)), shown(view.text(p.options)))?;
        writeln!(out, "source {} bytes, BLAKE3 {}", p.source_bytes, hex(&p.source_digest))?;
    }
    for (what, list) in [("input ", model.inputs()), ("output", model.outputs())] {
        for info in list {
            let scale = crate::input::real_scale(info).map_or(String::from("none"), |s| format!("{s:e}"));
            writeln!(
                out,
                "{what} '{}' {} {:?} scale {scale} zero point {}",
                shown(&info.name),
                info.elem.name(),
                info.shape,
                info.zero_point
            )?;
        }
    }
    writeln!(out, "\nlayers (isa {})", isa::used(session.isa()).name())?;
    let mut table = Table::new(&[
        "#",
        "<layer",
        "<op",
        "<rule",
        "<kernel",
        "<output",
        "<type",
        "<weights",
        "range",
        "spare bits",
    ]);
    for (i, (op, step)) in view.operators().iter().zip(session.steps()).enumerate() {
        let to = &view.tensors()[step.output];
        let weights = view.operator_inputs(op).get(1).map(|&w| &view.tensors()[w as usize]);
        let weights = weights.filter(|w| w.storage != Storage::Arena as u8).map_or("", |w| elem_name(w.elem));
        table.row(vec![
            i.to_string(),
            step.name.to_string(),
            step.kind.name().to_string(),
            rule(op.rule).to_string(),
            step.kernel.to_string(),
            extents(to.shape()),
            elem_and_bits(to),
            weights.to_string(),
            format!("{}..{}", to.lo, to.hi),
            spare_bits(&view, op).map_or(String::new(), |b| b.to_string()),
        ]);
    }
    table.print(out)?;
    print_memory(out, &view)?;
    Ok(())
}

fn print_memory(out: &mut impl Write, view: &ModelView) -> Result<()> {
    writeln!(out, "\nmemory plan: arena {} bytes", view.header().arena_bytes)?;
    let mut table = Table::new(&["offset", "bytes", "<tensor"]);
    for tensor in view.tensors().iter().filter(|t| t.storage == Storage::Arena as u8) {
        table.row(vec![
            tensor.offset.to_string(),
            tensor.bytes.to_string(),
            view.text(tensor.name).to_string(),
        ]);
    }
    table.print(out)?;
    writeln!(out, "\nsections")?;
    let mut table = Table::new(&["<section", "offset", "bytes", "crc32"]);
    for section in view.sections() {
        let name = SectionKind::from_number(section.kind).map_or("unknown", SectionKind::name);
        table.row(vec![
            name.to_string(),
            section.offset.to_string(),
            section.bytes.to_string(),
            format!("{:08x}", section.crc),
        ]);
    }
    table.print(out)?;
    Ok(())
}
