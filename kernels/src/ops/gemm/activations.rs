//! From input bytes to the 16-bit activations of a block of output pixels.
//!
//! Three ways, chosen by the geometry:
//! * *rows*: a pointwise convolution reads input pixel `i` for output pixel `i`;
//! * *strip*: the input rows that the block reads are widened once, borders included; the taps of one kernel row
//!   then lie together, and a pixel is `y.kernel` runs of that strip. Neighbouring pixels share what they read;
//! * *gather*: every pixel's `K` activations are copied together; serves all geometry.

use core::ops::Range;

use super::{Activations, Centre, GemmIsa};
use crate::pack::panels;
use crate::params::Conv;
use crate::types::ElemType;

/// Bytes that a micro-kernel or [`GemmIsa::widen`] may touch behind the last row.
const SLACK: usize = 64;
/// A block of activations beyond this leaves the second-level cache of small cores.
const BLOCK_BYTES: usize = 160 << 10;
/// Pixels of a block that are worth a pass over all weights; smaller blocks stay closer to the core.
const BLOCK_ROWS: usize = 96;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Rows,
    Strip,
    Gather,
}

/// How the pixels of a convolution are cut into blocks and where their activations lie. The same for every band.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    source: Source,
    /// Bytes of one pixel (rows, gather) or of one strip row.
    pitch: usize,
    /// Pixels of a full block.
    block_rows: usize,
    /// Rows of the largest block: pixels, or strip rows.
    pitches: usize,
    runs: usize,
    run_step: usize,
    pairs: usize,
}

/// A block: consecutive output pixels; of one picture when the source is a strip.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// Pixels over all pictures.
    pub rows: Range<usize>,
    /// Picture, and pixel of that picture at which the block starts.
    picture: usize,
    pixel: usize,
}

impl Plan {
    pub(super) fn new<I: GemmIsa>(p: &Conv) -> Plan {
        if let Some(plan) = Plan::strip::<I>(p) {
            return plan;
        }
        let source = if p.window.is_pointwise() && p.groups == 1 { Source::Rows } else { Source::Gather };
        let pairs = panels::pairs(p);
        let pitch = spread(4 * pairs);
        let block_rows = whole_tiles::<I>(BLOCK_ROWS.min(BLOCK_BYTES / pitch)).min(p.rows());
        Plan { source, pitch, block_rows, pitches: block_rows, runs: 1, run_step: 0, pairs }
    }

    /// `None` where a strip does not pay or a run is not a whole number of packed steps.
    fn strip<I: GemmIsa>(p: &Conv) -> Option<Plan> {
        let (y, x) = (&p.window.y, &p.window.x);
        let run = x.kernel * p.in_channels;
        let step = if p.weight.elem == ElemType::S4 { 4 } else { 2 };
        let shared = p.window.taps() > 1 && x.stride <= x.kernel && y.stride <= y.kernel;
        if !shared || x.dilation != 1 || p.groups != 1 || !run.is_multiple_of(step) {
            return None;
        }
        let pitch = spread(2 * strip_width(p) * p.in_channels);
        let most = (BLOCK_BYTES / pitch).checked_sub((y.kernel - 1) * y.dilation + 1)? / y.stride;
        // A block that starts inside an output row touches one row more.
        let block_rows = match most {
            0 => return None,
            1 => x.output,
            _ if most >= y.output => p.window.output_pixels(),
            _ => whole_tiles::<I>(((most - 1) * x.output).min(BLOCK_ROWS.max(x.output))),
        };
        let output_rows = ((block_rows + x.output - 2) / x.output + 1).min(y.output);
        Some(Plan {
            source: Source::Strip,
            pitch,
            block_rows,
            pitches: strip_rows(p, output_rows),
            runs: y.kernel,
            run_step: y.dilation * pitch,
            pairs: run / 2,
        })
    }

    fn activation_bytes(&self) -> usize {
        self.pitch * self.pitches + SLACK
    }

    pub(super) fn scratch_len(&self) -> usize {
        self.activation_bytes() + 64 + 4 * self.block_rows
    }

