//! What moves values keeps its meaning in the order of the file, whatever order the codes are stored in.

use dyadic_onnx_schema::NodeProto;

use crate::author::{Attributes, Code, Net, S8, S64, code};
use crate::plain::{Array, PLAIN, conv, values};
use crate::run::check;

const X: Code = code(S8, 0.05, 7);
const STEP: f64 = 0.05f32 as f64 * 0.01f32 as f64 / 0.06f32 as f64;
const Y: Code = code(S8, 0.06, -11);

/// A convolution in front (so that the tensor is stored with its channels last), the node under test, and a convolution
/// behind it where the result has four axes.
fn moves(shape: [usize; 4], node: impl Fn(&mut Net) -> Vec<String>, moved: impl Fn(&Array) -> Vec<Array>) {
    let [n, c, h, w] = shape;
    let x = values(1, &[n, 2, h, w], X.range());
    let weights = values(2, &[c, 2, 1, 1], (-128, 127));
    let mut net = Net::new();
    net.fed("x", &[n as i64, 2, h as i64, w as i64], X);
    net.weights("w", (S8, &[c as i64, 2, 1, 1]), &weights.data, &[0.01]);
    net.node("Conv", &["x", "w"], &["c"]);
    net.qdq("c", "a", Y);
    let y = Y.settle(&conv(&x, X.zero, &weights, &[], &PLAIN), 1, |_| STEP);
    let mut expected = Vec::new();
    for (i, (name, result)) in node(&mut net).into_iter().zip(moved(&y)).enumerate() {
        net.quantize(&name, &format!("o{i}"), Y);
        net.output(&format!("o{i}_q"), S8);
        expected.push(result.clone());
        if let &[n, c, ..] = result.shape.as_slice()
            && result.shape.len() == 4
        {
            let weights = values(3, &[3, c, 1, 1], (-128, 127));
            let [v, d, o] = [format!("v{i}"), format!("d{i}"), format!("p{i}")];
            net.weights(&v, (S8, &[3, c as i64, 1, 1]), &weights.data, &[0.01]);
            net.node("Conv", &[&name, &v], &[&d]);
            net.quantize(&d, &o, Y);
            net.output(&format!("{o}_q"), S8);
            assert!(n > 0);
            let acc = conv(&result, Y.zero, &weights, &[], &PLAIN);
            expected.push(Y.settle(&acc, 1, |_| 0.06f32 as f64 * 0.01f32 as f64 / Y.scale()));
        }
    }
    check(&net, &[&x], &expected.iter().collect::<Vec<_>>());
}

/// One node from `a` to `m`; its lists are given as constants in order.
fn one(
    op: &'static str,
    lists: &'static [&'static [i64]],
    adorn: fn(&mut NodeProto),
) -> impl Fn(&mut Net) -> Vec<String> {
    move |net| {
        let names: Vec<String> = (0..lists.len()).map(|i| format!("list{i}")).collect();
        lists.iter().zip(&names).for_each(|(list, name)| net.list(name, list));
        let mut inputs = vec!["a"];
        inputs.extend(names.iter().map(String::as_str));
        adorn(net.node(op, &inputs, &["m"]));
        vec!["m".to_owned()]
    }
}

fn plain(_: &mut NodeProto) {}

#[test]
fn transposes() {
    moves([2, 3, 4, 5], one("Transpose", &[], |n| _ = n.ints("perm", &[0, 2, 3, 1])), |y| {
        vec![y.transposed(&[0, 2, 3, 1])]
    });
    moves([2, 3, 4, 5], one("Transpose", &[], |n| _ = n.ints("perm", &[2, 0, 1, 3])), |y| {
        vec![y.transposed(&[2, 0, 1, 3])]
    });
    moves([1, 3, 4, 5], one("Transpose", &[], plain), |y| vec![y.transposed(&[3, 2, 1, 0])]);
}

#[test]
fn reshapes() {
    moves([2, 3, 4, 5], one("Reshape", &[&[0, -1, 5]], plain), |y| vec![y.reshaped(&[2, 12, 5])]);
    moves([1, 6, 4, 5], one("Reshape", &[&[2, 3, 5, 4]], plain), |y| vec![y.reshaped(&[2, 3, 5, 4])]);
    moves([1, 1, 4, 5], one("Squeeze", &[&[0, 1]], plain), |y| vec![y.reshaped(&[4, 5])]);
    moves([1, 3, 1, 5], one("Squeeze", &[], plain), |y| vec![y.reshaped(&[3, 5])]);
    moves([2, 3, 4, 5], one("Unsqueeze", &[&[0, -1]], plain), |y| vec![y.reshaped(&[1, 2, 3, 4, 5, 1])]);
    moves([2, 3, 4, 5], one("Flatten", &[], |n| _ = n.int("axis", 3)), |y| vec![y.reshaped(&[24, 5])]);
    moves([2, 3, 4, 5], one("Flatten", &[], |n| _ = n.int("axis", -3)), |y| vec![y.reshaped(&[2, 60])]);
}

/// The channels of a shuffle are split, exchanged and joined.
#[test]
fn a_channel_shuffle() {
    let node = |net: &mut Net| {
        net.list("split", &[0, 2, 3, 4, 5]);
        net.node("Reshape", &["a", "split"], &["r"]);
        net.node("Transpose", &["r"], &["t"]).ints("perm", &[0, 2, 1, 3, 4]);
        net.list("join", &[0, 6, 4, 5]);
        net.node("Reshape", &["t", "join"], &["m"]);
        vec!["m".to_owned()]
    };
    moves([1, 6, 4, 5], node, |y| {
        vec![Array::make(&[1, 6, 4, 5], |i| y.at(&[0, i[1] % 2 * 3 + i[1] / 2, i[2], i[3]]))]
    });
}

