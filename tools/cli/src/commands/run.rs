//! `dyadic run`: tensors or pictures in, tensors out.

use std::io::Write;
use std::path::{Path, PathBuf};

use dyadic_runtime::{Model, Session, TensorInfo};
use serde_json::json;

use super::Answer;
use crate::args::Run;
use crate::error::{Error, Result};
use crate::{input, load, npy};

pub fn run(args: &Run) -> Result<Answer> {
    let model = load::model(&args.model)?;
    let inputs = inputs(args, &model)?;
    let batches = batches(&model, &inputs)?;
    let mut session = load::session(&model, &args.machine, 0)?;
    if let Some(dir) = &args.dump_layers {
        fill(&mut session, &inputs, 0);
        dump_layers(&mut session, dir)?;
    }
    let mut outputs: Vec<Vec<u8>> = vec![Vec::new(); model.outputs().len()];
    for batch in 0..batches {
        fill(&mut session, &inputs, batch);
        session.run().map_err(|e| Error::Message(e.to_string()))?;
        for (index, bytes) in outputs.iter_mut().enumerate() {
            bytes.extend_from_slice(session.output(index));
        }
    }
    write_outputs(args, &model, &outputs, batches)?;
    let out = &mut std::io::stdout().lock();
    if let Some(count) = args.top {
        let classes = &outputs[0][..model.outputs()[0].bytes];
        print_top(out, &model, classes, count)?;
    } else if args.output.is_none() && args.output_dir.is_none() && args.dump_layers.is_none() {
        for info in model.outputs() {
            writeln!(
                out,
                "output '{}': {} {:?}; see --output, --output-dir, --top",
                info.name,
                info.elem.name(),
                info.shape
            )?;
        }
    }
    Ok(Answer::Yes)
}

/// The files of the inputs, by name or in order.
fn inputs(args: &Run, model: &Model) -> Result<Vec<Vec<u8>>> {
    let infos = model.inputs();
    let mut slots: Vec<Option<PathBuf>> = vec![None; infos.len()];
    for option in &args.input {
        let named = option.split_once('=').and_then(|(name, file)| {
            infos.iter().position(|info| info.name == name).map(|index| (index, file))
        });
        let (index, file) = match named {
            Some(found) => found,
            None => match slots.iter().position(Option::is_none) {
                Some(index) => (index, option.as_str()),
                None => {
                    return Err(format!("--input {option}: the network has {} inputs", infos.len()).into());
                }
            },
        };
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

/// How many runs the inputs hold.
fn batches(model: &Model, inputs: &[Vec<u8>]) -> Result<usize> {
    let runs: Vec<usize> =
        model.inputs().iter().zip(inputs).map(|(info, bytes)| bytes.len() / info.bytes).collect();
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
fn dump_layers(session: &mut Session, dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, e))?;
    let mut outputs: Vec<Vec<u8>> = Vec::new();
    session
        .run_observed(&mut |_, bytes| outputs.push(bytes.to_vec()))
        .map_err(|e| Error::Message(e.to_string()))?;
    let mut index = Vec::new();
    for (step, (info, bytes)) in session.steps().iter().zip(&outputs).enumerate() {
        let Some(tensor) = session.model().tensor(info.output) else { continue };
        let file = format!("{step}.npy");
        npy::write(&dir.join(&file), &input::to_array(&tensor, tensor.shape.clone(), bytes))?;
        index.push(json!({
            "step": step,
            "source": info.name.split(',').collect::<Vec<_>>(),
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
        let label = view.label(class).map_or_else(|| format!("class {class}"), str::to_string);
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
