//! Little ONNX files, written with the messages of the format.

use dyadic_onnx_schema::attribute_proto::AttributeType;
use dyadic_onnx_schema::tensor_shape_proto::{Dimension, dimension};
use dyadic_onnx_schema::type_proto::{self, Value};
use dyadic_onnx_schema::{
    AttributeProto, GraphProto, Message, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto,
};

/// Element types by their numbers in the format.
pub const F32: i32 = 1;
pub const U8: i32 = 2;
pub const S8: i32 = 3;
pub const S16: i32 = 5;
pub const S32: i32 = 6;
pub const S64: i32 = 7;
pub const U4: i32 = 21;
pub const S4: i32 = 22;

/// How codes stand for real numbers.
#[derive(Clone, Copy, Debug)]
pub struct Code {
    pub elem: i32,
    pub scale: f32,
    pub zero: i64,
}

pub const fn code(elem: i32, scale: f32, zero: i64) -> Code {
    Code { elem, scale, zero }
}

impl Code {
    /// Smallest and largest code.
    pub fn range(self) -> (i64, i64) {
        match self.elem {
            U4 => (0, 15),
            S4 => (-8, 7),
            U8 => (0, 255),
            S8 => (-128, 127),
            S16 => (-32768, 32767),
            other => panic!("{other} is no type of codes here"),
        }
    }

    pub fn scale(self) -> f64 {
        f64::from(self.scale)
    }
}

/// A file being written. Nodes are named after their operator and first output: `Conv:y`.
#[derive(Clone, Debug)]
pub struct Net {
    pub model: ModelProto,
}

impl Net {
    pub fn new() -> Net {
        Net::of_opset(21)
    }

    pub fn of_opset(version: i64) -> Net {
        let set = |domain: &str, version| OperatorSetIdProto {
            domain: Some(domain.to_owned()),
            version: Some(version),
        };
        let model = ModelProto {
            ir_version: Some(10),
            opset_import: vec![set("", version), set("com.microsoft", 1), set("qonnx.custom_op.general", 1)],
            graph: Some(GraphProto { name: Some("g".to_owned()), ..Default::default() }),
            ..Default::default()
        };
        Net { model }
    }

    pub fn graph(&mut self) -> &mut GraphProto {
        self.model.graph.as_mut().unwrap()
    }

    /// An extent below 0 is open.
    pub fn input(&mut self, name: &str, elem: i32, shape: &[i64]) -> &mut Net {
        let value = value(name, elem, Some(shape));
        self.graph().input.push(value);
        self
    }

    pub fn output(&mut self, name: &str, elem: i32) -> &mut Net {
        let value = value(name, elem, None);
        self.graph().output.push(value);
        self
    }

    pub fn real(&mut self, name: &str, shape: &[i64], values: &[f32]) {
        let mut tensor = tensor(name, F32, shape);
        tensor.float_data = values.to_vec();
        self.graph().initializer.push(tensor);
    }

    pub fn whole(&mut self, name: &str, elem: i32, shape: &[i64], values: &[i64]) {
        let tensor = integers(name, elem, shape, values);
        self.graph().initializer.push(tensor);
    }

    /// A list of 64-bit numbers, as operators take their shapes.
    pub fn list(&mut self, name: &str, values: &[i64]) {
        self.whole(name, S64, &[values.len() as i64], values);
    }

    pub fn node(&mut self, op: &str, inputs: &[&str], outputs: &[&str]) -> &mut NodeProto {
        let owned = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect();
        let domain = match op {
            "Quant" | "BipolarQuant" | "Trunc" => "qonnx.custom_op.general",
            "QLinearConv" | "QLinearMatMul" => "",
            _ if op.starts_with("QLinear") || op == "QGemm" => "com.microsoft",
            _ => "",
        };
        let node = NodeProto {
            name: Some(format!("{op}:{}", outputs[0])),
            op_type: Some(op.to_owned()),
            domain: Some(domain.to_owned()),
            input: owned(inputs),
            output: owned(outputs),
            ..Default::default()
        };
        self.graph().node.push(node);
        self.graph().node.last_mut().unwrap()
    }

    /// Scale and zero point as constants `NAME_s` and `NAME_z`.
    pub fn scaling(&mut self, name: &str, code: Code) {
        self.real(&format!("{name}_s"), &[], &[code.scale]);
        self.whole(&format!("{name}_z"), code.elem, &[], &[code.zero]);
    }

    /// `from` quantized to `NAME_q`, with constants `NAME_s` and `NAME_z`.
    pub fn quantize(&mut self, from: &str, name: &str, code: Code) {
        self.scaling(name, code);
        let [s, z, q] = ["s", "z", "q"].map(|end| format!("{name}_{end}"));
        self.node("QuantizeLinear", &[from, &s, &z], &[&q]);
    }

