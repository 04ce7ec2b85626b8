//! `dyadic eval`: accuracy on labelled pictures.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use dyadic_runtime::{Model, Session};
use serde_json::json;

use super::Answer;
use super::run::top;
use crate::args::Eval;
use crate::error::{Error, Result};
use crate::npy::{Array, Data};
use crate::table::Table;
use crate::{input, load, npy, picture, progress};

/// Labelled pictures, read one by one.
enum Images {
    /// All in one array.
    Array(Array),
    /// Files in order.
    Files(Vec<PathBuf>),
}

/// What a run over a set counted.
#[derive(Debug, Default)]
struct Score {
    first: usize,
    five: usize,
    /// Class: right, all.
    classes: std::collections::BTreeMap<i64, (usize, usize)>,
    predictions: Vec<usize>,
}

pub fn run(args: &Eval) -> Result<Answer> {
    let model = load::model(&args.model)?;
    let (images, mut labels) = dataset(args)?;
    labels.iter_mut().for_each(|label| *label += args.label_offset);
    let count = args.limit.unwrap_or(labels.len()).min(labels.len());
    let mut session = load::session(&model, &args.machine, 0)?;
    let bar = progress::bar(count as u64, "eval");
    let mut score = Score::default();
    for (i, &label) in labels.iter().enumerate().take(count) {
        let bytes = image(&model, &images, i, args)?;
        classify(&mut session, &bytes, label, &mut score)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    report(args, &model, &score, count)
}

fn dataset(args: &Eval) -> Result<(Images, Vec<i64>)> {
    if args.images.is_dir() {
        let (files, labels) = folder(&args.images, &args.labels)?;
        return Ok((Images::Files(files), labels));
    }
    let array = npy::read(&args.images)?;
    let labels = match npy::read(&args.labels)?.integers() {
        Some(labels) => labels,
        None => return Err(Error::file(&args.labels, "labels must be integers")),
    };
    let count = array.shape.first().copied().unwrap_or(0);
    if count != labels.len() || count == 0 {
        return Err(Error::file(&args.labels, format!("{} labels for {count} pictures", labels.len())));
    }
    Ok((Images::Array(array), labels))
}

/// The pictures of a folder that a table of file names and classes names.
fn folder(folder: &Path, labels: &Path) -> Result<(Vec<PathBuf>, Vec<i64>)> {
    let text = std::fs::read_to_string(labels).map_err(|e| Error::io(labels, e))?;
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or("").split(',').map(str::trim).collect();
    let column = |name: &str| header.iter().position(|h| *h == name);
    let (Some(file), Some(class)) = (column("file"), column("class")) else {
        return Err(Error::file(labels, "expected the columns file and class"));
    };
    let (mut files, mut classes) = (Vec::new(), Vec::new());
    for (number, line) in lines.enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        let parsed = cells.get(class).and_then(|c| c.parse().ok());
        let (Some(name), Some(label)) = (cells.get(file), parsed) else {
            return Err(Error::file(labels, format!("line {} has no file and class", number + 2)));
        };
        files.push(folder.join(name));
        classes.push(label);
    }
    if files.is_empty() { Err(Error::file(labels, "names no picture")) } else { Ok((files, classes)) }
}

/// The input bytes of picture `index`.
fn image(model: &Model, images: &Images, index: usize, args: &Eval) -> Result<Vec<u8>> {
    match images {
        Images::Files(files) => {
            let path = &files[index];
            let pixels = picture::read(path)?;
            input::from_pixels(model, 0, pixels).map_err(|e| Error::file(path, e))
        }
        Images::Array(array) => {
            let one = slice(array, index);
            let info = &model.inputs()[0];
            // uint8 pictures are pixels unless the input itself is uint8 of that very shape.
            let tensor = one.shape == info.shape && npy_fits(&one.data, info.elem);
            input::from_array(model, 0, &one, args.pixels || !tensor)
                .map_err(|e| Error::file(&args.images, e))
        }
    }
}

