//! `dyadic profile`: where the time goes.

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use dyadic_runtime::{Model, Session, StepInfo};
use serde_json::{Value, json};

use super::Answer;
use crate::args::{Machine, Profile};
use crate::error::{Error, Result};
use crate::table::Table;
use crate::{load, progress};

/// Nanoseconds of one thing over all runs, sorted.
#[derive(Clone, Debug)]
struct Ticks(Vec<u64>);

impl Ticks {
    fn new(mut ticks: Vec<u64>) -> Ticks {
        ticks.sort_unstable();
        Ticks(ticks)
    }

    /// The nearest-rank percentile; `None` below the runs that make one meaningful.
    fn percentile(&self, per_thousand: usize) -> Option<u64> {
        let count = self.0.len();
        // A tail of 1 in n needs at least n runs to hold one sample.
        if count == 0 || (per_thousand > 500 && count * (1000 - per_thousand) < 1000) {
            return None;
        }
        self.0.get((count * per_thousand).div_ceil(1000).saturating_sub(1)).copied()
    }

    fn median(&self) -> u64 {
        self.percentile(500).unwrap_or(0)
    }

    fn max(&self) -> u64 {
        self.0.last().copied().unwrap_or(0)
    }

    fn mean(&self) -> f64 {
        self.0.iter().map(|&t| t as f64).sum::<f64>() / self.0.len().max(1) as f64
    }
}

/// A measured session.
pub struct Measured {
    model: Model,
    steps: Vec<StepInfo>,
    layers: Vec<Ticks>,
    whole: Ticks,
    input_copy: Ticks,
    output_copy: Ticks,
    cold: u64,
    unprofiled: u64,
    isa: &'static str,
    threads: u16,
}

pub fn run(args: &Profile) -> Result<Answer> {
    let model = load::model(&args.model)?;
    let measured = measure(&model, &args.machine, args.runs, args.warmup)?;
    measured.print(&mut std::io::stdout().lock())?;
    if let Some(path) = &args.json {
        std::fs::write(path, format!("{:#}\n", measured.json())).map_err(|e| Error::io(path, e))?;
    }
    if let Some(path) = &args.csv {
        measured.csv(path)?;
    }
    Ok(Answer::Yes)
}

/// Runs a model on seeded inputs: profiled and unprofiled runs in turn, so that the cost of measuring shows.
pub fn measure(model: &Model, machine: &Machine, runs: u32, warmup: u32) -> Result<Measured> {
    let mut session = load::session(model, machine, runs as usize)?;
    let mut plain = load::session(model, machine, 0)?;
    let failed = |e: dyadic_runtime::RunError| Error::Message(e.to_string());
    let buffers = Buffers::seeded(&mut session);
    let cold = Instant::now();
    buffers.run(&mut session).map_err(failed)?;
    let cold = nanoseconds(cold);
    for _ in 0..warmup {
        buffers.run(&mut session).map_err(failed)?;
        buffers.run(&mut plain).map_err(failed)?;
    }
    session.clear_profile();
    let bar = progress::bar(runs.into(), "profile");
    let mut unprofiled = Vec::with_capacity(runs as usize);
    for _ in 0..runs {
        buffers.run(&mut session).map_err(failed)?;
        buffers.fill(&mut plain);
        let start = Instant::now();
        plain.run().map_err(failed)?;
        unprofiled.push(nanoseconds(start));
        bar.inc(1);
    }
    bar.finish_and_clear();
    let Some(profile) = session.profile() else { return Err("the session recorded nothing".into()) };
    let over = |f: &dyn Fn(usize) -> u64| Ticks::new((0..profile.runs()).map(f).collect());
    let layers = (0..profile.steps()).map(|step| over(&|run| profile.step_ticks(run)[step])).collect();
    Ok(Measured {
        model: model.clone(),
        steps: session.steps().to_vec(),
        layers,
        whole: over(&|run| profile.whole(run)),
        input_copy: over(&|run| profile.input_copy(run)),
        output_copy: over(&|run| profile.output_copy(run)),
        cold,
        unprofiled: Ticks::new(unprofiled).median(),
        isa: session.isa().name(),
        threads: machine.threads,
    })
}

