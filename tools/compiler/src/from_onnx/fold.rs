//! Values that are known when the network is compiled: constants, and the arithmetic on shapes that exporters leave in.

use std::rc::Rc;

use super::array::{Array, concatenated, encoded, filled};
use super::attributes::Attributes;
use super::constant::{self, Quantized};
use super::{Value, Walk, movement, shapes};
use crate::import::onnx::{DataType, Node, Tensor};
use crate::unsupported::{Lowered, refuse, refuse_with};

impl<'m> Walk<'m> {
    /// Handles a node whose outputs are known now; `false` when it has to be lowered.
    pub(super) fn fold(&mut self, node: &'m Node) -> Lowered<bool> {
        match node.op.as_str() {
            "Constant" => {
                let tensor = constant_node(node)?;
                self.define(node, 0, Value::Constant(Rc::new(tensor)));
                return Ok(true);
            }
            "Identity" | "Dropout" => {
                if node.op == "Dropout" {
                    self.no_training(node)?;
                }
                let value = self.value(node, 0)?;
                self.define(node, 0, value);
                return Ok(true);
            }
            "Shape" | "Size" => return self.shape_of(node),
            "DequantizeLinear" | "QuantizeLinear" | "Quant" | "IntQuant" | "BipolarQuant" => {
                return Ok(false);
            }
            _ => {}
        }
        let given = node.inputs.iter().filter(|i| !i.is_empty());
        let values: Option<Vec<&Value>> = given.map(|i| self.values.get(i.as_str())).collect();
        let Some(values) = values.filter(|v| !v.is_empty()) else { return Ok(false) };
        if let Value::Quantized(constant) = values[0] {
            return match moved_constant(self, node, constant)? {
                Some(moved) => {
                    self.define(node, 0, Value::Quantized(Rc::new(moved)));
                    Ok(true)
                }
                None => Ok(false),
            };
        }
        if !values.iter().all(|v| matches!(v, Value::Constant(_))) {
            return Ok(false);
        }
        let inputs: Vec<Option<Rc<Tensor>>> =
            (0..node.inputs.len()).map(|i| self.constant(node, i)).collect::<Lowered<_>>()?;
        match evaluate(node, &inputs, self.model.opset)? {
            Some(array) => {
                self.define(node, 0, Value::Constant(Rc::new(array.tensor())));
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Refuses a Dropout that drops, or whose mask is read.
    fn no_training(&self, node: &Node) -> Lowered {
        let training = self.whole(node, 2)?.is_some_and(|flags| flags.iter().any(|&f| f != 0));
        let ratio = match self.constant(node, 1)? {
            Some(tensor) => constant::reals(&tensor)?.first().copied(),
            None => Some(0.5),
        };
        if training && ratio != Some(0.0) {
            return refuse_with("a dropout that drops", "export for inference");
        }
        match node.outputs.get(1) {
            Some(mask) if self.readers.contains_key(mask.as_str()) => refuse("the mask of a dropout"),
            _ => Ok(()),
        }
    }

    /// Extents are static here, so the shape of a computed tensor is a constant.
    fn shape_of(&mut self, node: &'m Node) -> Lowered<bool> {
        let shape = match self.value(node, 0)? {
            Value::Constant(tensor) => tensor.shape.clone(),
            Value::Quantized(constant) => constant.shape.clone(),
            Value::Real(real) | Value::Codes(real) => self.reals.tensors[real].shape.clone(),
            Value::Refused => return refuse("an input was refused"),
        };
        let extents: Vec<i64> = shape.iter().map(|&e| e as i64).collect();
        let tensor = if node.op == "Size" {
            encoded(DataType::Int64, Vec::new(), &[extents.iter().product()])
        } else {
            let rank = extents.len() as i64;
            let place = |v: i64| (if v < 0 { v.saturating_add(rank) } else { v }).clamp(0, rank) as usize;
            let (start, end) = (place(node.int("start", 0)?), place(node.int("end", rank)?));
            let part = extents.get(start..end.max(start)).unwrap_or(&[]);
            encoded(DataType::Int64, vec![part.len()], part)
        };
        self.define(node, 0, Value::Constant(Rc::new(tensor)));
        Ok(true)
    }
}

fn constant_node(node: &Node) -> Lowered<Tensor> {
    use crate::import::onnx::Attribute as A;
    let real = |shape: Vec<usize>, values: &[f32]| Tensor {
        elem: DataType::Float,
        shape,
        data: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
    };
    match node.attributes.iter().next() {
        Some((_, A::Tensor(tensor))) => Ok(tensor.clone()),
        Some((_, A::Float(value))) => Ok(real(Vec::new(), &[*value])),
        Some((_, A::Floats(values))) => Ok(real(vec![values.len()], values)),
        Some((_, A::Int(value))) => Ok(encoded(DataType::Int64, Vec::new(), &[*value])),
        Some((_, A::Ints(values))) => Ok(encoded(DataType::Int64, vec![values.len()], values)),
        _ => refuse("a constant that is no tensor of numbers"),
    }
}

/// A quantized constant whose elements are moved; `None` for everything else.
fn moved_constant(walk: &Walk, node: &Node, from: &Quantized) -> Lowered<Option<Quantized>> {
    match node.op.as_str() {
        "Cast" => Ok(Some(from.clone())),
        "Transpose" => {
            let order = movement::order(node, from.shape.len())?;
            Ok(Some(from.transposed(&order)))
        }
        "Reshape" | "Squeeze" | "Unsqueeze" | "Flatten" => {
            let shape = walk.target_shape(node, &from.shape)?;
            let mut result = Quantized { shape, ..from.clone() };
            if from.scales.len() > 1 {
                // The axis of the scales must survive: as many elements before it, and its own extent.
                let before: usize = from.shape[..from.axis].iter().product();
                let same = |a: &usize| {
                    result.shape[..*a].iter().product::<usize>() == before
                        && result.shape[*a] == from.scales.len()
                };
                match (0..result.shape.len()).find(same) {
                    Some(axis) => result.axis = axis,
                    None => return refuse("a reshape across the axis of the scales"),
                }
            }
            Ok(Some(result))
        }
        _ => Ok(None),
    }
}

/// A clip of codes to 4 bits or fewer, as it stands between QuantizeLinear and DequantizeLinear, makes them codes of 4
/// bits.
fn clipped(codes: Array, inputs: &[Option<Rc<Tensor>>]) -> Lowered<Array> {
    let limit = |i: usize| inputs.get(i).and_then(Option::as_ref).map(|t| Array::of(t)).transpose();
    let (lo, hi) = (limit(1)?, limit(2)?);
    let mut result = codes;
    if let Some(lo) = &lo {
        result = result.binary(lo, f64::max, i64::max)?;
    }
    if let Some(hi) = &hi {
        result = result.binary(hi, f64::min, i64::min)?;
    }
    let one = |limit: &Option<Array>| limit.as_ref().and_then(Array::one);
    match (result.elem, one(&lo), one(&hi)) {
        (DataType::Int8, Some(-8..), Some(..=7)) => result.cast(DataType::Int4),
        (DataType::Uint8, Some(0..), Some(..=15)) => result.cast(DataType::Uint4),
        _ => Ok(result),
    }
}

/// Evaluates a node on constants; `None` for operators that are not evaluated.
fn evaluate(node: &Node, inputs: &[Option<Rc<Tensor>>], opset: i64) -> Lowered<Option<Array>> {
    let array = |i: usize| match inputs.get(i).and_then(Option::as_ref) {
        Some(tensor) => Array::of(tensor),
        None => refuse(format!("input {i} is missing")),
    };
    let whole = |i: usize| match inputs.get(i).and_then(Option::as_ref) {
        Some(tensor) => constant::integers(tensor).map(Some),
        None => Ok(None),
    };
    let first = array(0)?;
    Ok(Some(match node.op.as_str() {
        "Cast" => first.cast(DataType::from_number(node.int("to", 0)? as i32))?,
        "Add" => first.binary(&array(1)?, |a, b| a + b, i64::wrapping_add)?,
        "Sub" => first.binary(&array(1)?, |a, b| a - b, i64::wrapping_sub)?,
        "Mul" => first.binary(&array(1)?, |a, b| a * b, i64::wrapping_mul)?,
        "Div" => first.binary(&array(1)?, |a, b| a / b, |a, b| a.checked_div(b).unwrap_or(0))?,
        "Max" => first.binary(&array(1)?, f64::max, i64::max)?,
        "Min" => first.binary(&array(1)?, f64::min, i64::min)?,
        "Neg" => first.unary(|v| -v, i64::wrapping_neg),
        "Abs" => first.unary(f64::abs, i64::wrapping_abs),
        "Floor" => first.unary(libm::floor, |v| v),
        "Ceil" => first.unary(libm::ceil, |v| v),
        "Round" => first.unary(crate::quantize::round_half_even, |v| v),
        "Sqrt" => first.unary(libm::sqrt, |v| v),
        "Reciprocal" => first.unary(|v| 1.0 / v, |v| v),
        "Clip" if inputs.len() > 1 => clipped(first, inputs)?,
        "Transpose" => {
            let order = movement::order(node, first.shape.len())?;
            first.transposed(&order)
        }
        "Reshape" | "Squeeze" | "Unsqueeze" | "Flatten" => {
            let axes = whole(1)?;
            let shape = shapes::target(node, &first.shape, axes.as_deref(), opset)?;
            first.reshaped(shape)
        }
        "Gather" => first.gather(&array(1)?, node.int("axis", 0)?)?,
        "Concat" => {
            let arrays = (0..inputs.len()).map(array).collect::<Lowered<Vec<_>>>()?;
            concatenated(&arrays, node.int("axis", 0)?)?
        }
        "Slice" => {
            let parts = [whole(1)?, whole(2)?, whole(3)?, whole(4)?];
            let slices = shapes::slices(node, &first.shape, parts)?;
            first.sliced(&slices)
        }
        "ConstantOfShape" => filled(&first, node)?,
        "Expand" => {
            let target = whole(1)?.unwrap_or_default();
            first.expanded(&target)?
        }
        _ => return Ok(None),
    }))
}
