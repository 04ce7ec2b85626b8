//! QuantizeLinear and DequantizeLinear: which codes a tensor of real numbers has.

use std::rc::Rc;

use dyadic_kernels::ElemType;

use super::attributes::Attributes;
use super::constant::{self, Quantized, quantize};
use super::reals::{Quant, RealId, RealOp};
use super::{Value, Walk, activation_type};
use crate::import::onnx::{DataType, Node, Tensor};
use crate::unsupported::{Lowered, refuse, refuse_with};

/// Scales and zero points of a quantizer.
pub(super) struct Scaling {
    /// One, or one per channel.
    pub scales: Vec<f32>,
    /// As many as scales.
    pub zero_points: Vec<i32>,
    /// Type of the codes.
    pub elem: DataType,
}

impl Scaling {
    /// The quantization of an activation: one scale.
    pub fn of_activation(&self) -> Lowered<Quant> {
        let (&[scale], &[zero_point]) = (self.scales.as_slice(), self.zero_points.as_slice()) else {
            return refuse_with(
                "an activation with one scale per channel",
                "quantize activations with one scale per tensor",
            );
        };
        let Some((elem, codes)) = activation_type(self.elem) else {
            return refuse_with(
                format!("an activation quantized to {}", self.elem),
                "quantize activations to UINT8, INT8, UINT4, INT4 or INT16",
            );
        };
        Ok(Quant { elem, scale, zero_point, codes })
    }
}

/// Scales as numbers that dyadic factors are made of.
pub(super) fn scales(tensor: &Tensor) -> Lowered<Vec<f32>> {
    let scales: Vec<f32> = constant::reals(tensor)?.into_iter().map(|s| s as f32).collect();
    match scales.iter().find(|s| !(s.is_finite() && **s > 0.0)) {
        Some(scale) => refuse(format!("a scale of {scale}, expected finite numbers above 0")),
        None if scales.is_empty() => refuse("no scale"),
        None => Ok(scales),
    }
}

impl<'m> Walk<'m> {
    /// Scales in input `scale`, zero points in the input after it, or of `default` type and 0.
    pub(super) fn scaling(&self, node: &Node, scale: usize, default: DataType) -> Lowered<Scaling> {
        let Some(tensor) = self.constant(node, scale)? else {
            return refuse("the scale is missing");
        };
        let scales = scales(&tensor)?;
        if tensor.shape.len() > 1 || node.int("block_size", 0)? != 0 {
            return refuse_with(
                "scales per block of elements",
                "quantize with one scale per tensor or per output channel",
            );
        }
        let (elem, zero_points) = match self.constant(node, scale + 1)? {
            Some(zero) => (zero.elem, constant::integers(&zero)?),
            None => (default, vec![0; scales.len()]),
        };
        let zero_points: Vec<i32> = match zero_points.as_slice() {
            // One for all.
            &[zero] => vec![zero as i32; scales.len()],
            zeros if zeros.len() == scales.len() => zeros.iter().map(|&z| z as i32).collect(),
            zeros => return refuse(format!("{} zero points for {} scales", zeros.len(), scales.len())),
        };
        Ok(Scaling { scales, zero_points, elem })
    }

    pub(super) fn quantize(&mut self, node: &'m Node) -> Lowered {
        let stated = DataType::from_number(node.int("output_dtype", 0)? as i32);
        let default = if stated == DataType::Other(0) { DataType::Uint8 } else { stated };
        let scaling = self.scaling(node, 1, default)?;
        if let Value::Constant(tensor) = self.value(node, 0)? {
            let codes = quantized_constant(&tensor, &scaling, node)?;
            self.define(node, 0, Value::Constant(Rc::new(codes)));
            return Ok(());
        }
        let real = self.real(node, 0)?;
        let real = self.requantized(node, real, scaling.of_activation()?);
        self.define(node, 0, Value::Codes(real));
        Ok(())
    }

