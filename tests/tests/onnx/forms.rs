//! The same network in the forms that ONNX has for it, and the options of the import.

use dyadic_compiler::from_onnx::{ImportOptions, InputShapes};

use crate::author::{Attributes, Code, F32, Net, S8, S32, U8, code};
use crate::plain::{Array, PLAIN, conv, values};
use crate::run::{assert_equal, check, outputs, outputs_of};

/// A scale that is a power of two keeps products and quotients of scales exact.
const X: Code = code(U8, 0.03125, 121);
const Y: Code = code(S8, 0.17, -9);
const W: f32 = 0.0031;

struct Parts {
    x: Array,
    w: Array,
    b: Array,
}

fn parts() -> Parts {
    Parts {
        x: values(1, &[1, 3, 6, 5], X.range()),
        w: values(2, &[4, 3, 3, 3], (-128, 127)),
        b: values(3, &[4], (-5000, 5000)),
    }
}

impl Parts {
    /// The convolution between quantizers, its output clamped below at `lo`.
    fn expected(&self, lo: i64) -> Array {
        let acc = conv(&self.x, X.zero, &self.w, &self.b.data, &PLAIN);
        Y.settle(&acc, 1, |_| X.scale() * f64::from(W) / Y.scale()).map(|v| v.max(lo))
    }
}

#[test]
fn operators_on_integers() {
    let p = parts();
    let sum = code(S8, 0.21, 3);
    let mut net = Net::new();
    net.input("x", U8, &[1, 3, 6, 5]);
    net.whole("w", S8, &[4, 3, 3, 3], &p.w.data);
    net.whole("b", S32, &[4], &p.b.data);
    net.scaling("x", X);
    net.scaling("w", code(S8, W, 0));
    net.scaling("y", Y);
    net.scaling("z", sum);
    net.node("QLinearConv", &["x", "x_s", "x_z", "w", "w_s", "w_z", "y_s", "y_z", "b"], &["y"]);
    net.node("QLinearAdd", &["y", "y_s", "y_z", "y", "y_s", "y_z", "z_s", "z_z"], &["z"]);
    net.output("y", S8).output("z", S8);
    let y = p.expected(-128);
    let z = sum.sum((&y, Y), (&y, Y));
    check(&net, &[&p.x], &[&y, &z]);
    let mut pairs = Net::new();
    pairs.fed("x", &[1, 3, 6, 5], X);
    pairs.weights("w", (S8, &[4, 3, 3, 3]), &p.w.data, &[W]);
    pairs.weights("b", (S32, &[4]), &p.b.data, &[X.scale * W]);
    pairs.node("Conv", &["x", "w", "b"], &["c"]);
    pairs.qdq("c", "y", Y);
    pairs.node("Add", &["y", "y"], &["a"]);
    pairs.quantize("a", "z", sum);
    pairs.output("y_q", S8).output("z_q", S8);
    assert_eq!(outputs(&pairs, &[&p.x]), outputs(&net, &[&p.x]));
}

/// The scale and bias of an integer convolution come as nodes of their own.
#[test]
fn an_integer_convolution_and_what_follows() {
    let p = parts();
    let mut net = Net::new();
    net.input("x", F32, &[1, 3, 6, 5]);
    net.quantize("x", "a", X);
    net.whole("w", S8, &[4, 3, 3, 3], &p.w.data);
    net.whole("w_z", S8, &[], &[0]);
    net.node("ConvInteger", &["a_q", "w", "a_z", "w_z"], &["c"]);
    net.node("Cast", &["c"], &["f"]).int("to", 1);
    net.real("scale", &[], &[X.scale * W]);
    net.node("Mul", &["f", "scale"], &["g"]);
    let bias: Vec<f32> = p.b.data.iter().map(|&v| (v as f64 * X.scale() * f64::from(W)) as f32).collect();
    net.real("b", &[1, 4, 1, 1], &bias);
    net.node("Add", &["g", "b"], &["h"]);
    net.node("Relu", &["h"], &["r"]);
    net.quantize("r", "y", Y);
    net.output("y_q", S8);
    check(&net, &[&p.x], &[&p.expected(-9)]);
}

