//! Bilinear resizing: plain Rust over 32 channels at a time, compiled once for every CPU and once for AVX2.
//!
//! Columns are handled in blocks: their taps are found once and serve every row. Values are blended vertically,
//! then horizontally; the vertical blend is kept while neighbouring outputs read the same input columns.

use core::ops::Range;

use crate::params::{Coordinates, Resize};
use crate::types::ElemType;

mod single;

pub(crate) use single::{accepts_u8, bilinear_single};

/// Channels that are blended together.
const CHANNELS: usize = 32;
/// Output columns whose taps are found at once.
const COLUMNS: usize = 64;

/// Two input positions of one axis and their weights.
#[derive(Clone, Copy, Default)]
struct Taps {
    lower: usize,
    upper: usize,
    weights: [i32; 2],
}

/// 8-bit types.
pub(crate) fn accepts_bytes(p: &Resize) -> bool {
    p.elem.bits() == 8
}

/// Largest product of both units that leaves room for a byte and its rounder in 32 bits.
const MAX_UNIT: usize = 1 << 22;

/// Rule 14; see [`crate::registry::ResizeFn`].
#[inline(always)]
pub(crate) fn bilinear_10bit(p: &Resize, input: &[u8], rows: Range<usize>, output: &mut [u8]) {
    let taps = |o, axis| taps_10bit(o, p.input[axis], p.output[axis], p.coordinates);
    // Half away from zero: below zero the rounder is one less.
    let end = |sum: i32| ((sum + (1 << 19) - i32::from(sum < 0)) >> 20) as u8;
    match p.elem {
        ElemType::S8 => resize(p, input, rows, output, taps, |byte| i32::from(byte as i8), end),
        ElemType::U8 | ElemType::U4 | ElemType::S4 | ElemType::S16 | ElemType::S32 => {
            resize(p, input, rows, output, taps, i32::from, end);
        }
    }
}

/// Rule 15; see [`crate::registry::ResizeFn`]. s8 is computed as u8, plus 128: half up does not mind.
#[inline(always)]
pub(crate) fn bilinear_rational(p: &Resize, input: &[u8], rows: Range<usize>, output: &mut [u8]) {
    let axes = [Axis::new(p, 0), Axis::new(p, 1)];
    if axes[0].unit * axes[1].unit > MAX_UNIT {
        return rational_wide(p, &axes, input, rows, output);
    }
    let unit = (axes[0].unit * axes[1].unit) as u32;
    let taps = |o, axis: usize| axes[axis].taps(o);
    let flip = if p.elem == ElemType::S8 { 0x80 } else { 0 };
    let value = |byte: u8| i32::from(byte ^ flip);
    let half = unit / 2;
    // `(sum + half) / unit`, the dividend below 256 units.
    if unit.is_power_of_two() {
        let shift = unit.trailing_zeros();
        resize(p, input, rows, output, taps, value, |sum| ((sum as u32 + half) >> shift) as u8 ^ flip);
    } else {
        // The reciprocal is too large by less than 1 / 2^52, the quotient by less than 256 * unit / 2^52, which is
        // below 1 / unit.
        let reciprocal = (1u64 << 52).div_ceil(u64::from(unit));
        let quotient = |sum: i32| ((u64::from(sum as u32 + half) * reciprocal) >> 52) as u8;
        resize(p, input, rows, output, taps, value, |sum| quotient(sum) ^ flip);
    }
}

/// Rule 15 for units whose product is beyond [`MAX_UNIT`], up to 2^30: one value at a time in 64 bits. Few pictures ask
/// for it, those whose extents have no common factor.
#[cold]
fn rational_wide(p: &Resize, axes: &[Axis; 2], input: &[u8], rows: Range<usize>, output: &mut [u8]) {
    let ([in_h, in_w], [out_h, out_w], channels) = (p.input, p.output, p.channels);
    let flip = if p.elem == ElemType::S8 { 0x80 } else { 0 };
    let unit = (axes[0].unit * axes[1].unit) as u64;
    // The dividend is below 256 * unit <= 2^38; the reciprocal is too large by less than 1 / 2^70, the quotient by less
    // than 1 / 2^32.
    let reciprocal = (1u128 << 70).div_ceil(unit.into());
    let mut output = output.iter_mut();
    for row in rows {
        let y = axes[0].taps(row % out_h);
        for x in (0..out_w).map(|ox| axes[1].taps(ox)) {
            for c in 0..channels {
                let at = |iy: usize, ix: usize| {
                    i64::from(input[((row / out_h * in_h + iy) * in_w + ix) * channels + c] ^ flip)
                };
                let line = |iy| {
                    at(iy, x.lower) * i64::from(x.weights[0]) + at(iy, x.upper) * i64::from(x.weights[1])
                };
                let sum = line(y.lower) * i64::from(y.weights[0]) + line(y.upper) * i64::from(y.weights[1]);
                let Some(out) = output.next() else { return };
                *out = ((u128::from(sum as u64 + unit / 2) * reciprocal) >> 70) as u8 ^ flip;
            }
        }
    }
}

/// One axis of rule 14.
fn taps_10bit(o: usize, input: usize, output: usize, coordinates: Coordinates) -> Taps {
    let (input, output, o) = (input as i64, output as i64, o as i64);
    let step = match coordinates {
        Coordinates::AlignCorners if output > 1 => (1024 * (input - 1) + (output - 1) / 2) / (output - 1),
        Coordinates::Asymmetric | Coordinates::AlignCorners | Coordinates::HalfPixel => {
            (1024 * input + output / 2) / output
        }
    };
    let scaled = match coordinates {
        Coordinates::HalfPixel => o * step + step / 2 - 512,
        Coordinates::Asymmetric | Coordinates::AlignCorners => o * step,
    };
    let lower = (scaled / 1024).clamp(0, input - 1);
    let upper = ((scaled + 1023) / 1024).clamp(0, input - 1);
    // Beyond the ends both taps are the same and the weights, whatever they are, add up to 1024.
    let fraction = (scaled - 1024 * lower) as i32;
    Taps { lower: lower as usize, upper: upper as usize, weights: [1024i32.wrapping_sub(fraction), fraction] }
}

