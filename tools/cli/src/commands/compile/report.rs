//! `compile --report`: what became of every node of the source, and what was proven of every step.

use std::collections::HashMap;
use std::path::Path;

use dyadic_compiler::quantize::Contract;
use dyadic_compiler::unsupported::SourceNode;
use dyadic_format::OperatorRecord;
use dyadic_format::write::Contents;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::text::sources;

/// Writes the report of a compiled network.
pub fn write(
    path: &Path,
    contents: &Contents,
    contract: Contract,
    notes: &[String],
    nodes: &[SourceNode],
) -> Result<()> {
    let value = json!({
        "schema": "dyadic-compile-report-1",
        "contract": contract.name(),
        "notes": notes,
        "arena_bytes": contents.arena_bytes,
        "nodes": node_list(contents, nodes),
        "operators": contents.operators.iter().map(|op| step(contents, op)).collect::<Vec<_>>(),
    });
    std::fs::write(path, format!("{value:#}\n")).map_err(|e| Error::io(path, e))
}

fn text(contents: &Contents, t: dyadic_format::records::TextRef) -> String {
    let bytes = contents.strings.get(t.offset as usize..(t.offset + t.bytes) as usize).unwrap_or(&[]);
    String::from_utf8_lossy(bytes).into_owned()
}

/// Every node of the source with the steps that stand for it, or what it became without one.
fn node_list(contents: &Contents, nodes: &[SourceNode]) -> Vec<Value> {
    let mut steps: HashMap<String, Vec<usize>> = HashMap::new();
    for (number, op) in contents.operators.iter().enumerate() {
        for source in sources(&text(contents, op.name)) {
            steps.entry(source.to_string()).or_default().push(number);
        }
    }
    let entry = |node: &SourceNode| {
        let steps = steps.get(&node.label);
        json!({
            "position": node.position,
            "operator": node.operator,
            "name": node.label,
            "became": if steps.is_some() { "steps" } else { node.fate.name() },
            "steps": steps.cloned().unwrap_or_default(),
        })
    };
    nodes.iter().map(entry).collect()
}

/// A step with its rule, the values it can give, and how far its accumulators stay from 32 bits.
fn step(contents: &Contents, op: &OperatorRecord) -> Value {
    let kind = dyadic_format::OpKind::from_number(op.kind).map_or("", dyadic_format::OpKind::name);
    let rule = dyadic_format::Rule::from_number(op.rule).map_or("", dyadic_format::Rule::name);
    let intervals = &contents.intervals[op.intervals_first as usize..][..op.intervals_count as usize];
    let bound = intervals.iter().map(|i| i.lo.unsigned_abs().max(i.hi.unsigned_abs())).max();
    let output = contents.operands[op.operands_first as usize + usize::from(op.inputs)] as usize;
    json!({
        "sources": sources(&text(contents, op.name)),
        "kind": kind,
        "rule": rule,
        "output": text(contents, contents.tensors[output].name),
        "output_range": [contents.tensors[output].lo, contents.tensors[output].hi],
        "accumulator_bound": bound,
        "accumulator_spare_bits": bound.map(|b| 31 - (64 - b.leading_zeros()).min(31)),
    })
}
