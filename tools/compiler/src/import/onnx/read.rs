//! From bytes to [`OnnxModel`]: the file as a whole, its lists and its nodes.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;
use std::path::Path;

use dyadic_onnx_schema::tensor_shape_proto::{Dimension, dimension};
use dyadic_onnx_schema::type_proto::{self, Value};
use dyadic_onnx_schema::{self as schema, Message, ModelProto, NodeProto, TensorProto, ValueInfoProto};

use super::attribute::attribute;
use super::error::{List, OnnxError};
use super::external::External;
use super::fault::{AttributeFault, NodeFault, TensorFault, ValueFault};
use super::graph::{self, node_fault};
use super::model::{DataType, Extent, Node, OnnxModel, Tensor, ValueInfo};
use super::scan::scan;
use super::tensor::{MAX_RANK, tensor};

type Result<T> = std::result::Result<T, OnnxError>;

/// Versions of the file's structure that are read.
pub const IR_VERSIONS: RangeInclusive<i64> = 3..=14;

/// Versions of the operator set `ai.onnx` that are read.
pub const OPSETS: RangeInclusive<i64> = 11..=28;

/// Reads an `.onnx` file. `folder` is where it lies, for constants in files beside it; without one, such a model is
/// refused.
///
/// # Errors
///
/// An [`OnnxError`] names the first fault found, in the order: the file itself, versions, initializers, inputs and
/// outputs, nodes, the order of the graph.
pub fn read(bytes: &[u8], folder: Option<&Path>) -> Result<OnnxModel> {
    let mut proto = decode(bytes)?;
    let Some(graph) = proto.graph.take() else {
        return Err(foreign(bytes).unwrap_or(OnnxError::Missing { message: "ModelProto", field: "graph" }));
    };
    let ir_version =
        proto.ir_version.ok_or(OnnxError::Missing { message: "ModelProto", field: "ir_version" })?;
    check_version(ir_version, &IR_VERSIONS, |found, oldest, newest| OnnxError::IrVersion {
        found,
        oldest,
        newest,
    })?;
    let mut domains = domains(&proto.opset_import)?;
    let opset = domains.remove("").ok_or(OnnxError::OpsetMissing)?;
    check_version(opset, &OPSETS, |found, oldest, newest| OnnxError::Opset { found, oldest, newest })?;
    if !proto.training_info.is_empty() {
        return Err(OnnxError::Training { count: proto.training_info.len() });
    }
    if let Some(sparse) = graph.sparse_initializer.first() {
        let name = sparse.values.as_ref().map(|values| values.name().to_owned()).unwrap_or_default();
        return Err(OnnxError::Sparse { name });
    }
    let producer = format!("{} {}", proto.producer_name(), proto.producer_version()).trim().to_owned();
    let mut external = External::new(folder);
    let functions = proto.functions.iter().map(|f| (set_name(f.domain()).to_owned(), f.name().to_owned()));
    let mut model = OnnxModel {
        ir_version,
        opset,
        producer,
        constants: constants(graph.initializer, &mut external)?,
        inputs: values(List::Input, graph.input)?,
        outputs: values(List::Output, graph.output)?,
        values: stated(values(List::ValueInfo, graph.value_info)?)?,
        nodes: Nodes { external: &mut external, domains: &domains, functions: functions.collect() }
            .read(graph.node)?,
        domains,
        external: Vec::new(),
    };
    model.external = external.finish();
    graph::check(&mut model)?;
    Ok(model)
}

fn decode(bytes: &[u8]) -> Result<ModelProto> {
    if bytes.is_empty() {
        return Err(OnnxError::Empty);
    }
    let undecodable = |error: schema::DecodeError| OnnxError::Undecodable { problem: error.to_string() };
    let decoded = scan(bytes).and_then(|()| ModelProto::decode(bytes).map_err(undecodable));
    decoded.map_err(|error| foreign(bytes).unwrap_or(error))
}

/// Another kind of file, recognized by its first bytes.
fn foreign(bytes: &[u8]) -> Option<OnnxError> {
    let head = &bytes[..bytes.len().min(256)];
    let lower = head.trim_ascii_start().to_ascii_lowercase();
    let starts = |prefix: &[u8]| lower.starts_with(prefix);
    let looks_like = if starts(b"<!doctype html") || starts(b"<html") {
        "an HTML page (a download that went wrong?)"
    } else if starts(b"version https://git-lfs") {
        "a Git LFS pointer (fetch the real file with `git lfs pull`)"
    } else if head.starts_with(b"PK\x03\x04") {
        "a ZIP archive or a PyTorch checkpoint (unpack it, or export it to ONNX)"
    } else if head.starts_with(b"\x1f\x8b") {
        "a gzip file (unpack it first)"
    } else if head.starts_with(b"\x89HDF") {
        "an HDF5 file, as Keras writes them (export it to ONNX first)"
    } else if head.starts_with(b"\x93NUMPY") {
        "an .npy array"
    } else if head.get(4..8) == Some(b"TFL3") {
        "a TFLite model (give it the ending .tflite)"
    } else if head.get(4..8) == Some(b"ORTM") {
        "an ONNX Runtime model (.ort); give the .onnx file it was made of"
    } else if head.iter().all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~')) {
        "text"
    } else {
        return None;
    };
    Some(OnnxError::NotOnnx { looks_like })
}

fn check_version(
    found: i64,
    known: &RangeInclusive<i64>,
    error: fn(i64, i64, i64) -> OnnxError,
) -> Result<()> {
    if known.contains(&found) { Ok(()) } else { Err(error(found, *known.start(), *known.end())) }
}

