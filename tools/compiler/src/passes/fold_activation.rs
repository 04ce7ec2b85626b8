//! A clamp that follows a node with the same quantization becomes the node's own clamp.

use dyadic_kernels::ElemType;

use crate::ir::{Activation, Function, Graph, Op};

pub(super) fn run(graph: &mut Graph) {
    for i in 0..graph.nodes.len() {
        let node = &graph.nodes[i];
        let Op::Unary(Function::Clamp(activation)) = node.op else { continue };
        let (input, output) = (node.inputs[0], node.output);
        let same = graph.tensors[input].same_quantization(&graph.tensors[output]);
        // Raw accumulators are not clamped where they are made.
        let raw = graph.tensors[input].elem == ElemType::S32;
        if !same || raw || !graph.has_one_reader(input) {
            continue;
        }
        let Some(producer) = graph.producer(input) else { continue };
        let Some(slot) = activation_of(&mut graph.nodes[producer].op) else { continue };
        if *slot != Activation::None {
            continue;
        }
        *slot = activation;
        // The producer makes the clamp's output now; the clamp reads what nobody makes and is left as dead code.
        let sources = std::mem::take(&mut graph.nodes[i].sources);
        graph.nodes[producer].output = output;
        graph.nodes[producer].sources.extend(sources);
        graph.nodes[i].output = input;
        graph.nodes[i].inputs[0] = output;
    }
}

/// The fused activation of a node that can have one.
fn activation_of(op: &mut Op) -> Option<&mut Activation> {
    match op {
        Op::Conv(conv) => Some(&mut conv.activation),
        Op::Add { activation, .. } | Op::Mul { activation } => Some(activation),
        Op::AveragePool(pool) | Op::MaxPool(pool) => Some(&mut pool.activation),
        Op::Mean { .. } | Op::Pad { .. } | Op::Concat { .. } | Op::Reshape | Op::StridedCopy { .. } => None,
        Op::Gather { .. } | Op::PRelu { .. } => None,
        Op::Tile | Op::Unary(_) | Op::Softmax { .. } | Op::ResizeBilinear(_) => None,
        Op::ResizeNearest(_) | Op::ArgMax { .. } => None,
    }
}
