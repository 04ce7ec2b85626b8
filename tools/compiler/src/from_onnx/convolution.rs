//! Convolutions and matrix products, and the scales, biases and normalisations that follow them.

use super::attributes::Attributes;
use super::constant::{self, Quantized};
use super::reals::{Bias, Quant, RealConv, RealId, RealOp, Window};
use super::{Form, Value, Walk, activation_type};
use crate::import::onnx::Node;
use crate::ir::ConvKind;
use crate::unsupported::{Lowered, refuse, refuse_with};

/// A window over a picture and the extents it makes.
pub(super) struct Placed {
    /// The window.
    pub window: Window,
    /// Output height and width.
    pub output: [usize; 2],
}

/// The window of a convolution or pooling node over a picture of `input` height and width. `ceil` rounds the output
/// extents up, as some poolings do.
pub(super) fn window(node: &Node, input: [usize; 2], kernel: [usize; 2], ceil: bool) -> Lowered<Placed> {
    let pair = |v: Vec<usize>| [v[0], v[1]];
    let stride = pair(node.extents("strides", 2, 1)?);
    let dilation = pair(node.extents("dilations", 2, 1)?);
    let pads = node.extents("pads", 4, 0)?;
    if stride.contains(&0) || dilation.contains(&0) || kernel.contains(&0) {
        return refuse(format!(
            "kernel {kernel:?}, strides {stride:?}, dilations {dilation:?}: expected at least 1"
        ));
    }
    let mode = node.text("auto_pad", "NOTSET")?;
    let (mut pad, mut output) = ([0; 2], [0; 2]);
    for axis in 0..2 {
        let reach = (kernel[axis] - 1).saturating_mul(dilation[axis]) + 1;
        let extent = input[axis];
        let (before, after) = match mode {
            "NOTSET" | "" => (pads[axis], pads[axis + 2]),
            "VALID" => (0, 0),
            "SAME_UPPER" | "SAME_LOWER" => {
                let wanted = (extent.div_ceil(stride[axis]) - 1).saturating_mul(stride[axis]) + reach;
                let total = wanted.saturating_sub(extent);
                if mode == "SAME_UPPER" {
                    (total / 2, total.div_ceil(2))
                } else {
                    (total.div_ceil(2), total / 2)
                }
            }
            other => return refuse(format!("auto_pad {other}")),
        };
        let Some(rest) = (extent + before + after).checked_sub(reach) else {
            return refuse(format!(
                "a window of {reach} over {extent} elements and {before} + {after} of padding"
            ));
        };
        let steps = if ceil { rest.div_ceil(stride[axis]) } else { rest / stride[axis] };
        // No window starts behind the picture and the padding before it.
        let last = (extent + before - 1) / stride[axis];
        pad[axis] = before;
        output[axis] = if ceil { steps.min(last) } else { steps } + 1;
    }
    Ok(Placed { window: Window { kernel, stride, dilation, pad }, output })
}

impl<'m> Walk<'m> {
    /// Constant weights with their codes.
    pub(super) fn weights(&self, node: &Node, i: usize) -> Lowered<Quantized> {
        let name = node.inputs.get(i).map_or("", String::as_str);
        match self.value(node, i)? {
            Value::Quantized(constant) => Ok((*constant).clone()),
            Value::Constant(_) => refuse_with(
                format!("the weights '{name}' are not quantized"),
                format!("quantize the weights '{name}' to INT8 or INT4, per tensor or per output channel"),
            ),
            _ => refuse_with(
                format!("the weights '{name}' are computed at run time"),
                "only layers with constant weights have an integer form in Dyadic",
            ),
        }
    }

    pub(super) fn bias(&self, node: &Node, i: usize, channels: usize) -> Lowered<Bias> {
        let bias = match self.given(node, i) {
            None => return Ok(Bias::None),
            Some(Value::Constant(tensor)) => Bias::Real(constant::reals(tensor)?),
            Some(Value::Quantized(constant)) => Bias::Codes(constant.centred(), constant.scales.clone()),
            Some(_) => return refuse("a bias that is computed at run time"),
        };
        let count = match &bias {
            Bias::Real(values) => values.len(),
            Bias::Codes(codes, scales) if scales.len() == 1 || scales.len() == codes.len() => codes.len(),
            Bias::None | Bias::Accumulator(_) | Bias::Codes(..) => 0,
        };
        if count == channels {
            Ok(bias)
        } else {
            refuse(format!("{count} bias values for {channels} channels"))
        }
    }

