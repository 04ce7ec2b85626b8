//! From input bytes to the activations of a block of output pixels.
//!
//! Five ways, chosen by the geometry:
//! * *input*: a pointwise convolution whose activations are the stored bytes reads these;
//! * *rows*: a pointwise convolution reads input pixel `i` for output pixel `i`;
//! * *strip*: the input rows that the block reads are converted once, borders included; the taps of one kernel row
//!   then lie together, and a pixel is `y.kernel` runs of that strip. Neighbouring pixels share what they read;
//! * *patches*: where such a run is short or odd, or its taps lie apart, the `K` activations of every pixel are
//!   copied together from the strip;
//! * *gather*: where a strip would be huge, they are copied together from the input.

use core::ops::Range;

use super::{Activations, Centre, GemmIsa, MAX_ROWS};
use crate::pack::panels;
use crate::params::Conv;
use crate::types::ElemType;

mod fill;

/// Bytes that a copy may touch behind the last row.
const SLACK: usize = 64;
/// Bytes that are copied at once into a patch.
const CHUNK: usize = 32;
/// A block of activations beyond this leaves the second-level cache of small cores.
const BLOCK_BYTES: usize = 128 << 10;
/// A strip beyond this is not built.
const STRIP_BYTES: usize = 512 << 10;
/// An expanded panel beyond this is not made.
const EXPANDED_BYTES: usize = 128 << 10;
/// Runs of fewer steps cost more in the micro-kernel than their copy.
const SHORT_RUN: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Input,
    Rows,
    Strip,
    Patches,
    Gather,
}

/// The strip of a block.
#[derive(Clone, Copy, Debug)]
struct Strip {
    /// Bytes between its rows.
    pitch: usize,
    /// Strip rows that one output row reads, and from one output row to the next.
    span: usize,
    advance: usize,
    /// Most rows of a block.
    rows: usize,
}

/// How the pixels of a convolution are cut into blocks and where their activations lie. The same for every band.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    source: Source,
    /// Bytes between pixels, unless the source is a strip.
    pitch: usize,
    /// No rows where the source needs none.
    strip: Strip,
    /// Pixels of a full block.
    block_rows: usize,
    runs: usize,
    run_step: usize,
    steps: usize,
    /// Bytes of a value.
    value: usize,
    /// Bytes of an expanded panel; none where it would be too large or no block has use for it.
    expanded: usize,
}