    /// `from` quantized and given back as real numbers.
    pub fn qdq(&mut self, from: &str, name: &str, code: Code) {
        self.quantize(from, name, code);
        let [s, z, q] = ["s", "z", "q"].map(|end| format!("{name}_{end}"));
        self.node("DequantizeLinear", &[&q, &s, &z], &[name]);
    }

    /// Codes `from` read as real numbers.
    pub fn dequantize(&mut self, from: &str, name: &str, code: Code) {
        self.scaling(name, code);
        let [s, z] = ["s", "z"].map(|end| format!("{name}_{end}"));
        self.node("DequantizeLinear", &[from, &s, &z], &[name]);
    }

    /// An input of codes that is read as real numbers.
    pub fn fed(&mut self, name: &str, shape: &[i64], code: Code) {
        let codes = format!("{name}_in");
        self.input(&codes, code.elem, shape);
        self.dequantize(&codes, name, code);
    }

    /// Constant codes read as real numbers, with one scale per element of axis 0 or one in all.
    pub fn weights(&mut self, name: &str, (elem, shape): (i32, &[i64]), codes: &[i64], scales: &[f32]) {
        let [q, s] = ["q", "s"].map(|end| format!("{name}_{end}"));
        self.whole(&q, elem, shape, codes);
        let per_channel = [scales.len() as i64];
        self.real(&s, if scales.len() > 1 { &per_channel } else { &[] }, scales);
        self.node("DequantizeLinear", &[&q, &s], &[name]).int("axis", 0);
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.model.encode_to_vec()
    }
}

/// Attributes of a node.
pub trait Attributes {
    fn attribute(&mut self, attribute: AttributeProto) -> &mut Self;

    fn int(&mut self, name: &str, value: i64) -> &mut Self {
        self.attribute(AttributeProto { i: Some(value), ..empty(name, AttributeType::Int) })
    }

    fn ints(&mut self, name: &str, values: &[i64]) -> &mut Self {
        self.attribute(AttributeProto { ints: values.to_vec(), ..empty(name, AttributeType::Ints) })
    }

    fn float(&mut self, name: &str, value: f32) -> &mut Self {
        self.attribute(AttributeProto { f: Some(value), ..empty(name, AttributeType::Float) })
    }

    fn text(&mut self, name: &str, value: &str) -> &mut Self {
        self.attribute(AttributeProto { s: Some(value.into()), ..empty(name, AttributeType::String) })
    }
}

impl Attributes for NodeProto {
    fn attribute(&mut self, attribute: AttributeProto) -> &mut NodeProto {
        self.attribute.push(attribute);
        self
    }
}

fn empty(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto { name: Some(name.to_owned()), r#type: Some(kind as i32), ..Default::default() }
}

fn tensor(name: &str, elem: i32, shape: &[i64]) -> TensorProto {
    TensorProto {
        name: Some(name.to_owned()),
        data_type: Some(elem),
        dims: shape.to_vec(),
        ..Default::default()
    }
}

/// 4-bit values go two a byte, the first in the low half.
fn integers(name: &str, elem: i32, shape: &[i64], values: &[i64]) -> TensorProto {
    let bytes = |width: usize| values.iter().flat_map(|v| v.to_le_bytes().into_iter().take(width)).collect();
    let raw = match elem {
        U4 | S4 => {
            let nibble = |v: Option<&i64>| v.map_or(0, |v| (v & 15) as u8);
            values.chunks(2).map(|pair| nibble(pair.first()) | nibble(pair.get(1)) << 4).collect()
        }
        U8 | S8 => bytes(1),
        S16 => bytes(2),
        S32 => bytes(4),
        S64 => bytes(8),
        other => panic!("{other} is no integer type here"),
    };
    TensorProto { raw_data: Some(raw), ..tensor(name, elem, shape) }
}

fn value(name: &str, elem: i32, shape: Option<&[i64]>) -> ValueInfoProto {
    let dim = |&extent: &i64| Dimension {
        value: Some(match extent {
            0.. => dimension::Value::DimValue(extent),
            _ => dimension::Value::DimParam("N".to_owned()),
        }),
        denotation: None,
    };
    let shape = shape.map(|shape| TensorShapeProto { dim: shape.iter().map(dim).collect() });
    let tensor = type_proto::Tensor { elem_type: Some(elem), shape };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto { denotation: None, value: Some(Value::TensorType(tensor)) }),
        ..Default::default()
    }
}
