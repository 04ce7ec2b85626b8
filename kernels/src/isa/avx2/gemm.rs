//! The 6x16 micro-kernel: twelve accumulators, one broadcast pair of activations and two vectors of weight pairs.
//!
//! Per pair of depth positions and row, `vpmaddwd` multiplies eight columns' weight pairs by the row's pair and adds
//! the two products in 32 bits: |activation| <= 255 and |weight| <= 128, so no product saturates.

use core::arch::x86_64::*;
use core::ops::Range;

use super::{Avx2, Factors, Narrow, load_8x32};
use crate::ops::gemm::{Activations, Centre, GemmIsa, Tile};
use crate::pack::panels::{COLUMNS, PAIR_BYTES};
use crate::params::Conv;
use crate::requant::Rounding;

/// Rows of a full tile.
const ROWS: usize = 6;

/// The epilogue of one panel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns {
    bias: [__m256i; 2],
    factors: [Factors; 2],
    rounding: Rounding,
    narrow: Narrow,
    /// Channels that exist, 1 to 16.
    width: usize,
}

impl GemmIsa for Avx2 {
    const ROWS: usize = ROWS;
    type Columns = Columns;

    fn columns(self, p: &Conv, channels: Range<usize>) -> Columns {
        // SAFETY: the token proves AVX2.
        unsafe { columns(p, channels) }
    }

    #[inline]
    fn widen(self, source: &[u8], count: usize, centre: Centre, target: &mut [u8]) {
        // SAFETY: the token proves AVX2.
        unsafe { widen(source, count, centre, target) }
    }

    fn row_sum(self, activations: &Activations, first: usize) -> i32 {
        // SAFETY: the token proves AVX2.
        unsafe { row_sum(activations, first) }
    }

    #[inline]
    fn tile(self, tile: &Tile, columns: &Columns, output: &mut [u8], pitch: usize) {
        let entry = match (tile.rows, tile.nibbles) {
            (1, false) => self::tile::<1, false>,
            (2, false) => self::tile::<2, false>,
            (3, false) => self::tile::<3, false>,
            (4, false) => self::tile::<4, false>,
            (5, false) => self::tile::<5, false>,
            (_, false) => self::tile::<6, false>,
            (1, true) => self::tile::<1, true>,
            (2, true) => self::tile::<2, true>,
            (3, true) => self::tile::<3, true>,
            (4, true) => self::tile::<4, true>,
            (5, true) => self::tile::<5, true>,
            (_, true) => self::tile::<6, true>,
        };
        // SAFETY: the token proves AVX2.
        unsafe { entry(tile, columns, output, pitch) }
    }
}

#[target_feature(enable = "avx2")]
fn columns(p: &Conv, channels: Range<usize>) -> Columns {
    let middle = channels.end.min(channels.start + 8);
    let halves = [channels.start..middle, middle..channels.end];
    let bias = |half: &Range<usize>| load_8x32(&p.bias[half.clone()]);
    let factors = |half: &Range<usize>| {
        Factors::load(&p.multipliers[half.clone()], &p.shifts[half.clone()], p.rounding)
    };
    Columns {
        bias: [bias(&halves[0]), bias(&halves[1])],
        factors: [factors(&halves[0]), factors(&halves[1])],
        rounding: p.rounding,
        narrow: Narrow::new(&p.output),
        width: channels.len(),
    }
}

#[target_feature(enable = "avx2")]
fn widen(source: &[u8], count: usize, centre: Centre, target: &mut [u8]) {
    assert!(count <= source.len() && 2 * count <= target.len());
    let flip = _mm_set1_epi8(centre.flip as i8);
    let offset = _mm256_set1_epi16(centre.offset);
    let widened = |bytes| _mm256_sub_epi16(_mm256_cvtepu8_epi16(_mm_xor_si128(bytes, flip)), offset);
    // Whole vectors while both sides have room for them; the excess is overwritten later or never read.
    let whole = source.len().min(target.len() / 2) / 16 * 16;
    let mut at = 0;
    while at < count && at < whole {
        // SAFETY: `at + 16 <= whole`, at most `source.len()` and `target.len() / 2`.
        unsafe {
            let bytes = _mm_loadu_si128(source.as_ptr().add(at).cast());
            _mm256_storeu_si256(target.as_mut_ptr().add(2 * at).cast(), widened(bytes));
        }
        at += 16;
    }
    for i in at..count {
        let value = i16::from(source[i] ^ centre.flip) - centre.offset;
        target[2 * i..2 * i + 2].copy_from_slice(&value.to_le_bytes());
    }
}

