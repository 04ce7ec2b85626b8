//! Depthwise convolution of 32 channels at a time.
//!
//! Bytes of two taps are interleaved, then widened by interleaving with zero; `vpmaddwd` with a packed pair of
//! weights sums both taps. Sums wrap as the accumulator does.

use core::arch::x86_64::*;
use core::ops::Range;

use super::Avx2;
use super::bytes::{self, Finish, Quads, offset, products};
use crate::ops::depthwise::tiles::{self, DepthwiseIsa, Gather, Run, reach};
use crate::pack::depthwise::{BLOCK, PAIR_BYTES, first_channel};
use crate::params::Conv;
use crate::requant::Rounding;

/// See [`crate::registry::ConvFn`].
#[target_feature(enable = "avx2")]
pub(crate) fn depthwise(
    p: &Conv,
    packed: &[u8],
    input: &[u8],
    rows: Range<usize>,
    output: &mut [u8],
    scratch: &mut [u8],
) {
    // SAFETY: the target feature of this function.
    let isa = unsafe { Avx2::new() };
    tiles::depthwise(isa, p, packed, input, rows, output, scratch);
}

impl DepthwiseIsa for Avx2 {
    type Epilogue = Epilogue;

    #[inline(always)]
    fn epilogue(self, p: &Conv, block: usize, weights: &[u8]) -> Epilogue {
        // SAFETY: the token proves AVX2.
        unsafe { Epilogue::new(p, block, weights) }
    }

    #[inline(always)]
    fn gather(self, gather: &Gather, source: &[u8], flip: u8, target: &mut [u8]) {
        // SAFETY: the token proves AVX2.
        unsafe { gather.copy(source, flip, target) }
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
        // SAFETY: the token proves AVX2.
        unsafe { run.compute(rows, columns, epilogue, output) }
    }
}

/// The end of the operation for one block of channels, laid out as the vectors that meet it.
#[derive(Debug)]
pub(crate) struct Epilogue {
    /// Bias less zero point times the sum of weights; twice that for two roundings.
    bias: Quads,
    multiplier: Quads,
    /// The odd lanes of the multiplier, in the even ones.
    multiplier_odd: Quads,
    /// `2^(right - 1)`, 0 without a right shift.
    round: Quads,
    /// Right shift of the high half of the product.
    right: Quads,
    /// Left shift that brings a shift below the least one up to it, and the largest accumulator that it keeps.
    left: Quads,
    limit: Quads,
    /// All ones where a second rounding takes place.
    second: Quads,
    /// `left` or `second` is not the same in every lane.
    mixed: bool,
    finish: Finish,
}

impl Epilogue {
    /// Of block `block` of `p` with its packed weights `weights`, for a source of u8 values (s8 plus 128).
    #[target_feature(enable = "avx2")]
    pub(crate) fn new(p: &Conv, block: usize, weights: &[u8]) -> Epilogue {
        let zero = [_mm256_setzero_si256(); 4];
        let mut epilogue = Epilogue {
            bias: quads(p, block, p.bias),
            multiplier: quads(p, block, p.multipliers),
            multiplier_odd: zero,
            round: zero,
            right: zero,
            left: zero,
            limit: zero,
            second: zero,
            mixed: false,
            finish: Finish::new(&p.output),
        };
        let shifts = quads(p, block, p.shifts);
        let input_zero = _mm256_set1_epi32(p.input.zero_point + offset(p.input.elem));
        for (q, shift) in shifts.into_iter().enumerate() {
            epilogue.set_shift(q, shift, p.rounding);
            epilogue.multiplier_odd[q] = bytes::odd_lanes(epilogue.multiplier[q]);
            let mut sum = zero[0];
            for pair in weights.as_chunks::<32>().0.as_chunks::<4>().0 {
                sum = _mm256_add_epi32(sum, _mm256_madd_epi16(load(&pair[q]), _mm256_set1_epi16(1)));
            }
            let bias = _mm256_sub_epi32(epilogue.bias[q], _mm256_mullo_epi32(sum, input_zero));
            epilogue.bias[q] = match p.rounding {
                // The row declines `OnceAway`.
                Rounding::Once | Rounding::OnceAway => bias,
                Rounding::Twice => _mm256_add_epi32(bias, bias),
            };
        }
        epilogue
    }

    /// Whether a lane needs a shift to the left, or has no second rounding.
    pub(crate) fn is_mixed(&self) -> bool {
        self.mixed
    }

    /// Bias, multiplier, its odd lanes, what is added before the right shift, and that shift.
    pub(crate) fn factors(&self) -> [&Quads; 5] {
        [&self.bias, &self.multiplier, &self.multiplier_odd, &self.round, &self.right]
    }

