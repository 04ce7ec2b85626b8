//! The arena: where every tensor lies, decided once.
//!
//! Tensors that may share bytes are joined into one buffer: a reshape and its input, a table look-up and an input
//! that nobody reads later, a concatenation and the branches that can be made in their place. Buffers are then placed
//! largest first at the lowest offset where no buffer that is alive at the same time lies (greedy by size, as in
//! TFLite Micro's planner).

use crate::ir::{Graph, Op, TensorId};

/// Alignment of a buffer in the arena, in bytes.
const ALIGNMENT: usize = 64;

/// Where the tensors of a graph lie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Byte offset of every tensor that lives in the arena.
    pub offsets: Vec<Option<usize>>,
    /// Bytes of arena.
    pub arena_bytes: usize,
}

/// A tensor's place inside a buffer.
#[derive(Clone, Copy)]
struct Place {
    buffer: usize,
    offset: usize,
}

struct Buffer {
    bytes: usize,
    /// First and last step at which the buffer holds a value somebody needs; inputs are there before step 0.
    first: usize,
    last: usize,
}

/// Plans the arena of a graph.
pub fn plan(graph: &Graph) -> MemoryPlan {
    let mut planner = Planner::new(graph);
    planner.join_concatenations();
    planner.join_in_place();
    planner.place()
}

struct Planner<'g> {
    graph: &'g Graph,
    places: Vec<Option<Place>>,
    buffers: Vec<Buffer>,
    /// Step after which each tensor is no longer read; the graph's outputs are read after the last step.
    last_read: Vec<usize>,
}

