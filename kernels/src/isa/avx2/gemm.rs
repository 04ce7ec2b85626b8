//! The 6x16 micro-kernel: twelve accumulators, one broadcast pair of activations and two vectors of weight pairs.
//!
//! Per pair of depth positions and row, `vpmaddwd` multiplies eight columns' weight pairs by the row's pair and adds
//! the two products in 32 bits: activations and weights, less their zero points, have 9 bits, so nothing saturates.
//!
//! Why not bytes: `vpmaddubsw` would multiply twice as many, but saturates where two weights of one sign are more than 128
//! together and the activations are large. In ResNet-50 and EfficientNet-Lite0 that holds for 0.7 to 9 % of the pairs, so that
//! 19 to 98 % of the quads of a panel have such a pair among their 32, and each would need a second step with what the first left
//! out. On a Zen 3 bytes reach 31 MACs a cycle and words 24.5: of those layers the best would gain 6 %, the networks 1 to 2 %.

use core::arch::x86_64::*;
use core::ops::Range;

use super::{Avx2, Factors, Narrow, ONCE, TWICE, load_8x32};
use crate::ops::gemm::{Centre, Form, GemmIsa, Tile, Weights};
use crate::pack::panels::{COLUMNS, PAIR_BYTES, PAIRS};
use crate::params::Conv;
use crate::requant::Rounding;

/// Ends a tile of bytes none of whose columns is missing or scales up, and returns; does nothing to another. It is a macro
/// because the compiler keeps accumulators in registers in straight code only, and does not inline a function of this size.
/// `acc` has the rows at `$row` and behind each.
macro_rules! end_in_registers {
    ($columns:expr, $acc:expr, $output:expr, $pitch:expr, [$($row:literal),+]) => {
        if $columns.plain {
            assert!(($acc.len() - 1) * $pitch + COLUMNS <= $output.len() && COLUMNS <= $pitch);
            let half = $acc[0].len() - 1;
            let rows = |r: usize| [r, r + 1].map(|r| $acc[r.min($acc.len() - 1)]).map(|row| [row[0], row[half]]);
            match (&$columns.end, $columns.rounding) {
                (End::Bytes(narrow), Rounding::Once) => {
                    // SAFETY: by the assertion 16 bytes of every row are inside `output`, and the tile has these rows.
                    $(unsafe {
                        let to = $output.as_mut_ptr().wrapping_add($row * $pitch);
                        $columns.finish_two::<ONCE>(narrow, rows($row), to, $pitch);
                    })+
                    return;
                }
                (End::Bytes(narrow), Rounding::Twice) => {
                    // SAFETY: the same.
                    $(unsafe {
                        let to = $output.as_mut_ptr().wrapping_add($row * $pitch);
                        $columns.finish_two::<TWICE>(narrow, rows($row), to, $pitch);
                    })+
                    return;
                }
                _ => {}
            }
        }
    };
}

mod loops;
pub(crate) mod nibbles;
pub(crate) mod quads;
mod rows;
pub(crate) mod u7;
pub(crate) mod winograd;

use rows::End;

/// Rows of a full tile.
const ROWS: usize = 6;

/// The epilogue of one panel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns {
    bias: [__m256i; 2],
    factors: [Factors; 2],
    rounding: Rounding,
    end: End,
    /// Channels that exist, 1 to 16.
    width: usize,
    /// All 16 exist, and none is scaled up.
    plain: bool,
}

impl GemmIsa for Avx2 {
    const ROWS: usize = ROWS;
    const FORM: Form = Form::Words;
    const EXPAND_FROM: usize = 2 * ROWS;
    type Columns = Columns;

    fn columns(self, p: &Conv, channels: Range<usize>, _sums: &[u8]) -> Columns {
        // SAFETY: the token proves AVX2.
        unsafe { columns(p, channels) }
    }

    #[inline]
    fn convert(self, source: &[u8], count: usize, centre: Centre, target: &mut [u8]) {
        // SAFETY: the token proves AVX2.
        unsafe { widen(source, count, centre, target) }
    }