    /// What follows from the shifts of quad `q`.
    #[target_feature(enable = "avx2")]
    fn set_shift(&mut self, q: usize, shift: __m256i, rounding: Rounding) {
        // The high half of the product is floor(P / 2^32) for one rounding, floor((2P + 2^31) / 2^32) for two.
        let (taken, least) = match rounding {
            Rounding::Once | Rounding::OnceAway => (32, 33),
            Rounding::Twice => (31, 31),
        };
        let zero = _mm256_setzero_si256();
        let left = _mm256_max_epi32(_mm256_sub_epi32(_mm256_set1_epi32(least), shift), zero);
        let right = _mm256_sub_epi32(_mm256_add_epi32(shift, left), _mm256_set1_epi32(taken));
        let second = _mm256_cmpgt_epi32(right, zero);
        self.left[q] = left;
        self.limit[q] = _mm256_srlv_epi32(_mm256_set1_epi32(i32::MAX), left);
        self.right[q] = right;
        // A count of -1 is past the width of a lane and leaves 0.
        self.round[q] =
            _mm256_sllv_epi32(_mm256_set1_epi32(1), _mm256_sub_epi32(right, _mm256_set1_epi32(1)));
        self.second[q] = second;
        self.mixed |= _mm256_testz_si256(left, left) == 0 || _mm256_movemask_epi8(second) != -1;
    }
}

/// The values of the channels of block `block`, in the order of the quads.
#[target_feature(enable = "avx2")]
fn quads(p: &Conv, block: usize, values: &[i32]) -> Quads {
    if p.out_channels < BLOCK {
        return in_quads(&core::array::from_fn(|slot| values[slot % p.out_channels]));
    }
    let first = first_channel(p.out_channels, block);
    in_quads(&core::array::from_fn(|slot| values[first + slot]))
}

/// The values of 32 slots, in the order of the quads.
#[inline]
#[target_feature(enable = "avx2")]
fn in_quads(slots: &[i32; BLOCK]) -> Quads {
    let mut quads = [_mm256_setzero_si256(); 4];
    for (q, quad) in quads.iter_mut().enumerate() {
        // SAFETY: four slots from 4q and from 16 + 4q, all below 32.
        *quad = unsafe {
            _mm256_loadu2_m128i(slots[16 + 4 * q..].as_ptr().cast(), slots[4 * q..].as_ptr().cast())
        };
    }
    quads
}

impl Run<'_> {
    /// Computes the outputs `columns` of `rows`, 32 bytes each, in ascending order; `output` begins with the first.
    ///
    /// # Panics
    /// When a slice is too short.
    #[target_feature(enable = "avx2")]
    pub(crate) fn compute(
        &self,
        rows: Range<usize>,
        columns: Range<usize>,
        epilogue: &Epilogue,
        output: &mut [u8],
    ) {
        if rows.is_empty() || columns.is_empty() {
            return;
        }
        let [last, last_output] = [
            reach([rows.end, columns.end], [self.row, self.step]),
            reach([rows.len(), columns.len()], [self.output_row, self.output_step]),
        ];
        assert!(self.taps.len() * PAIR_BYTES == 2 * self.weights.len());
        assert!(self.taps.iter().all(|tap| tap.saturating_add(last) <= self.source.len()));
        assert!(last_output <= output.len());
        // SAFETY: the three assertions are the contract of `run`: the last output of the last row reaches furthest.
        unsafe {
            match (self.rounding == Rounding::Twice, epilogue.mixed) {
                (false, false) => self.run::<false, false>(rows, columns, epilogue, output),
                (false, true) => self.run::<false, true>(rows, columns, epilogue, output),
                (true, false) => self.run::<true, false>(rows, columns, epilogue, output),
                (true, true) => self.run::<true, true>(rows, columns, epilogue, output),
            }
        }
    }

    /// # Safety
    /// `taps` has two entries for each pair of the weights. For every output the source holds [`BLOCK`] bytes from
    /// each tap, the output [`BLOCK`] bytes from its place.
    #[target_feature(enable = "avx2")]
    unsafe fn run<const TWICE: bool, const MIXED: bool>(
        &self,
        rows: Range<usize>,
        columns: Range<usize>,
        epilogue: &Epilogue,
        output: &mut [u8],
    ) {
        let (taps, weights, pairs) = (self.taps.as_ptr(), self.weights.as_ptr(), self.taps.len() / 2);
        for (i, row) in rows.enumerate() {
            // SAFETY: `source` and `output` are at most the last output's places, from which the contract gives a
            // block of bytes; behind the last column they are not read. The `asm!` is empty.
            unsafe {
                let mut source = self.source.as_ptr().add(row * self.row + columns.start * self.step);
                let mut output = output.as_mut_ptr().add(i * self.output_row);
                for _ in columns.clone() {
                    // The count known to the compiler for the commonest window; one call each, so that all is
                    // inlined.
                    let sums = match pairs {
                        5 => sums::<5>(source, taps, weights, pairs),
                        _ => sums::<0>(source, taps, weights, pairs),
                    };
                    let mut here: *const Epilogue = epilogue;
                    // Hides from the compiler that it is the same every time: it would copy all of it to where
                    // vectors straddle cache lines.
                    core::arch::asm!("/* {0} */", inout(reg) here, options(readonly, nostack, preserves_flags));
                    let bytes = (*here).requantize::<TWICE, MIXED>(sums);
                    _mm256_storeu_si256(output.cast(), bytes);
                    source = source.wrapping_add(self.step);
                    output = output.wrapping_add(self.output_step);
                }
            }
        }
    }
}

