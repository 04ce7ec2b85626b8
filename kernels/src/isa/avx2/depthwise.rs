//! Depthwise convolution of 32 channels at a time.
//!
//! Bytes of two taps are interleaved, then widened by interleaving with zero; `vpmaddwd` with a packed pair of
//! weights sums both taps. u8 values widen to themselves, s8 values to 256 times themselves (the byte on top of the
//! zero): sums of up to 256 taps fit 32 bits either way.

use core::arch::x86_64::*;

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
        let bias = p.bias[channel].wrapping_sub(sum.wrapping_mul(p.input.zero_point));
        let shift = p.shifts[channel];
        // The high half of the product is floor(P / 2^32) for one rounding, floor((2P + 2^31) / 2^32) for two.
        let (doubled, taken, least) = match p.rounding {
            // The row declines `OnceAway`.
            Rounding::Once | Rounding::OnceAway => (0, 32, 33),
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
    /// Where each tap of the first output lies, as many as the weights have; an output further on reads `step`
    /// bytes further on.
    pub(crate) taps: &'a [&'a [u8]],
    /// Distance between the inputs of two outputs.
    pub(crate) step: usize,
    /// Packed weights of the block.
    pub(crate) weights: &'a [u8],
    /// Distance between two outputs.
    pub(crate) output_step: usize,
    /// Whether the input is s8.
    pub(crate) signed: bool,
    /// Rounding.
    pub(crate) rounding: Rounding,
}

impl Run<'_> {
    /// Computes `count` outputs. Output `i` is the 32 bytes from `i * output_step`, written in order of `i`.
    ///
    /// # Panics
    /// When a slice is too short.
    #[target_feature(enable = "avx2")]
    pub(crate) fn compute(&self, count: usize, epilogue: &Epilogue, output: &mut [u8]) {
        let Some(last) = count.checked_sub(1) else { return };
        let pairs = self.weights.len() / PAIR_BYTES;
        assert!(self.taps.len() == 2 * pairs && pairs > 0);
        assert!(self.taps.iter().all(|tap| tap.len() >= last * self.step + BLOCK));
        assert!(output.len() >= last * self.output_step + BLOCK);
        // SAFETY: the three assertions are the contract of `run`.
        unsafe {
            match (self.signed, self.rounding, epilogue.mixed) {
                (false, Rounding::Once | Rounding::OnceAway, false) => {
                    self.sized::<false, false, false>(count, epilogue, output)
                }
                (false, Rounding::Once | Rounding::OnceAway, true) => {
                    self.sized::<false, false, true>(count, epilogue, output)
                }
                (false, Rounding::Twice, false) => self.sized::<false, true, false>(count, epilogue, output),
                (false, Rounding::Twice, true) => self.sized::<false, true, true>(count, epilogue, output),
                (true, Rounding::Once | Rounding::OnceAway, false) => {
                    self.sized::<true, false, false>(count, epilogue, output)
                }
                (true, Rounding::Once | Rounding::OnceAway, true) => {
                    self.sized::<true, false, true>(count, epilogue, output)
                }
                (true, Rounding::Twice, false) => self.sized::<true, true, false>(count, epilogue, output),
                (true, Rounding::Twice, true) => self.sized::<true, true, true>(count, epilogue, output),
            }
        }
    }

    /// # Safety
    /// As [`Run::run`].
    #[target_feature(enable = "avx2")]
    unsafe fn sized<const SIGNED: bool, const TWICE: bool, const MIXED: bool>(
        &self,
        count: usize,
        epilogue: &Epilogue,
        output: &mut [u8],
    ) {
        // SAFETY: the caller's contract.
        unsafe {
            match self.taps.len() {
                10 => self.run::<SIGNED, TWICE, MIXED, 5>(count, epilogue, output),
                26 => self.run::<SIGNED, TWICE, MIXED, 13>(count, epilogue, output),
                _ => self.run::<SIGNED, TWICE, MIXED, 0>(count, epilogue, output),
            }
        }
    }

    /// `PAIRS` is half the number of taps, or 0 when that is not known to the compiler.
    ///
    /// # Safety
    /// `taps` has two entries for each pair of the weights; every tap holds [`BLOCK`] bytes beyond
    /// `(count - 1) * step`, the output beyond `(count - 1) * output_step`.
    #[target_feature(enable = "avx2")]
    unsafe fn run<const SIGNED: bool, const TWICE: bool, const MIXED: bool, const PAIRS: usize>(
        &self,
        count: usize,
        epilogue: &Epilogue,
        output: &mut [u8],
    ) {
        let pairs = if PAIRS == 0 { self.taps.len() / 2 } else { PAIRS };
        let taps = self.taps.as_ptr();
        let weights = self.weights.as_ptr();
        let mut i = 0;
        while i + 2 <= count {
            let at = [i * self.step, (i + 1) * self.step];
            let sums = unsafe { sums::<SIGNED, 2>(taps, at, weights, pairs) };
            for (n, sums) in sums.into_iter().enumerate() {
                let bytes = epilogue.requantize::<SIGNED, TWICE, MIXED>(sums);
                unsafe {
                    _mm256_storeu_si256(output.as_mut_ptr().add((i + n) * self.output_step).cast(), bytes)
                };
            }
            i += 2;
        }
        if i < count {
            let [sums] = unsafe { sums::<SIGNED, 1>(taps, [i * self.step], weights, pairs) };
            let bytes = epilogue.requantize::<SIGNED, TWICE, MIXED>(sums);
            unsafe { _mm256_storeu_si256(output.as_mut_ptr().add(i * self.output_step).cast(), bytes) };
        }
    }
}