fn nanoseconds(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// The caller's side of `run_with`.
struct Buffers {
    inputs: Vec<Vec<u8>>,
}

impl Buffers {
    fn seeded(session: &mut Session) -> Buffers {
        session.fill_seeded(1);
        let count = session.model().inputs().len();
        Buffers { inputs: (0..count).map(|i| session.input_mut(i).to_vec()).collect() }
    }

    fn fill(&self, session: &mut Session) {
        for (i, bytes) in self.inputs.iter().enumerate() {
            session.input_mut(i).copy_from_slice(bytes);
        }
    }

    fn run(&self, session: &mut Session) -> std::result::Result<(), dyadic_runtime::RunError> {
        let inputs: Vec<&[u8]> = self.inputs.iter().map(Vec::as_slice).collect();
        let mut outputs: Vec<Vec<u8>> = session.model().outputs().iter().map(|o| vec![0; o.bytes]).collect();
        let mut outputs: Vec<&mut [u8]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
        session.run_with(&inputs, &mut outputs)
    }
}

/// Microseconds with one digit.
fn micros(nanoseconds: u64) -> String {
    format!("{:.1}", nanoseconds as f64 / 1000.0)
}

fn optional(nanoseconds: Option<u64>) -> String {
    nanoseconds.map_or_else(|| "n/a".to_string(), micros)
}

impl Measured {
    /// The per-layer table; its closing rows add up to the whole.
    pub fn print(&self, out: &mut impl Write) -> Result<()> {
        writeln!(
            out,
            "isa {}, {} thread{}, {} runs; times in microseconds",
            self.isa,
            self.threads,
            if self.threads == 1 { "" } else { "s" },
            self.whole.0.len()
        )?;
        let total = self.input_copy.mean() + self.whole.mean() + self.output_copy.mean();
        let mut table = Table::new(&[
            "#", "<layer", "<op", "<output", "<kernel", "p50", "p90", "p99", "max", "share", "MACs", "MAC/ns",
        ]);
        let share = |mean: f64| format!("{:.1}%", 100.0 * mean / total);
        for (i, (step, ticks)) in self.steps.iter().zip(&self.layers).enumerate() {
            let mut row =
                vec![i.to_string(), shorten(&step.name), step.kind.name().to_string(), self.shape(step)];
            row.push(step.kernel.to_string());
            row.extend(times(ticks));
            row.push(share(ticks.mean()));
            row.extend(match step.macs {
                0 => ["-".to_string(), "-".to_string()],
                macs => [macs.to_string(), format!("{:.1}", macs as f64 / ticks.median().max(1) as f64)],
            });
            table.row(row);
        }
        let layers: f64 = self.layers.iter().map(Ticks::mean).sum();
        let mut closing = |name: &str, ticks: Option<&Ticks>, mean: f64, macs: u64| {
            let mut row = vec![String::new(), name.to_string(), String::new(), String::new(), String::new()];
            row.extend(ticks.map_or_else(|| [const { String::new() }; 4], times));
            row.push(share(mean));
            row.push(if macs == 0 { String::new() } else { macs.to_string() });
            row.push(match ticks {
                Some(t) if macs > 0 => format!("{:.1}", macs as f64 / t.median().max(1) as f64),
                _ => String::new(),
            });
            table.row(row);
        };
        closing("layers", None, layers, 0);
        closing("dispatch", None, self.whole.mean() - layers, 0);
        closing("input copy", Some(&self.input_copy), self.input_copy.mean(), 0);
        closing("output copy", Some(&self.output_copy), self.output_copy.mean(), 0);
        closing("whole run", Some(&self.whole), total, self.steps.iter().map(|s| s.macs).sum());
        table.print(out)?;
        let measured = self.whole.median();
        writeln!(
            out,
            "first run {}, median {} with ticks, {} without: measuring costs {:+.1} %; arena {} bytes",
            micros(self.cold),
            micros(measured),
            micros(self.unprofiled),
            100.0 * (measured as f64 / self.unprofiled.max(1) as f64 - 1.0),
            self.model.view().header().arena_bytes
        )?;
        Ok(())
    }

    fn shape(&self, step: &StepInfo) -> String {
        let view = self.model.view();
        let extents = view.tensors()[step.output].shape().iter().map(u32::to_string).collect::<Vec<_>>();
        extents.join("x")
    }

    /// Every figure as raw integer nanoseconds.
    fn json(&self) -> Value {
        let ticks = |t: &Ticks| {
            json!({ "p50": t.median(), "p90": t.percentile(900), "p99": t.percentile(990), "max": t.max(),
                    "mean": t.mean().round() as u64 })
        };
        let layers: Vec<Value> = self
            .steps
            .iter()
            .zip(&self.layers)
            .enumerate()
            .map(|(i, (step, t))| {
                json!({
                    "index": i,
                    "source": step.name.as_str(),
                    "kind": step.kind.name(),
                    "rule": step.rule.name(),
                    "kernel": step.kernel,
                    "isa": step.isa.name(),
                    "output_shape": self.shape(step),
                    "macs": step.macs,
                    "weight_bytes": step.weight_bytes,
                    "activation_bytes": step.activation_bytes,
                    "ns": ticks(t),
                })
            })
            .collect();
        json!({
            "schema": "dyadic-profile-1",
            "digest": hex(&self.model.view().header().digest),
            "isa": self.isa,
            "threads": self.threads,
            "runs": self.whole.0.len(),
            "first_run_ns": self.cold,
            "unprofiled_p50_ns": self.unprofiled,
            "whole_ns": ticks(&self.whole),
            "input_copy_ns": ticks(&self.input_copy),
            "output_copy_ns": ticks(&self.output_copy),
            "layers": layers,
        })
    }

    fn csv(&self, path: &Path) -> Result<()> {
        let mut text =
            String::from("index,source,kind,kernel,output_shape,macs,p50_ns,p90_ns,p99_ns,max_ns\n");
        for (i, (step, t)) in self.steps.iter().zip(&self.layers).enumerate() {
            let tail = |p| t.percentile(p).map_or(String::new(), |v| v.to_string());
            text += &format!(
                "{i},\"{}\",{},{},{},{},{},{},{},{}\n",
                step.name.replace('"', "\"\""),
                step.kind.name(),
                step.kernel,
                self.shape(step),
                step.macs,
                t.median(),
                tail(900),
                tail(990),
                t.max()
            );
        }
        std::fs::write(path, text).map_err(|e| Error::io(path, e))
    }
}

fn times(ticks: &Ticks) -> [String; 4] {
    [
        micros(ticks.median()),
        optional(ticks.percentile(900)),
        optional(ticks.percentile(990)),
        micros(ticks.max()),
    ]
}

/// At most 32 characters of a name.
fn shorten(name: &str) -> String {
    if name.chars().count() <= 32 {
        name.to_string()
    } else {
        name.chars().take(29).collect::<String>() + "..."
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
