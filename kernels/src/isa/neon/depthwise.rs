//! Depthwise convolution of 32 channels at a time, in two halves of 16, for some neighbouring outputs at once.
//!
//! Bytes, less the zero point, are widened to 16 bits and multiplied by 16-bit weights into 32-bit sums, which wrap as the
//! accumulator does. `ld2` separates the two taps of a pair of weights. What remains is the order that packing made for
//! another instruction set: half `h` is the channels from `8h` and those from `16 + 8h`.

use core::arch::aarch64::*;
use core::ops::Range;

use super::{Factors, Narrow, Neon, load_4x32};
use crate::ops::depthwise::tiles::{self, DepthwiseIsa, Gather, Run, reach};
use crate::pack::depthwise::{BLOCK, PAIR_BYTES, first_channel};
use crate::params::Conv;
use crate::requant::Rounding;
use crate::types::ElemType;

/// Neighbouring outputs computed at once: their sums take 16 of the 32 registers, the weights of three taps 6.
const PIXELS: usize = 4;

/// Sums of the 16 channels of a half.
type Half = [int32x4_t; 4];
/// Values or weights of a half.
type Words = [int16x8_t; 2];

/// See [`crate::registry::ConvFn`].
///
/// # Safety
/// The CPU has Advanced SIMD.
#[target_feature(enable = "neon")]
pub(crate) unsafe fn depthwise(
    p: &Conv,
    packed: &[u8],
    input: &[u8],
    rows: Range<usize>,
    output: &mut [u8],
    scratch: &mut [u8],
) {
    // SAFETY: the caller's promise.
    let isa = unsafe { Neon::new() };
    tiles::depthwise(isa, p, packed, input, rows, output, scratch);
}

impl DepthwiseIsa for Neon {
    type Epilogue = Epilogue;

    #[inline(always)]
    fn epilogue(self, p: &Conv, block: usize, _weights: &[u8]) -> Epilogue {
        // SAFETY: the token proves Advanced SIMD.
        unsafe { Epilogue::new(p, block) }
    }

    #[inline(always)]
    fn gather(self, gather: &Gather, source: &[u8], flip: u8, target: &mut [u8]) {
        // SAFETY: the token proves Advanced SIMD.
        unsafe { copy(gather, source, flip, target) }
    }

    #[inline(always)]
    fn compute(
        self,
        run: &Run,
        rows: Range<usize>,
        columns: Range<usize>,
        epilogue: &Epilogue,
        output: &mut [u8],
    ) {
        // SAFETY: the token proves Advanced SIMD.
        unsafe { compute(run, rows, columns, epilogue, output) }
    }
}

/// The end of the operation for one block of channels, four slots a vector.
#[derive(Debug)]
pub(crate) struct Epilogue {
    /// Zero point of the source.
    zero_point: uint8x8_t,
    bias: [int32x4_t; BLOCK / 4],
    factors: [Factors; BLOCK / 4],
    /// Some lane needs the general form of rescaling.
    mixed: bool,
    narrow: Narrow,
}

impl Epilogue {
    #[target_feature(enable = "neon")]
    fn new(p: &Conv, block: usize) -> Epilogue {
        let first = first_channel(p.out_channels, block);
        let slots = |values: &[i32], four: usize| -> [i32; 4] {
            let at = first + 4 * four;
            let whole = values.get(at..).and_then(|values| values.first_chunk::<4>()).copied();
            // With fewer channels than slots they repeat.
            whole.unwrap_or_else(|| core::array::from_fn(|i| values[(at + i) % p.out_channels]))
        };
        let offset = if p.input.elem == ElemType::S8 { 128 } else { 0 };
        let zero_point = vdup_n_u8((p.input.zero_point + offset) as u8);
        let mut bias = [vdupq_n_s32(0); BLOCK / 4];
        let mut factors = [Factors::new(&[0; 4], &[62; 4], p.rounding); BLOCK / 4];
        for four in 0..BLOCK / 4 {
            bias[four] = load_4x32(&slots(p.bias, four));
            factors[four] = Factors::new(&slots(p.multipliers, four), &slots(p.shifts, four), p.rounding);
        }
        let mixed = factors.iter().any(|factors| factors.is_mixed());
        Epilogue { zero_point, bias, factors, mixed, narrow: Narrow::new(&p.output) }
    }

