//! The walk over the picture for the AVX2 kernel: blocks of channels, runs of output pixels, edges.

use core::ops::Range;

use crate::geometry::Segment;
use crate::isa::avx2::depthwise::{Epilogue, MAX_TAPS, Run};
use crate::pack::depthwise::{BLOCK, block_len, blocks, first_channel};
use crate::params::Conv;
use crate::requant::Rounding;
use crate::types::ElemType;

/// Input bytes that a group of output rows may read: every block of channels passes over them, so they should stay
/// in the second-level cache.
const GROUP_BYTES: usize = 64 << 10;

/// Depth multiplier 1, 8-bit activations, up to 256 taps; with two roundings, accumulators below 2^30.
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
    super::accepts(p) && p.out_channels == p.in_channels && weights && taps <= MAX_TAPS && fits
}

/// A run of padding: what a tap beyond the picture reads.
pub(crate) fn scratch(p: &Conv) -> usize {
    let step = p.window.x.stride.saturating_mul(p.in_channels);
    step.saturating_mul(p.window.x.output).saturating_add(2 * BLOCK)
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
    scratch.fill(p.input.zero_point as u8);
    let channels = p.out_channels;
    let row_bytes = p.window.y.stride * p.window.x.input * channels;
    let group = (GROUP_BYTES / row_bytes).max(1) * p.window.x.output;
    let mut taps: [&[u8]; MAX_TAPS] = [&[]; MAX_TAPS];
    let mut start = rows.start;
    while start < rows.end {
        let end = rows.end.min(start - start % group + group);
        for block in 0..blocks(channels) {
            let weights = &packed[block * block_len(p.window.taps())..][..block_len(p.window.taps())];
            let epilogue = Epilogue::new(p, block, weights);
            let first = first_channel(channels, block);
            let mut walk = Walk { p, input, padding: scratch, weights, epilogue, first, taps: &mut taps };
            let mut at = start - rows.start;
            for segment in p.window.segments(start..end) {
                walk.segment(&segment, &mut output[at * channels + first..]);
                at += segment.ox.len();
            }
        }
        start = end;
    }
}

/// One block of channels on its way over the picture.
struct Walk<'a, 'b> {
    p: &'a Conv<'a>,
    input: &'a [u8],
    padding: &'a [u8],
    weights: &'a [u8],
    epilogue: Epilogue,
    /// First channel of the block.
    first: usize,
    /// Where the taps of the present run lie.
    taps: &'b mut [&'a [u8]; MAX_TAPS],
}

impl Walk<'_, '_> {
    /// The output pixels of `segment`; `output` begins with the block's first channel of its first pixel.
    #[target_feature(enable = "avx2")]
    fn segment(&mut self, segment: &Segment, output: &mut [u8]) {
        let inside = self.p.window.x.interior();
        let (from, to) = (segment.ox.start, segment.ox.end);
        let left = inside.start.clamp(from, to);
        let right = inside.end.clamp(left, to);
        let mut at = from;
        while at < to {
            // Outside the interior the columns that fall on the picture differ from pixel to pixel.
            let count = if at == left && left < right { right - left } else { 1 };
            let taps = self.locate(segment, at);
            let output = &mut output[(at - from) * self.p.out_channels..];
            if self.p.out_channels < BLOCK {
                self.run_narrow(taps, count, output);
            } else {
                self.run(taps, count, output);
            }
            at += count;
        }
    }

    /// Finds the taps of the output at column `ox`; returns their count, made even.
    fn locate(&mut self, segment: &Segment, ox: usize) -> usize {
        let (y, x) = (&self.p.window.y, &self.p.window.x);
        let mut n = 0;
        for ky in 0..y.kernel {
            let row = y.position(segment.oy, ky).map(|iy| (segment.picture * y.input + iy) * x.input);
            for kx in 0..x.kernel {
                self.taps[n] = match (row, x.position(ox, kx)) {
                    (Some(row), Some(ix)) => &self.input[(row + ix) * self.p.in_channels + self.first..],
                    (None, _) | (_, None) => self.padding,
                };
                n += 1;
            }
        }
        if n % 2 == 1 {
            self.taps[n] = self.taps[n - 1];
            n += 1;
        }
        n
    }

    /// `count` outputs of 32 channels.
    #[target_feature(enable = "avx2")]
    fn run(&self, taps: usize, count: usize, output: &mut [u8]) {
        let step = self.p.window.x.stride * self.p.in_channels;
        let run = self.prepared(&self.taps[..taps], step, self.p.out_channels);
        run.compute(count, &self.epilogue, output);
    }

    /// `count` outputs of fewer than 32 channels, as many pixels at once as 32 bytes hold when they are neighbours
    /// in the input too. What a vector writes beyond them belongs to pixels computed later.
    #[target_feature(enable = "avx2")]
    fn run_narrow(&self, taps: usize, count: usize, output: &mut [u8]) {
        let channels = self.p.out_channels;
        let stride = self.p.window.x.stride;
        let pixels = if stride == 1 { BLOCK / channels } else { 1 };
        let (step, output_step) = (pixels * stride * channels, pixels * channels);
        let taps = &self.taps[..taps];
        let room = |bytes: usize, step| bytes.checked_sub(BLOCK).map_or(0, |rest| rest / step + 1);
        let fitting = taps.iter().map(|tap| room(tap.len(), step)).min().unwrap_or(0);
        let direct = fitting.min(room(output.len(), output_step)).min(count.div_ceil(pixels));
        self.prepared(taps, step, output_step).compute(direct, &self.epilogue, output);
        // The last pixels of the picture or of the band: through buffers as wide as a vector.
        for at in direct..count.div_ceil(pixels) {
            let mut copies = [[0; BLOCK]; MAX_TAPS];
            let mut staged: [&[u8]; MAX_TAPS] = [&[]; MAX_TAPS];
            for ((copy, staged), tap) in copies.iter_mut().zip(&mut staged).zip(taps) {
                let tap = &tap[at * step..];
                let length = tap.len().min(BLOCK);
                copy[..length].copy_from_slice(&tap[..length]);
                *staged = copy;
            }
            let mut bytes = [0; BLOCK];
            self.prepared(&staged[..taps.len()], 0, 0).compute(1, &self.epilogue, &mut bytes);
            let length = (count - at * pixels).min(pixels) * channels;
            output[at * output_step..][..length].copy_from_slice(&bytes[..length]);
        }
    }

    fn prepared<'c>(&'c self, taps: &'c [&'c [u8]], step: usize, output_step: usize) -> Run<'c> {
        Run {
            taps,
            step,
            weights: self.weights,
            output_step,
            signed: self.p.input.elem == ElemType::S8,
            rounding: self.p.rounding,
        }
    }
}
