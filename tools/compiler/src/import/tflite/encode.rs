//! [`Options`] into the options tables of the schema; the inverse of `decode.rs`.

use dyadic_tflite_schema as schema;
use schema::BuiltinOptions as Union;

use super::opcode::OpCode;
use super::options::{
    Activation, AddOptions, Conv2dOptions, DepthwiseConv2dOptions, FullyConnectedOptions, MirrorPadMode,
    Options, Padding, Pool2dOptions, StridedSliceOptions, TransposeConvOptions, WeightsFormat,
};

/// `table!(SplitOptions { num_splits: 2 })`: that table as a member of the union.
macro_rules! table {
    ($kind:ident { $($fields:tt)* }) => {
        Union::$kind(Box::new(schema::$kind { $($fields)* }))
    };
}

/// The options table of an operator; `None` where it has no fields or they are not known.
pub(super) fn options(code: &OpCode, options: &Options) -> Option<Union> {
    Some(match options {
        Options::Conv2d(o) => conv_2d(o),
        Options::DepthwiseConv2d(o) => depthwise_conv_2d(o),
        Options::TransposeConv(o) => transpose_conv(o),
        Options::Pool2d(o) => pool_2d(o),
        Options::FullyConnected(o) => fully_connected(o),
        Options::Add(AddOptions { activation: a, pot_scale_int16: p }) => {
            table!(AddOptions { fused_activation_function: activation(*a), pot_scale_int16: *p })
        }
        Options::Sub(AddOptions { activation: a, pot_scale_int16: p }) => {
            table!(SubOptions { fused_activation_function: activation(*a), pot_scale_int16: *p })
        }
        Options::Mul { activation: a } => table!(MulOptions { fused_activation_function: activation(*a) }),
        Options::Reducer { keep_dims } => table!(ReducerOptions { keep_dims: *keep_dims }),
        Options::MirrorPad { mode } => table!(MirrorPadOptions { mode: mirror_pad_mode(*mode) }),
        Options::Concatenation { axis, activation: a } => {
            table!(ConcatenationOptions { axis: *axis, fused_activation_function: activation(*a) })
        }
        Options::Reshape { new_shape } => table!(ReshapeOptions { new_shape: Some(new_shape.clone()) }),
        Options::Squeeze { dims } => table!(SqueezeOptions { squeeze_dims: Some(dims.clone()) }),
        Options::Split { num_splits } => table!(SplitOptions { num_splits: to_i32(*num_splits) }),
        Options::SplitV { num_splits } => table!(SplitVOptions { num_splits: to_i32(*num_splits) }),
        Options::StridedSlice(o) => strided_slice(o),
        Options::Pack { values_count, axis } => {
            table!(PackOptions { values_count: to_i32(*values_count), axis: *axis })
        }
        Options::Unpack { num, axis } => table!(UnpackOptions { num: to_i32(*num), axis: *axis }),
        Options::LeakyRelu { alpha } => table!(LeakyReluOptions { alpha: *alpha }),
        Options::Gelu { approximate } => table!(GeluOptions { approximate: *approximate }),
        Options::Softmax { beta } => table!(SoftmaxOptions { beta: *beta }),
        Options::ResizeBilinear(o) => {
            let (align_corners, half_pixel_centers) = (o.align_corners, o.half_pixel_centers);
            table!(ResizeBilinearOptions { align_corners, half_pixel_centers })
        }
        Options::ResizeNearestNeighbor(o) => {
            let (align_corners, half_pixel_centers) = (o.align_corners, o.half_pixel_centers);
            table!(ResizeNearestNeighborOptions { align_corners, half_pixel_centers })
        }
        Options::ArgMinMax { output_type } if *code == OpCode::ArgMin => {
            table!(ArgMinOptions { output_type: output_type.code() })
        }
        Options::ArgMinMax { output_type } => table!(ArgMaxOptions { output_type: output_type.code() }),
        Options::Gather { axis, batch_dims } => {
            table!(GatherOptions { axis: *axis, batch_dims: *batch_dims })
        }
        Options::Cast { from, to } => {
            table!(CastOptions { in_data_type: from.code(), out_data_type: to.code() })
        }
        Options::None | Options::Unread | Options::Custom(_) => return None,
    })
}

fn conv_2d(o: &Conv2dOptions) -> Union {
    table!(Conv2DOptions {
        padding: padding(o.padding),
        stride_w: to_i32(o.stride_w),
        stride_h: to_i32(o.stride_h),
        fused_activation_function: activation(o.activation),
        dilation_w_factor: to_i32(o.dilation_w),
        dilation_h_factor: to_i32(o.dilation_h),
    })
}

fn depthwise_conv_2d(o: &DepthwiseConv2dOptions) -> Union {
    table!(DepthwiseConv2DOptions {
        padding: padding(o.padding),
        stride_w: to_i32(o.stride_w),
        stride_h: to_i32(o.stride_h),
        depth_multiplier: o.depth_multiplier,
        fused_activation_function: activation(o.activation),
        dilation_w_factor: to_i32(o.dilation_w),
        dilation_h_factor: to_i32(o.dilation_h),
    })
}

fn transpose_conv(o: &TransposeConvOptions) -> Union {
    table!(TransposeConvOptions {
        padding: padding(o.padding),
        stride_w: to_i32(o.stride_w),
        stride_h: to_i32(o.stride_h),
        fused_activation_function: activation(o.activation),
    })
}

fn pool_2d(o: &Pool2dOptions) -> Union {
    table!(Pool2DOptions {
        padding: padding(o.padding),
        stride_w: to_i32(o.stride_w),
        stride_h: to_i32(o.stride_h),
        filter_width: to_i32(o.filter_w),
        filter_height: to_i32(o.filter_h),
        fused_activation_function: activation(o.activation),
    })
}

fn fully_connected(o: &FullyConnectedOptions) -> Union {
    let weights_format = match o.weights_format {
        WeightsFormat::Default => 0,
        WeightsFormat::Shuffled4x16Int8 => 1,
    };
    table!(FullyConnectedOptions {
        fused_activation_function: activation(o.activation),
        weights_format,
        keep_num_dims: o.keep_num_dims,
        asymmetric_quantize_inputs: o.asymmetric_quantize_inputs,
    })
}

fn strided_slice(o: &StridedSliceOptions) -> Union {
    table!(StridedSliceOptions {
        begin_mask: o.begin_mask,
        end_mask: o.end_mask,
        ellipsis_mask: o.ellipsis_mask,
        new_axis_mask: o.new_axis_mask,
        shrink_axis_mask: o.shrink_axis_mask,
        offset: o.offset,
    })
}

fn padding(padding: Padding) -> i8 {
    match padding {
        Padding::Same => 0,
        Padding::Valid => 1,
    }
}

fn activation(activation: Activation) -> i8 {
    match activation {
        Activation::None => 0,
        Activation::Relu => 1,
        Activation::ReluN1To1 => 2,
        Activation::Relu6 => 3,
        Activation::Tanh => 4,
        Activation::SignBit => 5,
    }
}

fn mirror_pad_mode(mode: MirrorPadMode) -> i8 {
    match mode {
        MirrorPadMode::Reflect => 0,
        MirrorPadMode::Symmetric => 1,
    }
}

/// Beyond `i32` no value is meant; the largest one makes a file that the reader refuses.
pub(super) fn to_i32(value: usize) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}
