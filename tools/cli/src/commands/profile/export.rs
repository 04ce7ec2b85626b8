//! A profile as JSON and CSV, in raw nanoseconds.

use std::path::Path;

use serde_json::{Value, json};

use super::{Measured, Ticks};
use crate::error::{Error, Result};
use crate::text::{hex, sources};

const COLUMNS: [&str; 17] = [
    "index",
    "sources",
    "kind",
    "kernel",
    "isa",
    "output_shape",
    "macs",
    "weight_bytes",
    "activation_bytes",
    "p50_ns",
    "p90_ns",
    "p99_ns",
    "p99.9_ns",
    "max_ns",
    "mean_ns",
    "share_of_mean",
    "row",
];

/// The cells from `p50_ns` to `row`.
fn times(ticks: Option<&Ticks>, mean: f64, whole: f64, row: &str) -> Vec<String> {
    let columns = ticks.map_or([None; 5], Ticks::columns);
    let mut cells: Vec<String> = columns.iter().map(|t| t.map_or(String::new(), |t| t.to_string())).collect();
    cells.extend([format!("{mean:.0}"), format!("{:.6}", mean / whole), row.to_string()]);
    cells
}

impl Measured {
    pub fn json(&self) -> Value {
        let layers = self.steps.iter().zip(&self.layers).enumerate().map(|(i, (step, ticks))| {
            json!({
                "index": i,
                "sources": sources(&step.name),
                "kind": step.kind.name(),
                "rule": step.rule.name(),
                "kernel": step.kernel,
                "isa": step.isa.name(),
                "output_shape": self.shape(step),
                "macs": step.macs,
                "weight_bytes": step.weight_bytes,
                "activation_bytes": step.activation_bytes,
                "ns": ticks.json(),
            })
        });
        json!({
            "schema": "dyadic-profile-1",
            "model": self.name,
            "digest": hex(&self.model.digest()),
            "tool": concat!("dyadic ", env!("CARGO_PKG_VERSION")),
            "isa": self.isa,
            "threads": self.threads,
            "pinned_cores": self.pinned,
            "runs": self.whole.count(),
            "warmup": self.warmup,
            "first_run_ns": self.cold,
            "recorded_p50_ns": self.recorded,
            "unprofiled_p50_ns": self.unrecorded,
            "whole_ns": self.whole.json(),
            "input_copy_ns": self.input_copy.json(),
            "output_copy_ns": self.output_copy.json(),
            "layers": layers.collect::<Vec<_>>(),
        })
    }

    /// One record per layer, then those of the whole run: `row` tells them apart.
    pub fn csv(&self, path: &Path) -> Result<()> {
        let failed = |e: csv::Error| Error::file(path, e);
        let mut out = csv::Writer::from_path(path).map_err(failed)?;
        out.write_record(COLUMNS).map_err(failed)?;
        let whole = self.whole.mean().max(1.0);
        for (i, (step, ticks)) in self.steps.iter().zip(&self.layers).enumerate() {
            let mut record = vec![i.to_string(), step.name.to_string(), step.kind.name().to_string()];
            record.extend([step.kernel, step.isa.name(), &self.shape(step)].map(str::to_string));
            record.extend([step.macs, step.weight_bytes, step.activation_bytes].map(|n| n.to_string()));
            record.extend(times(Some(ticks), ticks.mean(), whole, "layer"));
            out.write_record(record).map_err(failed)?;
        }
        let run = [("whole run", Some(&self.whole), self.whole.mean())];
        for (name, ticks, mean) in self.closing().into_iter().chain(run) {
            let mut record = vec![String::new(); 9];
            record.extend(times(ticks, mean, whole, name));
            out.write_record(record).map_err(failed)?;
        }
        out.flush().map_err(|e| Error::io(path, e))
    }
}
