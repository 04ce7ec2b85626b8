//! The ends of networks: softmax, argmax, and transposed convolutions that make pictures.

use crate::author::{Attributes, Code, F32, Net, S8, S64, U8, code};
use crate::plain::{Array, values};
use crate::run::{check, outputs};

const X: Code = code(S8, 0.05, 7);

/// Over the channels of pictures: the rows of a matrix after the channels are put last.
#[test]
fn softmax_over_channels() {
    let x = values(1, &[2, 5, 3, 4], X.range());
    for to in [code(S8, 1.0 / 256.0, -128), code(U8, 1.0 / 128.0, 3)] {
        let softmax = |shape: &[i64], axis: i64| {
            let mut net = Net::new();
            net.fed("x", shape, X);
            net.node("Softmax", &["x"], &["m"]).int("axis", axis);
            net.quantize("m", "y", to);
            net.output("y_q", to.elem);
            net
        };
        let last = x.transposed(&[0, 2, 3, 1]);
        let [rows] = outputs(&softmax(&[24, 5], -1), &[&last.reshaped(&[24, 5])]).try_into().unwrap();
        let expected = rows.reshaped(&[2, 3, 4, 5]).transposed(&[0, 3, 1, 2]);
        check(&softmax(&[2, 5, 3, 4], 1), &[&x], &[&expected]);
        check(&softmax(&[2, 5, 3, 4], -3), &[&x], &[&expected]);
    }
    // Five equal values share the whole: 256 / 5 = 51.2 steps.
    let mut net = Net::new();
    net.fed("x", &[1, 5, 1, 2], X);
    net.node("Softmax", &["x"], &["m"]).int("axis", 1);
    net.quantize("m", "y", code(U8, 1.0 / 256.0, 0));
    net.output("y_q", U8);
    let even = Array::make(&[1, 5, 1, 2], |_| 20);
    check(&net, &[&even], &[&Array::make(&[1, 5, 1, 2], |_| 51)]);
}

#[test]
fn index_of_the_maximum() {
    // Few values, so that some are equal: the first one counts.
    let x = values(2, &[2, 5, 3, 4], (-2, 2));
    for keep in [0, 1] {
        let mut net = Net::new();
        net.fed("x", &[2, 5, 3, 4], X);
        for (axis, name) in [(1, "c"), (-1, "w")] {
            net.node("ArgMax", &["x"], &[name]).int("axis", axis).int("keepdims", keep);
            net.output(name, S64);
        }
        let first = |extent: usize, value: &dyn Fn(usize) -> i64| {
            (0..extent).fold(0, |best, k| if value(k) > value(best) { k } else { best }) as i64
        };
        let c = Array::make(&[2, 1, 3, 4], |i| first(5, &|k| x.at(&[i[0], k, i[2], i[3]])));
        let w = Array::make(&[2, 5, 3, 1], |i| first(4, &|k| x.at(&[i[0], i[1], i[2], k])));
        let (c, w) = if keep == 1 { (c, w) } else { (c.reshaped(&[2, 3, 4]), w.reshaped(&[2, 5, 3])) };
        check(&net, &[&x], &[&c, &w]);
    }
}

