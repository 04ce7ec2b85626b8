//! Micro-kernels of instruction sets that multiply unsigned by signed bytes and add four products to a lane of 32 bits
//! (`vpdpbusd`): the activations are bytes, KR = 4, and nothing saturates.
//!
//! One body serves every such set ([`Dot`]): a step broadcasts the four activations of each row and multiplies them by the 64
//! weights of a panel.
//!
//! * s4: the nibbles become bytes in registers, once for the rows of a tile.
//! * u8 is stored as `weight - 128`. With `z` the zero point less 128 and `a` the activations, the sum wanted is
//!   `sum(a * (stored - z)) = sum(a * stored) - z * sum(a)`: the sums of the rows are taken before the products.

use core::arch::x86_64::*;
use core::ops::Range;

use super::super::{Avx2, ONCE, TWICE};
use super::{Columns, End, Factors, checked_weights, columns, finish, less_zero_point, rows_of_run};
use crate::ops::gemm::{Activations, Centre, Form, GemmIsa, Second, Tile, Weights};
use crate::pack::panels::{COLUMNS, QUAD_BYTES, QUADS};
use crate::params::Conv;
use crate::requant::Rounding;

#[cfg(test)]
mod tests;

/// What an instruction set supplies. Its value proves that the CPU has it.
///
/// # Safety
/// The unsafe functions may be called where a value exists. They are inlined into [`Dot::tile`], the function with the target
/// features, and must therefore have none themselves.
pub(crate) trait Dot: Copy {
    /// 64 bytes: the weights of a step, or the sums of a row of 16 columns.
    type Lanes: Copy;

    /// MR: rows of a full tile.
    const ROWS: usize;

    /// [`GemmIsa::PART_ROWS`].
    const PART_ROWS: usize = Self::ROWS - 1;

    /// Whether there is a [`Dot::pair`].
    const PAIRS: bool = false;

    /// The end of a tile, prepared for one panel.
    type Columns;

    fn avx2(self) -> Avx2;

    /// The end of a panel of `p` from that of AVX2.
    fn columns(self, p: &Conv, columns: Columns) -> Self::Columns;

    /// Activations of stored bytes: [`GemmIsa::convert`], for as many bytes as `source` has.
    #[inline]
    fn flip(self, source: &[u8], flip: u8, target: &mut [u8]) {
        let _proof: Avx2 = self.avx2();
        // SAFETY: the token proves AVX2.
        unsafe { halves::flip(source, flip, target) }
    }

    /// A tile: [`GemmIsa::tile`].
    fn tile(self, tile: &Tile, columns: &Self::Columns, output: &mut [u8], pitch: usize);

    /// A tile of two panels: [`GemmIsa::pair`].
    fn pair(self, _: &Tile, _: &Self::Columns, _: Second<Self::Columns>, _output: &mut [u8], _pitch: usize) {
        unreachable!("asked for where `PAIRS` is true");
    }

    /// # Safety
    /// 64 bytes from `from` are readable.
    unsafe fn load(from: *const u8) -> Self::Lanes;

    /// The even step of two, from low nibbles, and the odd one.
    ///
    /// # Safety
    /// That of the trait.
    unsafe fn nibbles(codes: Self::Lanes) -> [Self::Lanes; 2];

    /// `sums` with four products more in each.
    ///
    /// # Safety
    /// Four activations from `row` are readable.
    unsafe fn dot(sums: Self::Lanes, row: *const u8, weights: Self::Lanes) -> Self::Lanes;

    /// `sums` with `value` added to each.
    ///
    /// # Safety
    /// That of the trait.
    unsafe fn add(sums: Self::Lanes, value: i32) -> Self::Lanes;
}

impl<D: Dot> GemmIsa for D {
    const ROWS: usize = D::ROWS;
    const PART_ROWS: usize = D::PART_ROWS;
    const FORM: Form = Form::Unsigned;
    const EXPAND_FROM: usize = usize::MAX;
    const PAIRS: bool = D::PAIRS;
    type Columns = D::Columns;

