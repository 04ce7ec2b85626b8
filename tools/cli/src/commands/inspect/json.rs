//! Everything that a file says, as JSON.

use dyadic_format::records::ChannelOrder;
use dyadic_format::section::SectionKind;
use dyadic_format::{ModelView, Storage};
use dyadic_runtime::{Model, Session};
use serde_json::{Value, json};

use super::{elem_name, rule, spare_bits};
use crate::input::real;
use crate::text::{hex, sources};

pub fn to_json(model: &Model, session: &Session) -> Value {
    let view = model.view();
    let names = |numbers: &[u32]| -> Vec<&str> {
        numbers.iter().map(|&n| view.text(view.tensors()[n as usize].name)).collect()
    };
    let provenance = view.provenance();
    json!({
        "schema": "dyadic-inspect-1",
        "digest": hex(&model.digest()),
        "tool": provenance.map(|p| view.text(p.tool)),
        "options": provenance.map(|p| view.text(p.options)),
        "description": provenance.map(|p| view.text(p.description)),
        "source_digest": provenance.map(|p| hex(&p.source_digest)),
        "source_bytes": provenance.map(|p| p.source_bytes),
        "arena_bytes": model.arena_bytes(),
        "inputs": names(view.inputs()),
        "outputs": names(view.outputs()),
        "labels": model.labels().collect::<Vec<_>>(),
        "recipe": recipe(&view),
        "golden_records": view.golden().len(),
        "layers": layers(&view, session),
        "tensors": tensors(&view),
        "sections": sections(&view),
    })
}

fn recipe(view: &ModelView) -> Vec<Value> {
    let order = |number| ChannelOrder::from_number(number).map(|order| format!("{order:?}").to_lowercase());
    let one = |r: &dyadic_format::records::RecipeRecord| json!({ "input": r.input, "order": order(r.order), "channels": r.channels });
    view.recipe().iter().map(one).collect()
}

fn layers(view: &ModelView, session: &Session) -> Vec<Value> {
    let layer = |(op, step): (&dyadic_format::OperatorRecord, &dyadic_runtime::StepInfo)| {
        let to = &view.tensors()[step.output];
        let intervals: Vec<[i64; 2]> = view.operator_intervals(op).iter().map(|i| [i.lo, i.hi]).collect();
        json!({
            "sources": sources(&step.name),
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
            "activation_bytes": step.activation_bytes,
            "intervals": intervals,
            "spare_bits": spare_bits(view, op),
        })
    };
    view.operators().iter().zip(session.steps()).map(layer).collect()
}

fn tensors(view: &ModelView) -> Vec<Value> {
    let tensor = |t: &dyadic_format::TensorRecord| {
        let scales = view.scales(t).iter().map(|s| real(s.mantissa, s.exponent.into()));
        json!({
            "name": view.text(t.name),
            "shape": t.shape(),
            "type": elem_name(t.elem),
            "storage": Storage::from_number(t.storage).map(|s| format!("{s:?}")),
            "offset": t.offset,
            "bytes": t.bytes,
            "scales": scales.collect::<Vec<f64>>(),
            "zero_point": t.zero_point,
            "range": [t.lo, t.hi],
        })
    };
    view.tensors().iter().map(tensor).collect()
}

fn sections(view: &ModelView) -> Vec<Value> {
    let section = |s: &dyadic_format::section::SectionRecord| {
        let name = SectionKind::from_number(s.kind).map(SectionKind::name);
        json!({ "kind": s.kind, "name": name, "offset": s.offset, "bytes": s.bytes, "crc32": s.crc })
    };
    view.sections().iter().map(section).collect()
}
