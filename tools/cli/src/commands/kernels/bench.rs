//! `dyadic kernels --bench`: what every kernel that runs here makes of real layers, held against the CPU's best.

use std::io::Write;
use std::time::Duration;

use dyadic_kernels::isa::{Cpu, IsaKind, probe};
use dyadic_kernels::registry::{Choice, Kernel, kernels};
use serde_json::{Value, json};

use super::clock::{gigahertz, medians};
use super::shapes;
use super::work::Work;
use crate::args::Kernels;
use crate::commands::Answer;
use crate::error::Result;
use crate::isa::{cpu_model, has_kernels};
use crate::progress;
use crate::table::Table;
use crate::text::shown;

const COLUMNS: [&str; 9] =
    ["<kernel", "<layer", "<shape", "<types", "us", "GMAC/s", "MAC/cycle", "of peak", "GB/s"];

/// One kernel on one shape.
struct Line<'a> {
    work: &'a Work,
    kernel: &'static Kernel,
    /// Of inputs, packed weights and output.
    bytes: usize,
    /// Of one call.
    nanoseconds: f64,
    /// Cycles a nanosecond.
    gigahertz: f64,
    /// Multiply-accumulates a nanosecond of the instruction set's probe, which ran in turn with the kernel.
    peak: Option<f64>,
}

