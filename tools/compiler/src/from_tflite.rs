//! From a TFLite graph to the intermediate representation, operator by operator.
//!
//! Every operator that has no integer form here is reported, all of one network in one report.

use std::fmt;

use dyadic_kernels::ElemType;

use crate::import::tflite::{self, OpCode, Operator, TfliteModel};
use crate::ir::{Graph, Node, Op, Tensor, TensorId};

mod activation;
mod conv;
mod cut;
mod elementwise;
mod movement;
mod spatial;
mod strided_slice;

pub use cut::{CutError, cut};

/// An operator or tensor that cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// Position in the source's list of operators; `None` for a fault of the graph itself.
    pub position: Option<usize>,
    /// Name of the operator.
    pub operator: String,
    /// Element type of its first output.
    pub elem: String,
    /// Name of its first output tensor.
    pub tensor: String,
    /// Why.
    pub reason: String,
    /// What the user can do.
    pub remedy: String,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some(position) => write!(f, "operator {position} ")?,
            None => write!(f, "network ")?,
        }
        write!(
            f,
            "{} {} '{}': {}\n    remedy: {}",
            self.operator, self.elem, self.tensor, self.reason, self.remedy
        )
    }
}

/// Why one operator was refused: the reason and the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    reason: String,
    remedy: String,
}

type Lowered<T = ()> = Result<T, Refusal>;

/// A refusal with the usual remedy.
fn refuse<T>(reason: impl Into<String>) -> Lowered<T> {
    refuse_with(
        reason,
        "cut the network before this operator with --cut-at, or replace it in the source network",
    )
}

fn refuse_with<T>(reason: impl Into<String>, remedy: impl Into<String>) -> Lowered<T> {
    Err(Refusal { reason: reason.into(), remedy: remedy.into() })
}

/// What lowering gives: the graph and what the user should know about it.
#[derive(Clone, Debug, Default)]
pub struct Import {
    /// The network.
    pub graph: Graph,
    /// Remarks, for example that a float boundary was removed.
    pub notes: Vec<String>,
}

/// Lowers a network.
///
/// # Errors
/// Every operator and boundary tensor that is not supported, in the order of the source.
pub fn lower(model: &TfliteModel) -> Result<Import, Vec<Unsupported>> {
    let mut lowering = Lowering {
        model,
        graph: Graph { description: model.description.clone(), ..Graph::default() },
        tensors: vec![None; model.tensors.len()],
        problems: Vec::new(),
        notes: Vec::new(),
    };
    lowering.inputs();
    for operator in &model.operators {
        if let Err(refusal) = lowering.operator(operator) {
            lowering.problems.push(unsupported(model, operator, refusal));
        }
    }
    if lowering.problems.is_empty() {
        lowering.outputs();
    }
    if lowering.problems.is_empty() {
        Ok(Import { graph: lowering.graph, notes: lowering.notes })
    } else {
        Err(lowering.problems)
    }
}

fn unsupported(model: &TfliteModel, operator: &Operator, refusal: Refusal) -> Unsupported {
    let output = operator.outputs.first().map(|&o| &model.tensors[o]);
    Unsupported {
        position: Some(operator.index),
        operator: operator.code.to_string(),
        elem: output.map_or_else(String::new, |t| t.elem.to_string()),
        tensor: output.map_or_else(String::new, |t| t.name.clone()),
        reason: refusal.reason,
        remedy: refusal.remedy,
    }
}

struct Lowering<'m> {
    model: &'m TfliteModel,
    graph: Graph,
    /// The tensor of the graph that stands for each source tensor.
    tensors: Vec<Option<TensorId>>,
    problems: Vec<Unsupported>,
    notes: Vec<String>,
}

