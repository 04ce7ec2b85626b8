//! Which parameters are valid. Kernels are called with valid ones only: their index arithmetic, and with it the
//! soundness of their `unsafe` blocks, relies on the limits here.

use super::{
    Add, AddRule, ArgMax, AveragePool, AverageRule, ChannelTable, Conv, MaxPool, Mean, Output, Quant,
    Requantize, Resize, Softmax,
};
use crate::geometry::Window;
use crate::requant::{Dyadic, Rounding};
use crate::types::ElemType;

/// Elements of a tensor stay below this, so that any offset into one is far from overflowing.
const MAX_ELEMENTS: usize = 1 << 31;

/// Most 8-bit values in an average: their sum and its rounder stay below 2^31.
const MAX_AVERAGED: usize = 1 << 23;

impl Quant {
    /// Most values of this type in an average: their sum, each less the zero point, fits 32 bits.
    pub fn most_averaged(&self) -> usize {
        MAX_AVERAGED >> (self.elem.bits().max(8) - 8)
    }
}

/// Parameters that can be checked.
pub trait Valid {
    /// Whether every field lies within its documented range and no index computed from it overflows.
    fn is_valid(&self) -> bool;
}

/// Whether a tensor of these extents has at least one element and fewer than [`MAX_ELEMENTS`].
fn countable(extents: &[usize]) -> bool {
    let count = extents.iter().try_fold(1usize, |count, &extent| count.checked_mul(extent));
    count.is_some_and(|count| (1..MAX_ELEMENTS).contains(&count))
}

impl Valid for Quant {
    fn is_valid(&self) -> bool {
        self.elem.bits() <= 16 && (self.elem.min()..=self.elem.max()).contains(&self.zero_point)
    }
}

impl Valid for Output {
    fn is_valid(&self) -> bool {
        let Output { elem, zero_point, lo, hi } = *self;
        Quant { elem, zero_point }.is_valid() && elem.min() <= lo && lo <= hi && hi <= elem.max()
    }
}

impl Valid for Dyadic {
    fn is_valid(&self) -> bool {
        Dyadic::new(self.multiplier, self.shift).is_some()
    }
}

/// `batch` pictures with so many channels before and behind a window.
fn pictures(batch: usize, window: &Window, [from, to]: [usize; 2]) -> bool {
    let (y, x) = (&window.y, &window.x);
    y.is_valid()
        && x.is_valid()
        && countable(&[batch, y.input, x.input, from])
        && countable(&[batch, y.output, x.output, to])
}

impl Conv<'_> {
    /// Whether geometry, channels and weights are valid: all that packing looks at.
    pub fn has_valid_weights(&self) -> bool {
        let (y, x, groups) = (&self.window.y, &self.window.x, self.groups);
        let weight = match self.weight.elem {
            ElemType::S8 | ElemType::S4 => self.weight.zero_point == 0,
            ElemType::U8 => self.weight.is_valid(),
            ElemType::U4 | ElemType::S16 | ElemType::S32 => false,
        };
        pictures(self.batch, &self.window, [self.in_channels, self.out_channels])
            && groups > 0
            && self.in_channels.is_multiple_of(groups)
            && self.out_channels.is_multiple_of(groups)
            && countable(&[self.out_channels, y.kernel, x.kernel, self.in_channels / groups])
            && weight
    }
}

impl Valid for Conv<'_> {
    fn is_valid(&self) -> bool {
        // An accumulator that is given as it is has no factor, no zero point and no clamp.
        let Output { elem, zero_point, lo, hi } = self.output;
        let raw = self.is_raw() && zero_point == 0 && (lo, hi) == (elem.min(), elem.max());
        let factors = if raw { 0 } else { self.out_channels };
        // Kernels widen inputs to 9 bits, and proofs bound sums of such.
        let narrow = self.input.elem.bits() <= 8 && self.input.is_valid();
        let (least, most) = self.input_codes;
        let codes = self.input.elem.min() <= least && least <= most && most <= self.input.elem.max();
        self.has_valid_weights()
            && codes
            && self.bias.len() == self.out_channels
            && [self.multipliers.len(), self.shifts.len()] == [factors; 2]
            && narrow
            && (raw || self.output.is_valid())
    }
}