/// Sums of products of `N` outputs, `at` their distances from the taps; 256 times the sums when `SIGNED`.
///
/// # Safety
/// `taps` has `2 * pairs` entries with [`BLOCK`] bytes beyond each of `at`, `weights` [`PAIR_BYTES`] a pair.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn sums<const SIGNED: bool, const N: usize>(
    taps: *const &[u8],
    at: [usize; N],
    weights: *const u8,
    pairs: usize,
) -> [[__m256i; 4]; N] {
    let zero = _mm256_setzero_si256();
    let mut acc = [[zero; 4]; N];
    for pair in 0..pairs {
        unsafe {
            let (first, second) = ((*taps.add(2 * pair)).as_ptr(), (*taps.add(2 * pair + 1)).as_ptr());
            let weights: *const __m256i = weights.add(pair * PAIR_BYTES).cast();
            for n in 0..N {
                let a = _mm256_loadu_si256(first.add(at[n]).cast());
                let b = _mm256_loadu_si256(second.add(at[n]).cast());
                let bytes = [_mm256_unpacklo_epi8(a, b), _mm256_unpackhi_epi8(a, b)];
                for q in 0..4 {
                    let (low, high) = if SIGNED { (zero, bytes[q / 2]) } else { (bytes[q / 2], zero) };
                    let words = if q % 2 == 0 {
                        _mm256_unpacklo_epi8(low, high)
                    } else {
                        _mm256_unpackhi_epi8(low, high)
                    };
                    let products = _mm256_madd_epi16(words, _mm256_loadu_si256(weights.add(q)));
                    acc[n][q] = _mm256_add_epi32(acc[n][q], products);
                }
            }
        }
    }
    acc
}

impl Epilogue {
    /// Bias, rescaling, zero point, clamp: the 32 output bytes in slot order.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn requantize<const SIGNED: bool, const TWICE: bool, const MIXED: bool>(
        &self,
        sums: [__m256i; 4],
    ) -> __m256i {
        let r = [0, 1, 2, 3].map(|q| {
            let sum = match (SIGNED, TWICE) {
                (false, false) => sums[q],
                (false, true) => _mm256_add_epi32(sums[q], sums[q]),
                (true, false) => _mm256_srai_epi32::<8>(sums[q]),
                (true, true) => _mm256_srai_epi32::<7>(sums[q]),
            };
            self.rescale::<TWICE, MIXED>(_mm256_add_epi32(sum, load(&self.bias[q])), q)
        });
        let zero_point = _mm256_set1_epi16(self.zero_point);
        let low = _mm256_adds_epi16(_mm256_packs_epi32(r[0], r[1]), zero_point);
        let high = _mm256_adds_epi16(_mm256_packs_epi32(r[2], r[3]), zero_point);
        let bytes = _mm256_packus_epi16(low, high);
        let bytes = _mm256_max_epu8(bytes, _mm256_set1_epi8(self.lo as i8));
        let bytes = _mm256_min_epu8(bytes, _mm256_set1_epi8(self.hi as i8));
        _mm256_xor_si256(bytes, _mm256_set1_epi8(self.flip as i8))
    }

    /// Eight rescaled accumulators; for two roundings `acc` is twice the accumulator.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn rescale<const TWICE: bool, const MIXED: bool>(&self, mut acc: __m256i, q: usize) -> __m256i {
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