impl<'g> Planner<'g> {
    fn new(graph: &'g Graph) -> Planner<'g> {
        let end = graph.nodes.len();
        let mut planner = Planner {
            graph,
            places: vec![None; graph.tensors.len()],
            buffers: Vec::new(),
            last_read: vec![0; graph.tensors.len()],
        };
        for &input in &graph.inputs {
            planner.add_buffer(input, 0);
        }
        for (step, node) in graph.nodes.iter().enumerate() {
            planner.add_buffer(node.output, step);
            planner.last_read[node.output] = step;
            for &input in &node.inputs {
                planner.last_read[input] = step;
            }
        }
        for &output in &graph.outputs {
            planner.last_read[output] = end;
        }
        for tensor in 0..graph.tensors.len() {
            if let Some(place) = planner.places[tensor] {
                planner.buffers[place.buffer].last = planner.last_read[tensor];
            }
        }
        planner
    }

    fn add_buffer(&mut self, tensor: TensorId, step: usize) {
        if self.places[tensor].is_none() {
            let bytes = self.graph.tensors[tensor].bytes();
            self.places[tensor] = Some(Place { buffer: self.buffers.len(), offset: 0 });
            self.buffers.push(Buffer { bytes, first: step, last: step });
        }
    }

    /// Puts every tensor of buffer `from` into buffer `to`, shifted by `offset`.
    fn join(&mut self, from: usize, to: usize, offset: usize) {
        for place in self.places.iter_mut().flatten().filter(|p| p.buffer == from) {
            *place = Place { buffer: to, offset: place.offset + offset };
        }
        let (bytes, first, last) = {
            let b = &self.buffers[from];
            (b.bytes + offset, b.first, b.last)
        };
        let target = &mut self.buffers[to];
        target.bytes = target.bytes.max(bytes);
        target.first = target.first.min(first);
        target.last = target.last.max(last);
        self.buffers[from].bytes = 0;
    }

    /// A branch is made in its place when the concatenation only stacks whole blocks (every axis before it has extent
    /// 1), the branch keeps its codes, and nothing else constrains where the branch lies.
    fn join_concatenations(&mut self) {
        for node in &self.graph.nodes {
            let Op::Concat { axis } = node.op else { continue };
            let out = &self.graph.tensors[node.output];
            if out.shape[..axis].iter().product::<usize>() != 1 || out.elem.bits() < 8 {
                continue;
            }
            let target = self.places[node.output].map(|p| p.buffer);
            let mut offset = 0;
            for &input in &node.inputs {
                let tensor = &self.graph.tensors[input];
                let own = self.places[input].map(|p| p.buffer);
                let free = tensor.same_quantization(out)
                    && !self.graph.inputs.contains(&input)
                    && !self.graph.outputs.contains(&input)
                    && node.inputs.iter().filter(|&&other| other == input).count() == 1
                    && self.graph.consumers(input).count() == 1;
                if let (Some(from), Some(to)) = (own, target)
                    && free
                    && from != to
                    && self.alone(from)
                    && self.alone_offset(node.output) == 0
                {
                    self.join(from, to, offset);
                }
                offset += tensor.bytes();
            }
        }
    }

    /// Whether a buffer holds a single tensor.
    fn alone(&self, buffer: usize) -> bool {
        self.places.iter().flatten().filter(|p| p.buffer == buffer).count() == 1
    }

    fn alone_offset(&self, tensor: TensorId) -> usize {
        self.places[tensor].map_or(0, |p| p.offset)
    }

    /// Reshapes share their input's bytes; look-ups and additions overwrite a first input that is read for the last
    /// time.
    fn join_in_place(&mut self) {
        for (step, node) in self.graph.nodes.iter().enumerate() {
            let input = node.inputs[0];
            let (Some(from), Some(to)) = (self.places[input], self.places[node.output]) else { continue };
            let same_size = self.graph.tensors[input].bytes() == self.graph.tensors[node.output].bytes();
            let bytes = |t: TensorId| self.graph.tensors[t].elem.bits() == 8;
            let allowed = match node.op {
                Op::Reshape => true,
                // Only 8-bit functions are tables; wider ones become requantizations, which do not run in place.
                Op::Unary(_) | Op::PRelu { .. } => {
                    bytes(input) && bytes(node.output) && self.overwritable(input, from.buffer, step)
                }
                Op::Add { .. } => {
                    let shape = |t: TensorId| &self.graph.tensors[t].shape;
                    let second = node.inputs[1];
                    let elsewhere = self.places[second].is_some_and(|p| p.buffer != from.buffer);
                    let equal = shape(input) == shape(node.output) && shape(second) == shape(node.output);
                    equal && elsewhere && self.overwritable(input, from.buffer, step)
                }
                _ => false,
            };
            // The output must still lie alone: a branch of a concatenation stays where it is.
            if allowed && same_size && from.buffer != to.buffer && self.alone(to.buffer) && to.offset == 0 {
                self.join(to.buffer, from.buffer, from.offset);
            }
        }
    }

    /// Whether nothing of the buffer that holds `tensor` is needed after `step`.
    fn overwritable(&self, tensor: TensorId, buffer: usize, step: usize) -> bool {
        let in_buffer = |t: &TensorId| self.places[*t].is_some_and(|p| p.buffer == buffer);
        let given = self.graph.outputs.contains(&tensor);
        !given && (0..self.places.len()).filter(in_buffer).all(|t| self.last_read[t] <= step)
    }

    fn place(self) -> MemoryPlan {
        let mut order: Vec<usize> = (0..self.buffers.len()).filter(|&b| self.buffers[b].bytes > 0).collect();
        // Ties by number keep the plan the same on every host.
        order.sort_by_key(|&b| (core::cmp::Reverse(self.buffers[b].bytes), b));
        let mut starts = vec![0; self.buffers.len()];
        let mut placed: Vec<usize> = Vec::new();
        let mut arena_bytes = 0;
        for b in order {
            let buffer = &self.buffers[b];
            let mut busy: Vec<(usize, usize)> = placed
                .iter()
                .filter(|&&o| self.buffers[o].first <= buffer.last && buffer.first <= self.buffers[o].last)
                .map(|&o| (starts[o], starts[o] + self.buffers[o].bytes))
                .collect();
            busy.sort_unstable();
            let mut start = 0;
            for (from, to) in busy {
                if start + buffer.bytes <= from {
                    break;
                }
                start = start.max(to.next_multiple_of(ALIGNMENT));
            }
            starts[b] = start;
            arena_bytes = arena_bytes.max(start + buffer.bytes);
            placed.push(b);
        }
        let offsets = self.places.iter().map(|p| p.map(|p| starts[p.buffer] + p.offset)).collect();
        MemoryPlan { offsets, arena_bytes: arena_bytes.next_multiple_of(ALIGNMENT) }
    }
}

#[cfg(test)]
mod tests {
    use dyadic_kernels::ElemType;

    use super::*;
    use crate::ir::{Function, Node, Tensor};

    /// Three rescalings in a row.
    fn chain(elem: ElemType) -> MemoryPlan {
        let mut graph = Graph::default();
        for i in 0..4 {
            let name = format!("t{i}");
            graph.add(Tensor {
                name,
                shape: vec![100],
                elem,
                zero_point: 0,
                scales: vec![1.0],
                codes: None,
                data: None,
            });
        }
        let node = |i| Node {
            sources: Vec::new(),
            op: Op::Unary(Function::Rescale),
            inputs: vec![i],
            output: i + 1,
        };
        graph.nodes = (0..3).map(node).collect();
        (graph.inputs, graph.outputs) = (vec![0], vec![3]);
        plan(&graph)
    }

    #[test]
    fn only_tables_run_in_place() {
        assert_eq!(chain(ElemType::S8).offsets, [Some(0); 4]);
        // Wider values are requantized, from one place to another.
        let wide = chain(ElemType::S16).offsets;
        assert!(wide.windows(2).all(|pair| pair[0] != pair[1]), "{wide:?}");
    }
}