fn npy_fits(data: &Data, elem: dyadic_kernels::ElemType) -> bool {
    use dyadic_kernels::ElemType as E;
    match data {
        Data::U8(_) => elem == E::U8,
        Data::I8(_) => elem == E::S8,
        Data::I16(_) => elem == E::S16,
        Data::I32(_) => elem == E::S32,
        Data::F32(_) | Data::F64(_) => true,
        Data::I64(_) => false,
    }
}

/// Picture `index` of an array, with a first axis of 1.
fn slice(array: &Array, index: usize) -> Array {
    let mut shape = array.shape.clone();
    shape[0] = 1;
    let size: usize = shape.iter().product();
    let range = index * size..(index + 1) * size;
    let data = match &array.data {
        Data::U8(v) => Data::U8(v[range].to_vec()),
        Data::I8(v) => Data::I8(v[range].to_vec()),
        Data::I16(v) => Data::I16(v[range].to_vec()),
        Data::I32(v) => Data::I32(v[range].to_vec()),
        Data::I64(v) => Data::I64(v[range].to_vec()),
        Data::F32(v) => Data::F32(v[range].to_vec()),
        Data::F64(v) => Data::F64(v[range].to_vec()),
    };
    Array { shape, data }
}

fn classify(session: &mut Session, bytes: &[u8], label: i64, score: &mut Score) -> Result<()> {
    let slot = session.input_mut(0);
    if slot.len() != bytes.len() {
        return Err(format!("a picture gives {} bytes, the input takes {}", bytes.len(), slot.len()).into());
    }
    slot.copy_from_slice(bytes);
    session.run().map_err(|e| Error::Message(e.to_string()))?;
    let info = session.model().outputs()[0].clone();
    let best = top(&info, session.output(0), 5);
    let right = best.first().is_some_and(|b| b.0 as i64 == label);
    let class = score.classes.entry(label).or_default();
    class.1 += 1;
    if right {
        score.first += 1;
        class.0 += 1;
    }
    score.five += usize::from(best.iter().any(|b| b.0 as i64 == label));
    score.predictions.push(best.first().map_or(0, |b| b.0));
    Ok(())
}

fn report(args: &Eval, model: &Model, score: &Score, count: usize) -> Result<Answer> {
    let out = &mut std::io::stdout().lock();
    let share = |n: usize, of: usize| n as f64 / of.max(1) as f64;
    writeln!(
        out,
        "top-1 {:.4}  top-5 {:.4}  of {count}",
        share(score.first, count),
        share(score.five, count)
    )?;
    let recall = |&(right, all): &(usize, usize)| share(right, all);
    let worst = score.classes.iter().min_by(|a, b| recall(a.1).total_cmp(&recall(b.1)));
    let view = model.view();
    let names: HashMap<i64, String> = score
        .classes
        .keys()
        .map(|&c| {
            (c, usize::try_from(c).ok().and_then(|c| view.label(c)).map_or(c.to_string(), str::to_string))
        })
        .collect();
    if score.classes.len() <= 64 {
        let mut table = Table::new(&["<class", "right", "of", "recall"]);
        for (class, counts) in &score.classes {
            let (right, all) = counts;
            table.row(vec![
                names[class].clone(),
                right.to_string(),
                all.to_string(),
                format!("{:.4}", recall(counts)),
            ]);
        }
        table.print(out)?;
    }
    if let Some((class, counts)) = worst {
        writeln!(out, "worst class: {} ({} of {})", names[class], counts.0, counts.1)?;
    }
    if let Some(path) = &args.json {
        let classes: Vec<_> = score.classes.iter().map(|(class, (right, all))| {
            json!({ "class": class, "name": names[class], "right": right, "of": all })
        }).collect();
        let value = json!({
            "schema": "dyadic-eval-1",
            "images": count,
            "top1": share(score.first, count),
            "top5": share(score.five, count),
            "classes": classes,
            "predictions": score.predictions,
        });
        std::fs::write(path, format!("{value:#}\n")).map_err(|e| Error::io(path, e))?;
    }
    Ok(Answer::Yes)
}
