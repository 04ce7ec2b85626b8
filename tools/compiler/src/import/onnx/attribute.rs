//! Attributes of nodes.

use dyadic_onnx_schema::AttributeProto;
use dyadic_onnx_schema::attribute_proto::AttributeType;

use super::external::External;
use super::fault::AttributeFault;
use super::model::Attribute;
use super::tensor::tensor;

type Result<T> = std::result::Result<T, AttributeFault>;

/// The value of an attribute.
pub(super) fn attribute(proto: AttributeProto, external: &mut External<'_>) -> Result<Attribute> {
    if !proto.ref_attr_name().is_empty() {
        return Err(AttributeFault::Reference { reference: proto.ref_attr_name().to_owned() });
    }
    let kind = match AttributeType::try_from(proto.r#type.unwrap_or(0)) {
        Ok(AttributeType::Undefined) => inferred(&proto)?,
        Ok(kind) => kind,
        Err(_) => return Ok(Attribute::Other("a value of an unknown type")),
    };
    let expected = kind.as_str_name();
    if let Some((found, _)) = values(&proto).into_iter().flatten().find(|(_, held)| *held != kind) {
        return Err(AttributeFault::WrongField { found, expected });
    }
    Ok(match kind {
        // Writers may leave out a value that is zero.
        AttributeType::Float => Attribute::Float(proto.f.unwrap_or(0.0)),
        AttributeType::Int => Attribute::Int(proto.i.unwrap_or(0)),
        AttributeType::String => match String::from_utf8(proto.s.unwrap_or_default()) {
            Ok(text) => Attribute::String(text),
            Err(_) => Attribute::Other("a text that is not UTF-8"),
        },
        AttributeType::Tensor => {
            let value = proto.t.ok_or(AttributeFault::NoValue { expected })?;
            Attribute::Tensor(tensor(*value, external).map_err(AttributeFault::Tensor)?)
        }
        AttributeType::Floats => Attribute::Floats(proto.floats),
        AttributeType::Ints => Attribute::Ints(proto.ints),
        AttributeType::Strings => {
            match proto.strings.into_iter().map(String::from_utf8).collect::<std::result::Result<_, _>>() {
                Ok(texts) => Attribute::Strings(texts),
                Err(_) => Attribute::Other("texts that are not UTF-8"),
            }
        }
        AttributeType::Graph => Attribute::Other("a graph"),
        AttributeType::SparseTensor => Attribute::Other("a sparse tensor"),
        AttributeType::TypeProto => Attribute::Other("a type"),
        AttributeType::Tensors => Attribute::Other("tensors"),
        AttributeType::Graphs => Attribute::Other("graphs"),
        AttributeType::SparseTensors => Attribute::Other("sparse tensors"),
        AttributeType::TypeProtos => Attribute::Other("types"),
        AttributeType::Undefined => return Err(AttributeFault::NoValue { expected }),
    })
}

/// The fields that hold something, each with the type it belongs to.
fn values(proto: &AttributeProto) -> [Option<(&'static str, AttributeType)>; 14] {
    let held = |holds: bool, field, kind| holds.then_some((field, kind));
    [
        held(proto.f.is_some(), "f", AttributeType::Float),
        held(proto.i.is_some(), "i", AttributeType::Int),
        held(proto.s.is_some(), "s", AttributeType::String),
        held(proto.t.is_some(), "t", AttributeType::Tensor),
        held(proto.g.is_some(), "g", AttributeType::Graph),
        held(proto.sparse_tensor.is_some(), "sparse_tensor", AttributeType::SparseTensor),
        held(proto.tp.is_some(), "tp", AttributeType::TypeProto),
        held(!proto.floats.is_empty(), "floats", AttributeType::Floats),
        held(!proto.ints.is_empty(), "ints", AttributeType::Ints),
        held(!proto.strings.is_empty(), "strings", AttributeType::Strings),
        held(!proto.tensors.is_empty(), "tensors", AttributeType::Tensors),
        held(!proto.graphs.is_empty(), "graphs", AttributeType::Graphs),
        held(!proto.sparse_tensors.is_empty(), "sparse_tensors", AttributeType::SparseTensors),
        held(!proto.type_protos.is_empty(), "type_protos", AttributeType::TypeProtos),
    ]
}

/// Files of the first versions state no type; the field that holds something tells it.
fn inferred(proto: &AttributeProto) -> Result<AttributeType> {
    let first = values(proto).into_iter().flatten().next();
    first.map(|(_, kind)| kind).ok_or(AttributeFault::NoValue { expected: "none stated" })
}