pub fn run(args: &Kernels, cpu: Cpu) -> Result<Answer> {
    let isas = wanted(args.isa.get()?, cpu)?;
    let list = shapes::all();
    let mut lines = Vec::new();
    let bar = progress::bar(list.len() as u64, "kernels");
    for work in &list {
        for &isa in &isas {
            let rows = kernels().filter(|kernel| kernel.isa == isa);
            lines.extend(rows.filter_map(|kernel| line(work, Choice { isa, cpu }, kernel, args)));
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if lines.is_empty() {
        return Err("no line holds that text".into());
    }
    let out = &mut std::io::stdout().lock();
    match args.json {
        true => writeln!(out, "{:#}", json(&isas, &lines))?,
        false => print(out, &isas, &lines)?,
    }
    Ok(Answer::Yes)
}

/// The instruction set that was asked for, or else all that run here but the reference: it is the specification, and nobody
/// waits for it.
fn wanted(isa: Option<IsaKind>, cpu: Cpu) -> Result<Vec<IsaKind>> {
    match isa {
        Some(isa) if !cpu.has(isa) => Err(format!("this CPU does not have {}", isa.name()).into()),
        Some(isa) => Ok(vec![isa]),
        None => {
            let here = |&isa: &IsaKind| isa != IsaKind::Reference && has_kernels(isa) && cpu.has(isa);
            Ok(IsaKind::ALL.into_iter().rev().filter(here).collect())
        }
    }
}

/// Times a kernel, where it does that work and its line is wanted.
fn line<'a>(work: &'a Work, choice: Choice, kernel: &'static Kernel, args: &Kernels) -> Option<Line<'a>> {
    let text = [kernel.name, work.layer, &work.shape, work.types].join(" ");
    if args.shapes.as_ref().is_some_and(|wanted| !text.contains(wanted.as_str())) {
        return None;
    }
    let mut bench = work.task.bind(choice, kernel)?;
    let Choice { isa, cpu } = choice;
    let macs = if work.macs > 0 { probe::peak(isa, cpu) } else { None };
    let mut probe = || _ = probe::peak(isa, cpu);
    let mut calls: Vec<&mut dyn FnMut()> = vec![&mut bench.call];
    if macs.is_some() {
        calls.push(&mut probe);
    }
    // Before and after, because the clock changes with load and heat.
    let before = gigahertz();
    let times = medians(&mut calls, Duration::from_secs_f64(args.seconds));
    Some(Line {
        work,
        kernel,
        bytes: bench.bytes,
        nanoseconds: *times.first()?,
        gigahertz: (before + gigahertz()) / 2.0,
        peak: macs.zip(times.get(1)).map(|(macs, time)| macs as f64 / time),
    })
}

/// The best multiply-accumulates a nanosecond that a probe of `isa` showed, and those a cycle.
fn best(lines: &[Line], isa: IsaKind) -> Option<(f64, f64)> {
    let probes = lines.iter().filter(|line| line.kernel.isa == isa);
    let rates = probes.filter_map(|line| line.peak.map(|rate| (rate, rate / line.gigahertz)));
    rates.max_by(|a, b| a.0.total_cmp(&b.0))
}

impl Line<'_> {
    /// Multiply-accumulates a nanosecond; `None` for what is not counted in them.
    fn rate(&self) -> Option<f64> {
        Some(self.work.macs as f64 / self.nanoseconds).filter(|&rate| rate > 0.0)
    }

    fn per_cycle(&self) -> Option<f64> {
        self.rate().map(|rate| rate / self.gigahertz)
    }

    fn share_of_peak(&self) -> Option<f64> {
        self.rate().zip(self.peak).map(|(rate, peak)| rate / peak)
    }

    fn bytes_per_nanosecond(&self) -> f64 {
        self.bytes as f64 / self.nanoseconds
    }

    fn cells(&self) -> Vec<String> {
        let number = |value: Option<f64>| value.map_or_else(|| "-".to_string(), |v| format!("{v:.2}"));
        let share = self.share_of_peak().map_or_else(|| "-".to_string(), |s| format!("{:.0}%", 100.0 * s));
        let names = [self.kernel.name, self.work.layer, &self.work.shape, self.work.types];
        let mut cells = names.map(str::to_string).to_vec();
        cells.push(format!("{:.1}", self.nanoseconds / 1000.0));
        cells.extend([number(self.rate()), number(self.per_cycle()), share]);
        cells.push(number(Some(self.bytes_per_nanosecond())));
        cells
    }

    fn json(&self) -> Value {
        json!({
            "kernel": self.kernel.name,
            "op": format!("{:?}", self.kernel.op),
            "isa": self.kernel.isa.name(),
            "layer": self.work.layer,
            "shape": self.work.shape,
            "types": self.work.types,
            "ns": self.nanoseconds,
            "ghz": self.gigahertz,
            "macs": self.work.macs,
            "bytes": self.bytes,
            "gmacs_per_s": self.rate(),
            "macs_per_cycle": self.per_cycle(),
            "share_of_peak": self.share_of_peak(),
            "gb_per_s": self.bytes_per_nanosecond(),
        })
    }
}

fn print(out: &mut impl Write, isas: &[IsaKind], lines: &[Line]) -> Result<()> {
    writeln!(out, "{}, one thread", shown(&cpu_model()))?;
    for &isa in isas {
        if let Some((rate, per_cycle)) = best(lines, isa) {
            let isa = isa.name();
            writeln!(out, "{isa} multiplies at best {rate:.1} GMAC/s, {per_cycle:.1} MACs a cycle")?;
        }
    }
    writeln!(out)?;
    let mut table = Table::new(&COLUMNS);
    for line in lines {
        table.row(line.cells());
    }
    table.print(out)?;
    writeln!(
        out,
        "\nus: median of one call, in microseconds; shape: rows x columns x depth, or height x width x channels;\n\
         of peak: share of what a loop of the multiply for any 8-bit operands does, measured in turn with the kernel;\n\
         kernels on 4 bits and Winograd's may exceed it; GB/s: input, weights and output over the time"
    )?;
    Ok(())
}

fn json(isas: &[IsaKind], lines: &[Line]) -> Value {
    let peak = |&isa: &IsaKind| {
        let (rate, per_cycle) = best(lines, isa)?;
        Some(json!({ "isa": isa.name(), "gmacs_per_s": rate, "macs_per_cycle": per_cycle }))
    };
    json!({
        "schema": "dyadic-kernel-bench-1",
        "cpu": cpu_model(),
        "peaks": isas.iter().filter_map(peak).collect::<Vec<_>>(),
        "lines": lines.iter().map(Line::json).collect::<Vec<_>>(),
    })
}
