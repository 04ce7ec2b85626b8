//! `dyadic verify`: the proofs of a file and of this machine.

use std::io::Write;

use dyadic_compiler::options::options_of;
use dyadic_compiler::{Source, compile, verify};
use dyadic_format::ModelView;
use dyadic_kernels::isa::{Cpu, IsaKind};
use dyadic_runtime::{LoadError, Model, Options};

use super::Answer;
use super::compile::from_folder;
use crate::args::Verify;
use crate::error::{Error, Result};
use crate::text::{hex, shown};
use crate::{isa, load};

mod digests;

use digests::Digests;

pub fn run(args: &Verify) -> Result<Answer> {
    let model = load::model(&args.model)?;
    let options = load::options(&args.machine, 0)?;
    check_isa(options.isa).map_err(|e| Error::file(&args.model, e))?;
    let other = args.against.as_deref().map(|path| digests::read(path, &model)).transpose()?;
    let mut report = Report { failed: false };
    check_file(&model, &mut report)?;
    // What records that contradict each other make of an input proves nothing.
    let runs = !report.failed;
    if runs {
        check_machine(args, &model, &options, &mut report)?;
    }
    check_origin(args, &model, &mut report)?;
    if let Some(other) = other.filter(|_| runs) {
        check_against(args, &model, &options, &other, &mut report)?;
    }
    if !runs {
        writeln!(
            std::io::stdout(),
            "no check ran the network: a file that contradicts itself proves nothing"
        )?;
    }
    Ok(if report.failed { Answer::No } else { Answer::Yes })
}

fn check_isa(wanted: Option<IsaKind>) -> std::result::Result<(), LoadError> {
    let cpu = Cpu::detect();
    match wanted {
        Some(wanted) if !cpu.has(wanted) => Err(LoadError::Isa { wanted, best: cpu.best() }),
        _ => Ok(()),
    }
}

/// What can be said of the file without running it.
fn check_file(model: &Model, report: &mut Report) -> Result<()> {
    let view = model.view();
    let damage = view.check_digest().err().map(|e| e.to_string());
    report.check("digest: the file is as it was written", damage.into_iter().collect())?;
    report.check("(a) certificates: every range and interval recomputed", verify::certificates(&view))?;
    report.check(packed_title(&view), verify::packed(&view))?;
    report.check("(c) multipliers, shifts and tables follow from the scales", verify::constants(&view))
}

/// Where the file comes from.
fn check_origin(args: &Verify, model: &Model, report: &mut Report) -> Result<()> {
    if let Some(path) = &args.source {
        let source = std::fs::read(path).map_err(|e| Error::io(path, e))?;
        report.check(
            "(e) the source compiles to this very file",
            recompile(model, from_folder(&source, path)),
        )?;
    }
    if let Some(expected) = &args.expect {
        let found = hex(&model.digest());
        let wrong = (*expected != found).then(|| format!("the digest is {found}"));
        report.check("(f) the digest is the expected one", wrong.into_iter().collect())?;
    }
    Ok(())
}

/// What (b) proves depends on what the file holds.
fn packed_title(view: &ModelView) -> &'static str {
    use dyadic_format::Storage;
    if view.packed_index().is_empty() {
        "(b) packed weights: none stored"
    } else if view.tensors().iter().any(|t| t.storage == Storage::PackedOnly as u8) {
        "(b) packed weights: no logical copy to compare with; padding is zero"
    } else {
        "(b) packed weights decode to the logical ones; padding is zero"
    }
}