#[target_feature(enable = "avx2")]
fn row_sum(a: &Activations, first: usize) -> i32 {
    let ones = _mm256_set1_epi16(1);
    let mut sums = _mm256_setzero_si256();
    let mut rest = 0i32;
    for run in 0..a.runs {
        let start = first + run * a.run_step;
        let bytes = &a.bytes[start..start + 4 * a.pairs];
        let chunks = bytes.chunks_exact(32);
        for pair in chunks.remainder().chunks_exact(2) {
            rest += i32::from(i16::from_le_bytes([pair[0], pair[1]]));
        }
        for chunk in chunks {
            // SAFETY: `chunk` is 32 bytes.
            let values = unsafe { _mm256_loadu_si256(chunk.as_ptr().cast()) };
            sums = _mm256_add_epi32(sums, _mm256_madd_epi16(values, ones));
        }
    }
    let mut lanes = [0i32; 8];
    // SAFETY: `lanes` is 32 writable bytes.
    unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), sums) };
    lanes.iter().fold(rest, |sum, &lane| sum.wrapping_add(lane))
}

/// One tile of `MR` rows.
#[target_feature(enable = "avx2")]
fn tile<const MR: usize, const NIBBLES: bool>(t: &Tile, columns: &Columns, output: &mut [u8], pitch: usize) {
    let mut acc = [[_mm256_setzero_si256(); 2]; MR];
    if NIBBLES {
        multiply_s4(t, &mut acc);
    } else {
        multiply_s8(t, &mut acc);
    }
    for r in 0..MR {
        let correction = _mm256_set1_epi32(t.corrections[r]);
        for half in 0..2 {
            let start = _mm256_add_epi32(columns.bias[half], correction);
            acc[r][half] = _mm256_add_epi32(acc[r][half], start);
        }
    }
    match columns.rounding {
        // The rows decline `OnceAway`.
        Rounding::Once | Rounding::OnceAway => {
            for [a, b] in &mut acc {
                *a = columns.factors[0].rescale_once(*a);
                *b = columns.factors[1].rescale_once(*b);
            }
        }
        Rounding::Twice => {
            for [a, b] in &mut acc {
                *a = columns.factors[0].rescale_twice(*a);
                *b = columns.factors[1].rescale_twice(*b);
            }
        }
    }
    store(&acc, columns, output, pitch);
}

/// Narrows and stores the rows of a tile.
#[inline]
#[target_feature(enable = "avx2")]
fn store<const MR: usize>(values: &[[__m256i; 2]; MR], columns: &Columns, output: &mut [u8], pitch: usize) {
    assert!((MR - 1) * pitch + columns.width <= output.len() && columns.width <= pitch);
    for (r, &[first, second]) in values.iter().enumerate() {
        let bytes = columns.narrow.narrow(first, second);
        if columns.width == COLUMNS {
            // SAFETY: the assertion above: row `r` has 16 bytes from `r * pitch`.
            unsafe { _mm_storeu_si128(output.as_mut_ptr().add(r * pitch).cast(), bytes) };
        } else {
            let mut row = [0u8; COLUMNS];
            // SAFETY: `row` is 16 writable bytes.
            unsafe { _mm_storeu_si128(row.as_mut_ptr().cast(), bytes) };
            output[r * pitch..r * pitch + columns.width].copy_from_slice(&row[..columns.width]);
        }
    }
}

/// Checks that every activation and weight that a tile of `MR` rows reads is there.
#[inline]
fn check<const MR: usize>(t: &Tile, pair_bytes: usize) {
    let a = &t.activations;
    assert!(a.runs > 0 && a.runs * a.pairs * pair_bytes == t.panel.len());
    let reach = (a.runs - 1) * a.run_step + 4 * a.pairs;
    assert!(t.first[..MR].iter().all(|first| first + reach <= a.bytes.len()));
}

