//! `dyadic inspect`: what is in a file.

use std::io::Write;
use std::path::Path;

use dyadic_format::section::SectionKind;
use dyadic_format::{ElemCode, ModelView, Rule, Storage};
use dyadic_runtime::{Model, Session};
use serde_json::{Value, json};

use super::Answer;
use super::profile::hex;
use crate::args::Inspect;
use crate::error::{Error, Result};
use crate::load;
use crate::table::Table;

pub fn run(args: &Inspect) -> Result<Answer> {
    let model = load::model(&args.model)?;
    let session = load::session(&model, &args.machine, 0)?;
    let out = &mut std::io::stdout().lock();
    if args.json {
        writeln!(out, "{:#}", to_json(&model, &session))?;
    } else if args.dot {
        write_dot(out, &model.view())?;
    } else {
        print(out, &model, &session)?;
    }
    if let Some(path) = &args.svg {
        write_svg(path, &model.view())?;
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

fn shape(extents: &[u32]) -> String {
    extents.iter().map(u32::to_string).collect::<Vec<_>>().join("x")
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
        writeln!(out, "made by {} ({})", view.text(p.tool), view.text(p.options))?;
        writeln!(out, "source {} bytes, BLAKE3 {}", p.source_bytes, hex(&p.source_digest))?;
    }
    for (what, list) in [("input ", model.inputs()), ("output", model.outputs())] {
        for info in list {
            let scale = crate::input::real_scale(info).map_or(String::from("none"), |s| format!("{s:e}"));
            writeln!(
                out,
                "{what} '{}' {} {:?} scale {scale} zero point {}",
                info.name,
                info.elem.name(),
                info.shape,
                info.zero_point
            )?;
        }
    }
    writeln!(out, "\nlayers (isa {})", session.isa().name())?;
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
            shape(to.shape()),
            elem_name(to.elem).to_string(),
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

fn to_json(model: &Model, session: &Session) -> Value {
    let view = model.view();
    let layers: Vec<Value> = view
        .operators()
        .iter()
        .zip(session.steps())
        .map(|(op, step)| {
            let to = &view.tensors()[step.output];
            json!({
                "source": step.name.as_str(),
                "kind": step.kind.name(),
                "rule": rule(op.rule),
                "kernel": step.kernel,
                "isa": step.isa.name(),
                "output": view.text(to.name),
                "shape": to.shape(),
                "type": elem_name(to.elem),
                "range": [to.lo, to.hi],
                "macs": step.macs,
                "weight_bytes": step.weight_bytes,
                "spare_bits": spare_bits(&view, op),
            })
        })
        .collect();
    let tensors: Vec<Value> = view
        .tensors()
        .iter()
        .map(|t| {
            json!({
                "name": view.text(t.name),
                "shape": t.shape(),
                "type": elem_name(t.elem),
                "storage": Storage::from_number(t.storage).map(|s| format!("{s:?}")),
                "offset": t.offset,
                "bytes": t.bytes,
                "zero_point": t.zero_point,
                "range": [t.lo, t.hi],
            })
        })
        .collect();
    let sections: Vec<Value> = view
        .sections()
        .iter()
        .map(|s| {
            let name = SectionKind::from_number(s.kind).map(SectionKind::name);
            json!({ "kind": s.kind, "name": name, "offset": s.offset, "bytes": s.bytes, "crc32": s.crc })
        })
        .collect();
    json!({
        "schema": "dyadic-inspect-1",
        "digest": hex(&view.header().digest),
        "options": view.provenance().map(|p| view.text(p.options)),
        "arena_bytes": view.header().arena_bytes,
        "layers": layers,
        "tensors": tensors,
        "sections": sections,
    })
}

fn write_dot(out: &mut impl Write, view: &ModelView) -> Result<()> {
    let quote = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    writeln!(out, "digraph network {{\n  node [shape=box];")?;
    for &input in view.inputs() {
        writeln!(
            out,
            "  t{input} [label=\"{}\", shape=ellipse];",
            quote(view.text(view.tensors()[input as usize].name))
        )?;
    }
    for op in view.operators() {
        let output = view.operator_outputs(op)[0];
        let kind = dyadic_format::OpKind::from_number(op.kind).map_or("?", dyadic_format::OpKind::name);
        let extents = shape(view.tensors()[output as usize].shape());
        writeln!(
            out,
            "  t{output} [label=\"{}\\n{kind} {extents}\\n{}\"];",
            quote(view.text(op.name)),
            rule(op.rule)
        )?;
        for input in view.operator_inputs(op) {
            if view.tensors()[*input as usize].storage == Storage::Arena as u8 {
                writeln!(out, "  t{input} -> t{output};")?;
            }
        }
    }
    writeln!(out, "}}")?;
    Ok(())
}

/// The memory plan as a picture: steps to the right, arena bytes downward.
fn write_svg(path: &Path, view: &ModelView) -> Result<()> {
    let steps = view.operators().len().max(1);
    let (width, height) = (1200.0, 600.0);
    let arena = view.header().arena_bytes.max(1) as f64;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"9\">\n"
    );
    for (number, tensor) in
        view.tensors().iter().enumerate().filter(|(_, t)| t.storage == Storage::Arena as u8)
    {
        let uses = |op: &dyadic_format::OperatorRecord| view.operator_inputs(op).contains(&(number as u32));
        let made =
            view.operators().iter().position(|op| view.operator_outputs(op).contains(&(number as u32)));
        let last = view.operators().iter().rposition(uses);
        let given = view.outputs().contains(&(number as u32));
        let from = made.unwrap_or(0);
        let to = if given { steps } else { last.unwrap_or(from) + 1 };
        let x = |step: usize| width * step as f64 / steps as f64;
        let y = |bytes: u64| height * bytes as f64 / arena;
        let name = view.text(tensor.name).replace('&', "&amp;").replace('<', "&lt;");
        text += &format!(
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"hsl({},60%,75%)\" \
             stroke=\"#333\" stroke-width=\"0.5\"><title>{name}: {} bytes at {}, steps {from} to {to}</title></rect>\n",
            x(from),
            y(tensor.offset),
            x(to) - x(from),
            y(tensor.bytes).max(1.0),
            number * 47 % 360,
            tensor.bytes,
            tensor.offset
        );
    }
    text += "</svg>\n";
    std::fs::write(path, text).map_err(|e| Error::io(path, e))
}