    /// `(activations, corrections)`, the first aligned to a cache line.
    pub(super) fn split_scratch<'a>(&self, scratch: &'a mut [u8]) -> (&'a mut [u8], &'a mut [u8]) {
        let skip = scratch.as_ptr().align_offset(64).min(64);
        scratch[skip..].split_at_mut(self.activation_bytes())
    }

    pub(super) fn activations<'a>(&self, bytes: &'a [u8]) -> Activations<'a> {
        Activations { bytes, runs: self.runs, run_step: self.run_step, pairs: self.pairs }
    }

    /// The block at the start of `rows`.
    pub(super) fn block(&self, p: &Conv, rows: Range<usize>) -> Block {
        let pixels = p.window.output_pixels();
        let (picture, pixel) = (rows.start / pixels, rows.start % pixels);
        let mut end = rows.end.min(rows.start + self.block_rows);
        if self.source == Source::Strip {
            end = end.min((picture + 1) * pixels);
        }
        Block { rows: rows.start..end, picture, pixel }
    }

    /// Byte of the first activation of pixel `i` of the block.
    pub(super) fn first_byte(&self, p: &Conv, block: &Block, i: usize) -> usize {
        let mut first = [0];
        self.first_bytes(p, block, i, &mut first);
        first[0]
    }

    /// Bytes of the first activations of the pixels from `i` of the block.
    pub(super) fn first_bytes(&self, p: &Conv, block: &Block, i: usize, first: &mut [usize]) {
        if self.source != Source::Strip {
            for (r, byte) in first.iter_mut().enumerate() {
                *byte = (i + r) * self.pitch;
            }
            return;
        }
        let (y, x) = (&p.window.y, &p.window.x);
        let mut oy = (block.pixel + i) / x.output - block.pixel / x.output;
        let mut ox = (block.pixel + i) % x.output;
        for byte in first {
            *byte = oy * y.stride * self.pitch + 2 * ox * x.stride * p.in_channels;
            ox += 1;
            if ox == x.output {
                (oy, ox) = (oy + 1, 0);
            }
        }
    }

    /// Widens the activations that the block reads of channel group `group`.
    pub(super) fn fill<I: GemmIsa>(
        &self,
        isa: I,
        p: &Conv,
        group: usize,
        block: &Block,
        input: &[u8],
        target: &mut [u8],
    ) {
        let centre = Centre::new(p);
        match self.source {
            Source::Rows => {
                let depth = p.in_channels;
                for (i, pixel) in block.rows.clone().enumerate() {
                    let target = &mut target[i * self.pitch..];
                    isa.widen(&input[pixel * depth..], depth, centre, target);
                    target[2 * depth..4 * self.pairs].fill(0);
                }
            }
            Source::Strip => self.fill_strip(isa, p, block, input, target),
            Source::Gather => {
                for (i, pixel) in block.rows.clone().enumerate() {
                    let target = &mut target[i * self.pitch..];
                    gather(isa, p, group, pixel, input, target);
                    target[2 * p.depth()..4 * self.pairs].fill(0);
                }
            }
        }
    }

    fn fill_strip<I: GemmIsa>(&self, isa: I, p: &Conv, block: &Block, input: &[u8], target: &mut [u8]) {
        let (y, x, centre) = (&p.window.y, &p.window.x, Centre::new(p));
        let (first, last) = (block.pixel / x.output, (block.pixel + block.rows.len() - 1) / x.output);
        let left = x.pad.min(strip_width(p));
        let inside = x.input.min(strip_width(p) - left);
        let rows = target.chunks_exact_mut(self.pitch).take(strip_rows(p, last - first + 1));
        for (i, target) in rows.enumerate() {
            let Some(iy) = (first * y.stride + i).checked_sub(y.pad).filter(|&iy| iy < y.input) else {
                target.fill(0);
                continue;
            };
            let start = (block.picture * y.input + iy) * x.input * p.in_channels;
            target[..2 * left * p.in_channels].fill(0);
            let (from, to) = (2 * left * p.in_channels, 2 * (left + inside) * p.in_channels);
            isa.widen(&input[start..], inside * p.in_channels, centre, &mut target[from..]);
            target[to..].fill(0);
        }
    }
}

/// Input columns, borders included, that one output row reads.
fn strip_width(p: &Conv) -> usize {
    (p.window.x.output - 1) * p.window.x.stride + p.window.x.kernel
}

/// Input rows, borders included, that `output_rows` output rows read.
fn strip_rows(p: &Conv, output_rows: usize) -> usize {
    let y = &p.window.y;
    (output_rows - 1) * y.stride + (y.kernel - 1) * y.dilation + 1
}

/// A row pitch: cache lines, an odd number of them, so that the rows of a tile fall into different cache sets.
fn spread(bytes: usize) -> usize {
    (bytes.div_ceil(64) | 1) * 64
}

/// `rows` down to a multiple of MR, at least MR.
fn whole_tiles<I: GemmIsa>(rows: usize) -> usize {
    (rows / I::ROWS).max(1) * I::ROWS
}

/// Copies the activations of output pixel `index` together, tap by tap.
fn gather<I: GemmIsa>(isa: I, p: &Conv, group: usize, index: usize, input: &[u8], target: &mut [u8]) {
    let (y, x, centre) = (&p.window.y, &p.window.x, Centre::new(p));
    let (picture, pixel) = (index / p.window.output_pixels(), index % p.window.output_pixels());
    let (oy, ox) = (pixel / x.output, pixel % x.output);
    let depth = p.group_channels();
    // Taps that lie together in the input are copied at once.
    let together = x.dilation == 1 && p.groups == 1;
    let valid = x.valid_taps(ox);
    let mut at = 0;
    for ky in 0..y.kernel {
        let row = &mut target[at..];
        at += 2 * x.kernel * depth;
        let Some(iy) = y.position(oy, ky).filter(|_| !valid.is_empty()) else {
            row[..2 * x.kernel * depth].fill(0);
            continue;
        };
        let line = (picture * y.input + iy) * x.input;
        let source = |kx: usize| {
            let ix = ox * x.stride + kx * x.dilation - x.pad;
            &input[(line + ix) * p.in_channels + group * depth..]
        };
        row[..2 * valid.start * depth].fill(0);
        if together {
            let taps = valid.len();
            isa.widen(source(valid.start), taps * depth, centre, &mut row[2 * valid.start * depth..]);
        } else {
            for kx in valid.clone() {
                isa.widen(source(kx), depth, centre, &mut row[2 * kx * depth..]);
            }
        }
        row[2 * valid.end * depth..2 * x.kernel * depth].fill(0);
    }
}
