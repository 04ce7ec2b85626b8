//! Factors and addends per channel: normalisations, scales and biases that follow a layer, or stand alone.

use super::attributes::Attributes;
use super::constant::{self, Quantized};
use super::reals::{Bias, RealConv, RealId, RealOp, Window};
use super::{Form, Value, Walk};
use crate::import::onnx::Node;
use crate::ir::ConvKind;
use crate::unsupported::{Lowered, refuse, refuse_with};

impl<'m> Walk<'m> {
    pub(super) fn batch_normalization(&mut self, node: &'m Node) -> Lowered {
        let real = self.real(node, 0)?;
        let mut lists = Vec::new();
        for i in 1..5 {
            let Some(tensor) = self.constant(node, i)? else {
                return refuse(format!("input {i} is missing"));
            };
            lists.push(constant::reals(&tensor)?);
        }
        if node.int("training_mode", 0)? != 0 {
            return refuse_with("a normalisation by the statistics of the batch", "export for inference");
        }
        let epsilon = f64::from(node.float("epsilon", 1e-5)?);
        let channels = self.reals.tensors[real].shape.get(1).copied().unwrap_or(0);
        if lists.iter().any(|l| l.len() != channels) {
            return refuse(format!("statistics that do not fit {channels} channels"));
        }
        let gain: Vec<f64> = (0..channels).map(|c| lists[0][c] / libm::sqrt(lists[3][c] + epsilon)).collect();
        let offset: Vec<f64> = (0..channels).map(|c| lists[1][c] - lists[2][c] * gain[c]).collect();
        self.scaled(node, real, (&gain, &offset), 1)
    }

    /// `gain * x + offset`, both one value or one per element of `axis`: part of the convolution that makes `x` where
    /// nothing else reads it, one positive factor the same codes under another scale, else a depthwise convolution of one tap.
    pub(super) fn scaled(
        &mut self,
        node: &'m Node,
        x: RealId,
        (gain, offset): (&[f64], &[f64]),
        axis: usize,
    ) -> Lowered {
        let shape = &self.reals.tensors[x].shape;
        let (rank, channels) = (shape.len(), shape.get(axis).copied());
        if [gain, offset].iter().any(|v| v.len() != 1 && Some(v.len()) != channels) {
            return refuse(format!(
                "{} factors and {} addends along axis {axis} of {shape:?}",
                gain.len(),
                offset.len()
            ));
        }
        if gain.iter().chain(offset).any(|v| !v.is_finite()) {
            return refuse("a factor or addend that is no finite number");
        }
        let class = *self.reals.class(x);
        let at = |values: &[f64], c: usize| values[if values.len() == 1 { 0 } else { c }];
        let free = class.quant.is_none() && !class.shared && class.clip == (f64::NEG_INFINITY, f64::INFINITY);
        if free
            && let Some(producer) = self.reals.producer(x)
            && let RealOp::Conv(conv) = &mut producer.op
            && (gain.len() == 1 && offset.len() == 1 || axis == conv.channel_axis(rank))
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
        if let (&[gain], &[0.0]) = (gain, offset)
            && gain > 0.0
        {
            let shape = self.reals.tensors[x].shape.clone();
            return self.made(node, shape, RealOp::Relabel { gain }, vec![x], None);
        }
        self.affine(node, x, (gain, offset), axis)
    }

    fn affine(
        &mut self,
        node: &'m Node,
        x: RealId,
        (gain, offset): (&[f64], &[f64]),
        axis: usize,
    ) -> Lowered {
        let shape = self.reals.tensors[x].shape.clone();
        let per_channel = gain.len() > 1 || offset.len() > 1;
        let picture = match *shape.as_slice() {
            [n, c, h, w] if axis == 1 || !per_channel => vec![n, c, h, w],
            _ if per_channel => {
                let (before, after) = (shape[..axis].iter().product(), shape[axis + 1..].iter().product());
                vec![before, shape[axis], 1, after]
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
            bias_down: false,
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
