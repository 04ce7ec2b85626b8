//! The walk over the picture for kernels of whole vectors.
//!
//! The output is cut into tiles. For each tile and block of channels the input is gathered, padding included, into
//! scratch: every tap of every output is then one load at a fixed distance, there are no edges, and all of it stays
//! in the first-level cache. s8 values are gathered as u8, plus 128.

use core::ops::Range;

use super::MAX_TAPS;
use crate::geometry::Axis;
use crate::pack::depthwise::{BLOCK, block_len, blocks, first_channel};
use crate::params::Conv;
use crate::requant::Rounding;
use crate::types::ElemType;

/// What an instruction set supplies: a token whose existence proves that the CPU has it, and what is done to blocks of
/// [`BLOCK`] channels.
pub(crate) trait DepthwiseIsa: Copy {
    /// The end of the operation for one block of channels, prepared.
    type Epilogue;

    /// Of block `block` of `p` with its packed weights `weights`, for a source of u8 values (s8 plus 128).
    fn epilogue(self, p: &Conv, block: usize, weights: &[u8]) -> Self::Epilogue;

    /// Copies the first [`BLOCK`] bytes of every pixel, each byte exclusive-or `flip`.
    ///
    /// # Panics
    /// When a slice is too short.
    fn gather(self, gather: &Gather, source: &[u8], flip: u8, target: &mut [u8]);

    /// Computes the outputs `columns` of `rows`, [`BLOCK`] bytes each, in ascending order; `output` begins with the first.
    ///
    /// # Panics
    /// When a slice is too short.
    fn compute(
        self,
        run: &Run,
        rows: Range<usize>,
        columns: Range<usize>,
        epilogue: &Self::Epilogue,
        output: &mut [u8],
    );
}

/// One block of channels of a rectangle of outputs.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    /// u8 values.
    pub(crate) source: &'a [u8],
    /// Where each tap of the first output lies in `source`, as many as the weights have.
    pub(crate) taps: &'a [usize],
    /// Rows and columns of the window: the taps go row by row.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        allow(dead_code, reason = "for kernels that take a column at once")
    )]
    pub(crate) window: [usize; 2],
    /// Packed weights of the block.
    pub(crate) weights: &'a [u8],
    /// Rounding.
    pub(crate) rounding: Rounding,
    /// Distance between the inputs of two outputs of a row, and of two rows.
    pub(crate) step: usize,
    pub(crate) row: usize,
    /// Distance between two outputs of a row, and between two rows.
    pub(crate) output_step: usize,
    pub(crate) output_row: usize,
}

/// Rows of pixels of which [`BLOCK`] bytes each are copied side by side.
#[derive(Debug)]
pub(crate) struct Gather {
    /// Rows, at least one.
    pub(crate) rows: usize,
    /// Pixels of a row, at least one.
    pub(crate) pixels: usize,
    /// Distance between two pixels, and between two rows.
    pub(crate) pitch: usize,
    pub(crate) row: usize,
    /// Distance between two rows of the copy.
    pub(crate) target_row: usize,
}

/// Bytes up to the end of the [`BLOCK`] bytes at the last of `counts` positions, at least one on each axis, `steps`
/// apart. Saturating: a place that wrapped must not pass for one inside.
pub(crate) fn reach(counts: [usize; 2], steps: [usize; 2]) -> usize {
    let last = |axis: usize| (counts[axis] - 1).saturating_mul(steps[axis]);
    last(0).saturating_add(last(1)).saturating_add(BLOCK)
}

/// Bytes of a gathered tile that are aimed at: most of a first-level cache. One row of outputs may need more.
const TILE_BYTES: usize = 40 << 10;
/// Most columns of a tile of whole blocks of channels.
const TILE_COLUMNS: usize = 64;

/// How the output is cut, and what a tile of it needs.
struct Tiling {
    /// Output rows and columns of a tile.
    rows: usize,
    columns: usize,
    /// Bytes from one gathered pixel, and from one gathered row, to the next.
    pitch: usize,
    row: usize,
}

/// Input positions that `outputs` neighbouring outputs read, from the first to the last.
const fn span(axis: &Axis, outputs: usize) -> usize {
    let reach = (axis.kernel - 1).saturating_mul(axis.dilation).saturating_add(1);
    (outputs - 1).saturating_mul(axis.stride).saturating_add(reach)
}

impl Tiling {
    fn new(p: &Conv) -> Tiling {
        let (y, x) = (&p.window.y, &p.window.x);
        // With fewer channels a vector holds several pixels and writes beyond the last one of a row: rows are whole.
        let columns = if p.out_channels < BLOCK { x.output } else { x.output.min(TILE_COLUMNS) };
        let pitch = p.out_channels.min(BLOCK);
        // Whole vectors, and one beyond the last pixel.
        let row = span(x, columns).saturating_mul(pitch).saturating_add(2 * BLOCK) / BLOCK * BLOCK;
        let room = (TILE_BYTES / row).saturating_sub(span(y, 1));
        Tiling { rows: (1 + room / y.stride).min(y.output), columns, pitch, row }
    }

