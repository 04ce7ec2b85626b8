//! Convolution and fully connected layer as a matrix product: `M` output pixels by `N` output channels, depth `K`.
//!
//! ```text
//!             panel 0   panel 1          weights, packed: 16 columns a panel, depth in steps of KR
//!   tile 0  [ MR x 16 ][ MR x 16 ] ..
//!   tile 1  [ MR x 16 ][ MR x 16 ] ..    activations of one block
//! ```
//!
//! The activations of a block of output pixels are brought together once ([`activations`]); every panel then passes over
//! all tiles of the block, so that a panel stays in the first-level cache and the block in the second. The micro-kernel
//! multiplies, adds, rescales and stores a tile without leaving its registers.
//!
//! There are two forms of activations, and a micro-kernel takes one of them:
//!
//! * *words* (KR = 2): 16 bits, zero point subtracted. Both factors have 9 bits, nothing saturates. A panel that meets
//!   many tiles is first expanded, s4 to s8, u8 to 16 bits with its zero point subtracted.
//! * *bytes* (KR = 4 or 8): as they are stored, but for the sign, which is that of the instruction's operand. Padding reads the
//!   zero point, and `zero point * sum of the column's weights` comes off the bias.
//!
//! Either way 32-bit sums are those of the reference modulo 2^32.

use core::ops::Range;

use crate::pack::panels::{self, COLUMNS};
use crate::params::Conv;
use crate::types::ElemType;

mod activations;
pub(crate) mod winograd;

use activations::Plan;

/// Most rows of a tile on any ISA of the architecture.
pub(crate) const MAX_ROWS: usize = if cfg!(target_arch = "x86_64") { 14 } else { 8 };

/// Activations, read run by run: pixel `i` whose first run starts at byte `o` has run `r` at `o + r * run_step`, `steps`
/// steps of KR values long. The runs of a pixel in order are its `K` activations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Activations<'a> {
    /// Words, little-endian, or bytes.
    pub bytes: &'a [u8],
    /// Runs of one pixel.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "portable code counts the bytes"))]
    pub runs: usize,
    /// Bytes between the runs of a pixel.
    pub run_step: usize,
    /// Steps of a run: two words, or four or eight bytes.
    pub steps: usize,
}

/// One micro-kernel call: up to `ROWS` pixels by one panel. What calls have in common is borrowed and only the rest is
/// written anew: a load of what was just stored waits where it takes more bytes than one of the stores.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tile<'a> {
    /// The activations of the block.
    pub activations: &'a Activations<'a>,
    /// Pixels of the tile, 1 to [`GemmIsa::ROWS`].
    pub rows: usize,
    /// Byte at which each pixel's first run starts.
    pub first: [usize; MAX_ROWS],
    /// Bytes from each pixel to the next where these are known to be the same.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        allow(dead_code, reason = "for kernels with more rows than registers")
    )]
    pub step: Option<usize>,
    /// One panel.
    pub weights: &'a Weights<'a>,
    /// How many tiles before this one met the panel.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        allow(dead_code, reason = "for kernels that fetch the next panel")
    )]
    pub turn: usize,
}

/// Tiles of a panel that fetch the next one. All of it in the time of one would be more than the third-level cache gives to the
/// fastest kernels, and those that come later find it fetched.
#[cfg(target_arch = "x86_64")]
const FETCHING: usize = 16;

impl Tile<'_> {
    /// `ahead`, the bytes to the next panel, for a tile that is to fetch it into the second-level cache; else 0: a loop
    /// without a branch then asks for what it has.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    pub(crate) fn fetched(&self, ahead: usize) -> usize {
        if self.turn < FETCHING { ahead } else { 0 }
    }
}

#[cfg_attr(not(target_arch = "aarch64"), allow(dead_code, reason = "for kernels that read through pointers"))]
impl Tile<'_> {
    /// That every activation and weight is there which `rows` rows read: as many times `runs` runs of `steps` steps of `step`
    /// bytes, the last one ending `reach` bytes behind `first`, and `step_bytes` bytes of weights for each step of a row.
    ///
    /// # Panics
    /// When one is not.
    #[inline]
    pub(crate) fn check(&self, rows: usize, step: usize, weights: usize, step_bytes: usize) {
        let a = self.activations;
        assert!(a.runs > 0 && a.runs * a.steps * step_bytes == weights);
        // Saturating: an offset that wrapped must not pass.
        let reach = (a.runs - 1).saturating_mul(a.run_step).saturating_add(step * a.steps);
        let last = a.bytes.len().checked_sub(reach).expect("a run ends inside the activations");
        assert!(self.first[..rows].iter().all(|&first| first <= last));
    }

    /// Where run `run` of each row starts.
    #[inline]
    pub(crate) fn rows_of_run<const MR: usize>(&self, run: usize) -> [*const u8; MR] {
        let mut rows = [self.activations.bytes.as_ptr(); MR];
        for (row, first) in rows.iter_mut().zip(self.first) {
            *row = row.wrapping_add(first + run * self.activations.run_step);
        }
        rows
    }
}

