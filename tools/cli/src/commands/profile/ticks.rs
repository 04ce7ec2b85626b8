//! Nanoseconds of one thing over all runs.

use serde_json::{Value, json};

/// Samples that must lie beyond a percentile for it to mean anything: p90 from 100 runs on, p99 from 1,000, p99.9 from
/// 10,000.
const TAIL: usize = 10;

/// Times, sorted.
#[derive(Clone, Debug)]
pub struct Ticks(Vec<u64>);

impl Ticks {
    pub fn new(mut ticks: Vec<u64>) -> Ticks {
        ticks.sort_unstable();
        Ticks(ticks)
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The nearest-rank percentile; `None` when too few samples lie beyond it.
    fn percentile(&self, per_thousand: usize) -> Option<u64> {
        if self.0.len() * (1000 - per_thousand) < 1000 * TAIL {
            return None;
        }
        self.0.get((self.0.len() * per_thousand).div_ceil(1000).saturating_sub(1)).copied()
    }

    pub fn median(&self) -> u64 {
        self.0.get(self.0.len().saturating_sub(1) / 2).copied().unwrap_or(0)
    }

    pub fn max(&self) -> u64 {
        self.0.last().copied().unwrap_or(0)
    }

    pub fn mean(&self) -> f64 {
        self.0.iter().map(|&t| t as f64).sum::<f64>() / self.0.len().max(1) as f64
    }

    /// p50, p90, p99, p99.9 and the largest, as far as the runs allow.
    pub fn columns(&self) -> [Option<u64>; 5] {
        let tail = |p| self.percentile(p);
        [Some(self.median()), tail(900), tail(990), tail(999), Some(self.max())]
    }

    /// Raw integer nanoseconds.
    pub fn json(&self) -> Value {
        let [p50, p90, p99, p999, max] = self.columns();
        let mean = self.mean().round() as u64;
        json!({ "p50": p50, "p90": p90, "p99": p99, "p99.9": p999, "max": max, "mean": mean })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_given_from_the_runs_on_that_carry_them() {
        let given = |runs: u64| Ticks::new((1..=runs).rev().collect()).columns();
        assert_eq!(given(1), [Some(1), None, None, None, Some(1)]);
        assert_eq!(given(99), [Some(50), None, None, None, Some(99)]);
        assert_eq!(given(100), [Some(50), Some(90), None, None, Some(100)]);
        assert_eq!(given(999)[2], None);
        assert_eq!(given(1000), [Some(500), Some(900), Some(990), None, Some(1000)]);
        assert_eq!(given(10_000)[3], Some(9990));
    }
}