    fn columns(self, p: &Conv, channels: Range<usize>, sums: &[u8]) -> D::Columns {
        let _proof: Avx2 = self.avx2();
        // SAFETY: the token proves AVX2.
        let columns = unsafe { less_zero_point(columns(p, channels), p, sums) };
        Dot::columns(self, p, columns)
    }

    #[inline]
    fn convert(self, source: &[u8], count: usize, centre: Centre, target: &mut [u8]) {
        self.flip(&source[..count], centre.flip, &mut target[..count]);
    }

    #[inline]
    fn tile(self, tile: &Tile, columns: &D::Columns, output: &mut [u8], pitch: usize) {
        Dot::tile(self, tile, columns, output, pitch);
    }

    #[inline]
    fn pair(
        self,
        tile: &Tile,
        columns: &D::Columns,
        second: Second<D::Columns>,
        output: &mut [u8],
        pitch: usize,
    ) {
        Dot::pair(self, tile, columns, second, output, pitch);
    }
}

/// The variants of [`Weights`] as constants.
pub(crate) const S8: u8 = 0;
pub(crate) const S4: u8 = 1;
pub(crate) const U8: u8 = 2;

/// `acc[r][i] += activations of row r * weights[i]`, for the weights of one panel or of neighbours.
///
/// # Safety
/// The CPU has the instruction set of `D`.
#[inline(always)]
pub(crate) unsafe fn multiply<D: Dot, const MR: usize, const PANELS: usize, const WEIGHTS: u8>(
    t: &Tile,
    weights: [Weights; PANELS],
    acc: &mut [[D::Lanes; PANELS]; MR],
) {
    let mut panels = checked::<MR, PANELS, WEIGHTS>(t, weights);
    if let Weights::U8(_, zero_point) = weights[0] {
        // SAFETY: `checked`; every CPU of a `Dot` has AVX2.
        let corrections = unsafe { corrections::<MR>(t, zero_point) };
        for (acc, correction) in acc.iter_mut().zip(corrections) {
            for acc in acc {
                // SAFETY: the caller's promise.
                *acc = unsafe { D::add(*acc, correction) };
            }
        }
    }
    let Activations { runs, steps, .. } = *t.activations;
    let ahead = t.fetched(PANELS * runs * steps * QUAD_BYTES);
    for run in 0..runs {
        let rows = rows_of_run::<MR>(t, run);
        if WEIGHTS == S4 {
            for step in 0..steps / 2 {
                // SAFETY: `checked`: two steps have 64 bytes of weights, and each row 8 bytes.
                unsafe {
                    // No closures: a compiler that leaves one uninlined makes a call of every instruction in it.
                    let mut weights = [D::nibbles(D::load(panels[0])); PANELS];
                    for i in 1..PANELS {
                        weights[i] = D::nibbles(D::load(panels[i]));
                    }
                    for (at, odd) in [(0, 0), (4, 1)] {
                        for r in 0..MR {
                            for i in 0..PANELS {
                                acc[r][i] = D::dot(acc[r][i], rows[r].add(8 * step + at), weights[i][odd]);
                            }
                        }
                    }
                }
                panels = panels.map(|panel| panel.wrapping_add(QUAD_BYTES));
            }
        } else {
            for step in 0..steps {
                // SAFETY: `checked`: a step has 64 bytes of weights, and each row 4 bytes.
                unsafe {
                    _mm_prefetch::<_MM_HINT_T1>(panels[0].wrapping_add(ahead).cast());
                    let mut weights = [D::load(panels[0]); PANELS];
                    for i in 1..PANELS {
                        weights[i] = D::load(panels[i]);
                    }
                    for r in 0..MR {
                        for i in 0..PANELS {
                            acc[r][i] = D::dot(acc[r][i], rows[r].add(4 * step), weights[i]);
                        }
                    }
                }
                panels = panels.map(|panel| panel.wrapping_add(QUAD_BYTES));
            }
        }
    }
}

