//! The 8x8 micro-kernels: 16 accumulators, eight vectors of activations, each good for four steps, and the weights of half a
//! panel. A tile of 8x16 is two of them.
//!
//! `sdot` by element multiplies four columns' weight quads by one quad of a row. Nothing saturates; sums are those of the
//! reference modulo 2^32.
//!
//! A byte of nibbles holds the weight of an even step in its low half and that of the odd one in its high half. Shifted left by
//! 4, or with the low half cleared, it is a signed byte of 16 times the weight: one operation where the weight itself would take
//! two. The sums are 16 times too large, and dividing them is exact because they are below 2^31: see
//! [`accepts_arm`](crate::ops::gemm::accepts_arm).

use core::arch::aarch64::*;
use core::ops::Range;

use super::DotProd;
use crate::isa::neon::columns::Columns;
use crate::isa::neon::gemm::begin;
use crate::ops::gemm::{Centre, Form, GemmIsa, Tile, Weights};
use crate::pack::panels::QUAD_BYTES;
use crate::params::Conv;

/// Rows of a full tile.
const ROWS: usize = 8;

impl GemmIsa for DotProd {
    const ROWS: usize = ROWS;
    const FORM: Form = Form::Signed;
    const EXPAND_FROM: usize = usize::MAX;
    type Columns = Columns;

    fn columns(self, p: &Conv, channels: Range<usize>, sums: &[u8]) -> Columns {
        // SAFETY: the token proves Advanced SIMD.
        unsafe { columns(p, channels, sums) }
    }

    #[inline]
    fn convert(self, source: &[u8], count: usize, centre: Centre, target: &mut [u8]) {
        for (target, byte) in target[..count].iter_mut().zip(&source[..count]) {
            *target = byte ^ centre.flip;
        }
    }

    #[inline]
    fn tile(self, tile: &Tile, columns: &Columns, output: &mut [u8], pitch: usize) {
        // SAFETY: the token proves Advanced SIMD and its dot product.
        unsafe {
            match tile.rows {
                1 => self::tile::<1>(tile, columns, output, pitch),
                2 => self::tile::<2>(tile, columns, output, pitch),
                3 => self::tile::<3>(tile, columns, output, pitch),
                4 => self::tile::<4>(tile, columns, output, pitch),
                5 => self::tile::<5>(tile, columns, output, pitch),
                6 => self::tile::<6>(tile, columns, output, pitch),
                7 => self::tile::<7>(tile, columns, output, pitch),
                _ => self::tile::<ROWS>(tile, columns, output, pitch),
            }
        }
    }
}

#[target_feature(enable = "neon")]
fn columns(p: &Conv, channels: Range<usize>, sums: &[u8]) -> Columns {
    Columns::new(p, channels).less_zero_point(Centre::of_input(p, Form::Signed).offset, sums)
}

/// Accumulators of half a row.
type Half = [int32x4_t; 2];

/// One tile of `MR` rows.
#[target_feature(enable = "neon,dotprod")]
fn tile<const MR: usize>(t: &Tile, columns: &Columns, output: &mut [u8], pitch: usize) {
    let (halves, nibbles) = match *t.weights {
        Weights::S8(panel) | Weights::U8(panel, _) => {
            t.check(MR, 4, panel.len(), QUAD_BYTES);
            ([0, 1].map(|half| multiply::<MR, false>(t, panel, half)), false)
        }
        Weights::S4(panel) => {
            t.check(MR, 4, panel.len(), QUAD_BYTES / 2);
            assert!(t.activations.steps.is_multiple_of(2));
            ([0, 1].map(|half| multiply::<MR, true>(t, panel, half)), true)
        }
        Weights::Wide(_) => unreachable!("the rows take bytes and nibbles"),
    };
    let mut rows = begin::<MR>(t, columns, 4);
    for (r, row) in rows.iter_mut().enumerate() {
        for (q, sum) in row.iter_mut().enumerate() {
            let products = halves[q / 2][r][q % 2];
            *sum = if nibbles { vsraq_n_s32::<4>(*sum, products) } else { vaddq_s32(*sum, products) };
        }
    }
    columns.finish(&rows, output, pitch);
}

/// `$load` of every row; written out, because what a loop picks would be in memory.
macro_rules! load_rows {
    ($mr:ident, $x:ident, $load:expr, [$($r:literal)+]) => {
        $(if $mr > $r { $x[$r] = $load($r); })+
    };
    ($mr:ident, $x:ident, $load:expr) => { load_rows!($mr, $x, $load, [0 1 2 3 4 5 6 7]) };
}

