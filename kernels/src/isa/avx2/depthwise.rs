//! Depthwise convolution of 32 channels at a time.
//!
//! Bytes of two taps are interleaved, then widened by interleaving with zero; `vpmaddwd` with a packed pair of
//! weights sums both taps. Sums wrap as the accumulator does.

use core::arch::x86_64::*;
use core::ops::Range;

use crate::pack::depthwise::{BLOCK, PAIR_BYTES, first_channel, position};
use crate::params::Conv;
use crate::requant::Rounding;
use crate::types::ElemType;

/// Most taps of a window.
pub(crate) const MAX_TAPS: usize = 256;

/// Values of a block's 32 slots as four vectors: quad `q` holds slots `4q..4q+4` and `16+4q..16+4q+4`.
type Quads = [[i32; 8]; 4];

/// The end of the operation for one block of channels, laid out as the vectors that meet it.
#[derive(Debug)]
#[repr(C, align(32))]
pub(crate) struct Epilogue {
    /// Bias less zero point times the sum of weights; twice that for two roundings.
    bias: Quads,
    multiplier: Quads,
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
    zero_point: i16,
    /// The clamps as u8; s8 values plus 128.
    lo: u8,
    hi: u8,
    /// 0x80 for s8: back from u8.
    flip: u8,
}

impl Epilogue {
    /// Of block `block` of `p` with its packed weights `weights`.
    pub(crate) fn new(p: &Conv, block: usize, weights: &[u8]) -> Epilogue {
        let offset = if p.output.elem == ElemType::S8 { 128 } else { 0 };
        let zero = [[0; 8]; 4];
        let mut epilogue = Epilogue {
            bias: zero,
            multiplier: zero,
            round: zero,
            right: zero,
            left: zero,
            limit: zero,
            second: zero,
            mixed: false,
            zero_point: (p.output.zero_point + offset) as i16,
            lo: (p.output.lo + offset) as u8,
            hi: (p.output.hi + offset) as u8,
            flip: offset as u8,
        };
        let first = first_channel(p.out_channels, block);
        for slot in 0..BLOCK {
            epilogue.set(p, (first + slot) % p.out_channels, position(slot), weights);
        }
        epilogue
    }

    /// Sets the lane at `position` for `channel`.
    fn set(&mut self, p: &Conv, channel: usize, position: usize, weights: &[u8]) {
        let (quad, lane) = (position / 8, position % 8);
        let pairs =
            weights.chunks_exact(PAIR_BYTES).flat_map(|pair| pair[4 * position..][..4].chunks_exact(2));
        let sum: i32 = pairs.map(|w| i32::from(i16::from_le_bytes([w[0], w[1]]))).sum();
        // The source holds s8 values plus 128.
        let input_zero = p.input.zero_point + if p.input.elem == ElemType::S8 { 128 } else { 0 };
        let bias = p.bias[channel].wrapping_sub(sum.wrapping_mul(input_zero));
        let shift = p.shifts[channel];
        // The high half of the product is floor(P / 2^32) for one rounding, floor((2P + 2^31) / 2^32) for two.
        let (doubled, taken, least) = match p.rounding {
            Rounding::Once => (0, 32, 33),
            Rounding::Twice => (1, 31, 31),
        };
        let left = (least - shift).max(0);
        let right = shift + left - taken;
        self.bias[quad][lane] = bias.wrapping_shl(doubled);
        self.multiplier[quad][lane] = p.multipliers[channel];
        self.left[quad][lane] = left;
        self.limit[quad][lane] = i32::MAX >> left;
        self.right[quad][lane] = right;
        self.round[quad][lane] = if right > 0 { 1 << (right - 1) } else { 0 };
        self.second[quad][lane] = if right > 0 { -1 } else { 0 };
        self.mixed |= left > 0 || right == 0;
    }
}

/// One block of channels of a run of outputs.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    /// u8 values.
    pub(crate) source: &'a [u8],
    /// Where each tap of output 0 lies in `source`, as many as the weights have.
    pub(crate) taps: &'a [usize],
    /// Distance between the inputs of two outputs.
    pub(crate) step: usize,
    /// Packed weights of the block.
    pub(crate) weights: &'a [u8],
    /// Distance between two outputs.
    pub(crate) output_step: usize,
    /// Rounding.
    pub(crate) rounding: Rounding,
}

