//! Numbers beyond all sense, empty tensors and damaged files: refused or compiled, never a panic.

use dyadic_compiler::{CompileError, Options, compile};
use dyadic_onnx_schema::{AttributeProto, NodeProto};
use dyadic_runtime::Model;

use crate::author::{Attributes, Code, F32, Net, S8, S32, U8, code};
use crate::plain::next;
use crate::refusals::problems;

const X: Code = code(S8, 0.05, 7);
const HUGE: [i64; 8] = [i64::MIN, i64::MIN + 1, -(1 << 40), -1, 1 << 28, 1 << 40, 1 << 62, i64::MAX];

/// `x` (1 x 4 x 6 x 6) and one node that reads it and constants, between quantizers.
fn net(op: &str, lists: &[&[i64]], adorn: impl Fn(&mut NodeProto)) -> Net {
    let mut net = Net::new();
    net.fed("x", &[1, 4, 6, 6], X);
    net.weights("w", (S8, &[4, 4, 2, 2]), &[3; 64], &[0.01]);
    let names: Vec<String> = (0..lists.len()).map(|i| format!("list{i}")).collect();
    lists.iter().zip(&names).for_each(|(list, name)| net.list(name, list));
    let mut inputs = vec!["x"];
    if op.starts_with("Conv") {
        inputs.push("w");
    }
    inputs.extend(names.iter().map(String::as_str));
    adorn(net.node(op, &inputs, &["m"]));
    net.quantize("m", "y", X);
    net.output("y_q", S8);
    net
}

fn refused(net: &Net) {
    assert_eq!(problems(net).len(), 1);
}

#[test]
fn windows() {
    for huge in HUGE {
        for op in ["Conv", "ConvTranspose", "MaxPool", "AveragePool"] {
            let window = |n: &mut NodeProto| _ = n.ints("kernel_shape", &[2, 2]);
            let pool = op.ends_with("Pool");
            for (name, place) in [("pads", 4), ("strides", 2), ("dilations", 2), ("kernel_shape", 2)] {
                let mut list = vec![if name == "pads" { 0 } else { 2 }; place];
                list[place - 1] = huge;
                let damaged = net(op, &[], |n| {
                    if pool && name != "kernel_shape" {
                        window(n);
                    }
                    n.ints(name, &list);
                });
                // What a stride beyond the picture makes is one pixel.
                if name == "strides" || name == "kernel_shape" && !pool {
                    let _ = compile(&damaged.bytes(), &Options::default());
                } else {
                    refused(&damaged);
                }
            }
            let _ = compile(
                &net(op, &[], |n| _ = n.int("group", huge).ints("kernel_shape", &[2, 2])).bytes(),
                &Options::default(),
            );
        }
        refused(&net("Conv", &[], |n| _ = n.int("group", huge)));
        refused(&net("ConvTranspose", &[], |n| _ = n.ints("output_padding", &[0, huge])));
        refused(&net("ConvTranspose", &[], |n| _ = n.ints("output_shape", &[6, huge])));
        refused(&net("DepthToSpace", &[], |n| _ = n.int("blocksize", huge)));
    }
}

#[test]
fn axes() {
    for huge in HUGE.into_iter().filter(|&v| v != -1) {
        for op in ["Softmax", "ArgMax", "Flatten", "Concat", "Split"] {
            refused(&net(op, &[], |n| _ = n.int("axis", huge)));
        }
        refused(&net("Transpose", &[], |n| _ = n.ints("perm", &[0, 1, 2, huge])));
        refused(&net("Squeeze", &[&[huge]], |_| {}));
        refused(&net("Unsqueeze", &[&[huge]], |_| {}));
        refused(&net("ReduceMean", &[&[huge]], |_| {}));
        refused(&net("Gather", &[&[0]], |n| _ = n.int("axis", huge)));
        refused(&net("Gather", &[&[huge]], |n| _ = n.int("axis", 1)));
        refused(&net("Slice", &[&[0], &[1], &[huge], &[1]], |_| {}));
    }
    refused(&net("Transpose", &[], |n| _ = n.ints("perm", &[0, 1, 1, 3])));
    refused(&net("Transpose", &[], |n| _ = n.ints("perm", &[0, 1])));
    refused(&net("Squeeze", &[&[0, 0]], |_| {}));
}