/// QONNX quantizes real weights and activations in one node each.
#[test]
fn quant_nodes() {
    let p = parts();
    let mut net = Net::new();
    net.input("x", F32, &[1, 3, 6, 5]);
    net.real("eight", &[], &[8.0]);
    let quant = |net: &mut Net, from: &str, to: &str, c: Code| {
        let [s, z] = ["s", "z"].map(|end| format!("{to}_{end}"));
        net.real(&s, &[], &[c.scale]);
        net.real(&z, &[], &[c.zero as f32]);
        net.node("Quant", &[from, &s, &z, "eight"], &[to])
            .int("signed", i64::from(c.elem == S8))
            .int("narrow", 0);
    };
    quant(&mut net, "x", "a", X);
    let reals: Vec<f32> = p.w.data.iter().map(|&v| v as f32 * W).collect();
    net.real("weights", &[4, 3, 3, 3], &reals);
    quant(&mut net, "weights", "w", code(S8, W, 0));
    let bias: Vec<f32> = p.b.data.iter().map(|&v| (v as f64 * X.scale() * f64::from(W)) as f32).collect();
    net.real("b", &[4], &bias);
    net.node("Conv", &["a", "w", "b"], &["c"]);
    quant(&mut net, "c", "y", Y);
    net.output("y", F32);
    check(&net, &[&p.x], &[&p.expected(-128)]);
}

#[test]
fn a_folded_normalisation() {
    let p = parts();
    let mut net = Net::new();
    net.fed("x", &[1, 3, 6, 5], X);
    net.weights("w", (S8, &[4, 3, 3, 3]), &p.w.data, &[W]);
    net.node("Conv", &["x", "w"], &["c"]);
    // Variance and epsilon sum to a square of a power of two: gains of 2, -1, 1/2 and 0.
    let lists: [(&str, [f32; 4]); 4] = [
        ("scale", [1.0, -0.5, 0.25, 0.0]),
        ("shift", [0.5, -0.25, 1.0, 0.75]),
        ("mean", [0.125, 0.0, -2.0, 9.0]),
        ("variance", [0.1875; 4]),
    ];
    lists.iter().for_each(|(name, list)| net.real(name, &[4], list));
    net.node("BatchNormalization", &["c", "scale", "shift", "mean", "variance"], &["n"])
        .float("epsilon", 0.0625);
    net.quantize("n", "y", Y);
    net.output("y_q", S8);
    let (gain, offset) = ([2.0, -1.0, 0.5, 0.0], [0.25, -0.25, 2.0, 0.75]);
    let step = X.scale() * f64::from(W);
    let bias = |c: usize| {
        let gain: f64 = if gain[c] == 0.0 { 1.0 } else { gain[c] };
        (offset[c] / (step * gain.abs())).round_ties_even() as i64
    };
    let sign = |c: usize| if gain[c] == 0.0 { 0 } else { gain[c].signum() as i64 };
    let w = Array::make(&p.w.shape, |i| sign(i[0]) * p.w.at(i));
    let acc = conv(&p.x, X.zero, &w, &[0, 1, 2, 3].map(bias), &PLAIN);
    let size = |c: usize| if gain[c] == 0.0 { 1.0 } else { gain[c].abs() };
    let expected = Y.settle(&acc, 1, |c| X.scale() * (f64::from(W) * size(c)) / Y.scale());
    check(&net, &[&p.x], &[&expected]);
}

