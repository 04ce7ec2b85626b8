//! Networks that say what no network should: each is refused, and none panics.

use dyadic_compiler::from_onnx::{ImportOptions, lower};
use dyadic_compiler::import::onnx::{Attribute, DataType, Extent, Node, OnnxModel, Tensor, ValueInfo};

fn value(name: &str, elem: DataType, shape: &[usize]) -> ValueInfo {
    let shape = Some(shape.iter().map(|&e| Extent::Fixed(e)).collect());
    ValueInfo { name: name.to_string(), elem: Some(elem), shape }
}

fn bytes(elem: DataType, shape: &[usize], data: &[u8]) -> Tensor {
    Tensor { elem, shape: shape.to_vec(), data: data.to_vec() }
}

fn floats(values: &[f32]) -> Tensor {
    let shape = if values.len() == 1 { vec![] } else { vec![values.len()] };
    Tensor { elem: DataType::Float, shape, data: values.iter().flat_map(|v| v.to_le_bytes()).collect() }
}

/// A network of nodes given as `operator: inputs > output`, with input `x` and output `y`.
fn network(input: ValueInfo, nodes: &[&str], constants: &[(&str, Tensor)]) -> OnnxModel {
    let node = |(index, text): (usize, &&str)| {
        let (op, rest) = text.split_once(':').unwrap();
        let (inputs, output) = rest.split_once('>').unwrap();
        Node {
            index,
            op: op.to_string(),
            inputs: inputs.split_whitespace().map(str::to_string).collect(),
            outputs: vec![output.trim().to_string()],
            ..Node::default()
        }
    };
    OnnxModel {
        ir_version: 8,
        opset: 15,
        nodes: nodes.iter().enumerate().map(node).collect(),
        constants: constants.iter().map(|(name, t)| (name.to_string(), t.clone())).collect(),
        inputs: vec![input],
        outputs: vec![ValueInfo { name: "y".to_string(), elem: None, shape: None }],
        ..OnnxModel::default()
    }
}

/// The reasons for which a network is refused; empty when it is not.
fn reasons(model: OnnxModel) -> Vec<String> {
    match lower(model, &ImportOptions::default()) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.into_iter().map(|p| p.reason).collect(),
    }
}

fn scaled() -> Vec<(&'static str, Tensor)> {
    vec![("s", floats(&[0.5])), ("z", bytes(DataType::Int8, &[], &[0]))]
}

#[test]
fn a_bias_has_one_value_per_channel() {
    let mut constants = scaled();
    constants.push(("w", bytes(DataType::Int8, &[3, 1, 1, 1], &[1, 2, 3])));
    constants.push(("b", bytes(DataType::Int32, &[2], &[0; 8])));
    let x = value("x", DataType::Int8, &[1, 1, 2, 2]);
    let found = reasons(network(x, &["QLinearConv: x s z w s z s z b > y"], &constants));
    assert_eq!(found, ["2 bias values for 3 channels"]);
}

#[test]
fn what_reads_from_a_refused_node_is_not_reported_again() {
    let mut constants = scaled();
    constants.push(("wide", bytes(DataType::Int16, &[], &[0, 0])));
    let x = value("x", DataType::Int16, &[4]);
    let nodes = [
        "DequantizeLinear: x s wide > a",
        "Sigmoid: a > b",
        "QuantizeLinear: b s z > c",
        "DequantizeLinear: c s z > d",
        "Tanh: d > e",
        "QuantizeLinear: e s z > y",
    ];
    assert_eq!(reasons(network(x, &nodes, &constants)), ["a function of 16-bit values"]);
}

#[test]
fn factors_belong_to_the_axis_of_their_shape() {
    // A product of three axes, read twice, so that the factors cannot be its own.
    let mut constants = scaled();
    constants.push(("w", bytes(DataType::Int8, &[2, 5], &[1; 10])));
    constants.push(("f", floats(&[1.0, 2.0, 3.0, 4.0, 5.0])));
    let x = value("x", DataType::Int8, &[1, 3, 2]);
    let nodes = [
        "DequantizeLinear: x s z > a",
        "DequantizeLinear: w s z > v",
        "MatMul: a v > b",
        "QuantizeLinear: b s z > c",
        "DequantizeLinear: c s z > d",
        "Mul: d f > e",
        "QuantizeLinear: e s z > y",
    ];
    assert_eq!(reasons(network(x, &nodes, &constants)), Vec::<String>::new());
}

#[test]
fn training_is_refused() {
    let mut constants = scaled();
    constants.push(("one", floats(&[1.0, 1.0])));
    let x = value("x", DataType::Int8, &[1, 2, 2, 2]);
    let nodes = [
        "DequantizeLinear: x s z > a",
        "BatchNormalization: a one one one one > b",
        "QuantizeLinear: b s z > y",
    ];
    let mut model = network(x, &nodes, &constants);
    assert_eq!(reasons(model.clone()), Vec::<String>::new());
    model.nodes[1].attributes.insert("training_mode".to_string(), Attribute::Int(1));
    assert_eq!(reasons(model), ["a normalisation by the statistics of the batch"]);
    constants.push(("ratio", floats(&[0.5])));
    constants.push(("true", bytes(DataType::Bool, &[], &[1])));
    let x = value("x", DataType::Int8, &[4]);
    let nodes = ["DequantizeLinear: x s z > a", "Dropout: a ratio true > b", "QuantizeLinear: b s z > y"];
    assert_eq!(reasons(network(x, &nodes, &constants)), ["a dropout that drops"]);
}
