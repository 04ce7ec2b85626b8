//! Codes for tensors that no quantizer of the file names, where they follow from what is known, and a report of those
//! that have none.
//!
//! - A concatenation between quantized tensors and a quantizer: its inputs take the codes of its output, or its output
//!   those of its inputs where they are the same.
//! - A clamp of codes keeps them.
//! - A softmax has 256 steps.
//! - A layer that gives its accumulators to the caller gives them as they are, where one scale fits all.
//! - Averages of few codes have a code for every possible sum.
//! - Sums and layers that only sums and clamps read become 16-bit codes whose scale covers every value that can occur:
//!   finer than any 8-bit quantizer that follows, and nothing saturates.

use dyadic_kernels::ElemType;

use super::reals::{Bias, Quant, RealConv, RealId, RealOp};
use super::{Walk, named};
use crate::unsupported::{Refusal, Unsupported};

/// Assigns what follows and reports what is left.
pub(super) fn resolve(walk: &mut Walk, outputs: &[RealId]) {
    for index in (0..walk.reals.nodes.len()).rev() {
        concat_inputs(walk, index);
        relabel_input(walk, index);
    }
    let mut reported = vec![false; walk.reals.tensors.len()];
    for index in 0..walk.reals.nodes.len() {
        let node = &walk.reals.nodes[index];
        let (output, inputs) = (node.output, node.inputs.clone());
        if let Some(&open) = inputs.iter().find(|&&i| walk.reals.quant(i).is_none()) {
            if !reported[open] {
                report(walk, open, index);
            }
            reported[output] = true;
            continue;
        }
        if walk.reals.quant(output).is_none()
            && let Some(quant) = derived(walk, index, outputs)
        {
            walk.reals.assign(output, quant);
        }
    }
    for &output in outputs {
        if walk.reals.quant(output).is_none() && !reported[output] {
            let position = walk.reals.tensors[output].name.clone();
            report_output(walk, output, &position);
        }
    }
}

/// A branch without a quantizer of its own is quantized as the whole, which changes no value.
fn concat_inputs(walk: &mut Walk, index: usize) {
    let node = &walk.reals.nodes[index];
    if !matches!(node.op, RealOp::Concat { .. }) {
        return;
    }
    let Some(quant) = walk.reals.quant(node.output) else { return };
    for input in node.inputs.clone() {
        if walk.reals.quant(input).is_none() {
            walk.reals.assign(input, quant);
        }
    }
}

/// Numbers that are only multiplied before they are quantized are quantized with the scale that this gives.
fn relabel_input(walk: &mut Walk, index: usize) {
    let node = &walk.reals.nodes[index];
    let RealOp::Relabel { gain } = node.op else { return };
    let (input, quant) = (node.inputs[0], walk.reals.quant(node.output));
    let (class, fed) = (*walk.reals.class(input), walk.reals.tensors[input].fed);
    let open = class.quant.is_none() && class.fed.is_none() && (fed || !class.shared);
    let Some(quant) = quant.filter(|_| open).and_then(|q| q.relabelled(1.0 / gain)) else { return };
    walk.reals.assign(input, quant);
    if fed {
        walk.input_left_out(input);
    }
}

/// The codes of the output of a node whose inputs have theirs.
fn derived(walk: &mut Walk, index: usize, outputs: &[RealId]) -> Option<Quant> {
    let node = &walk.reals.nodes[index];
    let quants: Vec<Quant> = node.inputs.iter().filter_map(|&i| walk.reals.quant(i)).collect();
    let first = *quants.first()?;
    match &node.op {
        RealOp::Rescale => Some(first),
        RealOp::Concat { .. } => {
            let union = |q: Quant, o: &Quant| Quant {
                codes: (q.codes.0.min(o.codes.0), q.codes.1.max(o.codes.1)),
                ..q
            };
            quants.iter().all(|q| q.reads_like(&first)).then(|| quants.iter().fold(first, union))
        }
        RealOp::Softmax { .. } => {
            let elem = if first.elem == ElemType::U8 { ElemType::U8 } else { ElemType::S8 };
            let codes = (elem.min(), elem.max());
            Some(Quant { elem, scale: 1.0 / 256.0, zero_point: elem.min(), codes })
        }
        RealOp::Conv(conv) => {
            let given = walk.reals.class(node.output).clip == (f64::NEG_INFINITY, f64::INFINITY)
                && outputs.iter().any(|&o| walk.reals.same_class(o, node.output));
            match accumulator_scale(conv, first).filter(|_| given) {
                Some(scale) => {
                    let elem = ElemType::S32;
                    Some(Quant { elem, scale, zero_point: 0, codes: (elem.min(), elem.max()) })
                }
                None => wide(conv_reach(conv, first)?),
            }
        }
        RealOp::Add { .. } => {
            let reach: f64 = quants.iter().map(reach).sum();
            wide(reach)
        }
        RealOp::Mean { axes } => {
            let shape = &walk.reals.tensors[node.inputs[0]].shape;
            average(&first, axes.iter().map(|&a| shape[a]).product())
        }
        RealOp::AveragePool(window) => average(&first, window.kernel.iter().product()),
        RealOp::Relabel { gain } => first.relabelled(*gain),
        _ => None,
    }
}

