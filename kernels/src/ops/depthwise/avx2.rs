//! The walk over the picture for the AVX2 kernel.
//!
//! One block of channels at a time is gathered, row by row and padding included, into a ring of rows in scratch:
//! every tap of every output is then one load at a fixed distance, there are no edges, and all of it stays in the
//! first-level cache. s8 values are gathered as u8, plus 128.

use core::ops::Range;

use crate::geometry::{Axis, Segment};
use crate::isa::avx2::depthwise::{Epilogue, MAX_TAPS, Run, gather};
use crate::pack::depthwise::{BLOCK, block_len, blocks, first_channel};
use crate::params::Conv;
use crate::requant::Rounding;
use crate::types::ElemType;

/// Input bytes that a group of output rows may read: every block of channels passes over them, so they should stay
/// in the second-level cache.
const GROUP_BYTES: usize = 128 << 10;

/// 8-bit activations, up to [`MAX_TAPS`] taps; with two roundings, accumulators below 2^30.
pub(crate) fn accepts(p: &Conv) -> bool {
    let taps = p.window.taps();
    let weights = match p.weight.elem {
        ElemType::U8 | ElemType::S8 | ElemType::S4 => true,
        ElemType::U4 | ElemType::S16 | ElemType::S32 => false,
    };
    let room = (1u32 << 30) - 255 * 255 * taps.min(MAX_TAPS) as u32;
    let fits = match p.rounding {
        Rounding::Once => true,
        Rounding::OnceAway => false,
        Rounding::Twice => p.bias.iter().all(|bias| bias.unsigned_abs() < room),
    };
    super::accepts(p) && weights && taps <= MAX_TAPS && fits
}

/// Positions from the first tap to the last.
const fn reach(axis: &Axis) -> usize {
    (axis.kernel - 1).saturating_mul(axis.dilation).saturating_add(1)
}

/// Bytes from one gathered pixel to the next.
const fn pitch(p: &Conv) -> usize {
    if p.out_channels < BLOCK { p.out_channels } else { BLOCK }
}

/// Pixels of a gathered row, and its bytes: whole vectors, one beyond the last pixel included.
const fn row_len(p: &Conv) -> (usize, usize) {
    let pixels = (p.window.x.output - 1).saturating_mul(p.window.x.stride).saturating_add(reach(&p.window.x));
    (pixels, pixels.saturating_mul(pitch(p)).saturating_add(2 * BLOCK) / BLOCK * BLOCK)
}

/// The ring of rows, and room to align it.
pub(crate) fn scratch(p: &Conv) -> usize {
    row_len(p).1.saturating_mul(reach(&p.window.y)).saturating_add(BLOCK)
}

/// See [`crate::registry::ConvFn`].
#[target_feature(enable = "avx2")]
pub(crate) fn depthwise(
    p: &Conv,
    packed: &[u8],
    input: &[u8],
    rows: Range<usize>,
    output: &mut [u8],
    scratch: &mut [u8],
) {
    let channels = p.out_channels;
    // Vectors that straddle cache lines cost twice.
    let (_, scratch) = scratch.split_at_mut(scratch.as_ptr().align_offset(BLOCK).min(BLOCK));
    let row_bytes = p.window.y.stride * p.window.x.input * p.in_channels;
    let group = (GROUP_BYTES / row_bytes).max(1) * p.window.x.output;
    let mut start = rows.start;
    while start < rows.end {
        let end = rows.end.min(start - start % group + group);
        for block in 0..blocks(channels) {
            let weights = &packed[block * block_len(p.window.taps())..][..block_len(p.window.taps())];
            let epilogue = Epilogue::new(p, block, weights);
            let first = first_channel(channels, block);
            let mut ring = Ring { p, input, first, rows: scratch, loaded: None };
            let mut at = start - rows.start;
            for segment in p.window.segments(start..end) {
                ring.advance(&segment);
                ring.compute(&segment, weights, &epilogue, &mut output[at * channels + first..]);
                at += segment.ox.len();
            }
        }
        start = end;
    }
}

/// The rows of one block of channels that the present output row reads.
struct Ring<'a> {
    p: &'a Conv<'a>,
    input: &'a [u8],
    /// First output channel of the block.
    first: usize,
    /// Row `r`, counted from the first row of padding, lies at slot `r mod` [`reach`].
    rows: &'a mut [u8],
    /// Picture, and the row after the last one gathered.
    loaded: Option<(usize, usize)>,
}

