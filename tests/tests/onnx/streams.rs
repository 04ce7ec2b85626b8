//! Sums, residual streams, concatenations, pools and means.

use crate::author::{Attributes, Code, F32, Net, S8, S16, U8, code};
use crate::plain::{Array, Geometry, PLAIN, conv, rescale, values};
use crate::run::check;

#[test]
fn sums_of_mixed_types() {
    let shape = [1, 3, 4, 5];
    let codes = [code(U8, 0.02, 128), code(S8, 0.05, -3), code(S16, 0.0007, 100)];
    for (i, (a, b)) in [(0, 1), (1, 0), (0, 2), (2, 1), (2, 2)].into_iter().enumerate() {
        let (ca, cb) = (codes[a], codes[b]);
        let (x, y) = (values(i as u64, &shape, ca.range()), values(50 + i as u64, &shape, cb.range()));
        for to in [code(S8, 0.06, 5), code(U8, 0.031, 100), code(S16, 0.0009, -7)] {
            let mut net = Net::new();
            net.fed("a", &[1, 3, 4, 5], ca);
            net.fed("b", &[1, 3, 4, 5], cb);
            net.node("Add", &["a", "b"], &["c"]);
            net.quantize("c", "y", to);
            net.output("y_q", to.elem);
            check(&net, &[&x, &y], &[&to.sum((&x, ca), (&y, cb))]);
        }
    }
}

#[test]
fn a_sum_with_a_clamp_and_one_that_broadcasts() {
    let (ca, cb, to) = (code(S8, 0.05, 3), code(S8, 0.02, -4), code(S8, 0.05, -10));
    let (x, y) = (values(1, &[2, 3, 2, 2], ca.range()), values(2, &[1, 3, 1, 1], cb.range()));
    let mut net = Net::new();
    net.fed("a", &[2, 3, 2, 2], ca);
    net.fed("b", &[1, 3, 1, 1], cb);
    net.node("Add", &["a", "b"], &["c"]);
    net.node("Relu", &["c"], &["r"]);
    net.quantize("r", "y", to);
    net.output("y_q", S8);
    let wide = Array::make(&x.shape, |i| y.at(&[0, i[1], 0, 0]));
    check(&net, &[&x, &y], &[&to.sum((&x, ca), (&wide, cb)).map(|v| v.max(-10))]);
}

/// Convolutions whose inputs are bytes, on a stream of 16 bits that their sums leave and enter.
#[test]
fn a_residual_stream_of_sixteen_bits() {
    let (cx, wide, byte) = (code(U8, 0.02, 128), code(S16, 0.0006, 40), code(S8, 0.11, 6));
    let x = values(3, &[1, 4, 5, 5], cx.range());
    let [w0, w1, w2] = [4, 5, 6].map(|seed| values(seed, &[4, 4, 3, 3], (-128, 127)));
    let padded = Geometry { pads: [1; 4], ..PLAIN };
    let scale = 0.0021f32;
    let mut net = Net::new();
    net.fed("x", &[1, 4, 5, 5], cx);
    let layer = |net: &mut Net, from: &str, w: (&str, &Array), to: &str| {
        net.weights(w.0, (S8, &[4, 4, 3, 3]), &w.1.data, &[scale]);
        net.node("Conv", &[from, w.0], &[to]).ints("pads", &[1; 4]);
    };
    layer(&mut net, "x", ("w0", &w0), "c0");
    net.qdq("c0", "s0", wide);
    net.qdq("s0", "b0", byte);
    layer(&mut net, "b0", ("w1", &w1), "c1");
    net.qdq("c1", "t1", wide);
    net.node("Add", &["s0", "t1"], &["a1"]);
    net.qdq("a1", "s1", wide);
    net.qdq("s1", "b1", byte);
    layer(&mut net, "b1", ("w2", &w2), "c2");
    net.quantize("c2", "y", byte);
    net.output("s1_q", S16).output("y_q", S8);
    let made = |x: &Array, from: Code, w: &Array, to: Code| {
        let factor = from.scale() * f64::from(scale) / to.scale();
        to.settle(&conv(x, from.zero, w, &[], &padded), 1, |_| factor)
    };
    let s0 = made(&x, cx, &w0, wide);
    let t1 = made(&byte.of(&s0, wide), byte, &w1, wide);
    let s1 = wide.sum((&s0, wide), (&t1, wide));
    assert!(s1.data.iter().any(|v| v.abs() > 255));
    let y = made(&byte.of(&s1, wide), byte, &w2, byte);
    check(&net, &[&x], &[&s1, &y]);
}

/// Branches without quantizers of their own take the codes of the whole; those with other scales are rescaled.
#[test]
fn concatenations() {
    let (ca, cb, to) = (code(U8, 0.02, 128), code(S8, 0.07, -3), code(S8, 0.05, 9));
    let (x, y) = (values(7, &[1, 2, 3, 3], ca.range()), values(8, &[1, 3, 3, 3], cb.range()));
    let w = values(9, &[2, 3, 1, 1], (-128, 127));
    let mut net = Net::new();
    net.fed("a", &[1, 2, 3, 3], ca);
    net.fed("b", &[1, 3, 3, 3], cb);
    net.weights("w", (S8, &[2, 3, 1, 1]), &w.data, &[0.01]);
    net.node("Conv", &["b", "w"], &["c"]);
    net.node("Concat", &["a", "b", "c"], &["d"]).int("axis", 1);
    net.quantize("d", "y", to);
    net.output("y_q", S8);
    let acc = conv(&y, cb.zero, &w, &[], &PLAIN);
    let branch = to.settle(&acc, 1, |_| cb.scale() * f64::from(0.01f32) / to.scale());
    let (a, b) = (to.of(&x, ca), to.of(&y, cb));
    let expected = Array::make(&[1, 7, 3, 3], |i| match i[1] {
        c @ 0..2 => a.at(&[0, c, i[2], i[3]]),
        c @ 2..5 => b.at(&[0, c - 2, i[2], i[3]]),
        c => branch.at(&[0, c - 5, i[2], i[3]]),
    });
    check(&net, &[&x, &y], &[&expected]);
}