    pub(super) fn conv(&mut self, node: &'m Node) -> Lowered {
        let x = self.real(node, 0)?;
        let weights = self.weights(node, 1)?;
        let bias = self.bias(node, 2, weights.shape.first().copied().unwrap_or(0))?;
        self.convolution(node, x, (weights, 1), bias, None)
    }

    /// A convolution of `x`; the weights come with the place of their name among the inputs.
    pub(super) fn convolution(
        &mut self,
        node: &'m Node,
        x: RealId,
        (mut weights, place): (Quantized, usize),
        bias: Bias,
        quant: Option<Quant>,
    ) -> Lowered {
        let from = self.reals.tensors[x].shape.clone();
        let line = from.len() == 3 && weights.shape.len() == 3;
        let &[n, c, h, w] = lifted(&from).as_slice() else {
            return refuse(format!("an input of shape {from:?}, expected one or two spatial axes"));
        };
        if line {
            weights.shape = lifted(&weights.shape);
            weights.axis += usize::from(weights.axis > 1);
        }
        let &[out, depth, kh, kw] = weights.shape.as_slice() else {
            return refuse(format!("weights of shape {:?}, expected 4 axes", weights.shape));
        };
        let groups = node.int("group", 1)?;
        let Some(groups) = usize::try_from(groups).ok().filter(|&g| g > 0 && c == depth.saturating_mul(g))
        else {
            return refuse(format!("{groups} groups of {depth} channels from an input of {c}"));
        };
        if out % groups != 0 || out == 0 {
            return refuse(format!("{out} output channels in {groups} groups"));
        }
        let placed =
            if line { line_window(node, [h, w], kw)? } else { window(node, [h, w], [kh, kw], false)? };
        let depthwise = depth == 1 && groups == c && groups > 1;
        let conv = RealConv {
            kind: if depthwise { ConvKind::Depthwise } else { ConvKind::Conv2d },
            weights_name: node.inputs[place].clone(),
            window: placed.window,
            groups,
            bias,
            gain: vec![1.0; out],
            offset: vec![0.0; out],
            weights,
        };
        let [oh, ow] = placed.output;
        let shape = vec![n, out, oh, ow];
        let op = RealOp::Conv(Box::new(conv));
        if !line {
            return self.made(node, shape, op, vec![x], quant);
        }
        let name = Self::name(node, 0);
        let picture = self.reals.alike(name, vec![n, c, h, w], x);
        self.reals.node(node.index, RealOp::Reshape, vec![x], picture);
        let output = self.reals.tensor(name, shape, quant);
        self.reals.node(node.index, op, vec![picture], output);
        let form = if quant.is_some() { Form::Codes } else { Form::Real };
        self.alike(node, form, output, vec![n, out, ow], RealOp::Reshape)
    }

    /// Defines the output of a node: codes where the node says which, else real numbers.
    pub(super) fn made(
        &mut self,
        node: &'m Node,
        shape: Vec<usize>,
        op: RealOp,
        inputs: Vec<RealId>,
        quant: Option<Quant>,
    ) -> Lowered {
        let count = shape.iter().try_fold(1usize, |n, &e| n.checked_mul(e).filter(|&n| n < 1 << 31));
        if shape.len() > dyadic_kernels::params::MAX_RANK || count.is_none_or(|n| n == 0) {
            return refuse(format!(
                "an output of shape {shape:?}, expected 1 to 2^31 - 1 elements and 8 axes"
            ));
        }
        let output = self.reals.tensor(Self::name(node, 0), shape, quant);
        self.reals.node(node.index, op, inputs, output);
        self.define(node, 0, if quant.is_some() { Value::Codes(output) } else { Value::Real(output) });
        Ok(())
    }