    #[inline]
    fn tile(self, tile: &Tile, columns: &Columns, output: &mut [u8], pitch: usize) {
        // A panel with no more than eight columns needs half the work; worth a body of its own for full tiles.
        let half = columns.width <= 8 && tile.rows == ROWS;
        // SAFETY: the token proves AVX2.
        unsafe {
            match *tile.weights {
                Weights::Wide(_) if half => self::tile::<ROWS, 1, WIDE>(tile, columns, output, pitch),
                Weights::S8(_) if half => self::tile::<ROWS, 1, S8>(tile, columns, output, pitch),
                Weights::Wide(_) => tile_of::<WIDE>(tile, columns, output, pitch),
                Weights::S8(_) => tile_of::<S8>(tile, columns, output, pitch),
                Weights::S4(_) => unreachable!("nibbles have a micro-kernel of their own"),
                Weights::U8(..) => tile_of::<U8>(tile, columns, output, pitch),
            }
        }
    }
}

/// The variants of [`Weights`] as constants.
const WIDE: u8 = 0;
const S8: u8 = 1;
const U8: u8 = 2;

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
        rounding: p.rounding,
        end: End::new(&p.output),
        width: channels.len(),
        plain: channels.len() == COLUMNS && !factors.iter().any(Factors::scales_up),
        factors,
    }
}

/// `bias - zero point * sum of the weights`, modulo 2^32, for activations whose zero point was not subtracted.
#[target_feature(enable = "avx2")]
fn less_zero_point(mut columns: Columns, p: &Conv, sums: &[u8]) -> Columns {
    let zero_point = _mm256_set1_epi32(Centre::of_input(p, Form::Unsigned).offset.into());
    for (bias, sums) in columns.bias.iter_mut().zip(sums.as_chunks::<32>().0) {
        // SAFETY: `sums` is 32 readable bytes.
        let sums = unsafe { _mm256_loadu_si256(sums.as_ptr().cast()) };
        *bias = _mm256_sub_epi32(*bias, _mm256_mullo_epi32(sums, zero_point));
    }
    columns
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
    let mut acc = [[_mm256_setzero_si256(); HALVES]; MR];
    for row in &mut acc {
        row.copy_from_slice(&columns.bias[..HALVES]);
    }
    multiply::<MR, HALVES, WEIGHTS>(t, &mut acc);
    if let (End::Raw, COLUMNS) = (&columns.end, columns.width) {
        assert!((MR - 1) * pitch + 4 * COLUMNS <= output.len() && HALVES == 2);
        for (r, row) in acc.iter().enumerate() {
            // SAFETY: by the assertion 64 bytes of every row are inside `output`.
            unsafe {
                let output = output.as_mut_ptr().add(r * pitch);
                _mm256_storeu_si256(output.cast(), row[0]);
                _mm256_storeu_si256(output.add(32).cast(), row[HALVES - 1]);
            }
        }
        return;
    }
    if MR == ROWS && HALVES == 2 {
        end_in_registers!(columns, acc, output, pitch, [0, 2, 4]);
    }
    // A copy: the accumulators above need no place in memory.
    finish(columns, &mut { acc }, output, pitch);
}

/// Rescales, narrows and stores a tile.
#[target_feature(enable = "avx2")]
fn finish<const MR: usize, const HALVES: usize>(
    columns: &Columns,
    acc: &mut Accumulators<MR, HALVES>,
    output: &mut [u8],
    pitch: usize,
) {
    let row = columns.row_bytes();
    assert!((MR - 1) * pitch + row <= output.len() && row <= pitch && columns.width <= 8 * HALVES);
    if !matches!(columns.end, End::Raw) {
        columns.rescale(acc);
    }
    match &columns.end {
        End::Bytes(narrow) => store_bytes(narrow, acc, row, output, pitch),
        End::Words(words) => {
            for (r, acc) in acc.iter().enumerate() {
                words.store(*acc, &mut output[r * pitch..][..row]);
            }
        }
        End::Raw => {
            for (r, acc) in acc.iter().enumerate() {
                rows::store_lanes(*acc, &mut output[r * pitch..][..row]);
            }
        }
    }
}