#[test]
fn extents() {
    for huge in HUGE {
        refused(&net("Reshape", &[&[huge, huge]], |_| {}));
        refused(&net("Tile", &[&[1, huge, huge, 1]], |_| {}));
        refused(&net("Expand", &[&[huge, 4, 6, 6]], |_| {}));
        let pad = net("Pad", &[&[0, 0, huge, 0, 0, 0, 0, huge]], |_| {});
        // A padding below 0 cuts elements off; one of them is there.
        assert_eq!(compile(&pad.bytes(), &Options::default()).is_ok(), huge == -1, "{huge}");
        refused(&net("Split", &[&[huge]], |n| _ = n.int("axis", 1)));
        refused(&net("Resize", &[&[], &[], &[1, 4, huge, 6]], |_| {}));
        let slice = net("Slice", &[&[huge], &[huge], &[2], &[huge]], |_| {});
        let _ = compile(&slice.bytes(), &Options::default());
    }
    // Each count is fine, their product is not.
    refused(&net("Tile", &[&[1 << 20, 1 << 20, 1 << 20, 1 << 20]], |_| {}));
    refused(&net("Tile", &[&[1, 1]], |_| {}));
    refused(&net("Reshape", &[&[-1, -1]], |_| {}));
    refused(&net("Reshape", &[&[5, -1]], |_| {}));
    refused(&net("Slice", &[&[0], &[1], &[2], &[0]], |_| {}));
    refused(&net("Slice", &[&[3], &[3], &[2], &[1]], |_| {}));
    refused(&net("Gather", &[&[]], |_| {}));
    for scale in [0.0, -1.0, 1e30, f32::NAN, f32::INFINITY] {
        let mut net = Net::new();
        net.fed("x", &[1, 4, 6, 6], X);
        net.real("scales", &[4], &[1.0, 1.0, 2.0, scale]);
        net.node("Resize", &["x", "", "scales"], &["m"]);
        net.quantize("m", "y", X);
        net.output("y_q", S8);
        refused(&net);
    }
}

#[test]
fn empty_tensors() {
    for shape in [[1, 0, 6, 6], [0, 4, 6, 6], [1, 4, 6, 0]] {
        let mut net = Net::new();
        net.fed("x", &shape, X);
        net.node("Relu", &["x"], &["m"]);
        net.quantize("m", "y", X);
        net.output("y_q", S8);
        // An extent of 0 in the first place is an open batch.
        let result = compile(&net.bytes(), &Options::default());
        assert_eq!(result.is_ok(), shape[0] == 0, "{shape:?}");
    }
    for (shape, op) in [
        ([0, 4, 1, 1], "Conv"),
        ([4, 0, 1, 1], "Conv"),
        ([4, 4, 0, 1], "Conv"),
        ([4, 0, 2, 2], "ConvTranspose"),
        ([0, 4, 1, 1], "ConvTranspose"),
    ] {
        let mut net = Net::new();
        net.fed("x", &[1, 4, 6, 6], X);
        net.weights("w", (S8, &shape), &[], &[0.01]);
        net.node(op, &["x", "w"], &["m"]);
        net.quantize("m", "y", X);
        net.output("y_q", S8);
        refused(&net);
    }
    for op in ["Add", "Mul", "Concat", "PRelu", "MatMul", "Gemm"] {
        let mut net = Net::new();
        net.fed("x", &[1, 4, 6, 6], X);
        net.weights("c", (S8, &[0]), &[], &[0.01]);
        net.node(op, &["x", "c"], &["m"]).int("axis", 0);
        net.quantize("m", "y", X);
        net.output("y_q", S8);
        refused(&net);
    }
}

