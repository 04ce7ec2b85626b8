//! `dyadic verify`: the proofs of a file and of this machine.

use std::io::Write;

use dyadic_compiler::compile::options_of;
use dyadic_compiler::{compile, verify};
use dyadic_kernels::isa::{Cpu, IsaKind};
use dyadic_runtime::{Model, Options, Session};
use serde_json::{Value, json};

use super::Answer;
use super::profile::hex;
use crate::args::Verify;
use crate::error::{Error, Result};
use crate::{load, progress};

pub fn run(args: &Verify) -> Result<Answer> {
    let model = load::model(&args.model)?;
    let view = model.view();
    let mut report = Report { failed: false };
    let damage = view.check_digest().err().map(|e| e.to_string());
    report.check("digest: the file is as it was written", damage.into_iter().collect())?;
    report.check("(a) certificates: every range and interval recomputed", verify::certificates(&view))?;
    report.check("(b) packed weights decode to the logical ones", verify::packed(&view))?;
    report.check("(c) multipliers, shifts and tables follow from the scales", verify::constants(&view))?;
    // Contradictory records would make the runs below meaningless.
    let digests = layer_digests(&model, IsaKind::Reference, args.inputs)?;
    for isa in IsaKind::ALL.into_iter().filter(|&isa| isa != IsaKind::Reference && Cpu::detect().has(isa)) {
        let problems = compare(&digests, &layer_digests(&model, isa, args.inputs)?);
        report.check(&format!("(d) {} equals the reference on every layer", isa.name()), problems)?;
    }
    report.check("self-test: golden outputs", golden(&model))?;
    if let Some(path) = &args.source {
        let source = std::fs::read(path).map_err(|e| Error::io(path, e))?;
        report.check("(e) the source compiles to this very file", recompile(&model, &source))?;
    }
    if let Some(expected) = &args.expect {
        let found = hex(&view.header().digest);
        let wrong = (!expected.eq_ignore_ascii_case(&found)).then(|| format!("the digest is {found}"));
        report.check("(f) the digest is the expected one", wrong.into_iter().collect())?;
    }
    if let Some(path) = &args.digests {
        let text = format!("{:#}\n", digests_json(&model, args.inputs, &digests));
        std::fs::write(path, text).map_err(|e| Error::io(path, e))?;
    }
    if let Some(path) = &args.against {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
        let other: Value = serde_json::from_str(&text).map_err(|e| Error::file(path, e))?;
        report.check("(g) this machine computes what the other one did", against(&model, args, &other)?)?;
    }
    Ok(if report.failed { Answer::No } else { Answer::Yes })
}

struct Report {
    failed: bool,
}

impl Report {
    fn check(&mut self, what: &str, problems: Vec<String>) -> Result<()> {
        let out = &mut std::io::stdout().lock();
        if problems.is_empty() {
            writeln!(out, "ok      {what}")?;
            return Ok(());
        }
        self.failed = true;
        writeln!(out, "FAILED  {what}")?;
        for problem in problems.iter().take(20) {
            writeln!(out, "        {problem}")?;
        }
        if problems.len() > 20 {
            writeln!(out, "        and {} more", problems.len() - 20)?;
        }
        Ok(())
    }
}

/// Layer names and, per seeded input, the digest of every layer's output.
struct Digests {
    layers: Vec<String>,
    runs: Vec<Vec<String>>,
}

fn layer_digests(model: &Model, isa: IsaKind, inputs: u64) -> Result<Digests> {
    let options = Options { isa: Some(isa), ..Options::default() };
    let mut session = Session::new(model.clone(), &options).map_err(|e| Error::Message(e.to_string()))?;
    let bar = progress::bar(inputs, "verify");
    let mut runs = Vec::new();
    for seed in 1..=inputs {
        let digests = session.layer_digests(seed).map_err(|e| Error::Message(e.to_string()))?;
        runs.push(digests.iter().map(|d| hex(d)).collect());
        bar.inc(1);
    }
    bar.finish_and_clear();
    let layers =
        session.steps().iter().map(|s| format!("{} {} [{}]", s.kind.name(), s.name, s.kernel)).collect();
    Ok(Digests { layers, runs })
}

/// The first differing layer of every input.
fn compare(expected: &Digests, found: &Digests) -> Vec<String> {
    let mut problems = Vec::new();
    for (seed, (a, b)) in expected.runs.iter().zip(&found.runs).enumerate() {
        if let Some(layer) = a.iter().zip(b).position(|(x, y)| x != y) {
            problems.push(format!("input {}: layer {layer} ({}) differs", seed + 1, found.layers[layer]));
        }
    }
    problems
}

/// What the golden records say of this machine's default kernels.
fn golden(model: &Model) -> Vec<String> {
    model.self_test(&Options::default()).err().map(|e| e.to_string()).into_iter().collect()
}

/// Compiles the source with the options and labels that the file records.
fn recompile(model: &Model, source: &[u8]) -> Vec<String> {
    let view = model.view();
    let options = view.provenance().and_then(|p| options_of(view.text(p.options)));
    let Some(mut options) = options else { return vec!["the file does not record its options".to_string()] };
    options.labels = (0..view.label_count()).filter_map(|i| view.label(i)).map(str::to_string).collect();
    let made = compile(source, &options).map_err(|e| e.to_string()).and_then(|mut compiled| {
        load::add_self_test(&mut compiled.contents).map_err(|e| e.to_string())?;
        Ok(compiled.to_bytes())
    });
    match made {
        Ok(bytes) if bytes == view.file() => Vec::new(),
        Ok(bytes) => {
            let differs = bytes.iter().zip(view.file()).position(|(a, b)| a != b);
            let at = differs.unwrap_or(bytes.len().min(view.file().len()));
            vec![format!(
                "the compiled file differs from byte {at} on ({} against {} bytes)",
                bytes.len(),
                view.file().len()
            )]
        }
        Err(problem) => vec![problem],
    }
}

fn digests_json(model: &Model, inputs: u64, digests: &Digests) -> Value {
    let names: Vec<&str> = digests.layers.iter().map(|l| l.split(" [").next().unwrap_or(l)).collect();
    json!({
        "schema": "dyadic-digests-1",
        "model": hex(&model.view().header().digest),
        "inputs": inputs,
        "layers": names,
        "digests": digests.runs,
    })
}

/// Compares this machine's kernels with digests from another one.
fn against(model: &Model, args: &Verify, other: &Value) -> Result<Vec<String>> {
    if other["schema"] != "dyadic-digests-1" {
        return Err("--against: not a file that --digests wrote".into());
    }
    if other["model"] != hex(&model.view().header().digest).as_str() {
        return Err("--against: the digests are those of another model file".into());
    }
    let list = |value: &Value| -> Option<Vec<String>> {
        value.as_array()?.iter().map(|v| v.as_str().map(str::to_string)).collect()
    };
    let runs: Option<Vec<Vec<String>>> =
        other["digests"].as_array().map(|r| r.iter().filter_map(list).collect());
    let runs = runs.filter(|r| !r.is_empty()).ok_or("--against: the file holds no digests")?;
    let isa = args.machine.isa.unwrap_or_else(|| Cpu::detect().best());
    let mine = layer_digests(model, isa, runs.len() as u64)?;
    if runs.iter().any(|r| r.len() != mine.layers.len()) {
        return Err("--against: another number of layers".into());
    }
    Ok(compare(&Digests { layers: Vec::new(), runs }, &mine))
}
