//! Convolution and fully connected layer as a matrix product: `M` output pixels by `N` output channels, depth `K`.
//!
//! ```text
//!             panel 0   panel 1          weights, packed: 16 columns a panel, depth in pairs
//!   tile 0  [ MR x 16 ][ MR x 16 ] ..
//!   tile 1  [ MR x 16 ][ MR x 16 ] ..    activations of one block: 16 bits, zero point subtracted
//! ```
//!
//! A block of output pixels is widened once into scratch ([`activations`]); every panel then passes over all tiles
//! of the block, so that a panel stays in the first-level cache and the block in the second. The micro-kernel
//! multiplies, adds, rescales and stores a tile without leaving its registers. It reads packed weights of every
//! type, but s8 with the least work: a panel that meets many tiles is first expanded, s4 to s8, u8 to 16 bits with
//! its zero point subtracted. Both factors have 9 bits: nothing saturates, and 32-bit sums are those of the
//! reference modulo 2^32.

use core::ops::Range;

use crate::pack::panels::{self, COLUMNS};
use crate::params::Conv;
use crate::types::ElemType;

mod activations;

use activations::Plan;

/// Most rows of a tile on any ISA.
pub(crate) const MAX_ROWS: usize = 8;

/// Widened activations, read run by run: pixel `i` whose first run starts at byte `o` has run `r` at
/// `o + r * run_step`, `pairs` pairs of 16-bit values long. The runs of a pixel in order are its `K` activations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Activations<'a> {
    /// Little-endian 16-bit values.
    pub bytes: &'a [u8],
    /// Runs of one pixel.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "portable code counts the bytes"))]
    pub runs: usize,
    /// Bytes between the runs of a pixel.
    pub run_step: usize,
    /// Pairs of values in a run.
    pub pairs: usize,
}

/// One micro-kernel call: up to `ROWS` pixels by one panel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tile<'a> {
    /// The activations of the block.
    pub activations: Activations<'a>,
    /// Pixels of the tile, 1 to [`GemmIsa::ROWS`].
    pub rows: usize,
    /// Byte at which each pixel's first run starts.
    pub first: [usize; MAX_ROWS],
    /// One panel.
    pub weights: Weights<'a>,
}