    /// Bytes of the tile of `rows` output rows.
    fn bytes(&self, p: &Conv, rows: usize) -> usize {
        span(&p.window.y, rows).saturating_mul(self.row)
    }
}

/// One gathered tile, and room to align it.
pub(crate) fn scratch(p: &Conv) -> usize {
    let tiling = Tiling::new(p);
    tiling.bytes(p, tiling.rows).saturating_add(BLOCK)
}

/// The body of every `ConvFn` of this module. It and what it calls is inlined, so that all of it is compiled for the
/// instruction set of the kernel.
#[inline(always)]
pub(crate) fn depthwise<I: DepthwiseIsa>(
    isa: I,
    p: &Conv,
    packed: &[u8],
    input: &[u8],
    rows: Range<usize>,
    output: &mut [u8],
    scratch: &mut [u8],
) {
    let (height, width) = (p.window.y.output, p.window.x.output);
    let tiling = Tiling::new(p);
    // Vectors that straddle cache lines cost twice.
    let (_, scratch) = scratch.split_at_mut(scratch.as_ptr().align_offset(BLOCK).min(BLOCK));
    let mut pixel = rows.start;
    while pixel < rows.end {
        let (row, start, left) = (pixel / width, pixel % width, rows.end - pixel);
        // Whole rows of one picture as far as they go; else what there is of a row.
        let (count, end) = if start == 0 && left >= width {
            ((left / width).min(height - row % height).min(tiling.rows), width)
        } else {
            (1, width.min(start + left))
        };
        for first in (start..end).step_by(tiling.columns) {
            let columns = first..end.min(first + tiling.columns);
            let at = (row * width + first - rows.start) * p.out_channels;
            let tile = Tile {
                isa,
                p,
                tiling: &tiling,
                picture: row / height,
                oy: row % height,
                rows: count,
                columns,
            };
            tile.compute(packed, input, scratch, &mut output[at..]);
        }
        pixel += (count - 1) * width + end - start;
    }
}

/// A rectangle of output pixels.
struct Tile<'a, I> {
    isa: I,
    p: &'a Conv<'a>,
    tiling: &'a Tiling,
    picture: usize,
    /// First row.
    oy: usize,
    rows: usize,
    columns: Range<usize>,
}

/// The input positions under one axis of a tile that lie on the picture.
struct Inside {
    /// Position in the tile of the first.
    offset: usize,
    /// Position on the picture of the first.
    first: usize,
    count: usize,
}

impl Inside {
    /// Of `outputs` outputs from `o`.
    fn new(axis: &Axis, o: usize, outputs: usize) -> Inside {
        let start = o * axis.stride;
        let span = span(axis, outputs);
        let offset = axis.pad.saturating_sub(start).min(span);
        let first = (start + offset).saturating_sub(axis.pad).min(axis.input);
        let count = (axis.input - first).min(span - offset);
        Inside { offset, first, count }
    }
}

