//! Convolution of 3x3, stride 1, by Winograd's minimal filtering F(2x2, 3x3), exactly in integers.
//!
//! Four outputs of a tile of 2x2 need 16 products a channel instead of 36. With `d` the 4x4 inputs of a tile less the zero
//! point and `g` the 3x3 weights (A. Lavin and S. Gray, "Fast Algorithms for Convolutional Neural Networks", 2015):
//!
//! ```text
//!   Y = At [ (G g Gt) * (Bt d B) ] A           * element by element, summed over the input channels
//!
//!        1  0 -1  0            1    0    0           1  1  1  0
//!   Bt = 0  1  1  0       G =  1/2  1/2  1/2    At = 0  1 -1 -1
//!        0 -1  1  0            1/2 -1/2  1/2
//!        0  1  0 -1            0    0    1
//! ```
//!
//! Here `2 G` takes the place of `G`: all values are integers and the result is `4 Y`. Inputs have 9 bits and their transform
//! at most `4 * 255`; weights have 8 (u8 less their zero point 9) bits, their transform at most `9 * 255`: both are words.
//! Sums of products may wrap: `4 Y` is right modulo 2^32, and [`accepts`] sees to it that it is less than 2^31 in size, so that
//! a shift gives `Y`. What follows is the epilogue of every matrix kernel.
//!
//! The work of a block of tile rows: transform its inputs, then for each panel of 16 output channels transform the weights,
//! multiply 16 matrices of tiles by channels with the ordinary micro-kernel, transform back and end.

use core::ops::Range;

use super::{Activations, Centre, Form, GemmIsa, MAX_ROWS, Tile, Weights};
use crate::pack::panels::{self, COLUMNS};
use crate::params::Conv;
use crate::types::ElemType;

mod transform;

pub(crate) use transform::{back, inputs, weights};

/// Elements of a transformed tile: 4x4.
pub(crate) const POSITIONS: usize = 16;
/// Input channels come in multiples of these.
pub(crate) const LANES: usize = 16;
/// Fewest tiles of a picture: transforming the weights of a panel costs as much as multiplying some five tiles by it.
const LEAST_TILES: usize = 16;
/// One row of products of a position: 16 columns.
const SUM_BYTES: usize = 4 * COLUMNS;
/// Transformed inputs of a block stay in a second-level cache.
const BLOCK_BYTES: usize = 256 << 10;

/// What an instruction set adds to [`GemmIsa`]: the transforms compiled for it, and the end of sums that are in memory.
pub(crate) trait WinogradIsa: GemmIsa {
    /// The epilogue that stores accumulators as they are, without a bias.
    fn raw(self) -> Self::Columns;

    /// See [`inputs`].
    fn inputs(self, strip: &[u8], row: usize, pixel: usize, target: &mut [u8], position: usize, bytes: usize);

    /// See [`weights`].
    fn weights(self, panel: &[u8], zero_point: i16, x: usize, target: &mut [u8], step: usize);

    /// See [`back`].
    fn back(self, products: &[u8], position: usize, sums: &mut [[i32; COLUMNS]], width: usize);

    /// Ends rows of sums: adds the bias, rescales and stores. Row `r` goes to the bytes from `r * pitch` of `output`.
    fn end(self, sums: &[[i32; COLUMNS]], columns: &Self::Columns, output: &mut [u8], pitch: usize);
}

/// Whether this module computes `p`, with weights of type `weight`: 3x3, stride 1, and the bound of the head of this file.
pub(crate) fn accepts(p: &Conv, weight: ElemType) -> bool {
    let axis = |axis: &crate::geometry::Axis| axis.kernel == 3 && axis.stride == 1 && axis.dilation == 1;
    let largest: u64 = if weight == ElemType::S8 { 128 } else { 255 };
    let bound = (9 * 255 * largest).checked_mul(p.in_channels as u64);
    super::accepts(p, weight)
        && p.groups == 1
        && axis(&p.window.y)
        && axis(&p.window.x)
        && p.window.x.pad <= 2
        && p.window.y.output.div_ceil(2) * p.window.x.output.div_ceil(2) >= LEAST_TILES
        && p.in_channels.is_multiple_of(LANES)
        && p.out_channels >= COLUMNS
        && bound.is_some_and(|bound| bound < 1 << 29)
        && Plan::new(p).tile_row_bytes() <= BLOCK_BYTES
}

