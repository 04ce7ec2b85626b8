//! Constants of a network and what quantizers make of them.

use crate::import::onnx::{DataType, Tensor};
use crate::quantize::round_half_even;
use crate::unsupported::{Lowered, refuse};

/// Elements that one constant may have when it is unfolded from fewer.
pub(super) const MAX_ELEMENTS: usize = 1 << 22;

/// A constant of real numbers given by codes: `scale * (code - zero_point)`, as DequantizeLinear makes it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Quantized {
    /// Extents.
    pub shape: Vec<usize>,
    /// Row-major codes, each within the range of `bits` bits.
    pub codes: Vec<i32>,
    /// Width that the codes were declared with; fewer after a narrowing clip.
    pub bits: u32,
    /// One, or one per element of `axis`.
    pub scales: Vec<f32>,
    /// As many as scales.
    pub zero_points: Vec<i32>,
    /// Axis of the scales when there are several.
    pub axis: usize,
}

impl Quantized {
    /// The same real numbers with the axes in another order: axis `i` of the result is axis `order[i]`.
    pub fn transposed(&self, order: &[usize]) -> Quantized {
        Quantized {
            shape: order.iter().map(|&a| self.shape[a]).collect(),
            codes: transpose(&self.shape, order, &self.codes),
            axis: order.iter().position(|&a| a == self.axis).unwrap_or(0),
            ..self.clone()
        }
    }

    /// Codes less their zero points.
    pub fn centred(&self) -> Vec<i32> {
        let inner: usize = self.shape.iter().skip(self.axis + 1).product();
        let channel = |i: usize| match self.zero_points.len() {
            1 => 0,
            count => i / inner.max(1) % count,
        };
        self.codes.iter().enumerate().map(|(i, c)| c.saturating_sub(self.zero_points[channel(i)])).collect()
    }

    /// The real numbers, in float64.
    pub fn reals(&self) -> Vec<f64> {
        let inner: usize = self.shape.iter().skip(self.axis + 1).product();
        let count = self.scales.len();
        let scale = |i: usize| f64::from(self.scales[if count == 1 { 0 } else { i / inner.max(1) % count }]);
        self.centred().iter().enumerate().map(|(i, &c)| f64::from(c) * scale(i)).collect()
    }
}

/// Row-major elements with the axes in another order: axis `i` of the result is axis `order[i]` of `shape`.
pub(super) fn transpose<T: Copy>(shape: &[usize], order: &[usize], elements: &[T]) -> Vec<T> {
    let own = super::movement::strides(shape);
    let extents: Vec<usize> = order.iter().map(|&a| shape[a]).collect();
    let strides: Vec<usize> = order.iter().map(|&a| own[a]).collect();
    let mut index = vec![0; order.len()];
    let mut from = 0;
    let mut result = Vec::with_capacity(elements.len());
    for _ in 0..elements.len() {
        result.push(elements[from]);
        for axis in (0..index.len()).rev() {
            index[axis] += 1;
            from += strides[axis];
            if index[axis] < extents[axis] {
                break;
            }
            from -= strides[axis] * extents[axis];
            index[axis] = 0;
        }
    }
    result
}

/// The elements of a constant of numbers, in float64.
pub(super) fn reals(tensor: &Tensor) -> Lowered<Vec<f64>> {
    let data = &tensor.data;
    Ok(match tensor.elem {
        DataType::Float => {
            data.as_chunks::<4>().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect()
        }
        DataType::Double => data.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
        DataType::Float16 => {
            data.as_chunks::<2>().0.iter().map(|b| half_to_double(u16::from_le_bytes(*b))).collect()
        }
        _ => integers(tensor)?.into_iter().map(|v| v as f64).collect(),
    })
}

/// The elements of a constant of whole numbers.
pub(super) fn integers(tensor: &Tensor) -> Lowered<Vec<i64>> {
    let data = &tensor.data;
    let nibbles = |signed: bool| {
        let value = move |n: u8| if signed { i64::from((n << 4) as i8 >> 4) } else { i64::from(n) };
        let pairs = data.iter().flat_map(move |b| [value(b & 15), value(b >> 4)]);
        pairs.take(tensor.elements()).collect()
    };
    Ok(match tensor.elem {
        DataType::Uint4 => nibbles(false),
        DataType::Int4 => nibbles(true),
        DataType::Uint8 | DataType::Bool => data.iter().map(|&b| i64::from(b)).collect(),
        DataType::Int8 => data.iter().map(|&b| i64::from(b as i8)).collect(),
        DataType::Uint16 => {
            data.as_chunks::<2>().0.iter().map(|b| i64::from(u16::from_le_bytes(*b))).collect()
        }
        DataType::Int16 => {
            data.as_chunks::<2>().0.iter().map(|b| i64::from(i16::from_le_bytes(*b))).collect()
        }
        DataType::Uint32 => {
            data.as_chunks::<4>().0.iter().map(|b| i64::from(u32::from_le_bytes(*b))).collect()
        }
        DataType::Int32 => {
            data.as_chunks::<4>().0.iter().map(|b| i64::from(i32::from_le_bytes(*b))).collect()
        }
        DataType::Uint64 | DataType::Int64 => {
            data.as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b)).collect()
        }
        other => return refuse(format!("a constant of {other} where whole numbers are expected")),
    })
}

/// Exact value of a 16-bit float.
fn half_to_double(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    sign * match exponent {
        0 => libm::ldexp(fraction, -24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => libm::ldexp(1024.0 + fraction, exponent - 25),
    }
}

/// `clamp(round_half_even(x / scale) + zero_point)`: what QuantizeLinear makes of a constant, divided in float32.
pub(super) fn quantize(value: f64, scale: f32, zero_point: i32, (lo, hi): (i32, i32)) -> i32 {
    let steps = round_half_even(f64::from(value as f32 / scale));
    (steps + f64::from(zero_point)).clamp(f64::from(lo), f64::from(hi)) as i32
}
