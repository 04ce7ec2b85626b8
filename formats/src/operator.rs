//! Operator records: a fixed head and 96 bytes of parameters that `kind` gives a type.

use bytemuck::{Pod, Zeroable};

use crate::records::TextRef;

mod params;

pub use params::*;

/// One executed step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct OperatorRecord {
    /// Source nodes that this step stands for, comma-separated.
    pub name: TextRef,
    /// [`OpKind`].
    pub kind: u16,
    /// [`Rule`].
    pub rule: u16,
    /// First entry in `Operands`: the inputs, then the outputs, then for a concatenation one table number per
    /// input ([`NO_TABLE`] for none).
    pub operands_first: u32,
    /// Number of input tensors.
    pub inputs: u16,
    /// Number of output tensors.
    pub outputs: u16,
    /// First entry in `Intervals`.
    pub intervals_first: u32,
    /// Number of intervals: one per output channel, or 0.
    pub intervals_count: u32,
    /// Zero.
    pub reserved: u32,
    /// Parameters: see [`Params`]. Unused entries are zero.
    pub params: [i32; 24],
}

const _: () = assert!(core::mem::size_of::<OperatorRecord>() == 128);

/// Table number of a concatenation branch that is copied as it is.
pub const NO_TABLE: u32 = u32::MAX;

/// Declares an enum with never-reused numbers.
macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $number:literal, $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum $name { $($(#[$vdoc])* $variant = $number,)* }

        impl $name {
            /// Every value.
            pub const ALL: &'static [$name] = &[$($name::$variant),*];

            /// The value of that number.
            pub const fn from_number(number: u16) -> Option<$name> {
                match number { $($number => Some($name::$variant),)* _ => None }
            }

            /// Name as `inspect` prints it.
            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }
        }
    };
}

numbered! {
    /// What an operator computes. Numbers are never reused.
    OpKind {
        /// Inputs: activation, weights (OHWI). Parameters: [`ConvParams`].
        Conv2d = 1, "conv2d";
        /// As `Conv2d` with `groups` equal to the input channels.
        DepthwiseConv2d = 2, "depthwise_conv2d";
        /// Inputs: activation, weights `[out, in]`. Parameters: [`ConvParams`].
        FullyConnected = 3, "fully_connected";
        /// Inputs: two, broadcast. Parameters: [`AddParams`].
        Add = 4, "add";
        /// As `Add`, the second input negated.
        Sub = 5, "sub";
        /// Inputs: two, broadcast. Parameters: [`MulParams`].
        Mul = 6, "mul";
        /// Parameters: [`PoolParams`].
        AveragePool2d = 7, "average_pool2d";
        /// Parameters: [`PoolParams`].
        MaxPool2d = 8, "max_pool2d";
        /// Parameters: [`MeanParams`].
        Mean = 9, "mean";
        /// Parameters: [`PadParams`].
        Pad = 10, "pad";
        /// Parameters: [`ConcatParams`].
        Concat = 11, "concat";
        /// Same elements, other shape. No parameters.
        Reshape = 12, "reshape";
        /// Transpose, slice, split, unpack. Parameters: [`StridedCopyParams`].
        StridedCopy = 13, "strided_copy";
        /// Each output extent is a multiple of the input's. No parameters.
        Tile = 14, "tile";
        /// Parameters: [`TableParams`].
        Table = 15, "table";
        /// Parameters: [`MulParams`].
        Requantize = 16, "requantize";
        /// Parameters: [`SoftmaxParams`].
        Softmax = 17, "softmax";
        /// Parameters: [`ResizeParams`].
        ResizeBilinear = 18, "resize_bilinear";
        /// Parameters: [`ResizeParams`].
        ResizeNearest = 19, "resize_nearest";
        /// Output s32. Parameters: [`ArgMaxParams`].
        ArgMax = 20, "argmax";
        /// Along one axis by constant indices. Parameters: [`GatherParams`].
        Gather = 21, "gather";
        /// A table for every channel of the last axis. Parameters: [`ChannelTableParams`].
        ChannelTable = 22, "channel_table";
    }
}