/// The panels of a tile, after the check that every activation and weight of it is there.
#[inline(always)]
pub(crate) fn checked<const MR: usize, const PANELS: usize, const WEIGHTS: u8>(
    t: &Tile,
    weights: [Weights; PANELS],
) -> [*const u8; PANELS] {
    assert!(weights.iter().all(|&weights| kind(weights) == WEIGHTS));
    assert!(WEIGHTS != S4 || t.activations.steps.is_multiple_of(2));
    let mut panels = [core::ptr::null(); PANELS];
    for (panel, weights) in panels.iter_mut().zip(weights) {
        *panel = checked_weights::<MR, QUADS>(t, weights);
    }
    panels
}

/// What the zero point of u8 weights adds to the sums of each row: it less 128, times the activations, negated.
///
/// # Safety
/// The panel of the tile was checked for `MR` rows.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) unsafe fn corrections<const MR: usize>(t: &Tile, zero_point: i16) -> [i32; MR] {
    // SAFETY: the caller's promise.
    unsafe { row_sums::<MR>(t) }.map(|sum| sum.wrapping_mul(-i32::from(zero_point)))
}

/// The constant of some weights.
fn kind(weights: Weights) -> u8 {
    match weights {
        Weights::Wide(_) => unreachable!("bytes are not expanded"),
        Weights::S8(_) => S8,
        Weights::S4(_) => S4,
        Weights::U8(..) => U8,
    }
}

/// The sum of the activations of each row, modulo 2^32.
///
/// # Safety
/// The panel of the tile was checked for `MR` rows.
#[target_feature(enable = "avx2")]
unsafe fn row_sums<const MR: usize>(t: &Tile) -> [i32; MR] {
    let Activations { runs, steps, .. } = *t.activations;
    let (zero, mut sums) = (_mm256_setzero_si256(), [_mm256_setzero_si256(); MR]);
    for run in 0..runs {
        for (sum, row) in sums.iter_mut().zip(rows_of_run::<MR>(t, run)) {
            for at in 0..steps / 8 {
                // SAFETY: a run of the row has `4 * steps` bytes.
                let bytes = unsafe { _mm256_loadu_si256(row.add(32 * at).cast()) };
                *sum = _mm256_add_epi32(*sum, _mm256_sad_epu8(bytes, zero));
            }
            for at in steps / 8 * 8..steps {
                // SAFETY: the same.
                let bytes = unsafe { row.add(4 * at).cast::<i32>().read_unaligned() };
                let bytes = _mm256_zextsi128_si256(_mm_cvtsi32_si128(bytes));
                *sum = _mm256_add_epi32(*sum, _mm256_sad_epu8(bytes, zero));
            }
        }
    }
    let mut totals = [0; MR];
    for (total, sum) in totals.iter_mut().zip(sums) {
        // Each of the four lanes of 64 bits has a sum in its lower half.
        let halves = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
        *total = _mm_cvtsi128_si32(_mm_add_epi32(halves, _mm_unpackhi_epi64(halves, halves)));
    }
    totals
}

/// Rows of a full tile of 256-bit vectors.
pub(crate) const ROWS: usize = 6;

impl Columns {
    /// What the sums of a row start from.
    #[inline]
    pub(crate) fn bias(&self) -> halves::Lanes {
        self.bias
    }

    #[inline]
    pub(crate) fn factors(&self) -> &[Factors; 2] {
        &self.factors
    }

    /// Channels that exist, 1 to 16.
    #[inline]
    pub(crate) fn width(&self) -> usize {
        self.width
    }
}

/// What sets with vectors of 256 bits share.
pub(crate) mod halves {
    use core::arch::x86_64::*;

    /// 64 bytes.
    pub(crate) type Lanes = [__m256i; 2];

    /// # Safety
    /// 64 bytes from `from` are readable; AVX2.
    #[inline(always)]
    pub(crate) unsafe fn load(from: *const u8) -> Lanes {
        // SAFETY: the caller's promise.
        unsafe { [_mm256_loadu_si256(from.cast()), _mm256_loadu_si256(from.add(32).cast())] }
    }