/// Multiplies quad `$lane` of every row by the weights of eight columns, in vectors `$left` and `$right`. (There is no stable
/// intrinsic. One block for all rows, because the compiler copies accumulators about between single instructions.)
macro_rules! dot {
    ($mr:ident, $acc:ident, $x:ident, $lane:literal, $left:expr, $right:expr) => {
        match $mr {
            1 => dot!(@ $acc, $x, $lane, $left, $right, [0 a0 b0 x0]),
            2 => dot!(@ $acc, $x, $lane, $left, $right, [0 a0 b0 x0] [1 a1 b1 x1]),
            3 => dot!(@ $acc, $x, $lane, $left, $right, [0 a0 b0 x0] [1 a1 b1 x1] [2 a2 b2 x2]),
            4 => dot!(@ $acc, $x, $lane, $left, $right, [0 a0 b0 x0] [1 a1 b1 x1] [2 a2 b2 x2] [3 a3 b3 x3]),
            5 => dot!(
                @ $acc, $x, $lane, $left, $right,
                [0 a0 b0 x0] [1 a1 b1 x1] [2 a2 b2 x2] [3 a3 b3 x3] [4 a4 b4 x4]
            ),
            6 => dot!(
                @ $acc, $x, $lane, $left, $right,
                [0 a0 b0 x0] [1 a1 b1 x1] [2 a2 b2 x2] [3 a3 b3 x3] [4 a4 b4 x4] [5 a5 b5 x5]
            ),
            7 => dot!(
                @ $acc, $x, $lane, $left, $right,
                [0 a0 b0 x0] [1 a1 b1 x1] [2 a2 b2 x2] [3 a3 b3 x3] [4 a4 b4 x4] [5 a5 b5 x5] [6 a6 b6 x6]
            ),
            _ => dot!(
                @ $acc, $x, $lane, $left, $right,
                [0 a0 b0 x0] [1 a1 b1 x1] [2 a2 b2 x2] [3 a3 b3 x3] [4 a4 b4 x4] [5 a5 b5 x5] [6 a6 b6 x6] [7 a7 b7 x7]
            ),
        }
    };
    (@ $acc:ident, $x:ident, $lane:literal, $left:expr, $right:expr, $([$r:literal $a:ident $b:ident $v:ident])+) => {
        core::arch::asm!(
            $(concat!("sdot {", stringify!($a), ":v}.4s, {left:v}.16b, {", stringify!($v), ":v}.4b[{lane}]"),)+
            $(concat!("sdot {", stringify!($b), ":v}.4s, {right:v}.16b, {", stringify!($v), ":v}.4b[{lane}]"),)+
            $($a = inout(vreg) $acc[$r][0], $b = inout(vreg) $acc[$r][1], $v = in(vreg) $x[$r],)+
            left = in(vreg) $left,
            right = in(vreg) $right,
            lane = const $lane,
            options(pure, nomem, nostack, preserves_flags)
        )
    };
}

/// The products of half `half` of a panel, of a checked tile.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn multiply<const MR: usize, const NIBBLES: bool>(t: &Tile, panel: &[u8], half: usize) -> [Half; MR] {
    let steps = t.activations.steps;
    let mut acc = [[vdupq_n_s32(0); 2]; MR];
    let mut panel = panel.as_ptr().wrapping_add(QUAD_BYTES / 2 * half);
    for run in 0..t.activations.runs {
        let rows = t.rows_of_run::<MR>(run);
        // SAFETY: `Tile::check`: every step of a row has 4 bytes of activations, and every step (with nibbles every two steps)
        // 64 bytes of weights, of which a half reads 32 from its own start.
        unsafe {
            if NIBBLES {
                nibbles(&mut acc, &rows, panel, steps / 4);
                nibbles_rest(&mut acc, &rows, panel, steps / 4 * 4..steps);
            } else {
                bytes(&mut acc, &rows, panel, steps / 4);
                bytes_rest(&mut acc, &rows, panel, steps / 4 * 4..steps);
            }
        }
        panel = panel.wrapping_add(if NIBBLES { steps / 2 * QUAD_BYTES } else { steps * QUAD_BYTES });
    }
    acc
}

// One loop a function: where two share their accumulators, the compiler copies these in every turn of the first.

/// Blocks of four steps of s8 weights.
///
/// # Safety
/// 16 bytes of every row and four times 32, 64 apart, behind `panel` are readable for each of `blocks` blocks.
#[inline(never)]
#[target_feature(enable = "neon,dotprod")]
unsafe fn bytes<const MR: usize>(
    sums: &mut [Half; MR],
    rows: &[*const u8; MR],
    panel: *const u8,
    blocks: usize,
) {
    let mut acc = *sums;
    for block in 0..blocks {
        // SAFETY: the caller's promise.
        unsafe {
            let weights = |step: usize, right: usize| {
                vld1q_s8(panel.add((4 * block + step) * QUAD_BYTES + 16 * right).cast())
            };
            let mut x = [vdupq_n_s8(0); MR];
            load_rows!(MR, x, |r: usize| vld1q_s8(rows[r].add(16 * block).cast()));
            dot!(MR, acc, x, 0, weights(0, 0), weights(0, 1));
            dot!(MR, acc, x, 1, weights(1, 0), weights(1, 1));
            dot!(MR, acc, x, 2, weights(2, 0), weights(2, 1));
            dot!(MR, acc, x, 3, weights(3, 0), weights(3, 1));
        }
    }
    *sums = acc;
}