    pub(super) fn gemm(&mut self, node: &'m Node) -> Lowered {
        let x = self.real(node, 0)?;
        let mut weights = self.weights(node, 1)?;
        if node.int("transA", 0)? != 0 || self.reals.tensors[x].shape.len() != 2 || weights.shape.len() != 2 {
            return refuse("a product whose first factor is transposed or no matrix");
        }
        if node.int("transB", 0)? == 0 {
            weights = weights.transposed(&[1, 0]);
        }
        let (alpha, beta) = (node.float("alpha", 1.0)?, node.float("beta", 1.0)?);
        let channels = weights.shape[0];
        let (mut bias, mut offset) = (Bias::None, vec![0.0; channels]);
        if alpha == 1.0 && beta == 1.0 && self.is_row(node, 2, channels) {
            bias = self.bias(node, 2, channels)?;
        } else if let Some(addend) = self.addend(node, 2, channels)? {
            offset = addend.iter().map(|v| v * f64::from(beta)).collect();
        }
        self.product(node, x, (weights, 1), bias, (vec![f64::from(alpha); channels], offset), None)
    }

    /// Whether input `i` has one value per channel.
    fn is_row(&self, node: &Node, i: usize, channels: usize) -> bool {
        match self.given(node, i) {
            Some(Value::Constant(t)) => t.elements() == channels,
            Some(Value::Quantized(q)) => q.codes.len() == channels,
            _ => false,
        }
    }

    /// A constant that is added to every row, one value or one per channel.
    fn addend(&self, node: &Node, i: usize, channels: usize) -> Lowered<Option<Vec<f64>>> {
        let values = match self.given(node, i) {
            None => return Ok(None),
            Some(Value::Constant(tensor)) => constant::reals(tensor)?,
            Some(Value::Quantized(constant)) => constant.reals(),
            Some(_) => return refuse("an addend that is computed at run time"),
        };
        match values.len() {
            1 => Ok(Some(vec![values[0]; channels])),
            n if n == channels => Ok(Some(values)),
            n => refuse(format!("{n} values are added to {channels} channels")),
        }
    }

    /// Rows of `x` times constant weights `[out, in]`.
    pub(super) fn product(
        &mut self,
        node: &'m Node,
        x: RealId,
        (weights, place): (Quantized, usize),
        bias: Bias,
        (gain, offset): (Vec<f64>, Vec<f64>),
        quant: Option<Quant>,
    ) -> Lowered {
        let mut shape = self.reals.tensors[x].shape.clone();
        let (out, depth) = (weights.shape[0], weights.shape[1]);
        match shape.last_mut() {
            Some(last) if *last == depth && out > 0 => *last = out,
            _ => return refuse(format!("rows of {shape:?} times weights of {depth} by {out}")),
        }
        let window = Window { kernel: [1; 2], stride: [1; 2], dilation: [1; 2], pad: [0; 2] };
        let weights_name = node.inputs[place].clone();
        let kind = ConvKind::FullyConnected;
        let conv = RealConv { kind, weights, weights_name, window, groups: 1, bias, gain, offset };
        self.made(node, shape, RealOp::Conv(Box::new(conv)), vec![x], quant)
    }

    pub(super) fn matmul(&mut self, node: &'m Node) -> Lowered {
        let x = self.real(node, 0)?;
        let weights = self.weights(node, 1)?;
        if weights.shape.len() != 2 {
            return refuse(format!("weights of shape {:?}, expected a matrix", weights.shape));
        }
        let weights = weights.transposed(&[1, 0]);
        let channels = weights.shape[0];
        self.product(node, x, (weights, 1), Bias::None, (vec![1.0; channels], vec![0.0; channels]), None)
    }

    /// The whole-number operand of ConvInteger and MatMulInteger, and what its scale has to be divided out by.
    fn whole_operand(&mut self, node: &Node) -> Lowered<(RealId, f64)> {
        let Value::Codes(x) = self.value(node, 0)? else {
            return refuse_with(
                "an input that no quantizer with constant scale makes",
                "quantize statically",
            );
        };
        let zero_point = match self.whole(node, 2)?.as_deref() {
            None => 0,
            Some(&[zero]) => zero as i32,
            Some(_) => return refuse("several zero points of an activation"),
        };
        let Some(known) = self.reals.quant(x) else {
            let name = &self.reals.tensors[x].name;
            let elem = self.model.inputs.iter().find(|i| &i.name == name).and_then(|i| i.elem);
            let Some((elem, codes)) = elem.and_then(activation_type) else {
                return refuse("an input of unknown type");
            };
            self.reals.assign(x, Quant { elem, scale: 1.0, zero_point, codes });
            return Ok((x, 1.0));
        };
        if known.zero_point != zero_point {
            return refuse(format!("zero point {zero_point} for codes with zero point {}", known.zero_point));
        }
        Ok((x, 1.0 / f64::from(known.scale)))
    }