/// One panel of weights, step by step, column by column.
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

/// How stored bytes become activations: words are `(byte ^ flip) - offset`, bytes are `byte ^ flip`. For words and unsigned
/// bytes `flip` is 0x80 where signed bytes are stored, so that one unsigned form serves both; for signed bytes it is the
/// other way round. Signed bytes none of which is negative are unsigned bytes already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Centre {
    /// Exclusive-or of every byte.
    pub flip: u8,
    /// Zero point of the flipped bytes: 0 to 255, as signed bytes -128 to 127.
    pub offset: i16,
}

impl Centre {
    fn signed(zero_point: i32) -> Centre {
        Centre { flip: 128, offset: (zero_point + 128) as i16 }
    }

    /// Of the input of `p`, for activations of a form.
    pub(crate) fn of_input(p: &Conv, form: Form) -> Centre {
        let zero_point = p.input.zero_point as i16;
        match (p.input.elem, form) {
            (ElemType::S8, Form::Unsigned) if p.input_codes.0 >= 0 && zero_point >= 0 => {
                Centre { flip: 0, offset: zero_point }
            }
            (ElemType::S8, Form::Words | Form::Unsigned) => Centre::signed(p.input.zero_point),
            (ElemType::S8, Form::Signed) | (_, Form::Words | Form::Unsigned) => {
                Centre { flip: 0, offset: zero_point }
            }
            (_, Form::Signed) => Centre { flip: 128, offset: zero_point - 128 },
        }
    }
}

/// What the activations of a micro-kernel are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "an architecture has instructions for one of the signs")]
pub(crate) enum Form {
    /// 16 bits, zero point subtracted.
    Words,
    /// Unsigned bytes.
    Unsigned,
    /// Signed bytes.
    Signed,
}

impl Form {
    /// Bytes of a value.
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Form::Words => 2,
            Form::Unsigned | Form::Signed => 1,
        }
    }

    /// KR where a step has four bytes, which nearly all have.
    pub(crate) const fn kr(self) -> usize {
        4 / self.bytes()
    }
}

/// What an instruction set supplies: a token whose existence proves that the CPU has it, and its micro-kernels.
pub(crate) trait GemmIsa: Copy {
    /// MR: rows of a full tile.
    const ROWS: usize;

    /// Most rows of a tile that is not full.
    const PART_ROWS: usize = Self::ROWS - 1;

    /// The activations that the micro-kernel takes.
    const FORM: Form;

    /// KR: values of a step.
    const KR: usize = Self::FORM.kr();

    /// Pixels of a block from which on it pays to expand panels; never for bytes.
    const EXPAND_FROM: usize;

    /// Whether two neighbouring panels go together where there are two; only for bytes.
    const PAIRS: bool = false;

    /// Bias and rescaling of one panel, prepared.
    type Columns;

    /// Prepares the output channels of a panel, 1 to 16 of them. `sums` of their weights are there for bytes.
    fn columns(self, p: &Conv, channels: Range<usize>, sums: &[u8]) -> Self::Columns;

    /// Looks at a packed panel's weights, where the micro-kernel depends on their values.
    fn inspect(self, _panel: &[u8], _columns: &mut Self::Columns) {}

    /// Makes activations of the first `count` bytes of `source`, at the start of `target`, which has room for them. Up to 30
    /// bytes behind them may be overwritten where `target` goes on.
    fn convert(self, source: &[u8], count: usize, centre: Centre, target: &mut [u8]);

    /// Expands a packed panel of s4 weights to one of s8, twice as long; only for words, and only where a micro-kernel
    /// has no form for nibbles.
    fn expand_s4(self, _panel: &[u8], _target: &mut [u8]) {}

    /// Computes a tile. Row `r` goes to the bytes from `r * pitch` of `output`, one element per channel of the panel.
    fn tile(self, tile: &Tile, columns: &Self::Columns, output: &mut [u8], pitch: usize);

