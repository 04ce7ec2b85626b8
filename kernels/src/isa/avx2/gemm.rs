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
use crate::types::ElemType;

/// Rows of a full tile.
const ROWS: usize = 6;

/// The epilogue of one panel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns {
    /// For s4 weights in the order of [`multiply_s4`].
    bias: [__m256i; 2],
    factors: [Factors; 2],
    /// Whether any factor needs [`Factors::scale_up`].
    scaled_up: bool,
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
        // A panel with no more than eight columns needs half the work; worth a body of its own for full tiles.
        let half = columns.width <= 8;
        let entry = match (tile.rows, tile.nibbles) {
            (1, false) => self::tile::<1, 2, false>,
            (2, false) => self::tile::<2, 2, false>,
            (3, false) => self::tile::<3, 2, false>,
            (4, false) => self::tile::<4, 2, false>,
            (5, false) => self::tile::<5, 2, false>,
            (_, false) if half => self::tile::<ROWS, 1, false>,
            (_, false) => self::tile::<ROWS, 2, false>,
            (1, true) => self::tile::<1, 2, true>,
            (2, true) => self::tile::<2, 2, true>,
            (3, true) => self::tile::<3, 2, true>,
            (4, true) => self::tile::<4, 2, true>,
            (5, true) => self::tile::<5, 2, true>,
            (_, true) => self::tile::<ROWS, 2, true>,
        };
        // SAFETY: the token proves AVX2.
        unsafe { entry(tile, columns, output, pitch) }
    }
}

