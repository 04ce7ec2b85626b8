//! Poolings and means.

use super::attributes::Attributes;
use super::convolution::{lined, window};
use super::reals::{Quant, RealId, RealOp, Window};
use super::{Form, Walk, shapes};
use crate::import::onnx::Node;
use crate::unsupported::{Lowered, refuse, refuse_with};

/// Longest side of a pooling window; a larger one would take as many factors.
const MAX_SIDE: usize = 1 << 12;

/// A pooling before its output is made.
struct Pooled {
    op: RealOp,
    shape: Vec<usize>,
    /// What it reads, padded where the padding counts.
    input: RealId,
}

impl<'m> Walk<'m> {
    pub(super) fn pool(&mut self, node: &'m Node) -> Lowered {
        let (real, form) = self.either(node, 0)?;
        if node.outputs.get(1).is_some_and(|o| !o.is_empty() && self.readers.contains_key(o.as_str())) {
            return refuse("the indices of a maximum pooling");
        }
        let average = node.op.ends_with("AveragePool");
        if average && form == Form::Codes {
            return refuse("an average of codes whose scale is not known");
        }
        self.pooled(node, real, form, None)
    }

    /// The pooling of a node over `real`, which has its channels in axis 1.
    pub(super) fn pooled(
        &mut self,
        node: &'m Node,
        real: RealId,
        form: Form,
        quant: Option<Quant>,
    ) -> Lowered {
        let from = self.reals.tensors[real].shape.clone();
        if node.op.contains("GlobalAverage") {
            let shape = from.iter().enumerate().map(|(a, &e)| if a < 2 { e } else { 1 }).collect();
            return self.made(
                node,
                shape,
                RealOp::Mean { axes: (2..from.len()).collect() },
                vec![real],
                quant,
            );
        }
        let flat;
        let (picture, stated) = match *from.as_slice() {
            [_, _, _, _] => (real, node),
            [n, c, w] => {
                flat = lined(node)?;
                let picture = self.reals.alike(Self::name(node, 0), vec![n, c, 1, w], real);
                self.reals.node(node.index, RealOp::Reshape, vec![real], picture);
                (picture, &flat)
            }
            _ => {
                return refuse_with(
                    format!("a pooling over {} spatial axes", from.len().saturating_sub(2)),
                    "pool over one or two spatial axes",
                );
            }
        };
        let pooled = self.windowed(node, stated, picture)?;
        let (line, average) = (from.len() == 3, matches!(pooled.op, RealOp::AveragePool(_)));
        match (line, average) {
            (false, false) => self.alike(node, form, pooled.input, pooled.shape, pooled.op),
            (false, true) => self.made(node, pooled.shape, pooled.op, vec![pooled.input], quant),
            (true, _) => {
                let shape = vec![pooled.shape[0], pooled.shape[1], pooled.shape[3]];
                let name = Self::name(node, 0);
                let output = match average {
                    true => self.reals.tensor(name, pooled.shape, quant),
                    false => self.reals.alike(name, pooled.shape, pooled.input),
                };
                self.reals.node(node.index, pooled.op, vec![pooled.input], output);
                let form = if quant.is_some() { Form::Codes } else { form };
                self.alike(node, form, output, shape, RealOp::Reshape)
            }
        }
    }

    /// A pooling over a picture; `stated` has the attributes of its window.
    fn windowed(&mut self, node: &Node, stated: &Node, picture: RealId) -> Lowered<Pooled> {
        let &[n, c, h, w] = self.reals.tensors[picture].shape.as_slice() else {
            return refuse("the input needs 4 axes");
        };
        let global = node.op.starts_with("Global");
        let kernel = match stated.ints("kernel_shape")? {
            _ if global => vec![h, w],
            Some(_) => stated.extents("kernel_shape", 2, 1)?,
            None => return refuse("the kernel shape is missing"),
        };
        let kernel = [kernel[0], kernel[1]];
        if kernel.iter().any(|&k| k > MAX_SIDE) {
            return refuse(format!("a window of {kernel:?}, expected sides of at most {MAX_SIDE}"));
        }
        let placed = window(stated, [h, w], kernel, stated.int("ceil_mode", 0)? != 0)?;
        let (window, after) = (placed.window, placed.after);
        if (0..2).any(|a| window.dilation[a] > 1 && kernel[a] > 1) {
            return refuse_with("a pooling with dilation", "pool without dilation");
        }
        let shape = vec![n, c, placed.output[0], placed.output[1]];
        shapes::possible(&shape)?;
        if node.op.ends_with("MaxPool") {
            return Ok(Pooled { op: RealOp::MaxPool(window), shape, input: picture });
        }
        if node.int("count_include_pad", 0)? == 0 || [window.pad, after] == [[0; 2]; 2] {
            return Ok(Pooled { op: RealOp::AveragePool(window), shape, input: picture });
        }
        // Zeros that count are elements of the picture.
        let padded = vec![n, c, h + window.pad[0] + after[0], w + window.pad[1] + after[1]];
        shapes::possible(&padded)?;
        let input = self.reals.alike(Self::name(node, 0), padded, picture);
        let before = vec![0, 0, window.pad[0], window.pad[1]];
        self.reals.node(node.index, RealOp::Pad { before, value: 0.0 }, vec![picture], input);
        let window = Window { pad: [0, 0], ..window };
        Ok(Pooled { op: RealOp::AveragePool(window), shape, input })
    }

    pub(super) fn reduce_mean(&mut self, node: &'m Node) -> Lowered {
        let real = self.real(node, 0)?;
        let from = self.reals.tensors[real].shape.clone();
        let stated = match self.whole(node, 1)? {
            Some(list) => Some(list),
            None => node.ints("axes")?.map(<[i64]>::to_vec),
        };
        let axes = match stated {
            Some(list) if !list.is_empty() => shapes::axes(&list, from.len())?,
            _ if node.int("noop_with_empty_axes", 0)? != 0 => Vec::new(),
            _ => (0..from.len()).collect(),
        };
        let kept: Vec<usize> =
            from.iter().enumerate().map(|(a, &e)| if axes.contains(&a) { 1 } else { e }).collect();
        let flat = (0..from.len()).filter(|a| !axes.contains(a)).map(|a| from[a]).collect();
        let op = RealOp::Mean { axes };
        if node.int("keepdims", 1)? != 0 {
            return self.made(node, kept, op, vec![real], None);
        }
        let mean = self.reals.tensor(Self::name(node, 0), kept, None);
        self.reals.node(node.index, op, vec![real], mean);
        self.alike(node, Form::Real, mean, flat, RealOp::Reshape)
    }
}
