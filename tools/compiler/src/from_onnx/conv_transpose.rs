//! ConvTranspose as a convolution that makes every output pixel of a block as channels of its own, which are then laid
//! out as pixels. No zeros are multiplied, and every kernel of the convolution serves.
//!
//! With stride `s` and padding `p`, output `o` sums `x[i] * w[k]` over `i * s + k = o + p`. Let `o + p = u * s + r`: the
//! taps of remainder `r` are `k = r + s * j`, and they meet the inputs `i = u - j`: a convolution over `u` with
//! `ceil(k / s)` taps for each remainder.

use super::attributes::Attributes;
use super::constant::Quantized;
use super::reals::{Bias, RealConv, RealId, RealOp, Window};
use super::{Form, Walk};
use crate::import::onnx::Node;
use crate::ir::ConvKind;
use crate::unsupported::{Lowered, refuse, refuse_with};

/// One spatial axis.
#[derive(Clone, Copy, Debug)]
struct Axis {
    /// Taps, dilation included.
    kernel: usize,
    stride: usize,
    dilation: usize,
    /// Taps of the convolution.
    taps: usize,
    /// Padding of the convolution.
    pad: usize,
    /// Blocks that the convolution makes.
    blocks: usize,
    /// Output pixels that are cut off before the first.
    skip: usize,
    output: usize,
}

impl<'m> Walk<'m> {
    pub(super) fn conv_transpose(&mut self, node: &'m Node) -> Lowered {
        let x = self.real(node, 0)?;
        let weights = self.weights(node, 1)?;
        let from = self.reals.tensors[x].shape.clone();
        let (&[n, c, h, w], &[depth, per_group, kh, kw]) = (from.as_slice(), weights.shape.as_slice()) else {
            return refuse(format!(
                "an input of shape {from:?} and weights of {:?}: expected 4 axes",
                weights.shape
            ));
        };
        let groups = usize::try_from(node.int("group", 1)?).unwrap_or(0);
        if groups == 0 || depth != c || c % groups != 0 || per_group == 0 {
            return refuse(format!(
                "weights of shape {:?} in {groups} groups for {c} channels",
                weights.shape
            ));
        }
        let axes = [axis(node, 0, h, kh)?, axis(node, 1, w, kw)?];
        let channels = per_group * groups;
        let bias = self.bias(node, 2, channels)?;
        let conv = spread(&weights, &axes, groups, bias, node)?;
        let [y, x_axis] = axes;
        let name = Self::name(node, 0);
        let blocks = vec![n, conv.gain.len(), y.blocks, x_axis.blocks];
        let made = self.reals.tensor(name, blocks, None);
        self.reals.node(node.index, RealOp::Conv(Box::new(conv)), vec![x], made);
        let block = [y.stride, x_axis.stride];
        let whole = vec![n, channels, y.blocks * y.stride, x_axis.blocks * x_axis.stride];
        let output = vec![n, channels, y.output, x_axis.output];
        let shuffle = RealOp::DepthToSpace { block, groups, depth_first: false };
        if whole == output {
            return self.alike(node, Form::Real, made, output, shuffle);
        }
        let picture: RealId = self.reals.alike(name, whole, made);
        self.reals.node(node.index, shuffle, vec![made], picture);
        let cut = RealOp::Slice { start: vec![0, 0, y.skip, x_axis.skip], step: vec![1; 4] };
        self.alike(node, Form::Real, picture, output, cut)
    }
}