fn pooled(op: &str, g: &Geometry, kernel: [usize; 2], seed: u64) -> (Net, Array, Code, Code) {
    let (cx, cy) =
        (code(S8, 0.03, 11), if op == "MaxPool" { code(S8, 0.03, 11) } else { code(U8, 0.025, 90) });
    let x = values(seed, &[1, 3, 7, 6], cx.range());
    let mut net = Net::new();
    net.fed("x", &[1, 3, 7, 6], cx);
    let whole = |v: &[usize]| v.iter().map(|&e| e as i64).collect::<Vec<_>>();
    net.node(op, &["x"], &["p"])
        .ints("kernel_shape", &whole(&kernel))
        .ints("strides", &whole(&g.stride))
        .ints("pads", &whole(&g.pads));
    net.quantize("p", "y", cy);
    net.output("y_q", cy.elem);
    (net, x, cx, cy)
}

#[test]
fn maximum_pools() {
    for (g, kernel) in [
        (Geometry { stride: [2, 2], ..PLAIN }, [2, 2]),
        (Geometry { stride: [1, 2], pads: [1, 0, 0, 1], ..PLAIN }, [2, 3]),
    ] {
        let (net, x, ..) = pooled("MaxPool", &g, kernel, 10);
        let [oh, ow] = g.output(&[7, 6], &kernel);
        let expected = Array::make(&[1, 3, oh, ow], |o| taps(&x, &g, kernel, o).into_iter().max().unwrap());
        check(&net, &[&x], &[&expected]);
    }
}

/// The elements under a window that lie on the picture.
fn taps(x: &Array, g: &Geometry, kernel: [usize; 2], o: &[usize]) -> Vec<i64> {
    let place = |ky, kx| Some((g.tap(0, o[2], ky, x.shape[2])?, g.tap(1, o[3], kx, x.shape[3])?));
    let all = (0..kernel[0]).flat_map(|ky| (0..kernel[1]).map(move |kx| (ky, kx)));
    all.filter_map(|(ky, kx)| place(ky, kx)).map(|(y, i)| x.at(&[o[0], o[1], y, i])).collect()
}

/// Padding counts as zeros or does not count.
#[test]
fn average_pools() {
    let g = Geometry { stride: [2, 1], pads: [1, 1, 0, 1], ..PLAIN };
    let kernel = [3, 2];
    let [oh, ow] = g.output(&[7, 6], &kernel);
    for counted in [false, true] {
        let (mut net, x, cx, cy) = pooled("AveragePool", &g, kernel, 11);
        if counted {
            let node = net.graph().node.iter_mut().find(|n| n.op_type() == "AveragePool").unwrap();
            node.int("count_include_pad", 1);
        }
        let expected = Array::make(&[1, 3, oh, ow], |o| {
            let taps = taps(&x, &g, kernel, o);
            let count = if counted { 6 } else { taps.len() };
            let sum: i64 = taps.iter().map(|v| v - cx.zero).sum();
            cy.place(rescale(sum, cx.scale() / (cy.scale() * count as f64)))
        });
        check(&net, &[&x], &[&expected]);
    }
}

#[test]
fn means() {
    let (cx, cy) = (code(S8, 0.03, 11), code(U8, 0.011, 120));
    let x = values(12, &[2, 3, 4, 5], cx.range());
    let mut net = Net::new();
    net.fed("x", &[2, 3, 4, 5], cx);
    net.node("GlobalAveragePool", &["x"], &["g"]);
    net.quantize("g", "y", cy);
    net.list("axes", &[-1, 1]);
    net.node("ReduceMean", &["x", "axes"], &["m"]).int("keepdims", 0);
    net.quantize("m", "z", cy);
    net.output("y_q", U8).output("z_q", U8);
    let mean = |sum: i64, n: f64| cy.place(rescale(sum, cx.scale() / (cy.scale() * n)));
    let at = |i: &[usize]| x.at(i) - cx.zero;
    let global =
        Array::make(&[2, 3, 1, 1], |o| mean((0..20).map(|k| at(&[o[0], o[1], k / 5, k % 5])).sum(), 20.0));
    let some = Array::make(&[2, 4], |o| mean((0..15).map(|k| at(&[o[0], k / 5, o[1], k % 5])).sum(), 15.0));
    check(&net, &[&x], &[&global, &some]);
}

/// Real numbers that the caller would get are the codes that stand for them.
#[test]
fn a_float_network_boundary() {
    let c = code(S8, 0.5, 1);
    let mut net = Net::new();
    net.input("x", F32, &[1, 4]);
    net.qdq("x", "a", c);
    net.node("Relu", &["a"], &["r"]);
    net.qdq("r", "y", c);
    net.output("y", F32);
    let x = Array::new(&[1, 4], vec![-128, 0, 1, 127]);
    check(&net, &[&x], &[&x.map(|v| v.max(1))]);
}