/// What this machine makes of it.
fn check_machine(args: &Verify, model: &Model, options: &Options, report: &mut Report) -> Result<()> {
    let expected = digests_on(IsaKind::Reference, args, model, options, args.inputs)?;
    let kinds = compared(options.isa);
    for &kind in &kinds {
        let problems = expected.compare(&digests_on(kind, args, model, options, args.inputs)?);
        report.check(&format!("(d) {} equals the reference on every layer", kind.name()), problems)?;
    }
    if kinds.is_empty() {
        report.check("(d) the reference alone: nothing to compare with", Vec::new())?;
    }
    let golden = model.self_test(options).err().map(|e| e.to_string());
    report.check("self-test: golden outputs", golden.into_iter().collect())?;
    if let Some(path) = &args.digests {
        let text = format!("{:#}\n", expected.json(model));
        std::fs::write(path, text).map_err(|e| Error::io(path, e))?;
    }
    Ok(())
}

fn check_against(
    args: &Verify,
    model: &Model,
    options: &Options,
    other: &Digests,
    report: &mut Report,
) -> Result<()> {
    let kind = options.isa.unwrap_or_else(|| Cpu::detect().best());
    let mine = digests_on(kind, args, model, options, other.inputs())?;
    if !other.fits(&mine) {
        return Err("--against: another number of layers than the model has".into());
    }
    report.check("(g) this machine computes what the other one did", other.compare(&mine))
}

fn digests_on(
    kind: IsaKind,
    args: &Verify,
    model: &Model,
    options: &Options,
    inputs: u64,
) -> Result<Digests> {
    Digests::compute(&args.model, model, &Options { isa: Some(kind), ..options.clone() }, inputs)
}

/// The instruction sets to compare with the reference: the wanted one, or all that this CPU runs and that kernels were
/// written for.
fn compared(wanted: Option<IsaKind>) -> Vec<IsaKind> {
    let cpu = Cpu::detect();
    let all = IsaKind::ALL.into_iter().filter(|&kind| kind != IsaKind::Reference);
    match wanted.map(isa::used) {
        Some(wanted) => all.filter(|&kind| kind == wanted).collect(),
        None => all.filter(|&kind| isa::has_kernels(kind) && cpu.has(kind)).collect(),
    }
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
            writeln!(out, "        {}", shown(problem))?;
        }
        if problems.len() > 20 {
            writeln!(out, "        and {} more", problems.len() - 20)?;
        }
        Ok(())
    }
}

/// Compiles the source with the options and labels that the file records.
fn recompile(model: &Model, source: Source) -> Vec<String> {
    let view = model.view();
    let Some(provenance) = view.provenance() else {
        return vec!["the file does not record its source".to_string()];
    };
    let tool = concat!("dyadic ", env!("CARGO_PKG_VERSION"));
    let mut problems = Vec::new();
    let digest = match source.digest() {
        Ok(digest) => *digest.as_bytes(),
        Err(problem) => return vec![problem.to_string()],
    };
    if digest != provenance.source_digest {
        let recorded = hex(&provenance.source_digest);
        problems
            .push(format!("the file was made of another source: {recorded}, this one is {}", hex(&digest)));
    }
    let made_by = view.text(provenance.tool);
    if made_by != tool {
        problems.push(format!("the file was made by '{made_by}', this is '{tool}'"));
    }
    let Some(mut options) = options_of(view.text(provenance.options)) else {
        problems.push("the file records options that this version does not know".to_string());
        return problems;
    };
    if !problems.is_empty() {
        return problems;
    }
    options.labels = model.labels().map(str::to_string).collect();
    let made = compile(source, &options).map_err(|e| e.to_string()).and_then(|mut compiled| {
        load::add_self_test(&mut compiled.contents).map_err(|e| e.to_string())?;
        Ok(compiled.to_bytes())
    });
    match made {
        Ok(bytes) => difference(&bytes, view.file()).into_iter().collect(),
        Err(problem) => vec![problem],
    }
}

fn difference(made: &[u8], file: &[u8]) -> Option<String> {
    let (found, expected) = (made.len(), file.len());
    let at = made.iter().zip(file).position(|(a, b)| a != b).unwrap_or(found.min(expected));
    (made != file)
        .then(|| format!("the compiled file differs from byte {at} on ({found} against {expected} bytes)"))
}
