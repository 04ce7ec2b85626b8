//! Rescales that change no real value: the identity, and u8 to s8 or back with the zero point moved by 128. Readers
//! that take both types read the rescale's input instead.

use crate::ir::{Function, Graph, Node, Op, Tensor, TensorId};

pub(super) fn run(graph: &mut Graph) {
    for i in 0..graph.nodes.len() {
        let node = &graph.nodes[i];
        if !matches!(node.op, Op::Unary(Function::Rescale)) {
            continue;
        }
        let (input, output) = (node.inputs[0], node.output);
        let (from, to) = (&graph.tensors[input], &graph.tensors[output]);
        let identity = from.same_quantization(to);
        if from.data.is_some() || !(identity || same_reals(from, to)) {
            continue;
        }
        for reader in graph.consumers(output).collect::<Vec<_>>() {
            if identity || takes_both_types(&graph.nodes[reader], output) {
                let sources = graph.nodes[i].sources.clone();
                let node = &mut graph.nodes[reader];
                node.inputs.iter_mut().filter(|t| **t == output).for_each(|t| *t = input);
                if !node.sources.contains(&sources[0]) {
                    node.sources.splice(0..0, sources);
                }
            }
        }
    }
}

/// Whether every code of one tensor and the code with the top bit flipped of the other are the same real value.
fn same_reals(a: &Tensor, b: &Tensor) -> bool {
    a.elem != b.elem
        && a.elem.bits() == 8
        && b.elem.bits() == 8
        && a.scales == b.scales
        && a.codes.is_none()
        && b.codes.is_none()
        && a.zero_point - a.elem.min() == b.zero_point - b.elem.min()
}

/// A convolution subtracts the zero point of its activation, whatever the type.
fn takes_both_types(node: &Node, tensor: TensorId) -> bool {
    matches!(node.op, Op::Conv(_)) && node.inputs[0] == tensor
}
