//! Operator parameters: factors, clamps, axes, and what they refer to.

use core::mem::offset_of;

use crate::operator::{
    AddParams, ArgMaxParams, ChannelTableParams, ConcatParams, ConvParams, GatherParams, MeanParams,
    MulParams, PadParams, Params, PoolParams, ResizeParams, Rule, ScaleProduct, SoftmaxParams,
    StridedCopyParams, TableFunction, TableParams,
};
use crate::place::{Checked, Place, Row};
use crate::tensor::{ElemCode, TensorRecord};

use super::TablesInUse;

/// Output channels of a convolution.
pub(super) fn channels(output: &TensorRecord) -> u32 {
    output.shape().last().copied().unwrap_or(1)
}

/// The parameters of one operator under check.
pub(super) struct Check<'c> {
    /// Where the parameters lie.
    pub(super) place: Place,
    pub(super) rule: Rule,
    /// The first input.
    pub(super) input: &'c TensorRecord,
    pub(super) output: &'c TensorRecord,
    /// The section `Constants`: where it lies, what it holds, and which part of it comes next.
    pub(super) payload: Place,
    pub(super) values: &'c [i32],
    pub(super) constants: &'c mut Row,
    pub(super) tables: &'c mut TablesInUse,
}

impl Check<'_> {
    pub(super) fn check(&mut self, params: &Params) -> Checked {
        match params {
            Params::Conv2d(c) | Params::DepthwiseConv2d(c) | Params::FullyConnected(c) => self.conv(c),
            Params::Add(a) | Params::Sub(a) => self.add(a),
            Params::Mul(m) | Params::Requantize(m) => self.mul(m),
            Params::AveragePool2d(p) | Params::MaxPool2d(p) => self.pool(p),
            Params::Mean(m) => self.mean(m),
            Params::Pad(p) => self.pad(p),
            Params::Concat(c) => self.axis(offset_of!(ConcatParams, axis), c.axis, self.output),
            Params::Reshape(_) | Params::Tile(_) => Ok(()),
            Params::StridedCopy(c) => self.strided_copy(c),
            Params::Table(t) => self.table(t),
            Params::Softmax(s) => self.softmax(s),
            Params::ResizeBilinear(r) | Params::ResizeNearest(r) => {
                let p = self.place.at(offset_of!(ResizeParams, coordinates));
                p.field((1..=3).contains(&r.coordinates), "coordinates", r.coordinates, "1 to 3")
            }
            Params::Gather(g) => self.gather(g),
            Params::ChannelTable(t) => self.channel_table(t),
            Params::ArgMax(a) => self.axis(offset_of!(ArgMaxParams, axis), a.axis, self.input),
        }
    }

    fn conv(&mut self, c: &ConvParams) -> Checked {
        self.sizes("stride", offset_of!(ConvParams, stride), c.stride, 1)?;
        self.sizes("dilation", offset_of!(ConvParams, dilation), c.dilation, 1)?;
        self.sizes("padding", offset_of!(ConvParams, pad), c.pad, 0)?;
        let p = self.place.at(offset_of!(ConvParams, groups));
        p.field(c.groups >= 1, "groups", c.groups, "at least 1")?;
        let p = self.place.at(offset_of!(ConvParams, product));
        let known = ScaleProduct::from_number(c.product).is_some();
        p.field(known, "scale product", c.product, "1 or 2")?;
        self.clamp(offset_of!(ConvParams, lo), c.lo, c.hi)?;
        let channels = channels(self.output);
        let p = self.place.at(offset_of!(ConvParams, constants_first));
        let each = self.rule.constants_per_channel() as u64;
        self.constants.take(p, c.constants_first.into(), each * u64::from(channels))?;
        if self.rule == Rule::Accumulate {
            let p = self.place.at(offset_of!(ConvParams, lo));
            p.field(c.lo == i32::MIN, "clamp", c.lo, "-2^31 under this rule")?;
            return p.at(4).field(c.hi == i32::MAX, "clamp", c.hi, "2^31 - 1 under this rule");
        }
        // Bias first; `take` found all three lists inside the section.
        self.factors(c.constants_first as usize + channels as usize, channels as usize)
    }

    /// `count` multipliers from entry `first` of the constants on, then as many shifts: each pair a factor.
    fn factors(&self, first: usize, count: usize) -> Checked {
        let value = |i: usize| (self.payload.at(4 * i), self.values[i]);
        (first..first + count).try_for_each(|i| factor(value(i), value(i + count)))
    }

    fn add(&self, a: &AddParams) -> Checked {
        self.clamp(offset_of!(AddParams, lo), a.lo, a.hi)?;
        let multiplier = |i: usize| {
            let p = self.place.at(offset_of!(AddParams, multipliers) + 4 * i);
            (p, a.multipliers[i])
        };
        let shift = |i: usize| (self.place.at(offset_of!(AddParams, shifts) + 4 * i), a.shifts[i]);
        let unused = |(p, value): (Place, i32)| p.field(value == 0, "unused parameters", value, "0");
        if self.rule == Rule::AddTflite {
            for i in 0..3 {
                factor(multiplier(i), shift(i))?;
                // The shift is at least 16 behind `factor`. Inputs have factors of at most 1/2, the sum of at most 1.
                let limit = 1i64 << (a.shifts[i] - i32::from(i < 2));
                let (p, value) = shift(i);
                let expected = "a factor of at most 1/2, of the sum at most 1";
                p.field(i64::from(a.multipliers[i]) <= limit, "shift", value, expected)?;
            }
            return Ok(());
        }
        if self.rule == Rule::AddSeparate {
            factor(multiplier(0), shift(0))?;
            factor(multiplier(1), shift(1))?;
        } else {
            // Joint: `operator` refused every other rule.
            for (p, value) in [multiplier(0), multiplier(1)] {
                p.field((0..1 << 24).contains(&value), "multiplier", value, "0 to 2^24 - 1")?;
            }
            let (p, value) = shift(0);
            p.field((1..=62).contains(&value), "shift", value, "1 to 62")?;
            unused(shift(1))?;
        }
        unused(multiplier(2))?;
        unused(shift(2))
    }

    fn mul(&self, m: &MulParams) -> Checked {
        let multiplier = (self.place.at(offset_of!(MulParams, multiplier)), m.multiplier);
        factor(multiplier, (self.place.at(offset_of!(MulParams, shift)), m.shift))?;
        self.clamp(offset_of!(MulParams, lo), m.lo, m.hi)
    }

    fn pool(&mut self, a: &PoolParams) -> Checked {
        self.sizes("window", offset_of!(PoolParams, kernel), a.kernel, 1)?;
        self.sizes("stride", offset_of!(PoolParams, stride), a.stride, 1)?;
        self.sizes("padding", offset_of!(PoolParams, pad), a.pad, 0)?;
        self.clamp(offset_of!(PoolParams, lo), a.lo, a.hi)?;
        let p = self.place.at(offset_of!(PoolParams, constants_first));
        if self.rule != Rule::AverageOnce {
            return p.field(a.constants_first == 0, "unused parameters", a.constants_first, "0");
        }
        // Both sizes are below 2^31.
        let taps = u64::from(a.kernel[0]) * u64::from(a.kernel[1]);
        self.constants.take(p, a.constants_first.into(), 2 * taps)?;
        self.factors(a.constants_first as usize, taps as usize)
    }

    fn mean(&self, m: &MeanParams) -> Checked {
        let axes_ok = u64::from(m.axes) < 1 << self.input.shape().len();
        self.place.at(offset_of!(MeanParams, axes)).field(axes_ok, "axes", m.axes, "axes of the input")?;
        let multiplier = (self.place.at(offset_of!(MeanParams, multiplier)), m.multiplier);
        let shift = (self.place.at(offset_of!(MeanParams, shift)), m.shift);
        if self.rule == Rule::MeanTwice {
            // The count is folded in, so the multiplier need not be normalised.
            multiplier.0.field(m.multiplier >= 0, "multiplier", m.multiplier, "0 to 2^31 - 1")?;
            factor((multiplier.0, 0), shift)?;
        } else {
            factor(multiplier, shift)?;
        }
        self.clamp(offset_of!(MeanParams, lo), m.lo, m.hi)
    }

    fn pad(&self, a: &PadParams) -> Checked {
        let p = self.place.at(offset_of!(PadParams, before));
        for (axis, &before) in a.before.iter().enumerate() {
            let limit = self.output.shape().get(axis).copied().unwrap_or(0);
            p.at(4 * axis).field(before <= limit, "padding", before, "at most the extent of the output")?;
        }
        let (min, max) = self.output_range();
        let p = self.place.at(offset_of!(PadParams, value));
        p.field(min <= a.value && a.value <= max, "padding value", a.value, "a value of the output type")
    }

    /// Every element that is read lies inside the input.
    fn strided_copy(&self, c: &StridedCopyParams) -> Checked {
        let (mut least, mut most) = (i64::from(c.start), i64::from(c.start));
        let p = self.place.at(offset_of!(StridedCopyParams, strides));
        for (axis, &stride) in c.strides.iter().enumerate() {
            let Some(&extent) = self.output.shape().get(axis) else {
                p.at(4 * axis).field(stride == 0, "unused stride", stride, "0")?;
                continue;
            };
            // The product of the extents is below 2^31, so these sums stay below 2^63.
            let reach = i64::from(extent - 1) * i64::from(stride);
            least += reach.min(0);
            most += reach.max(0);
        }
        let elements: i64 = self.input.shape().iter().map(|&e| i64::from(e)).product();
        self.place.field(least >= 0, "first element read", least, "not before the input")?;
        self.place.field(most < elements, "last element read", most, "inside the input")
    }

    fn table(&mut self, t: &TableParams) -> Checked {
        self.tables.take(self.place.at(offset_of!(TableParams, table)), t.table, 1)?;
        let known = u16::try_from(t.function).ok().and_then(TableFunction::from_number).is_some();
        let p = self.place.at(offset_of!(TableParams, function));
        p.field(known, "table function", t.function, "a known function")?;
        let arguments = [
            (offset_of!(TableParams, argument), t.argument),
            (offset_of!(TableParams, second_argument), t.second_argument),
        ];
        for (offset, [mantissa, exponent]) in arguments {
            let p = self.place.at(offset);
            real((p, mantissa), (p.at(4), exponent), LEAST_MANTISSA)?;
        }
        self.clamp(offset_of!(TableParams, lo), t.lo, t.hi)
    }

    fn softmax(&self, s: &SoftmaxParams) -> Checked {
        let p = self.place.at(offset_of!(SoftmaxParams, multiplier));
        p.field(s.multiplier >= 1 << 30, "multiplier", s.multiplier, "2^30 to 2^31 - 1")?;
        let p = self.place.at(offset_of!(SoftmaxParams, left_shift));
        p.field((0..=31).contains(&s.left_shift), "left shift", s.left_shift, "0 to 31")?;
        let p = self.place.at(offset_of!(SoftmaxParams, diff_min));
        let counted = -((31 << 26) >> s.left_shift)..=0;
        p.field(
            counted.contains(&s.diff_min),
            "least difference",
            s.diff_min,
            "-((31 << 26) >> left shift) to 0",
        )?;
        let (p, [mantissa, exponent]) = (self.place.at(offset_of!(SoftmaxParams, beta)), s.beta);
        real((p, mantissa), (p.at(4), exponent), 1)
    }

    fn gather(&mut self, g: &GatherParams) -> Checked {
        for tensor in [self.input, self.output] {
            self.axis(offset_of!(GatherParams, axis), g.axis, tensor)?;
        }
        let extent = |t: &TensorRecord| t.shape().get(g.axis as usize).copied().unwrap_or(1);
        let (positions, extent) = (extent(self.output), i64::from(extent(self.input)));
        let p = self.place.at(offset_of!(GatherParams, constants_first));
        self.constants.take(p, g.constants_first.into(), positions.into())?;
        let first = g.constants_first as usize;
        (first..first + positions as usize).try_for_each(|i| {
            let inside = (0..extent).contains(&i64::from(self.values[i]));
            self.payload.at(4 * i).field(inside, "index", self.values[i], "a position of the input")
        })
    }

    fn channel_table(&mut self, t: &ChannelTableParams) -> Checked {
        let channels = channels(self.output);
        let p = self.place.at(offset_of!(ChannelTableParams, tables_first));
        self.tables.take(p, t.tables_first, channels)?;
        let p = self.place.at(offset_of!(ChannelTableParams, constants_first));
        self.constants.take(p, t.constants_first.into(), 2 * u64::from(channels))?;
        let (first, count) = (t.constants_first as usize, channels as usize);
        let value = |i: usize| (self.payload.at(4 * i), self.values[i]);
        (first..first + count).try_for_each(|i| real(value(i), value(i + count), LEAST_MANTISSA))?;
        self.clamp(offset_of!(ChannelTableParams, lo), t.lo, t.hi)
    }

    fn sizes(&self, field: &'static str, offset: usize, pair: [u32; 2], least: u32) -> Checked {
        let expected = if least == 0 { "0 to 2^31 - 1" } else { "1 to 2^31 - 1" };
        for (i, &size) in pair.iter().enumerate() {
            let ok = (least..1 << 31).contains(&size);
            self.place.at(offset + 4 * i).field(ok, field, size, expected)?;
        }
        Ok(())
    }

    fn axis(&self, offset: usize, axis: u32, of: &TensorRecord) -> Checked {
        self.place.at(offset).field((axis as usize) < of.shape().len(), "axis", axis, "an axis of the tensor")
    }

    fn output_range(&self) -> (i32, i32) {
        // The element type was checked with the tensor.
        ElemCode::from_number(self.output.elem).map_or((0, 0), ElemCode::range)
    }

    /// Lower and upper clamp, which lie side by side.
    fn clamp(&self, offset: usize, lo: i32, hi: i32) -> Checked {
        let (min, max) = self.output_range();
        let p = self.place.at(offset);
        p.field(min <= lo && lo <= max, "clamp", lo, "a value of the output type")?;
        p.at(4).field(
            lo <= hi && hi <= max,
            "clamp",
            hi,
            "a value of the output type, not below the lower clamp",
        )
    }
}

/// Least mantissa of a real of either sign.
const LEAST_MANTISSA: i32 = -(1 << 24) + 1;

/// A real number as mantissa, from `least` to 2^24 - 1, and exponent, -149 to 127, each with its place.
fn real((p, mantissa): (Place, i32), (q, exponent): (Place, i32), least: i32) -> Checked {
    p.field((least..1 << 24).contains(&mantissa), "mantissa", mantissa, "below 2^24 in magnitude")?;
    q.field((-149..=127).contains(&exponent), "exponent", exponent, "-149 to 127")
}

/// A factor `multiplier / 2^shift`, each with its place.
fn factor((p, multiplier): (Place, i32), (q, shift): (Place, i32)) -> Checked {
    let normal = multiplier == 0 || multiplier >= 1 << 30;
    p.field(normal, "multiplier", multiplier, "0, or 2^30 to 2^31 - 1")?;
    q.field((16..=62).contains(&shift), "shift", shift, "16 to 62")
}
