//! Convolutions and matrix products between quantizers.

use crate::author::{Attributes, Code, F32, Net, S4, S8, S16, S32, U4, U8, code};
use crate::plain::{Array, Geometry, PLAIN, conv, product, values};
use crate::run::{check, outputs};

/// A bias as an exporter may give it.
enum Bias {
    None,
    /// In steps of the accumulator.
    Steps,
    /// Codes with a scale of their own.
    Own(f32),
    Real,
}

/// One convolution between quantizers.
struct Layer {
    x: (Code, [usize; 4]),
    w: (i32, [usize; 4]),
    scales: Vec<f32>,
    y: Code,
    geometry: Geometry,
    bias: Bias,
}

const X: Code = code(U8, 0.019, 121);
const Y: Code = code(S8, 0.043, -9);

fn layer() -> Layer {
    Layer {
        x: (X, [1, 3, 7, 6]),
        w: (S8, [5, 3, 3, 3]),
        scales: vec![0.0031],
        y: Y,
        geometry: PLAIN,
        bias: Bias::None,
    }
}

fn extents(shape: &[usize]) -> Vec<i64> {
    shape.iter().map(|&e| e as i64).collect()
}

fn geometry(node: &mut impl Attributes, g: &Geometry) {
    let [stride, dilation] = [g.stride, g.dilation].map(|v| extents(&v));
    node.ints("strides", &stride).ints("dilations", &dilation).ints("pads", &extents(&g.pads));
    node.int("group", g.groups as i64);
}

impl Layer {
    /// Compares the network with the integers of its definition.
    fn check(&self, seed: u64) {
        let (cx, shape) = self.x;
        let (elem, kernel) = self.w;
        let out = kernel[0];
        let x = values(seed, &shape, cx.range());
        let w = values(seed + 1, &kernel, code(elem, 1.0, 0).range());
        let b = values(seed + 2, &[out], (-3000, 3000));
        let scale = |c: usize| self.scales[if self.scales.len() == 1 { 0 } else { c }];
        let step = |c: usize| cx.scale() * f64::from(scale(c));
        let mut net = Net::new();
        net.fed("x", &extents(&shape), cx);
        net.weights("w", (elem, &extents(&kernel)), &w.data, &self.scales);
        let (bias, inputs): (Vec<i64>, &[&str]) = match self.bias {
            Bias::None => (Vec::new(), &["x", "w"]),
            Bias::Steps => {
                let steps: Vec<f32> = self.scales.iter().map(|s| cx.scale * s).collect();
                net.weights("b", (S32, &[out as i64]), &b.data, &steps);
                (b.data.clone(), &["x", "w", "b"])
            }
            Bias::Own(own) => {
                net.weights("b", (S32, &[out as i64]), &b.data, &[own]);
                let code = |(c, &v): (usize, &i64)| (v as f64 * f64::from(own) / step(c)).round_ties_even();
                let codes = b.data.iter().enumerate().map(|v| code(v) as i64).collect();
                (codes, &["x", "w", "b"])
            }
            Bias::Real => {
                let reals: Vec<f32> = b.data.iter().map(|&v| v as f32 * 0.00017).collect();
                net.real("b", &[out as i64], &reals);
                let code = |(c, &v): (usize, &f32)| (f64::from(v) / step(c)).round_ties_even() as i64;
                (reals.iter().enumerate().map(code).collect(), &["x", "w", "b"])
            }
        };
        geometry(net.node("Conv", inputs, &["c"]), &self.geometry);
        net.quantize("c", "y", self.y);
        net.output("y_q", self.y.elem);
        let acc = conv(&x, cx.zero, &w, &bias, &self.geometry);
        let expected = self.y.settle(&acc, 1, |c| step(c) / self.y.scale());
        let (least, most) = (expected.data.iter().min(), expected.data.iter().max());
        assert!(least < most, "a network that gives the same everywhere shows nothing");
        check(&net, &[&x], &[&expected]);
    }
}

#[test]
fn plain_convolution() {
    layer().check(1);
}

#[test]
fn zero_points_of_both_signs() {
    for (x, y) in [(code(S8, 0.02, 17), code(U8, 0.05, 131)), (code(S8, 0.02, -128), code(S16, 0.0011, -77))]
    {
        Layer { x: (x, [1, 3, 7, 6]), y, ..layer() }.check(2);
    }
}

#[test]
fn uneven_pads_strides_dilations() {
    let strided = Geometry { stride: [2, 2], pads: [0, 1, 2, 1], ..PLAIN };
    Layer { geometry: strided, ..layer() }.check(3);
    let one_side = Geometry { stride: [2, 1], pads: [1, 0, 0, 2], ..PLAIN };
    Layer { geometry: one_side, ..layer() }.check(4);
    let dilated = Geometry { dilation: [2, 1], pads: [2, 1, 2, 1], ..PLAIN };
    Layer { geometry: dilated, ..layer() }.check(5);
}

