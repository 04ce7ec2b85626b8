//! Bringing the activations of a block together in the scratch.

use core::ops::Range;

use super::{Block, CHUNK, Plan, Scratch, Source, strip_width};
use crate::ops::gemm::{Centre, Form, GemmIsa};
use crate::params::Conv;

impl Plan {
    /// Converts the activations that the pixels of the block read of channel group `group`.
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
            Source::Input => {}
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
                }
            }
        }
    }

    fn fill_rows<I: GemmIsa>(&self, isa: I, p: &Conv, block: &Block, input: &[u8], target: &mut [u8]) {
        let (depth, centre) = (p.in_channels, Centre::of_input(p, I::FORM));
        if self.pitch == self.value * depth {
            isa.convert(&input[block.rows.start * depth..], block.rows.len() * depth, centre, target);
            return;
        }
        for (i, pixel) in block.rows.clone().enumerate() {
            let target = &mut target[i * self.pitch..];
            isa.convert(&input[pixel * depth..], depth, centre, target);
        }
    }

    /// Converts the input rows that the block reads, the zero point where they leave the picture.
    fn fill_strip<I: GemmIsa>(&self, isa: I, p: &Conv, block: &Block, input: &[u8], strip: &mut [u8]) {
        let (y, x, centre) = (&p.window.y, &p.window.x, Centre::of_input(p, I::FORM));
        let padding = padding::<I>(centre);
        let (first, last) = (block.pixel / x.output, (block.pixel + block.rows.len() - 1) / x.output);
        let left = x.pad.min(strip_width(p));
        let inside = x.input.min(strip_width(p) - left);
        let pixel = self.value * p.in_channels;
        let (from, to) = (left * pixel, (left + inside) * pixel);
        for i in 0..self.strip.rows_of(last - first + 1) {
            // Rows between the windows of two output rows are left out.
            let row = if y.stride > self.strip.span {
                (first + i / self.strip.span) * y.stride + i % self.strip.span
            } else {
                first * y.stride + i
            };
            let target = &mut strip[i * self.strip.pitch..];
            let Some(iy) = row.checked_sub(y.pad).filter(|&iy| iy < y.input) else {
                target[..self.strip.pitch].fill(padding);
                continue;
            };
            let start = (block.picture * y.input + iy) * x.input * p.in_channels;
            fill(target, 0..from, padding);
            isa.convert(&input[start..], inside * p.in_channels, centre, &mut target[from..]);
            fill(target, to..self.strip.pitch, padding);
        }
    }

    /// Copies the activations of every pixel together, tap by tap, for the pixels of one output row at a time.
    fn copy_patches(&self, p: &Conv, group: usize, block: &Block, strip: &[u8], target: &mut [u8]) {
        let (y, x) = (&p.window.y, &p.window.x);
        let depth = self.value * p.group_channels();
        // Taps that lie together are copied at once.
        let together = x.dilation == 1 && p.groups == 1;
        let (runs, run) = if together { (1, x.kernel * depth) } else { (x.kernel, depth) };
        let mut places = self.strip_places(p, block);
        let (mut at, end) = (0, block.rows.len());
        while at < end {
            let (first, count) = places.take_row(end - at);
            let pixels = &mut target[at * self.pitch..(at + count) * self.pitch];
            at += count;
            for tap in 0..y.kernel * runs {
                let (ky, kx) = (tap / runs, tap % runs);
                let from = first
                    + ky * y.dilation * self.strip.pitch
                    + self.value * kx * x.dilation * p.in_channels
                    + group * depth;
                let window = Window { from, step: places.step, to: tap * run, len: run };
                copy_windows(strip, window, pixels, self.pitch);
            }
        }
    }
}

/// The same taps of neighbouring pixels: `len` bytes from `from` on, `step` further from pixel to pixel, that are
/// to lie from byte `to` on in the row of each pixel.
struct Window {
    from: usize,
    step: usize,
    to: usize,
    len: usize,
}

/// Copies one window into each row of `pixels`, in whole chunks; the row has room for the excess, and the next
/// window overwrites it.
fn copy_windows(source: &[u8], window: Window, pixels: &mut [u8], pitch: usize) {
    for at in (0..window.len).step_by(CHUNK) {
        let sources = source[window.from + at..].windows(CHUNK).step_by(window.step);
        let to = window.to + at;
        for (pixel, source) in pixels.chunks_exact_mut(pitch).zip(sources) {
            pixel[to..to + CHUNK].copy_from_slice(source);
        }
    }
}

/// `bytes[range] = value`; mostly there is nothing to do.
#[inline]
fn fill(bytes: &mut [u8], range: Range<usize>, value: u8) {
    if range.start < range.end {
        bytes[range].fill(value);
    }
}

/// Every byte of an activation that stands for real zero.
fn padding<I: GemmIsa>(centre: Centre) -> u8 {
    if I::FORM == Form::Words { 0 } else { centre.offset as u8 }
}

/// Converts the activations of output pixel `index`, tap by tap.
fn gather<I: GemmIsa>(isa: I, p: &Conv, group: usize, index: usize, input: &[u8], target: &mut [u8]) {
    let (y, x, centre) = (&p.window.y, &p.window.x, Centre::of_input(p, I::FORM));
    let (picture, pixel) = (index / p.window.output_pixels(), index % p.window.output_pixels());
    let (oy, ox) = (pixel / x.output, pixel % x.output);
    let depth = p.group_channels();
    let bytes = I::FORM.bytes() * depth;
    let mut at = 0;
    for ky in 0..y.kernel {
        for kx in 0..x.kernel {
            let target = &mut target[at..];
            at += bytes;
            let (Some(iy), Some(ix)) = (y.position(oy, ky), x.position(ox, kx)) else {
                fill(target, 0..bytes, padding::<I>(centre));
                continue;
            };
            let source = ((picture * y.input + iy) * x.input + ix) * p.in_channels + group * depth;
            isa.convert(&input[source..], depth, centre, target);
        }
    }
}