/// Scratch bytes of one call.
pub(crate) fn scratch(p: &Conv) -> usize {
    let plan = Plan::new(p);
    plan.parts().iter().sum::<usize>() + 64
}

/// How a convolution is cut. The same for every band.
#[derive(Clone, Copy, Debug)]
struct Plan {
    channels: usize,
    /// Tiles of a row, and rows of tiles of a block.
    tiles: usize,
    tile_rows: usize,
}

impl Plan {
    fn new(p: &Conv) -> Plan {
        let (channels, tiles) = (p.in_channels, p.window.x.output.div_ceil(2));
        let one = Plan { channels, tiles, tile_rows: 1 };
        let room = BLOCK_BYTES / one.tile_row_bytes().max(1);
        Plan { tile_rows: room.clamp(1, p.window.y.output.div_ceil(2)), ..one }
    }

    /// Bytes from one transformed tile to the next.
    fn pitch(&self) -> usize {
        odd_lines(2 * self.channels)
    }

    /// Transformed inputs of a row of tiles, saturating.
    fn tile_row_bytes(&self) -> usize {
        self.pitch().saturating_mul(POSITIONS).saturating_mul(self.tiles)
    }

    /// Bytes of one row of the strip: its pixels, borders included, as words.
    fn strip_row(&self) -> usize {
        (2 * self.tiles + 2) * self.channels * 2
    }

    /// Bytes of strip, transformed inputs, a column of transformed weights, and products.
    fn parts(&self) -> [usize; 4] {
        let tiles = self.tile_rows * self.tiles;
        [
            (2 * self.tile_rows + 2) * self.strip_row(),
            POSITIONS * odd_lines(tiles * self.pitch()),
            4 * odd_lines(self.weight_bytes()),
            POSITIONS * odd_lines(tiles * SUM_BYTES),
        ]
    }

    /// Transformed weights of one position of a panel.
    fn weight_bytes(&self) -> usize {
        2 * self.channels * COLUMNS
    }
}

/// At least `bytes`, in whole cache lines, an odd number of them: what lies so far apart falls into different cache sets.
fn odd_lines(bytes: usize) -> usize {
    (bytes.div_ceil(64) | 1) * 64
}

/// The parts of the scratch.
struct Buffers<'a> {
    strip: &'a mut [u8],
    inputs: &'a mut [u8],
    weights: &'a mut [u8],
    products: &'a mut [u8],
}

