//! The quantizers of QONNX: Quant, BipolarQuant and Trunc quantize and give back real numbers in one node.
//!
//! Activations round to the nearest code, ties up, where QONNX has them even: at most one code apart, at ties only.
//! Rounding down and up is rounding to the nearest of a number that is half a code less or more.

use std::rc::Rc;

use dyadic_kernels::ElemType;

use super::attributes::Attributes;
use super::constant::{self, Quantized};
use super::quantizers::scales;
use super::reals::{Quant, RealId, RealOp};
use super::resolve::scale_of;
use super::{Value, Walk};
use crate::import::onnx::{Node, Tensor};
use crate::ir::Function;
use crate::quantize::round_half_even;
use crate::unsupported::{Lowered, refuse, refuse_with};
use rounding::{Rounding, code_range};

mod rounding;

/// The type that holds codes of an activation.
fn activation(range: (i32, i32), scale: f32, zero_point: i32) -> Lowered<Quant> {
    let holds = |e: &ElemType| e.min() <= range.0 && range.1 <= e.max();
    let zero = |e: &ElemType| (e.min()..=e.max()).contains(&zero_point);
    match [ElemType::U8, ElemType::S8, ElemType::S16].into_iter().find(|e| holds(e) && zero(e)) {
        Some(elem) => Ok(Quant { elem, scale, zero_point, codes: range }),
        None => refuse_with(
            format!("an activation with codes of {} to {} and zero point {zero_point}", range.0, range.1),
            "quantize activations to 8 bits or fewer",
        ),
    }
}

impl<'m> Walk<'m> {
    /// Input `i` of a node as one whole number.
    fn one_whole(&self, node: &Node, i: usize, what: &str) -> Lowered<i32> {
        match self.constant(node, i)?.map(|t| constant::reals(&t)).transpose()?.as_deref() {
            Some(&[v]) if v == libm::floor(v) && v.abs() <= f64::from(i32::MAX) => Ok(v as i32),
            Some(values) => refuse(format!("a {what} of {values:?}, expected one whole number")),
            None => refuse(format!("the {what} is missing")),
        }
    }

    pub(super) fn quant(&mut self, node: &'m Node) -> Lowered {
        let bits = u32::try_from(self.one_whole(node, 3, "bit width")?).unwrap_or(0);
        let signed = node.int("signed", 1)? != 0;
        // One bit and a sign: two values, as qonnx has it.
        if bits == 1 && signed {
            return self.bipolar(node);
        }
        let range = code_range(bits, signed, node.int("narrow", 0)? != 0)?;
        let rounding = Rounding::of(node, "ROUND")?;
        let Some(scale) = self.constant(node, 1)? else { return refuse("the scale is missing") };
        let zero = self.constant(node, 2)?.map(|t| constant::reals(&t)).transpose()?.unwrap_or(vec![0.0]);
        if let Some(zero) = zero.iter().find(|z| **z != libm::floor(**z) || z.abs() > 65536.0) {
            return refuse(format!("a zero point of {zero}, expected whole numbers of at most 16 bits"));
        }
        let zero_points: Vec<i32> = zero.into_iter().map(|z| z as i32).collect();
        if let Value::Constant(tensor) = self.value(node, 0)? {
            let constant = quantized(&tensor, &scale, zero_points, (bits, range), rounding)?;
            self.define(node, 0, Value::Quantized(Rc::new(constant)));
            return Ok(());
        }
        let (&[scale], &[zero_point]) = (scales(&scale)?.as_slice(), zero_points.as_slice()) else {
            return refuse_with(
                "an activation with one scale per channel",
                "quantize activations with one scale per tensor",
            );
        };
        let quant = activation(range, scale, zero_point)?;
        let real = self.real(node, 0)?;
        let real = self.rounded(node, real, quant, rounding)?;
        self.define(node, 0, Value::Real(real));
        Ok(())
    }

