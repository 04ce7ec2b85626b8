//! 256-entry tables, 32 values at a time: `vpshufb` looks the low four bits of a value up in all 16 rows of 16
//! entries, and the four high bits choose among the answers, one bit after the other.

use core::arch::x86_64::*;

use super::bytes::{load, store};

/// See [`crate::registry::TableFn`].
#[target_feature(enable = "avx2")]
pub(crate) fn table(table: &[u8; 256], input: Option<&[u8]>, output: &mut [u8]) {
    let mut rows = [_mm256_setzero_si256(); 16];
    for (row, entries) in rows.iter_mut().zip(table.as_chunks::<16>().0) {
        // SAFETY: 16 readable bytes.
        *row = _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(entries.as_ptr().cast()) });
    }
    let count = output.len();
    let (vectors, rest) = output.as_chunks_mut::<32>();
    let input_vectors = input.map(|input| input[..count].as_chunks::<32>().0);
    for (i, out) in vectors.iter_mut().enumerate() {
        let x = load(input_vectors.map_or(out, |input| &input[i]));
        store(out, look_up(&rows, x));
    }
    for (i, out) in rest.iter_mut().enumerate() {
        let x = input.map_or(*out, |input| input[vectors.len() * 32 + i]);
        *out = table[usize::from(x)];
    }
}

/// The entries of 32 values.
#[inline]
#[target_feature(enable = "avx2")]
fn look_up(rows: &[__m256i; 16], x: __m256i) -> __m256i {
    let low = _mm256_and_si256(x, _mm256_set1_epi8(15));
    // `vpblendvb` reads the highest bit of each byte; shifting words moves bits 4, 5 and 6 there.
    let (bit4, bit5) = (_mm256_slli_epi16::<3>(x), _mm256_slli_epi16::<2>(x));
    let (bit6, bit7) = (_mm256_slli_epi16::<1>(x), x);
    let mut answers = [low; 8];
    for (i, answer) in answers.iter_mut().enumerate() {
        let (even, odd) = (_mm256_shuffle_epi8(rows[2 * i], low), _mm256_shuffle_epi8(rows[2 * i + 1], low));
        *answer = _mm256_blendv_epi8(even, odd, bit4);
    }
    for (bit, width) in [(bit5, 4), (bit6, 2), (bit7, 1)] {
        for i in 0..width {
            answers[i] = _mm256_blendv_epi8(answers[2 * i], answers[2 * i + 1], bit);
        }
    }
    answers[0]
}