#[test]
fn scales_per_channel_and_every_bias() {
    let scales = vec![0.0031, 0.0007, 0.0112, 0.00004, 0.0029];
    for bias in [Bias::None, Bias::Steps, Bias::Own(0.00021), Bias::Real] {
        Layer { scales: scales.clone(), bias, ..layer() }.check(6);
    }
    Layer { bias: Bias::Own(0.0009), ..layer() }.check(7);
    Layer { bias: Bias::Real, ..layer() }.check(7);
}

#[test]
fn groups() {
    let grouped = Geometry { groups: 2, pads: [1; 4], ..PLAIN };
    let scales = vec![0.004, 0.002, 0.001, 0.008, 0.003, 0.005];
    let layer = layer();
    Layer { x: (X, [1, 8, 5, 5]), w: (S8, [6, 4, 3, 3]), scales, geometry: grouped, ..layer }.check(8);
}

#[test]
fn depthwise_with_and_without_multiplier() {
    let depthwise = Geometry { groups: 6, pads: [1, 0, 1, 2], stride: [1, 2], ..PLAIN };
    for (out, seed) in [(6, 9), (12, 10)] {
        let scales = (0..out).map(|c| 0.002 + 0.0007 * c as f32).collect();
        let x = (X, [1, 6, 6, 7]);
        Layer { x, w: (S8, [out, 1, 3, 3]), scales, geometry: depthwise, bias: Bias::Steps, ..layer() }
            .check(seed);
    }
}

#[test]
fn four_bits() {
    let y = code(U4, 0.11, 3);
    Layer { w: (S4, [5, 3, 3, 3]), scales: vec![0.05], y, ..layer() }.check(11);
    let narrow = (code(U4, 0.25, 5), [1, 5, 4, 6]);
    Layer { x: narrow, w: (S4, [4, 5, 1, 3]), scales: vec![0.04], y: code(S4, 0.4, -1), ..layer() }.check(12);
    let signed = (code(S4, 0.25, -2), [1, 5, 4, 6]);
    Layer { x: signed, w: (S8, [4, 5, 3, 1]), scales: vec![0.002], y: code(U4, 0.1, 7), ..layer() }.check(13);
}

/// What a caller feeds to a 4-bit input is a byte; beyond the codes it is the nearest code.
#[test]
fn bytes_beyond_a_four_bit_input() {
    let mut net = Net::new();
    let c = code(U4, 0.5, 0);
    net.fed("x", &[1, 4], c);
    net.node("Relu", &["x"], &["r"]);
    net.quantize("r", "y", c);
    net.output("y_q", U4);
    let x = Array::new(&[1, 4], vec![0, 15, 16, 255]);
    check(&net, &[&x], &[&Array::new(&[1, 4], vec![0, 15, 15, 15])]);
}

#[test]
fn clamps_become_part_of_the_layer() {
    let x = values(14, &[1, 3, 5, 5], X.range());
    let w = values(15, &[4, 3, 3, 3], (-128, 127));
    let acc = conv(&x, X.zero, &w, &[], &PLAIN);
    let step = X.scale() * f64::from(0.0031f32);
    let check_clamp = |op: &str, limits: [Option<f32>; 2], (lo, hi): (i64, i64)| {
        let mut net = Net::new();
        net.fed("x", &[1, 3, 5, 5], X);
        net.weights("w", (S8, &[4, 3, 3, 3]), &w.data, &[0.0031]);
        net.node("Conv", &["x", "w"], &["c"]);
        let mut inputs = vec!["c"];
        for (name, limit) in ["low", "high"].into_iter().zip(limits) {
            if op == "Clip" {
                inputs.push(if limit.is_some() { name } else { "" });
            }
            if let Some(limit) = limit {
                net.real(name, &[], &[limit]);
            }
        }
        net.node(op, &inputs, &["r"]);
        net.qdq("r", "y", Y);
        net.output("y", F32);
        let expected = Y.settle(&acc, 1, |_| step / Y.scale()).map(|v| v.clamp(lo, hi));
        check(&net, &[&x], &[&expected]);
    };
    check_clamp("Relu", [None, None], (-9, 127));
    // 2 / 0.043 = 46.5 steps, -1.5 / 0.043 = -34.9.
    check_clamp("Clip", [Some(0.0), Some(2.0)], (-9, 38));
    check_clamp("Clip", [Some(-1.5), None], (-44, 127));
    check_clamp("Clip", [None, Some(-1.0)], (-128, -32));
}