    /// The tensor with the codes that a quantizer asks for, rounded as it asks.
    fn rounded(&mut self, node: &'m Node, real: RealId, quant: Quant, rounding: Rounding) -> Lowered<RealId> {
        let class = *self.reals.class(real);
        let never_negative = quant.codes.0 >= quant.zero_point || class.clip.0 >= 0.0;
        let Some(half) = rounding.half(never_negative) else {
            return refuse_with(
                "an activation that may be negative, rounded toward or away from zero",
                "export activations with rounding mode ROUND or FLOOR",
            );
        };
        let on_grid = class.quant.is_some_and(|known| known.reads_like(&quant));
        let fed = class.quant.is_none() && self.reals.tensors[real].fed;
        if half == 0.0 || on_grid || fed {
            return Ok(self.requantized(node, real, quant));
        }
        // A number that is a code already must stay: less than half a step of the accumulator away.
        let nudge = if half < 0.0 { 0.49 } else { -0.51 };
        if class.quant.is_none() && !class.shared && self.nudged(real, half * f64::from(quant.scale), nudge) {
            return Ok(self.requantized(node, real, quant));
        }
        let (elem, code, scale) = if half < 0.0 {
            (ElemType::S8, -1, quant.scale / 2.0)
        } else {
            (ElemType::S16, 32767, quant.scale / 65536.0)
        };
        if scale == 0.0 {
            return refuse(format!("a scale of {}", quant.scale));
        }
        let step = Quant { elem, scale, zero_point: 0, codes: (elem.min(), elem.max()) };
        Ok(self.plus_code(node, real, (code, step), quant))
    }

    /// `real` plus one constant code, with codes of `quant`.
    fn plus_code(&mut self, node: &Node, real: RealId, (code, step): (i32, Quant), quant: Quant) -> RealId {
        let shape = self.reals.tensors[real].shape.clone();
        let name = Self::name(node, 0);
        let addend = self.reals.tensor(&format!("addend of {name}"), vec![1; shape.len()], Some(step));
        self.reals.tensors[addend].codes = Some(vec![code]);
        let output = self.reals.tensor(name, shape, Some(quant));
        self.reals.node(node.index, RealOp::Add { subtract: false }, vec![real, addend], output);
        output
    }

    /// Adds to the layer that makes a tensor, if one does, a number and `steps` of its accumulator.
    fn nudged(&mut self, real: RealId, number: f64, steps: f64) -> bool {
        let Some(sizes) = self.steps(real) else { return false };
        let Some(RealOp::Conv(conv)) = self.reals.maker(real).map(|n| &mut n.op) else { return false };
        for (offset, size) in conv.offset.iter_mut().zip(sizes) {
            *offset += number + steps * size;
        }
        true
    }

    /// What a step of the accumulator of each channel is worth, for what a layer makes of known codes.
    fn steps(&mut self, real: RealId) -> Option<Vec<f64>> {
        let maker = self.reals.maker(real)?;
        let (input, RealOp::Conv(conv)) = (maker.inputs[0], &maker.op) else { return None };
        let gain = |g: f64| if g == 0.0 { 1.0 } else { g.abs() };
        let size = |c: usize| gain(conv.gain[c]) * f64::from(scale_of(&conv.weights.scales, c));
        let sizes: Vec<f64> = (0..conv.gain.len()).map(size).collect();
        let from = f64::from(self.reals.quant(input)?.scale);
        Some(sizes.into_iter().map(|s| s * from).collect())
    }