/// Geometry of spatial axis `place` with `input` elements and `taps` weights.
fn axis(node: &Node, place: usize, input: usize, taps: usize) -> Lowered<Axis> {
    let one = |name: &str, default| node.extents(name, 2, default).map(|v| v[place]);
    let (stride, dilation, more) = (one("strides", 1)?, one("dilations", 1)?, one("output_padding", 0)?);
    if stride == 0 || dilation == 0 || taps == 0 || stride > 64 {
        return refuse(format!(
            "{taps} taps, stride {stride}, dilation {dilation}: expected 1 or more, stride to 64"
        ));
    }
    let kernel = (taps - 1).saturating_mul(dilation) + 1;
    let full = (input - 1) * stride + kernel + more;
    let pads = node.extents("pads", 4, 0)?;
    let stated = node.ints("output_shape")?.and_then(|s| s.get(s.len().wrapping_sub(2 - place)).copied());
    let mode = node.text("auto_pad", "NOTSET")?;
    let wanted = match (stated, mode) {
        (Some(extent), _) => match usize::try_from(extent) {
            Ok(extent) => Some(extent),
            Err(_) => return refuse(format!("an output of {extent} elements")),
        },
        (None, "SAME_UPPER" | "SAME_LOWER") => Some(input * stride),
        (None, _) => None,
    };
    let (before, output) = match wanted {
        Some(output) => {
            let total = full.saturating_sub(output);
            // The odd element goes to the end, for SAME_LOWER to the beginning.
            (if mode == "SAME_LOWER" { total.div_ceil(2) } else { total / 2 }, output)
        }
        None if mode == "VALID" => (0, full),
        None => (pads[place], full.saturating_sub(pads[place] + pads[place + 2])),
    };
    if output == 0 || output > full {
        return refuse(format!("an output of {output} elements from {full}"));
    }
    let taps = kernel.div_ceil(stride);
    let (first, last) = (before / stride, (before + output - 1) / stride);
    let Some(pad) = (taps - 1).checked_sub(first) else {
        return refuse_with("more padding than the kernel reaches", "cut the output with Slice instead");
    };
    let blocks = last - first + 1;
    Ok(Axis { kernel, stride, dilation, taps, pad, blocks, skip: before - first * stride, output })
}

/// The convolution that makes all pixels of a block: `groups * block * outputs per group` channels.
fn spread(
    weights: &Quantized,
    axes: &[Axis; 2],
    groups: usize,
    bias: Bias,
    node: &Node,
) -> Lowered<RealConv> {
    let [c, per_group, kh, kw] = [0, 1, 2, 3].map(|a| weights.shape[a]);
    let [y, x] = *axes;
    let (own, block) = (c / groups, y.stride * x.stride);
    let per_channel = weights.scales.len() > 1;
    if per_channel && (weights.axis != 1 || groups > 1) {
        return refuse_with(
            format!("weights with one scale per element of axis {} in {groups} groups", weights.axis),
            "quantize the weights of a transposed convolution per tensor, or per output channel without groups",
        );
    }
    let channels = groups * block * per_group;
    let shape = vec![channels, own, y.taps, x.taps];
    let count = shape.iter().try_fold(1usize, |n, &e| n.checked_mul(e)).filter(|&n| n < 1 << 28);
    let Some(count) = count else { return refuse("weights of more than 2^28 elements") };
    let centred = weights.centred();
    let mut codes = vec![0; count];
    for (i, &code) in centred.iter().enumerate() {
        let (kx, ky) = (i % kw * x.dilation, i / kw % kh * y.dilation);
        let (m, input) = (i / (kw * kh) % per_group, i / (kw * kh * per_group));
        let (group, depth) = (input / own, input % own);
        let (ry, jy, rx, jx) = (ky % y.stride, ky / y.stride, kx % x.stride, kx / x.stride);
        let channel = (group * block + ry * x.stride + rx) * per_group + m;
        // The convolution counts its taps the other way.
        let tap = (y.taps - 1 - jy) * x.taps + x.taps - 1 - jx;
        codes[(channel * own + depth) * y.taps * x.taps + tap] = code;
    }
    debug_assert!(y.kernel <= y.taps * y.stride && x.kernel <= x.taps * x.stride);
    // Channel of the source for a channel of the convolution.
    let source = |channel: usize| channel / (block * per_group) * per_group + channel % per_group;
    let every = |values: &[f32]| -> Vec<f32> { (0..channels).map(|k| values[source(k)]).collect() };
    let bias = match bias {
        Bias::None => Bias::None,
        Bias::Accumulator(b) => Bias::Accumulator((0..channels).map(|k| b[source(k)]).collect()),
        Bias::Real(b) => Bias::Real((0..channels).map(|k| b[source(k)]).collect()),
        Bias::Codes(b, scales) => {
            let scales = if scales.len() > 1 { every(&scales) } else { scales };
            Bias::Codes((0..channels).map(|k| b[source(k)]).collect(), scales)
        }
    };
    let scales = if per_channel { every(&weights.scales) } else { weights.scales.clone() };
    let zero_points = vec![0; scales.len()];
    Ok(RealConv {
        kind: ConvKind::Conv2d,
        weights: Quantized { shape, codes, bits: weights.bits, scales, zero_points, axis: 0 },
        weights_name: node.inputs[1].clone(),
        window: Window { kernel: [y.taps, x.taps], stride: [1; 2], dilation: [1; 2], pad: [y.pad, x.pad] },
        groups,
        bias,
        gain: vec![1.0; channels],
        bias_down: false,
        offset: vec![0.0; channels],
    })
}
