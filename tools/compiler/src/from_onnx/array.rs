//! Constants under evaluation: whole or real numbers with a shape.

use super::attributes::Attributes;
use super::constant::{self, MAX_ELEMENTS};
use super::{movement, shapes};
use crate::import::onnx::{DataType, Node, Tensor};
use crate::unsupported::{Lowered, refuse};

/// A constant being evaluated.
#[derive(Clone, Debug)]
pub(super) struct Array {
    pub elem: DataType,
    pub shape: Vec<usize>,
    numbers: Numbers,
}

#[derive(Clone, Debug)]
enum Numbers {
    Whole(Vec<i64>),
    Real(Vec<f64>),
}

/// ConstantOfShape.
pub(super) fn filled(shape: &Array, node: &Node) -> Lowered<Array> {
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

pub(super) fn concatenated(arrays: &[Array], axis: i64) -> Lowered<Array> {
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
    pub fn of(tensor: &Tensor) -> Lowered<Array> {
        let numbers = match tensor.elem {
            DataType::Float | DataType::Double | DataType::Float16 => Numbers::Real(constant::reals(tensor)?),
            _ => Numbers::Whole(constant::integers(tensor)?),
        };
        Ok(Array { elem: tensor.elem, shape: tensor.shape.clone(), numbers })
    }

    /// The one whole number of a scalar.
    pub fn one(&self) -> Option<i64> {
        match &self.numbers {
            Numbers::Whole(values) if values.len() == 1 => values.first().copied(),
            _ => None,
        }
    }

    /// The same elements; the shape was checked to have as many.
    pub fn reshaped(self, shape: Vec<usize>) -> Array {
        Array { shape, ..self }
    }

    pub fn tensor(&self) -> Tensor {
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

    pub fn len(&self) -> usize {
        match &self.numbers {
            Numbers::Whole(values) => values.len(),
            Numbers::Real(values) => values.len(),
        }
    }

    pub fn whole(&self) -> Vec<i64> {
        match &self.numbers {
            Numbers::Whole(values) => values.clone(),
            Numbers::Real(values) => values.iter().map(|&v| v as i64).collect(),
        }
    }

    pub fn real(&self) -> Vec<f64> {
        match &self.numbers {
            Numbers::Whole(values) => values.iter().map(|&v| v as f64).collect(),
            Numbers::Real(values) => values.clone(),
        }
    }

    pub fn cast(self, to: DataType) -> Lowered<Array> {
        let numbers = match to {
            DataType::Float | DataType::Double | DataType::Float16 => Numbers::Real(self.real()),
            DataType::Bool => Numbers::Whole(self.real().iter().map(|&v| i64::from(v != 0.0)).collect()),
            _ if to.bits().is_some() => Numbers::Whole(self.whole()),
            _ => return refuse(format!("a cast to {to}")),
        };
        Ok(Array { elem: to, shape: self.shape, numbers })
    }

    pub fn unary(self, real: impl Fn(f64) -> f64, whole: impl Fn(i64) -> i64) -> Array {
        let numbers = match self.numbers {
            Numbers::Whole(values) => Numbers::Whole(values.into_iter().map(whole).collect()),
            Numbers::Real(values) => Numbers::Real(values.into_iter().map(real).collect()),
        };
        Array { numbers, ..self }
    }

    pub fn binary(
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
    pub fn spread(self, shape: &[usize]) -> Lowered<Array> {
        let count = counted(shape, self.len())?;
        let strides = movement::broadcast_strides(&self.shape, shape);
        let index = |flat: usize| movement::place(flat, shape, &strides);
        let numbers = match &self.numbers {
            Numbers::Whole(v) => Numbers::Whole((0..count).map(|i| v[index(i)]).collect()),
            Numbers::Real(v) => Numbers::Real((0..count).map(|i| v[index(i)]).collect()),
        };
        Ok(Array { elem: self.elem, shape: shape.to_vec(), numbers })
    }

    pub fn expanded(self, target: &[i64]) -> Lowered<Array> {
        let shape = shapes::broadcast(&self.shape, &shapes::extents(target)?)?;
        self.spread(&shape)
    }

    pub fn transposed(&self, order: &[usize]) -> Array {
        let numbers = match &self.numbers {
            Numbers::Whole(v) => Numbers::Whole(constant::transpose(&self.shape, order, v)),
            Numbers::Real(v) => Numbers::Real(constant::transpose(&self.shape, order, v)),
        };
        Array { elem: self.elem, shape: order.iter().map(|&a| self.shape[a]).collect(), numbers }
    }

    pub fn gather(&self, indices: &Array, axis: i64) -> Lowered<Array> {
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

    pub fn sliced(&self, slices: &[shapes::Slice]) -> Array {
        let own = movement::strides(&self.shape);
        let shape: Vec<usize> = slices.iter().map(|s| s.count).collect();
        let count: usize = shape.iter().product();
        let start: isize = (0..shape.len()).map(|a| (slices[a].start * own[a]) as isize).sum();
        let strides: Vec<isize> = (0..shape.len()).map(|a| slices[a].step * own[a] as isize).collect();
        let place = |flat: usize| (start + movement::signed_place(flat, &shape, &strides)) as usize;
        self.picked((0..count).map(place).collect(), shape)
    }

    pub fn picked(&self, places: Vec<usize>, shape: Vec<usize>) -> Array {
        let numbers = match &self.numbers {
            Numbers::Whole(v) => Numbers::Whole(places.into_iter().map(|p| v[p]).collect()),
            Numbers::Real(v) => Numbers::Real(places.into_iter().map(|p| v[p]).collect()),
        };
        Array { elem: self.elem, shape, numbers }
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
