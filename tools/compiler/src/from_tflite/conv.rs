//! CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED.

use dyadic_kernels::ElemType;
use dyadic_kernels::geometry::Axis;

use super::activation::fused;
use super::{Lowered, Lowering, refuse, shape};
use crate::import::tflite::{self, Operator, Options, Padding, WeightsFormat};
use crate::ir::{Conv, ConvKind, Op, Tensor, TensorId};

/// Output extent and padding before the first element along one axis.
pub(super) fn window(
    input: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    padding: Padding,
) -> (usize, usize) {
    let reach = (kernel - 1) * dilation + 1;
    match padding {
        Padding::Same => {
            let output = input.div_ceil(stride);
            (output, ((output - 1) * stride + reach).saturating_sub(input) / 2)
        }
        Padding::Valid => ((input + stride).saturating_sub(reach) / stride, 0),
    }
}

/// What the options of the three operators have in common.
struct Shape {
    kind: ConvKind,
    stride: [usize; 2],
    dilation: [usize; 2],
    padding: Padding,
    activation: tflite::Activation,
}

fn common(options: &Options) -> Lowered<Shape> {
    match options {
        Options::Conv2d(o) => Ok(Shape {
            kind: ConvKind::Conv2d,
            stride: [o.stride_h, o.stride_w],
            dilation: [o.dilation_h, o.dilation_w],
            padding: o.padding,
            activation: o.activation,
        }),
        Options::DepthwiseConv2d(o) => Ok(Shape {
            kind: ConvKind::Depthwise,
            stride: [o.stride_h, o.stride_w],
            dilation: [o.dilation_h, o.dilation_w],
            padding: o.padding,
            activation: o.activation,
        }),
        Options::FullyConnected(o) if o.weights_format == WeightsFormat::Default => Ok(Shape {
            kind: ConvKind::FullyConnected,
            stride: [1, 1],
            dilation: [1, 1],
            padding: Padding::Valid,
            activation: o.activation,
        }),
        Options::FullyConnected(_) => refuse("shuffled weights"),
        _ => refuse("options of another operator"),
    }
}

impl Lowering<'_> {
    pub(super) fn convolution(&mut self, operator: &Operator) -> Lowered {
        let common = common(&operator.options)?;
        let (input, output) = (self.input(operator, 0)?, self.output(operator)?);
        let source = self.source(operator, 1)?;
        let (weights, single) = weights(source, common.kind)?;
        let channels = weights.shape[0];
        let bias = match operator.inputs.get(2).copied().flatten() {
            Some(index) => bias(&self.model.tensors[index], channels)?,
            None => vec![0; channels],
        };
        let (pad, groups) = self.geometry(&common, input, output, &weights)?;
        let u8_input = self.graph.tensors[input].elem == ElemType::U8;
        // LiteRT takes the float32 product for u8 convolutions only; fully connected layers are evaluated in float64.
        let single_product = single && u8_input && common.kind != ConvKind::FullyConnected;
        let weights = self.graph.add(weights);
        let conv = Conv {
            kind: common.kind,
            stride: common.stride,
            dilation: common.dilation,
            pad,
            groups,
            bias,
            activation: fused(common.activation)?,
            single_product,
        };
        self.push(operator, Op::Conv(conv), vec![input, weights], output);
        Ok(())
    }

    /// Padding and groups; checks every extent against the output's stated shape.
    fn geometry(
        &self,
        common: &Shape,
        input: TensorId,
        output: TensorId,
        weights: &Tensor,
    ) -> Lowered<([usize; 2], usize)> {
        let (from, to) = (&self.graph.tensors[input], &self.graph.tensors[output]);
        if common.kind == ConvKind::FullyConnected {
            let depth = weights.shape[1];
            let rows = from.elements() / depth;
            let fits = rows * depth == from.elements() && rows * weights.shape[0] == to.elements();
            if !fits || to.shape.last() != Some(&weights.shape[0]) {
                return refuse(format!(
                    "input {:?}, weights {:?} and output {:?} do not fit together",
                    from.shape, weights.shape, to.shape
                ));
            }
            return Ok(([0, 0], 1));
        }
        let (Some(i), Some(_)) = (from.nhwc(), to.nhwc()) else {
            return refuse("input and output need 4 axes");
        };
        let [out_channels, kernel_h, kernel_w, group_channels] = [0, 1, 2, 3].map(|a| weights.shape[a]);
        let (y, pad_y) = window(i[1], kernel_h, common.stride[0], common.dilation[0], common.padding);
        let (x, pad_x) = window(i[2], kernel_w, common.stride[1], common.dilation[1], common.padding);
        super::expect_shape(to, &[i[0], y, x, out_channels])?;
        let axis = |a: usize, output, kernel, pad| Axis {
            input: i[a + 1],
            output,
            kernel,
            stride: common.stride[a],
            dilation: common.dilation[a],
            pad,
        };
        check_window(&[axis(0, y, kernel_h, pad_y), axis(1, x, kernel_w, pad_x)])?;
        let groups = i[3] / group_channels;
        let depthwise = common.kind == ConvKind::Depthwise;
        if groups * group_channels != i[3] || !out_channels.is_multiple_of(groups.max(1)) || groups == 0 {
            return refuse(format!("weights {:?} do not fit {} input channels", weights.shape, i[3]));
        }
        debug_assert!(!depthwise || group_channels == 1);
        Ok(([pad_y, pad_x], groups))
    }
}