impl<'m> Lowering<'m> {
    /// Quantized inputs become inputs; a float input that only a QUANTIZE reads is replaced by that one's output.
    fn inputs(&mut self) {
        for &input in &self.model.inputs {
            let source = &self.model.tensors[input];
            let quantized = matches!(source.elem, tflite::ElemType::Int8 | tflite::ElemType::UInt8);
            if !quantized && self.readers(input).next().is_none() {
                self.notes.push(format!("input '{}' left out: nothing reads it", source.name));
                continue;
            }
            let quantizers = self.boundary_quantizers(input);
            let result = match quantizers.as_slice() {
                [] if self.only_cast(input) => self.whole_numbers(input),
                [] => self.activation(input),
                outputs => self.quantized_form(source, outputs),
            };
            match result {
                Ok(id) => self.graph.inputs.push(id),
                Err(refusal) => self.boundary_problem(input, "input", refusal),
            }
        }
    }

    /// The operators that read a tensor.
    fn readers(&self, tensor: usize) -> impl Iterator<Item = &'m Operator> + use<'m> {
        self.model.operators.iter().filter(move |o| o.inputs.contains(&Some(tensor)))
    }

    /// The one tensor that stands for a float input: what all its QUANTIZE readers make, which must be the same.
    fn quantized_form(&mut self, source: &tflite::Tensor, outputs: &[usize]) -> Lowered<TensorId> {
        let form = |t: usize| (self.model.tensors[t].elem, &self.model.tensors[t].quant);
        if outputs.iter().any(|&o| form(o) != form(outputs[0])) {
            return refuse("a float input that is quantized in several ways");
        }
        self.notes
            .push(format!("float input '{}' left out: the network takes its quantized form", source.name));
        let id = self.activation(outputs[0])?;
        outputs.iter().for_each(|&o| self.tensors[o] = Some(id));
        Ok(id)
    }

    /// Whether every reader of a tensor is a CAST.
    fn only_cast(&self, tensor: usize) -> bool {
        self.model.tensors[tensor].quant.is_none() && self.readers(tensor).all(|o| o.code == OpCode::Cast)
    }

    /// An 8-bit tensor without quantization, taken as whole numbers: scale 1, zero point 0.
    fn whole_numbers(&mut self, index: usize) -> Lowered<TensorId> {
        let source = &self.model.tensors[index];
        // Codes of another scale are no whole numbers to the `dyadic` contract.
        if source.quant.as_ref().is_some_and(|q| q.scales != [1.0] || q.zero_points != [0]) {
            return refuse(format!("CAST of '{}', which has a scale of its own", source.name));
        }
        if let Some(id) = self.tensors[index].filter(|&id| self.graph.tensors[id].elem.bits() == 8) {
            return Ok(id);
        }
        let elem = match source.elem {
            tflite::ElemType::Int8 => ElemType::S8,
            tflite::ElemType::UInt8 => ElemType::U8,
            _ => return no_form(),
        };
        let tensor = Tensor {
            name: source.name.clone(),
            shape: shape(source)?,
            elem,
            zero_point: 0,
            scales: vec![1.0],
            data: None,
        };
        let id = self.graph.add(tensor);
        self.tensors[index] = Some(id);
        Ok(id)
    }

    /// What the readers of a float graph input make, if all of them are QUANTIZE.
    fn boundary_quantizers(&self, input: usize) -> Vec<usize> {
        let float = self.model.tensors[input].elem == tflite::ElemType::Float32;
        if float && self.readers(input).all(|o| o.code == OpCode::Quantize) {
            self.readers(input).map(|o| o.outputs[0]).collect()
        } else {
            Vec::new()
        }
    }

    fn boundary_problem(&mut self, tensor: usize, what: &str, refusal: Refusal) {
        let tensor = &self.model.tensors[tensor];
        self.problems.push(Unsupported {
            position: None,
            operator: what.to_string(),
            elem: tensor.elem.to_string(),
            tensor: tensor.name.clone(),
            reason: refusal.reason,
            remedy: refusal.remedy,
        });
    }