/// `ai.onnx` may be spelled out; its short name is the empty one.
fn set_name(domain: &str) -> &str {
    if domain == "ai.onnx" { "" } else { domain }
}

fn domains(imports: &[schema::OperatorSetIdProto]) -> Result<BTreeMap<String, i64>> {
    let mut domains = BTreeMap::new();
    for import in imports {
        let (domain, second) = (set_name(import.domain()).to_owned(), import.version());
        let first = *domains.entry(domain.clone()).or_insert(second);
        if first != second {
            return Err(OnnxError::OpsetTwice { domain, first, second });
        }
    }
    Ok(domains)
}

fn constants(list: Vec<TensorProto>, external: &mut External<'_>) -> Result<BTreeMap<String, Tensor>> {
    let mut constants = BTreeMap::new();
    for (index, mut proto) in list.into_iter().enumerate() {
        let name = proto.name.take().unwrap_or_default();
        let read = match constants.entry(name.clone()) {
            _ if name.is_empty() => Err(TensorFault::NoName),
            Entry::Occupied(_) => Err(TensorFault::Twice),
            Entry::Vacant(place) => tensor(proto, external).map(|tensor| place.insert(tensor)),
        };
        if let Err(fault) = read {
            return Err(OnnxError::Initializer { index, name, fault });
        }
    }
    Ok(constants)
}

fn values(list: List, values: Vec<ValueInfoProto>) -> Result<Vec<ValueInfo>> {
    let one = |(slot, mut proto): (usize, ValueInfoProto)| {
        let name = proto.name.take().unwrap_or_default();
        let read = if name.is_empty() { Err(ValueFault::NoName) } else { type_of(proto) };
        match read {
            Ok((elem, shape)) => Ok(ValueInfo { name, elem, shape }),
            Err(fault) => Err(OnnxError::Value { list, slot, name, fault }),
        }
    };
    values.into_iter().enumerate().map(one).collect()
}

/// What is stated of values, by name. The same may be stated twice.
fn stated(list: Vec<ValueInfo>) -> Result<BTreeMap<String, ValueInfo>> {
    let mut stated = BTreeMap::new();
    for (slot, value) in list.into_iter().enumerate() {
        let name = value.name.clone();
        if let Some(before) = stated.insert(name.clone(), value)
            && stated.get(&name) != Some(&before)
        {
            return Err(OnnxError::Value { list: List::ValueInfo, slot, name, fault: ValueFault::Twice });
        }
    }
    Ok(stated)
}

type TypeAndShape = (Option<DataType>, Option<Vec<Extent>>);

fn type_of(proto: ValueInfoProto) -> std::result::Result<TypeAndShape, ValueFault> {
    let Some(Value::TensorType(type_proto::Tensor { elem_type, shape })) =
        proto.r#type.and_then(|proto| proto.value)
    else {
        return Ok((None, None));
    };
    let elem = elem_type.filter(|&number| number != 0).map(DataType::from_number);
    let Some(shape) = shape else { return Ok((elem, None)) };
    if shape.dim.len() > MAX_RANK {
        return Err(ValueFault::Rank { found: shape.dim.len(), limit: MAX_RANK });
    }
    let extent = |(axis, dim): (usize, Dimension)| match dim.value {
        Some(dimension::Value::DimValue(value)) => {
            usize::try_from(value).map(Extent::Fixed).map_err(|_| ValueFault::NegativeAxis { axis, value })
        }
        Some(dimension::Value::DimParam(symbol)) => Ok(Extent::Symbol(symbol)),
        None => Ok(Extent::Symbol(String::new())),
    };
    let shape = shape.dim.into_iter().enumerate().map(extent).collect::<std::result::Result<_, _>>()?;
    Ok((elem, Some(shape)))
}

struct Nodes<'a, 'b> {
    external: &'a mut External<'b>,
    domains: &'a BTreeMap<String, i64>,
    functions: HashSet<(String, String)>,
}

impl Nodes<'_, '_> {
    fn read(mut self, list: Vec<NodeProto>) -> Result<Vec<Node>> {
        list.into_iter().enumerate().map(|(index, proto)| self.node(index, proto)).collect()
    }

    fn node(&mut self, index: usize, proto: NodeProto) -> Result<Node> {
        let mut node = Node {
            index,
            domain: set_name(proto.domain()).to_owned(),
            name: proto.name.unwrap_or_default(),
            op: proto.op_type.unwrap_or_default(),
            inputs: proto.input,
            outputs: proto.output,
            attributes: BTreeMap::new(),
        };
        if node.op.is_empty() {
            return Err(node_fault(&node, NodeFault::NoOperator));
        }
        if !self.functions.is_empty() && self.functions.contains(&(node.domain.clone(), node.op.clone())) {
            let set = if node.domain.is_empty() { "ai.onnx" } else { &node.domain };
            return Err(node_fault(&node, NodeFault::Function { function: format!("{set}.{}", node.op) }));
        }
        if !node.domain.is_empty() && !self.domains.contains_key(&node.domain) {
            return Err(node_fault(&node, NodeFault::Domain { domain: node.domain.clone() }));
        }
        for mut proto in proto.attribute {
            let name = proto.name.take().unwrap_or_default();
            let read = match node.attributes.entry(name.clone()) {
                _ if name.is_empty() => Err(AttributeFault::NoName),
                Entry::Occupied(_) => Err(AttributeFault::Twice),
                Entry::Vacant(place) => attribute(proto, self.external).map(|value| place.insert(value)),
            };
            if let Err(fault) = read {
                return Err(node_fault(&node, NodeFault::Attribute { attribute: name, fault }));
            }
        }
        Ok(node)
    }
}