/// A block: consecutive output pixels; of one picture where there is a strip.
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
        let none = Strip { pitch: 0, span: 0, advance: 0, rows: 0 };
        let (kr, value) = (I::KR, I::FORM.bytes());
        let steps = panels::steps(p, kr);
        if p.window.is_pointwise() && p.groups == 1 {
            let stored = value == 1 && Centre::of_input(p, I::FORM).flip == 0 && steps * kr == p.in_channels;
            return match stored {
                true => Plan::copied::<I>(p, Source::Input, none, p.in_channels),
                false => Plan::copied::<I>(p, Source::Rows, none, row_pitch(value * p.in_channels)),
            };
        }
        let Some(strip) = Strip::new(p, value) else {
            return Plan::copied::<I>(p, Source::Gather, none, spread(value * kr * steps));
        };
        let run = p.window.x.kernel * p.in_channels;
        let step = if p.weight.elem == ElemType::S4 { 2 * kr } else { kr };
        let whole = run.is_multiple_of(step) || p.window.y.kernel == 1;
        if p.window.x.dilation != 1
            || p.groups != 1
            || !whole
            || (run / kr < SHORT_RUN && p.window.y.kernel > 1)
        {
            return Plan::copied::<I>(p, Source::Patches, strip, spread(value * kr * steps + CHUNK));
        }
        // A block that starts inside an output row touches one row more.
        let output_rows = (BLOCK_BYTES / strip.pitch).saturating_sub(strip.span) / strip.advance + 1;
        let block_rows = if output_rows >= p.window.y.output {
            p.window.output_pixels()
        } else {
            whole_tiles::<I>((output_rows - 1).max(1) * p.window.x.output)
        };
        Plan {
            source: Source::Strip,
            pitch: 0,
            strip: strip.for_pixels(p, block_rows),
            block_rows,
            runs: p.window.y.kernel,
            run_step: p.window.y.dilation * strip.pitch,
            steps: steps / p.window.y.kernel,
            value,
            expanded: expanded_bytes::<I>(p, block_rows),
        }
    }

    /// A plan whose pixels lie `pitch` bytes apart.
    fn copied<I: GemmIsa>(p: &Conv, source: Source, strip: Strip, pitch: usize) -> Plan {
        let pixels = if source == Source::Patches { p.window.output_pixels() } else { p.rows() };
        let block_rows = whole_tiles::<I>(BLOCK_BYTES / pitch).min(pixels);
        let strip = strip.for_pixels(p, block_rows);
        let (steps, expanded) = (panels::steps(p, I::KR), expanded_bytes::<I>(p, block_rows));
        let value = I::FORM.bytes();
        Plan { source, pitch, strip, block_rows, runs: 1, run_step: 0, steps, value, expanded }
    }

    fn strip_bytes(&self) -> usize {
        if self.strip.rows == 0 {
            0
        } else {
            self.strip.pitch.saturating_mul(self.strip.rows).saturating_add(SLACK)
        }
    }

    fn pixel_bytes(&self) -> usize {
        if self.pitch == 0 || self.source == Source::Input {
            0
        } else {
            self.pitch.saturating_mul(self.block_rows).saturating_add(SLACK)
        }
    }

    /// Bytes, saturating.
    pub(super) fn scratch_len(&self) -> usize {
        self.strip_bytes().saturating_add(self.pixel_bytes()).saturating_add(self.expanded).saturating_add(64)
    }

    /// The activations, aligned to a cache line, and the place of an expanded panel.
    pub(super) fn split_scratch<'a>(&self, scratch: &'a mut [u8]) -> (Scratch<'a>, &'a mut [u8]) {
        let skip = scratch.as_ptr().align_offset(64).min(64);
        let (strip, rest) = scratch[skip..].split_at_mut(self.strip_bytes());
        let (pixels, rest) = rest.split_at_mut(self.pixel_bytes());
        (Scratch { strip, pixels }, &mut rest[..self.expanded])
    }

    /// The activations that [`Plan::fill`] left in the scratch, or those of the block in the input.
    pub(super) fn activations<'a>(
        &self,
        block: &Block,
        input: &'a [u8],
        scratch: &'a Scratch,
    ) -> Activations<'a> {
        let bytes = match self.source {
            Source::Input => &input[block.rows.start * self.pitch..block.rows.end * self.pitch],
            Source::Strip => &*scratch.strip,
            Source::Rows | Source::Patches | Source::Gather => &*scratch.pixels,
        };
        Activations { bytes, runs: self.runs, run_step: self.run_step, steps: self.steps }
    }

    /// The block at the start of `rows`.
    pub(super) fn block(&self, p: &Conv, rows: Range<usize>) -> Block {
        let pixels = p.window.output_pixels();
        let (picture, pixel) = (rows.start / pixels, rows.start % pixels);
        let mut end = rows.end.min(rows.start + self.block_rows);
        if self.strip.rows > 0 {
            end = end.min((picture + 1) * pixels);
        }
        Block { rows: rows.start..end, picture, pixel }
    }

    /// Where the activations of the block's pixels start.
    pub(super) fn places(&self, p: &Conv, block: &Block) -> Places {
        match self.source {
            Source::Strip => self.strip_places(p, block),
            Source::Input | Source::Rows | Source::Patches | Source::Gather => {
                Places { at: 0, step: self.pitch, left: usize::MAX, width: usize::MAX, row: 0, row_step: 0 }
            }
        }
    }

    /// Where in the strip the windows of the block's pixels start.
    fn strip_places(&self, p: &Conv, block: &Block) -> Places {
        let x = &p.window.x;
        let (step, ox) = (self.value * x.stride * p.in_channels, block.pixel % x.output);
        let row_step = self.strip.advance * self.strip.pitch;
        Places { at: ox * step, step, left: x.output - ox, width: x.output, row: 0, row_step }
    }
}

/// Walks over the pixels of a block: the byte at which the activations of each start.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// The next pixel, and from one pixel to the next of its row.
    at: usize,
    step: usize,
    /// Pixels left in this output row, and in a whole one.
    left: usize,
    width: usize,
    /// Start of this row, and from one row to the next.
    row: usize,
    row_step: usize,
}