/// Single steps of s8 weights.
///
/// # Safety
/// As for [`bytes`], for 4 bytes and 32 at each of `steps`.
#[inline(never)]
#[target_feature(enable = "neon,dotprod")]
unsafe fn bytes_rest<const MR: usize>(
    sums: &mut [Half; MR],
    rows: &[*const u8; MR],
    panel: *const u8,
    steps: Range<usize>,
) {
    let mut acc = *sums;
    for step in steps {
        // SAFETY: the caller's promise.
        unsafe {
            let weights = |right: usize| vld1q_s8(panel.add(step * QUAD_BYTES + 16 * right).cast());
            let mut x = [vdupq_n_s8(0); MR];
            load_rows!(MR, x, |r: usize| {
                vreinterpretq_s8_s32(vdupq_n_s32(rows[r].add(4 * step).cast::<i32>().read_unaligned()))
            });
            dot!(MR, acc, x, 0, weights(0), weights(1));
        }
    }
    *sums = acc;
}

/// 16 times the weights of the even step in `codes`, and of the odd one.
#[inline]
#[target_feature(enable = "neon")]
fn even(codes: int8x16_t) -> int8x16_t {
    vshlq_n_s8::<4>(codes)
}

#[inline]
#[target_feature(enable = "neon")]
fn odd(codes: int8x16_t) -> int8x16_t {
    vandq_s8(codes, vdupq_n_s8(-16))
}

/// Blocks of four steps of s4 weights.
///
/// # Safety
/// As for [`bytes`], with twice 32 bytes behind `panel` for each block.
#[inline(never)]
#[target_feature(enable = "neon,dotprod")]
unsafe fn nibbles<const MR: usize>(
    sums: &mut [Half; MR],
    rows: &[*const u8; MR],
    panel: *const u8,
    blocks: usize,
) {
    let mut acc = *sums;
    for block in 0..blocks {
        // SAFETY: the caller's promise.
        unsafe {
            let codes = |pair: usize, right: usize| {
                vld1q_s8(panel.add((2 * block + pair) * QUAD_BYTES + 16 * right).cast())
            };
            let mut x = [vdupq_n_s8(0); MR];
            load_rows!(MR, x, |r: usize| vld1q_s8(rows[r].add(16 * block).cast()));
            let (left, right) = (codes(0, 0), codes(0, 1));
            dot!(MR, acc, x, 0, even(left), even(right));
            dot!(MR, acc, x, 1, odd(left), odd(right));
            let (left, right) = (codes(1, 0), codes(1, 1));
            dot!(MR, acc, x, 2, even(left), even(right));
            dot!(MR, acc, x, 3, odd(left), odd(right));
        }
    }
    *sums = acc;
}

/// What four steps do not divide: two steps of s4 weights, or none.
///
/// # Safety
/// As for [`nibbles`], for 8 bytes and 32 at each two of `steps`.
#[inline(never)]
#[target_feature(enable = "neon,dotprod")]
unsafe fn nibbles_rest<const MR: usize>(
    sums: &mut [Half; MR],
    rows: &[*const u8; MR],
    panel: *const u8,
    steps: Range<usize>,
) {
    let mut acc = *sums;
    for pair in steps.start / 2..steps.end / 2 {
        // SAFETY: the caller's promise.
        unsafe {
            let codes = |right: usize| vld1q_s8(panel.add(pair * QUAD_BYTES + 16 * right).cast());
            let mut x = [vdupq_n_s8(0); MR];
            load_rows!(MR, x, |r: usize| vcombine_s8(vld1_s8(rows[r].add(8 * pair).cast()), vdup_n_s8(0)));
            let (left, right) = (codes(0), codes(1));
            dot!(MR, acc, x, 0, even(left), even(right));
            dot!(MR, acc, x, 1, odd(left), odd(right));
        }
    }
    *sums = acc;
}

/// The `ConvFn` of the dot product rows.
///
/// # Safety
/// The CPU has Advanced SIMD and its dot product.
pub(crate) unsafe fn conv(
    p: &Conv,
    packed: &[u8],
    input: &[u8],
    rows: Range<usize>,
    output: &mut [u8],
    scratch: &mut [u8],
) {
    // SAFETY: the caller's promise.
    let isa = unsafe { DotProd::new() };
    crate::ops::gemm::run(isa, p, packed, input, rows, output, scratch);
}