impl Run<'_> {
    /// Computes the outputs `range`. Output `range.start + i` is the 32 bytes from `i * output_step`, written in
    /// order of `i`.
    ///
    /// # Panics
    /// When a slice is too short.
    #[target_feature(enable = "avx2")]
    pub(crate) fn compute(&self, range: Range<usize>, epilogue: &Epilogue, output: &mut [u8]) {
        if range.is_empty() {
            return;
        }
        let last = range.end - 1;
        assert!(self.taps.len() * PAIR_BYTES == 2 * self.weights.len());
        assert!(self.taps.iter().all(|tap| tap + last * self.step + BLOCK <= self.source.len()));
        assert!((last - range.start) * self.output_step + BLOCK <= output.len());
        // SAFETY: the three assertions are the contract of `sized`.
        unsafe {
            match (self.rounding, epilogue.mixed) {
                (Rounding::Once, false) => self.sized::<false, false>(range, epilogue, output),
                (Rounding::Once, true) => self.sized::<false, true>(range, epilogue, output),
                (Rounding::Twice, false) => self.sized::<true, false>(range, epilogue, output),
                (Rounding::Twice, true) => self.sized::<true, true>(range, epilogue, output),
            }
        }
    }

    /// # Safety
    /// `taps` has two entries for each pair of the weights. For every output the source holds [`BLOCK`] bytes from
    /// each tap, the output [`BLOCK`] bytes from its place.
    #[target_feature(enable = "avx2")]
    unsafe fn sized<const TWICE: bool, const MIXED: bool>(
        &self,
        range: Range<usize>,
        epilogue: &Epilogue,
        output: &mut [u8],
    ) {
        // SAFETY: the caller's contract.
        unsafe {
            match self.taps.len() {
                10 => self.run::<TWICE, MIXED, 5>(range, epilogue, output),
                26 => self.run::<TWICE, MIXED, 13>(range, epilogue, output),
                _ => self.run::<TWICE, MIXED, 0>(range, epilogue, output),
            }
        }
    }

    /// `PAIRS` is half the number of taps, or 0 when that is not known to the compiler.
    ///
    /// # Safety
    /// As [`Run::sized`].
    #[target_feature(enable = "avx2")]
    unsafe fn run<const TWICE: bool, const MIXED: bool, const PAIRS: usize>(
        &self,
        range: Range<usize>,
        epilogue: &Epilogue,
        output: &mut [u8],
    ) {
        let pairs = if PAIRS == 0 { self.taps.len() / 2 } else { PAIRS };
        // SAFETY: offsets inside the slices by the contract.
        unsafe {
            let mut source = self.source.as_ptr().add(range.start * self.step);
            let mut output = output.as_mut_ptr();
            for _ in range {
                let sums = sums(source, self.taps.as_ptr(), self.weights.as_ptr(), pairs);
                let bytes = epilogue.requantize::<TWICE, MIXED>(sums);
                _mm256_storeu_si256(output.cast(), bytes);
                source = source.wrapping_add(self.step);
                output = output.wrapping_add(self.output_step);
            }
        }
    }
}

/// Sums of products of one output.
///
/// # Safety
/// `taps` has `2 * pairs` entries with [`BLOCK`] bytes beyond each from `source`, `weights` [`PAIR_BYTES`] a pair.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn sums(source: *const u8, taps: *const usize, weights: *const u8, pairs: usize) -> [__m256i; 4] {
    let zero = _mm256_setzero_si256();
    let mut acc = [zero; 4];
    for pair in 0..pairs {
        // SAFETY: the caller's contract.
        unsafe {
            let a = _mm256_loadu_si256(source.add(*taps.add(2 * pair)).cast());
            let b = _mm256_loadu_si256(source.add(*taps.add(2 * pair + 1)).cast());
            let weights: *const __m256i = weights.add(pair * PAIR_BYTES).cast();
            let (low, high) = (_mm256_unpacklo_epi8(a, b), _mm256_unpackhi_epi8(a, b));
            let words = [
                _mm256_unpacklo_epi8(low, zero),
                _mm256_unpackhi_epi8(low, zero),
                _mm256_unpacklo_epi8(high, zero),
                _mm256_unpackhi_epi8(high, zero),
            ];
            for q in 0..4 {
                let products = _mm256_madd_epi16(words[q], _mm256_loadu_si256(weights.add(q)));
                acc[q] = _mm256_add_epi32(acc[q], products);
            }
        }
    }
    acc
}

