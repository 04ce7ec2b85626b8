//! What an operation needs besides its tensors: geometry, quantization, borrowed constants. Reference and fast
//! kernels take the same structures.

use crate::geometry::Window;
use crate::requant::{Dyadic, Rounding, rescale, saturate};
use crate::types::ElemType;

mod valid;

pub use valid::Valid;

/// Type and zero point of an activation tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quant {
    /// Element type.
    pub elem: ElemType,
    /// The value that stands for real zero; within the range of the type.
    pub zero_point: i32,
}

/// The end of an operation: zero point added, then clamped to `lo..=hi`, which lies within the range of `elem`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output {
    /// Element type.
    pub elem: ElemType,
    /// Zero point of the output; within the range of the type.
    pub zero_point: i32,
    /// Lower clamp.
    pub lo: i32,
    /// Upper clamp.
    pub hi: i32,
}

impl Output {
    /// `clamp(zero_point + value, lo, hi)`.
    #[inline]
    pub const fn saturate(&self, value: i64) -> i32 {
        saturate(value, self.zero_point, self.lo, self.hi)
    }
}

/// Convolution, depthwise convolution and fully connected layer.
///
/// Input NHWC `[batch, y.input, x.input, in_channels]`, output `[batch, y.output, x.output, out_channels]`.
/// Padding reads the input zero point. Fully connected: [`Window::POINT`], one picture per row.
#[derive(Clone, Copy, Debug)]
pub struct Conv<'a> {
    /// Pictures (rows of a fully connected layer).
    pub batch: usize,
    /// Spatial geometry.
    pub window: Window,
    /// Input channels in all.
    pub in_channels: usize,
    /// Output channels in all.
    pub out_channels: usize,
    /// Groups; each reads `in_channels / groups` channels. Depthwise: `groups == in_channels`.
    pub groups: usize,
    /// Input type and zero point.
    pub input: Quant,
    /// Smallest and largest code that the input holds, within its type. Kernels that sum in few bits count on it.
    pub input_codes: (i32, i32),
    /// Type of the weights (s8, s4 or u8) and their zero point (0 for s8 and s4).
    pub weight: Quant,
    /// OHWI `[out_channels, y.kernel, x.kernel, in_channels / groups]`; two a byte when s4, without padding
    /// between rows. May be empty for a fast kernel that was given packed weights.
    pub weights: &'a [u8],
    /// One per output channel.
    pub bias: &'a [i32],
    /// One per output channel; each with its shift a [`Dyadic`]. None for an s32 output.
    pub multipliers: &'a [i32],
    /// One per output channel, 16 to 62. None for an s32 output.
    pub shifts: &'a [i32],
    /// Rounding rule; without meaning for an s32 output.
    pub rounding: Rounding,
    /// Zero point, clamps and type of the output. s32 is the accumulator itself: zero point 0, clamps at the ends of
    /// the type.
    pub output: Output,
}

impl Conv<'_> {
    /// The dyadic factor of output channel `c`.
    #[inline]
    pub fn dyadic(&self, c: usize) -> Dyadic {
        Dyadic { multiplier: self.multipliers[c], shift: self.shifts[c] }
    }

    /// Whether the output is the accumulator itself (rule 23).
    #[inline]
    pub fn is_raw(&self) -> bool {
        self.output.elem == ElemType::S32
    }

    /// The output value of an accumulator of output channel `c`.
    #[inline]
    pub fn finish(&self, acc: i32, c: usize) -> i32 {
        if self.is_raw() {
            return acc;
        }
        self.output.saturate(rescale(acc, self.dyadic(c), self.rounding))
    }

    /// Input channels that one output channel reads.
    pub const fn group_channels(&self) -> usize {
        self.in_channels / self.groups
    }

    /// Products per output element: the depth K of the matrix product.
    pub const fn depth(&self) -> usize {
        self.window.taps() * self.group_channels()
    }

    /// Output pixels over all pictures: the rows M of the matrix product.
    pub const fn rows(&self) -> usize {
        self.batch * self.window.output_pixels()
    }
}

