//! From an ONNX graph to the intermediate representation.
//!
//! ONNX says quantization in several ways: QuantizeLinear and DequantizeLinear around operators on real numbers,
//! operators on integers that carry their scales (QLinearConv, ConvInteger), and the nodes of QONNX. All become one
//! form first, a network over real numbers in which some tensors are known to be codes (`reals`); then every tensor
//! must have got its codes (`resolve`), and the nodes become integer operations with the channels last (`place`).
//!
//! Every node that keeps the network from being integer is reported, all of one network in one report.

use std::collections::HashMap;
use std::rc::Rc;

use crate::import::onnx::{self, DataType, OnnxModel};
use crate::unsupported::{Fate, Import, Lowered, Refusal, SourceNode, Unsupported, refuse, refuse_with};
use constant::Quantized;
use reals::{RealId, Reals};

mod activation;
mod affine;
mod array;
mod attributes;
mod boundary;
mod constant;
mod conv_transpose;
mod convolution;
mod elementwise;
mod fold;
mod movement;
mod padding;
mod patterns;
mod place;
mod pooling;
mod product;
mod qonnx;
mod qoperator;
mod quantizers;
mod reals;
mod resize;
mod resolve;
mod shapes;
mod tail;

pub use boundary::cut;
pub use shapes::{InputShapes, ShapeError};

/// What a network is compiled for, beyond what its file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// Shapes of inputs whose file leaves extents open.
    pub shapes: InputShapes,
    /// Pictures in and feature maps out with the channels last.
    pub nhwc: bool,
    /// Make the last integer tensors the outputs where operators on real numbers follow.
    pub cut_float_tail: bool,
}

/// What is known of a value.
#[derive(Clone, Debug)]
enum Value {
    /// A constant as the file has it.
    Constant(Rc<onnx::Tensor>),
    /// A constant of real numbers with its codes.
    Quantized(Rc<Quantized>),
    /// A tensor of real numbers.
    Real(RealId),
    /// The codes of a tensor of real numbers.
    Codes(RealId),
    /// Made by a node that was refused: what reads it is not reported again.
    Refused,
}

/// Whether an operator that moves values was given real numbers or codes; it gives back the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Real,
    Codes,
}

impl Form {
    fn value(self, real: RealId) -> Value {
        match self {
            Form::Real => Value::Real(real),
            Form::Codes => Value::Codes(real),
        }
    }
}

/// Lowers a network, after [`cut`] made its outputs what is wanted.
///
/// # Errors
/// Every node and boundary tensor that is not supported, in the order of the source.
pub fn lower(mut model: OnnxModel, options: &ImportOptions) -> Result<Import, Vec<Unsupported>> {
    let mut sources: Vec<SourceNode> = model.nodes.iter().map(source_node).collect();
    sources.sort_by_key(|s| s.position);
    patterns::replace(&mut model);
    // What the patterns left without a reader is gone, and the network keeps its outputs.
    let _ = cut(&mut model, &[]);
    let mut notes = Vec::new();
    if options.cut_float_tail {
        let ends = walked(&model, options).integer_ends();
        let own: Vec<&String> = model.outputs.iter().map(|o| &o.name).collect();
        if !ends.is_empty() && !own.into_iter().eq(&ends) && cut(&mut model, &ends).is_ok() {
            notes.push(format!(
                "operators on real numbers at the end are cut off: the network ends in {}",
                ends.join(", ")
            ));
        }
    }
    let mut walk = walked(&model, options);
    if walk.inputs.is_empty() && walk.problems.is_empty() {
        return Err(vec![boundary::no_input()]);
    }
    walk.notes.splice(0..0, notes);
    let outputs = walk.outputs();
    resolve::resolve(&mut walk, &outputs);
    if !walk.problems.is_empty() {
        walk.problems.sort_by_key(|p| p.position.unwrap_or(usize::MAX));
        return Err(walk.problems);
    }
    for source in &mut sources {
        source.fate = walk.fate(source.position);
    }
    let import = place::place(walk, &outputs, options)?;
    Ok(Import { sources, ..import })
}

fn source_node(node: &onnx::Node) -> SourceNode {
    SourceNode {
        position: node.index,
        operator: node.op.clone(),
        label: place::label(node),
        fate: Fate::LeftOut,
    }
}

fn walked<'m>(model: &'m OnnxModel, options: &ImportOptions) -> Walk<'m> {
    let mut walk = Walk::new(model);
    walk.inputs(&options.shapes);
    for node in &model.nodes {
        walk.node(node);
    }
    walk
}

