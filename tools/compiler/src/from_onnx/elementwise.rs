//! Add, Sub, Mul and Div.

use super::constant;
use super::reals::{RealId, RealOp};
use super::{Value, Walk, shapes};
use crate::import::onnx::Node;
use crate::unsupported::{Lowered, refuse, refuse_with};

impl<'m> Walk<'m> {
    pub(super) fn arithmetic(&mut self, node: &'m Node) -> Lowered {
        let (a, b) = (self.value(node, 0)?, self.value(node, 1)?);
        match (&a, &b) {
            (Value::Real(x), Value::Constant(_) | Value::Quantized(_))
                if node.op == "Div" || self.constant_operand(*x, &b) =>
            {
                self.with_constant(node, *x, &b, false)
            }
            (Value::Constant(_) | Value::Quantized(_), Value::Real(x)) if self.constant_operand(*x, &a) => {
                self.with_constant(node, *x, &a, true)
            }
            _ => self.binary(node),
        }
    }

    /// Whether a constant is a factor or addend rather than an operand with codes of its own: real numbers always,
    /// codes where they belong to the layer that makes `x`, one or one per channel.
    fn constant_operand(&mut self, x: RealId, constant: &Value) -> bool {
        let Value::Quantized(codes) = constant else { return matches!(constant, Value::Constant(_)) };
        let free = self.reals.quant(x).is_none();
        let layer = matches!(self.reals.producer(x).map(|n| &n.op), Some(RealOp::Conv(_)));
        free && layer && channel_axis(&codes.shape, &self.reals.tensors[x].shape).is_some()
    }

    fn with_constant(&mut self, node: &'m Node, x: RealId, constant: &Value, first: bool) -> Lowered {
        let (shape, values) = match constant {
            Value::Quantized(q) => (q.shape.clone(), q.reals()),
            Value::Constant(tensor) => (tensor.shape.clone(), constant::reals(tensor)?),
            _ => return refuse("no constant"),
        };
        let own = &self.reals.tensors[x].shape;
        let Some(axis) = channel_axis(&shape, own) else {
            return refuse_with(
                format!("a constant of shape {shape:?} with a tensor of shape {own:?}"),
                "quantize the constant, or make it one value per channel",
            );
        };
        let one = [1.0];
        let (gain, offset) = match (node.op.as_str(), first) {
            ("Add", _) => (one.to_vec(), values),
            ("Sub", false) => (one.to_vec(), values.iter().map(|v| -v).collect()),
            ("Sub", true) => (vec![-1.0], values),
            ("Mul", _) => (values, vec![0.0]),
            ("Div", false) => (values.iter().map(|v| 1.0 / v).collect(), vec![0.0]),
            _ => return refuse("a division by a tensor"),
        };
        self.scaled(node, x, (&gain, &offset), axis)
    }

    fn binary(&mut self, node: &'m Node) -> Lowered {
        let (a, b) = (self.real(node, 0)?, self.real(node, 1)?);
        let op = match node.op.as_str() {
            "Add" => RealOp::Add { subtract: false },
            "Sub" => RealOp::Add { subtract: true },
            "Mul" => RealOp::Mul,
            _ => return refuse_with("a division by a tensor", "multiply by the reciprocal instead"),
        };
        let shape = shapes::broadcast(&self.reals.tensors[a].shape, &self.reals.tensors[b].shape)?;
        self.made(node, shape, op, vec![a, b], None)
    }
}

/// The one axis of a tensor of shape `own` along which a constant that is broadcast to it differs; any for a single
/// value.
fn channel_axis(constant: &[usize], own: &[usize]) -> Option<usize> {
    let lead = own.len().checked_sub(constant.len())?;
    let wide: Vec<usize> = (0..constant.len()).filter(|&a| constant[a] != 1).collect();
    match wide.as_slice() {
        [] => Some(0),
        &[axis] => Some(axis + lead).filter(|&a| own[a] == constant[axis]),
        _ => None,
    }
}
