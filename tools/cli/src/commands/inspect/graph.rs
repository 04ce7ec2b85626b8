//! The network as a Graphviz graph, and its memory plan as SVG.

use std::io::Write;
use std::path::Path;

use dyadic_format::{ModelView, Storage};

use super::rule;
use crate::error::{Error, Result};
use crate::text::{extents, shown, xml};

pub fn write_dot(out: &mut impl Write, view: &ModelView) -> Result<()> {
    let quote = |text: &str| shown(text).replace('\\', "\\\\").replace('"', "\\\"");
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
        let size = extents(view.tensors()[output as usize].shape());
        writeln!(
            out,
            "  t{output} [label=\"{}\\n{kind} {size}\\n{}\"];",
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
pub fn write_svg(path: &Path, view: &ModelView) -> Result<()> {
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
        let name = xml(view.text(tensor.name));
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
