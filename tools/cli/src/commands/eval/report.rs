//! The figures of an evaluation, as text and as JSON.

use std::io::Write;

use dyadic_runtime::Model;
use serde_json::{Value, json};

use super::score::{Answers, Counts, Score};
use crate::args::Eval;
use crate::error::Result;
use crate::table::Table;
use crate::text::{hex, shown};

/// Classes that are listed one by one; of more, the worst are.
const LISTED: usize = 64;
const WORST: usize = 16;

fn name(model: &Model, class: usize) -> String {
    model.view().label(class).map_or_else(|| class.to_string(), str::to_string)
}

pub fn print(out: &mut impl Write, model: &Model, answers: &Answers, score: &Score) -> Result<()> {
    let five = match answers.ranks() {
        true => format!("{:.4}", score.share(score.five)),
        false => "n/a".to_string(),
    };
    writeln!(out, "top-1 {:.4}  top-5 {five}  of {}", score.share(score.first), score.pictures())?;
    let worst = score.worst_first();
    let listed: Vec<(usize, Counts)> = match worst.len() {
        0..=LISTED => score.classes.iter().map(|(&c, &n)| (c, n)).collect(),
        _ => worst[..WORST].to_vec(),
    };
    let mut table = Table::new(&["<class", "right", "of", "recall"]);
    for &(class, counts) in &listed {
        let Counts { right, all } = counts;
        let recall = format!("{:.4}", counts.recall());
        table.row(vec![name(model, class), right.to_string(), all.to_string(), recall]);
    }
    table.print(out)?;
    if listed.len() < worst.len() {
        writeln!(out, "the {WORST} worst of {} classes; --json FILE lists all", worst.len())?;
    }
    if let Some(&(class, Counts { right, all })) = worst.first() {
        writeln!(out, "worst class: {} ({right} of {all})", shown(&name(model, class)))?;
    }
    Ok(())
}

pub fn json(args: &Eval, model: &Model, answers: &Answers, score: &Score) -> Value {
    let class = |(class, counts): (usize, Counts)| {
        let Counts { right, all } = counts;
        json!({ "class": class, "name": name(model, class), "right": right, "of": all,
                "recall": counts.recall() })
    };
    json!({
        "schema": "dyadic-eval-1",
        "model": args.model.to_string_lossy(),
        "digest": hex(&model.digest()),
        "tool": concat!("dyadic ", env!("CARGO_PKG_VERSION")),
        "label_offset": args.label_offset,
        "images": score.pictures(),
        "top1": score.share(score.first),
        "top5": answers.ranks().then(|| score.share(score.five)),
        "classes": score.classes.iter().map(|(&c, &n)| class((c, n))).collect::<Vec<_>>(),
        "worst_class": score.worst_first().first().copied().map(class),
        "predictions": score.predictions,
    })
}