    /// Nibbles of an even step and of an odd one.
    ///
    /// # Safety
    /// AVX2.
    #[inline(always)]
    pub(crate) unsafe fn nibbles([first, second]: Lanes) -> [Lanes; 2] {
        // SAFETY: the caller's promise.
        unsafe {
            let low = _mm256_set1_epi8(15);
            // The value of a nibble as a signed byte.
            let signed = _mm256_broadcastsi128_si256(_mm_setr_epi8(
                0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1,
            ));
            let odd = [_mm256_srli_epi16::<4>(first), _mm256_srli_epi16::<4>(second)];
            [
                [
                    _mm256_shuffle_epi8(signed, _mm256_and_si256(first, low)),
                    _mm256_shuffle_epi8(signed, _mm256_and_si256(second, low)),
                ],
                [
                    _mm256_shuffle_epi8(signed, _mm256_and_si256(odd[0], low)),
                    _mm256_shuffle_epi8(signed, _mm256_and_si256(odd[1], low)),
                ],
            ]
        }
    }

    /// `target = source ^ flip`.
    #[target_feature(enable = "avx2")]
    pub(crate) fn flip(source: &[u8], flip: u8, target: &mut [u8]) {
        for (target, byte) in target.iter_mut().zip(source) {
            *target = byte ^ flip;
        }
    }

    /// # Safety
    /// AVX2.
    #[inline(always)]
    pub(crate) unsafe fn add([first, second]: Lanes, value: i32) -> Lanes {
        // SAFETY: the caller's promise.
        unsafe {
            let value = _mm256_set1_epi32(value);
            [_mm256_add_epi32(first, value), _mm256_add_epi32(second, value)]
        }
    }
}

/// A tile of `MR` rows by 16 columns in vectors of 256 bits.
///
/// # Safety
/// The CPU has the instruction set of `D`.
#[inline(always)]
pub(crate) unsafe fn tile<
    D: Dot<Lanes = halves::Lanes, Columns = Columns>,
    const MR: usize,
    const WEIGHTS: u8,
>(
    t: &Tile,
    columns: &Columns,
    output: &mut [u8],
    pitch: usize,
) {
    let mut acc = [[columns.bias]; MR];
    // SAFETY: the caller's promise.
    unsafe { multiply::<D, MR, 1, WEIGHTS>(t, [*t.weights], &mut acc) };
    let acc: [_; MR] = core::array::from_fn(|r| acc[r][0]);
    if MR == ROWS {
        end_in_registers!(columns, acc, output, pitch, [0, 2, 4]);
    }
    // A copy: the accumulators above need no place in memory. SAFETY: the caller's promise.
    unsafe { finish(columns, &mut { acc }, output, pitch) };
}

/// The end of a tile whose accumulators need not stay in registers.
#[target_feature(enable = "avx2")]
pub(crate) fn end<const MR: usize>(
    columns: &Columns,
    acc: &mut [halves::Lanes; MR],
    output: &mut [u8],
    pitch: usize,
) {
    finish(columns, acc, output, pitch);
}

/// Calls `$tile::<MR, WEIGHTS>` for the rows and the weights of a tile.
macro_rules! tile_of {
    ($t:expr, [$($rows:literal),+], $most:expr, $tile:ident $args:tt) => {{
        use $crate::isa::avx2::gemm::quads::{S4, S8, U8};
        match ($t.rows, $t.weights) {
            $(
                ($rows, Weights::S4(_)) => $tile::<$rows, S4> $args,
                ($rows, Weights::U8(..)) => $tile::<$rows, U8> $args,
                ($rows, _) => $tile::<$rows, S8> $args,
            )+
            (_, Weights::S4(_)) => $tile::<$most, S4> $args,
            (_, Weights::U8(..)) => $tile::<$most, U8> $args,
            (_, _) => $tile::<$most, S8> $args,
        }
    }};
}
pub(crate) use tile_of;