#[target_feature(enable = "avx2")]
fn columns(p: &Conv, channels: Range<usize>) -> Columns {
    let middle = channels.end.min(channels.start + 8);
    let halves = [channels.start..middle, middle..channels.end];
    let [first, second] = [0, 1].map(|half| load_8x32(&p.bias[halves[half].clone()]));
    let (first, second) =
        if p.weight.elem == ElemType::S4 { exchange(first, second) } else { (first, second) };
    let factors = |half: &Range<usize>| {
        Factors::load(&p.multipliers[half.clone()], &p.shifts[half.clone()], p.rounding)
    };
    let factors = [factors(&halves[0]), factors(&halves[1])];
    Columns {
        bias: [first, second],
        factors,
        scaled_up: factors.iter().any(Factors::scales_up),
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

/// Accumulators of `MR` rows by `8 * HALVES` columns.
type Accumulators<const MR: usize, const HALVES: usize> = [[__m256i; HALVES]; MR];

/// One tile of `MR` rows by `8 * HALVES` columns.
#[target_feature(enable = "avx2")]
fn tile<const MR: usize, const HALVES: usize, const NIBBLES: bool>(
    t: &Tile,
    columns: &Columns,
    output: &mut [u8],
    pitch: usize,
) {
    let mut acc = [[_mm256_setzero_si256(); HALVES]; MR];
    for (row, correction) in acc.iter_mut().zip(t.corrections) {
        let correction = _mm256_set1_epi32(correction);
        for (acc, bias) in row.iter_mut().zip(columns.bias) {
            *acc = if t.corrected { _mm256_add_epi32(bias, correction) } else { bias };
        }
    }
    if NIBBLES {
        multiply_s4(t, &mut acc);
    } else {
        multiply_s8(t, &mut acc);
    }
    let width = columns.width;
    assert!((MR - 1) * pitch + width <= output.len() && width <= pitch && width <= 8 * HALVES);
    let mut r = 0;
    while r < MR {
        // The last row of an odd tile goes with itself.
        let second = if r + 1 < MR { r + 1 } else { r };
        let both = columns.finish(&acc[r], &acc[second]);
        store_row(_mm256_castsi256_si128(both), &mut output[r * pitch..], width);
        if second > r {
            store_row(_mm256_extracti128_si256::<1>(both), &mut output[second * pitch..], width);
        }
        r += 2;
    }
}

impl Columns {
    /// Rescales and narrows two rows: 16 bytes each.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn finish<const HALVES: usize>(&self, first: &[__m256i; HALVES], second: &[__m256i; HALVES]) -> __m256i {
        let (mut first, mut second) = (*first, *second);
        for half in 0..HALVES {
            let factors = &self.factors[half];
            if self.scaled_up {
                first[half] = factors.scale_up(first[half]);
                second[half] = factors.scale_up(second[half]);
            }
            (first[half], second[half]) = match self.rounding {
                Rounding::Once => (factors.round_once(first[half]), factors.round_once(second[half])),
                Rounding::Twice => (factors.round_twice(first[half]), factors.round_twice(second[half])),
            };
        }
        self.narrow.narrow32([first[0], first[HALVES - 1], second[0], second[HALVES - 1]])
    }
}

/// The first `width` bytes of `bytes`, at the start of `output`.
#[inline]
#[target_feature(enable = "avx2")]
fn store_row(bytes: __m128i, output: &mut [u8], width: usize) {
    let output = &mut output[..width];
    if let Ok(row) = <&mut [u8; COLUMNS]>::try_from(&mut *output) {
        // SAFETY: `row` is 16 writable bytes.
        unsafe { _mm_storeu_si128(row.as_mut_ptr().cast(), bytes) };
        return;
    }
    let mut row = [0u8; COLUMNS];
    // SAFETY: `row` is 16 writable bytes.
    unsafe { _mm_storeu_si128(row.as_mut_ptr().cast(), bytes) };
    let mut at = 0;
    for part in [8, 4, 2, 1] {
        if width & part != 0 {
            output[at..at + part].copy_from_slice(&row[at..at + part]);
            at += part;
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
fn multiply_s8<const MR: usize, const HALVES: usize>(t: &Tile, acc: &mut Accumulators<MR, HALVES>) {
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
                let mut weights = [_mm256_setzero_si256(); HALVES];
                for (half, weights) in weights.iter_mut().enumerate() {
                    *weights = _mm256_cvtepi8_epi16(_mm_loadu_si128(panel.add(16 * half).cast()));
                }
                panel = panel.add(PAIR_BYTES);
                for r in 0..MR {
                    let x = _mm256_set1_epi32(rows[r].add(4 * pair).cast::<i32>().read_unaligned());
                    for half in 0..HALVES {
                        acc[r][half] = _mm256_add_epi32(acc[r][half], _mm256_madd_epi16(x, weights[half]));
                    }
                }
            }
        }
    }
}

/// As [`multiply_s8`] with weights of 4 bits: 32 bytes hold two pairs of depth positions. Meanwhile
/// the accumulators hold columns 0-3, 8-11 and 4-7, 12-15.
#[inline]
#[target_feature(enable = "avx2")]
fn multiply_s4<const MR: usize, const HALVES: usize>(t: &Tile, acc: &mut Accumulators<MR, HALVES>) {
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
                    let weights = [_mm256_unpacklo_epi8(zero, bytes), _mm256_unpackhi_epi8(zero, bytes)]
                        .map(|words| _mm256_srai_epi16::<12>(words));
                    for r in 0..MR {
                        let at = rows[r].add(8 * step + 4 * pair);
                        let x = _mm256_set1_epi32(at.cast::<i32>().read_unaligned());
                        for half in 0..HALVES {
                            acc[r][half] =
                                _mm256_add_epi32(acc[r][half], _mm256_madd_epi16(x, weights[half]));
                        }
                    }
                }
            }
        }
    }
    for row in acc {
        if let [first, second] = &mut row[..] {
            (*first, *second) = exchange(*first, *second);
        }
    }
}

/// From columns 0-7, 8-15 to 0-3, 8-11 and 4-7, 12-15, and back.
#[inline]
#[target_feature(enable = "avx2")]
fn exchange(a: __m256i, b: __m256i) -> (__m256i, __m256i) {
    (_mm256_permute2x128_si256::<0x20>(a, b), _mm256_permute2x128_si256::<0x31>(a, b))
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