impl AddRule {
    fn is_valid(&self, widest: usize) -> bool {
        let half = |f: Dyadic| f.multiplier == 0 || f.shift > 31 || (f.shift, f.multiplier) == (31, 1 << 30);
        match *self {
            AddRule::Joint { m1, m2, shift } => {
                [m1, m2].iter().all(|m| (0..1 << 24).contains(m)) && (1..=62).contains(&shift)
            }
            AddRule::Separate { first, second } => first.is_valid() && second.is_valid(),
            AddRule::Tflite { first, second, sum } => {
                let factors = [first, second, sum].iter().all(Valid::is_valid);
                factors && half(first) && half(second) && widest <= 8
            }
        }
    }
}

impl Valid for Add {
    fn is_valid(&self) -> bool {
        let widest = self.first.elem.bits().max(self.second.elem.bits());
        self.rule.is_valid(widest)
            && self.first.is_valid()
            && self.second.is_valid()
            && self.output.is_valid()
    }
}

impl Valid for Requantize {
    fn is_valid(&self) -> bool {
        let accumulators = self.from.elem == ElemType::S32 && self.from.zero_point == 0;
        (accumulators || self.from.is_valid()) && self.scale.is_valid() && self.to.is_valid()
    }
}

impl Valid for AveragePool<'_> {
    fn is_valid(&self) -> bool {
        let taps = self.window.y.kernel.saturating_mul(self.window.x.kernel);
        let rule = match self.rule {
            AverageRule::Rescale { multipliers, shifts } => [multipliers.len(), shifts.len()] == [taps; 2],
            AverageRule::RawHalfAway => self.input.elem.bits() == 8,
        };
        pictures(self.batch, &self.window, [self.channels; 2])
            && taps.min(self.window.input_pixels()) <= self.input.most_averaged()
            && rule
            && self.input.is_valid()
            && self.output.is_valid()
    }
}

impl Valid for MaxPool {
    fn is_valid(&self) -> bool {
        let MaxPool { elem, lo, hi, .. } = *self;
        pictures(self.batch, &self.window, [self.channels; 2])
            && Output { elem, zero_point: elem.min(), lo, hi }.is_valid()
    }
}

impl Valid for Mean {
    fn is_valid(&self) -> bool {
        // With two roundings the count is folded into the multiplier, which need not be normalised then.
        let Dyadic { multiplier, shift } = self.scale;
        let folded = self.rounding == Rounding::Twice && multiplier >= 0 && Dyadic::new(0, shift).is_some();
        let reduced = self.shape.as_slice().iter().zip(self.axes).filter(|(_, reduced)| *reduced);
        let averaged = reduced.map(|(&extent, _)| extent).product::<usize>();
        let fits = averaged <= self.input.most_averaged();
        (folded || self.scale.is_valid())
            && fits
            && self.shape.count() > 0
            && self.input.is_valid()
            && self.output.is_valid()
    }
}

impl Valid for Softmax {
    fn is_valid(&self) -> bool {
        let bytes = self.elem.bits() == 8 && self.output.bits() == 8;
        bytes
            && (1..1 << 12).contains(&self.depth)
            && self.multiplier >= 0
            && (0..=31).contains(&self.left_shift)
            && (Softmax::least_difference(self.left_shift)..=0).contains(&self.diff_min)
    }
}

impl Valid for Resize {
    fn is_valid(&self) -> bool {
        let ([in_y, in_x], [out_y, out_x]) = (self.input, self.output);
        self.elem.bits() <= 16
            && [in_y, in_x, out_y, out_x].iter().all(|&extent| extent <= Resize::MAX_EXTENT)
            && countable(&[self.batch, in_y, in_x, self.channels])
            && countable(&[self.batch, out_y, out_x, self.channels])
    }
}

impl Valid for ArgMax {
    fn is_valid(&self) -> bool {
        countable(&[self.outer, self.depth, self.inner])
    }
}

impl Valid for ChannelTable<'_> {
    fn is_valid(&self) -> bool {
        countable(&[self.tables.len()])
    }
}

impl Valid for [u8; 256] {
    fn is_valid(&self) -> bool {
        true
    }
}