    /// `scale` where the value is at least 0, else `-scale`.
    pub(super) fn bipolar(&mut self, node: &'m Node) -> Lowered {
        let Some(scale) = self.constant(node, 1)? else { return refuse("the scale is missing") };
        let scales = scales(&scale)?;
        if let Value::Constant(tensor) = self.value(node, 0)? {
            let axis = scale_axis(&scale, tensor.shape.len())?;
            check_axis(&scales, axis, &tensor.shape)?;
            let codes = constant::reals(&tensor)?.iter().map(|&v| if v >= 0.0 { 1 } else { -1 }).collect();
            let zero_points = vec![0; scales.len()];
            let constant =
                Quantized { shape: tensor.shape.clone(), codes, bits: 2, scales, zero_points, axis };
            self.define(node, 0, Value::Quantized(Rc::new(constant)));
            return Ok(());
        }
        let &[scale] = scales.as_slice() else {
            return refuse_with(
                "an activation with one scale per channel",
                "quantize activations with one scale per tensor",
            );
        };
        let real = self.real(node, 0)?;
        let real = self.two_values(node, real, scale)?;
        self.define(node, 0, Value::Real(real));
        Ok(())
    }

    /// Below zero, or not: a table of 8-bit codes. What is wider gets codes -1 and 0 first, of a scale so small that
    /// nothing below zero becomes 0.
    fn two_values(&mut self, node: &'m Node, real: RealId, magnitude: f32) -> Lowered<RealId> {
        let class = *self.reals.class(real);
        let eight = class.quant.is_some_and(|known| known.elem.bits() == 8);
        let signs = if eight { real } else { self.signs(node, real)? };
        let shape = self.reals.tensors[real].shape.clone();
        let quant = Quant { elem: ElemType::S8, scale: magnitude, zero_point: 0, codes: (-1, 1) };
        let output = self.reals.tensor(Self::name(node, 0), shape, Some(quant));
        self.reals.node(node.index, RealOp::Function(Function::Sign { magnitude }), vec![signs], output);
        Ok(output)
    }

    /// Codes -1 for what is below zero, 0 for the others: the output of a layer, or codes of more than 8 bits.
    fn signs(&mut self, node: &'m Node, real: RealId) -> Lowered<RealId> {
        let class = *self.reals.class(real);
        let fine = match class.quant {
            Some(known) => Some(known.scale),
            None if class.shared || class.clip != (f64::NEG_INFINITY, f64::INFINITY) => None,
            None => self.steps(real).and_then(|s| s.into_iter().reduce(f64::min)).map(|s| s as f32),
        };
        let Some(fine) = fine.filter(|f| *f > 0.0 && f.is_finite()) else {
            return refuse_with(
                "two values of what is neither quantized nor the output of a layer that nothing else reads",
                "add a Quant of 8 bits before this BipolarQuant",
            );
        };
        if class.quant.is_none()
            && let Some(RealOp::Conv(conv)) = self.reals.maker(real).map(|n| &mut n.op)
        {
            conv.bias_down = true;
        }
        let quant = Quant { elem: ElemType::S8, scale: fine, zero_point: 0, codes: (-1, 0) };
        Ok(self.requantized(node, real, quant))
    }

    /// Whole multiples of a scale divided by a power of two: one that the two bit widths say (five inputs), with the
    /// scale kept, or the quotient of two scales (six).
    pub(super) fn trunc(&mut self, node: &'m Node) -> Lowered {
        let one_scale =
            |walk: &Self, i| match walk.constant(node, i)?.map(|t| scales(&t)).transpose()?.as_deref() {
                Some(&[scale]) => Ok(f64::from(scale)),
                _ => refuse("a truncation with several scales or none"),
            };
        if self.one_whole(node, 2, "zero point")? != 0 {
            return refuse_with("a truncation with a zero point", "quantize with zero point 0 before Trunc");
        }
        let given = one_scale(self, 1)?;
        let newer = node.inputs.get(5).is_some_and(|i| !i.is_empty());
        let from_bits = self.one_whole(node, 3, "bit width")?;
        let to_bits = self.one_whole(node, if newer { 5 } else { 4 }, "bit width")?;
        let (stated, shift) = if newer {
            let stated = one_scale(self, 4)?;
            (stated, round_half_even(libm::log2(stated / given)))
        } else {
            (given, f64::from(from_bits) - f64::from(to_bits))
        };
        if !(0.0..=24.0).contains(&shift) {
            return refuse(format!("a truncation of {shift} bits, expected 0 to 24"));
        }
        let bits = u32::try_from(to_bits).unwrap_or(0);
        let real = self.real(node, 0)?;
        let signed = if newer { node.int("signed", 1)? != 0 } else { !self.never_negative(real) };
        let range = code_range(bits, signed, newer && node.int("narrow", 0)? != 0)?;
        let coarse = libm::ldexp(given, shift as i32);
        let quant = activation(range, coarse as f32, 0)?;
        let rounding = Rounding::of(node, "FLOOR")?;
        let real = self.rounded(node, real, quant, rounding)?;
        // The same codes under the scale that the node states.
        if (stated / coarse - 1.0).abs() < 1e-6 {
            self.define(node, 0, Value::Real(real));
            return Ok(());
        }
        self.scaled(node, real, (&[stated / coarse], &[0.0]), 0)
    }

