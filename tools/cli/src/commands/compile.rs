//! `dyadic compile`: a source network to one file.

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::Path;

use dyadic_compiler::from_onnx::{ImportOptions, InputShapes};
use dyadic_compiler::options::{Order, Recipe};
use dyadic_compiler::quantize::Contract;
use dyadic_compiler::{Options, Source, compile};
use dyadic_kernels::isa::IsaKind;

use super::Answer;
use crate::args::{Compile, Layout, Rounding};
use crate::error::{Error, Result};
use crate::load;
use crate::text::shown;

mod report;

pub fn run(args: &Compile) -> Result<Answer> {
    if same_file(&args.input, &args.output) {
        return Err(Error::file(&args.output, "the output would replace the source; give another --output"));
    }
    let source = std::fs::read(&args.input).map_err(|e| Error::io(&args.input, e))?;
    let options = options(args)?;
    let compiled =
        compile(from_folder(&source, &args.input), &options).map_err(|e| Error::file(&args.input, e))?;
    let mut contents = compiled.contents;
    load::add_self_test(&mut contents).map_err(|e| Error::file(&args.input, e))?;
    let bytes = dyadic_format::write::write(&contents);
    replace(&args.output, &bytes).map_err(|e| Error::io(&args.output, e))?;
    if let Some(path) = &args.report {
        report::write(path, &contents, options.contract, &compiled.notes, &compiled.sources)?;
    }
    let out = &mut std::io::stdout().lock();
    for note in &compiled.notes {
        writeln!(out, "note: {}", shown(note))?;
    }
    writeln!(
        out,
        "{}: {} bytes, {} steps, arena {} bytes, contract {}",
        shown(&args.output.to_string_lossy()),
        bytes.len(),
        contents.operators.len(),
        contents.arena_bytes,
        options.contract.name()
    )?;
    Ok(Answer::Yes)
}

/// A network with the folder that it may keep its weights in.
pub fn from_folder<'a>(bytes: &'a [u8], path: &'a Path) -> Source<'a> {
    let folder = path.parent().map(|p| if p.as_os_str().is_empty() { Path::new(".") } else { p });
    Source { bytes, folder }
}

fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// Writes beside the file and renames: a command that has the old file mapped keeps it, and nobody sees half a file.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    // A link stays one; what is no file, such as a pipe, cannot be replaced.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    if path.exists() && !path.is_file() {
        return std::fs::write(path, bytes);
    }
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let written = std::fs::write(&part, bytes).and_then(|()| std::fs::rename(&part, &path));
    if written.is_err() {
        // The first error is the one to report.
        let _ = std::fs::remove_file(&part);
    }
    written
}

/// One label a line, without a byte order mark and blank lines.
fn labels(path: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
    let lines = text.trim_start_matches('\u{feff}').lines();
    let labels: Vec<String> =
        lines.map(|line| line.trim_end().to_string()).filter(|line| !line.is_empty()).collect();
    if labels.is_empty() { Err(Error::file(path, "holds no label")) } else { Ok(labels) }
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
    Ok(Options {
        contract: match args.rounding {
            Rounding::Dyadic => Contract::Dyadic,
            Rounding::Tflite => Contract::Tflite,
        },
        targets: if args.target.is_empty() { vec![IsaKind::Avx2] } else { args.target.clone() },
        cut_at: args.cut_at.clone(),
        board: args.board,
        recipe,
        labels: args.labels.as_deref().map(labels).transpose()?.unwrap_or_default(),
        import: ImportOptions {
            shapes: InputShapes {
                named: args.input_shape.iter().cloned().collect(),
                batch: args.batch.map(NonZeroUsize::get),
            },
            nhwc: args.layout == Layout::Nhwc,
            cut_float_tail: args.cut_float_tail,
        },
    })
}