impl<'a> Buffers<'a> {
    /// Aligned to a cache line.
    fn new(plan: &Plan, scratch: &'a mut [u8]) -> Buffers<'a> {
        let [strip, inputs, weights, products] = plan.parts();
        let skip = scratch.as_ptr().align_offset(64).min(64);
        let (strip, rest) = scratch[skip..].split_at_mut(strip);
        let (inputs, rest) = rest.split_at_mut(inputs);
        let (weights, rest) = rest.split_at_mut(weights);
        Buffers { strip, inputs, weights, products: &mut rest[..products] }
    }
}

/// Rows of tiles of one picture.
struct Block {
    picture: usize,
    /// Rows of tiles.
    tiles: Range<usize>,
    /// Output pixels over all pictures.
    pixels: Range<usize>,
}

impl Block {
    /// The block at the start of `pixels`.
    fn new(p: &Conv, plan: &Plan, pixels: Range<usize>) -> Block {
        let (height, width) = (p.window.y.output, p.window.x.output);
        let (picture, row) = (pixels.start / (height * width), pixels.start / width % height);
        let first = row / 2;
        let last = (first + plan.tile_rows).min(height.div_ceil(2));
        let end = (picture * height + height.min(2 * last)) * width;
        // The band may end earlier.
        let end = end.min(pixels.end);
        let rows = (end - 1) / width % height + 1;
        Block { picture, tiles: first..rows.div_ceil(2), pixels: pixels.start..end }
    }
}

/// The body of every `ConvFn` of this module: output pixels `rows` of `p`.
pub(crate) fn run<I: WinogradIsa>(
    isa: I,
    p: &Conv,
    packed: &[u8],
    input: &[u8],
    rows: Range<usize>,
    output: &mut [u8],
    scratch: &mut [u8],
) {
    let plan = Plan::new(p);
    let mut buffers = Buffers::new(&plan, scratch);
    let pitch = p.out_channels * p.output.elem.bits() / 8;
    let mut first = rows.start;
    while first < rows.end {
        let block = Block::new(p, &plan, first..rows.end);
        first = block.pixels.end;
        let output = &mut output[(block.pixels.start - rows.start) * pitch..];
        let job = Job { isa, p, plan: &plan, block: &block };
        job.fill_strip(input, buffers.strip);
        job.transform_inputs(buffers.strip, buffers.inputs);
        for index in 0..panels::panels_per_group(p) {
            job.one_panel(index, packed, &mut buffers, output);
        }
    }
}

/// One block.
struct Job<'a, I> {
    isa: I,
    p: &'a Conv<'a>,
    plan: &'a Plan,
    block: &'a Block,
}

