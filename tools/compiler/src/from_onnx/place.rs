//! From operations on real numbers with known codes to integer nodes, with the channels of pictures last.
//!
//! Every tensor has an *order*: axis `i` of what is stored is axis `order[i]` of the source. A transpose of the source
//! is another order of the same stored tensor; where an operation needs one that is not there, a copy is inserted.

use std::collections::{HashMap, HashSet};

use dyadic_kernels::ElemType;

use super::reals::{Quant, RealId, RealNode, RealOp, Reals};
use super::{ImportOptions, Walk, constant, movement, named};
use crate::import::onnx::OnnxModel;
use crate::ir::{Function, Graph, Node, Op, Tensor, TensorId};
use crate::unsupported::{Import, Lowered, Refusal, Unsupported, refuse};

mod layers;
mod nodes;
mod refine;

/// The order of pictures: batch, height, width, channels.
const NHWC: [usize; 4] = [0, 2, 3, 1];

/// Where a tensor of the source is.
#[derive(Clone, Debug)]
struct Stored {
    tensor: TensorId,
    order: Vec<usize>,
}

struct Placer<'m> {
    model: &'m OnnxModel,
    places: HashMap<usize, usize>,
    /// What the caller feeds.
    fed: HashSet<TensorId>,
    reals: Reals,
    graph: Graph,
    stored: HashMap<RealId, Stored>,
    /// Copies in other orders.
    copies: HashMap<(RealId, Vec<usize>), TensorId>,
    /// Names of source nodes by their position.
    labels: HashMap<usize, String>,
    notes: Vec<String>,
}