    /// Bias, rescaling, zero point, clamp: the bytes of half `half`.
    #[inline]
    #[target_feature(enable = "neon")]
    fn finish<const TWICE: bool, const MIXED: bool>(&self, sums: Half, half: usize) -> uint8x16_t {
        let mut values = sums;
        for (value, four) in values.iter_mut().zip(fours(half)) {
            *value = self.factors[four].rescale::<TWICE, MIXED>(vaddq_s32(*value, self.bias[four]));
        }
        self.narrow.narrow(values)
    }
}

/// The vectors of four slots that half `half` is made of.
const fn fours(half: usize) -> [usize; 4] {
    [2 * half, 2 * half + 1, 4 + 2 * half, 5 + 2 * half]
}

#[target_feature(enable = "neon")]
fn compute(run: &Run, rows: Range<usize>, columns: Range<usize>, epilogue: &Epilogue, output: &mut [u8]) {
    if rows.is_empty() || columns.is_empty() {
        return;
    }
    let [last, last_output] = [
        reach([rows.end, columns.end], [run.row, run.step]),
        reach([rows.len(), columns.len()], [run.output_row, run.output_step]),
    ];
    assert!(run.taps.len() * PAIR_BYTES == 2 * run.weights.len());
    assert!(run.taps.iter().all(|tap| tap.saturating_add(last) <= run.source.len()));
    assert!(last_output <= output.len());
    let stride = stride_of_3x3(run);
    // SAFETY: the three assertions are the first part of the contract of `all`: the last output of the last row reaches
    // furthest. The stride is the second.
    unsafe {
        match (run.rounding == Rounding::Twice, epilogue.mixed, stride) {
            (false, true, _) => all::<0, false, true>(run, rows, columns, epilogue, output),
            (true, true, _) => all::<0, true, true>(run, rows, columns, epilogue, output),
            (false, false, Some(1)) => all::<1, false, false>(run, rows, columns, epilogue, output),
            (false, false, Some(2)) => all::<2, false, false>(run, rows, columns, epilogue, output),
            (false, false, _) => all::<0, false, false>(run, rows, columns, epilogue, output),
            (true, false, Some(1)) => all::<1, true, false>(run, rows, columns, epilogue, output),
            (true, false, Some(2)) => all::<2, true, false>(run, rows, columns, epilogue, output),
            (true, false, _) => all::<0, true, false>(run, rows, columns, epilogue, output),
        }
    }
}

/// The stride of a window of three times three neighbouring pixels that are one vector each; `None` of any other window.
fn stride_of_3x3(run: &Run) -> Option<usize> {
    let [nine @ .., rest] = <&[usize; 10]>::try_from(run.taps).ok()?;
    let regular = nine.as_chunks::<3>().0.iter().all(|&[a, b, c]| b == a + BLOCK && c == b + BLOCK);
    // A tenth tap of its own lies elsewhere than the first: 0 is the one that is read, times zero.
    (regular && *rest == 0 && run.step.is_multiple_of(BLOCK)).then_some(run.step / BLOCK)
}

/// `STRIDE` is [`stride_of_3x3`], or 0 for every window.
///
/// # Safety
/// `taps` has two entries for each pair of the weights. For every output the source holds [`BLOCK`] bytes from each tap, the
/// output [`BLOCK`] bytes from its place. `STRIDE` is as said.
#[target_feature(enable = "neon")]
unsafe fn all<const STRIDE: usize, const TWICE: bool, const MIXED: bool>(
    run: &Run,
    rows: Range<usize>,
    columns: Range<usize>,
    epilogue: &Epilogue,
    output: &mut [u8],
) {
    let count = columns.len();
    for (i, row) in rows.enumerate() {
        // SAFETY: places of outputs of this row, which the contract covers.
        unsafe {
            let source = run.source.as_ptr().add(row * run.row + columns.start * run.step);
            let output = output.as_mut_ptr().add(i * run.output_row);
            if count < PIXELS {
                for at in 0..count {
                    let (source, output) = (source.add(at * run.step), output.add(at * run.output_step));
                    some::<1, STRIDE, TWICE, MIXED>(run, source, epilogue, output);
                }
                continue;
            }
            for at in (0..count).step_by(PIXELS) {
                // The last ones again rather than fewer: what they write they write once more, in the same order.
                let at = at.min(count - PIXELS);
                let (source, output) = (source.add(at * run.step), output.add(at * run.output_step));
                some::<PIXELS, STRIDE, TWICE, MIXED>(run, source, epilogue, output);
            }
        }
    }
}

