//! Digests of every layer's output: computed here, written for other machines, read from them.

use std::path::Path;

use dyadic_runtime::{Model, Options, Session};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::progress;
use crate::text::hex;

const SCHEMA: &str = "dyadic-digests-1";

/// Layer names and, per seeded input, the digest of every layer's output.
pub struct Digests {
    layers: Vec<String>,
    runs: Vec<Vec<String>>,
}

impl Digests {
    /// Runs the model on the seeds 1 to `inputs`.
    pub fn compute(path: &Path, model: &Model, options: &Options, inputs: u64) -> Result<Digests> {
        let mut session = Session::new(model.clone(), options).map_err(|e| Error::file(path, e))?;
        let bar = progress::bar(inputs, "verify");
        let mut runs = Vec::new();
        for seed in 1..=inputs {
            let digests = session.layer_digests(seed).map_err(|e| Error::file(path, e))?;
            runs.push(digests.iter().map(|d| hex(d)).collect());
            bar.inc(1);
        }
        bar.finish_and_clear();
        let name = |s: &dyadic_runtime::StepInfo| format!("{} {} [{}]", s.kind.name(), s.name, s.kernel);
        Ok(Digests { layers: session.steps().iter().map(name).collect(), runs })
    }

    /// The first layer that `found` makes otherwise, for every input.
    pub fn compare(&self, found: &Digests) -> Vec<String> {
        let mut problems = Vec::new();
        for (seed, (a, b)) in self.runs.iter().zip(&found.runs).enumerate() {
            if let Some(layer) = a.iter().zip(b).position(|(x, y)| x != y) {
                problems.push(format!("input {}: layer {layer} ({}) differs", seed + 1, found.layers[layer]));
            }
        }
        problems
    }

    /// Whether every run of both has the same number of layers.
    pub fn fits(&self, other: &Digests) -> bool {
        let layers = other.layers.len();
        self.runs.len() == other.runs.len() && self.runs.iter().chain(&other.runs).all(|r| r.len() == layers)
    }

    /// Seeded inputs.
    pub fn inputs(&self) -> u64 {
        self.runs.len() as u64
    }

    pub fn json(&self, model: &Model) -> Value {
        let names: Vec<&str> = self.layers.iter().map(|l| l.split(" [").next().unwrap_or(l)).collect();
        json!({
            "schema": SCHEMA,
            "model": hex(&model.digest()),
            "inputs": self.inputs(),
            "layers": names,
            "digests": self.runs,
        })
    }
}

/// Reads what [`Digests::json`] made for the same model.
pub fn read(path: &Path, model: &Model) -> Result<Digests> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
    let value: Value = serde_json::from_str(&text).map_err(|e| Error::file(path, e))?;
    parse(&value, &hex(&model.digest())).map_err(|e| Error::file(path, e))
}

/// A damaged file must not pass by comparing less than it says.
fn parse(value: &Value, model: &str) -> std::result::Result<Digests, String> {
    if value["schema"] != SCHEMA {
        return Err("not a file that --digests wrote".into());
    }
    if value["model"] != model {
        return Err("the digests are those of another model file".into());
    }
    let rows = value["digests"].as_array().ok_or("the file holds no digests")?;
    let runs: Option<Vec<Vec<String>>> = rows.iter().map(row).collect();
    let runs = runs.ok_or("a row of digests is damaged")?;
    if runs.is_empty() || value["inputs"].as_u64() != Some(runs.len() as u64) {
        return Err(format!("{} rows of digests for {} inputs", runs.len(), value["inputs"]));
    }
    Ok(Digests { layers: Vec::new(), runs })
}

fn row(value: &Value) -> Option<Vec<String>> {
    let digest = |text: &&str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    value.as_array()?.iter().map(|v| v.as_str().filter(digest).map(str::to_string)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_digests_are_refused() {
        let digest = "0".repeat(64);
        let whole = json!({ "schema": SCHEMA, "model": "m", "inputs": 2, "layers": ["a", "b"],
                            "digests": [[digest, digest], [digest, digest]] });
        assert_eq!(parse(&whole, "m").map(|d| d.inputs()), Ok(2));
        assert!(parse(&whole, "n").is_err());
        for (key, value) in [
            ("schema", json!("dyadic-digests-2")),
            ("inputs", json!(3)),
            ("inputs", json!(null)),
            ("digests", json!([])),
            ("digests", json!([[digest, digest], null])),
            ("digests", json!([[digest, 7], [digest, digest]])),
            ("digests", json!([[digest, "0"], [digest, digest]])),
            ("digests", json!([[digest, digest]])),
        ] {
            let mut damaged = whole.clone();
            damaged[key] = value;
            assert!(parse(&damaged, "m").is_err(), "{damaged}");
        }
    }
}