impl<I: DepthwiseIsa> Tile<'_, I> {
    /// `output` begins with the first pixel of the tile.
    #[inline(always)]
    fn compute(&self, packed: &[u8], input: &[u8], scratch: &mut [u8], output: &mut [u8]) {
        let (p, channels, taps) = (self.p, self.p.out_channels, self.p.window.taps());
        let tile = &mut scratch[..self.tiling.bytes(p, self.rows)];
        let [y, x] = [
            Inside::new(&p.window.y, self.oy, self.rows),
            Inside::new(&p.window.x, self.columns.start, self.columns.len()),
        ];
        // No block of channels writes to the padding.
        self.pad(&y, &x, tile);
        let offsets = self.offsets();
        for block in 0..blocks(channels) {
            let weights = &packed[block * block_len(taps)..][..block_len(taps)];
            let first = first_channel(channels, block);
            self.gather(first, [&y, &x], input, tile);
            let run = Run {
                source: tile,
                taps: &offsets[..taps.next_multiple_of(2)],
                window: [p.window.y.kernel, p.window.x.kernel],
                weights,
                rounding: p.rounding,
                step: self.vector_pixels() * p.window.x.stride * self.tiling.pitch,
                row: p.window.y.stride * self.tiling.row,
                output_step: self.vector_pixels() * channels,
                output_row: p.window.x.output * channels,
            };
            self.run(&run, &self.isa.epilogue(p, block, weights), &mut output[first..]);
        }
    }

    /// Fills what lies outside the picture.
    #[inline(always)]
    fn pad(&self, y: &Inside, x: &Inside, tile: &mut [u8]) {
        let padding = self.p.input.zero_point as u8 ^ flip(self.p);
        let pitch = self.tiling.pitch;
        if pitch < BLOCK {
            // Short pieces: one call for all.
            tile.fill(padding);
            return;
        }
        for (row, bytes) in tile.chunks_exact_mut(self.tiling.row).enumerate() {
            let (before, rest) = bytes.split_at_mut(x.offset * pitch);
            fill(before, padding);
            if y.offset <= row && row < y.offset + y.count {
                fill(&mut rest[x.count * pitch..], padding);
            } else {
                fill(rest, padding);
            }
        }
    }

    /// Where each tap of the first output lies in the tile. With an odd count one more is read, times zero.
    fn offsets(&self) -> [usize; MAX_TAPS] {
        let (y, x) = (&self.p.window.y, &self.p.window.x);
        let mut offsets = [0; MAX_TAPS];
        for ky in 0..y.kernel {
            for kx in 0..x.kernel {
                offsets[ky * x.kernel + kx] =
                    ky * y.dilation * self.tiling.row + kx * x.dilation * self.tiling.pitch;
            }
        }
        offsets
    }

    /// Pixels that one vector computes: with fewer channels than it has bytes neighbouring pixels fill it, when they
    /// are neighbours in the input too.
    fn vector_pixels(&self) -> usize {
        let p = self.p;
        if p.out_channels < BLOCK && p.window.x.stride == 1 { BLOCK / p.out_channels } else { 1 }
    }

    /// Copies the input of the output channels from `first` to its place between the padding.
    #[inline(always)]
    fn gather(&self, first: usize, [y, x]: [&Inside; 2], input: &[u8], tile: &mut [u8]) {
        let (p, tiling, channels) = (self.p, self.tiling, self.p.in_channels);
        if y.count == 0 || x.count == 0 {
            return;
        }
        let row = p.window.x.input * channels;
        let start = (self.picture * p.window.y.input + y.first) * row + x.first * channels;
        let source = &input[start..];
        let target = &mut tile[y.offset * tiling.row + x.offset * tiling.pitch..];
        if channels == p.out_channels && channels >= BLOCK {
            let rows =
                Gather { rows: y.count, pixels: x.count, pitch: channels, row, target_row: tiling.row };
            self.isa.gather(&rows, &source[first..], flip(p), target);
            return;
        }
        let (multiplier, flip) = (p.out_channels / channels, flip(p));
        for (source, target) in source.chunks(row).zip(target.chunks_mut(tiling.row)).take(y.count) {
            let source = &source[..x.count * channels];
            if multiplier == 1 {
                target.iter_mut().zip(source).for_each(|(to, &from)| *to = from ^ flip);
                continue;
            }
            // Every output channel its own copy of the input.
            for (to, from) in target.chunks_mut(tiling.pitch).zip(source.chunks_exact(channels)) {
                let copies = to.iter_mut().enumerate();
                copies.for_each(|(slot, byte)| *byte = from[(first + slot) / multiplier] ^ flip);
            }
        }
    }

    /// The outputs of one block of channels. What a vector writes beyond its pixels belongs to pixels computed
    /// later; where there are none, it goes through a buffer.
    #[inline(always)]
    fn run(&self, run: &Run, epilogue: &I::Epilogue, output: &mut [u8]) {
        let vectors = self.columns.len().div_ceil(self.vector_pixels());
        let length = output.len();
        let room = |from: usize, step| length.checked_sub(from + BLOCK).map_or(0, |rest| rest / step + 1);
        let whole = room((vectors - 1) * run.output_step, run.output_row).min(self.rows);
        self.isa.compute(run, 0..whole, 0..vectors, epilogue, output);
        for row in whole..self.rows {
            let direct = room(row * run.output_row, run.output_step).min(vectors);
            let at = length.min(row * run.output_row);
            self.isa.compute(run, row..row + 1, 0..direct, epilogue, &mut output[at..]);
            for vector in direct..vectors {
                let mut bytes = [0; BLOCK];
                self.isa.compute(run, row..row + 1, vector..vector + 1, epilogue, &mut bytes);
                let pixels = (self.columns.len() - vector * self.vector_pixels()).min(self.vector_pixels());
                let output = &mut output[row * run.output_row + vector * run.output_step..];
                let length = pixels * self.p.out_channels;
                output[..length].copy_from_slice(&bytes[..length]);
            }
        }
    }
}

/// Fills whole vectors, mostly a few: no call for those.
#[inline(always)]
fn fill(bytes: &mut [u8], value: u8) {
    bytes.as_chunks_mut::<BLOCK>().0.iter_mut().for_each(|vector| *vector = [value; BLOCK]);
}

/// What turns an input byte into u8.
const fn flip(p: &Conv) -> u8 {
    match p.input.elem {
        ElemType::S8 => 0x80,
        ElemType::U8 | ElemType::U4 | ElemType::S4 | ElemType::S16 | ElemType::S32 => 0,
    }
}
