//! The quantizers of QONNX on activations: rounding modes, truncation, two values.

use crate::author::{Attributes, Code, F32, Net, S8, U8, code};
use crate::plain::{Array, values};
use crate::run::{check, outputs, refusal};

const X: Code = code(S8, 0.25, 0);
/// Sixteen steps of the input: every quotient is a sixteenth of a whole number.
const COARSE: f32 = 4.0;

fn every_code() -> Array {
    Array { shape: vec![1, 256], data: (-128..128).collect() }
}

/// Scale, zero point and bits as constants, and the names of these.
fn quant(net: &mut Net, from: &str, to: &str, (scale, bits): (f32, f32), signed: bool, mode: &str) {
    let [s, z, b] = ["s", "z", "b"].map(|end| format!("{to}_{end}"));
    net.real(&s, &[], &[scale]);
    net.real(&z, &[], &[0.0]);
    net.real(&b, &[], &[bits]);
    net.node("Quant", &[from, &s, &z, &b], &[to])
        .int("signed", i64::from(signed))
        .int("narrow", 0)
        .text("rounding_mode", mode);
}

/// Codes 16 times as coarse, as a mode rounds them.
fn sixteenth(mode: &str, v: i64) -> i64 {
    let quotient = v as f64 / 16.0;
    let rounded = match mode {
        "FLOOR" => quotient.floor(),
        "CEIL" => quotient.ceil(),
        // Ties go up, as everywhere.
        _ => (quotient + 0.5).floor(),
    };
    rounded.clamp(-8.0, 7.0) as i64
}

#[test]
fn rounding_modes_of_codes() {
    for mode in ["ROUND", "HALF_UP", "HALF_DOWN", "FLOOR", "CEIL"] {
        let mut net = Net::new();
        net.fed("x", &[1, 256], X);
        quant(&mut net, "x", "y", (COARSE, 4.0), true, mode);
        net.output("y", F32);
        let x = every_code();
        check(&net, &[&x], &[&x.map(|v| sixteenth(mode, v))]);
    }
}

/// Behind a layer the half code goes into its bias; sums that are codes already must stay.
#[test]
fn rounding_modes_of_a_layer() {
    let (mut x, w) = (values(4, &[8, 12], X.range()), values(5, &[12, 6], (-3, 3)));
    // Two rows whose sums are whole codes.
    x.data[..24].fill(0);
    (0..12).for_each(|k| x.data[12 + k] = if k % 2 == 0 { 75 } else { -75 });
    let sums = |v: usize| -> i64 {
        let (row, column) = (v / 6, v % 6);
        (0..12).map(|k| x.data[row * 12 + k] * w.data[k * 6 + column]).sum()
    };
    for mode in ["ROUND", "FLOOR", "CEIL"] {
        let mut net = Net::new();
        net.fed("x", &[8, 12], X);
        net.weights("w", (S8, &[12, 6]), &w.data, &[1.0]);
        net.node("MatMul", &["x", "w"], &["c"]);
        // 75 steps of the accumulator: half a code is none.
        quant(&mut net, "c", "y", (0.25 * 75.0, 6.0), true, mode);
        net.output("y", F32);
        let data: Vec<i64> = (0..48)
            .map(|v| {
                let quotient = sums(v) as f64 / 75.0;
                let rounded = match mode {
                    "FLOOR" => quotient.floor(),
                    "CEIL" => quotient.ceil(),
                    _ => (quotient + 0.5).floor(),
                };
                rounded.clamp(-32.0, 31.0) as i64
            })
            .collect();
        check(&net, &[&x], &[&Array { shape: vec![8, 6], data }]);
    }
}

/// Toward zero is downward where nothing is below zero, and refused elsewhere.
#[test]
fn rounding_toward_zero() {
    let build = |relu: bool| {
        let mut net = Net::new();
        net.fed("x", &[1, 256], X);
        if relu {
            net.node("Relu", &["x"], &["r"]);
        }
        quant(&mut net, if relu { "r" } else { "x" }, "y", (COARSE, 4.0), true, "ROUND_TO_ZERO");
        net.output("y", F32);
        net
    };
    let x = every_code();
    check(&build(true), &[&x], &[&x.map(|v| v.max(0) / 16)]);
    let said = refusal(&build(false)).to_string();
    assert!(said.contains("may be negative") && said.contains("Quant:y"), "{said}");
}