    /// Whether codes or clamps behind averages and moves leave nothing below zero.
    fn never_negative(&mut self, mut real: RealId) -> bool {
        loop {
            let class = *self.reals.class(real);
            if class.clip.0 >= 0.0 || class.quant.is_some_and(|q| q.codes.0 >= q.zero_point) {
                return true;
            }
            match self.reals.maker(real) {
                Some(node)
                    if matches!(
                        node.op,
                        RealOp::Mean { .. } | RealOp::AveragePool(_) | RealOp::Relabel { .. }
                    ) =>
                {
                    real = node.inputs[0];
                }
                _ => return false,
            }
        }
    }
}

/// The one axis along which scales differ.
fn scale_axis(scale: &Tensor, rank: usize) -> Lowered<usize> {
    let wide: Vec<usize> = (0..scale.shape.len()).filter(|&a| scale.shape[a] > 1).collect();
    match wide.as_slice() {
        [] => Ok(0),
        // Broadcast as NumPy does: the axes line up at the end.
        [axis] if rank >= scale.shape.len() => Ok(axis + rank - scale.shape.len()),
        _ => refuse_with(
            format!("scales of shape {:?}", scale.shape),
            "quantize with one scale per tensor or per output channel",
        ),
    }
}

fn check_axis(scales: &[f32], axis: usize, shape: &[usize]) -> Lowered {
    if scales.len() > 1 && shape.get(axis) != Some(&scales.len()) {
        return refuse(format!("{} scales along axis {axis} of {shape:?}", scales.len()));
    }
    Ok(())
}

fn quantized(
    tensor: &Tensor,
    scale: &Tensor,
    zero_points: Vec<i32>,
    (bits, (lo, hi)): (u32, (i32, i32)),
    rounding: Rounding,
) -> Lowered<Quantized> {
    let scales = scales(scale)?;
    let axis = scale_axis(scale, tensor.shape.len())?;
    let zero_points = match zero_points.as_slice() {
        &[zero] => vec![zero; scales.len()],
        zeros if zeros.len() == scales.len() => zeros.to_vec(),
        zeros => return refuse(format!("{} zero points for {} scales", zeros.len(), scales.len())),
    };
    check_axis(&scales, axis, &tensor.shape)?;
    let inner: usize = tensor.shape.iter().skip(axis + 1).product();
    let count = scales.len();
    let code = |(i, v): (usize, f64)| {
        let c = if count == 1 { 0 } else { i / inner.max(1) % count };
        let quotient = f64::from(v as f32 / scales[c] + zero_points[c] as f32);
        rounding.round(quotient.clamp(lo.into(), hi.into())) as i32
    };
    let codes = constant::reals(tensor)?.into_iter().enumerate().map(code).collect();
    Ok(Quantized { shape: tensor.shape.clone(), codes, bits, scales, zero_points, axis })
}
