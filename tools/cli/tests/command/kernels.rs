//! `dyadic kernels`.

use std::collections::HashSet;

use serde_json::Value;

use crate::{done, refused};

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&done(args)).unwrap()
}

#[test]
fn every_kernel_that_runs_here_is_timed() {
    let registry = json(&["kernels", "--json"]);
    let bench = json(&["kernels", "--bench", "--seconds", "0", "--json"]);
    let lines = bench["lines"].as_array().unwrap();
    let timed: HashSet<&str> = lines.iter().map(|line| line["kernel"].as_str().unwrap()).collect();
    for kernel in registry["kernels"].as_array().unwrap() {
        if kernel["runs_here"] == true && kernel["isa"] != "reference" {
            assert!(timed.contains(kernel["name"].as_str().unwrap()), "{kernel} is not timed");
        }
    }
    for line in lines {
        assert!(line["ns"].as_f64().unwrap() > 0.0, "{line}");
        let product = ["Gemm", "Depthwise"].iter().any(|op| line["op"] == *op);
        assert_eq!(line["macs_per_cycle"].is_number(), product, "{line}");
        // Plain Rust has no multiply of its own to be held against.
        assert_eq!(line["share_of_peak"].is_number(), product && line["isa"] != "portable", "{line}");
    }
}

#[test]
fn a_filter_leaves_the_lines_that_hold_it() {
    let said = done(&["kernels", "--bench", "--seconds", "0", "--shapes", "49x160x960 W4A8"]);
    let lines: Vec<&str> = said.lines().filter(|line| line.contains("mobilenet")).collect();
    assert!(!lines.is_empty() && lines.iter().all(|line| line.contains("W4A8")), "{said}");
    assert!(said.contains("MAC/cycle"), "{said}");
    refused(&["kernels", "--bench", "--shapes", "no such shape"], &["no line"]);
    refused(&["kernels", "--shapes", "x"], &["--bench"]);
    refused(&["kernels", "--bench", "--seconds", "4000"], &["0 to 3600"]);
}
