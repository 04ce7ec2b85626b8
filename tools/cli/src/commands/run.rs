//! `dyadic run`: tensors or pictures in, tensors out.

use std::io::Write;
use std::path::{Path, PathBuf};

use dyadic_runtime::{Model, Session, TensorInfo};
use serde_json::json;

use super::Answer;
use crate::args::Run;
use crate::error::{Error, Result};
use crate::text::{shown, sources};
use crate::{input, load, npy};

pub fn run(args: &Run) -> Result<Answer> {
    let model = load::model(&args.model)?;
    let inputs = inputs(args, &model)?;
    let batches = batches(&model, &inputs)?;
    let mut session = load::session(&args.model, &model, &args.machine)?;
    let out = &mut std::io::stdout().lock();
    if let Some(dir) = &args.dump_layers {
        fill(&mut session, &inputs, 0);
        dump_layers(&mut session, &args.model, dir)?;
        if batches > 1 {
            writeln!(out, "{}: the layers of run 0 of {batches}", shown(&dir.to_string_lossy()))?;
        }
    }
    let mut outputs: Vec<Vec<u8>> = vec![Vec::new(); model.outputs().len()];
    for batch in 0..batches {
        fill(&mut session, &inputs, batch);
        session.run().map_err(|e| Error::file(&args.model, e))?;
        for (index, bytes) in outputs.iter_mut().enumerate() {
            bytes.extend_from_slice(session.output(index));
        }
    }
    write_outputs(args, &model, &outputs, batches)?;
    let written = args.output.is_some() || args.output_dir.is_some() || args.dump_layers.is_some();
    match args.top {
        Some(count) => print_top_of_runs(out, &model, &outputs[0], count)?,
        None if !written => print_outputs(out, &model)?,
        None => {}
    }
    Ok(Answer::Yes)
}

fn print_top_of_runs(out: &mut impl Write, model: &Model, output: &[u8], count: u64) -> Result<()> {
    let runs = output.chunks_exact(model.outputs()[0].bytes);
    let total = runs.len();
    for (run, bytes) in runs.enumerate() {
        if total > 1 {
            writeln!(out, "run {run} of {total}")?;
        }
        print_top(out, model, bytes, usize::try_from(count).unwrap_or(usize::MAX))?;
    }
    Ok(())
}

fn print_outputs(out: &mut impl Write, model: &Model) -> Result<()> {
    for info in model.outputs() {
        let (name, elem) = (shown(&info.name), info.elem.name());
        writeln!(out, "output '{name}': {elem} {:?}; see --output, --output-dir, --top", info.shape)?;
    }
    Ok(())
}

/// The files of the inputs, by name or in order.
fn inputs(args: &Run, model: &Model) -> Result<Vec<Vec<u8>>> {
    let infos = model.inputs();
    let mut slots: Vec<Option<PathBuf>> = vec![None; infos.len()];
    for option in &args.input {
        let (index, file) = match named(option, infos)? {
            Some(found) => found,
            None => match slots.iter().position(Option::is_none) {
                Some(index) => (index, option.as_str()),
                None => {
                    return Err(format!("--input {option}: the network has {} inputs", infos.len()).into());
                }
            },
        };
        if file.is_empty() {
            return Err(
                format!("--input {option}: no file is given for input '{}'", infos[index].name).into()
            );
        }
        if slots[index].replace(PathBuf::from(file)).is_some() {
            return Err(format!("--input {option}: input '{}' is given twice", infos[index].name).into());
        }
    }
    let mut inputs = Vec::new();
    for (index, slot) in slots.into_iter().enumerate() {
        let path =
            slot.ok_or_else(|| format!("input '{}' is missing; add --input FILE", infos[index].name))?;
        inputs.push(input::load(&path, model, index, args.pixels)?);
    }
    Ok(inputs)
}

/// The input that `NAME=FILE` names, and the file. A file whose own name holds `=` needs no name before it.
fn named<'a>(option: &'a str, infos: &[TensorInfo]) -> Result<Option<(usize, &'a str)>> {
    // Names of inputs may hold `=`, too.
    let parts = option.match_indices('=').map(|(at, _)| (&option[..at], &option[at + 1..]));
    for (name, file) in parts {
        if let Some(index) = infos.iter().position(|info| info.name == name) {
            return Ok(Some((index, file)));
        }
    }
    match option.split_once('=') {
        Some((name, _)) if !Path::new(option).exists() => {
            let names: Vec<&str> = infos.iter().map(|info| info.name.as_str()).collect();
            Err(format!("--input {option}: no input named {name}; it has {}", names.join(", ")).into())
        }
        _ => Ok(None),
    }
}