    fn outputs(&mut self) {
        for &output in &self.model.outputs {
            match self.tensors[output] {
                Some(id) if self.graph.tensors[id].data.is_none() => self.graph.outputs.push(id),
                None if self.model.tensors[output].data.is_none() => {
                    let unmade = refuse::<()>("this output is made by no supported operator").unwrap_err();
                    self.boundary_problem(output, "output", unmade);
                }
                // Anchors, for example: copied in every run.
                _ => match self.activation(output) {
                    Ok(id) => self.copied_constant(id),
                    Err(refusal) => self.boundary_problem(output, "output", refusal),
                },
            }
        }
    }

    fn copied_constant(&mut self, constant: TensorId) {
        let copy = Tensor { data: None, ..self.graph.tensors[constant].clone() };
        let sources = vec![format!("constant {}", copy.name)];
        let output = self.graph.add(copy);
        self.graph.nodes.push(Node { sources, op: Op::Reshape, inputs: vec![constant], output });
        self.graph.outputs.push(output);
    }

    fn source(&self, operator: &Operator, input: usize) -> Lowered<&'m tflite::Tensor> {
        match operator.inputs.get(input).copied().flatten() {
            Some(index) => Ok(&self.model.tensors[index]),
            None => refuse(format!("input {input} is missing")),
        }
    }

    /// The graph's tensor for input `input` of an operator.
    fn input(&mut self, operator: &Operator, input: usize) -> Lowered<TensorId> {
        let index = self.source(operator, input)?.index;
        self.activation(index)
    }

    /// The graph's tensor for the output of an operator.
    fn output(&mut self, operator: &Operator) -> Lowered<TensorId> {
        self.activation(operator.outputs[0])
    }

    /// A quantized activation or constant with one scale.
    fn activation(&mut self, index: usize) -> Lowered<TensorId> {
        if let Some(id) = self.tensors[index] {
            return Ok(id);
        }
        let source = &self.model.tensors[index];
        let elem = match source.elem {
            tflite::ElemType::Int8 => ElemType::S8,
            tflite::ElemType::UInt8 => ElemType::U8,
            tflite::ElemType::Float32 | tflite::ElemType::Float16 => {
                return refuse_with(
                    format!("tensor '{}' is {}, expected a quantized one", source.name, source.elem),
                    "quantize the whole network to INT8, or cut it before this operator with --cut-at",
                );
            }
            other => return refuse(format!("tensor '{}' is {other}, expected INT8 or UINT8", source.name)),
        };
        let tensor = quantized(source, elem)?;
        let id = self.graph.add(tensor);
        self.tensors[index] = Some(id);
        Ok(id)
    }

    fn push(&mut self, operator: &Operator, op: Op, inputs: Vec<TensorId>, output: TensorId) {
        let sources = vec![source_name(operator)];
        self.graph.nodes.push(Node { sources, op, inputs, output });
    }

    fn operator(&mut self, operator: &Operator) -> Lowered {
        use OpCode as C;
        match &operator.code {
            C::Conv2d | C::DepthwiseConv2d | C::FullyConnected => self.convolution(operator),
            C::Add | C::Sub | C::Mul => self.elementwise(operator),
            C::AveragePool2d | C::MaxPool2d | C::Mean => self.pooling(operator),
            C::ResizeBilinear | C::ResizeNearestNeighbor => self.resize(operator),
            C::Softmax | C::ArgMax => self.last(operator),
            C::Relu | C::Relu6 | C::ReluN1To1 | C::LeakyRelu | C::Logistic | C::Tanh | C::HardSwish => {
                self.unary(operator)
            }
            C::Quantize | C::Dequantize => self.boundary(operator),
            C::Reshape | C::Squeeze | C::ExpandDims => self.reshape(operator),
            C::Transpose | C::Slice | C::StridedSlice => self.strided(operator),
            C::Split | C::SplitV | C::Unpack => self.split(operator),
            C::Concatenation | C::Pack => self.concat(operator),
            C::Pad | C::PadV2 => self.pad(operator),
            C::Tile => self.tile(operator),
            C::Cast => self.cast(operator),
            C::Gather | C::Prelu | C::TransposeConv | C::Sum | C::ArgMin | C::ReduceMax => no_form(),
            C::MirrorPad | C::Elu | C::Gelu | C::Other(..) | C::Custom(_) | C::Unknown(_) => no_form(),
        }
    }
}