    /// The tensor with the codes that a quantizer asks for: itself where none are known yet.
    pub(super) fn requantized(&mut self, node: &Node, real: RealId, quant: Quant) -> RealId {
        let name = Self::name(node, 0);
        match self.reals.quant(real) {
            None => {
                self.reals.assign(real, quant);
                if self.reals.tensors[real].fed {
                    self.input_left_out(real);
                } else {
                    self.reals.tensors[real].name = name.to_string();
                    self.reals.absorb(node.index, real);
                }
                real
            }
            Some(known) if known.reads_like(&quant) && within(known.codes, quant.codes) => {
                self.reals.absorb(node.index, real);
                real
            }
            Some(_) => {
                let shape = self.reals.tensors[real].shape.clone();
                let output = self.reals.tensor(name, shape, Some(quant));
                self.reals.node(node.index, RealOp::Rescale, vec![real], output);
                output
            }
        }
    }

    /// Says that the caller feeds codes in place of real numbers.
    pub(super) fn input_left_out(&mut self, real: RealId) {
        let name = &self.reals.tensors[real].name;
        self.notes.push(format!("float input '{name}' left out: the network takes its quantized form"));
    }

    pub(super) fn dequantize(&mut self, node: &'m Node) -> Lowered {
        let value = self.value(node, 0)?;
        let default = match &value {
            Value::Constant(tensor) => tensor.elem,
            Value::Codes(real) => self.type_of_codes(*real),
            _ => DataType::Uint8,
        };
        let scaling = self.scaling(node, 1, default)?;
        let result = match value {
            Value::Constant(tensor) => {
                // The default axis is 1, which a bias does not have.
                let axis = if tensor.shape.len() == 1 { 0 } else { node.int("axis", 1)? };
                Value::Quantized(Rc::new(with_scales(&tensor, scaling, axis)?))
            }
            Value::Codes(real) => self.read_as(real, scaling.of_activation()?)?,
            // Whole numbers that an integer operator made.
            Value::Real(real) if scaling.zero_points.iter().all(|&z| z == 0) => {
                let gains: Vec<f64> = scaling.scales.iter().map(|&s| f64::from(s)).collect();
                let axis = match gains.len() {
                    1 => 0,
                    _ => super::shapes::axis(node.int("axis", 1)?, self.reals.tensors[real].shape.len())?,
                };
                return self.scaled(node, real, (&gains, &[0.0]), axis);
            }
            _ => return refuse("the input is no tensor of codes"),
        };
        if let Value::Real(real) = result {
            self.reals.absorb(node.index, real);
        }
        self.define(node, 0, result);
        Ok(())
    }

    /// The type in the file of the codes of a tensor.
    fn type_of_codes(&self, real: RealId) -> DataType {
        if let Some(fed) = self.reals.class(real).fed {
            return fed;
        }
        match self.reals.quant(real).map(|q| q.elem) {
            Some(ElemType::S8) => DataType::Int8,
            Some(ElemType::S16) => DataType::Int16,
            _ => DataType::Uint8,
        }
    }

    /// Codes read with a scale: that of their quantizer, or the first one for codes that the caller feeds.
    pub(super) fn read_as(&mut self, real: RealId, quant: Quant) -> Lowered<Value> {
        let fed = self.reals.class(real).fed;
        if let Some((elem, _)) = fed.and_then(activation_type)
            && elem != quant.elem
        {
            return refuse_with(
                format!("codes of type {} read as {}", elem.name(), quant.elem.name()),
                "give the zero point the type of the codes",
            );
        }
        match self.reals.quant(real) {
            // Codes of an input: nothing narrows them but their type.
            None => self.reals.assign(real, quant),
            Some(known) if known.scale == quant.scale && known.zero_point == quant.zero_point => {}
            Some(known) => {
                return refuse_with(
                    format!(
                        "codes of '{}' made with scale {} and zero point {} are read with {} and {}",
                        self.reals.tensors[real].name,
                        known.scale,
                        known.zero_point,
                        quant.scale,
                        quant.zero_point
                    ),
                    "give the quantizer and its reader the same scale and zero point",
                );
            }
        }
        Ok(Value::Real(real))
    }

