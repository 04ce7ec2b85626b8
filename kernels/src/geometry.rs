//! Window arithmetic of convolution and pooling: NHWC extents, padding, stride, dilation.

use core::ops::Range;

/// One spatial axis of a sliding window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    /// Input extent, at least 1.
    pub input: usize,
    /// Output extent, at least 1.
    pub output: usize,
    /// Window taps, at least 1.
    pub kernel: usize,
    /// Step between output positions, at least 1.
    pub stride: usize,
    /// Step between taps, at least 1.
    pub dilation: usize,
    /// Padding before the first input element; padding behind the last follows from `output`.
    pub pad: usize,
}

impl Axis {
    /// Input position of tap `k` at output position `o`, `None` in the padding.
    #[inline]
    pub fn position(&self, o: usize, k: usize) -> Option<usize> {
        (o * self.stride + k * self.dilation).checked_sub(self.pad).filter(|&i| i < self.input)
    }

    /// The taps at output position `o` that fall on the input.
    #[inline]
    pub fn valid_taps(&self, o: usize) -> Range<usize> {
        let start = o * self.stride;
        let first = self.pad.saturating_sub(start).div_ceil(self.dilation).min(self.kernel);
        // position < input  <=>  k * dilation < input + pad - start
        let room = (self.input + self.pad).saturating_sub(start);
        let last = room.div_ceil(self.dilation).min(self.kernel);
        first..last.max(first)
    }

    /// Every extent, stride and dilation at least 1, and no product in the index arithmetic overflows.
    pub fn is_valid(&self) -> bool {
        let nonzero = [self.input, self.output, self.kernel, self.stride, self.dilation];
        nonzero.iter().all(|&v| v > 0)
            && [self.input, self.pad].iter().all(|&v| v <= LIMIT)
            && self.output.checked_mul(self.stride).is_some_and(|v| v <= LIMIT)
            && self.kernel.checked_mul(self.dilation).is_some_and(|v| v <= LIMIT)
    }
}

/// Largest extent that the index arithmetic accepts: sums of three stay far inside 32 bits.
pub const LIMIT: usize = 1 << 28;

/// A two-dimensional window over an NHWC tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Vertical axis.
    pub y: Axis,
    /// Horizontal axis.
    pub x: Axis,
}

impl Window {
    /// A 1x1 window over a 1x1 picture: a fully connected layer is a convolution of this geometry.
    pub const POINT: Window = {
        let axis = Axis { input: 1, output: 1, kernel: 1, stride: 1, dilation: 1, pad: 0 };
        Window { y: axis, x: axis }
    };

    /// Whether output pixel `i` reads exactly input pixel `i`: a convolution is then a plain matrix product.
    pub fn is_pointwise(&self) -> bool {
        let one = |a: &Axis| a.kernel == 1 && a.stride == 1 && a.pad == 0 && a.input == a.output;
        one(&self.y) && one(&self.x)
    }

    /// Taps of the window.
    pub const fn taps(&self) -> usize {
        self.y.kernel * self.x.kernel
    }

    /// Output pixels of one picture.
    pub const fn output_pixels(&self) -> usize {
        self.y.output * self.x.output
    }

    /// Input pixels of one picture.
    pub const fn input_pixels(&self) -> usize {
        self.y.input * self.x.input
    }

    /// Output pixels `pixels`, counted over all pictures, cut at the ends of rows.
    pub fn segments(&self, pixels: Range<usize>) -> impl Iterator<Item = Segment> + use<> {
        let (height, width) = (self.y.output, self.x.output);
        let mut next = pixels.start;
        core::iter::from_fn(move || {
            let (row, start) = (next / width, next % width);
            let end = width.min(start + pixels.end.saturating_sub(next));
            next += end - start;
            (start < end).then_some(Segment { picture: row / height, oy: row % height, ox: start..end })
        })
    }
}

/// Neighbouring output pixels of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Picture.
    pub picture: usize,
    /// Row of the picture.
    pub oy: usize,
    /// Columns.
    pub ox: Range<usize>,
}
