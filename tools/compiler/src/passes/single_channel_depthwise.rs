//! A depthwise convolution of one input channel is a plain convolution: its weights lie the same.

use crate::ir::{ConvKind, Graph, Op};

pub(super) fn run(graph: &mut Graph) {
    for node in &mut graph.nodes {
        if let Op::Conv(conv) = &mut node.op
            && conv.kind == ConvKind::Depthwise
            && conv.groups == 1
        {
            conv.kind = ConvKind::Conv2d;
        }
    }
}
