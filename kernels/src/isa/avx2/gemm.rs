//! The 6x16 micro-kernel: twelve accumulators, one broadcast pair of activations and two vectors of weight pairs.
//!
//! Per pair of depth positions and row, `vpmaddwd` multiplies eight columns' weight pairs by the row's pair and adds
//! the two products in 32 bits: activations and weights, less their zero points, have 9 bits, so nothing saturates.

use core::arch::x86_64::*;
use core::ops::Range;

use super::{Avx2, Factors, load_8x32};
use crate::ops::gemm::{Centre, GemmIsa, Tile, Weights};
use crate::pack::panels::PAIR_BYTES;
use crate::params::Conv;
use crate::requant::Rounding;

mod rows;

use rows::End;

/// Rows of a full tile.
const ROWS: usize = 6;

/// The epilogue of one panel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns {
    bias: [__m256i; 2],
    factors: [Factors; 2],
    /// Whether any factor needs [`Factors::scale_up`].
    scaled_up: bool,
    rounding: Rounding,
    end: End,
    /// Channels that exist, 1 to 16.
    width: usize,
}

impl GemmIsa for Avx2 {
    const ROWS: usize = ROWS;
    const EXPAND_FROM: usize = 2 * ROWS;
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

    fn expand_s4(self, panel: &[u8], target: &mut [u8]) {
        // SAFETY: the token proves AVX2.
        unsafe { expand_s4(panel, target) }
    }

    #[inline]
    fn tile(self, tile: &Tile, columns: &Columns, output: &mut [u8], pitch: usize) {
        // A panel with no more than eight columns needs half the work; worth a body of its own for full tiles.
        let half = columns.width <= 8 && tile.rows == ROWS;
        // SAFETY: the token proves AVX2.
        unsafe {
            match tile.weights {
                Weights::Wide(_) if half => self::tile::<ROWS, 1, WIDE>(tile, columns, output, pitch),
                Weights::S8(_) if half => self::tile::<ROWS, 1, S8>(tile, columns, output, pitch),
                Weights::Wide(_) => tile_of::<WIDE>(tile, columns, output, pitch),
                Weights::S8(_) => tile_of::<S8>(tile, columns, output, pitch),
                Weights::S4(_) => tile_of::<S4>(tile, columns, output, pitch),
                Weights::U8(..) => tile_of::<U8>(tile, columns, output, pitch),
            }
        }
    }
}

/// The variants of [`Weights`] as constants.
const WIDE: u8 = 0;
const S8: u8 = 1;
const S4: u8 = 2;
const U8: u8 = 3;

#[inline]
#[target_feature(enable = "avx2")]
fn tile_of<const WEIGHTS: u8>(t: &Tile, columns: &Columns, output: &mut [u8], pitch: usize) {
    match t.rows {
        1 => tile::<1, 2, WEIGHTS>(t, columns, output, pitch),
        2 => tile::<2, 2, WEIGHTS>(t, columns, output, pitch),
        3 => tile::<3, 2, WEIGHTS>(t, columns, output, pitch),
        4 => tile::<4, 2, WEIGHTS>(t, columns, output, pitch),
        5 => tile::<5, 2, WEIGHTS>(t, columns, output, pitch),
        _ => tile::<ROWS, 2, WEIGHTS>(t, columns, output, pitch),
    }
}

