//! A profile as text: what was measured on what, the table, and what measuring costs.

use std::io::Write;

use super::{Measured, Ticks};
use crate::error::Result;
use crate::isa;
use crate::table::Table;
use crate::text::{hex, shown};

const COLUMNS: [&str; 13] = [
    "#", "<layer", "<op", "<output", "<kernel", "p50", "p90", "p99", "p99.9", "max", "share", "MACs",
    "MAC/ns",
];

/// Microseconds with one digit.
fn micros(nanoseconds: u64) -> String {
    format!("{:.1}", nanoseconds as f64 / 1000.0)
}

/// A percentile that the runs do not carry is not available.
fn times(ticks: &Ticks) -> [String; 5] {
    ticks.columns().map(|t| t.map_or_else(|| "n/a".to_string(), micros))
}

/// Multiply-accumulates, and how many a nanosecond.
fn macs(macs: u64, ticks: &Ticks) -> [String; 2] {
    match macs {
        0 => ["-".to_string(), "-".to_string()],
        _ => [macs.to_string(), format!("{:.1}", macs as f64 / ticks.median().max(1) as f64)],
    }
}

/// At most 32 characters of a name.
fn shorten(name: &str) -> String {
    if name.chars().count() <= 32 {
        name.to_string()
    } else {
        name.chars().take(29).collect::<String>() + "..."
    }
}

impl Measured {
    pub fn print(&self, out: &mut impl Write) -> Result<()> {
        self.print_header(out)?;
        self.table().print(out)?;
        writeln!(
            out,
            "first run {}, median {} with ticks, {} without: measuring costs {:+.1} %; arena {} bytes",
            micros(self.cold),
            micros(self.recorded),
            micros(self.unrecorded),
            100.0 * (self.recorded as f64 / self.unrecorded.max(1) as f64 - 1.0),
            self.model.arena_bytes()
        )?;
        Ok(())
    }

    fn print_header(&self, out: &mut impl Write) -> Result<()> {
        let digest = hex(&self.model.digest()[..8]);
        writeln!(out, "{}, digest {digest}, dyadic {}", shown(&self.name), env!("CARGO_PKG_VERSION"))?;
        let threads =
            if self.threads == 1 { "1 thread".to_string() } else { format!("{} threads", self.threads) };
        let cores: Vec<String> = self.pinned.iter().map(usize::to_string).collect();
        let pinned =
            if cores.is_empty() { "not pinned".into() } else { format!("on cores {}", cores.join(",")) };
        let cpu = isa::cpu_model();
        writeln!(out, "{}, isa {}, {threads} {pinned}", shown(&cpu), self.isa)?;
        let runs = self.whole.count();
        writeln!(
            out,
            "{runs} runs after {} to warm up; times in microseconds; share of the mean\n",
            self.warmup
        )?;
        Ok(())
    }

    /// One row per layer; the closing rows add up to the whole.
    fn table(&self) -> Table {
        let mut table = Table::new(&COLUMNS);
        let whole = self.whole.mean().max(1.0);
        let share = |mean: f64| format!("{:.1}%", 100.0 * mean / whole);
        for (i, (step, ticks)) in self.steps.iter().zip(&self.layers).enumerate() {
            let mut row = vec![i.to_string(), shorten(&step.name), step.kind.name().to_string()];
            row.extend([self.shape(step), step.kernel.to_string()]);
            row.extend(times(ticks));
            row.push(share(ticks.mean()));
            row.extend(macs(step.macs, ticks));
            table.row(row);
        }
        let named = |name: &str| ["", name, "", "", ""].map(str::to_string).to_vec();
        for (name, ticks, mean) in self.closing() {
            let mut row = named(name);
            row.extend(ticks.map_or_else(|| [const { String::new() }; 5], times));
            row.push(share(mean));
            table.row(row);
        }
        let mut row = named("whole run");
        row.extend(times(&self.whole));
        row.push(share(self.whole.mean()));
        row.extend(macs(self.steps.iter().map(|s| s.macs).sum(), &self.whole));
        table.row(row);
        table
    }
}