impl<I: WinogradIsa> Job<'_, I> {
    /// Tiles of the block.
    fn tiles(&self) -> usize {
        self.block.tiles.len() * self.plan.tiles
    }

    /// Converts the input rows that the block reads to words, 0 where they leave the picture.
    fn fill_strip(&self, input: &[u8], strip: &mut [u8]) {
        let (y, x, channels) = (&self.p.window.y, &self.p.window.x, self.plan.channels);
        let centre = Centre::of_input(self.p, Form::Words);
        let first = 2 * self.block.tiles.start;
        let pixels = x.input.min(2 * self.plan.tiles + 2 - x.pad);
        let (from, to) = (2 * x.pad * channels, 2 * (x.pad + pixels) * channels);
        let rows = strip.chunks_exact_mut(self.plan.strip_row()).take(2 * self.block.tiles.len() + 2);
        for (row, target) in rows.enumerate() {
            let Some(iy) = (first + row).checked_sub(y.pad).filter(|&iy| iy < y.input) else {
                target.fill(0);
                continue;
            };
            let start = (self.block.picture * y.input + iy) * x.input * channels;
            target[..from].fill(0);
            self.isa.convert(&input[start..], pixels * channels, centre, &mut target[from..]);
            target[to..].fill(0);
        }
    }

    /// Position by position, tile by tile, channels innermost.
    fn transform_inputs(&self, strip: &[u8], target: &mut [u8]) {
        let (pitch, row, pixel) = (self.plan.pitch(), self.plan.strip_row(), 2 * self.plan.channels);
        let position = odd_lines(self.tiles() * pitch);
        for tile in 0..self.tiles() {
            let (y, x) = (2 * (tile / self.plan.tiles), 2 * (tile % self.plan.tiles));
            let strip = &strip[y * row + x * pixel..];
            self.isa.inputs(strip, row, pixel, &mut target[tile * pitch..], position, pixel);
        }
    }

    /// 16 output channels of the block.
    fn one_panel(&self, index: usize, packed: &[u8], buffers: &mut Buffers, output: &mut [u8]) {
        let (p, plan) = (self.p, self.plan);
        let bytes = panels::panel_len(p, panels::PAIRS);
        let panel = &packed[index * bytes..][..bytes];
        let zero_point = if p.weight.elem == ElemType::U8 { p.weight.zero_point - 128 } else { 0 };
        // Column by column: transformed weights of all 16 positions would not stay in a second-level cache.
        for x in 0..4 {
            let step = odd_lines(plan.weight_bytes());
            self.isa.weights(panel, zero_point as i16, x, buffers.weights, step);
            self.multiply(x, buffers.inputs, buffers.weights, buffers.products);
        }
        let channels = index * COLUMNS..p.out_channels.min((index + 1) * COLUMNS);
        let columns = self.isa.columns(p, channels.clone(), &[]);
        let position = odd_lines(self.tiles() * SUM_BYTES);
        for row in 0..self.block.tiles.len() {
            for start in (0..plan.tiles).step_by(TILES) {
                let count = TILES.min(plan.tiles - start);
                let mut sums = [[0; COLUMNS]; 4 * TILES];
                let products = &buffers.products[(row * plan.tiles + start) * SUM_BYTES..];
                self.isa.back(products, position, &mut sums[..4 * count], 2 * count);
                self.store(row, 2 * start, &sums[..4 * count], &columns, channels.start, output);
            }
        }
    }

    /// The four matrix products of column `x` of a panel.
    fn multiply(&self, x: usize, inputs: &[u8], weights: &[u8], products: &mut [u8]) {
        let (pitch, tiles, raw) = (self.plan.pitch(), self.tiles(), self.isa.raw());
        let bytes = [tiles * pitch, self.plan.weight_bytes(), tiles * SUM_BYTES];
        let [inputs_step, weights_step, products_step] = bytes.map(odd_lines);
        for y in 0..4 {
            let position = 4 * y + x;
            let weights = &weights[y * weights_step..][..bytes[1]];
            let products = &mut products[position * products_step..][..bytes[2]];
            let activations = Activations {
                bytes: &inputs[position * inputs_step..][..bytes[0]],
                runs: 1,
                run_step: 0,
                steps: self.plan.channels / 2,
            };
            let (first, weights) = ([0; MAX_ROWS], &Weights::Wide(weights));
            let mut tile =
                Tile { activations: &activations, rows: 0, first, step: Some(pitch), weights, turn: 0 };
            for start in (0..tiles).step_by(I::ROWS) {
                tile.rows = I::ROWS.min(tiles - start);
                for (r, byte) in tile.first.iter_mut().enumerate() {
                    *byte = (start + r) * pitch;
                }
                self.isa.tile(&tile, &raw, &mut products[start * SUM_BYTES..], SUM_BYTES);
            }
        }
    }

    /// Ends the sums of some tiles of row `row` of the block, of which `x` is the first column: first those of their upper
    /// outputs, then the lower ones. What the picture or the band does not have is left out.
    fn store(
        &self,
        row: usize,
        x: usize,
        sums: &[[i32; COLUMNS]],
        columns: &I::Columns,
        channel: usize,
        output: &mut [u8],
    ) {
        let (height, width) = (self.p.window.y.output, self.p.window.x.output);
        let bytes = self.p.output.elem.bits() / 8;
        let pitch = self.p.out_channels * bytes;
        let wanted = &self.block.pixels;
        for (lower, sums) in sums.chunks_exact(sums.len() / 2).enumerate() {
            let y = 2 * (self.block.tiles.start + row) + lower;
            if y >= height {
                continue;
            }
            let first = (self.block.picture * height + y) * width + x;
            let pixels = first.max(wanted.start)..(first + sums.len().min(width - x)).min(wanted.end);
            if pixels.is_empty() {
                continue;
            }
            let target = &mut output[(pixels.start - wanted.start) * pitch + channel * bytes..];
            self.isa.end(&sums[pixels.start - first..pixels.end - first], columns, target, pitch);
        }
    }
}

/// Tiles that are transformed back together: their sums stay in the first-level cache, and whole register tiles end them.
const TILES: usize = 12;
