//! Parameters of the operators: what the 96 bytes of a record mean.

use bytemuck::{Pod, Zeroable};

use crate::operator::OpKind;
use crate::tensor::MAX_RANK;

/// Convolution and fully connected layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct ConvParams {
    /// Vertical and horizontal stride, 1 to 2^31 - 1.
    pub stride: [u32; 2],
    /// Vertical and horizontal dilation, 1 to 2^31 - 1.
    pub dilation: [u32; 2],
    /// Padding above and to the left.
    pub pad: [u32; 2],
    /// Groups, at least 1.
    pub groups: u32,
    /// First of its entries in `Constants`: bias, multipliers, shifts, `out_channels` of each; under rule `Accumulate` only
    /// the bias.
    pub constants_first: u32,
    /// Lower clamp.
    pub lo: i32,
    /// Upper clamp.
    pub hi: i32,
    /// [`ScaleProduct`]: how the multipliers follow from the scales.
    pub product: u32,
}

/// How `input scale * weight scale / output scale` was evaluated when the multipliers were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ScaleProduct {
    /// All in float64.
    Double = 1,
    /// The product rounded to float32 first, as TFLite does for u8 convolutions.
    Single = 2,
}

impl ScaleProduct {
    /// The value of that number.
    pub const fn from_number(number: u32) -> Option<ScaleProduct> {
        match number {
            1 => Some(ScaleProduct::Double),
            2 => Some(ScaleProduct::Single),
            _ => None,
        }
    }
}

/// Addition and subtraction. `AddJoint` uses `multipliers[0..2]` (0 to 2^24 - 1) and `shifts[0]` (1 to 62),
/// `AddSeparate` the first two factors; what a rule does not use is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct AddParams {
    /// Of the first input, the second, and the sum.
    pub multipliers: [i32; 3],
    /// Of the first input, the second, and the sum.
    pub shifts: [i32; 3],
    /// Lower clamp.
    pub lo: i32,
    /// Upper clamp.
    pub hi: i32,
}

/// Product and requantization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct MulParams {
    /// Multiplier.
    pub multiplier: i32,
    /// Shift.
    pub shift: i32,
    /// Lower clamp.
    pub lo: i32,
    /// Upper clamp.
    pub hi: i32,
}

/// Pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct PoolParams {
    /// Window height and width, 1 to 2^31 - 1.
    pub kernel: [u32; 2],
    /// Vertical and horizontal stride, 1 to 2^31 - 1.
    pub stride: [u32; 2],
    /// Padding above and to the left.
    pub pad: [u32; 2],
    /// `AverageOnce`: first of `2 * taps` entries in `Constants`: multipliers, then shifts, by tap count - 1. Else 0.
    pub constants_first: u32,
    /// Lower clamp.
    pub lo: i32,
    /// Upper clamp.
    pub hi: i32,
}

/// Mean over axes; the output has the kept axes, or extent 1 at the reduced ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct MeanParams {
    /// Bit `i` set: axis `i` of the input is reduced.
    pub axes: u32,
    /// Multiplier with the count folded in.
    pub multiplier: i32,
    /// Shift.
    pub shift: i32,
    /// Lower clamp.
    pub lo: i32,
    /// Upper clamp.
    pub hi: i32,
}

/// Padding by a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct PadParams {
    /// Elements before each axis, 0 from the output's rank on; what comes behind follows from the output shape.
    pub before: [u32; MAX_RANK],
    /// Fill value.
    pub value: i32,
}

/// Concatenation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct ConcatParams {
    /// Axis.
    pub axis: u32,
}

/// `out[o] = in[start + sum o[i] * strides[i]]`, in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct StridedCopyParams {
    /// Element that output element 0 comes from.
    pub start: u32,
    /// Stride per output axis, 0 from the output's rank on.
    pub strides: [i32; MAX_RANK],
}

/// Table look-up. What the table computes is recorded so that it can be made again from the scales.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct TableParams {
    /// Table number.
    pub table: u32,
    /// [`crate::operator::TableFunction`].
    pub function: u32,
    /// Lower clamp of the output.
    pub lo: i32,
    /// Upper clamp of the output.
    pub hi: i32,
    /// A real argument of the function (the slope of a leaky ReLU, the alpha of the others) as mantissa and exponent, or
    /// zeros.
    pub argument: [i32; 2],
    /// The second one (the beta of a hard sigmoid), or zeros.
    pub second_argument: [i32; 2],
}

/// `out[.., i, ..] = in[.., index[i], ..]` along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct GatherParams {
    /// Axis.
    pub axis: u32,
    /// First of its entries in `Constants`: one index of the input for every position of the output along the axis.
    pub constants_first: u32,
}

