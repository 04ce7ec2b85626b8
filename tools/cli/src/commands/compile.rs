//! `dyadic compile`: a source network to one file.

use std::io::Write;
use std::path::Path;

use dyadic_compiler::compile::{Order, Recipe};
use dyadic_compiler::quantize::Contract;
use dyadic_compiler::{Options, compile};
use dyadic_format::write::Contents;
use dyadic_kernels::isa::IsaKind;
use serde_json::json;

use super::Answer;
use crate::args::{Compile, Rounding};
use crate::error::{Error, Result};
use crate::load;

pub fn run(args: &Compile) -> Result<Answer> {
    let source = std::fs::read(&args.input).map_err(|e| Error::io(&args.input, e))?;
    let options = options(args)?;
    let compiled = compile(&source, &options).map_err(|e| Error::file(&args.input, e))?;
    let mut contents = compiled.contents;
    load::add_self_test(&mut contents)?;
    let bytes = dyadic_format::write::write(&contents);
    std::fs::write(&args.output, &bytes).map_err(|e| Error::io(&args.output, e))?;
    let out = &mut std::io::stdout().lock();
    for note in &compiled.notes {
        writeln!(out, "note: {note}")?;
    }
    writeln!(
        out,
        "{}: {} bytes, {} steps, arena {} bytes, contract {}",
        args.output.display(),
        bytes.len(),
        contents.operators.len(),
        contents.arena_bytes,
        options.contract.name()
    )?;
    if let Some(path) = &args.report {
        report(path, &contents, &compiled.notes)?;
    }
    Ok(Answer::Yes)
}

fn options(args: &Compile) -> Result<Options> {
    let order = match (args.rgb, args.bgr, args.gray) {
        (_, true, _) => Some(Order::Bgr),
        (_, _, true) => Some(Order::Gray),
        (true, _, _) => Some(Order::Rgb),
        _ => None,
    };
    let wanted = order.is_some() || !args.mean.is_empty() || !args.std.is_empty();
    let or = |values: &[f64], default: f64| if values.is_empty() { vec![default] } else { values.to_vec() };
    let recipe = wanted.then(|| Recipe {
        order: order.unwrap_or(Order::Rgb),
        mean: or(&args.mean, 0.0),
        std: or(&args.std, 1.0),
    });
    let labels = match &args.labels {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
            text.lines().map(|line| line.trim_end().to_string()).collect()
        }
        None => Vec::new(),
    };
    Ok(Options {
        contract: match args.rounding {
            Rounding::Dyadic => Contract::Dyadic,
            Rounding::Tflite => Contract::Tflite,
        },
        targets: if args.target.is_empty() { vec![IsaKind::Avx2] } else { args.target.clone() },
        cut_at: args.cut_at.clone(),
        board: args.board,
        recipe,
        labels,
    })
}

/// What became of every operator.
fn report(path: &Path, contents: &Contents, notes: &[String]) -> Result<()> {
    let text = |t: dyadic_format::records::TextRef| {
        let bytes = contents.strings.get(t.offset as usize..(t.offset + t.bytes) as usize).unwrap_or(&[]);
        String::from_utf8_lossy(bytes).into_owned()
    };
    let operators = contents.operators.iter().map(|op| {
        let kind = dyadic_format::OpKind::from_number(op.kind).map_or("", dyadic_format::OpKind::name);
        let rule = dyadic_format::Rule::from_number(op.rule).map_or("", dyadic_format::Rule::name);
        let intervals = &contents.intervals[op.intervals_first as usize..][..op.intervals_count as usize];
        let bound = intervals.iter().map(|i| i.lo.unsigned_abs().max(i.hi.unsigned_abs())).max();
        let output = contents.operands[op.operands_first as usize + usize::from(op.inputs)] as usize;
        json!({
            "sources": text(op.name).split(',').collect::<Vec<_>>(),
            "kind": kind,
            "rule": rule,
            "output": text(contents.tensors[output].name),
            "output_range": [contents.tensors[output].lo, contents.tensors[output].hi],
            "accumulator_bound": bound,
            "accumulator_spare_bits": bound.map(|b| 31 - (64 - b.leading_zeros()).min(31)),
        })
    });
    let value = json!({
        "schema": "dyadic-compile-report-1",
        "notes": notes,
        "arena_bytes": contents.arena_bytes,
        "operators": operators.collect::<Vec<_>>(),
    });
    std::fs::write(path, format!("{value:#}\n")).map_err(|e| Error::io(path, e))
}