/// `N` neighbouring outputs, the first of which reads from `source` and goes to `output`.
///
/// # Safety
/// As [`all`], for these outputs.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn some<const N: usize, const STRIDE: usize, const TWICE: bool, const MIXED: bool>(
    run: &Run,
    source: *const u8,
    epilogue: &Epilogue,
    output: *mut u8,
) {
    let mut low = [vdupq_n_u8(0); N];
    for half in 0..2 {
        // SAFETY: a half reads bytes `8 * half..8 * half + 8` and the same from 16, of the block that the contract gives.
        let sums = unsafe {
            match STRIDE {
                0 => sums::<N>(run, source.add(8 * half), half, epilogue.zero_point),
                _ => sums_3x3::<N, STRIDE>(run, source.add(8 * half), half, epilogue.zero_point),
            }
        };
        for (i, sums) in sums.into_iter().enumerate() {
            let bytes = epilogue.finish::<TWICE, MIXED>(sums, half);
            if half == 0 {
                low[i] = bytes;
                continue;
            }
            let (first, second) = (vreinterpretq_u64_u8(low[i]), vreinterpretq_u64_u8(bytes));
            // SAFETY: the 32 bytes of output `i`, in the order of the outputs.
            unsafe {
                let output = output.add(i * run.output_step);
                vst1q_u8(output, vreinterpretq_u8_u64(vzip1q_u64(first, second)));
                vst1q_u8(output.add(16), vreinterpretq_u8_u64(vzip2q_u64(first, second)));
            }
        }
    }
}

/// Sums of products of half `half` of `N` neighbouring outputs. `source` is where its first bytes lie.
///
/// # Safety
/// As [`all`], for these outputs.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn sums<const N: usize>(
    run: &Run,
    source: *const u8,
    half: usize,
    zero_point: uint8x8_t,
) -> [Half; N] {
    let mut acc = [[vdupq_n_s32(0); 4]; N];
    let pairs = run.taps.as_chunks::<2>().0.iter().zip(run.weights.as_chunks().0);
    for (taps, weights) in pairs {
        for (&tap, weights) in taps.iter().zip(pair(weights, half)) {
            for (i, acc) in acc.iter_mut().enumerate() {
                // SAFETY: what the contract says of the tap.
                let values = unsafe { load(source.add(tap + i * run.step), zero_point) };
                add_products(acc, values, weights);
            }
        }
    }
    acc
}

/// As [`sums`] for a window of three times three neighbouring pixels: each is read and widened once for all outputs.
///
/// # Safety
/// As [`all`], for these outputs; `STRIDE` is [`stride_of_3x3`], 1 or 2.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn sums_3x3<const N: usize, const STRIDE: usize>(
    run: &Run,
    source: *const u8,
    half: usize,
    zero_point: uint8x8_t,
) -> [Half; N] {
    let mut acc = [[vdupq_n_s32(0); 4]; N];
    let pairs = run.weights.as_chunks().0.first_chunk::<5>().expect("nine taps are five pairs");
    let taps = run.taps.first_chunk::<9>().expect("nine taps");
    // SAFETY: the pixels of the window of an output are its taps, the first of a row the first of three.
    unsafe {
        let ([a, b], [c, d]) = (pair(&pairs[0], half), pair(&pairs[1], half));
        add_row::<N, STRIDE>(&mut acc, source.add(taps[0]), [a, b, c], zero_point);
        let [e, f] = pair(&pairs[2], half);
        add_row::<N, STRIDE>(&mut acc, source.add(taps[3]), [d, e, f], zero_point);
        let ([g, h], [i, _]) = (pair(&pairs[3], half), pair(&pairs[4], half));
        add_row::<N, STRIDE>(&mut acc, source.add(taps[6]), [g, h, i], zero_point);
    }
    acc
}

