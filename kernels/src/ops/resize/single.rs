//! Rule 21: bilinear by float32 steps, decided in fixed point.
//!
//! How far the steps stray from the exact blend of a byte: two roundings of each product, whose magnitudes add up to
//! 255, by at most `2^-24` of it each: `2^-15`; four sums below 256: `2^-15`; two weights `1 - d`: `2^-16`. Weights in
//! 24-bit fixed point add `2^-16`. Before the first half-pixel centre magnitudes double, and where that is so on both
//! axes the blend is a code. In all less than `2^-12`: the exact blend plus one half, cut off, is the value unless it
//! lies so near to a whole number, and only there the steps are taken. Where coordinates and weights have few bits, no step
//! rounds at all, and the rule is that of exact fractions.

use core::ops::Range;

use super::{Axis, CHANNELS, COLUMNS, bilinear_rational, blend, store_pixel};
use crate::params::{Coordinates, Resize};
use crate::reference::resize_single::{self, SingleTaps};
use crate::types::ElemType;

/// Fraction bits of a weight; a blend has twice as many.
const WEIGHT_BITS: u32 = 24;
/// One half of a blend.
const HALF: u64 = 1 << (2 * WEIGHT_BITS - 1);
/// `2^-12` of a blend.
const BAND: u64 = 1 << (2 * WEIGHT_BITS - 12);
/// Product of the units of both axes, powers of two, up to which no step rounds: products and sums then have at most
/// 14 fraction bits, and they stay below 2^10, also where a half-pixel weight lies beyond 0 or 1.
const EXACT_UNITS: usize = 1 << 14;

/// u8.
pub(crate) fn accepts_u8(p: &Resize) -> bool {
    p.elem == ElemType::U8
}

/// Whether every coordinate, weight, product and sum is exact in float32, so that rule 15 gives the same values.
fn is_exact(p: &Resize) -> bool {
    let units = [Axis::new(p, 0).unit, Axis::new(p, 1).unit];
    // Coordinates of 15 bits and a unit of 7 fit 24 bits.
    units.iter().all(|u| u.is_power_of_two() && *u <= 1 << 7) && units[0] * units[1] <= EXACT_UNITS
}

/// The taps of one output position, in fixed point and in float32.
#[derive(Clone, Copy)]
struct Taps {
    lower: usize,
    upper: usize,
    /// Of `lower` and `upper`; their sum is 1.
    weights: [u32; 2],
    steps: SingleTaps,
}

impl Taps {
    fn new(o: usize, input: usize, output: usize, coordinates: Coordinates) -> Taps {
        let steps = SingleTaps::new(o, input, output, coordinates);
        // At the ends both taps are the same and only the sum of the weights counts.
        let apart = steps.lower != steps.upper;
        let one = 1 << WEIGHT_BITS;
        let fraction =
            if apart { steps.fraction.fixed_point(WEIGHT_BITS as i32).clamp(0, one) as u32 } else { 0 };
        Taps { lower: steps.lower, upper: steps.upper, weights: [one as u32 - fraction, fraction], steps }
    }
}

/// See [`crate::registry::ResizeFn`].
#[inline(always)]
pub(crate) fn bilinear_single(p: &Resize, input: &[u8], rows: Range<usize>, output: &mut [u8]) {
    if is_exact(p) {
        return bilinear_rational(p, input, rows, output);
    }
    let ([in_h, in_w], [out_h, out_w], channels) = (p.input, p.output, p.channels);
    for start in (0..out_w).step_by(COLUMNS) {
        let columns = COLUMNS.min(out_w - start);
        let mut block = [Taps::new(start, in_w, out_w, p.coordinates); COLUMNS];
        for (column, ox) in block.iter_mut().zip(start..out_w) {
            *column = Taps::new(ox, in_w, out_w, p.coordinates);
        }
        for (index, row) in rows.clone().enumerate() {
            let y = Taps::new(row % out_h, in_h, out_h, p.coordinates);
            let line = |iy: usize| &input[(row / out_h * in_h + iy) * in_w * channels..];
            let lines = [line(y.lower), line(y.upper)];
            let output = &mut output[(index * out_w + start) * channels..][..columns * channels];
            let mut first = 0;
            while first < channels {
                // The last channels again rather than fewer than a block.
                first = first.min(channels.saturating_sub(CHANNELS));
                let lines = lines.map(|line| &line[first..]);
                columns_of(&block[..columns], &y, lines, channels, &mut output[first..]);
                first += CHANNELS;
            }
        }
    }
}

/// One block of channels of one row of a block of columns; lines and output begin with its first channel, pixels are
/// `pitch` bytes apart.
#[inline(always)]
fn columns_of(columns: &[Taps], y: &Taps, lines: [&[u8]; 2], pitch: usize, output: &mut [u8]) {
    // Sums below 2^32, in the bits of an i32.
    let vertical_weights = y.weights.map(|w| w as i32);
    let vertical = |ix: usize| {
        blend(lines.map(|line| &line[ix * pitch..]), vertical_weights, i32::from).map(|sum| sum as u32)
    };
    let mut held = None;
    let (mut left, mut right) = ([0; CHANNELS], [0; CHANNELS]);
    for (i, x) in columns.iter().enumerate() {
        if held != Some((x.lower, x.upper)) {
            left = vertical(x.lower);
            right = if x.upper == x.lower { left } else { vertical(x.upper) };
            held = Some((x.lower, x.upper));
        }
        let [first, second] = x.weights.map(u64::from);
        let raised = |a: u32, b: u32| u64::from(a) * first + u64::from(b) * second + HALF;
        let (mut bytes, mut doubt) = ([0; CHANNELS], false);
        for (byte, (&a, &b)) in bytes.iter_mut().zip(left.iter().zip(&right)) {
            let sum = raised(a, b);
            *byte = (sum >> (2 * WEIGHT_BITS)) as u8;
            doubt |= near_whole(sum);
        }
        if doubt {
            // Only the channels of this pixel: what lies behind them is computed with its own.
            for (c, byte) in bytes.iter_mut().enumerate().take(pitch) {
                if near_whole(raised(left[c], right[c])) {
                    *byte = by_steps(y, x, lines, pitch, c);
                }
            }
        }
        store_pixel(&bytes, pitch, &mut output[i * pitch..]);
    }
}

/// Whether a blend lies within [`BAND`] of a whole number: the eleven bits behind the point are then all 0 when it is
/// moved up by the band.
#[inline(always)]
fn near_whole(sum: u64) -> bool {
    (sum + BAND) >> (2 * WEIGHT_BITS - 11) & 0x7ff == 0
}

/// Channel `c` of one output pixel, by float32 steps.
#[cold]
fn by_steps(y: &Taps, x: &Taps, lines: [&[u8]; 2], pitch: usize, c: usize) -> u8 {
    let at = |line: usize, ix: usize| i32::from(lines[line][ix * pitch + c]);
    let corners = [at(0, x.lower), at(1, x.lower), at(0, x.upper), at(1, x.upper)];
    resize_single::blend(corners, &y.steps, &x.steps).clamp(0, 255) as u8
}
