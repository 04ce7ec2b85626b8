//! Nodes with constant inputs only become constants, evaluated by the scalar reference.

use dyadic_kernels::params::{Dims, MAX_RANK};
use dyadic_kernels::reference;

use crate::emit::table_of;
use crate::ir::{Graph, Node, Op, Tensor};
use crate::quantize::Contract;

/// Bytes that a folded constant may have beyond its inputs: a small constant must not unfold into a file of gigabytes.
const MAX_GROWTH: usize = 1 << 20;

pub(super) fn run(graph: &mut Graph, contract: Contract) {
    for i in 0..graph.nodes.len() {
        let node = &graph.nodes[i];
        // What the network gives must be made by a step.
        if !graph.outputs.contains(&node.output)
            && node.inputs.iter().all(|&t| graph.tensors[t].data.is_some())
            && let Some(data) = evaluate(graph, node, contract)
        {
            let output = graph.nodes[i].output;
            graph.tensors[output].data = Some(data);
            // Nothing may be made twice: the node makes a tensor of its own that nobody reads.
            let copy = Tensor { data: None, ..graph.tensors[output].clone() };
            graph.nodes[i].output = graph.add(copy);
        }
    }
}

/// The bytes of the output, `None` for operations that networks do not apply to constants.
fn evaluate(graph: &Graph, node: &Node, contract: Contract) -> Option<Vec<u8>> {
    let (from, to) = (&graph.tensors[node.inputs[0]], &graph.tensors[node.output]);
    let input = from.data.as_deref()?;
    let (shape, out) = (Dims::new(&from.shape)?, Dims::new(&to.shape)?);
    if to.bytes() > input.len().saturating_add(MAX_GROWTH) {
        return None;
    }
    let mut bytes = vec![0; to.bytes()];
    match &node.op {
        Op::Reshape => bytes.copy_from_slice(input),
        Op::Unary(function) if from.elem.bits() == 8 && to.elem.bits() == 8 => {
            let table = table_of(*function, contract, from, to).ok()?;
            reference::table(&table, Some(input), &mut bytes);
        }
        Op::StridedCopy { start, strides } => {
            let mut all = [0; MAX_RANK];
            all.get_mut(..strides.len())?.copy_from_slice(strides);
            reference::copy_strided(from.elem, input, *start, &all, &out, &mut bytes);
        }
        Op::Pad { before, value } => {
            let mut all = [0; MAX_RANK];
            all.get_mut(..before.len())?.copy_from_slice(before);
            reference::pad(from.elem, &shape, input, &all, *value, &out, &mut bytes);
        }
        Op::Gather { axis, indices } => {
            let (outer, rest) = from.shape.split_at_checked(*axis)?;
            let (&extent, inner) = rest.split_first()?;
            let shape = [outer.iter().product(), extent, inner.iter().product()];
            if indices.iter().any(|&i| usize::try_from(i).map_or(true, |i| i >= extent)) {
                return None;
            }
            reference::gather(from.elem, shape, indices, input, &mut bytes);
        }
        Op::Tile => reference::tile(from.elem, &shape, input, &out, &mut bytes),
        Op::Conv(_) | Op::Add { .. } | Op::Mul { .. } | Op::AveragePool(_) | Op::MaxPool(_) => return None,
        Op::Mean { .. } | Op::Concat { .. } | Op::Softmax { .. } | Op::ResizeBilinear(_) => return None,
        Op::ResizeNearest(_) | Op::ArgMax { .. } | Op::PRelu { .. } | Op::Unary(_) => return None,
    }
    Some(bytes)
}