/// One axis of rule 15: output `o` lies at `(o * numerator + offset) / unit`, not below 0.
struct Axis {
    numerator: usize,
    offset: isize,
    unit: usize,
    last: usize,
}

impl Axis {
    fn new(p: &Resize, axis: usize) -> Axis {
        let (input, output) = (p.input[axis], p.output[axis]);
        let (numerator, offset, unit) = match p.coordinates {
            Coordinates::Asymmetric => (input, 0, output),
            Coordinates::AlignCorners if output > 1 => (input - 1, 0, output - 1),
            Coordinates::AlignCorners => (0, 0, 1),
            Coordinates::HalfPixel => (2 * input, input as isize - output as isize, 2 * output),
        };
        // Smallest terms, so that weights stay small.
        let divisor = gcd(gcd(numerator, offset.unsigned_abs()), unit);
        Axis {
            numerator: numerator / divisor,
            offset: offset / divisor as isize,
            unit: unit / divisor,
            last: input - 1,
        }
    }

    fn taps(&self, o: usize) -> Taps {
        let position = (o * self.numerator).saturating_add_signed(self.offset);
        let lower = (position / self.unit).min(self.last);
        let fraction = (position - lower * self.unit) as i32;
        let weights = [self.unit as i32 - fraction, fraction];
        Taps { lower, upper: (lower + 1).min(self.last), weights }
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The walk over the output: `taps(o, axis)`, `value` of a byte, `end` of a sum. Sums may wrap on the way where both
/// taps are the same; what they end as fits.
#[inline(always)]
fn resize(
    p: &Resize,
    input: &[u8],
    rows: Range<usize>,
    output: &mut [u8],
    taps: impl Fn(usize, usize) -> Taps,
    value: impl Fn(u8) -> i32,
    end: impl Fn(i32) -> u8,
) {
    let ([in_h, in_w], [out_h, out_w], channels) = (p.input, p.output, p.channels);
    for start in (0..out_w).step_by(COLUMNS) {
        let columns = COLUMNS.min(out_w - start);
        let mut block = [Taps::default(); COLUMNS];
        block.iter_mut().zip(start..out_w).for_each(|(column, ox)| *column = taps(ox, 1));
        for (index, row) in rows.clone().enumerate() {
            let y = taps(row % out_h, 0);
            let line = |iy: usize| &input[(row / out_h * in_h + iy) * in_w * channels..];
            let lines = [line(y.lower), line(y.upper)];
            let output = &mut output[(index * out_w + start) * channels..][..columns * channels];
            let mut first = 0;
            while first < channels {
                // The last channels again rather than fewer than a block.
                first = first.min(channels.saturating_sub(CHANNELS));
                let vertical =
                    |ix: usize| blend(lines.map(|line| &line[ix * channels + first..]), y.weights, &value);
                columns_of(&block[..columns], channels, &mut output[first..], vertical, &end);
                first += CHANNELS;
            }
        }
    }
}

/// One block of channels of one row of a block of columns; `output` begins with its first channel, pixels are
/// `pitch` bytes apart.
#[inline(always)]
fn columns_of(
    columns: &[Taps],
    pitch: usize,
    output: &mut [u8],
    vertical: impl Fn(usize) -> [i32; CHANNELS],
    end: impl Fn(i32) -> u8,
) {
    let mut held = None;
    let (mut left, mut right) = ([0; CHANNELS], [0; CHANNELS]);
    for (i, x) in columns.iter().enumerate() {
        if held != Some((x.lower, x.upper)) {
            left = vertical(x.lower);
            right = if x.upper == x.lower { left } else { vertical(x.upper) };
            held = Some((x.lower, x.upper));
        }
        let mut bytes = [0; CHANNELS];
        for (byte, (a, b)) in bytes.iter_mut().zip(left.iter().zip(&right)) {
            *byte = end(a.wrapping_mul(x.weights[0]).wrapping_add(b.wrapping_mul(x.weights[1])));
        }
        store_pixel(&bytes, pitch, &mut output[i * pitch..]);
    }
}

/// Writes a block to the pixel of `pitch` channels that `output` begins with. What a whole block writes beyond a pixel
/// of fewer channels belongs to pixels of this row that follow and are written later.
#[inline(always)]
fn store_pixel(bytes: &[u8; CHANNELS], pitch: usize, output: &mut [u8]) {
    match output.first_chunk_mut() {
        Some(output) => *output = *bytes,
        None => {
            let length = output.len().min(pitch);
            output[..length].copy_from_slice(&bytes[..length]);
        }
    }
}

/// The weighted sums of two pixels.
#[inline(always)]
fn blend(pixels: [&[u8]; 2], weights: [i32; 2], value: impl Fn(u8) -> i32) -> [i32; CHANNELS] {
    let [a, b] = pixels.map(|pixel| {
        pixel.first_chunk().copied().unwrap_or_else(|| {
            let mut bytes = [0; CHANNELS];
            bytes[..pixel.len()].copy_from_slice(pixel);
            bytes
        })
    });
    let mut sums = [0i32; CHANNELS];
    for (sum, (&a, &b)) in sums.iter_mut().zip(a.iter().zip(&b)) {
        *sum = value(a).wrapping_mul(weights[0]).wrapping_add(value(b).wrapping_mul(weights[1]));
    }
    sums
}