/// How two inputs are added; subtraction negates the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddRule {
    /// `floor((a*m1 + b*m2 + 2^(s-1)) / 2^s)`: one shift, multipliers below 2^24, the larger normalised.
    Joint {
        /// Multiplier of the first input, 0 to 2^24 - 1.
        m1: i32,
        /// Multiplier of the second input, 0 to 2^24 - 1.
        m2: i32,
        /// 1 to 62.
        shift: i32,
    },
    /// HAWQ-V3: each input is rescaled with one rounding, then the integers are added.
    Separate {
        /// Factor of the first input.
        first: Dyadic,
        /// Factor of the second input.
        second: Dyadic,
    },
    /// TFLite: both inputs shifted left by 20, rescaled with two roundings, added, rescaled with two roundings.
    Tflite {
        /// Factor of the first input, at most 1/2.
        first: Dyadic,
        /// Factor of the second input, at most 1/2.
        second: Dyadic,
        /// Factor of the sum.
        sum: Dyadic,
    },
}

/// Element-wise addition or subtraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Add {
    /// First input.
    pub first: Quant,
    /// Second input.
    pub second: Quant,
    /// Subtract instead of add.
    pub subtract: bool,
    /// Rule with its factors.
    pub rule: AddRule,
    /// Output.
    pub output: Output,
}

/// Element-wise product: `clamp(zp + rescale((a - za) * (b - zb)))`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mul {
    /// First input.
    pub first: Quant,
    /// Second input.
    pub second: Quant,
    /// Factor of the product.
    pub scale: Dyadic,
    /// Rounding rule.
    pub rounding: Rounding,
    /// Output.
    pub output: Output,
}

/// Another scale, zero point or integer type: `clamp(zp_out + rescale(x - zp_in))`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requantize {
    /// Input; s32 has the zero point 0.
    pub from: Quant,
    /// Factor.
    pub scale: Dyadic,
    /// Rounding rule.
    pub rounding: Rounding,
    /// Output.
    pub to: Output,
}

/// Highest rank of a tensor.
pub const MAX_RANK: usize = 8;

/// A shape of up to [`MAX_RANK`] axes, outermost first; a scalar has rank 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    rank: usize,
    extents: [usize; MAX_RANK],
}

impl Dims {
    /// `None` when there are more than [`MAX_RANK`] extents or the element count does not fit 2^31.
    pub fn new(extents: &[usize]) -> Option<Dims> {
        let mut dims = Dims { rank: extents.len(), extents: [1; MAX_RANK] };
        dims.extents.get_mut(..extents.len())?.copy_from_slice(extents);
        let count = extents.iter().try_fold(1usize, |n, &e| n.checked_mul(e))?;
        (count < 1 << 31 && extents.iter().all(|&e| e < 1 << 31)).then_some(dims)
    }

    /// The extents, outermost first.
    pub fn as_slice(&self) -> &[usize] {
        &self.extents[..self.rank]
    }

    /// Number of axes.
    pub const fn rank(&self) -> usize {
        self.rank
    }

    /// Number of elements.
    pub fn count(&self) -> usize {
        self.as_slice().iter().product()
    }

    /// Row-major strides in elements.
    pub fn strides(&self) -> [usize; MAX_RANK] {
        let mut strides = [1; MAX_RANK];
        for axis in (0..self.rank.saturating_sub(1)).rev() {
            strides[axis] = strides[axis + 1] * self.extents[axis + 1];
        }
        strides
    }

    /// Strides of this shape read as `out`, 0 along broadcast axes (NumPy rules, shapes aligned at the end).
    /// `None` when it does not broadcast to `out`.
    pub fn broadcast_strides(&self, out: &Dims) -> Option<[usize; MAX_RANK]> {
        let lead = out.rank.checked_sub(self.rank)?;
        let own = self.strides();
        let mut strides = [0; MAX_RANK];
        for axis in 0..self.rank {
            match self.extents[axis] {
                e if e == out.extents[lead + axis] => strides[lead + axis] = own[axis],
                1 => {}
                _ => return None,
            }
        }
        Some(strides)
    }
}