/// Copies the 32 bytes at every multiple of `pitch` in `source` one behind the other, each byte exclusive-or
/// `flip`.
///
/// # Panics
/// When `source` holds fewer than `target` has room for.
#[target_feature(enable = "avx2")]
pub(crate) fn gather(source: &[u8], pitch: usize, flip: u8, target: &mut [u8]) {
    let flip = _mm256_set1_epi8(flip as i8);
    let count = target.len() / BLOCK;
    assert!(count == 0 || (count - 1) * pitch + BLOCK <= source.len());
    for i in 0..count {
        // SAFETY: pixel `i` ends inside the source by the assertion and inside the target by its count.
        unsafe {
            let bytes = _mm256_loadu_si256(source.as_ptr().add(i * pitch).cast());
            _mm256_storeu_si256(target.as_mut_ptr().add(i * BLOCK).cast(), _mm256_xor_si256(bytes, flip));
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
        let zero_point = _mm256_set1_epi16(self.zero_point);
        let low = _mm256_adds_epi16(_mm256_packs_epi32(r0, r1), zero_point);
        let high = _mm256_adds_epi16(_mm256_packs_epi32(r2, r3), zero_point);
        let bytes = _mm256_packus_epi16(low, high);
        let bytes = _mm256_max_epu8(bytes, _mm256_set1_epi8(self.lo as i8));
        let bytes = _mm256_min_epu8(bytes, _mm256_set1_epi8(self.hi as i8));
        _mm256_xor_si256(bytes, _mm256_set1_epi8(self.flip as i8))
    }

    /// Bias and rescaling of quad `q`.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn rescale<const TWICE: bool, const MIXED: bool>(&self, sum: __m256i, q: usize) -> __m256i {
        // For two roundings twice the accumulator.
        let sum = if TWICE { _mm256_add_epi32(sum, sum) } else { sum };
        let mut acc = _mm256_add_epi32(sum, load(&self.bias[q]));
        if MIXED {
            let limit = load(&self.limit[q]);
            let lowest = _mm256_xor_si256(limit, _mm256_set1_epi32(-1));
            acc = _mm256_max_epi32(_mm256_min_epi32(acc, limit), lowest);
            acc = _mm256_sllv_epi32(acc, load(&self.left[q]));
        }
        let multiplier = load(&self.multiplier[q]);
        let mut even = _mm256_mul_epi32(acc, multiplier);
        let mut odd = _mm256_mul_epi32(_mm256_srli_epi64::<32>(acc), _mm256_srli_epi64::<32>(multiplier));
        if TWICE {
            let half = _mm256_set1_epi64x(1 << 31);
            even = _mm256_add_epi64(even, half);
            odd = _mm256_add_epi64(odd, half);
        }
        let high = _mm256_blend_epi32::<0b1010_1010>(_mm256_srli_epi64::<32>(even), odd);
        let mut rounded = _mm256_add_epi32(high, load(&self.round[q]));
        if TWICE {
            // Ties away from zero: a negative value rounds up only from beyond the tie.
            let mut negative = _mm256_srai_epi32::<31>(high);
            if MIXED {
                negative = _mm256_and_si256(negative, load(&self.second[q]));
            }
            rounded = _mm256_add_epi32(rounded, negative);
        }
        _mm256_srav_epi32(rounded, load(&self.right[q]))
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(lanes: &[i32; 8]) -> __m256i {
    // SAFETY: 32 readable bytes.
    unsafe { _mm256_loadu_si256(lanes.as_ptr().cast()) }
}