/// Adds the products of a row of three neighbouring pixels.
///
/// # Safety
/// The source has 24 bytes at each pixel of the rows of `N` outputs, which are `STRIDE`, 1 or 2, pixels apart.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn add_row<const N: usize, const STRIDE: usize>(
    acc: &mut [Half; N],
    source: *const u8,
    weights: [Words; 3],
    zero_point: uint8x8_t,
) {
    // SAFETY: the pixels of an output are those from `i * STRIDE` to the second next.
    let pixel = |column: usize| unsafe { load(source.add(column * BLOCK), zero_point) };
    let mut window = [pixel(0), pixel(1), pixel(2)];
    for (i, acc) in acc.iter_mut().enumerate() {
        if i > 0 {
            let last = pixel(i * STRIDE + 2);
            window = match STRIDE {
                1 => [window[1], window[2], last],
                _ => [window[2], pixel(i * STRIDE + 1), last],
            };
        }
        add_products(acc, window[0], weights[0]);
        add_products(acc, window[1], weights[1]);
        add_products(acc, window[2], weights[2]);
    }
}

/// The weights of both taps of a pair.
#[inline]
#[target_feature(enable = "neon")]
fn pair(weights: &[u8; PAIR_BYTES], half: usize) -> [Words; 2] {
    let quads = weights.as_chunks::<32>().0;
    // SAFETY: 32 readable bytes each, two taps of slots 0-3, 16-19 and of slots 4-7, 20-23 of the half.
    let (a, b) = unsafe {
        (vld2q_s16(quads[2 * half].as_ptr().cast()), vld2q_s16(quads[2 * half + 1].as_ptr().cast()))
    };
    [in_order(a.0, b.0), in_order(a.1, b.1)]
}

/// Slots 0-7 and 16-23 of a half.
#[inline]
#[target_feature(enable = "neon")]
fn in_order(a: int16x8_t, b: int16x8_t) -> Words {
    let (a, b) = (vreinterpretq_s64_s16(a), vreinterpretq_s64_s16(b));
    [opaque(vreinterpretq_s16_s64(vzip1q_s64(a, b))), opaque(vreinterpretq_s16_s64(vzip2q_s64(a, b)))]
}

/// The values of a half, less the zero point: the subtraction widens them.
///
/// # Safety
/// 24 readable bytes.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn load(bytes: *const u8, zero_point: uint8x8_t) -> Words {
    // SAFETY: eight bytes each, of 24.
    let (low, high) = unsafe { (vld1_u8(bytes), vld1_u8(bytes.add(16))) };
    let (low, high) = (vsubl_u8(low, zero_point), vsubl_u8(high, zero_point));
    [opaque(vreinterpretq_s16_u16(low)), opaque(vreinterpretq_s16_u16(high))]
}

/// Hides from the compiler how the words came about. It would make their upper half once more for `smlal`, instead of
/// taking `smlal2`.
#[inline]
#[target_feature(enable = "neon")]
fn opaque(words: int16x8_t) -> int16x8_t {
    let mut same = words;
    // SAFETY: no instruction.
    unsafe {
        core::arch::asm!("/* {0:v} */", inout(vreg) same, options(pure, nomem, nostack, preserves_flags));
    }
    same
}

#[inline]
#[target_feature(enable = "neon")]
fn add_products(acc: &mut Half, values: Words, weights: Words) {
    acc[0] = vmlal_s16(acc[0], vget_low_s16(values[0]), vget_low_s16(weights[0]));
    acc[1] = vmlal_high_s16(acc[1], values[0], weights[0]);
    acc[2] = vmlal_s16(acc[2], vget_low_s16(values[1]), vget_low_s16(weights[1]));
    acc[3] = vmlal_high_s16(acc[3], values[1], weights[1]);
}

/// Copies what `gather` names.
#[target_feature(enable = "neon")]
fn copy(gather: &Gather, source: &[u8], flip: u8, target: &mut [u8]) {
    let flip = vdupq_n_u8(flip);
    assert!(reach([gather.rows, gather.pixels], [gather.row, gather.pitch]) <= source.len());
    assert!(reach([gather.rows, gather.pixels], [gather.target_row, BLOCK]) <= target.len());
    for row in 0..gather.rows {
        // SAFETY: the last pixel of the last row ends inside both slices by the assertions.
        unsafe {
            let mut from = source.as_ptr().add(row * gather.row);
            let mut to = target.as_mut_ptr().add(row * gather.target_row);
            for _ in 0..gather.pixels {
                vst1q_u8(to, veorq_u8(vld1q_u8(from), flip));
                vst1q_u8(to.add(16), veorq_u8(vld1q_u8(from.add(16)), flip));
                from = from.wrapping_add(gather.pitch);
                to = to.wrapping_add(BLOCK);
            }
        }
    }
}
