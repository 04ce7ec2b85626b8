//! Values that are known when the network is compiled: constants, and the arithmetic on shapes that exporters leave in.

use std::rc::Rc;

use super::attributes::Attributes;
use super::constant::{self, MAX_ELEMENTS, Quantized};
use super::{Value, Walk, movement, shapes};
use crate::import::onnx::{DataType, Node, Tensor};
use crate::unsupported::{Lowered, refuse};

/// A constant being evaluated.
#[derive(Clone, Debug)]
struct Array {
    elem: DataType,
    shape: Vec<usize>,
    numbers: Numbers,
}

#[derive(Clone, Debug)]
enum Numbers {
    Whole(Vec<i64>),
    Real(Vec<f64>),
}

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

/// Whole numbers as a constant of an integer type; each must fit.
pub(super) fn encoded(elem: DataType, shape: Vec<usize>, values: &[i64]) -> Tensor {
    let data = match elem.bits() {
        Some(4) => values
            .chunks(2)
            .map(|p| (p[0] & 15) as u8 | (p.get(1).map_or(0, |v| v & 15) as u8) << 4)
            .collect(),
        Some(bits) => values.iter().flat_map(|v| v.to_le_bytes().into_iter().take(bits / 8)).collect(),
        None => Vec::new(),
    };
    Tensor { elem, shape, data }
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
        "Clip" if inputs.len() > 1 => {
            let mut result = first;
            if inputs[1].is_some() {
                result = result.binary(&array(1)?, f64::max, i64::max)?;
            }
            if inputs.get(2).is_some_and(Option::is_some) {
                result = result.binary(&array(2)?, f64::min, i64::min)?;
            }
            result
        }
        "Transpose" => {
            let order = movement::order(node, first.shape.len())?;
            first.transposed(&order)
        }
        "Reshape" | "Squeeze" | "Unsqueeze" | "Flatten" => {
            let axes = whole(1)?;
            let shape = shapes::target(node, &first.shape, axes.as_deref(), opset)?;
            Array { shape, ..first }
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

/// ConstantOfShape.
fn filled(shape: &Array, node: &Node) -> Lowered<Array> {
    let Numbers::Whole(extents) = &shape.numbers else { return refuse("a shape of real numbers") };
    let shape = shapes::extents(extents)?;
    let count = counted(&shape, 0)?;
    let value = match node.tensor("value")? {
        Some(tensor) => Array::of(tensor)?,
        None => Array { elem: DataType::Float, shape: Vec::new(), numbers: Numbers::Real(vec![0.0]) },
    };
    let numbers = match &value.numbers {
        Numbers::Whole(v) => Numbers::Whole(vec![v.first().copied().unwrap_or(0); count]),
        Numbers::Real(v) => Numbers::Real(vec![v.first().copied().unwrap_or(0.0); count]),
    };
    Ok(Array { elem: value.elem, shape, numbers })
}

/// Number of elements; a small constant must not unfold into gigabytes.
fn counted(shape: &[usize], own: usize) -> Lowered<usize> {
    match shape.iter().try_fold(1usize, |n, &e| n.checked_mul(e)) {
        Some(count) if count <= MAX_ELEMENTS.max(own) => Ok(count),
        _ => refuse(format!("a constant of shape {shape:?} from {own} elements")),
    }
}

fn concatenated(arrays: &[Array], axis: i64) -> Lowered<Array> {
    let Some(first) = arrays.first() else { return refuse("nothing to concatenate") };
    let axis = shapes::axis(axis, first.shape.len())?;
    let mut shape = first.shape.clone();
    let fits = |a: &Array| {
        a.shape.len() == shape.len() && (0..shape.len()).all(|i| i == axis || a.shape[i] == shape[i])
    };
    if !arrays.iter().all(fits) {
        return refuse("shapes that do not stack");
    }
    shape[axis] = arrays.iter().map(|a| a.shape[axis]).sum();
    counted(&shape, arrays.iter().map(Array::len).sum())?;
    let outer: usize = shape[..axis].iter().product();
    let inner: usize = shape[axis + 1..].iter().product();
    let numbers = if arrays.iter().all(|a| matches!(a.numbers, Numbers::Whole(_))) {
        Numbers::Whole(interleaved(
            arrays.iter().map(|a| (a.whole(), a.shape[axis] * inner)).collect(),
            outer,
        ))
    } else {
        Numbers::Real(interleaved(arrays.iter().map(|a| (a.real(), a.shape[axis] * inner)).collect(), outer))
    };
    Ok(Array { elem: first.elem, shape, numbers })
}

/// Rows of each part in turn, `outer` times; every part comes with the length of its rows.
fn interleaved<T: Copy>(parts: Vec<(Vec<T>, usize)>, outer: usize) -> Vec<T> {
    (0..outer)
        .flat_map(|o| parts.iter().flat_map(move |(p, row)| &p[o * row..(o + 1) * row]))
        .copied()
        .collect()
}

impl Array {
    fn of(tensor: &Tensor) -> Lowered<Array> {
        let numbers = match tensor.elem {
            DataType::Float | DataType::Double | DataType::Float16 => Numbers::Real(constant::reals(tensor)?),
            _ => Numbers::Whole(constant::integers(tensor)?),
        };
        Ok(Array { elem: tensor.elem, shape: tensor.shape.clone(), numbers })
    }

    fn tensor(&self) -> Tensor {
        match &self.numbers {
            Numbers::Whole(values) => encoded(self.elem, self.shape.clone(), values),
            // Halves widen: nothing below needs fewer bits.
            Numbers::Real(values) => {
                let (elem, data) = match self.elem {
                    DataType::Double => {
                        (DataType::Double, values.iter().flat_map(|v| v.to_le_bytes()).collect())
                    }
                    _ => {
                        let single = values.iter().flat_map(|v| (*v as f32).to_le_bytes());
                        (DataType::Float, single.collect())
                    }
                };
                Tensor { elem, shape: self.shape.clone(), data }
            }
        }
    }

    fn len(&self) -> usize {
        match &self.numbers {
            Numbers::Whole(values) => values.len(),
            Numbers::Real(values) => values.len(),
        }
    }

    fn whole(&self) -> Vec<i64> {
        match &self.numbers {
            Numbers::Whole(values) => values.clone(),
            Numbers::Real(values) => values.iter().map(|&v| v as i64).collect(),
        }
    }

    fn real(&self) -> Vec<f64> {
        match &self.numbers {
            Numbers::Whole(values) => values.iter().map(|&v| v as f64).collect(),
            Numbers::Real(values) => values.clone(),
        }
    }

    fn cast(self, to: DataType) -> Lowered<Array> {
        let numbers = match to {
            DataType::Float | DataType::Double | DataType::Float16 => Numbers::Real(self.real()),
            DataType::Bool => Numbers::Whole(self.real().iter().map(|&v| i64::from(v != 0.0)).collect()),
            _ if to.bits().is_some() => Numbers::Whole(self.whole()),
            _ => return refuse(format!("a cast to {to}")),
        };
        Ok(Array { elem: to, shape: self.shape, numbers })
    }

    fn unary(self, real: impl Fn(f64) -> f64, whole: impl Fn(i64) -> i64) -> Array {
        let numbers = match self.numbers {
            Numbers::Whole(values) => Numbers::Whole(values.into_iter().map(whole).collect()),
            Numbers::Real(values) => Numbers::Real(values.into_iter().map(real).collect()),
        };
        Array { numbers, ..self }
    }

    fn binary(
        &self,
        other: &Array,
        real: impl Fn(f64, f64) -> f64,
        whole: impl Fn(i64, i64) -> i64,
    ) -> Lowered<Array> {
        let shape = shapes::broadcast(&self.shape, &other.shape)?;
        let (a, b) = (self.clone().spread(&shape)?, other.clone().spread(&shape)?);
        let numbers = match (a.numbers, b.numbers) {
            (Numbers::Whole(a), Numbers::Whole(b)) => {
                Numbers::Whole(a.into_iter().zip(b).map(|(a, b)| whole(a, b)).collect())
            }
            (Numbers::Real(a), Numbers::Real(b)) => {
                // Each operation of a float32 network is rounded to float32.
                let single = |v: f64| if self.elem == DataType::Double { v } else { f64::from(v as f32) };
                Numbers::Real(a.into_iter().zip(b).map(|(a, b)| single(real(a, b))).collect())
            }
            _ => return refuse("whole and real numbers together"),
        };
        Ok(Array { elem: self.elem, shape, numbers })
    }

    /// Broadcast to a shape that the own one was checked against.
    fn spread(self, shape: &[usize]) -> Lowered<Array> {
        let count = counted(shape, self.len())?;
        let strides = movement::broadcast_strides(&self.shape, shape);
        let index = |flat: usize| movement::place(flat, shape, &strides);
        let numbers = match &self.numbers {
            Numbers::Whole(v) => Numbers::Whole((0..count).map(|i| v[index(i)]).collect()),
            Numbers::Real(v) => Numbers::Real((0..count).map(|i| v[index(i)]).collect()),
        };
        Ok(Array { elem: self.elem, shape: shape.to_vec(), numbers })
    }

    fn expanded(self, target: &[i64]) -> Lowered<Array> {
        let shape = shapes::broadcast(&self.shape, &shapes::extents(target)?)?;
        self.spread(&shape)
    }

    fn transposed(&self, order: &[usize]) -> Array {
        let numbers = match &self.numbers {
            Numbers::Whole(v) => Numbers::Whole(constant::transpose(&self.shape, order, v)),
            Numbers::Real(v) => Numbers::Real(constant::transpose(&self.shape, order, v)),
        };
        Array { elem: self.elem, shape: order.iter().map(|&a| self.shape[a]).collect(), numbers }
    }

    fn gather(&self, indices: &Array, axis: i64) -> Lowered<Array> {
        let axis = shapes::axis(axis, self.shape.len())?;
        let chosen = shapes::indices(&indices.whole(), self.shape[axis])?;
        let mut shape = self.shape[..axis].to_vec();
        shape.extend(&indices.shape);
        shape.extend(&self.shape[axis + 1..]);
        counted(&shape, self.len())?;
        let inner: usize = self.shape[axis + 1..].iter().product();
        let outer: usize = self.shape[..axis].iter().product();
        let extent = self.shape[axis];
        let places = (0..outer).flat_map(|o| {
            chosen.iter().flat_map(move |&i| {
                let start = (o * extent + i as usize) * inner;
                start..start + inner
            })
        });
        Ok(self.picked(places.collect(), shape))
    }

    fn sliced(&self, slices: &[shapes::Slice]) -> Array {
        let own = movement::strides(&self.shape);
        let shape: Vec<usize> = slices.iter().map(|s| s.count).collect();
        let count: usize = shape.iter().product();
        let start: isize = (0..shape.len()).map(|a| (slices[a].start * own[a]) as isize).sum();
        let strides: Vec<isize> = (0..shape.len()).map(|a| slices[a].step * own[a] as isize).collect();
        let place = |flat: usize| (start + movement::signed_place(flat, &shape, &strides)) as usize;
        self.picked((0..count).map(place).collect(), shape)
    }

    fn picked(&self, places: Vec<usize>, shape: Vec<usize>) -> Array {
        let numbers = match &self.numbers {
            Numbers::Whole(v) => Numbers::Whole(places.into_iter().map(|p| v[p]).collect()),
            Numbers::Real(v) => Numbers::Real(places.into_iter().map(|p| v[p]).collect()),
        };
        Array { elem: self.elem, shape, numbers }
    }
}
