//! Widening the activations of a block into the scratch.

use super::{Block, Plan, Scratch, Source, strip_width};
use crate::ops::gemm::{Centre, GemmIsa, MAX_ROWS};
use crate::params::Conv;

/// Bytes that [`copy_run`] moves at once.
const CHUNK: usize = 32;

impl Plan {
    /// Widens the activations that the pixels of the block read of channel group `group`.
    pub(in crate::ops::gemm) fn fill<I: GemmIsa>(
        &self,
        isa: I,
        p: &Conv,
        group: usize,
        block: &Block,
        input: &[u8],
        scratch: &mut Scratch,
    ) {
        match self.source {
            Source::Rows => self.fill_rows(isa, p, block, input, scratch.pixels),
            Source::Strip => self.fill_strip(isa, p, block, input, scratch.strip),
            Source::Patches => {
                // The strip holds all groups, in order.
                if group == 0 {
                    self.fill_strip(isa, p, block, input, scratch.strip);
                }
                self.copy_patches(p, group, block, scratch.strip, scratch.pixels);
            }
            Source::Gather => {
                for (i, pixel) in block.rows.clone().enumerate() {
                    let target = &mut scratch.pixels[i * self.pitch..];
                    gather(isa, p, group, pixel, input, target);
                    zero(target, 2 * p.depth(), 4 * self.pairs);
                }
            }
        }
    }

    fn fill_rows<I: GemmIsa>(&self, isa: I, p: &Conv, block: &Block, input: &[u8], target: &mut [u8]) {
        let (depth, centre) = (p.in_channels, Centre::new(p));
        if self.pitch == 2 * depth {
            isa.widen(&input[block.rows.start * depth..], block.rows.len() * depth, centre, target);
            return;
        }
        for (i, pixel) in block.rows.clone().enumerate() {
            let target = &mut target[i * self.pitch..];
            isa.widen(&input[pixel * depth..], depth, centre, target);
            zero(target, 2 * depth, 4 * self.pairs);
        }
    }

    /// Widens the input rows that the block reads, zero where they leave the picture.
    fn fill_strip<I: GemmIsa>(&self, isa: I, p: &Conv, block: &Block, input: &[u8], strip: &mut [u8]) {
        let (y, x, centre) = (&p.window.y, &p.window.x, Centre::new(p));
        let (first, last) = (block.pixel / x.output, (block.pixel + block.rows.len() - 1) / x.output);
        let left = x.pad.min(strip_width(p));
        let inside = x.input.min(strip_width(p) - left);
        let (from, to) = (2 * left * p.in_channels, 2 * (left + inside) * p.in_channels);
        for i in 0..self.strip.rows_of(last - first + 1) {
            // Rows between the windows of two output rows are left out.
            let row = if y.stride > self.strip.span {
                (first + i / self.strip.span) * y.stride + i % self.strip.span
            } else {
                first * y.stride + i
            };
            let target = &mut strip[i * self.strip.pitch..];
            let Some(iy) = row.checked_sub(y.pad).filter(|&iy| iy < y.input) else {
                target[..self.strip.pitch].fill(0);
                continue;
            };
            let start = (block.picture * y.input + iy) * x.input * p.in_channels;
            zero(target, 0, from);
            isa.widen(&input[start..], inside * p.in_channels, centre, &mut target[from..]);
            zero(target, to, self.strip.pitch);
        }
    }

    /// Copies the activations of every pixel together, tap by tap.
    fn copy_patches(&self, p: &Conv, group: usize, block: &Block, strip: &[u8], target: &mut [u8]) {
        let (y, x) = (&p.window.y, &p.window.x);
        let depth = 2 * p.group_channels();
        // Taps that lie together are copied at once.
        let together = x.dilation == 1 && p.groups == 1;
        let (runs, run) = if together { (1, x.kernel * depth) } else { (x.kernel, depth) };
        let mut first = [0; MAX_ROWS];
        for i in (0..block.rows.len()).step_by(MAX_ROWS) {
            let count = MAX_ROWS.min(block.rows.len() - i);
            self.strip_bytes_of(p, block, i, &mut first[..count]);
            for (r, first) in first[..count].iter().enumerate() {
                let mut at = (i + r) * self.pitch;
                for ky in 0..y.kernel {
                    let row = first + ky * y.dilation * self.strip.pitch + group * depth;
                    for kx in 0..runs {
                        copy_run(strip, row + 2 * kx * x.dilation * p.in_channels, target, at, run);
                        at += run;
                    }
                }
                zero(target, at, (i + r) * self.pitch + 4 * self.pairs);
            }
        }
    }
}

/// `target[to..to + count] = source[from..from + count]`, in whole chunks that may go beyond.
#[inline]
fn copy_run(source: &[u8], from: usize, target: &mut [u8], to: usize, count: usize) {
    let (source, target) = (&source[from..], &mut target[to..]);
    for at in (0..count).step_by(CHUNK) {
        target[at..at + CHUNK].copy_from_slice(&source[at..at + CHUNK]);
    }
}

/// `bytes[from..to] = 0`; mostly there is nothing to do.
#[inline]
fn zero(bytes: &mut [u8], from: usize, to: usize) {
    if from < to {
        bytes[from..to].fill(0);
    }
}

/// Widens the activations of output pixel `index`, tap by tap.
fn gather<I: GemmIsa>(isa: I, p: &Conv, group: usize, index: usize, input: &[u8], target: &mut [u8]) {
    let (y, x, centre) = (&p.window.y, &p.window.x, Centre::new(p));
    let (picture, pixel) = (index / p.window.output_pixels(), index % p.window.output_pixels());
    let (oy, ox) = (pixel / x.output, pixel % x.output);
    let depth = p.group_channels();
    let mut at = 0;
    for ky in 0..y.kernel {
        for kx in 0..x.kernel {
            let target = &mut target[at..];
            at += 2 * depth;
            let (Some(iy), Some(ix)) = (y.position(oy, ky), x.position(ox, kx)) else {
                zero(target, 0, 2 * depth);
                continue;
            };
            let source = ((picture * y.input + iy) * x.input + ix) * p.in_channels + group * depth;
            isa.widen(&input[source..], depth, centre, target);
        }
    }
}