    fn whole_weights(&self, node: &Node) -> Lowered<Quantized> {
        let Some(tensor) = self.constant(node, 1)? else { return refuse("the weights are missing") };
        let codes: Vec<i32> = constant::integers(&tensor)?.into_iter().map(|v| v as i32).collect();
        let zero_points: Vec<i32> = match self.whole(node, 3)? {
            None => vec![0],
            Some(zeros) => zeros.into_iter().map(|z| z as i32).collect(),
        };
        let shape = tensor.shape.clone();
        let axis = if node.op == "MatMulInteger" { shape.len().saturating_sub(1) } else { 0 };
        if zero_points.len() > 1 && shape.get(axis) != Some(&zero_points.len()) || zero_points.is_empty() {
            return refuse(format!("{} zero points for weights of shape {shape:?}", zero_points.len()));
        }
        let scales = vec![1.0; zero_points.len()];
        Ok(Quantized { shape, codes, bits: 8, scales, zero_points, axis })
    }

    pub(super) fn conv_integer(&mut self, node: &'m Node) -> Lowered {
        let (x, gain) = self.whole_operand(node)?;
        let weights = self.whole_weights(node)?;
        self.convolution(node, x, (weights, 1), Bias::None, None)?;
        self.regained(node, gain)
    }

    pub(super) fn matmul_integer(&mut self, node: &'m Node) -> Lowered {
        let (x, gain) = self.whole_operand(node)?;
        let weights = self.whole_weights(node)?;
        if weights.shape.len() != 2 {
            return refuse(format!("weights of shape {:?}, expected a matrix", weights.shape));
        }
        let weights = weights.transposed(&[1, 0]);
        let channels = weights.shape[0];
        let affine = (vec![gain; channels], vec![0.0; channels]);
        self.product(node, x, (weights, 1), Bias::None, affine, None)
    }

    /// Multiplies what the node just made.
    fn regained(&mut self, node: &Node, gain: f64) -> Lowered {
        let Some(Value::Real(real)) = self.values.get(Self::name(node, 0)) else { return Ok(()) };
        let mut made = *real;
        // A convolution over one axis ends in a reshape.
        while let Some(producer) = self.reals.producer(made) {
            match &mut producer.op {
                RealOp::Conv(conv) => {
                    conv.gain.iter_mut().for_each(|g| *g *= gain);
                    return Ok(());
                }
                _ => made = producer.inputs[0],
            }
        }
        Ok(())
    }

    pub(super) fn batch_normalization(&mut self, node: &'m Node) -> Lowered {
        let real = self.real(node, 0)?;
        let mut lists = Vec::new();
        for i in 1..5 {
            let Some(tensor) = self.constant(node, i)? else {
                return refuse(format!("input {i} is missing"));
            };
            lists.push(constant::reals(&tensor)?);
        }
        let epsilon = f64::from(node.float("epsilon", 1e-5)?);
        let channels = self.reals.tensors[real].shape.get(1).copied().unwrap_or(0);
        if lists.iter().any(|l| l.len() != channels) {
            return refuse(format!("statistics that do not fit {channels} channels"));
        }
        let gain: Vec<f64> = (0..channels).map(|c| lists[0][c] / libm::sqrt(lists[3][c] + epsilon)).collect();
        let offset: Vec<f64> = (0..channels).map(|c| lists[1][c] - lists[2][c] * gain[c]).collect();
        self.scaled(node, real, &gain, &offset)
    }

    /// `gain * x + offset`, both one value or one per channel: part of the convolution that makes `x` where nothing else
    /// reads it, else a depthwise convolution of one tap.
    pub(super) fn scaled(&mut self, node: &'m Node, x: RealId, gain: &[f64], offset: &[f64]) -> Lowered {
        if gain.iter().chain(offset).any(|v| !v.is_finite()) {
            return refuse("a factor or addend that is no finite number");
        }
        let class = *self.reals.class(x);
        let at = |values: &[f64], c: usize| values[if values.len() == 1 { 0 } else { c }];
        let free = class.quant.is_none() && !class.shared && class.clip == (f64::NEG_INFINITY, f64::INFINITY);
        if free
            && let Some(producer) = self.reals.producer(x)
            && let RealOp::Conv(conv) = &mut producer.op
            && [gain.len(), offset.len()].iter().all(|&n| n == 1 || n == conv.gain.len())
        {
            for c in 0..conv.gain.len() {
                conv.gain[c] *= at(gain, c);
                conv.offset[c] = conv.offset[c] * at(gain, c) + at(offset, c);
            }
            producer.sources.push(node.index);
            self.reals.tensors[x].name = Self::name(node, 0).to_string();
            self.define(node, 0, Value::Real(x));
            return Ok(());
        }
        self.affine(node, x, gain, offset)
    }