/// Scalars where lists are expected, lists where scalars are, and nothing where something is.
#[test]
fn operands_of_other_shapes() {
    for op in
        ["Reshape", "Tile", "Expand", "Pad", "Squeeze", "Unsqueeze", "ReduceMean", "Slice", "Split", "Resize"]
    {
        let mut net = Net::new();
        net.fed("x", &[1, 4, 6, 6], X);
        net.whole("scalar", 7, &[], &[2]);
        net.node(op, &["x", "scalar", "scalar", "scalar"], &["m"]);
        net.quantize("m", "y", X);
        net.output("y_q", S8);
        let _ = compile(&net.bytes(), &Options::default());
        for inputs in [&["x"][..], &["x", ""], &[], &["", "x"], &["scalar", "x"]] {
            net.graph().node.iter_mut().find(|n| n.op_type() == op).unwrap().input =
                inputs.iter().map(|&i| i.to_owned()).collect();
            let _ = compile(&net.bytes(), &Options::default());
        }
    }
    for op in [
        "QuantizeLinear",
        "DequantizeLinear",
        "Quant",
        "BipolarQuant",
        "Trunc",
        "Conv",
        "ConvTranspose",
        "Gemm",
        "MatMul",
        "ConvInteger",
        "MatMulInteger",
        "QLinearConv",
        "QLinearMatMul",
        "QGemm",
        "QLinearAdd",
        "QLinearMul",
        "QLinearConcat",
        "QLinearGlobalAveragePool",
        "QLinearAveragePool",
        "QLinearSigmoid",
        "QLinearLeakyRelu",
        "QLinearSoftmax",
        "BatchNormalization",
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Relu",
        "Clip",
        "LeakyRelu",
        "PRelu",
        "Softmax",
        "ArgMax",
        "MaxPool",
        "AveragePool",
        "GlobalAveragePool",
        "GlobalMaxPool",
        "ReduceMean",
        "Resize",
        "Upsample",
        "Concat",
        "Split",
        "Cast",
        "Gather",
        "Constant",
        "Identity",
        "Shape",
        "Size",
        "ConstantOfShape",
        "Transpose",
        "Where",
        "Max",
        "Neg",
        "Sqrt",
        "Floor",
    ] {
        for first in ["x", "x_in", "scalar", "empty", "w", ""] {
            for other in ["x", "x_in", "scalar", "empty", "w", "real", ""] {
                for count in [0, 1, 4, 9] {
                    let mut net = Net::new();
                    net.fed("x", &[1, 4, 6, 6], X);
                    net.whole("scalar", S8, &[], &[2]);
                    net.whole("empty", S32, &[0], &[]);
                    net.real("real", &[3], &[0.5, -1.0, f32::NAN]);
                    net.weights("w", (S8, &[4, 4, 2, 2]), &[3; 64], &[0.01]);
                    let mut inputs = vec![other; count];
                    if count > 0 {
                        inputs[0] = first;
                    }
                    net.node(op, &inputs, &["m"]);
                    net.quantize("m", "y", X);
                    net.output("y_q", S8);
                    let _ = compile(&net.bytes(), &Options::default());
                }
            }
        }
    }
}

/// A network with most of what the importer knows.
fn sample() -> Net {
    let mut net = Net::new();
    net.input("x", F32, &[1, 2, 6, 6]);
    net.qdq("x", "a", code(U8, 0.02, 128));
    net.weights("w", (S8, &[4, 2, 3, 3]), &[5; 72], &[0.01, 0.02, 0.03, 0.04]);
    net.weights("b", (S32, &[4]), &[100, -200, 300, 5], &[0.0002, 0.0004, 0.0006, 0.0008]);
    net.node("Conv", &["a", "w", "b"], &["c"])
        .ints("pads", &[1, 1, 1, 1])
        .ints("strides", &[1, 2])
        .int("group", 1);
    net.node("Relu", &["c"], &["r"]);
    net.qdq("r", "d", X);
    net.node("MaxPool", &["d"], &["p"]).ints("kernel_shape", &[2, 1]).ints("strides", &[2, 1]);
    net.node("Transpose", &["p"], &["t"]).ints("perm", &[0, 1, 3, 2]);
    net.list("shape", &[0, 2, -1, 3]);
    net.node("Reshape", &["t", "shape"], &["s"]);
    net.node("Concat", &["s", "s"], &["k"]).int("axis", 1);
    net.node("Add", &["k", "k"], &["e"]);
    net.qdq("e", "f", X);
    net.node("Softmax", &["f"], &["g"]).int("axis", 1);
    net.qdq("g", "h", code(U8, 1.0 / 256.0, 0));
    net.node("ArgMax", &["h"], &["i"]).int("axis", -1).int("keepdims", 0);
    net.output("h", F32).output("i", 7);
    net
}

