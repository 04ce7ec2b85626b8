//! Clamps, functions of one value, softmax, argmax.

use dyadic_kernels::ElemType;

use super::attributes::Attributes;
use super::constant;
use super::reals::{Quant, RealId, RealOp};
use super::{Form, Value, Walk, shapes};
use crate::import::onnx::Node;
use crate::ir::Function;
use crate::unsupported::{Lowered, refuse, refuse_with};

impl<'m> Walk<'m> {
    /// Relu and Clip.
    pub(super) fn clamp(&mut self, node: &'m Node) -> Lowered {
        let (lo, hi) = self.limits(node)?;
        if lo.is_nan() || hi.is_nan() {
            return refuse("limits that are no numbers");
        }
        // With crossed limits the upper one wins, whatever the value.
        let lo = lo.min(hi);
        let real = match self.value(node, 0)? {
            Value::Codes(real) if self.reals.quant(real).is_some() => {
                let limit = |v: f64| v.clamp(f64::from(i32::MIN), f64::from(i32::MAX)) as i32;
                self.clamp_codes(node, real, (limit(lo), limit(hi)));
                return Ok(());
            }
            Value::Codes(_) => return refuse("a clamp of codes whose scale is not known"),
            _ => self.real(node, 0)?,
        };
        let class = *self.reals.class(real);
        if class.quant.is_none() && !class.shared && !self.reals.tensors[real].fed {
            self.reals.clip(real, (lo, hi));
            self.reals.absorb(node.index, real);
            self.define(node, 0, Value::Real(real));
            return Ok(());
        }
        let shape = self.reals.tensors[real].shape.clone();
        let output = self.reals.tensor(Self::name(node, 0), shape, None);
        self.reals.clip(output, (lo, hi));
        self.reals.node(node.index, RealOp::Rescale, vec![real], output);
        self.define(node, 0, Value::Real(output));
        Ok(())
    }

    /// A clamp of codes: fewer of them for whoever reads on.
    fn clamp_codes(&mut self, node: &'m Node, real: RealId, (lo, hi): (i32, i32)) {
        let class = *self.reals.class(real);
        let Some(quant) = class.quant else { return };
        let narrowed = (quant.codes.0.clamp(lo, hi), quant.codes.1.clamp(lo, hi));
        let real = if class.shared || self.reals.tensors[real].fed {
            let (name, shape) = (Self::name(node, 0), self.reals.tensors[real].shape.clone());
            let output = self.reals.tensor(name, shape, Some(Quant { codes: narrowed, ..quant }));
            self.reals.node(node.index, RealOp::Rescale, vec![real], output);
            output
        } else {
            self.reals.narrow(real, (lo, hi));
            self.reals.absorb(node.index, real);
            real
        };
        self.define(node, 0, Form::Codes.value(real));
    }

    fn limits(&self, node: &Node) -> Lowered<(f64, f64)> {
        if node.op == "Relu" {
            return Ok((0.0, f64::INFINITY));
        }
        let limit = |i: usize, name: &str, open: f64| match self.constant(node, i)? {
            Some(tensor) => match constant::reals(&tensor)?.as_slice() {
                &[value] => Ok(value),
                values => refuse(format!("{} limits, expected one", values.len())),
            },
            None => Ok(f64::from(node.float(name, open as f32)?)),
        };
        Ok((limit(1, "min", f64::NEG_INFINITY)?, limit(2, "max", f64::INFINITY)?))
    }