pub(super) fn place(
    walk: Walk,
    outputs: &[RealId],
    options: &ImportOptions,
) -> Result<Import, Vec<Unsupported>> {
    let labels = walk.model.nodes.iter().map(|n| (n.index, label(n))).collect();
    let description = walk.model.producer.clone();
    let mut placer = Placer {
        model: walk.model,
        places: walk.places,
        fed: HashSet::new(),
        reals: walk.reals,
        graph: Graph { description, ..Graph::default() },
        stored: HashMap::new(),
        copies: HashMap::new(),
        labels,
        notes: walk.notes,
    };
    for &input in &walk.inputs {
        placer.input(input, options.nhwc);
    }
    let mut problems = Vec::new();
    for node in std::mem::take(&mut placer.reals.nodes) {
        // What reads from a refused node is not reported again.
        if !node.inputs.iter().all(|&i| placer.is_there(i)) {
            continue;
        }
        if let Err(refusal) = placer.node(&node) {
            problems.push(placer.problem(&node, refusal));
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    for &output in outputs {
        placer.output(output, options.nhwc);
    }
    Ok(Import { graph: placer.graph, notes: placer.notes, sources: Vec::new() })
}

/// What a step that stands for a node is called.
pub(super) fn label(node: &crate::import::onnx::Node) -> String {
    if node.name.is_empty() { format!("{}:{}", node.index, node.op) } else { node.name.clone() }
}

impl Placer<'_> {
    fn problem(&self, node: &RealNode, refusal: Refusal) -> Unsupported {
        let source = self.places.get(&node.sources[0]).map(|&place| &self.model.nodes[place]);
        Unsupported {
            position: Some(node.sources[0]),
            operator: source.map(named).unwrap_or_default(),
            elem: String::new(),
            tensor: self.reals.tensors[node.output].name.clone(),
            reason: refusal.reason,
            remedy: refusal.remedy,
        }
    }

    /// What the caller feeds: every code of the type.
    fn input(&mut self, real: RealId, nhwc: bool) {
        let Some(quant) = self.reals.quant(real) else { return };
        let picture = nhwc && self.reals.tensors[real].shape.len() == 4;
        let order = if picture { NHWC.to_vec() } else { identity(self.reals.tensors[real].shape.len()) };
        let whole = Quant { codes: (quant.elem.min(), quant.elem.max()), ..quant };
        let fed = self.tensor(real, &order, whole);
        self.graph.inputs.push(fed);
        self.fed.insert(fed);
        let tensor = if quant.codes == whole.codes {
            fed
        } else {
            let narrow = self.tensor(real, &order, quant);
            let sources = vec![format!("input {}", self.reals.tensors[real].name)];
            self.graph.nodes.push(Node {
                sources,
                op: Op::Unary(Function::Rescale),
                inputs: vec![fed],
                output: narrow,
            });
            narrow
        };
        self.stored.insert(real, Stored { tensor, order });
    }

    fn output(&mut self, real: RealId, nhwc: bool) {
        let picture = nhwc && self.reals.tensors[real].shape.len() == 4;
        let order = if picture { NHWC.to_vec() } else { identity(self.reals.tensors[real].shape.len()) };
        let mut tensor = self.ordered(real, &order);
        // An output is made by a step.
        if self.fed.contains(&tensor) || self.graph.tensors[tensor].data.is_some() {
            let copy = Tensor { data: None, ..self.graph.tensors[tensor].clone() };
            let sources = vec![format!("output {}", copy.name)];
            let output = self.graph.add(copy);
            self.graph.nodes.push(Node { sources, op: Op::Reshape, inputs: vec![tensor], output });
            tensor = output;
        }
        self.graph.outputs.push(tensor);
    }

    /// A new tensor that stores `real` in an order.
    fn tensor(&mut self, real: RealId, order: &[usize], quant: Quant) -> TensorId {
        let source = &self.reals.tensors[real];
        // Indices have no scale.
        let index = quant.elem == ElemType::S32 && quant.codes.0 == 0;
        let codes = quant.narrow_codes().filter(|_| !index);
        let tensor = Tensor {
            name: source.name.clone(),
            shape: order.iter().map(|&a| source.shape[a]).collect(),
            elem: quant.elem,
            zero_point: quant.zero_point,
            scales: if index { Vec::new() } else { vec![quant.scale] },
            codes,
            data: None,
        };
        self.graph.add(tensor)
    }

    /// The tensor that a node makes, stored in an order.
    fn made(&mut self, real: RealId, order: Vec<usize>) -> Lowered<TensorId> {
        let Some(quant) = self.reals.quant(real) else { return refuse("its output has no quantizer") };
        let tensor = self.tensor(real, &order, quant);
        self.stored.insert(real, Stored { tensor, order });
        Ok(tensor)
    }

    fn push(&mut self, node: &RealNode, op: Op, inputs: Vec<TensorId>, output: TensorId) {
        let name = |index: &usize| self.labels.get(index).cloned().unwrap_or_default();
        let mut sources = node.sources.clone();
        sources.sort_unstable();
        sources.dedup();
        let sources = sources.iter().map(name).collect();
        self.graph.nodes.push(Node { sources, op, inputs, output });
    }

    /// Whether a tensor was placed or is a constant.
    fn is_there(&self, real: RealId) -> bool {
        self.stored.contains_key(&real) || self.reals.tensors[real].codes.is_some()
    }

    /// The order that a tensor has, that of the source for constants.
    fn order(&self, real: RealId) -> Vec<usize> {
        match self.stored.get(&real) {
            Some(stored) => stored.order.clone(),
            None => identity(self.reals.tensors[real].shape.len()),
        }
    }

    /// The tensor in an order: itself, an earlier copy, or a new one.
    fn ordered(&mut self, real: RealId, order: &[usize]) -> TensorId {
        if let Some(codes) = &self.reals.tensors[real].codes {
            let data = constant::transpose(&self.reals.tensors[real].shape, order, codes);
            return self.constant(real, order, &data);
        }
        let stored = self.stored[&real].clone();
        if stored.order == order {
            return stored.tensor;
        }
        if let Some(&copy) = self.copies.get(&(real, order.to_vec())) {
            return copy;
        }
        let from = self.graph.tensors[stored.tensor].clone();
        let place = |axis: &usize| stored.order.iter().position(|a| a == axis).unwrap_or(0);
        let places: Vec<usize> = order.iter().map(place).collect();
        let shape: Vec<usize> = places.iter().map(|&p| from.shape[p]).collect();
        let strides = movement::strides(&from.shape);
        let name = format!("{} {}", from.name, if order == NHWC { "(channels last)" } else { "(reordered)" });
        let output = self.graph.add(Tensor { shape, name, ..from.clone() });
        // Moving only axes of one element moves nothing.
        let wide =
            |places: &[usize]| places.iter().copied().filter(|&p| from.shape[p] > 1).collect::<Vec<_>>();
        let op = if wide(&places).is_sorted() {
            Op::Reshape
        } else {
            Op::StridedCopy { start: 0, strides: places.iter().map(|&p| strides[p] as isize).collect() }
        };
        let sources = vec![format!("order of {}", from.name)];
        self.graph.nodes.push(Node { sources, op, inputs: vec![stored.tensor], output });
        self.copies.insert((real, order.to_vec()), output);
        output
    }

    fn constant(&mut self, real: RealId, order: &[usize], codes: &[i32]) -> TensorId {
        let quant = self.reals.quant(real);
        let source = &self.reals.tensors[real];
        let (elem, scale, zero_point) =
            quant.map_or((ElemType::S32, 1.0, 0), |q| (q.elem, q.scale, q.zero_point));
        let mut tensor = Tensor {
            name: source.name.clone(),
            shape: order.iter().map(|&a| source.shape[a]).collect(),
            elem,
            zero_point,
            scales: vec![scale],
            codes: None,
            data: None,
        };
        let mut data = vec![0; tensor.bytes()];
        codes.iter().enumerate().for_each(|(i, &code)| elem.store(&mut data, i, code));
        tensor.data = Some(data);
        self.graph.add(tensor)
    }

    fn node(&mut self, node: &RealNode) -> Lowered {
        match &node.op {
            RealOp::Conv(conv) => self.conv(node, conv),
            RealOp::Add { .. } | RealOp::Mul => self.elementwise(node),
            RealOp::Rescale | RealOp::Function(_) => self.unary(node),
            RealOp::Relabel { gain } => self.relabel(node, *gain),
            RealOp::PRelu { slopes } => self.prelu(node, slopes),
            RealOp::MaxPool(window) | RealOp::AveragePool(window) => self.pool(node, window),
            RealOp::ResizeLinear(coordinates) => self.resize(node, *coordinates),
            RealOp::Mean { axes } => self.mean(node, axes),
            RealOp::Pad { before, value } => self.pad(node, before, *value),
            RealOp::Concat { axis } => self.concat(node, *axis),
            RealOp::Reshape => self.reshape(node),
            RealOp::Transpose { order } => {
                let real = node.inputs[0];
                let own = self.order(real);
                let from = Stored { tensor: self.ordered(real, &own), order: own };
                let place = |a: &usize| order.iter().position(|o| o == a).unwrap_or(0);
                let order = from.order.iter().map(place).collect();
                self.stored.insert(node.output, Stored { tensor: from.tensor, order });
                Ok(())
            }
            RealOp::Slice { start, step } => self.slice(node, start, step),
            RealOp::Gather { axis, indices } => self.gather(node, *axis, indices),
            RealOp::Tile => {
                let order = self.order(node.inputs[0]);
                let input = self.ordered(node.inputs[0], &order);
                let output = self.made(node.output, order)?;
                self.push(node, Op::Tile, vec![input], output);
                Ok(())
            }
            RealOp::DepthToSpace { block, groups, depth_first } => {
                self.depth_to_space(node, *block, *groups, *depth_first)
            }
            RealOp::Softmax { axis } => self.softmax(node, *axis),
            RealOp::ArgMax { axis } => {
                let order = self.order(node.inputs[0]);
                let input = self.ordered(node.inputs[0], &order);
                let place = order.iter().position(|a| a == axis).unwrap_or(0);
                self.argmax(node, input, place, order)
            }
        }
    }
}

fn identity(rank: usize) -> Vec<usize> {
    (0..rank).collect()
}