/// Whether any node of a network says how real numbers become integers.
pub fn is_quantized(model: &OnnxModel) -> bool {
    let quantizer = |op: &str| {
        matches!(op, "QuantizeLinear" | "DequantizeLinear" | "ConvInteger" | "MatMulInteger")
            || matches!(op, "Quant" | "IntQuant" | "BipolarQuant" | "Trunc" | "QGemm")
            || op.starts_with("QLinear")
    };
    model.nodes.iter().any(|n| quantizer(&n.op))
}

/// The walk over the nodes in their order.
struct Walk<'m> {
    model: &'m OnnxModel,
    values: HashMap<&'m str, Value>,
    /// How often each value is read; outputs of the network count as reads.
    readers: HashMap<&'m str, usize>,
    reals: Reals,
    /// Where the nodes stand in the list, by their position in the file.
    places: HashMap<usize, usize>,
    /// Inputs of the network.
    inputs: Vec<RealId>,
    problems: Vec<Unsupported>,
    notes: Vec<String>,
}

impl<'m> Walk<'m> {
    fn new(model: &'m OnnxModel) -> Walk<'m> {
        let constant =
            |(name, t): (&'m String, &onnx::Tensor)| (name.as_str(), Value::Constant(Rc::new(t.clone())));
        let mut readers = HashMap::new();
        let read = model.nodes.iter().flat_map(|n| n.inputs.iter());
        for name in read.chain(model.outputs.iter().map(|o| &o.name)) {
            *readers.entry(name.as_str()).or_insert(0) += 1;
        }
        Walk {
            model,
            values: model.constants.iter().map(constant).collect(),
            readers,
            reals: Reals::default(),
            places: model.nodes.iter().enumerate().map(|(place, n)| (n.index, place)).collect(),
            inputs: Vec::new(),
            problems: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// The node of a position in the file.
    fn source(&self, index: usize) -> Option<&'m onnx::Node> {
        self.places.get(&index).map(|&place| &self.model.nodes[place])
    }

    /// What became of a node if no step stands for it.
    fn fate(&self, position: usize) -> Fate {
        let output = self.source(position).and_then(|n| n.outputs.first());
        match output.and_then(|name| self.values.get(name.as_str())) {
            Some(Value::Constant(_) | Value::Quantized(_)) => Fate::Constant,
            Some(Value::Real(_) | Value::Codes(_)) => Fate::Unchanged,
            Some(Value::Refused) | None => Fate::LeftOut,
        }
    }

    /// Lowers a node; a refused one is reported, and so is not what reads from it.
    fn node(&mut self, node: &'m onnx::Node) {
        let blocked = node.inputs.iter().any(|i| matches!(self.values.get(i.as_str()), Some(Value::Refused)));
        let result = if blocked { None } else { Some(self.operator(node)) };
        let problem = match result {
            Some(Ok(())) => None,
            Some(Err(refusal)) => Some(Some(refusal)),
            None => Some(None),
        };
        let Some(refusal) = problem else { return };
        for output in node.outputs.iter().filter(|o| !o.is_empty()) {
            self.values.insert(output, Value::Refused);
        }
        if let Some(refusal) = refusal {
            self.refused(node, refusal);
        }
    }

    fn refused(&mut self, node: &onnx::Node, refusal: Refusal) {
        let tensor = node.outputs.first().cloned().unwrap_or_default();
        let elem = self.model.values.get(&tensor).and_then(|v| v.elem);
        self.problems.push(Unsupported {
            position: Some(node.index),
            operator: named(node),
            elem: elem.map_or_else(String::new, |e| e.to_string()),
            tensor,
            reason: refusal.reason,
            remedy: refusal.remedy,
        });
    }

    fn operator(&mut self, node: &'m onnx::Node) -> Lowered {
        if self.fold(node)? {
            return Ok(());
        }
        match node.op.as_str() {
            "QuantizeLinear" => self.quantize(node),
            "DequantizeLinear" => self.dequantize(node),
            "Quant" | "IntQuant" => self.quant(node),
            "BipolarQuant" => self.bipolar(node),
            "Trunc" => self.trunc(node),
            "Conv" => self.conv(node),
            "ConvTranspose" => self.conv_transpose(node),
            "Gemm" => self.gemm(node),
            "MatMul" => self.matmul(node),
            "ConvInteger" => self.conv_integer(node),
            "MatMulInteger" => self.matmul_integer(node),
            "QLinearConv" => self.qlinear_conv(node),
            "QLinearMatMul" => self.qlinear_matmul(node),
            "QGemm" => self.qgemm(node),
            "QLinearAdd" | "QLinearMul" => self.qlinear_binary(node),
            "QLinearConcat" => self.qlinear_concat(node),
            "QLinearGlobalAveragePool" | "QLinearAveragePool" => self.qlinear_pool(node),
            "QLinearSigmoid" | "QLinearLeakyRelu" => self.qlinear_function(node),
            "QLinearSoftmax" => self.qlinear_softmax(node),
            "BatchNormalization" => self.batch_normalization(node),
            "Add" | "Sub" | "Mul" | "Div" => self.arithmetic(node),
            "Relu" | "Clip" => self.clamp(node),
            "LeakyRelu" | "PRelu" | "Sigmoid" | "HardSigmoid" | "HardSwish" | "Swish" | "Tanh" | "Gelu"
            | "Elu" => self.function(node),
            "Softmax" => self.softmax(node),
            "ArgMax" => self.argmax(node),
            "MaxPool" | "AveragePool" | "GlobalAveragePool" | "GlobalMaxPool" => self.pool(node),
            "ReduceMean" => self.reduce_mean(node),
            "Resize" | "Upsample" => self.resize(node),
            "Concat" => self.concat(node),
            "Split" => self.split(node),
            _ => self.moved(node),
        }
    }

    /// Input `i` of a node, `None` when it is left out.
    fn given(&self, node: &onnx::Node, i: usize) -> Option<&Value> {
        node.inputs.get(i).filter(|name| !name.is_empty()).and_then(|name| self.values.get(name.as_str()))
    }

    fn value(&self, node: &onnx::Node, i: usize) -> Lowered<Value> {
        self.given(node, i).cloned().map_or_else(|| refuse(format!("input {i} is missing")), Ok)
    }

    /// A tensor of real numbers, a quantized constant among them.
    fn real(&mut self, node: &onnx::Node, i: usize) -> Lowered<RealId> {
        let name = node.inputs.get(i).map_or("", String::as_str);
        match self.value(node, i)? {
            Value::Real(real) => Ok(real),
            Value::Quantized(constant) => self.constant_real(name, &constant),
            Value::Constant(_) => refuse_with(
                format!("the constant '{name}' is not quantized"),
                format!("quantize the constant '{name}', or fold it into the layer before it"),
            ),
            Value::Codes(_) => refuse(format!("'{name}' is a tensor of codes, expected real numbers")),
            Value::Refused => refuse("an input was refused"),
        }
    }

    /// Real numbers or codes, for operators that only move them.
    fn either(&mut self, node: &onnx::Node, i: usize) -> Lowered<(RealId, Form)> {
        match self.value(node, i)? {
            Value::Codes(real) => Ok((real, Form::Codes)),
            _ => Ok((self.real(node, i)?, Form::Real)),
        }
    }

    /// A constant input; `None` when it is left out.
    fn constant(&self, node: &onnx::Node, i: usize) -> Lowered<Option<Rc<onnx::Tensor>>> {
        match self.given(node, i) {
            None => Ok(None),
            Some(Value::Constant(tensor)) => Ok(Some(tensor.clone())),
            Some(_) => refuse_with(
                format!("'{}' is computed at run time, expected a constant", node.inputs[i]),
                "make it a constant in the source network (for example with constant folding when exporting)",
            ),
        }
    }

    /// A constant input of whole numbers; `None` when it is left out.
    fn whole(&self, node: &onnx::Node, i: usize) -> Lowered<Option<Vec<i64>>> {
        self.constant(node, i)?.map(|t| constant::integers(&t)).transpose()
    }

    fn define(&mut self, node: &'m onnx::Node, output: usize, value: Value) {
        let Some(name) = node.outputs.get(output).filter(|n| !n.is_empty()) else { return };
        if let Value::Real(real) | Value::Codes(real) = value
            && self.readers.get(name.as_str()).is_some_and(|&count| count > 1)
        {
            self.reals.share(real);
        }
        self.values.insert(name, value);
    }

    /// Name of an output of a node.
    fn name(node: &onnx::Node, output: usize) -> &str {
        node.outputs.get(output).map_or("", String::as_str)
    }
}

/// `Conv 'stage1/conv'`, or `Conv` when the node has no name.
fn named(node: &onnx::Node) -> String {
    if node.name.is_empty() { node.op.clone() } else { format!("{} '{}'", node.op, node.name) }
}

/// The type that holds codes of a type of the file, with their range; `None` for types that are no activations here.
fn activation_type(elem: DataType) -> Option<(dyadic_kernels::ElemType, (i32, i32))> {
    use dyadic_kernels::ElemType as E;
    Some(match elem {
        DataType::Uint8 => (E::U8, (0, 255)),
        DataType::Int8 => (E::S8, (-128, 127)),
        DataType::Uint4 => (E::U8, (0, 15)),
        DataType::Int4 => (E::S8, (-8, 7)),
        DataType::Int16 => (E::S16, (-32768, 32767)),
        _ => return None,
    })
}
