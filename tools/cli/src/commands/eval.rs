//! `dyadic eval`: accuracy on labelled pictures.

use dyadic_runtime::{Model, Session};

use super::Answer;
use crate::args::Eval;
use crate::error::{Error, Result};
use crate::{load, progress};

mod dataset;
mod report;
mod score;

use dataset::Dataset;
use score::{Answers, Score};

pub fn run(args: &Eval) -> Result<Answer> {
    let model = load::model(&args.model)?;
    let answers = one_input(&model).and_then(|()| Answers::of(&model));
    let answers = answers.map_err(|e| Error::file(&args.model, e))?;
    let set = Dataset::read(&args.images, &args.labels)?;
    let labels = set.classes(&args.labels, args.label_offset, answers.classes())?;
    let limit = args.limit.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
    let count = labels.len().min(limit);
    let mut session = load::session(&args.model, &model, &args.machine)?;
    let bar = progress::bar(count as u64, "eval");
    let mut score = Score::default();
    for (index, &label) in labels.iter().enumerate().take(count) {
        let bytes = set.image(&model, index, args)?;
        fill(&mut session, &bytes)?;
        session.run().map_err(|e| Error::file(&args.model, e))?;
        score.add(label, &answers.best(session.output(0)));
        bar.inc(1);
    }
    bar.finish_and_clear();
    report::print(&mut std::io::stdout().lock(), &model, &answers, &score)?;
    if let Some(path) = &args.json {
        let text = format!("{:#}\n", report::json(args, &model, &answers, &score));
        std::fs::write(path, text).map_err(|e| Error::io(path, e))?;
    }
    Ok(Answer::Yes)
}

/// A set of labelled pictures fills one input.
fn one_input(model: &Model) -> std::result::Result<(), String> {
    match model.inputs().len() {
        1 => Ok(()),
        count => Err(format!("the network has {count} inputs, eval takes networks with one")),
    }
}

fn fill(session: &mut Session, bytes: &[u8]) -> Result<()> {
    let slot = session.input_mut(0);
    if slot.len() != bytes.len() {
        return Err(format!("a picture gives {} bytes, the input takes {}", bytes.len(), slot.len()).into());
    }
    slot.copy_from_slice(bytes);
    Ok(())
}