/// A clamp after the quantizer narrows its codes: fewer bits than any type has.
#[test]
fn clipped_codes() {
    let x = values(16, &[1, 3, 5, 5], X.range());
    let w = values(17, &[4, 3, 3, 3], (-3, 3));
    let v = values(18, &[2, 4, 1, 1], (-3, 3));
    let (y, z) = (code(U8, 0.3, 0), code(S8, 0.04, 2));
    let mut net = Net::new();
    net.fed("x", &[1, 3, 5, 5], X);
    net.weights("w", (S8, &[4, 3, 3, 3]), &w.data, &[0.09]);
    net.node("Conv", &["x", "w"], &["c"]);
    net.quantize("c", "y", y);
    net.whole("low", U8, &[], &[0]);
    net.whole("high", U8, &[], &[7]);
    net.node("Clip", &["y_q", "low", "high"], &["y_3"]);
    net.node("DequantizeLinear", &["y_3", "y_s", "y_z"], &["y"]);
    net.weights("v", (S8, &[2, 4, 1, 1]), &v.data, &[0.07]);
    net.node("Conv", &["y", "v"], &["d"]);
    net.quantize("d", "z", z);
    net.output("y_3", U8);
    net.output("z_q", S8);
    let acc = conv(&x, X.zero, &w, &[], &PLAIN);
    let first = y.settle(&acc, 1, |_| X.scale() * f64::from(0.09f32) / y.scale()).map(|v| v.min(7));
    assert!(first.data.contains(&7) && first.data.contains(&0) && first.data.contains(&3));
    let acc = conv(&first, 0, &v, &[], &PLAIN);
    let second = z.settle(&acc, 1, |_| y.scale() * f64::from(0.07f32) / z.scale());
    check(&net, &[&x], &[&first, &second]);
}

/// Accumulators are given as they are where no quantizer follows.
#[test]
fn raw_logits() {
    let x = values(19, &[3, 10], X.range());
    let w = values(20, &[10, 4], (-128, 127));
    let b = values(21, &[4], (-9000, 9000));
    for gemm in [true, false] {
        let mut net = Net::new();
        net.fed("x", &[3, 10], X);
        net.weights("w", (S8, &[10, 4]), &w.data, &[0.004]);
        if gemm {
            net.weights("b", (S32, &[4]), &b.data, &[X.scale * 0.004]);
            net.node("Gemm", &["x", "w", "b"], &["y"]);
        } else {
            net.node("MatMul", &["x", "w"], &["y"]);
        }
        net.output("y", F32);
        check(&net, &[&x], &[&product(&x, X.zero, &w, if gemm { &b.data } else { &[] })]);
    }
}

/// `[out, in]` weights, and factors on the product and the addend.
#[test]
fn gemm_forms() {
    let x = values(22, &[2, 6], X.range());
    let w = values(23, &[6, 5], (-128, 127));
    let y = code(S8, 0.06, 4);
    let mut net = Net::new();
    net.fed("x", &[2, 6], X);
    net.weights("w", (S8, &[5, 6]), &w.transposed(&[1, 0]).data, &[0.01, 0.02, 0.005, 0.03, 0.015]);
    net.node("Gemm", &["x", "w"], &["g"]).int("transB", 1);
    net.quantize("g", "y", y);
    net.output("y_q", S8);
    let scales = [0.01f32, 0.02, 0.005, 0.03, 0.015].map(f64::from);
    let acc = product(&x, X.zero, &w, &[]);
    check(&net, &[&x], &[&y.settle(&acc, 1, |c| X.scale() * scales[c] / y.scale())]);
    // A factor of 1/2 is exact in the scale.
    let half = net.graph().node.iter_mut().find(|n| n.op_type() == "Gemm").unwrap();
    half.float("alpha", 0.5);
    check(&net, &[&x], &[&y.settle(&acc, 1, |c| X.scale() * (scales[c] * 0.5) / y.scale())]);
}

/// Rows of a feature map that the file holds with the channels first.
#[test]
fn a_dense_layer_on_a_feature_map() {
    let x = values(24, &[1, 2, 4, 5], X.range());
    let w = values(25, &[3, 2, 1, 1], (-128, 127));
    let v = values(26, &[60, 4], (-128, 127));
    let mut net = Net::new();
    net.fed("x", &[1, 2, 4, 5], X);
    net.weights("w", (S8, &[3, 2, 1, 1]), &w.data, &[0.01]);
    net.node("Conv", &["x", "w"], &["c"]);
    net.qdq("c", "y", Y);
    net.node("Flatten", &["y"], &["f"]);
    net.weights("v", (S8, &[60, 4]), &v.data, &[0.01]);
    net.node("Gemm", &["f", "v"], &["z"]);
    net.output("z", F32);
    let acc = conv(&x, X.zero, &w, &[], &PLAIN);
    let y = Y.settle(&acc, 1, |_| X.scale() * f64::from(0.01f32) / Y.scale());
    check(&net, &[&x], &[&product(&y.reshaped(&[1, 60]), Y.zero, &v, &[])]);
    // The same with the batch that stands still in a reshape.
    let flatten = net.graph().node.iter_mut().find(|n| n.op_type() == "Flatten").unwrap();
    flatten.op_type = Some("Reshape".to_owned());
    flatten.input.push("shape".to_owned());
    net.list("shape", &[0, -1]);
    assert_eq!(outputs(&net, &[&x]), [product(&y.reshaped(&[1, 60]), Y.zero, &v, &[])]);
}
