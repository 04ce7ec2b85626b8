//! The parameters of operators, typed.

use super::elem::ElemType;

/// How a window operator treats borders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// Output extent ceil(input / stride); the border is filled evenly, the odd one at the end.
    Same,
    /// Only windows that lie inside.
    Valid,
}

/// A function that an operator applies to its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// None.
    None,
    /// max(x, 0).
    Relu,
    /// min(max(x, -1), 1).
    ReluN1To1,
    /// min(max(x, 0), 6).
    Relu6,
    /// Hyperbolic tangent.
    Tanh,
    /// The sign bit.
    SignBit,
}

/// How MIRROR_PAD fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MirrorPadMode {
    /// The border element is not repeated.
    Reflect,
    /// The border element is repeated.
    Symmetric,
}

/// How the weights of FULLY_CONNECTED lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightsFormat {
    /// Row by row.
    Default,
    /// Shuffled in blocks of 4 by 16.
    Shuffled4x16Int8,
}

/// CONV_2D. Strides and dilations are 1 or more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conv2dOptions {
    /// Border.
    pub padding: Padding,
    /// Step along the height.
    pub stride_h: usize,
    /// Step along the width.
    pub stride_w: usize,
    /// Distance of taps along the height.
    pub dilation_h: usize,
    /// Distance of taps along the width.
    pub dilation_w: usize,
    /// Applied to the result.
    pub activation: Activation,
}

/// DEPTHWISE_CONV_2D. Strides and dilations are 1 or more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepthwiseConv2dOptions {
    /// Border.
    pub padding: Padding,
    /// Step along the height.
    pub stride_h: usize,
    /// Step along the width.
    pub stride_w: usize,
    /// Distance of taps along the height.
    pub dilation_h: usize,
    /// Distance of taps along the width.
    pub dilation_w: usize,
    /// As stated in the file and unchecked: TFLite's kernels ignore it, the shapes decide.
    pub depth_multiplier: i32,
    /// Applied to the result.
    pub activation: Activation,
}

/// TRANSPOSE_CONV. Strides are 1 or more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransposeConvOptions {
    /// Border.
    pub padding: Padding,
    /// Step along the height.
    pub stride_h: usize,
    /// Step along the width.
    pub stride_w: usize,
    /// Applied to the result.
    pub activation: Activation,
}

/// AVERAGE_POOL_2D and MAX_POOL_2D. Strides and filter extents are 1 or more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool2dOptions {
    /// Border.
    pub padding: Padding,
    /// Step along the height.
    pub stride_h: usize,
    /// Step along the width.
    pub stride_w: usize,
    /// Window along the height.
    pub filter_h: usize,
    /// Window along the width.
    pub filter_w: usize,
    /// Applied to the result.
    pub activation: Activation,
}

/// FULLY_CONNECTED.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FullyConnectedOptions {
    /// Applied to the result.
    pub activation: Activation,
    /// Order of the weights.
    pub weights_format: WeightsFormat,
    /// The output keeps all axes of the input but the last.
    pub keep_num_dims: bool,
    /// For networks with float activations and integer weights.
    pub asymmetric_quantize_inputs: bool,
}

/// ADD and SUB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddOptions {
    /// Applied to the result.
    pub activation: Activation,
    /// INT16 only: scales are powers of two.
    pub pot_scale_int16: bool,
}

/// RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResizeOptions {
    /// Corner pixels keep their places.
    pub align_corners: bool,
    /// Pixels count by their centres.
    pub half_pixel_centers: bool,
}

/// STRIDED_SLICE; bit i of a mask speaks of entry i of begin, end and strides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StridedSliceOptions {
    /// Begin entries to ignore.
    pub begin_mask: i32,
    /// End entries to ignore.
    pub end_mask: i32,
    /// The entry that stands for all axes not named.
    pub ellipsis_mask: i32,
    /// Entries that insert an axis.
    pub new_axis_mask: i32,
    /// Entries whose axis is dropped.
    pub shrink_axis_mask: i32,
    /// End counts from begin.
    pub offset: bool,
}

/// The parameters of one operator. Where the file leaves the table out, these are the schema's defaults.
#[derive(Debug, Clone, PartialEq)]
pub enum Options {
    /// CONV_2D.
    Conv2d(Conv2dOptions),
    /// DEPTHWISE_CONV_2D.
    DepthwiseConv2d(DepthwiseConv2dOptions),
    /// TRANSPOSE_CONV.
    TransposeConv(TransposeConvOptions),
    /// AVERAGE_POOL_2D and MAX_POOL_2D.
    Pool2d(Pool2dOptions),
    /// FULLY_CONNECTED.
    FullyConnected(FullyConnectedOptions),
    /// ADD.
    Add(AddOptions),
    /// SUB.
    Sub(AddOptions),
    /// MUL.
    Mul {
        /// Applied to the result.
        activation: Activation,
    },
    /// MEAN, SUM and REDUCE_MAX.
    Reducer {
        /// Reduced axes stay, with extent 1.
        keep_dims: bool,
    },
    /// MIRROR_PAD.
    MirrorPad {
        /// What fills the border.
        mode: MirrorPadMode,
    },
    /// CONCATENATION.
    Concatenation {
        /// Axis; below 0 counts from the end.
        axis: i32,
        /// Applied to the result.
        activation: Activation,
    },
    /// RESHAPE.
    Reshape {
        /// Used where the operator has no second input; -1 stands for the rest.
        new_shape: Vec<i32>,
    },
    /// SQUEEZE.
    Squeeze {
        /// Axes to drop; none named means every axis of extent 1.
        dims: Vec<i32>,
    },
    /// SPLIT; the count equals the number of outputs.
    Split {
        /// Number of parts.
        num_splits: usize,
    },
    /// SPLIT_V; the count equals the number of outputs.
    SplitV {
        /// Number of parts.
        num_splits: usize,
    },
    /// STRIDED_SLICE.
    StridedSlice(StridedSliceOptions),
    /// PACK; the count equals the number of inputs.
    Pack {
        /// Number of inputs.
        values_count: usize,
        /// New axis; below 0 counts from the end.
        axis: i32,
    },
    /// UNPACK; the count equals the number of outputs.
    Unpack {
        /// Number of outputs.
        num: usize,
        /// Axis; below 0 counts from the end.
        axis: i32,
    },
    /// LEAKY_RELU.
    LeakyRelu {
        /// Slope below 0, finite.
        alpha: f32,
    },
    /// GELU.
    Gelu {
        /// By the tanh formula.
        approximate: bool,
    },
    /// SOFTMAX.
    Softmax {
        /// Factor of the exponent, finite.
        beta: f32,
    },
    /// RESIZE_BILINEAR.
    ResizeBilinear(ResizeOptions),
    /// RESIZE_NEAREST_NEIGHBOR.
    ResizeNearestNeighbor(ResizeOptions),
    /// ARG_MAX and ARG_MIN.
    ArgMinMax {
        /// Type of the indices, as stated by the options.
        output_type: ElemType,
    },
    /// GATHER.
    Gather {
        /// Axis; below 0 counts from the end.
        axis: i32,
        /// Leading axes that both inputs share.
        batch_dims: i32,
    },
    /// CAST; both types are as stated by the options, which writers leave at FLOAT32: the tensors decide.
    Cast {
        /// Input type.
        from: ElemType,
        /// Output type.
        to: ElemType,
    },
    /// An operator known here that has no parameters.
    None,
    /// The options of an operator that is only known by name; not read.
    Unread,
    /// The opaque options of a custom operator.
    Custom(Vec<u8>),
}