/// `acc[r] += activations of row r * weights`, weights of 8 bits.
#[inline]
#[target_feature(enable = "avx2")]
fn multiply_s8<const MR: usize>(t: &Tile, acc: &mut [[__m256i; 2]; MR]) {
    check::<MR>(t, PAIR_BYTES);
    let a = &t.activations;
    let mut panel = t.panel.as_ptr();
    for run in 0..a.runs {
        let mut rows = [a.bytes.as_ptr(); MR];
        for (row, first) in rows.iter_mut().zip(t.first) {
            *row = row.wrapping_add(first + run * a.run_step);
        }
        for pair in 0..a.pairs {
            // SAFETY: `check` proved that the panel holds `runs * pairs` steps of 32 bytes and that each row has
            // `pairs` pairs of 4 bytes in each run.
            unsafe {
                let first = _mm256_cvtepi8_epi16(_mm_loadu_si128(panel.cast()));
                let second = _mm256_cvtepi8_epi16(_mm_loadu_si128(panel.add(16).cast()));
                panel = panel.add(PAIR_BYTES);
                for r in 0..MR {
                    let x = _mm256_set1_epi32(rows[r].add(4 * pair).cast::<i32>().read_unaligned());
                    acc[r][0] = _mm256_add_epi32(acc[r][0], _mm256_madd_epi16(x, first));
                    acc[r][1] = _mm256_add_epi32(acc[r][1], _mm256_madd_epi16(x, second));
                }
            }
        }
    }
}

/// As [`multiply_s8`] with weights of 4 bits: 32 bytes hold two pairs of depth positions. The accumulators hold
/// columns 0-3, 8-11 and 4-7, 12-15 until the end.
#[inline]
#[target_feature(enable = "avx2")]
fn multiply_s4<const MR: usize>(t: &Tile, acc: &mut [[__m256i; 2]; MR]) {
    check::<MR>(t, PAIR_BYTES / 2);
    assert!(t.activations.pairs.is_multiple_of(2));
    let a = &t.activations;
    let mut panel = t.panel.as_ptr();
    let zero = _mm256_setzero_si256();
    for run in 0..a.runs {
        let mut rows = [a.bytes.as_ptr(); MR];
        for (row, first) in rows.iter_mut().zip(t.first) {
            *row = row.wrapping_add(first + run * a.run_step);
        }
        for step in 0..a.pairs / 2 {
            // SAFETY: `check` proved that the panel holds 16 bytes for each of `runs * pairs` pairs, `pairs` even,
            // and that each row has `pairs` pairs of 4 bytes in each run.
            unsafe {
                let odd = _mm256_loadu_si256(panel.cast());
                let even = _mm256_slli_epi32::<4>(odd);
                panel = panel.add(PAIR_BYTES);
                // Each byte becomes the high byte of a word; its high nibble is the weight. In this order the
                // compiler's reassociation of the sums keeps the accumulators in registers.
                for (pair, bytes) in [(1, odd), (0, even)] {
                    let first = _mm256_srai_epi16::<12>(_mm256_unpacklo_epi8(zero, bytes));
                    let second = _mm256_srai_epi16::<12>(_mm256_unpackhi_epi8(zero, bytes));
                    for r in 0..MR {
                        let at = rows[r].add(8 * step + 4 * pair);
                        let x = _mm256_set1_epi32(at.cast::<i32>().read_unaligned());
                        acc[r][0] = _mm256_add_epi32(acc[r][0], _mm256_madd_epi16(x, first));
                        acc[r][1] = _mm256_add_epi32(acc[r][1], _mm256_madd_epi16(x, second));
                    }
                }
            }
        }
    }
    for [a, b] in acc {
        let (low, high) =
            (_mm256_permute2x128_si256::<0x20>(*a, *b), _mm256_permute2x128_si256::<0x31>(*a, *b));
        (*a, *b) = (low, high);
    }
}

/// The `ConvFn` of the AVX2 rows.
///
/// # Safety
/// The CPU has AVX2.
pub(crate) unsafe fn conv(
    p: &Conv,
    packed: &[u8],
    input: &[u8],
    rows: Range<usize>,
    output: &mut [u8],
    scratch: &mut [u8],
) {
    // SAFETY: the caller's promise.
    let isa = unsafe { Avx2::new() };
    crate::ops::gemm::run(isa, p, packed, input, rows, output, scratch);
}