/// Leaky ReLUs of 8-bit values, with a slope for every channel of the last axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct ChannelTableParams {
    /// First of as many tables as there are channels.
    pub tables_first: u32,
    /// First of its entries in `Constants`: the mantissas of the slopes, then their exponents.
    pub constants_first: u32,
    /// Lower clamp of the output.
    pub lo: i32,
    /// Upper clamp of the output.
    pub hi: i32,
}

/// Softmax over the last axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct SoftmaxParams {
    /// Multiplier of the differences.
    pub multiplier: i32,
    /// 0 to 31.
    pub left_shift: i32,
    /// Differences below this count as zero; at most 0.
    pub diff_min: i32,
    /// Beta as mantissa (1 to 2^24 - 1) and exponent (-149 to 127).
    pub beta: [i32; 2],
}

/// Resize of an NHWC tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct ResizeParams {
    /// 1 asymmetric, 2 align corners, 3 half pixel.
    pub coordinates: u32,
}

/// Index of the largest value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct ArgMaxParams {
    /// Axis.
    pub axis: u32,
}

/// Operators without parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct NoParams {}

/// The typed parameters of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Params {
    /// See [`OpKind::Conv2d`].
    Conv2d(ConvParams),
    /// See [`OpKind::DepthwiseConv2d`].
    DepthwiseConv2d(ConvParams),
    /// See [`OpKind::FullyConnected`].
    FullyConnected(ConvParams),
    /// See [`OpKind::Add`].
    Add(AddParams),
    /// See [`OpKind::Sub`].
    Sub(AddParams),
    /// See [`OpKind::Mul`].
    Mul(MulParams),
    /// See [`OpKind::AveragePool2d`].
    AveragePool2d(PoolParams),
    /// See [`OpKind::MaxPool2d`].
    MaxPool2d(PoolParams),
    /// See [`OpKind::Mean`].
    Mean(MeanParams),
    /// See [`OpKind::Pad`].
    Pad(PadParams),
    /// See [`OpKind::Concat`].
    Concat(ConcatParams),
    /// See [`OpKind::Reshape`].
    Reshape(NoParams),
    /// See [`OpKind::StridedCopy`].
    StridedCopy(StridedCopyParams),
    /// See [`OpKind::Tile`].
    Tile(NoParams),
    /// See [`OpKind::Table`].
    Table(TableParams),
    /// See [`OpKind::Requantize`].
    Requantize(MulParams),
    /// See [`OpKind::Softmax`].
    Softmax(SoftmaxParams),
    /// See [`OpKind::ResizeBilinear`].
    ResizeBilinear(ResizeParams),
    /// See [`OpKind::ResizeNearest`].
    ResizeNearest(ResizeParams),
    /// See [`OpKind::ArgMax`].
    ArgMax(ArgMaxParams),
    /// See [`OpKind::Gather`].
    Gather(GatherParams),
    /// See [`OpKind::ChannelTable`].
    ChannelTable(ChannelTableParams),
}

/// Every parameter structure is a whole number of 32-bit words and fits the record.
fn decode<T: Pod>(words: &[i32; 24]) -> T {
    bytemuck::pod_read_unaligned(&bytemuck::bytes_of(words)[..size_of::<T>()])
}

fn encode<T: Pod>(params: &T) -> [i32; 24] {
    let mut words = [0; 24];
    bytemuck::bytes_of_mut(&mut words)[..size_of::<T>()].copy_from_slice(bytemuck::bytes_of(params));
    words
}

/// Writes the two directions between [`Params`] and a record.
macro_rules! params {
    ($($kind:ident),*) => {
        impl Params {
            /// The kind that these parameters belong to.
            pub const fn kind(&self) -> OpKind {
                match self { $(Params::$kind(_) => OpKind::$kind,)* }
            }

            /// The 24 words of the record.
            pub fn words(&self) -> [i32; 24] {
                match self { $(Params::$kind(p) => encode(p),)* }
            }

            /// The typed parameters of an operator of `kind`.
            pub fn from_words(kind: OpKind, words: &[i32; 24]) -> Params {
                match kind { $(OpKind::$kind => Params::$kind(decode(words)),)* }
            }
        }
    };
}

params!(
    Conv2d,
    DepthwiseConv2d,
    FullyConnected,
    Add,
    Sub,
    Mul,
    AveragePool2d,
    MaxPool2d,
    Mean,
    Pad,
    Concat,
    Reshape,
    StridedCopy,
    Tile,
    Table,
    Requantize,
    Softmax,
    ResizeBilinear,
    ResizeNearest,
    ArgMax,
    Gather,
    ChannelTable
);