fn no_form<T>() -> Lowered<T> {
    refuse("this operator has no integer form in Dyadic yet")
}

/// `12:CONV_2D`.
fn source_name(operator: &Operator) -> String {
    format!("{}:{}", operator.index, operator.code)
}

/// A source tensor with one scale as a tensor of the graph, its data copied.
fn quantized(source: &tflite::Tensor, elem: ElemType) -> Lowered<Tensor> {
    if source.is_variable {
        return refuse(format!("tensor '{}' keeps state from run to run", source.name));
    }
    if source.is_sparse || source.scheme != tflite::QuantScheme::Affine {
        return refuse(format!("tensor '{}' is stored sparse or in a custom quantization", source.name));
    }
    let (scale, zero_point) = match &source.quant {
        Some(q) if q.scales.len() == 1 => (q.scales[0], q.zero_points[0] as i32),
        Some(_) => return refuse(format!("tensor '{}' has several scales, expected one", source.name)),
        None => {
            return refuse_with(
                format!("tensor '{}' has no scale", source.name),
                "quantize the network with a tool that stores scales (float models must be quantized first)",
            );
        }
    };
    Ok(Tensor {
        name: source.name.clone(),
        shape: shape(source)?,
        elem,
        zero_point,
        scales: vec![scale],
        data: source.data.as_ref().map(|d| d.to_vec()),
    })
}

/// The extents, each at least 1, at most 8 of them.
fn shape(source: &tflite::Tensor) -> Lowered<Vec<usize>> {
    if source.shape.len() > dyadic_kernels::params::MAX_RANK {
        return refuse(format!(
            "tensor '{}' has {} axes, expected at most 8",
            source.name,
            source.shape.len()
        ));
    }
    let extents = source.shape.iter().map(|&e| usize::try_from(e).ok().filter(|&e| e > 0));
    match extents.collect() {
        Some(shape) => Ok(shape),
        None => refuse_with(
            format!("tensor '{}' has shape {:?}, expected extents of at least 1", source.name, source.shape),
            "convert the network with static shapes",
        ),
    }
}

/// The values of a constant INT32 or INT64 tensor.
fn integers(tensor: &tflite::Tensor) -> Lowered<Vec<i64>> {
    let Some(data) = &tensor.data else {
        return refuse(format!("'{}' is computed at run time, expected a constant", tensor.name));
    };
    match tensor.elem {
        tflite::ElemType::Int32 => {
            Ok(data.as_chunks::<4>().0.iter().map(|b| i64::from(i32::from_le_bytes(*b))).collect())
        }
        tflite::ElemType::Int64 => {
            Ok(data.as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b)).collect())
        }
        other => refuse(format!("'{}' is {other}, expected INT32 or INT64", tensor.name)),
    }
}

/// An axis that may count from the end.
fn axis(value: i64, rank: usize) -> Lowered<usize> {
    let wrapped = if value < 0 { value + rank as i64 } else { value };
    match usize::try_from(wrapped) {
        Ok(axis) if axis < rank => Ok(axis),
        _ => refuse(format!("axis {value} of a tensor with {rank} axes")),
    }
}

/// The shape that an operator should have made.
fn expect_shape(tensor: &Tensor, expected: &[usize]) -> Lowered {
    if tensor.shape == expected {
        return Ok(());
    }
    refuse(format!("output '{}' has shape {:?}, expected {expected:?}", tensor.name, tensor.shape))
}