impl Ring<'_> {
    /// Gathers the rows that `segment` reads and the ring does not hold yet.
    #[target_feature(enable = "avx2")]
    fn advance(&mut self, segment: &Segment) {
        let y = &self.p.window.y;
        let first = segment.oy * y.stride;
        let end = first + reach(y);
        let held = self.loaded.filter(|&(picture, _)| picture == segment.picture);
        for row in held.map_or(first, |(_, next)| next.max(first))..end {
            self.gather(segment.picture, row);
        }
        self.loaded = Some((segment.picture, end));
    }

    /// Gathers one row.
    #[target_feature(enable = "avx2")]
    fn gather(&mut self, picture: usize, row: usize) {
        let (y, x, channels) = (&self.p.window.y, &self.p.window.x, self.p.in_channels);
        let (pixels, bytes) = row_len(self.p);
        let (pitch, flip) = (pitch(self.p), flip(self.p));
        let slot = &mut self.rows[row % reach(y) * bytes..][..bytes];
        let padding = self.p.input.zero_point as u8 ^ flip;
        let Some(iy) = row.checked_sub(y.pad).filter(|&iy| iy < y.input) else {
            fill(slot, padding);
            return;
        };
        let left = x.pad.min(pixels);
        let inside = x.input.min(pixels - left);
        let (before, rest) = slot.split_at_mut(left * pitch);
        let (middle, after) = rest.split_at_mut(inside * pitch);
        fill(before, padding);
        fill(after, padding);
        let source = &self.input[(picture * y.input + iy) * x.input * channels..][..x.input * channels];
        if channels != self.p.out_channels {
            // Depth multiplier: every output channel its own copy of the input.
            let multiplier = self.p.out_channels / channels;
            for (to, from) in middle.chunks_exact_mut(pitch).zip(source.chunks_exact(channels)) {
                for (slot, byte) in to.iter_mut().enumerate() {
                    *byte = from[(self.first + slot) / multiplier] ^ flip;
                }
            }
        } else if channels < BLOCK {
            for (to, &from) in middle.iter_mut().zip(source) {
                *to = from ^ flip;
            }
        } else {
            gather(&source[self.first..], channels, flip, middle);
        }
    }

    /// The output pixels of `segment`; `output` begins with the block's first channel of its first pixel.
    #[target_feature(enable = "avx2")]
    fn compute(&self, segment: &Segment, weights: &[u8], epilogue: &Epilogue, output: &mut [u8]) {
        let (p, pitch) = (self.p, pitch(self.p));
        let (y, x, channels) = (&p.window.y, &p.window.x, p.out_channels);
        let mut taps = [0; MAX_TAPS];
        let mut n = 0;
        let first = segment.oy * y.stride % reach(y);
        for ky in 0..y.kernel {
            let slot = first + ky * y.dilation;
            let row = if slot < reach(y) { slot } else { slot - reach(y) } * row_len(p).1;
            for kx in 0..x.kernel {
                taps[n] = row + (segment.ox.start * x.stride + kx * x.dilation) * pitch;
                n += 1;
            }
        }
        if n % 2 == 1 {
            // Its weight is zero.
            taps[n] = taps[n - 1];
        }
        // With fewer channels than a vector has bytes, neighbouring pixels fill it when they are neighbours in the
        // input too. What a vector writes beyond its pixels belongs to pixels computed later.
        let pixels = if channels < BLOCK && x.stride == 1 { BLOCK / channels } else { 1 };
        let (step, output_step) = (pixels * x.stride * pitch, pixels * channels);
        let vectors = segment.ox.len().div_ceil(pixels);
        let room = output.len().checked_sub(BLOCK).map_or(0, |rest| rest / output_step + 1);
        let direct = vectors.min(room);
        let taps = &taps[..n.next_multiple_of(2)];
        let run = Run { source: self.rows, taps, step, weights, output_step, rounding: p.rounding };
        run.compute(0..direct, epilogue, output);
        for at in direct..vectors {
            let mut bytes = [0; BLOCK];
            run.compute(at..at + 1, epilogue, &mut bytes);
            let length = (segment.ox.len() - at * pixels).min(pixels) * channels;
            output[at * output_step..][..length].copy_from_slice(&bytes[..length]);
        }
    }
}

/// Mostly a few vectors of padding: no call for those.
fn fill(bytes: &mut [u8], value: u8) {
    let (vectors, rest) = bytes.as_chunks_mut::<BLOCK>();
    vectors.iter_mut().for_each(|vector| *vector = [value; BLOCK]);
    rest.fill(value);
}

/// What turns an input byte into u8.
const fn flip(p: &Conv) -> u8 {
    match p.input.elem {
        ElemType::S8 => 0x80,
        ElemType::U8 | ElemType::U4 | ElemType::S4 | ElemType::S16 | ElemType::S32 => 0,
    }
}