/// Narrows rescaled rows, two at a time, and stores `width` bytes of each.
#[inline]
#[target_feature(enable = "avx2")]
fn store_bytes<const MR: usize, const HALVES: usize>(
    narrow: &Narrow,
    acc: &Accumulators<MR, HALVES>,
    width: usize,
    output: &mut [u8],
    pitch: usize,
) {
    let mut r = 0;
    while r < MR {
        // The last row of an odd tile goes with itself.
        let second = if r + 1 < MR { r + 1 } else { r };
        let both = narrow.narrow([acc[r][0], acc[r][HALVES - 1], acc[second][0], acc[second][HALVES - 1]]);
        rows::store(_mm256_castsi256_si128(both), &mut output[r * pitch..], width);
        if second > r {
            rows::store(_mm256_extracti128_si256::<1>(both), &mut output[second * pitch..], width);
        }
        r += 2;
    }
}

/// The panel of a tile, after the check that every activation and weight that `MR` rows read is there: `MR` times
/// `runs` runs of `steps` steps of 4 bytes, the last one ending `reach` bytes behind `first`, and for each step of a row
/// `KR` weights of 16 columns.
#[inline(always)]
fn checked_panel<const MR: usize, const KR: usize>(t: &Tile) -> *const u8 {
    checked_weights::<MR, KR>(t, *t.weights)
}

/// The same for another panel than that of the tile.
#[inline(always)]
fn checked_weights<const MR: usize, const KR: usize>(t: &Tile, weights: Weights) -> *const u8 {
    let (panel, step_bytes) = match weights {
        Weights::Wide(panel) => (panel, 2 * KR * COLUMNS),
        Weights::S8(panel) | Weights::U8(panel, _) => (panel, KR * COLUMNS),
        Weights::S4(panel) => (panel, KR * COLUMNS / 2),
    };
    let a = t.activations;
    assert!(a.runs > 0 && a.runs * a.steps * step_bytes == panel.len());
    // Saturating: an offset that wrapped must not pass.
    let reach = (a.runs - 1).saturating_mul(a.run_step).saturating_add(4 * a.steps);
    let last = a.bytes.len().checked_sub(reach).expect("a run ends inside the activations");
    assert!(t.first[..MR].iter().fold(0, |furthest, &first| furthest.max(first)) <= last);
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
    let mut panel = checked_panel::<MR, PAIRS>(t);
    // Twelve sums are those of the full tile.
    if let (true, Ok(sums)) = (WEIGHTS != U8, acc.as_flattened_mut().try_into()) {
        // SAFETY: `checked_panel`.
        return unsafe { full_tile::<WEIGHTS>(t, panel, sums) };
    }
    let zero_point = match *t.weights {
        Weights::U8(_, zero_point) => _mm256_set1_epi16(zero_point),
        Weights::Wide(_) | Weights::S8(_) | Weights::S4(_) => _mm256_setzero_si256(),
    };
    for run in 0..t.activations.runs {
        let rows = rows_of_run::<MR>(t, run);
        for pair in 0..t.activations.steps {
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

/// `sums += activations * weights` of a full tile, for symmetric weights of 8 bits and for those of 16.
///
/// # Safety
/// The panel of the tile was checked for `ROWS` rows.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn full_tile<const WEIGHTS: u8>(t: &Tile, mut panel: *const u8, sums: &mut loops::Sums) {
    let rows = rows_of_run::<ROWS>(t, 0);
    let steps = t.activations.steps;
    let ahead = t.fetched(t.activations.runs * steps * PAIR_BYTES);
    for run in 0..t.activations.runs {
        let at = run * t.activations.run_step;
        // SAFETY: `checked_panel`: each pair has 64 bytes of wide weights, else 32, and each row 4 bytes.
        panel = unsafe {
            match WEIGHTS {
                WIDE => loops::words(sums, rows, at, panel, steps, 2 * ahead),
                _ => loops::bytes(sums, rows, at, panel, steps, ahead),
            }
        };
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