/// Largest absolute value that codes stand for.
fn reach(quant: &Quant) -> f64 {
    let at = |code: i32| f64::from(code - quant.zero_point).abs() * f64::from(quant.scale);
    at(quant.codes.0).max(at(quant.codes.1))
}

/// 16-bit codes that reach so far; `None` beyond what a float32 scale can say.
fn wide(reach: f64) -> Option<Quant> {
    // Rounded up, so that the largest value has a code.
    let scale = (reach / 32766.0) as f32;
    // Nothing but zero needs no scale of its own.
    let scale = if scale > 0.0 { scale } else { 1.0 };
    scale.is_finite().then_some(Quant { elem: ElemType::S16, scale, zero_point: 0, codes: (-32768, 32767) })
}

/// 16-bit codes for averages of `count` codes: their sums where these fit, which loses nothing.
fn average(quant: &Quant, count: usize) -> Option<Quant> {
    let (coarse, sums) = (wide(reach(quant))?, quant.scale / count as f32);
    Some(if sums >= coarse.scale { Quant { scale: sums, ..coarse } } else { coarse })
}

/// The scale of all accumulators of a layer, if there is one.
fn accumulator_scale(conv: &RealConv, input: Quant) -> Option<f32> {
    let scales = &conv.weights.scales;
    let same = scales.iter().all(|s| *s == scales[0]) && conv.gain.iter().all(|g| *g == conv.gain[0]);
    let scale = f64::from(input.scale) * f64::from(scales[0]) * conv.gain[0];
    let scale = if conv.gain[0] == 1.0 { input.scale * scales[0] } else { scale as f32 };
    (same && scale > 0.0 && scale.is_finite()).then_some(scale)
}

/// Largest absolute value that a layer can give.
fn conv_reach(conv: &RealConv, input: Quant) -> Option<f64> {
    let channels = conv.gain.len();
    let weights = conv.weights.centred();
    let depth = weights.len() / channels.max(1);
    let (lo, hi) = (i64::from(input.codes.0 - input.zero_point), i64::from(input.codes.1 - input.zero_point));
    let mut most = 0.0f64;
    for c in 0..channels {
        let (mut below, mut above) = (0i64, 0i64);
        for &w in &weights[c * depth..(c + 1) * depth] {
            let (a, b) = (i64::from(w) * lo, i64::from(w) * hi);
            below = below.saturating_add(a.min(b).min(0));
            above = above.saturating_add(a.max(b).max(0));
        }
        let step = f64::from(input.scale) * f64::from(scale_of(&conv.weights.scales, c));
        let bias = bias_of(&conv.bias, c, step);
        let at = |sum: i64| (conv.gain[c] * (sum as f64 * step + bias) + conv.offset[c]).abs();
        most = most.max(at(below)).max(at(above));
    }
    most.is_finite().then_some(most)
}

/// Scale of a channel.
pub(super) fn scale_of(scales: &[f32], c: usize) -> f32 {
    scales[if scales.len() == 1 { 0 } else { c }]
}

/// Real value of the bias of a channel whose accumulator counts in steps of `step`.
pub(super) fn bias_of(bias: &Bias, c: usize, step: f64) -> f64 {
    match bias {
        Bias::None => 0.0,
        Bias::Accumulator(codes) => f64::from(codes[c]) * step,
        Bias::Codes(codes, scales) => f64::from(codes[c]) * f64::from(scale_of(scales, c)),
        Bias::Real(values) => values[c],
    }
}

/// A tensor without codes that node `reader` of the list reads.
fn report(walk: &mut Walk, open: RealId, reader: usize) {
    let source = walk.reals.nodes[reader].sources[0];
    let reads = walk.source(source).map(named).unwrap_or_default();
    let reason = format!("its output has no quantizer, and {reads} reads it");
    blame(walk, open, reason);
}

fn report_output(walk: &mut Walk, open: RealId, name: &str) {
    blame(walk, open, format!("the output '{name}' has no quantizer"));
}

fn blame(walk: &mut Walk, open: RealId, reason: String) {
    let name = walk.reals.tensors[open].name.clone();
    let maker = walk.reals.producer(open).and_then(|n| n.sources.last().copied());
    match maker.and_then(|index| walk.source(index)) {
        Some(node) => {
            let remedy = format!(
                "add QuantizeLinear and DequantizeLinear after {}, or cut the network before it with --cut-at",
                named(node)
            );
            walk.refused(node, Refusal { reason, remedy });
        }
        None => walk.problems.push(Unsupported {
            position: None,
            operator: "input".to_string(),
            elem: "FLOAT".to_string(),
            tensor: name.clone(),
            reason: "real numbers that nothing quantizes".to_string(),
            remedy: format!("add QuantizeLinear and DequantizeLinear after '{name}'"),
        }),
    }
}
