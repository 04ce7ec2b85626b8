//! Convolutions, and what they share with other layers with weights.

use super::attributes::Attributes;
use super::constant::{self, Quantized};
use super::reals::{Bias, Quant, RealConv, RealId, RealOp, Window};
use super::{Form, Value, Walk, shapes};
use crate::import::onnx::Node;
use crate::ir::ConvKind;
use crate::unsupported::{Lowered, refuse, refuse_with};

/// A window over a picture and the extents it makes.
pub(super) struct Placed {
    /// The window.
    pub window: Window,
    /// Padding below and to the right.
    pub after: [usize; 2],
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
    let (mut pad, mut below, mut output) = ([0; 2], [0; 2], [0; 2]);
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
        (pad[axis], below[axis]) = (before, after);
        output[axis] = if ceil { steps.min(last) } else { steps } + 1;
    }
    Ok(Placed { window: Window { kernel, stride, dilation, pad }, after: below, output })
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
            bias_down: false,
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
        shapes::possible(&shape)?;
        let output = self.reals.tensor(Self::name(node, 0), shape, quant);
        self.reals.node(node.index, op, inputs, output);
        self.define(node, 0, if quant.is_some() { Value::Codes(output) } else { Value::Real(output) });
        Ok(())
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
            self.whole_numbers(x, zero_point)?;
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
    window(&lined(node)?, [1, w], [1, kernel], false)
}

/// A node whose window goes over one axis as one whose window goes over two, the first of extent 1.
pub(super) fn lined(node: &Node) -> Lowered<Node> {
    use crate::import::onnx::Attribute::Ints;
    let mut flat = Node { op: node.op.clone(), attributes: node.attributes.clone(), ..Node::default() };
    for name in ["strides", "dilations", "kernel_shape"] {
        if node.attributes.contains_key(name) {
            let along = node.extents(name, 1, 1)?;
            flat.attributes.insert(name.to_string(), Ints(vec![1, along[0] as i64]));
        }
    }
    let pads = node.extents("pads", 2, 0)?;
    flat.attributes.insert("pads".to_string(), Ints(vec![0, pads[0] as i64, 0, pads[1] as i64]));
    Ok(flat)
}