/// What compiles opens.
fn survives(bytes: &[u8]) -> bool {
    match compile(bytes, &Options::default()) {
        Ok(compiled) => Model::copy_of(&compiled.to_bytes()).is_ok(),
        Err(CompileError::Invalid(error)) => panic!("{error}"),
        Err(_) => false,
    }
}

#[test]
fn damaged_bytes() {
    let bytes = sample().bytes();
    assert!(survives(&bytes));
    let mut state = 1;
    let (mut whole, mut read) = (0, 0);
    for _ in 0..6000 {
        let mut damaged = bytes.clone();
        for _ in 0..1 + next(&mut state) % 3 {
            let place = next(&mut state) as usize % damaged.len();
            damaged[place] = match next(&mut state) % 3 {
                0 => next(&mut state) as u8,
                1 => damaged[place] ^ 1 << (next(&mut state) % 8),
                _ => [0, 1, 127, 128, 255][next(&mut state) as usize % 5],
            };
        }
        whole += usize::from(survives(&damaged));
        read += usize::from(!matches!(compile(&damaged, &Options::default()), Err(CompileError::Onnx(_))));
    }
    // The damage reaches beyond the reader, and some of it is harmless.
    assert!(whole > 300 && read > 1000, "{whole} {read}");
}

#[test]
fn damaged_attributes_and_operands() {
    let valid = sample();
    let mut state = 2;
    let mut whole = 0;
    let numbers: Vec<i64> = HUGE.into_iter().chain([0, 1, 2, 3, 4, 5, 6, 7, -2, -3]).collect();
    for _ in 0..6000 {
        let mut net = valid.clone();
        for _ in 0..1 + next(&mut state) % 2 {
            let mut pick = |count: usize| next(&mut state) as usize % count.max(1);
            let count = net.graph().node.len();
            let (i, j) = (pick(count), pick(count));
            match pick(6) {
                0 => {
                    let inputs = net.graph().node[j].input.clone();
                    let name = inputs.get(pick(inputs.len())).cloned().unwrap_or_default();
                    let node = &mut net.graph().node[i];
                    let place = pick(node.input.len());
                    node.input[place] = name;
                }
                1 => net.graph().node[i].op_type = net.graph().node[j].op_type.clone(),
                2 => {
                    let count = net.graph().initializer.len();
                    let tensor = &mut net.graph().initializer[pick(count)];
                    match pick(3) {
                        0 if !tensor.dims.is_empty() => {
                            let last = tensor.dims.len() - 1;
                            tensor.dims.swap(0, last);
                        }
                        1 => tensor.dims.push(1),
                        _ if !tensor.float_data.is_empty() => {
                            let values = [0.0, -1.0, 1e-45, 1e38, f32::NAN, f32::INFINITY, 1e-20, 7.0];
                            let place = pick(tensor.float_data.len());
                            tensor.float_data[place] = values[pick(values.len())];
                        }
                        _ => {
                            let bytes = tensor.raw_data.get_or_insert_default();
                            let place = pick(bytes.len());
                            if let Some(byte) = bytes.get_mut(place) {
                                *byte = [0, 1, 127, 128, 255][pick(5)];
                            }
                        }
                    }
                }
                _ => {
                    let node = &mut net.graph().node[i];
                    let place = pick(node.attribute.len());
                    match node.attribute.get_mut(place) {
                        Some(AttributeProto { ints, .. }) if !ints.is_empty() => {
                            let at = pick(ints.len());
                            ints[at] = numbers[pick(numbers.len())];
                        }
                        Some(attribute) => attribute.i = Some(numbers[pick(numbers.len())]),
                        None => _ = node.int("axis", numbers[pick(numbers.len())]),
                    }
                }
            }
        }
        whole += usize::from(survives(&net.bytes()));
    }
    assert!(whole > 300, "{whole}");
}