/// Sums of products of one output. `PAIRS` is `pairs`, or 0 when that is not known to the compiler.
///
/// # Safety
/// `taps` has `2 * pairs` entries with [`BLOCK`] bytes beyond each from `source`, `weights` [`PAIR_BYTES`] a pair; `PAIRS`
/// is 0 or `pairs`.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn sums<const PAIRS: usize>(
    source: *const u8,
    taps: *const usize,
    weights: *const u8,
    pairs: usize,
) -> [__m256i; 4] {
    let zero = _mm256_setzero_si256();
    let mut acc = [zero; 4];
    for pair in 0..if PAIRS == 0 { pairs } else { PAIRS } {
        // SAFETY: `pair < pairs`, so the caller's contract covers both taps and the weights of the pair.
        unsafe {
            let a = _mm256_loadu_si256(source.add(*taps.add(2 * pair)).cast());
            let b = _mm256_loadu_si256(source.add(*taps.add(2 * pair + 1)).cast());
            let weights: *const __m256i = weights.add(pair * PAIR_BYTES).cast();
            let words = bytes::pairs(a, b);
            for q in 0..4 {
                let products = _mm256_madd_epi16(words[q], _mm256_loadu_si256(weights.add(q)));
                acc[q] = _mm256_add_epi32(acc[q], products);
            }
        }
    }
    acc
}

impl Gather {
    /// Copies the first 32 bytes of every pixel, each byte exclusive-or `flip`.
    ///
    /// # Panics
    /// When a slice is too short.
    #[target_feature(enable = "avx2")]
    pub(crate) fn copy(&self, source: &[u8], flip: u8, target: &mut [u8]) {
        let flip = _mm256_set1_epi8(flip as i8);
        assert!(reach([self.rows, self.pixels], [self.row, self.pitch]) <= source.len());
        assert!(reach([self.rows, self.pixels], [self.target_row, BLOCK]) <= target.len());
        for row in 0..self.rows {
            // SAFETY: the last pixel of the last row ends inside both slices by the assertions.
            unsafe {
                let mut from = source.as_ptr().add(row * self.row);
                let mut to = target.as_mut_ptr().add(row * self.target_row);
                for _ in 0..self.pixels {
                    let bytes = _mm256_loadu_si256(from.cast());
                    _mm256_storeu_si256(to.cast(), _mm256_xor_si256(bytes, flip));
                    from = from.wrapping_add(self.pitch);
                    to = to.wrapping_add(BLOCK);
                }
            }
        }
    }
}

impl Epilogue {
    /// Bias, rescaling, zero point, clamp: the 32 output bytes in slot order.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn requantize<const TWICE: bool, const MIXED: bool>(&self, sums: [__m256i; 4]) -> __m256i {
        // Written out: a closure does not inherit the target feature.
        let r0 = self.rescale::<TWICE, MIXED>(sums[0], 0);
        let r1 = self.rescale::<TWICE, MIXED>(sums[1], 1);
        let r2 = self.rescale::<TWICE, MIXED>(sums[2], 2);
        let r3 = self.rescale::<TWICE, MIXED>(sums[3], 3);
        self.finish.narrow([r0, r1, r2, r3])
    }

    /// Bias and rescaling of quad `q`.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn rescale<const TWICE: bool, const MIXED: bool>(&self, sum: __m256i, q: usize) -> __m256i {
        // For two roundings twice the accumulator.
        let sum = if TWICE { _mm256_add_epi32(sum, sum) } else { sum };
        let mut acc = _mm256_add_epi32(sum, self.bias[q]);
        if MIXED {
            let limit = self.limit[q];
            let lowest = _mm256_xor_si256(limit, _mm256_set1_epi32(-1));
            acc = _mm256_max_epi32(_mm256_min_epi32(acc, limit), lowest);
            acc = _mm256_sllv_epi32(acc, self.left[q]);
        }
        let (mut even, mut odd) = products(acc, self.multiplier[q], self.multiplier_odd[q]);
        if TWICE {
            let half = _mm256_set1_epi64x(1 << 31);
            even = _mm256_add_epi64(even, half);
            odd = _mm256_add_epi64(odd, half);
        }
        let high = _mm256_blend_epi32::<0b1010_1010>(_mm256_srli_epi64::<32>(even), odd);
        let mut rounded = _mm256_add_epi32(high, self.round[q]);
        if TWICE {
            // Ties away from zero: a negative value rounds up only from beyond the tie.
            let mut negative = _mm256_srai_epi32::<31>(high);
            if MIXED {
                negative = _mm256_and_si256(negative, self.second[q]);
            }
            rounded = _mm256_add_epi32(rounded, negative);
        }
        _mm256_srav_epi32(rounded, self.right[q])
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: 32 readable bytes.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}