#[test]
fn slices_and_splits() {
    let slice = one("Slice", &[&[2, -1], &[0, -9], &[1, 3], &[-1, -2]], plain);
    moves([1, 3, 4, 5], slice, |y| {
        vec![Array::make(&[1, 2, 4, 3], |i| y.at(&[0, 2 - i[1], i[2], 4 - 2 * i[3]]))]
    });
    let split = |net: &mut Net| {
        net.list("parts", &[1, 3]);
        net.node("Split", &["a", "parts"], &["m", "k"]).int("axis", 1);
        vec!["m".to_owned(), "k".to_owned()]
    };
    moves([1, 4, 3, 2], split, |y| {
        let part =
            |first: usize, count| Array::make(&[1, count, 3, 2], |i| y.at(&[0, first + i[1], i[2], i[3]]));
        vec![part(0, 1), part(1, 3)]
    });
}

#[test]
fn gathers() {
    moves([1, 3, 4, 5], one("Gather", &[&[2, 0, -2, 2]], |n| _ = n.int("axis", 1)), |y| {
        vec![Array::make(&[1, 4, 4, 5], |i| y.at(&[0, [2, 0, 1, 2][i[1]], i[2], i[3]]))]
    });
    // A single index takes its axis away.
    let scalar = |net: &mut Net| {
        net.whole("index", S64, &[], &[-1]);
        net.node("Gather", &["a", "index"], &["m"]).int("axis", 2);
        vec!["m".to_owned()]
    };
    moves([2, 3, 4, 5], scalar, |y| vec![Array::make(&[2, 3, 5], |i| y.at(&[i[0], i[1], 3, i[2]]))]);
}

#[test]
fn padding_and_repetition() {
    let padded = |y: &Array, fill| {
        Array::make(&[1, 4, 6, 6], |i| match (i[1], i[2], i[3]) {
            (c @ 1.., h @ 0..4, w @ 1..) => y.at(&[0, c - 1, h, w - 1]),
            _ => fill,
        })
    };
    let pads: &[&[i64]] = &[&[0, 1, 0, 1, 0, 0, 2, 0]];
    moves([1, 3, 4, 5], one("Pad", pads, plain), |y| vec![padded(y, Y.zero)]);
    let filled = |net: &mut Net| {
        net.list("pads", &[0, 1, 0, 1, 0, 0, 2, 0]);
        net.real("fill", &[], &[0.6]);
        net.node("Pad", &["a", "pads", "fill"], &["m"]);
        vec!["m".to_owned()]
    };
    moves([1, 3, 4, 5], filled, |y| vec![padded(y, Y.zero + 10)]);
    moves([1, 3, 2, 2], one("Tile", &[&[1, 2, 1, 3]], plain), |y| {
        vec![Array::make(&[1, 6, 2, 6], |i| y.at(&[0, i[1] % 3, i[2], i[3] % 2]))]
    });
    moves([1, 3, 1, 2], one("Expand", &[&[2, 1, 4, 1]], plain), |y| {
        vec![Array::make(&[2, 3, 4, 2], |i| y.at(&[0, i[1], 0, i[3]]))]
    });
}

#[test]
fn nearest_resizes() {
    let doubled = |net: &mut Net| {
        net.real("scales", &[4], &[1.0, 1.0, 2.0, 3.0]);
        net.node("Resize", &["a", "", "scales"], &["m"])
            .text("coordinate_transformation_mode", "asymmetric")
            .text("nearest_mode", "floor");
        vec!["m".to_owned()]
    };
    moves([1, 3, 4, 5], doubled, |y| {
        vec![Array::make(&[1, 3, 8, 15], |i| y.at(&[0, i[1], i[2] / 2, i[3] / 3]))]
    });
    // Half pixels, 4 rows to 6: the rows at 2 / 3 * (o + 1 / 2) - 1 / 2, halves down.
    let sized = one("Resize", &[], plain);
    let sized = move |net: &mut Net| {
        let names = sized(net);
        net.list("sizes", &[1, 3, 6, 5]);
        let node = net.graph().node.last_mut().unwrap();
        node.input.extend(["", "", "sizes"].map(str::to_owned));
        names
    };
    moves([1, 3, 4, 5], sized, |y| {
        vec![Array::make(&[1, 3, 6, 5], |i| y.at(&[0, i[1], [0, 0, 1, 2, 2, 3][i[2]], i[3]]))]
    });
}

#[test]
fn blocks_of_channels_as_pixels() {
    for (mode, depth_first) in [("DCR", false), ("CRD", true)] {
        let node = move |net: &mut Net| {
            net.node("DepthToSpace", &["a"], &["m"]).int("blocksize", 2).text("mode", mode);
            vec!["m".to_owned()]
        };
        moves([1, 8, 2, 3], node, |y| {
            vec![Array::make(&[1, 2, 4, 6], |i| {
                let block = i[2] % 2 * 2 + i[3] % 2;
                let channel = if depth_first { i[1] * 4 + block } else { block * 2 + i[1] };
                y.at(&[0, channel, i[2] / 2, i[3] / 2])
            })]
        });
    }
}