/// How many runs the inputs hold.
fn batches(model: &Model, inputs: &[Vec<u8>]) -> Result<usize> {
    let mut runs = Vec::new();
    for (info, bytes) in model.inputs().iter().zip(inputs) {
        if bytes.is_empty() || !bytes.len().is_multiple_of(info.bytes) {
            let (name, found) = (&info.name, bytes.len());
            return Err(
                format!("input '{name}': {found} bytes, expected a multiple of {}", info.bytes).into()
            );
        }
        runs.push(bytes.len() / info.bytes);
    }
    match runs.iter().all(|r| r == &runs[0]) {
        true => Ok(runs.first().copied().unwrap_or(1)),
        false => Err(format!("the inputs hold different numbers of runs: {runs:?}").into()),
    }
}

fn fill(session: &mut Session, inputs: &[Vec<u8>], batch: usize) {
    for (index, bytes) in inputs.iter().enumerate() {
        let slot = session.input_mut(index);
        let length = slot.len();
        slot.copy_from_slice(&bytes[batch * length..][..length]);
    }
}

fn write_outputs(args: &Run, model: &Model, outputs: &[Vec<u8>], batches: usize) -> Result<()> {
    let files: Vec<PathBuf> = match (&args.output, &args.output_dir) {
        (Some(path), _) if outputs.len() == 1 => vec![path.clone()],
        (Some(_), _) => {
            return Err(format!("the network has {} outputs; use --output-dir", outputs.len()).into());
        }
        (None, Some(dir)) => {
            std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, e))?;
            (0..outputs.len()).map(|i| dir.join(format!("{i}.npy"))).collect()
        }
        (None, None) => return Ok(()),
    };
    for ((path, info), bytes) in files.iter().zip(model.outputs()).zip(outputs) {
        let mut shape = info.shape.clone();
        match shape.first_mut() {
            Some(first) => *first *= batches,
            None if batches > 1 => shape.push(batches),
            None => {}
        }
        let array = if args.dequantize {
            input::dequantize(info, shape, bytes)
        } else {
            input::to_array(info, shape, bytes)
        };
        npy::write(path, &array)?;
    }
    Ok(())
}

/// One `.npy` per step and an index.
fn dump_layers(session: &mut Session, model: &Path, dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, e))?;
    let mut outputs: Vec<Vec<u8>> = Vec::new();
    session.run_observed(&mut |_, bytes| outputs.push(bytes.to_vec())).map_err(|e| Error::file(model, e))?;
    let mut index = Vec::new();
    for (step, (info, bytes)) in session.steps().iter().zip(&outputs).enumerate() {
        let tensor = session.model().tensor(info.output);
        let tensor = tensor.ok_or_else(|| Error::file(model, format!("step {step} has no output tensor")))?;
        let file = format!("{step}.npy");
        npy::write(&dir.join(&file), &input::to_array(&tensor, tensor.shape.clone(), bytes))?;
        index.push(json!({
            "step": step,
            "sources": sources(&info.name),
            "kind": info.kind.name(),
            "rule": info.rule.name(),
            "tensor": tensor.name.as_str(),
            "file": file,
            "type": tensor.elem.name(),
            "shape": tensor.shape,
            "scale": input::real_scale(&tensor),
            "zero_point": tensor.zero_point,
        }));
    }
    let path = dir.join("index.json");
    let value = json!({ "schema": "dyadic-layers-1", "layers": index });
    std::fs::write(&path, format!("{value:#}\n")).map_err(|e| Error::io(&path, e))
}

/// The largest values of an output, with labels and real values.
pub fn print_top(out: &mut impl Write, model: &Model, bytes: &[u8], count: usize) -> Result<()> {
    let info = &model.outputs()[0];
    let view = model.view();
    for (class, value) in top(info, bytes, count) {
        let label = view.label(class).map_or_else(|| format!("class {class}"), |l| shown(l).into_owned());
        let real = input::real_scale(info).map(|s| f64::from(value - info.zero_point) * s);
        match real {
            Some(real) => writeln!(out, "{real:>10.4}  {label}")?,
            None => writeln!(out, "{value:>10}  {label}")?,
        }
    }
    Ok(())
}

/// The `count` largest elements: index and value, the first index first among equals.
pub fn top(info: &TensorInfo, bytes: &[u8], count: usize) -> Vec<(usize, i32)> {
    let elements = bytes.len() * 8 / info.elem.bits();
    let mut ranked: Vec<(usize, i32)> = (0..elements).map(|i| (i, info.elem.load(bytes, i))).collect();
    ranked.sort_by_key(|&(index, value)| (std::cmp::Reverse(value), index));
    ranked.truncate(count);
    ranked
}