impl Places {
    /// The next pixels of one output row, at most `count`: the first one, and how many.
    pub(super) fn take_row(&mut self, count: usize) -> (usize, usize) {
        let (first, count) = (self.at, count.min(self.left));
        self.at += count * self.step;
        self.left -= count;
        self.enter_row();
        (first, count)
    }

    /// The next pixel.
    #[inline]
    pub(super) fn next(&mut self) -> usize {
        let first = self.at;
        self.at += self.step;
        self.left -= 1;
        self.enter_row();
        first
    }

    /// Goes to the next output row at the end of one.
    #[inline]
    fn enter_row(&mut self) {
        if self.left == 0 {
            self.row += self.row_step;
            (self.at, self.left) = (self.row, self.width);
        }
    }

    /// The next `count` pixels, at most [`MAX_ROWS`]; entries of `first` behind them mean nothing. Returns [`super::Tile::step`].
    #[inline]
    pub(super) fn take(&mut self, count: usize, first: &mut [usize; MAX_ROWS]) -> Option<usize> {
        if count < self.left {
            for (r, byte) in first.iter_mut().enumerate() {
                *byte = self.at + r * self.step;
            }
            self.at += count * self.step;
            self.left -= count;
            return Some(self.step);
        }
        for byte in &mut first[..count] {
            *byte = self.next();
        }
        None
    }
}

/// Where the activations of a block lie; a part is empty where the source has no use for it.
pub(super) struct Scratch<'a> {
    strip: &'a mut [u8],
    pixels: &'a mut [u8],
}

impl Strip {
    /// `None` where the rows that one output row reads are too many.
    fn new(p: &Conv, value: usize) -> Option<Strip> {
        let y = &p.window.y;
        let bytes =
            strip_width(p).checked_mul(value * p.in_channels).filter(|&bytes| bytes <= STRIP_BYTES)?;
        let pitch = spread(bytes);
        let span = (y.kernel - 1) * y.dilation + 1;
        let advance = y.stride.min(span);
        let least = pitch.checked_mul(span + advance)?;
        (least <= STRIP_BYTES).then_some(Strip { pitch, span, advance, rows: 0 })
    }

    /// The strip for any `pixels` consecutive output pixels.
    fn for_pixels(self, p: &Conv, pixels: usize) -> Strip {
        let output_rows = ((pixels + p.window.x.output - 2) / p.window.x.output + 1).min(p.window.y.output);
        Strip { rows: self.rows_of(output_rows), ..self }
    }

    fn rows_of(&self, output_rows: usize) -> usize {
        (output_rows - 1) * self.advance + self.span
    }
}

/// Bytes of an expanded panel of `p`, if blocks of `rows` pixels are to have one.
fn expanded_bytes<I: GemmIsa>(p: &Conv, rows: usize) -> usize {
    let factor = match p.weight.elem {
        ElemType::S4 => 1,
        ElemType::U8 => 2,
        _ => return 0,
    };
    let kr = I::KR;
    let bytes = panels::steps(p, kr).saturating_mul(factor * kr * panels::COLUMNS);
    if rows < I::EXPAND_FROM || bytes > EXPANDED_BYTES { 0 } else { bytes }
}

/// Input columns, borders included, that one output row reads.
fn strip_width(p: &Conv) -> usize {
    let x = &p.window.x;
    (x.output - 1) * x.stride + (x.kernel - 1) * x.dilation + 1
}

/// A pitch of whole cache lines, an odd number of them, so that neighbours fall into different cache sets.
fn spread(bytes: usize) -> usize {
    (bytes.div_ceil(64) | 1) * 64
}

/// Rows of so many bytes without a gap are converted in one go; not where they would fall into the same cache sets. A micro-kernel
/// that reads a padded depth runs into the next row; the weights there are zero.
fn row_pitch(bytes: usize) -> usize {
    if bytes < 512 || !bytes.is_multiple_of(512) { bytes } else { spread(bytes) }
}

/// `rows` down to a multiple of MR, at least MR.
fn whole_tiles<I: GemmIsa>(rows: usize) -> usize {
    (rows / I::ROWS).max(1) * I::ROWS
}
