//! Drops nodes whose output nobody reads.

use crate::ir::Graph;

pub(super) fn run(graph: &mut Graph) {
    let mut needed = vec![false; graph.tensors.len()];
    for &output in &graph.outputs {
        needed[output] = true;
    }
    let mut keep = vec![false; graph.nodes.len()];
    for (i, node) in graph.nodes.iter().enumerate().rev() {
        keep[i] = needed[node.output];
        if keep[i] {
            node.inputs.iter().for_each(|&input| needed[input] = true);
        }
    }
    let mut kept = keep.into_iter();
    graph.nodes.retain(|_| kept.next().unwrap_or(true));
}