/// What kernels can index.
fn check_window(axes: &[Axis; 2]) -> Lowered {
    let reach = |a: &Axis| (a.output * a.stride + a.kernel * a.dilation) as u64;
    if axes.iter().all(Axis::is_valid) && reach(&axes[0]).saturating_mul(reach(&axes[1])) <= 1 << 32 {
        return Ok(());
    }
    refuse("extents, strides or dilations beyond what an index can count")
}

/// Weights as OHWI (`[out, in]` for a fully connected layer) with scales along axis 0, and whether there is one scale.
fn weights(source: &tflite::Tensor, kind: ConvKind) -> Lowered<(Tensor, bool)> {
    let elem = match source.elem {
        tflite::ElemType::Int8 => ElemType::S8,
        tflite::ElemType::UInt8 => ElemType::U8,
        tflite::ElemType::Int4 => ElemType::S4,
        other => {
            return refuse(format!("weights '{}' are {other}, expected INT8, UINT8 or INT4", source.name));
        }
    };
    let Some(data) = source.data.as_ref().filter(|_| !source.is_sparse) else {
        return refuse(format!("weights '{}' are not a dense constant", source.name));
    };
    let Some(quant) = source.quant.as_ref().filter(|_| source.scheme == tflite::QuantScheme::Affine) else {
        return refuse(format!("weights '{}' have no affine quantization", source.name));
    };
    let shape = shape(source)?;
    let rank = if kind == ConvKind::FullyConnected { 2 } else { 4 };
    if shape.len() != rank {
        return refuse(format!("weights '{}' have {} axes, expected {rank}", source.name, shape.len()));
    }
    let out_axis = if kind == ConvKind::Depthwise { 3 } else { 0 };
    if quant.scales.len() > 1 && quant.axis != out_axis {
        return refuse(format!(
            "weights '{}' have scales along axis {}, expected {out_axis}",
            source.name, quant.axis
        ));
    }
    let zero_point = quant.zero_points[0];
    if quant.zero_points.iter().any(|&z| z != zero_point) {
        return refuse(format!("weights '{}' have different zero points", source.name));
    }
    let mut tensor = Tensor {
        name: source.name.clone(),
        shape,
        elem,
        zero_point: zero_point as i32,
        scales: quant.scales.clone(),
        codes: None,
        data: Some(data.to_vec()),
    };
    normalise(&mut tensor)?;
    if kind == ConvKind::Depthwise {
        depthwise_to_ohwi(&mut tensor)?;
    }
    Ok((tensor, quant.scales.len() == 1))
}

/// Weights in the form that kernels have: INT8 with a zero point becomes UINT8, both 128 higher, and the nibble behind an
/// odd number of INT4 weights becomes 0.
fn normalise(tensor: &mut Tensor) -> Lowered {
    let odd = tensor.elements() % 2 == 1;
    let data = tensor.data.as_deref_mut().unwrap_or_default();
    match tensor.elem {
        ElemType::S8 if tensor.zero_point != 0 => {
            data.iter_mut().for_each(|byte| *byte ^= 0x80);
            tensor.zero_point += 128;
            tensor.elem = ElemType::U8;
        }
        ElemType::S4 if tensor.zero_point != 0 => {
            return refuse(format!("INT4 weights '{}' with a zero point", tensor.name));
        }
        ElemType::S4 if odd => {
            if let Some(last) = data.last_mut() {
                *last &= 0x0f;
            }
        }
        _ => {}
    }
    Ok(())
}

/// `[1, H, W, O]` to `[O, H, W, 1]`.
fn depthwise_to_ohwi(tensor: &mut Tensor) -> Lowered {
    let [1, h, w, channels] = [0, 1, 2, 3].map(|a| tensor.shape[a]) else {
        return refuse(format!("depthwise weights '{}' have shape {:?}", tensor.name, tensor.shape));
    };
    let source = tensor.data.take().unwrap_or_default();
    let mut data = vec![0; source.len()];
    for tap in 0..h * w {
        for c in 0..channels {
            let value = tensor.elem.load(&source, tap * channels + c);
            tensor.elem.store(&mut data, c * h * w + tap, value);
        }
    }
    tensor.shape = vec![channels, h, w, 1];
    tensor.data = Some(data);
    Ok(())
}

fn bias(source: &tflite::Tensor, channels: usize) -> Lowered<Vec<i32>> {
    if source.elem != tflite::ElemType::Int32 {
        return refuse(format!("bias '{}' is {}, expected INT32", source.name, source.elem));
    }
    let values = super::integers(source)?;
    if values.len() != channels {
        return refuse(format!("bias '{}' has {} values, expected {channels}", source.name, values.len()));
    }
    // The values came from 32 bits.
    Ok(values.into_iter().map(|v| v as i32).collect())
}
