//! Weights of a block of channels as bytes.

use core::arch::x86_64::*;

use super::{Halves, ROWS};
use crate::pack::depthwise::PAIR_BYTES;

/// Weights of one column and four rows to a lane: `bytes[term][row / 4][column]`. Of a window of three rows the second group is
/// the first, one row lower.
#[derive(Debug)]
pub(super) struct Weights {
    pub(super) bytes: [[[Halves; 5]; 2]; 2],
    /// Whether the second term is not 0.
    pub(super) two: bool,
}

impl Weights {
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn zero() -> Weights {
        Weights { bytes: [[[[_mm512_setzero_si512(); 2]; 5]; 2]; 2], two: false }
    }

    /// From the packed weights of a block; false where two signed bytes do not make one of them.
    #[target_feature(enable = "avx512bw")]
    pub(super) fn fill(&mut self, [height, width]: [usize; 2], packed: &[u8]) -> bool {
        let (lowest, highest) = (_mm512_set1_epi16(-128), _mm512_set1_epi16(127));
        let clamped = |words| _mm512_min_epi16(_mm512_max_epi16(words, lowest), highest);
        for tap in 0..height * width {
            let pair = &packed[tap / 2 * PAIR_BYTES..][..PAIR_BYTES];
            for (half, words) in pair.as_chunks::<64>().0.iter().enumerate() {
                // SAFETY: 64 readable bytes.
                let words = unsafe { _mm512_loadu_si512(words.as_ptr().cast()) };
                let first = clamped(words);
                let rest = _mm512_sub_epi16(words, first);
                if _mm512_cmpneq_epi16_mask(clamped(rest), rest) != 0 {
                    return false;
                }
                self.two |= _mm512_test_epi16_mask(rest, rest) != 0;
                // The word of this tap, its low byte at the place of its row.
                let (row, column) = (tap / width, tap % width);
                let from = _mm_cvtsi32_si128(16 * (tap % 2) as i32);
                let to = _mm_cvtsi32_si128(8 * (row % ROWS) as i32);
                for (term, words) in [first, rest].into_iter().enumerate() {
                    let byte = _mm512_and_si512(_mm512_srl_epi32(words, from), _mm512_set1_epi32(255));
                    let lanes = &mut self.bytes[term][row / ROWS][column][half];
                    *lanes = _mm512_or_si512(*lanes, _mm512_sll_epi32(byte, to));
                }
            }
        }
        if height < ROWS {
            for [upper, lower] in &mut self.bytes {
                for (upper, lower) in upper.iter().zip(lower) {
                    *lower = [_mm512_slli_epi32::<8>(upper[0]), _mm512_slli_epi32::<8>(upper[1])];
                }
            }
        }
        true
    }
}