numbered! {
    /// Rounding and order of evaluation. Each rule is defined in the kernels' `ARITHMETIC.md`; numbers are never
    /// reused.
    Rule {
        /// One rounding, ties toward +infinity.
        RequantOnce = 1, "requant_once";
        /// TFLite's two roundings.
        RequantTwice = 2, "requant_twice";
        /// Joint addition: two multipliers, one shift.
        AddJoint = 3, "add_joint";
        /// Separate addition: each input rescaled, then added.
        AddSeparate = 4, "add_separate";
        /// TFLite addition: shift by 20, three rescales.
        AddTflite = 5, "add_tflite";
        /// Product, one rounding.
        MulOnce = 6, "mul_once";
        /// Product, two roundings.
        MulTwice = 7, "mul_twice";
        /// Average: sum, one rescale per tap count.
        AverageOnce = 8, "average_once";
        /// Average of raw codes, half away from zero.
        AverageHalfAway = 9, "average_half_away";
        /// Mean: sum, one rescale.
        MeanOnce = 10, "mean_once";
        /// Mean: sum, two roundings, the count folded into the multiplier.
        MeanTwice = 11, "mean_twice";
        /// Fixed-point softmax.
        Softmax = 12, "softmax_q5.26";
        /// 256-entry table.
        Table = 13, "table_256";
        /// Bilinear with 10-bit weights.
        Bilinear10 = 14, "bilinear_10bit";
        /// Bilinear on exact rational coordinates, half up.
        BilinearRational = 15, "bilinear_rational";
        /// Nearest neighbour.
        Nearest = 16, "nearest";
        /// No value changes.
        Move = 17, "move";
        /// Maximum.
        Max = 18, "max";
        /// First index of the maximum.
        ArgMax = 19, "argmax_first";
        /// One rounding, ties away from zero.
        RequantOnceAway = 20, "requant_once_away";
        /// Bilinear by float32 steps: TFLite's u8 pictures.
        BilinearSingle = 21, "bilinear_float32_exact";
        /// Nearest neighbour by float32 coordinates.
        NearestSingle = 22, "nearest_float32_exact";
        /// The accumulator itself, bias included, as s32.
        Accumulate = 23, "accumulate";
    }
}

impl Rule {
    /// Entries in `Constants` for each output channel of a convolution: bias, multiplier and shift, or the bias alone.
    pub const fn constants_per_channel(self) -> usize {
        match self {
            Rule::Accumulate => 1,
            _ => 3,
        }
    }
}

numbered! {
    /// The function of a table.
    TableFunction {
        /// Another scale and zero point, one rounding.
        RescaleOnce = 1, "rescale_once";
        /// Another scale and zero point, two roundings.
        RescaleTwice = 2, "rescale_twice";
        /// Logistic sigmoid.
        Logistic = 3, "logistic";
        /// Hyperbolic tangent.
        Tanh = 4, "tanh";
        /// `x * relu6(x + 3) / 6`, the real function rounded once.
        HardSwish = 5, "hard_swish";
        /// Hard swish by TFLite's integer rule.
        HardSwishTflite = 6, "hard_swish_tflite";
        /// Leaky ReLU, the negative side scaled by the argument; one rounding.
        LeakyRelu = 7, "leaky_relu";
        /// Leaky ReLU by TFLite's integer rule.
        LeakyReluTflite = 8, "leaky_relu_tflite";
        /// Rescale evaluated in float32 as TFLite's reference concatenation does.
        RescaleFloat = 9, "rescale_float";
        /// Logistic sigmoid in float32 steps as TFLite's reference.
        LogisticTflite = 10, "logistic_tflite";
        /// Hyperbolic tangent in float32 steps as TFLite's reference.
        TanhTflite = 11, "tanh_tflite";
        /// Rescale by the float32 quotient of the scales, two roundings: TFLite's stand-alone ReLUs.
        ReluTflite = 12, "relu_tflite";
        /// From whole numbers to codes in float32, as TFLite quantizes a float tensor.
        QuantizeFloat = 13, "quantize_float";
        /// `x` above zero, `argument * (exp(x) - 1)` below.
        Elu = 14, "elu";
        /// `x / 2 * (1 + erf(x / sqrt 2))`.
        Gelu = 15, "gelu";
        /// The approximation of `Gelu` by a hyperbolic tangent.
        GeluTanh = 16, "gelu_tanh";
        /// `max(0, min(1, argument * x + second_argument))`.
        HardSigmoid = 17, "hard_sigmoid";
        /// `x / (1 + exp(-argument * x))`.
        Swish = 18, "swish";
        /// The argument where `x` is at least 0, its negative below.
        Sign = 19, "sign";
    }
}