/// The mean of 16 codes of 4 bits, times 16, is their sum; its low bits are cut off.
#[test]
fn a_truncated_average() {
    let x = values(6, &[2, 3, 4, 4], (0, 15));
    let code = code(U8, 0.5, 0);
    let mut net = Net::new();
    net.fed("a", &[2, 3, 4, 4], code);
    quant(&mut net, "a", "x", (0.5, 4.0), false, "ROUND");
    net.node("AveragePool", &["x"], &["m"]).ints("kernel_shape", &[4, 4]);
    net.real("count", &[], &[16.0]);
    net.node("Mul", &["m", "count"], &["sum"]);
    for (name, value) in [("s", 0.5), ("z", 0.0), ("from", 8.0), ("to", 4.0)] {
        net.real(name, &[], &[value]);
    }
    net.node("Trunc", &["sum", "s", "z", "from", "to"], &["t"]).text("rounding_mode", "FLOOR");
    // The step is that of the sums: the codes are sums divided by 16 under the scale of the input.
    net.output("t", F32);
    let data = x.data.chunks(16).map(|c| c.iter().sum::<i64>() >> 4).collect();
    check(&net, &[&x], &[&Array { shape: vec![2, 3, 1, 1], data }]);
}

#[test]
fn truncations_that_are_refused() {
    let build = |zero: f32, to: f32| {
        let mut net = Net::new();
        net.fed("x", &[1, 4], X);
        for (name, value) in [("s", 0.25), ("z", zero), ("from", 8.0), ("to", to)] {
            net.real(name, &[], &[value]);
        }
        net.node("Trunc", &["x", "s", "z", "from", "to"], &["t"]);
        net.output("t", F32);
        refusal(&net).to_string()
    };
    assert!(build(3.0, 4.0).contains("a truncation with a zero point"));
    assert!(build(0.0, 12.0).contains("a truncation of -4 bits, expected 0 to 24"));
    assert!(build(0.0, 3.5).contains("expected one whole number"));
}

/// Zero counts as not below zero, behind codes and behind a layer.
#[test]
fn two_values_of_codes() {
    let mut net = Net::new();
    net.fed("x", &[1, 256], X);
    net.real("s", &[], &[0.75]);
    net.node("BipolarQuant", &["x", "s"], &["y"]);
    net.output("y", F32);
    let x = every_code();
    check(&net, &[&x], &[&x.map(|v| if v < 0 { -1 } else { 1 })]);
}

#[test]
fn two_values_of_a_layer() {
    // One of three bias values lies between two sums, one on a sum, one just below one.
    let bias = [0.1f32, -0.5, -0.0001];
    let (x, w) = (values(7, &[40, 5], (-2, 2)), values(8, &[5, 3], (-2, 2)));
    let mut net = Net::new();
    net.fed("x", &[40, 5], X);
    net.weights("w", (S8, &[5, 3]), &w.data, &[0.5]);
    net.node("MatMul", &["x", "w"], &["c"]);
    net.real("b", &[3], &bias);
    net.node("Add", &["c", "b"], &["d"]);
    net.real("s", &[], &[0.75]);
    net.node("BipolarQuant", &["d", "s"], &["y"]);
    net.output("y", F32);
    let value = |v: usize| {
        let sum: i64 = (0..5).map(|k| x.data[v / 3 * 5 + k] * w.data[k * 3 + v % 3]).sum();
        if sum as f64 * 0.125 + f64::from(bias[v % 3]) < 0.0 { -1 } else { 1 }
    };
    let expected = Array { shape: vec![40, 3], data: (0..120).map(value).collect() };
    assert!(expected.data.contains(&1) && expected.data.contains(&-1));
    check(&net, &[&x], &[&expected]);
}

/// A number times a constant keeps its codes.
#[test]
fn a_factor_is_another_scale() {
    let mut net = Net::new();
    net.fed("x", &[1, 256], X);
    net.real("three", &[], &[3.0]);
    net.node("Mul", &["x", "three"], &["m"]);
    net.qdq("m", "y", code(S8, 0.75, 0));
    net.output("y_q", S8);
    let x = every_code();
    assert_eq!(outputs(&net, &[&x])[0].data, x.data);
}

#[test]
fn an_unknown_rounding_mode() {
    let mut net = Net::new();
    net.fed("x", &[1, 4], X);
    quant(&mut net, "x", "y", (COARSE, 4.0), true, "STOCHASTIC");
    net.output("y", F32);
    assert!(refusal(&net).to_string().contains("rounding mode STOCHASTIC"));
}
