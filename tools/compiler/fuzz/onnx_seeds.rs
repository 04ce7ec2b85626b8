//! Writes the first inputs for the target `onnx_reader` into `corpus/onnx_reader/`: small sound models, one for each part
//! of the format that random bytes would not find.

use std::path::Path;

use dyadic_onnx_schema::attribute_proto::AttributeType;
use dyadic_onnx_schema::tensor_shape_proto::{Dimension, dimension};
use dyadic_onnx_schema::type_proto::{Tensor, Value};
use dyadic_onnx_schema::{
    AttributeProto, GraphProto, Message, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto,
    TensorProto, TensorShapeProto, TypeProto, ValueInfoProto,
};

fn value(name: &str) -> ValueInfoProto {
    let dim = |value| Dimension { value: Some(value), denotation: None };
    let dims = vec![
        dim(dimension::Value::DimValue(2)),
        dim(dimension::Value::DimParam("N".to_owned())),
        Dimension::default(),
    ];
    let tensor = Tensor { elem_type: Some(1), shape: Some(TensorShapeProto { dim: dims }) };
    let r#type = Some(TypeProto { denotation: None, value: Some(Value::TensorType(tensor)) });
    ValueInfoProto { name: Some(name.to_owned()), r#type, ..Default::default() }
}

fn node(op: &str, input: &str, output: &str) -> NodeProto {
    NodeProto {
        op_type: Some(op.to_owned()),
        input: vec![input.to_owned()],
        output: vec![output.to_owned()],
        ..Default::default()
    }
}

fn model(graph: GraphProto) -> ModelProto {
    let opset = OperatorSetIdProto { domain: Some(String::new()), version: Some(13) };
    let graph = GraphProto { input: vec![value("x")], output: vec![value("y")], ..graph };
    ModelProto { ir_version: Some(8), opset_import: vec![opset], graph: Some(graph), ..Default::default() }
}

fn named(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto { name: Some(name.to_owned()), r#type: Some(kind as i32), ..Default::default() }
}

fn attributes() -> Vec<AttributeProto> {
    use AttributeType as T;
    vec![
        AttributeProto { i: Some(1), ..named("i", T::Int) },
        AttributeProto { f: Some(1.0), ..named("f", T::Float) },
        AttributeProto { s: Some(b"s".to_vec()), ..named("s", T::String) },
        AttributeProto { ints: vec![1, -1], ..named("ints", T::Ints) },
        AttributeProto { floats: vec![1.0], ..named("floats", T::Floats) },
        AttributeProto { strings: vec![b"s".to_vec()], ..named("strings", T::Strings) },
        AttributeProto { t: Some(tensors().swap_remove(0).into()), ..named("t", T::Tensor) },
        AttributeProto { g: Some(Box::default()), ..named("g", T::Graph) },
    ]
}

fn tensors() -> Vec<TensorProto> {
    let base = |name: &str, data_type, dims: &[i64]| TensorProto {
        name: Some(name.to_owned()),
        data_type: Some(data_type),
        dims: dims.to_vec(),
        ..Default::default()
    };
    vec![
        TensorProto { raw_data: Some(vec![0; 8]), ..base("raw", 1, &[2, 1]) },
        TensorProto { float_data: vec![1.0], ..base("float", 1, &[1]) },
        TensorProto { double_data: vec![1.0], ..base("double", 11, &[]) },
        TensorProto { int32_data: vec![-1, 1], ..base("int8", 3, &[2]) },
        TensorProto { int32_data: vec![0x21, 3], ..base("int4", 22, &[3]) },
        TensorProto { int64_data: vec![-1], ..base("int64", 7, &[1]) },
        TensorProto { uint64_data: vec![7], ..base("uint32", 12, &[1]) },
        TensorProto { string_data: vec![b"s".to_vec()], ..base("string", 8, &[1]) },
    ]
}

fn main() -> std::io::Result<()> {
    let relu = || vec![node("Relu", "x", "y")];
    let mut holder = node("Conv", "x", "y");
    holder.attribute = attributes();
    let location = StringStringEntryProto { key: Some("location".to_owned()), value: Some("w".to_owned()) };
    let mut outside = tensors().swap_remove(0);
    (outside.raw_data, outside.data_location, outside.external_data) = (None, Some(1), vec![location]);
    let seeds = [
        ("relu", GraphProto { node: relu(), ..Default::default() }),
        ("attributes", GraphProto { node: vec![holder], ..Default::default() }),
        ("tensors", GraphProto { node: relu(), initializer: tensors(), ..Default::default() }),
        ("external", GraphProto { node: relu(), initializer: vec![outside], ..Default::default() }),
        (
            "order",
            GraphProto { node: vec![node("Relu", "h", "y"), node("Relu", "x", "h")], ..Default::default() },
        ),
        ("values", GraphProto { node: relu(), value_info: vec![value("h")], ..Default::default() }),
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/onnx_reader");
    std::fs::create_dir_all(&folder)?;
    for (name, graph) in seeds {
        std::fs::write(folder.join(name), model(graph).encode_to_vec())?;
    }
    Ok(())
}
