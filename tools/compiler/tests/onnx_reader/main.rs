//! The ONNX reader: what it reads, what it refuses, and that no bytes make it fall over.
#![forbid(unsafe_code)]

mod external;
mod hostile;
mod models;
mod order;
mod round_trip;
mod wrong;

use std::collections::HashSet;

use dyadic_compiler::import::onnx::{Attribute, DataType, OnnxModel, Tensor, read};
use dyadic_onnx_schema::attribute_proto::AttributeType;
use dyadic_onnx_schema::tensor_shape_proto::{Dimension, dimension};
use dyadic_onnx_schema::type_proto::{self, Value};
use dyadic_onnx_schema::{
    AttributeProto, GraphProto, Message, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto,
    TensorProto, TensorShapeProto, TypeProto, ValueInfoProto,
};

/// A convolution (1x1, 2 channels to 3) and a `Clip` of its output.
///
/// Initializers: 0 `w` (raw floats), 1 `b` (typed floats), 2 `low` (typed int8). Nodes: 0 Conv, 1 Clip.
fn small() -> ModelProto {
    let weights: Vec<u8> = (0..6).flat_map(|i| (i as f32 - 2.5).to_le_bytes()).collect();
    let w = TensorProto { raw_data: Some(weights), ..tensor("w", 1, &[3, 2, 1, 1]) };
    let b = TensorProto { float_data: vec![1.0, -2.0, 0.5], ..tensor("b", 1, &[3]) };
    let low = TensorProto { int32_data: vec![-128], ..tensor("low", 3, &[]) };
    let mut conv = node("conv", "Conv", &["x", "w", "b"], &["y"]);
    conv.attribute = vec![ints("kernel_shape", &[1, 1]), int("group", 1), text("auto_pad", "NOTSET")];
    let graph = GraphProto {
        name: Some("small".to_owned()),
        node: vec![conv, node("", "Clip", &["y", "low", ""], &["z"])],
        initializer: vec![w, b, low],
        input: vec![value("x", 1, &[Some(1), Some(2), Some(4), None])],
        output: vec![value("z", 1, &[])],
        value_info: vec![value("y", 1, &[Some(1), Some(3), Some(4), Some(4)])],
        ..Default::default()
    };
    ModelProto {
        ir_version: Some(8),
        producer_name: Some("by hand".to_owned()),
        producer_version: Some("1".to_owned()),
        opset_import: vec![opset("", 13)],
        graph: Some(graph),
        ..Default::default()
    }
}

fn graph(model: &mut ModelProto) -> &mut GraphProto {
    model.graph.as_mut().unwrap()
}

fn tensor(name: &str, data_type: i32, dims: &[i64]) -> TensorProto {
    TensorProto {
        name: Some(name.to_owned()),
        data_type: Some(data_type),
        dims: dims.to_vec(),
        ..Default::default()
    }
}

fn node(name: &str, op: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    NodeProto {
        name: Some(name.to_owned()),
        op_type: Some(op.to_owned()),
        input: owned(inputs),
        output: owned(outputs),
        ..Default::default()
    }
}

fn value(name: &str, elem: i32, dims: &[Option<i64>]) -> ValueInfoProto {
    let dim = |extent: &Option<i64>| Dimension {
        value: Some(match extent {
            Some(value) => dimension::Value::DimValue(*value),
            None => dimension::Value::DimParam("N".to_owned()),
        }),
        denotation: None,
    };
    let shape = TensorShapeProto { dim: dims.iter().map(dim).collect() };
    let tensor = type_proto::Tensor { elem_type: Some(elem), shape: Some(shape) };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto { denotation: None, value: Some(Value::TensorType(tensor)) }),
        ..Default::default()
    }
}

fn opset(domain: &str, version: i64) -> OperatorSetIdProto {
    OperatorSetIdProto { domain: Some(domain.to_owned()), version: Some(version) }
}

fn pair(key: &str, value: &str) -> StringStringEntryProto {
    StringStringEntryProto { key: Some(key.to_owned()), value: Some(value.to_owned()) }
}

fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto { name: Some(name.to_owned()), r#type: Some(kind as i32), ..Default::default() }
}

fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { i: Some(value), ..attribute(name, AttributeType::Int) }
}

fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto { ints: values.to_vec(), ..attribute(name, AttributeType::Ints) }
}

fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto { s: Some(value.into()), ..attribute(name, AttributeType::String) }
}

/// Reads it without a folder.
fn read_proto(model: &ModelProto) -> Result<OnnxModel, String> {
    let read = read(&model.encode_to_vec(), None).map_err(|error| error.to_string())?;
    assert_sound(&read);
    Ok(read)
}

/// Recomputes, without the reader's code, what a model that was read promises.
fn assert_sound(model: &OnnxModel) {
    assert!((3..=14).contains(&model.ir_version) && (11..=28).contains(&model.opset));
    assert!(!model.domains.contains_key("") && !model.domains.contains_key("ai.onnx"));
    model.constants.values().for_each(assert_tensor_sound);
    let mut made: HashSet<&str> = model.constants.keys().map(String::as_str).collect();
    assert!(!made.contains(""));
    for input in &model.inputs {
        assert!(!input.name.is_empty() && made.insert(&input.name), "{input:?}");
    }
    let mut places = HashSet::new();
    for node in &model.nodes {
        assert!(node.index < model.nodes.len() && places.insert(node.index));
        assert!(!node.op.is_empty());
        assert!(node.domain.is_empty() || model.domains.contains_key(&node.domain));
        for input in node.inputs.iter().filter(|name| !name.is_empty()) {
            assert!(made.contains(input.as_str()), "{node:?} reads {input}");
        }
        for output in node.outputs.iter().filter(|name| !name.is_empty()) {
            assert!(made.insert(output), "{node:?} makes {output} again");
        }
        for (name, value) in &node.attributes {
            assert!(!name.is_empty());
            if let Attribute::Tensor(tensor) = value {
                assert_tensor_sound(tensor);
            }
        }
    }
    assert!(!model.outputs.is_empty());
    assert!(model.outputs.iter().all(|output| made.contains(output.name.as_str())));
    assert!(model.values.iter().all(|(name, value)| !name.is_empty() && *name == value.name));
    assert!(model.external.is_sorted());
}

fn assert_tensor_sound(tensor: &Tensor) {
    let elements: u128 = tensor.shape.iter().map(|&extent| extent as u128).product();
    assert!(elements < 1 << 31 && tensor.elements() as u128 == elements);
    let bytes = match tensor.elem {
        DataType::Other(number) => {
            assert!(number > 0);
            0
        }
        elem => (elements * elem.bits().unwrap() as u128).div_ceil(8),
    };
    assert_eq!(tensor.data.len() as u128, bytes, "{tensor:?}");
}