fn open_batch() -> (Net, Parts) {
    let p = parts();
    let mut net = Net::new();
    net.fed("x", &[-1, 3, 6, 5], X);
    net.weights("w", (S8, &[4, 3, 3, 3]), &p.w.data, &[W]);
    net.weights("b", (S32, &[4]), &p.b.data, &[X.scale * W]);
    net.node("Conv", &["x", "w", "b"], &["c"]);
    net.qdq("c", "y", Y);
    net.node("Flatten", &["y"], &["f"]);
    net.output("y_q", S8).output("f", F32);
    (net, p)
}

#[test]
fn a_batch_is_that_many_runs() {
    let (net, p) = open_batch();
    let second = values(9, &[1, 3, 6, 5], X.range());
    let both = Array::new(&[2, 3, 6, 5], [p.x.data.clone(), second.data.clone()].concat());
    let shapes = InputShapes { batch: Some(2), ..InputShapes::default() };
    let found = outputs_of(&net.bytes(), &ImportOptions { shapes, ..ImportOptions::default() }, &[&both]);
    let (first, second) = (outputs(&net, &[&p.x]), outputs(&net, &[&second]));
    assert_ne!(first, second);
    for i in 0..2 {
        let mut shape = first[i].shape.clone();
        shape[0] = 2;
        let stacked = [first[i].data.clone(), second[i].data.clone()].concat();
        assert_equal("batch", &found[i], &Array::new(&shape, stacked));
    }
}

/// Pictures in and feature maps out with the channels last; what has no four axes stays.
#[test]
fn channels_last() {
    let (net, p) = open_batch();
    let last = |a: &Array| a.transposed(&[0, 2, 3, 1]);
    let import = ImportOptions { nhwc: true, ..ImportOptions::default() };
    let found = outputs_of(&net.bytes(), &import, &[&last(&p.x)]);
    let expected = p.expected(-128);
    assert_equal("map", &found[0], &last(&expected));
    assert_equal("rows", &found[1], &expected.reshaped(&[1, 48]));
}

/// Axes were attributes before operator set 13.
#[test]
fn axes_as_attributes_and_as_inputs() {
    let x = values(4, &[1, 3, 1, 5], (-128, 127));
    for version in [11, 12, 13, 21] {
        let mut net = Net::of_opset(version);
        net.fed("x", &[1, 3, 1, 5], code(S8, 0.5, 0));
        if version < 13 {
            net.node("Squeeze", &["x"], &["s"]).ints("axes", &[2]);
            net.node("Unsqueeze", &["s"], &["u"]).ints("axes", &[0, 4]);
            net.node("ReduceMean", &["s"], &["m"]).ints("axes", &[1]).int("keepdims", 0);
            net.node("Split", &["x"], &["p", "q"]).ints("split", &[1, 2]).int("axis", 1);
        } else {
            net.list("two", &[2]);
            net.list("ends", &[0, 4]);
            net.list("one", &[1]);
            net.list("parts", &[1, 2]);
            net.node("Squeeze", &["x", "two"], &["s"]);
            net.node("Unsqueeze", &["s", "ends"], &["u"]);
            let mean = net.node("ReduceMean", &["s", "one"][..if version < 18 { 1 } else { 2 }], &["m"]);
            mean.int("keepdims", 0);
            if version < 18 {
                mean.ints("axes", &[1]);
            }
            net.node("Split", &["x", "parts"], &["p", "q"]).int("axis", 1);
        }
        net.quantize("m", "mean", code(S8, 0.5, 0));
        net.output("s", F32).output("u", F32).output("mean_q", S8).output("q", F32);
        let mean = Array::make(&[1, 5], |i| {
            let sum: i64 = (0..3).map(|c| x.at(&[0, c, 0, i[1]])).sum();
            crate::plain::rescale(sum, 1.0 / 3.0)
        });
        let rest = Array::make(&[1, 2, 1, 5], |i| x.at(&[0, i[1] + 1, 0, i[3]]));
        check(&net, &[&x], &[&x.reshaped(&[1, 3, 5]), &x.reshaped(&[1, 1, 3, 5, 1]), &mean, &rest]);
    }
}
