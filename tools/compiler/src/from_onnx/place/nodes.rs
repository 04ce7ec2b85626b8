//! Every operation but the layers with weights.

use dyadic_kernels::ElemType;
use dyadic_kernels::params::Coordinates;

use super::{NHWC, Placer, Stored, identity};
use crate::from_onnx::movement;
use crate::from_onnx::reals::{Quant, RealId, RealNode, RealOp, Window};
use crate::ir::{Activation, Function, Node, Op, Pool, Tensor, TensorId};
use crate::unsupported::{Lowered, refuse, refuse_with};

impl Placer<'_> {
    fn quant(&self, real: RealId) -> Lowered<Quant> {
        self.reals.quant(real).map_or_else(|| refuse("a tensor without a quantizer"), Ok)
    }

    /// Both operands in the order of the first that is computed, the other lifted to its rank.
    pub(super) fn elementwise(&mut self, node: &RealNode) -> Lowered {
        let rank = self.reals.tensors[node.output].shape.len();
        let computed = node
            .inputs
            .iter()
            .find(|&&i| self.reals.tensors[i].shape.len() == rank && self.reals.tensors[i].codes.is_none());
        let order = computed.map_or_else(|| identity(rank), |&i| self.order(i));
        let mut inputs = Vec::new();
        for &input in &node.inputs {
            inputs.push(self.lifted(input, &order));
        }
        let op = match node.op {
            RealOp::Mul => {
                if node
                    .inputs
                    .iter()
                    .chain([&node.output])
                    .any(|&i| self.reals.quant(i).is_none_or(|q| q.elem.bits() != 8))
                {
                    return refuse_with(
                        "a product of 16-bit values",
                        "add a quantizer to 8 bits before and after it",
                    );
                }
                Op::Mul { activation: Activation::None }
            }
            RealOp::Add { subtract } => Op::Add { activation: Activation::None, subtract },
            _ => return refuse("no element-wise operation"),
        };
        let output = self.made(node.output, order)?;
        self.push(node, op, inputs, output);
        Ok(())
    }

    /// A tensor in an order of higher rank: axes of extent 1 come first.
    fn lifted(&mut self, real: RealId, order: &[usize]) -> TensorId {
        let shape = self.reals.tensors[real].shape.clone();
        let missing = order.len() - shape.len();
        if missing == 0 {
            return self.ordered(real, order);
        }
        let own: Vec<usize> = order.iter().filter_map(|&a| a.checked_sub(missing)).collect();
        let low = self.ordered(real, &own);
        let from = self.graph.tensors[low].clone();
        let extents = order.iter().map(|&a| a.checked_sub(missing).map_or(1, |a| shape[a])).collect();
        let lifted = Tensor { shape: extents, ..from };
        if lifted.data.is_some() {
            return self.graph.add(lifted);
        }
        let sources = vec![format!("shape of {}", lifted.name)];
        let output = self.graph.add(lifted);
        self.graph.nodes.push(Node { sources, op: Op::Reshape, inputs: vec![low], output });
        output
    }

    pub(super) fn unary(&mut self, node: &RealNode) -> Lowered {
        let function = match &node.op {
            RealOp::Function(function) => *function,
            _ => Function::Rescale,
        };
        let order = self.order(node.inputs[0]);
        let input = self.ordered(node.inputs[0], &order);
        let bits = [node.inputs[0], node.output].map(|r| self.reals.quant(r).map_or(0, |q| q.elem.bits()));
        if function != Function::Rescale && bits != [8, 8] {
            return refuse_with(
                "a function of 16-bit values",
                "add a quantizer to 8 bits before and after it",
            );
        }
        let output = self.made(node.output, order)?;
        self.push(node, Op::Unary(function), vec![input], output);
        Ok(())
    }

    /// The same codes under another scale, then those that the source asks for.
    pub(super) fn relabel(&mut self, node: &RealNode, gain: f64) -> Lowered {
        let (from, to) = (self.quant(node.inputs[0])?, self.quant(node.output)?);
        let order = self.order(node.inputs[0]);
        let input = self.ordered(node.inputs[0], &order);
        let Some(same) = from.relabelled(gain) else {
            return refuse(format!("a factor of {gain} takes the scale {} beyond float32", from.scale));
        };
        let near = (f64::from(same.scale) / f64::from(to.scale) - 1.0).abs() < 1e-6;
        let fits = to.codes.0 <= from.codes.0 && from.codes.1 <= to.codes.1;
        if near && fits && to.reads_like(&Quant { scale: to.scale, ..same }) {
            let output = self.made(node.output, order)?;
            self.push(node, Op::Reshape, vec![input], output);
            return Ok(());
        }
        let middle = self.tensor(node.output, &order, same);
        self.graph.tensors[middle].name.push_str(" (relabelled)");
        self.push(node, Op::Reshape, vec![input], middle);
        let output = self.made(node.output, order)?;
        self.push(node, Op::Unary(Function::Rescale), vec![middle], output);
        Ok(())
    }

    /// One table per channel, which is the last stored axis.
    pub(super) fn prelu(&mut self, node: &RealNode, slopes: &[f32]) -> Lowered {
        let mut order = self.order(node.inputs[0]);
        if order.last() != Some(&1) {
            order.retain(|&a| a != 1);
            order.push(1);
        }
        let input = self.ordered(node.inputs[0], &order);
        let output = self.made(node.output, order)?;
        self.push(node, Op::PRelu { slopes: slopes.to_vec() }, vec![input], output);
        Ok(())
    }

    pub(super) fn pool(&mut self, node: &RealNode, window: &Window) -> Lowered {
        let input = self.ordered(node.inputs[0], &NHWC);
        let output = self.made(node.output, NHWC.to_vec())?;
        let Window { kernel, stride, pad, .. } = *window;
        let pool = Pool { kernel, stride, pad, activation: Activation::None };
        let op =
            if matches!(node.op, RealOp::MaxPool(_)) { Op::MaxPool(pool) } else { Op::AveragePool(pool) };
        self.push(node, op, vec![input], output);
        Ok(())
    }

    pub(super) fn resize(&mut self, node: &RealNode, coordinates: Coordinates) -> Lowered {
        let input = self.ordered(node.inputs[0], &NHWC);
        let output = self.made(node.output, NHWC.to_vec())?;
        self.push(node, Op::ResizeBilinear(coordinates), vec![input], output);
        Ok(())
    }

    pub(super) fn mean(&mut self, node: &RealNode, axes: &[usize]) -> Lowered {
        let order = self.order(node.inputs[0]);
        let input = self.ordered(node.inputs[0], &order);
        let mut places: Vec<usize> = (0..order.len()).filter(|&p| axes.contains(&order[p])).collect();
        places.sort_unstable();
        let output = self.made(node.output, order)?;
        self.push(node, Op::Mean { axes: places }, vec![input], output);
        Ok(())
    }

    pub(super) fn pad(&mut self, node: &RealNode, before: &[usize], value: f64) -> Lowered {
        let order = self.order(node.inputs[0]);
        let input = self.ordered(node.inputs[0], &order);
        let value = self.quant(node.output)?.code(value);
        let before = order.iter().map(|&a| before[a]).collect();
        let output = self.made(node.output, order)?;
        self.push(node, Op::Pad { before, value }, vec![input], output);
        Ok(())
    }

    /// Branches of 16 bits are rescaled by steps of their own; a concatenation rescales 8-bit ones itself.
    pub(super) fn concat(&mut self, node: &RealNode, axis: usize) -> Lowered {
        let to = self.quant(node.output)?;
        let computed = node.inputs.iter().find(|&&i| self.reals.tensors[i].codes.is_none());
        let order = computed
            .map_or_else(|| identity(self.reals.tensors[node.output].shape.len()), |&i| self.order(i));
        let mut inputs = Vec::new();
        for &real in &node.inputs {
            let from = self.quant(real)?;
            let mut input = self.ordered(real, &order);
            let bytes = from.elem.bits() == 8 && to.elem.bits() == 8;
            let kept = to.codes.0 <= from.codes.0 && from.codes.1 <= to.codes.1;
            if !(bytes || from.reads_like(&to)) || from.reads_like(&to) && !kept {
                let part = self.graph.tensors[input].clone();
                let name = format!("{} (rescaled)", part.name);
                let rescaled = Tensor {
                    name,
                    elem: to.elem,
                    zero_point: to.zero_point,
                    scales: vec![to.scale],
                    data: None,
                    codes: to.narrow_codes(),
                    ..part
                };
                let output = self.graph.add(rescaled);
                self.push(node, Op::Unary(Function::Rescale), vec![input], output);
                input = output;
            }
            inputs.push(input);
        }
        let place = order.iter().position(|&a| a == axis).unwrap_or(0);
        let output = self.made(node.output, order)?;
        self.push(node, Op::Concat { axis: place }, inputs, output);
        Ok(())
    }

    pub(super) fn reshape(&mut self, node: &RealNode) -> Lowered {
        let real = node.inputs[0];
        let order = self.order(real);
        let shape = &self.reals.tensors[real].shape;
        let wide: Vec<usize> = order.iter().copied().filter(|&a| shape[a] > 1).collect();
        // Axes of one element may stand anywhere: the elements lie as the source has them.
        let order = if wide.is_sorted() { order } else { identity(shape.len()) };
        let input = self.ordered(real, &order);
        let output = self.made(node.output, identity(self.reals.tensors[node.output].shape.len()))?;
        self.push(node, Op::Reshape, vec![input], output);
        Ok(())
    }

    pub(super) fn slice(&mut self, node: &RealNode, start: &[usize], step: &[isize]) -> Lowered {
        let order = self.order(node.inputs[0]);
        let input = self.ordered(node.inputs[0], &order);
        let own = movement::strides(&self.graph.tensors[input].shape);
        let first = order.iter().enumerate().map(|(place, &a)| start[a] * own[place]).sum();
        let strides = order.iter().enumerate().map(|(place, &a)| step[a] * own[place] as isize).collect();
        let output = self.made(node.output, order)?;
        self.push(node, Op::StridedCopy { start: first, strides }, vec![input], output);
        Ok(())
    }

    /// The channels of a stored pixel are split, moved beside height and width, and joined with them.
    pub(super) fn depth_to_space(
        &mut self,
        node: &RealNode,
        [by, bx]: [usize; 2],
        groups: usize,
        depth_first: bool,
    ) -> Lowered {
        let input = self.ordered(node.inputs[0], &NHWC);
        let from = self.graph.tensors[input].clone();
        let [n, h, w, c] = [0, 1, 2, 3].map(|a| from.shape[a]);
        let depth = c / (by * bx * groups);
        // Strides of group, row, column and depth within the channels of a pixel.
        let [sg, sy, sx, sd] =
            if depth_first { [0, bx, 1, by * bx] } else { [by * bx * depth, bx * depth, depth, 1] };
        let moved = Tensor {
            name: format!("{} (pixels)", from.name),
            shape: vec![n, h, by, w, bx, groups, depth],
            ..from
        };
        let moved = self.graph.add(moved);
        let strides = [h * w * c, w * c, sy, c, sx, sg, sd].map(|s| s as isize).to_vec();
        self.push(node, Op::StridedCopy { start: 0, strides }, vec![input], moved);
        let output = self.made(node.output, NHWC.to_vec())?;
        self.push(node, Op::Reshape, vec![moved], output);
        Ok(())
    }

    pub(super) fn gather(&mut self, node: &RealNode, axis: usize, indices: &[i32]) -> Lowered {
        let order = self.order(node.inputs[0]);
        let input = self.ordered(node.inputs[0], &order);
        let place = order.iter().position(|&a| a == axis).unwrap_or(0);
        let output = self.made(node.output, order)?;
        self.push(node, Op::Gather { axis: place, indices: indices.to_vec() }, vec![input], output);
        Ok(())
    }

    /// 256 steps over the last stored axis, then the codes that the source asks for.
    pub(super) fn softmax(&mut self, node: &RealNode, axis: usize) -> Lowered {
        let (from, to) = (self.quant(node.inputs[0])?, self.quant(node.output)?);
        if from.elem.bits() != 8 || to.elem.bits() != 8 {
            return refuse_with("a softmax of wide values", "add a quantizer to 8 bits before it");
        }
        let mut order = self.order(node.inputs[0]);
        if order.last() != Some(&axis) {
            order.retain(|&a| a != axis);
            order.push(axis);
        }
        let depth = self.reals.tensors[node.output].shape[axis];
        if depth > 4095 {
            return refuse(format!("a softmax over {depth} values, expected at most 4095"));
        }
        let input = self.ordered(node.inputs[0], &order);
        let steps = Quant {
            elem: from.elem,
            scale: 1.0 / 256.0,
            zero_point: from.elem.min(),
            codes: (from.elem.min(), from.elem.max()),
        };
        if to == steps {
            let output = self.made(node.output, order)?;
            self.push(node, Op::Softmax { beta: 1.0 }, vec![input], output);
            return Ok(());
        }
        let middle = self.tensor(node.output, &order, steps);
        self.graph.tensors[middle].name.push_str(" (256 steps)");
        self.push(node, Op::Softmax { beta: 1.0 }, vec![input], middle);
        let output = self.made(node.output, order)?;
        self.push(node, Op::Unary(Function::Rescale), vec![middle], output);
        Ok(())
    }

    /// The index tensor has no axis of its own where the maximum was; the source keeps one of extent 1.
    pub(super) fn argmax(
        &mut self,
        node: &RealNode,
        input: TensorId,
        place: usize,
        order: Vec<usize>,
    ) -> Lowered {
        let mut shape = self.graph.tensors[input].shape.clone();
        shape.remove(place);
        let name = self.reals.tensors[node.output].name.clone();
        let indices = Tensor {
            name,
            shape,
            elem: ElemType::S32,
            zero_point: 0,
            scales: Vec::new(),
            codes: None,
            data: None,
        };
        let indices = self.graph.add(indices);
        self.push(node, Op::ArgMax { axis: place }, vec![input], indices);
        let output = self.made(node.output, order.clone())?;
        self.push(node, Op::Reshape, vec![indices], output);
        self.stored.insert(node.output, Stored { tensor: output, order });
        Ok(())
    }
}