#[test]
fn transposed_convolutions() {
    struct Case {
        groups: usize,
        kernel: [usize; 2],
        stride: [usize; 2],
        pads: [usize; 4],
        more: [usize; 2],
        dilation: [usize; 2],
    }
    let plain =
        Case { groups: 1, kernel: [3, 3], stride: [2, 2], pads: [1; 4], more: [1, 1], dilation: [1, 1] };
    for (seed, case) in [
        Case { groups: 2, ..plain },
        Case { kernel: [2, 2], pads: [0; 4], more: [0, 0], ..plain },
        Case { kernel: [4, 3], stride: [2, 3], pads: [1, 0, 2, 1], more: [0, 2], ..plain },
        Case { kernel: [3, 2], stride: [1, 1], more: [0, 0], pads: [1, 0, 1, 1], ..plain },
        Case { groups: 4, dilation: [2, 1], pads: [1, 1, 2, 0], ..plain },
        plain,
    ]
    .into_iter()
    .enumerate()
    {
        let Case { groups, kernel, stride, pads, more, dilation } = case;
        let (own, out) = (4 / groups, 2);
        let x = values(seed as u64, &[1, 4, 3, 5], X.range());
        let w = values(seed as u64 + 20, &[4, out, kernel[0], kernel[1]], (-128, 127));
        let (b, y) = (values(40, &[out * groups], (-3000, 3000)), code(U8, 0.11, 120));
        let whole = |v: &[usize]| v.iter().map(|&e| e as i64).collect::<Vec<_>>();
        let mut net = Net::new();
        net.fed("x", &[1, 4, 3, 5], X);
        net.weights("w", (S8, &whole(&w.shape)), &w.data, &[0.01]);
        net.weights("b", (crate::author::S32, &whole(&b.shape)), &b.data, &[X.scale * 0.01]);
        net.node("ConvTranspose", &["x", "w", "b"], &["c"])
            .ints("strides", &whole(&stride))
            .ints("pads", &whole(&pads))
            .ints("output_padding", &whole(&more))
            .ints("dilations", &whole(&dilation))
            .int("group", groups as i64);
        net.quantize("c", "y", y);
        net.output("y_q", U8);
        let extent = |a: usize, input: usize| {
            (input - 1) * stride[a] + (kernel[a] - 1) * dilation[a] + 1 + more[a] - pads[a] - pads[a + 2]
        };
        let shape = [1, out * groups, extent(0, 3), extent(1, 5)];
        let mut acc = Array::make(&shape, |o| b.at(&[o[1]]));
        // Every element of the input is spread over the output.
        Array::make(&[4, out, 3, 5, kernel[0], kernel[1]], |i| {
            let place = |a: usize| (i[2 + a] * stride[a] + i[4 + a] * dilation[a]).checked_sub(pads[a]);
            if let (Some(py), Some(px)) = (place(0), place(1))
                && py < shape[2]
                && px < shape[3]
            {
                let channel = i[0] / own * out + i[1];
                let product = (x.at(&[0, i[0], i[2], i[3]]) - X.zero) * w.at(&[i[0], i[1], i[4], i[5]]);
                acc.data[(channel * shape[2] + py) * shape[3] + px] += product;
            }
            0
        });
        let expected = y.settle(&acc, 1, |_| X.scale() * f64::from(0.01f32) / y.scale());
        check(&net, &[&x], &[&expected]);
    }
}

/// Functions of one value are tables; a few entries that can be said by hand.
#[test]
fn functions_of_one_value() {
    let x = Array::new(&[1, 5], vec![-128, -1, 0, 1, 127]);
    let check_function = |op: &str, to: Code, expected: [i64; 5]| {
        let mut net = Net::new();
        net.fed("x", &[1, 5], code(S8, 1.0, 0));
        net.node(op, &["x"], &["m"]);
        net.quantize("m", "y", to);
        net.output("y_q", to.elem);
        net.output("x", F32);
        check(&net, &[&x], &[&Array::new(&[1, 5], expected.to_vec()), &x]);
    };
    // 1 / (1 + e) = 0.2689, e / (1 + e) = 0.7311; tanh 1 = 0.7616.
    check_function("Sigmoid", code(U8, 1.0 / 256.0, 0), [0, 69, 128, 187, 255]);
    check_function("Tanh", code(S8, 1.0 / 128.0, 0), [-128, -97, 0, 97, 127]);
    check_function("HardSwish", code(U8, 0.5, 10), [10, 9, 10, 11, 255]);
    check_function("LeakyRelu", code(S8, 0.01, 0), [-128, -1, 0, 100, 127]);
}
