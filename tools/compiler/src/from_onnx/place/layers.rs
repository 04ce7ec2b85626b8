//! Convolutions and matrix products: weights, scales and biases as integers.

use dyadic_kernels::ElemType;

use super::refine::refined;
use super::{NHWC, Placer, identity};
use crate::from_onnx::constant::Quantized;
use crate::from_onnx::reals::{Bias, Quant, RealConv, RealNode};
use crate::from_onnx::resolve::{bias_of, scale_of};
use crate::ir::{Activation, Conv, ConvKind, Op, Tensor};
use crate::prove::channel_intervals;
use crate::quantize::round_half_even;
use crate::unsupported::{Lowered, refuse, refuse_with};

impl Placer<'_> {
    pub(super) fn conv(&mut self, node: &RealNode, conv: &RealConv) -> Lowered {
        let Some(from) = self.reals.quant(node.inputs[0]) else {
            return refuse("its input has no quantizer");
        };
        if from.elem.bits() != 8 {
            return refuse_with(
                format!("an input of {} bits", from.elem.bits()),
                "add QuantizeLinear and DequantizeLinear to INT8, UINT8, INT4 or UINT4 before it",
            );
        }
        let matrix = conv.kind == ConvKind::FullyConnected;
        let order =
            if matrix { identity(self.reals.tensors[node.inputs[0]].shape.len()) } else { NHWC.to_vec() };
        let input = self.ordered(node.inputs[0], &order);
        let finer = self.reals.quant(node.output).and_then(|to| refined(conv, from, to));
        if finer.as_ref().is_some_and(|f| f.weights.bits > 4) {
            self.notes.push(format!(
                "the weights '{}' are kept in 8 bits: the bias of their layer needs finer steps than {} bits make \
                 (a bias that is quantized in the source keeps them)",
                conv.weights_name, conv.weights.bits
            ));
        }
        let conv = finer.as_ref().unwrap_or(conv);
        let weights = weights(conv)?;
        let mut bias = bias(conv, from)?;
        let output = self.made(node.output, order)?;
        if let Some(to) = self.reals.quant(node.output).filter(|q| q.elem != ElemType::S32) {
            let step = |c: usize| {
                f64::from(from.scale) * f64::from(scale_of(&weights.scales, c)) / f64::from(to.scale)
            };
            keep_in_range(&weights, &mut bias, from, to, step);
        }
        let weights = self.graph.add(weights);
        let op = Conv {
            kind: conv.kind,
            stride: conv.window.stride,
            dilation: conv.window.dilation,
            pad: conv.window.pad,
            groups: conv.groups,
            bias,
            activation: Activation::None,
            single_product: false,
        };
        self.push(node, Op::Conv(op), vec![input, weights], output);
        Ok(())
    }
}

/// Weights as OHWI (`[out, in]` for a matrix product), the gain of each channel in its scale.
fn weights(conv: &RealConv) -> Lowered<Tensor> {
    let matrix = conv.kind == ConvKind::FullyConnected;
    let source = if matrix { conv.weights.clone() } else { conv.weights.transposed(&NHWC) };
    if source.scales.len() > 1 && source.axis != 0 {
        return refuse_with(
            format!(
                "weights '{}' with one scale per element of axis {}",
                conv.weights_name, conv.weights.axis
            ),
            "quantize weights with one scale per tensor or per output channel",
        );
    }
    let channels = conv.gain.len();
    let depth = source.codes.len() / channels.max(1);
    let mut codes = source.centred();
    for (c, row) in codes.chunks_mut(depth.max(1)).enumerate() {
        if conv.gain[c] < 0.0 {
            row.iter_mut().for_each(|w| *w = w.saturating_neg());
        }
    }
    let (elem, zero_point, codes) = narrowest(&source, codes, conv.gain.iter().any(|g| *g < 0.0))?;
    let plain = conv.gain.iter().all(|g| *g == 1.0);
    let gained = |c: usize| {
        let gain = conv.gain[c].abs();
        // A channel that is multiplied by nothing has nothing but its offset; any scale does.
        let gain = if gain == 0.0 { 1.0 } else { gain };
        (f64::from(scale_of(&source.scales, c)) * gain) as f32
    };
    let scales: Vec<f32> = if plain { source.scales.clone() } else { (0..channels).map(gained).collect() };
    if scales.iter().any(|s| !(s.is_finite() && *s > 0.0)) {
        return refuse("scales of weights beyond the range of float32");
    }
    let mut tensor = Tensor {
        name: conv.weights_name.clone(),
        shape: source.shape.clone(),
        elem,
        zero_point,
        scales,
        codes: None,
        data: None,
    };
    let mut data = vec![0; tensor.bytes()];
    for (i, &code) in codes.iter().enumerate() {
        let silent = conv.gain[i / depth.max(1)] == 0.0;
        elem.store(&mut data, i, if silent { zero_point } else { code });
    }
    tensor.data = Some(data);
    Ok(tensor)
}

