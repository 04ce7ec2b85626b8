//! From a TFLite graph to the intermediate representation, operator by operator.
//!
//! Every operator that has no integer form here is reported, all of one network in one report.

use dyadic_kernels::ElemType;

use crate::import::tflite::{self, OpCode, Operator, TfliteModel};
use crate::ir::{Graph, Node, Op, Tensor, TensorId};
use crate::unsupported::{Fate, Import, Lowered, Refusal, SourceNode, Unsupported, refuse, refuse_with};

mod activation;
mod boundary;
mod conv;
mod cut;
mod elementwise;
mod movement;
mod spatial;
mod strided_slice;

pub use cut::cut;

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
        Ok(Import {
            graph: lowering.graph,
            notes: lowering.notes,
            sources: model.operators.iter().map(source_node).collect(),
        })
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

fn source_node(operator: &Operator) -> SourceNode {
    SourceNode {
        position: operator.index,
        operator: operator.code.to_string(),
        label: source_name(operator),
        fate: Fate::Unchanged,
    }
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
        codes: None,
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
