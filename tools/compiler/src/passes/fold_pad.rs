//! Padding by the zero point before a convolution becomes the convolution's own padding.

use crate::ir::{ConvKind, Graph, Op};

pub(super) fn run(graph: &mut Graph) {
    for i in 0..graph.nodes.len() {
        let input = graph.nodes[i].inputs[0];
        // A fully connected layer flattens its input and has no padding.
        let takes = matches!(&graph.nodes[i].op, Op::Conv(conv) if conv.kind != ConvKind::FullyConnected);
        if !takes || !graph.has_one_reader(input) {
            continue;
        }
        let Some(producer) = graph.producer(input) else { continue };
        let Op::Pad { before, value } = &graph.nodes[producer].op else { continue };
        let source = graph.nodes[producer].inputs[0];
        let (inner, padded) = (&graph.tensors[source], &graph.tensors[input]);
        let (Some(small), Some(large)) = (inner.nhwc(), padded.nhwc()) else { continue };
        // Padding of the picture only: the batch and the channels stay.
        let spatial = small[0] == large[0] && small[3] == large[3] && before[0] == 0 && before[3] == 0;
        if !spatial || *value != padded.zero_point || !inner.same_quantization(padded) {
            continue;
        }
        let (top, left) = (before[1], before[2]);
        let mut sources = graph.nodes[producer].sources.clone();
        let node = &mut graph.nodes[i];
        let Op::Conv(conv) = &mut node.op else { continue };
        conv.pad = [conv.pad[0] + top, conv.pad[1] + left];
        node.inputs[0] = source;
        sources.append(&mut node.sources);
        node.sources = sources;
    }
}