/// The type that holds centred weights: 4 bits where the source says so, else 8, with a zero point only where it must.
fn narrowest(source: &Quantized, centred: Vec<i32>, negated: bool) -> Lowered<(ElemType, i32, Vec<i32>)> {
    let fits = |elem: ElemType| centred.iter().all(|w| (elem.min()..=elem.max()).contains(w));
    if source.bits <= 4 && fits(ElemType::S4) {
        return Ok((ElemType::S4, 0, centred));
    }
    if fits(ElemType::S8) {
        return Ok((ElemType::S8, 0, centred));
    }
    let zero_point = source.zero_points[0];
    let one = source.zero_points.iter().all(|&z| z == zero_point) && !negated;
    // A signed zero point moves by 128 together with the codes.
    let shift = if source.codes.iter().any(|&c| c < 0) { 128 } else { 0 };
    let codes: Vec<i32> = source.codes.iter().map(|c| c.saturating_add(shift)).collect();
    let byte = |v: &i32| (0..=255).contains(v);
    if one && source.scales.len() == 1 && codes.iter().all(byte) && byte(&zero_point.saturating_add(shift)) {
        return Ok((ElemType::U8, zero_point + shift, codes));
    }
    refuse_with(
        "weights that do not fit 8 bits around their zero points",
        "quantize weights symmetrically (zero point 0) to INT8 or INT4",
    )
}

/// Bias in steps of the accumulator: `input scale * weight scale`, the gain of each channel included.
fn bias(conv: &RealConv, input: Quant) -> Lowered<Vec<i32>> {
    // What is a whole number but for the rounding of scales stays one.
    let down = |v: f64| libm::floor(v + 1e-6 * v.abs().max(1.0));
    let round = if conv.bias_down { down } else { round_half_even };
    let codes: Vec<f64> = (0..conv.gain.len()).map(|c| round(bias_steps(conv, input, c))).collect();
    match codes.iter().position(|v| !(f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(v)) {
        Some(c) => refuse_with(
            format!(
                "the bias of output channel {c} is {} steps of the accumulator, beyond 32 bits",
                codes[c]
            ),
            "quantize with a larger scale for this channel's weights, or the input",
        ),
        None => Ok(codes.into_iter().map(|v| v as i32).collect()),
    }
}

/// The bias of a channel before it is rounded to steps of the accumulator.
pub(super) fn bias_steps(conv: &RealConv, input: Quant, c: usize) -> f64 {
    let step = f64::from(input.scale) * f64::from(scale_of(&conv.weights.scales, c));
    let (gain, offset) = (conv.gain[c], conv.offset[c]);
    let sign = if gain < 0.0 { -1.0 } else { 1.0 };
    if gain == 0.0 {
        return offset / step;
    }
    let own = match &conv.bias {
        Bias::Accumulator(codes) => f64::from(codes[c]),
        // A scale that is the product of the two up to its rounding: the codes are in steps already.
        Bias::Codes(codes, scales) if (f64::from(scale_of(scales, c)) / step - 1.0).abs() < 1e-6 => {
            f64::from(codes[c])
        }
        other => bias_of(other, c, step) / step,
    };
    sign * own + offset / (step * gain.abs())
}

/// Output steps by which a bias may be moved: far below what an output can show.
const INVISIBLE: f64 = 1.0 / 256.0;

/// Quantizers cut the bias of a channel with next to no weights off at 32 bits, where its accumulator has no room left.
/// Such a bias is moved as far as needed where its output cannot show it: by next to nothing, or while every output of
/// the channel stays beyond the same end of the codes. `step` is that of the accumulator in steps of the output.
fn keep_in_range(weights: &Tensor, bias: &mut [i32], input: Quant, to: Quant, step: impl Fn(usize) -> f64) {
    let weight = dyadic_kernels::params::Quant { elem: weights.elem, zero_point: weights.zero_point };
    let centred = |code: i32| i64::from(code) - i64::from(input.zero_point);
    let range = (centred(input.codes.0), centred(input.codes.1));
    let data = weights.data.as_deref().unwrap_or(&[]);
    let intervals = channel_intervals(weight, data, bias, range);
    for (c, (bias, (lo, hi))) in bias.iter_mut().zip(intervals).enumerate() {
        let excess = (lo - i64::from(i32::MIN)).min(0) + (hi - i64::from(i32::MAX)).max(0);
        let own = i64::from(*bias);
        let (below, above) = (lo - own.min(0), hi - own.max(0));
        let code = |sum: i64| f64::from(to.zero_point) + sum as f64 * step(c);
        let moved = own - excess;
        let least = code(own.min(moved) + below) > f64::from(to.codes.1) + 1.0;
        let most = code(own.max(moved) + above) < f64::from(to.codes.0) - 1.0;
        if least || most || (excess as f64 * step(c)).abs() < INVISIBLE {
            // What does not fit even so is reported with the proof.
            *bias = i32::try_from(moved).unwrap_or(*bias);
        }
    }
}
