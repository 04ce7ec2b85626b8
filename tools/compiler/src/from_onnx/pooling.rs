//! Poolings and means.

use super::attributes::Attributes;
use super::convolution::window;
use super::reals::{Quant, RealId, RealOp, Window};
use super::{Form, Walk, shapes};
use crate::import::onnx::Node;
use crate::unsupported::{Lowered, refuse, refuse_with};

/// Longest side of a pooling window; a larger one would take as many factors.
const MAX_SIDE: usize = 1 << 12;

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
        let &[n, c, h, w] = from.as_slice() else {
            return refuse_with(
                format!("an input of shape {from:?}"),
                "pool over two spatial axes (a 1-D network as pictures of height 1)",
            );
        };
        let global = node.op.starts_with("Global");
        let kernel = match node.ints("kernel_shape")? {
            _ if global => vec![h, w],
            Some(_) => node.extents("kernel_shape", 2, 1)?,
            None => return refuse("the kernel shape is missing"),
        };
        let kernel = [kernel[0], kernel[1]];
        if kernel.iter().any(|&k| k > MAX_SIDE) {
            return refuse(format!("a window of {kernel:?}, expected sides of at most {MAX_SIDE}"));
        }
        let placed = window(node, [h, w], kernel, node.int("ceil_mode", 0)? != 0)?;
        if placed.window.dilation != [1, 1] {
            return refuse_with("a pooling with dilation", "pool without dilation");
        }
        let shape = vec![n, c, placed.output[0], placed.output[1]];
        if node.op.ends_with("MaxPool") {
            return self.alike(node, form, real, shape, RealOp::MaxPool(placed.window));
        }
        if node.int("count_include_pad", 0)? == 0 || placed.window.pad == [0, 0] && unpadded(node)? {
            return self.made(node, shape, RealOp::AveragePool(placed.window), vec![real], quant);
        }
        // Zeros that count are elements of the picture.
        let pads = node.extents("pads", 4, 0)?;
        let padded = vec![n, c, h + pads[0] + pads[2], w + pads[1] + pads[3]];
        let picture = self.reals.alike(Self::name(node, 0), padded, real);
        let before = vec![0, 0, pads[0], pads[1]];
        self.reals.node(node.index, RealOp::Pad { before, value: 0.0 }, vec![real], picture);
        let window = Window { pad: [0, 0], ..placed.window };
        self.made(node, shape, RealOp::AveragePool(window), vec![picture], quant)
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

fn unpadded(node: &Node) -> Lowered<bool> {
    Ok(node.extents("pads", 4, 0)?.iter().all(|&p| p == 0))
}