    pub(super) fn function(&mut self, node: &'m Node) -> Lowered {
        let function = match node.op.as_str() {
            "Sigmoid" => Function::Logistic,
            "Tanh" => Function::Tanh,
            "HardSwish" => Function::HardSwish,
            "LeakyRelu" => Function::LeakyRelu { alpha: node.float("alpha", 0.01)? },
            "HardSigmoid" => {
                Function::HardSigmoid { alpha: node.float("alpha", 0.2)?, beta: node.float("beta", 0.5)? }
            }
            "Swish" => Function::Swish { alpha: node.float("alpha", 1.0)? },
            "Elu" => Function::Elu { alpha: node.float("alpha", 1.0)? },
            "Gelu" => match node.text("approximate", "none")? {
                "none" => Function::Gelu,
                "tanh" => Function::GeluTanh,
                other => return refuse(format!("a Gelu approximated by '{other}'")),
            },
            "PRelu" => return self.prelu(node),
            _ => return refuse("this operator has no integer form in Dyadic yet"),
        };
        self.apply(node, function)
    }

    fn apply(&mut self, node: &'m Node, function: Function) -> Lowered {
        let real = self.real(node, 0)?;
        let shape = self.reals.tensors[real].shape.clone();
        self.made(node, shape, RealOp::Function(function), vec![real], None)
    }

    fn prelu(&mut self, node: &'m Node) -> Lowered {
        let (slopes, extents) = match self.value(node, 1)? {
            Value::Constant(tensor) => (constant::reals(&tensor)?, tensor.shape.clone()),
            Value::Quantized(constant) => (constant.reals(), constant.shape.clone()),
            _ => return refuse("slopes that are computed at run time"),
        };
        if let &[slope] = slopes.as_slice() {
            return self.apply(node, Function::LeakyRelu { alpha: slope as f32 });
        }
        let real = self.real(node, 0)?;
        let shape = self.reals.tensors[real].shape.clone();
        if !super::shapes::along_channels(&extents, &shape, 1) {
            return refuse(format!(
                "slopes of shape {extents:?}, expected one or one per channel of {shape:?}"
            ));
        }
        let slopes = slopes.into_iter().map(|s| s as f32).collect();
        self.made(node, shape, RealOp::PRelu { slopes }, vec![real], None)
    }

    pub(super) fn softmax(&mut self, node: &'m Node) -> Lowered {
        let real = self.real(node, 0)?;
        let shape = self.reals.tensors[real].shape.clone();
        let axis = self.softmax_axis(node, &shape)?;
        self.made(node, shape, RealOp::Softmax { axis }, vec![real], None)
    }

    /// Before operator set 13 a softmax went over all axes from the stated one on.
    pub(super) fn softmax_axis(&self, node: &Node, shape: &[usize]) -> Lowered<usize> {
        let stated = node.int("axis", if self.model.opset < 13 { 1 } else { -1 })?;
        let axis = shapes::axis(stated, shape.len())?;
        if self.model.opset >= 13 {
            return Ok(axis);
        }
        let wide: Vec<usize> = (axis..shape.len()).filter(|&a| shape[a] > 1).collect();
        match wide.as_slice() {
            [] => Ok(axis),
            &[one] => Ok(one),
            _ => {
                refuse_with("a softmax over several axes", "convert the network to operator set 13 or newer")
            }
        }
    }

    pub(super) fn argmax(&mut self, node: &'m Node) -> Lowered {
        let (real, _) = self.either(node, 0)?;
        if node.int("select_last_index", 0)? != 0 {
            return refuse_with("the last index of the maximum", "take the first index");
        }
        let mut shape = self.reals.tensors[real].shape.clone();
        let axis = shapes::axis(node.int("axis", 0)?, shape.len())?;
        let depth = std::mem::replace(&mut shape[axis], 1);
        let index = Quant { elem: ElemType::S32, scale: 1.0, zero_point: 0, codes: (0, depth as i32 - 1) };
        let name = Self::name(node, 0);
        let output = self.reals.tensor(name, shape.clone(), Some(index));
        self.reals.node(node.index, RealOp::ArgMax { axis }, vec![real], output);
        if node.int("keepdims", 1)? != 0 {
            self.define(node, 0, Value::Real(output));
            return Ok(());
        }
        shape.remove(axis);
        self.alike(node, Form::Real, output, shape, RealOp::Reshape)
    }
}