#[target_feature(enable = "avx2")]
fn columns(p: &Conv, channels: Range<usize>) -> Columns {
    let middle = channels.end.min(channels.start + 8);
    let halves = [channels.start..middle, middle..channels.end];
    let bias = |half: &Range<usize>| load_8x32(&p.bias[half.clone()], 0);
    let factors = halves.each_ref().map(|half| match p.is_raw() {
        true => Factors::new(&[], &[], p.rounding),
        false => Factors::new(&p.multipliers[half.clone()], &p.shifts[half.clone()], p.rounding),
    });
    Columns {
        bias: [bias(&halves[0]), bias(&halves[1])],
        factors,
        scaled_up: factors.iter().any(Factors::scales_up),
        rounding: p.rounding,
        end: End::new(&p.output),
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
fn expand_s4(panel: &[u8], target: &mut [u8]) {
    let (low, eight) = (_mm256_set1_epi8(15), _mm256_set1_epi8(8));
    // (nibble ^ 8) - 8 extends the sign.
    let extended = |nibbles| _mm256_sub_epi8(_mm256_xor_si256(_mm256_and_si256(nibbles, low), eight), eight);
    // 32 bytes hold two pairs of depth positions, the even one in the low nibbles.
    for (codes, pairs) in panel.chunks_exact(PAIR_BYTES).zip(target.chunks_exact_mut(2 * PAIR_BYTES)) {
        // SAFETY: `codes` is 32 bytes, `pairs` 64.
        unsafe {
            let codes = _mm256_loadu_si256(codes.as_ptr().cast());
            let target = pairs.as_mut_ptr();
            _mm256_storeu_si256(target.cast(), extended(codes));
            _mm256_storeu_si256(target.add(PAIR_BYTES).cast(), extended(_mm256_srli_epi16::<4>(codes)));
        }
    }
}

/// Accumulators of `MR` rows by `8 * HALVES` columns.
type Accumulators<const MR: usize, const HALVES: usize> = [[__m256i; HALVES]; MR];

/// One tile of `MR` rows by `8 * HALVES` columns.
#[target_feature(enable = "avx2")]
fn tile<const MR: usize, const HALVES: usize, const WEIGHTS: u8>(
    t: &Tile,
    columns: &Columns,
    output: &mut [u8],
    pitch: usize,
) {
    let mut bias = columns.bias;
    if let Weights::S4(_) = t.weights {
        bias = exchange(bias);
    }
    let mut acc = [[_mm256_setzero_si256(); HALVES]; MR];
    for row in &mut acc {
        row.copy_from_slice(&bias[..HALVES]);
    }
    if WEIGHTS == S4 {
        multiply_s4(t, &mut acc);
    } else {
        multiply::<MR, HALVES, WEIGHTS>(t, &mut acc);
    }
    let row = columns.row_bytes();
    assert!((MR - 1) * pitch + row <= output.len() && row <= pitch && columns.width <= 8 * HALVES);
    if let End::Bytes(narrow) = columns.end {
        let mut r = 0;
        while r < MR {
            // The last row of an odd tile goes with itself.
            let second = if r + 1 < MR { r + 1 } else { r };
            let both = columns.bytes(&narrow, acc[r], acc[second]);
            rows::store(_mm256_castsi256_si128(both), &mut output[r * pitch..], row);
            if second > r {
                rows::store(_mm256_extracti128_si256::<1>(both), &mut output[second * pitch..], row);
            }
            r += 2;
        }
        return;
    }
    // By value, so that the accumulators stay in registers.
    for r in 0..MR {
        columns.store_wide(acc[r], &mut output[r * pitch..][..row]);
    }
}

/// The panel of a tile, after the check that every activation and weight that `MR` rows read is there: `MR` times
/// `runs` runs of `pairs` pairs of 4 bytes, the last one ending `reach` bytes behind `first`, and `pair_bytes` bytes of
/// weights for each pair of a row.
#[inline]
fn checked_panel<const MR: usize>(t: &Tile) -> *const u8 {
    let (panel, pair_bytes) = match t.weights {
        Weights::Wide(panel) => (panel, 2 * PAIR_BYTES),
        Weights::S8(panel) | Weights::U8(panel, _) => (panel, PAIR_BYTES),
        Weights::S4(panel) => (panel, PAIR_BYTES / 2),
    };
    let a = &t.activations;
    assert!(a.runs > 0 && a.runs * a.pairs * pair_bytes == panel.len());
    // Saturating: an offset that wrapped must not pass.
    let reach = (a.runs - 1).saturating_mul(a.run_step).saturating_add(4 * a.pairs);
    assert!(t.first[..MR].iter().all(|first| first.saturating_add(reach) <= a.bytes.len()));
    panel.as_ptr()
}

/// Where run `run` of each row starts.
#[inline]
fn rows_of_run<const MR: usize>(t: &Tile, run: usize) -> [*const u8; MR] {
    let mut rows = [t.activations.bytes.as_ptr(); MR];
    for (row, first) in rows.iter_mut().zip(t.first) {
        *row = row.wrapping_add(first + run * t.activations.run_step);
    }
    rows
}

/// `acc[r] += activations of row r * weights`, for weights of 8 and 16 bits.
#[inline]
#[target_feature(enable = "avx2")]
fn multiply<const MR: usize, const HALVES: usize, const WEIGHTS: u8>(
    t: &Tile,
    acc: &mut Accumulators<MR, HALVES>,
) {
    let mut panel = checked_panel::<MR>(t);
    let zero_point = match t.weights {
        Weights::U8(_, zero_point) => _mm256_set1_epi16(zero_point),
        Weights::Wide(_) | Weights::S8(_) | Weights::S4(_) => _mm256_setzero_si256(),
    };
    for run in 0..t.activations.runs {
        let rows = rows_of_run::<MR>(t, run);
        for pair in 0..t.activations.pairs {
            // SAFETY: `checked_panel`: each pair has 64 bytes of wide weights, else 32, and each row 4 bytes.
            unsafe {
                let mut weights = [_mm256_setzero_si256(); HALVES];
                for (half, weights) in weights.iter_mut().enumerate() {
                    *weights = if WEIGHTS == WIDE {
                        _mm256_loadu_si256(panel.add(32 * half).cast())
                    } else {
                        _mm256_cvtepi8_epi16(_mm_loadu_si128(panel.add(16 * half).cast()))
                    };
                    if WEIGHTS == U8 {
                        *weights = _mm256_sub_epi16(*weights, zero_point);
                    }
                }
                panel = panel.add(if WEIGHTS == WIDE { 2 * PAIR_BYTES } else { PAIR_BYTES });
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

/// As [`multiply`] with weights of 4 bits: 32 bytes hold two pairs of depth positions. Meanwhile
/// the accumulators hold columns 0-3, 8-11 and 4-7, 12-15.
#[inline]
#[target_feature(enable = "avx2")]
fn multiply_s4<const MR: usize, const HALVES: usize>(t: &Tile, acc: &mut Accumulators<MR, HALVES>) {
    let mut panel = checked_panel::<MR>(t);
    let a = &t.activations;
    assert!(a.pairs.is_multiple_of(2));
    let zero = _mm256_setzero_si256();
    for run in 0..a.runs {
        let rows = rows_of_run::<MR>(t, run);
        for step in 0..a.pairs / 2 {
            // SAFETY: `checked_panel`: each two pairs have 32 bytes of weights, and each row 8 bytes.
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
            [*first, *second] = exchange([*first, *second]);
        }
    }
}

/// From columns 0-7, 8-15 to 0-3, 8-11 and 4-7, 12-15, and back.
#[inline]
#[target_feature(enable = "avx2")]
fn exchange([a, b]: [__m256i; 2]) -> [__m256i; 2] {
    [_mm256_permute2x128_si256::<0x20>(a, b), _mm256_permute2x128_si256::<0x31>(a, b)]
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
