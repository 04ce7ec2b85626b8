//! Operators on integers that carry their scales: QLinearConv and its like, of ONNX and of ONNX Runtime
//! (`com.microsoft`). Each is the operator on real numbers between quantizers.

use super::attributes::Attributes;
use super::constant;
use super::convolution::lifted;
use super::quantizers::Scaling;
use super::reals::{Bias, Quant, RealId, RealOp};
use super::{Form, Value, Walk, shapes};
use crate::import::onnx::{DataType, Node};
use crate::ir::Function;
use crate::unsupported::{Lowered, refuse};

impl<'m> Walk<'m> {
    /// Codes in input `i` with their scale and zero point in the two inputs at `scale`.
    fn operand(&mut self, node: &Node, i: usize, scale: usize) -> Lowered<RealId> {
        match self.value(node, i)? {
            Value::Codes(real) => {
                let quant = self.scaling(node, scale, DataType::Uint8)?.of_activation()?;
                match self.read_as(real, quant)? {
                    Value::Real(real) => Ok(real),
                    _ => refuse("an operand that is no tensor"),
                }
            }
            Value::Constant(tensor) => {
                let scaling = self.scaling(node, scale, tensor.elem)?;
                let constant = super::quantizers::with_scales(&tensor, scaling, 0)?;
                self.constant_real(&node.inputs[i], &constant)
            }
            _ => refuse(format!("input {i} is no tensor of codes")),
        }
    }

    /// Scale and zero point of the result.
    fn result(&self, node: &Node, scale: usize) -> Lowered<Quant> {
        self.scaling(node, scale, DataType::Uint8)?.of_activation()
    }

    /// Constant weights in input `i`, their scales in the inputs at `scale` along `axis`.
    fn coded_weights(
        &self,
        node: &Node,
        i: usize,
        scale: usize,
        axis: usize,
    ) -> Lowered<constant::Quantized> {
        let Some(tensor) = self.constant(node, i)? else { return refuse("the weights are missing") };
        let scaling: Scaling = self.scaling(node, scale, tensor.elem)?;
        super::quantizers::with_scales(&tensor, scaling, axis as i64)
    }

    /// A bias in steps of the accumulator, one for all channels or one each.
    fn accumulator_bias(&self, node: &Node, i: usize, channels: usize) -> Lowered<Bias> {
        let Some(values) = self.whole(node, i)? else { return Ok(Bias::None) };
        let codes: Vec<i32> = values.into_iter().map(|v| v as i32).collect();
        match codes.as_slice() {
            &[one] => Ok(Bias::Accumulator(vec![one; channels])),
            _ if codes.len() == channels => Ok(Bias::Accumulator(codes)),
            _ => refuse(format!("{} bias values for {channels} channels", codes.len())),
        }
    }

    pub(super) fn qlinear_conv(&mut self, node: &'m Node) -> Lowered {
        let x = self.operand(node, 0, 1)?;
        let weights = self.coded_weights(node, 3, 4, 0)?;
        let quant = self.result(node, 6)?;
        let bias = self.accumulator_bias(node, 8, weights.shape.first().copied().unwrap_or(0))?;
        self.convolution(node, x, (weights, 3), bias, Some(quant))
    }

    pub(super) fn qlinear_matmul(&mut self, node: &'m Node) -> Lowered {
        let x = self.operand(node, 0, 1)?;
        let rank = self.constant(node, 3)?.map_or(0, |t| t.shape.len());
        let weights = self.coded_weights(node, 3, 4, rank.saturating_sub(1))?;
        let quant = self.result(node, 6)?;
        self.matrices(node, x, (weights, 3), Some(quant))
    }

    pub(super) fn qgemm(&mut self, node: &'m Node) -> Lowered {
        let x = self.operand(node, 0, 1)?;
        let transposed = node.int("transB", 0)? != 0;
        let mut weights = self.coded_weights(node, 3, 4, usize::from(!transposed))?;
        if node.int("transA", 0)? != 0 || weights.shape.len() != 2 {
            return refuse("a product whose first factor is transposed or no matrix");
        }
        if !transposed {
            weights = weights.transposed(&[1, 0]);
        }
        // The scale of the result is left out where real numbers follow.
        let quant = match self.given(node, 7) {
            Some(_) => Some(self.result(node, 7)?),
            None => None,
        };
        let channels = weights.shape[0];
        let bias = self.accumulator_bias(node, 6, channels)?;
        let affine = (vec![f64::from(node.float("alpha", 1.0)?); channels], vec![0.0; channels]);
        self.product(node, x, (weights, 3), bias, affine, quant)
    }

    pub(super) fn qlinear_binary(&mut self, node: &'m Node) -> Lowered {
        let (a, b) = (self.operand(node, 0, 1)?, self.operand(node, 3, 4)?);
        let quant = self.result(node, 6)?;
        let shape = shapes::broadcast(&self.reals.tensors[a].shape, &self.reals.tensors[b].shape)?;
        let op = if node.op == "QLinearAdd" { RealOp::Add { subtract: false } } else { RealOp::Mul };
        self.made(node, shape, op, vec![a, b], Some(quant))
    }

    pub(super) fn qlinear_concat(&mut self, node: &'m Node) -> Lowered {
        let quant = self.result(node, 0)?;
        let places = (2..node.inputs.len()).step_by(3);
        let inputs = places.map(|i| self.operand(node, i, i + 1)).collect::<Lowered<Vec<_>>>()?;
        let (shape, axis) = self.stacked(&inputs, node.int("axis", 0)?)?;
        self.made(node, shape, RealOp::Concat { axis }, inputs, Some(quant))
    }

    pub(super) fn qlinear_pool(&mut self, node: &'m Node) -> Lowered {
        if node.int("channels_last", 0)? != 0 {
            return refuse("a pooling with the channels last");
        }
        let x = self.operand(node, 0, 1)?;
        let quant = self.result(node, 3)?;
        if lifted(&self.reals.tensors[x].shape).len() != 4 {
            return refuse("an input without two spatial axes");
        }
        self.pooled(node, x, Form::Real, Some(quant))
    }

    pub(super) fn qlinear_function(&mut self, node: &'m Node) -> Lowered {
        let function = match node.op.as_str() {
            "QLinearSigmoid" => Function::Logistic,
            _ => Function::LeakyRelu { alpha: node.float("alpha", 0.01)? },
        };
        let x = self.operand(node, 0, 1)?;
        let quant = self.result(node, 3)?;
        let shape = self.reals.tensors[x].shape.clone();
        self.made(node, shape, RealOp::Function(function), vec![x], Some(quant))
    }

    pub(super) fn qlinear_softmax(&mut self, node: &'m Node) -> Lowered {
        let x = self.operand(node, 0, 1)?;
        let quant = self.result(node, 3)?;
        let shape = self.reals.tensors[x].shape.clone();
        let axis = self.softmax_axis(node, &shape)?;
        self.made(node, shape, RealOp::Softmax { axis }, vec![x], Some(quant))
    }
}