    /// Computes a tile of two panels, the first of 16 columns and with the weights of `tile`.
    fn pair(
        self,
        _tile: &Tile,
        _columns: &Self::Columns,
        _second: Second<Self::Columns>,
        _output: &mut [u8],
        _pitch: usize,
    ) {
        unreachable!("asked for where `PAIRS` is true");
    }
}

/// The second panel of a pair.
#[derive(Debug)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "other architectures have no pairs"))]
pub(crate) struct Second<'a, C> {
    pub weights: Weights<'a>,
    pub columns: &'a C,
    /// Bytes of a row of outputs of the first panel.
    pub at: usize,
}

impl<C> Clone for Second<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Second<'_, C> {}

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

/// The largest activation, as an unsigned byte; padding reads the zero point.
pub(crate) fn largest_activation(p: &Conv) -> usize {
    let most = p.input_codes.1.max(p.input.zero_point) as u8;
    usize::from(most ^ Centre::of_input(p, Form::Unsigned).flip)
}

/// As [`accepts`], with s8 weights and activations that are 0 to 127 as unsigned bytes: two products fit 16 bits.
pub(crate) fn accepts_u7(p: &Conv) -> bool {
    accepts(p, ElemType::S8) && largest_activation(p) <= 127
}

/// As [`accepts`], with s4 weights whose sums are below 2^27: the kernels of Arm sum 16 times the weight.
pub(crate) fn accepts_arm(p: &Conv, weight: ElemType) -> bool {
    // Products of a signed byte and s4 are at most 2^10.
    let small = weight != ElemType::S4 || p.depth() < 1 << 17;
    accepts(p, weight) && small
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
            let activations = plan.activations(&block, input, &scratch);
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
        let (bytes, weight_bytes) = (panels::panel_len(p, I::KR), panels::weight_len(p, I::KR));
        let panel = |index: usize| {
            let first = (group * count + index) * bytes;
            let channels = group * width + index * COLUMNS..group * width + width.min((index + 1) * COLUMNS);
            let (panel, sums) = packed[first..first + bytes].split_at(weight_bytes);
            let mut columns = self.isa.columns(p, channels, sums);
            self.isa.inspect(panel, &mut columns);
            (panel, columns)
        };
        let mut index = 0;
        while index < count {
            let channel = group * width + index * COLUMNS;
            let (first, columns) = panel(index);
            let weights = self.weights(first, expanded);
            if I::PAIRS && index + 1 < count {
                let (second, second_columns) = panel(index + 1);
                // Bytes are never expanded.
                let second = self.weights(second, &mut []);
                let at = COLUMNS * p.output.elem.bits() / 8;
                let second = Second { weights: second, columns: &second_columns, at };
                self.panels(channel, &columns, weights, Some(second), output);
                index += 2;
            } else {
                self.panels(channel, &columns, weights, None, output);
                index += 1;
            }
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
                self.isa.convert(panel, panel.len(), Centre::signed(zero_point), scratch);
                Weights::Wide(scratch)
            }
            ElemType::S4 => Weights::S4(panel),
            ElemType::U8 => Weights::U8(panel, zero_point as i16),
            _ => Weights::S8(panel),
        }
    }

    /// One panel or two over every tile; `first` is the first output channel.
    fn panels(
        &self,
        first: usize,
        columns: &I::Columns,
        weights: Weights,
        second: Option<Second<I::Columns>>,
        output: &mut [u8],
    ) {
        let p = self.p;
        let width = p.output.elem.bits() / 8;
        let (first, pitch) = (first * width, p.out_channels * width);
        let mut places = self.plan.places(p, self.block);
        let count = self.block.rows.len();
        let (activations, weights) = (&self.activations, &weights);
        let mut tile = Tile { activations, rows: 0, first: [0; MAX_ROWS], step: None, weights, turn: 0 };
        let mut row = 0;
        while row < count {
            tile.rows = match count - row {
                left if left >= I::ROWS => I::ROWS,
                left if left > I::PART_ROWS => left.div_ceil(2),
                left => left,
            };
            tile.step = places.take(tile.rows, &mut tile.first);
            let output = &mut output[row * pitch + first..];
            match second {
                Some(second) => self.isa.pair(&tile, columns, second, output, pitch),
                None => self.isa.tile(&tile, columns, output, pitch),
            }
            row += tile.rows;
            tile.turn += 1;
        }
    }
}