    /// A quantized constant as an operand.
    pub(super) fn constant_real(&mut self, name: &str, constant: &Quantized) -> Lowered<RealId> {
        let (&[scale], &[zero_point]) = (constant.scales.as_slice(), constant.zero_points.as_slice()) else {
            return refuse_with(
                format!("the constant '{name}' has one scale per channel"),
                "quantize constants that are no weights with one scale",
            );
        };
        let fits = |lo, hi| constant.codes.iter().all(|c| (lo..=hi).contains(c));
        let zero_fits = |elem: ElemType| (elem.min()..=elem.max()).contains(&zero_point);
        let elem = [ElemType::U8, ElemType::S8, ElemType::S16]
            .into_iter()
            .find(|e| fits(e.min(), e.max()) && zero_fits(*e));
        let Some(elem) = elem else {
            return refuse(format!("the constant '{name}' has codes beyond 16 bits"));
        };
        if constant.shape.contains(&0) {
            return refuse(format!("the constant '{name}' is empty"));
        }
        let codes = (elem.min(), elem.max());
        let quant = Quant { elem, scale, zero_point, codes };
        let real = self.reals.tensor(name, constant.shape.clone(), Some(quant));
        self.reals.tensors[real].codes = Some(constant.codes.clone());
        Ok(real)
    }
}

fn within(inner: (i32, i32), outer: (i32, i32)) -> bool {
    outer.0 <= inner.0 && inner.1 <= outer.1
}

/// The axis of scales, checked against a constant.
fn channel_axis(scaling: &Scaling, shape: &[usize], axis: i64) -> Lowered<usize> {
    if scaling.scales.len() == 1 {
        return Ok(0);
    }
    let axis = super::shapes::axis(axis, shape.len())?;
    if shape[axis] == scaling.scales.len() {
        return Ok(axis);
    }
    refuse(format!("{} scales along axis {axis} of {shape:?}", scaling.scales.len()))
}

/// Constant codes with their scales.
pub(super) fn with_scales(tensor: &Tensor, scaling: Scaling, axis: i64) -> Lowered<Quantized> {
    let axis = channel_axis(&scaling, &tensor.shape, axis)?;
    let codes = constant::integers(tensor)?.into_iter().map(|v| v as i32).collect();
    let bits = tensor.elem.bits().unwrap_or(32) as u32;
    let Scaling { scales, zero_points, .. } = scaling;
    Ok(Quantized { shape: tensor.shape.clone(), codes, bits, scales, zero_points, axis })
}

/// What QuantizeLinear makes of a constant.
fn quantized_constant(tensor: &Tensor, scaling: &Scaling, node: &Node) -> Lowered<Tensor> {
    let axis = channel_axis(scaling, &tensor.shape, node.int("axis", 1)?)?;
    let range = match scaling.elem {
        DataType::Int32 => (i32::MIN, i32::MAX),
        elem => match activation_type(elem) {
            Some((_, range)) => range,
            None => return refuse(format!("a constant quantized to {elem}")),
        },
    };
    let inner: usize = tensor.shape.iter().skip(axis + 1).product();
    let count = scaling.scales.len();
    let code = |(i, v): (usize, f64)| {
        let c = if count == 1 { 0 } else { i / inner.max(1) % count };
        i64::from(quantize(v, scaling.scales[c], scaling.zero_points[c], range))
    };
    let codes: Vec<i64> = constant::reals(tensor)?.into_iter().enumerate().map(code).collect();
    Ok(super::array::encoded(scaling.elem, tensor.shape.clone(), &codes))
}