/// How a sum over `n` values becomes their average.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AverageRule<'a> {
    /// `clamp(zp_out + rescale_once(sum - n*zp_in))`, the factor `s_in / (s_out * n)`; one factor per count of
    /// valid taps, entry `n - 1` for `n` taps.
    Rescale {
        /// Multipliers, indexed by count - 1; as many as the window has taps.
        multipliers: &'a [i32],
        /// Shifts, indexed by count - 1.
        shifts: &'a [i32],
    },
    /// TFLite: raw codes of 8 bits, `sum / n` rounded half away from zero, scale and zero point unchanged.
    RawHalfAway,
}

/// Average pooling; padding does not count. At most 2^23 values are averaged.
#[derive(Clone, Copy, Debug)]
pub struct AveragePool<'a> {
    /// Pictures.
    pub batch: usize,
    /// Geometry.
    pub window: Window,
    /// Channels.
    pub channels: usize,
    /// Input.
    pub input: Quant,
    /// Rule.
    pub rule: AverageRule<'a>,
    /// Output.
    pub output: Output,
}

/// Maximum pooling: scale and zero point unchanged, clamp included; padding does not count.
#[derive(Clone, Copy, Debug)]
pub struct MaxPool {
    /// Pictures.
    pub batch: usize,
    /// Geometry.
    pub window: Window,
    /// Channels.
    pub channels: usize,
    /// Element type of input and output.
    pub elem: ElemType,
    /// Lower clamp.
    pub lo: i32,
    /// Upper clamp.
    pub hi: i32,
}

/// Mean over axes: `clamp(zp_out + rescale(sum - n*zp_in))`.
#[derive(Clone, Copy, Debug)]
pub struct Mean {
    /// Input shape.
    pub shape: Dims,
    /// `axes[i]`: axis `i` is reduced.
    pub axes: [bool; MAX_RANK],
    /// Input.
    pub input: Quant,
    /// Factor with the count folded in (see `ARITHMETIC.md`, rules 10 and 11).
    pub scale: Dyadic,
    /// Rounding rule.
    pub rounding: Rounding,
    /// Output.
    pub output: Output,
}

/// Softmax over the last axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Softmax {
    /// Extent of the last axis.
    pub depth: usize,
    /// Input type; its zero point cancels.
    pub elem: ElemType,
    /// Output type, u8 or s8 with scale 1/256 and zero point at its minimum.
    pub output: ElemType,
    /// `beta * s_in * 2^26` as `multiplier * 2^left_shift / 2^31`, at most 2^31 - 1.
    pub multiplier: i32,
    /// 0 to 31.
    pub left_shift: i32,
    /// Differences below this count as zero probability; [`Softmax::least_difference`] to 0.
    pub diff_min: i32,
}

impl Softmax {
    /// The least difference that is still a Q5.26 number once it is shifted.
    pub const fn least_difference(left_shift: i32) -> i32 {
        -((31 << 26) >> left_shift)
    }
}

/// A 256-entry table for every channel of the last axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelTable<'a> {
    /// One per channel, at least one.
    pub tables: &'a [[u8; 256]],
}

/// How output coordinates map to input coordinates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coordinates {
    /// `o * in / out`.
    Asymmetric,
    /// `o * (in - 1) / (out - 1)`.
    AlignCorners,
    /// `(o + 1/2) * in / out - 1/2`.
    HalfPixel,
}

/// Resize of an NHWC tensor; scale and zero point unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resize {
    /// Pictures.
    pub batch: usize,
    /// Input height and width, 1 to [`Resize::MAX_EXTENT`].
    pub input: [usize; 2],
    /// Output height and width, 1 to [`Resize::MAX_EXTENT`].
    pub output: [usize; 2],
    /// Channels.
    pub channels: usize,
    /// Element type.
    pub elem: ElemType,
    /// Coordinate rule.
    pub coordinates: Coordinates,
}

impl Resize {
    /// Largest height and width: products of two positions and a weight stay far inside 64 bits.
    pub const MAX_EXTENT: usize = 1 << 14;
}

/// Index of the largest value along one axis of `outer x depth x inner` elements, the first among equals, as s32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArgMax {
    /// Element type of the input.
    pub elem: ElemType,
    /// Product of the extents before the axis.
    pub outer: usize,
    /// Extent of the axis.
    pub depth: usize,
    /// Product of the extents behind the axis.
    pub inner: usize,
}