    fn affine(&mut self, node: &'m Node, x: RealId, gain: &[f64], offset: &[f64]) -> Lowered {
        let shape = self.reals.tensors[x].shape.clone();
        let per_channel = gain.len() > 1 || offset.len() > 1;
        let picture = match *shape.as_slice() {
            [n, c, h, w] => vec![n, c, h, w],
            [n, c, w] if per_channel => vec![n, c, 1, w],
            [n, c] if per_channel => vec![n, c, 1, 1],
            _ if per_channel => {
                return refuse(format!("one factor per channel of a tensor of shape {shape:?}"));
            }
            _ => vec![1, 1, 1, shape.iter().product()],
        };
        let channels = picture[1];
        let at = |values: &[f64], c: usize| values[if values.len() == 1 { 0 } else { c }];
        let codes = (0..channels).map(|c| match at(gain, c) {
            0.0 => 0,
            g if g < 0.0 => -127,
            _ => 127,
        });
        let scales = (0..channels).map(|c| match at(gain, c).abs() {
            0.0 => 1.0,
            g => (g / 127.0) as f32,
        });
        let weights = Quantized {
            shape: vec![channels, 1, 1, 1],
            codes: codes.collect(),
            bits: 8,
            scales: scales.collect(),
            zero_points: vec![0; channels],
            axis: 0,
        };
        let conv = RealConv {
            kind: if channels > 1 { ConvKind::Depthwise } else { ConvKind::Conv2d },
            weights,
            weights_name: format!("factors of {}", Self::name(node, 0)),
            window: Window { kernel: [1; 2], stride: [1; 2], dilation: [1; 2], pad: [0; 2] },
            groups: channels,
            bias: Bias::Real((0..channels).map(|c| at(offset, c)).collect()),
            gain: vec![1.0; channels],
            offset: vec![0.0; channels],
        };
        let op = RealOp::Conv(Box::new(conv));
        if picture == shape {
            return self.made(node, shape, op, vec![x], None);
        }
        let name = Self::name(node, 0);
        let lifted = self.reals.alike(name, picture.clone(), x);
        self.reals.node(node.index, RealOp::Reshape, vec![x], lifted);
        let output = self.reals.tensor(name, picture, None);
        self.reals.node(node.index, op, vec![lifted], output);
        self.alike(node, Form::Real, output, shape, RealOp::Reshape)
    }
}

/// A shape with one spatial axis as one with two, the first of extent 1.
pub(super) fn lifted(shape: &[usize]) -> Vec<usize> {
    let mut shape = shape.to_vec();
    if shape.len() == 3 {
        shape.insert(2, 1);
    }
    shape
}

/// The window of a convolution over one axis.
fn line_window(node: &Node, [_, w]: [usize; 2], kernel: usize) -> Lowered<Placed> {
    let one = |name, default| node.extents(name, 1, default).map(|v| v[0]);
    let pads = node.extents("pads", 2, 0)?;
    let mut flat = Node { op: node.op.clone(), ..Node::default() };
    let list = |a: usize, b: usize| crate::import::onnx::Attribute::Ints(vec![a as i64, b as i64]);
    flat.attributes.insert("strides".to_string(), list(1, one("strides", 1)?));
    flat.attributes.insert("dilations".to_string(), list(1, one("dilations", 1)?));
    let pads = crate::import::onnx::Attribute::Ints(vec![0, pads[0] as i64, 0, pads[1] as i64]);
    flat.attributes.insert("pads".to_string(), pads);
    if let Some(mode) = node.attributes.get("auto_pad") {
        flat.attributes.insert("auto_pad".to_string(), mode.clone());
    }
    window(&flat, [1, w], [1, kernel], false)
}