/// One panel of weights, depth in pairs, column by column.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Weights<'a> {
    /// Little-endian 16-bit values, zero point subtracted.
    Wide(&'a [u8]),
    /// A packed panel of s8, or an expanded one of s4.
    S8(&'a [u8]),
    /// A packed panel of s4.
    S4(&'a [u8]),
    /// A packed panel of u8, and the zero point of its bytes as they are stored, less 128.
    U8(&'a [u8], i16),
}

/// How bytes become 16-bit values: `(byte ^ flip) - offset`. `flip` is 0x80 for signed bytes and 0 for unsigned
/// ones, so that one unsigned form serves both.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Centre {
    /// Exclusive-or of every byte.
    pub flip: u8,
    /// Zero point of the flipped bytes, 0 to 255.
    pub offset: i16,
}

impl Centre {
    fn signed(zero_point: i32) -> Centre {
        Centre { flip: 128, offset: (zero_point + 128) as i16 }
    }

    fn of_input(p: &Conv) -> Centre {
        match p.input.elem {
            ElemType::S8 => Centre::signed(p.input.zero_point),
            _ => Centre { flip: 0, offset: p.input.zero_point as i16 },
        }
    }
}

/// What an instruction set supplies: a token whose existence proves that the CPU has it, and its micro-kernels.
pub(crate) trait GemmIsa: Copy {
    /// MR: rows of a full tile.
    const ROWS: usize;

    /// Pixels of a block from which on it pays to expand panels.
    const EXPAND_FROM: usize;

    /// Bias and rescaling of one panel, prepared.
    type Columns;

    /// Prepares the output channels of a panel, 1 to 16 of them.
    fn columns(self, p: &Conv, channels: Range<usize>) -> Self::Columns;

    /// Widens the first `count` bytes of `source` into 16-bit values at the start of `target`, which has room for
    /// them. Up to 30 bytes behind them may be overwritten where `target` goes on.
    fn widen(self, source: &[u8], count: usize, centre: Centre, target: &mut [u8]);

    /// Expands a packed panel of s4 weights to one of s8, twice as long.
    fn expand_s4(self, panel: &[u8], target: &mut [u8]);

    /// Computes a tile. Row `r` goes to the bytes from `r * pitch` of `output`, one element per channel of the panel.
    fn tile(self, tile: &Tile, columns: &Self::Columns, output: &mut [u8], pitch: usize);
}

/// Whether the kernels of this module compute `p`, with weights of type `weight`.
pub(crate) fn accepts(p: &Conv, weight: ElemType) -> bool {
    let byte = |elem| matches!(elem, ElemType::U8 | ElemType::S8);
    let within = |elem: ElemType, value| elem.min() <= value && value <= elem.max();
    byte(p.input.elem)
        && matches!(p.output.elem, ElemType::U8 | ElemType::S8 | ElemType::S16 | ElemType::S32)
        && p.weight.elem == weight
        && (weight == ElemType::U8 || p.weight.zero_point == 0)
        && within(weight, p.weight.zero_point)
        && within(p.input.elem, p.input.zero_point)
        && within(p.output.elem, p.output.zero_point)
}

/// Scratch bytes of one call.
pub(crate) fn scratch<I: GemmIsa>(p: &Conv) -> usize {
    Plan::new::<I>(p).scratch_len()
}

/// The body of every `ConvFn` of this module: output pixels `rows` of `p`.
pub(crate) fn run<I: GemmIsa>(
    isa: I,
    p: &Conv,
    packed: &[u8],
    input: &[u8],
    rows: Range<usize>,
    output: &mut [u8],
    scratch: &mut [u8],
) {
    let plan = Plan::new::<I>(p);
    let (mut scratch, expanded) = plan.split_scratch(scratch);
    let (mut first, pitch) = (rows.start, p.out_channels * p.output.elem.bits() / 8);
    while first < rows.end {
        let block = plan.block(p, first..rows.end);
        first = block.rows.end;
        let output =
            &mut output[(block.rows.start - rows.start) * pitch..(block.rows.end - rows.start) * pitch];
        for group in 0..p.groups {
            plan.fill(isa, p, group, &block, input, &mut scratch);
            let activations = plan.activations(&scratch);
            Job { isa, p, plan: &plan, block: &block, activations }
                .all_panels(group, packed, expanded, output);
        }
    }
}

/// One block of pixels whose activations are widened.
struct Job<'a, I> {
    isa: I,
    p: &'a Conv<'a>,
    plan: &'a Plan,
    block: &'a activations::Block,
    activations: Activations<'a>,
}

impl<I: GemmIsa> Job<'_, I> {
    /// Every panel of `group` over every tile of the block.
    fn all_panels(&self, group: usize, packed: &[u8], expanded: &mut [u8], output: &mut [u8]) {
        let p = self.p;
        let (width, count) = (p.out_channels / p.groups, panels::panels_per_group(p));
        let bytes = panels::panel_len(p);
        for index in 0..count {
            let first = (group * count + index) * bytes;
            let channels = group * width + index * COLUMNS..group * width + width.min((index + 1) * COLUMNS);
            let weights = self.weights(&packed[first..first + bytes], expanded);
            self.one_panel(channels, weights, output);
        }
    }

    /// The panel as the micro-kernel reads it: expanded where that pays and `scratch` has room.
    fn weights<'a>(&self, panel: &'a [u8], scratch: &'a mut [u8]) -> Weights<'a> {
        let expand = !scratch.is_empty() && self.block.rows.len() >= I::EXPAND_FROM;
        let zero_point = self.p.weight.zero_point - 128;
        match self.p.weight.elem {
            ElemType::S4 if expand => {
                self.isa.expand_s4(panel, scratch);
                Weights::S8(scratch)
            }
            ElemType::U8 if expand => {
                self.isa.widen(panel, panel.len(), Centre::signed(zero_point), scratch);
                Weights::Wide(scratch)
            }
            ElemType::S4 => Weights::S4(panel),
            ElemType::U8 => Weights::U8(panel, zero_point as i16),
            _ => Weights::S8(panel),
        }
    }

    fn one_panel(&self, channels: Range<usize>, weights: Weights, output: &mut [u8]) {
        let p = self.p;
        let width = p.output.elem.bits() / 8;
        let (first, pitch) = (channels.start * width, p.out_channels * width);
        let columns = self.isa.columns(p, channels);
        let mut places = self.plan.places(p, self.block);
        let count = self.block.rows.len();
        for row in (0..count).step_by(I::ROWS) {
            let rows = I::ROWS.min(count - row);
            let tile = Tile { activations: self.activations, rows, first: places.take(rows), weights };
            self.isa.tile(&tile, &columns, &mut output[row * pitch + first..], pitch);
        }
    }
}
