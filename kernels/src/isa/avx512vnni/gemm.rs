//! The 14x32 micro-kernel: a vector is the 16 columns of a panel, and a tile has two panels.
//!
//! 28 accumulators, two vectors of weights and a broadcast fill the 32 registers. Fourteen divides the pixels of the usual
//! feature maps (112, 56, 28, 14 and 7 squared), and many rows keep the loads of deep panels from the second-level cache below
//! what it gives.

use core::arch::x86_64::*;
use core::mem::MaybeUninit;
use core::ops::Range;

use super::Avx512Vnni;
use super::columns::{Columns, end};
use super::loops::{self, Source, Sums};
use crate::isa::avx2::gemm::quads::{self, Dot, S4, S8, U8, tile_of};
use crate::isa::avx2::{self, Avx2};
use crate::ops::gemm::{Activations, MAX_ROWS, Second, Tile, Weights};
use crate::pack::panels::QUAD_BYTES;
use crate::params::Conv;

/// Rows of a full tile.
pub(super) const ROWS: usize = 14;

impl Dot for Avx512Vnni {
    type Lanes = __m512i;
    type Columns = Columns;
    const ROWS: usize = ROWS;
    const PART_ROWS: usize = ROWS / 2;
    const PAIRS: bool = true;

    fn avx2(self) -> Avx2 {
        self.0
    }

    fn columns(self, p: &Conv, columns: avx2::gemm::Columns) -> Columns {
        // SAFETY: the token proves AVX-512 BW and VL.
        unsafe { Columns::new(p, columns) }
    }

    #[inline]
    fn tile(self, t: &Tile, columns: &Columns, output: &mut [u8], pitch: usize) {
        // SAFETY: the token proves AVX2 and AVX-512 BW, VL and VNNI.
        unsafe { tile_of!(t, [1, 2, 3, 4, 5, 6, 7], { ROWS }, tile(t, columns, output, pitch)) }
    }

    #[inline]
    fn pair(self, t: &Tile, columns: &Columns, second: Second<Columns>, output: &mut [u8], pitch: usize) {
        // SAFETY: the token proves AVX2 and AVX-512 BW, VL and VNNI.
        unsafe {
            match (t.rows, t.weights) {
                (ROWS, Weights::S4(_)) => full_pair::<S4>(t, columns, second, output, pitch),
                (ROWS, Weights::U8(..)) => full_pair::<U8>(t, columns, second, output, pitch),
                (ROWS, _) => full_pair::<S8>(t, columns, second, output, pitch),
                _ => tile_of!(t, [1, 2, 3, 4, 5, 6], { ROWS / 2 }, pair(t, columns, second, output, pitch)),
            }
        }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn nibbles(codes: __m512i) -> [__m512i; 2] {
        // SAFETY: the caller's promise.
        unsafe {
            let low = _mm512_set1_epi8(15);
            // The value of a nibble as a signed byte.
            let signed =
                _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1));
            let odd = _mm512_srli_epi16::<4>(codes);
            [
                _mm512_shuffle_epi8(signed, _mm512_and_si512(codes, low)),
                _mm512_shuffle_epi8(signed, _mm512_and_si512(odd, low)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn dot(sums: __m512i, row: *const u8, weights: __m512i) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe {
            let x = _mm512_set1_epi32(row.cast::<i32>().read_unaligned());
            _mm512_dpbusd_epi32(sums, x, weights)
        }
    }

    #[inline(always)]
    unsafe fn add(sums: __m512i, value: i32) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_add_epi32(sums, _mm512_set1_epi32(value)) }
    }
}

/// A tile of `MR` rows by one panel.
#[target_feature(enable = "avx2,avx512bw,avx512vl,avx512vnni")]
fn tile<const MR: usize, const WEIGHTS: u8>(t: &Tile, columns: &Columns, output: &mut [u8], pitch: usize) {
    let mut acc = [[columns.bias]; MR];
    // SAFETY: the target features.
    unsafe { quads::multiply::<Avx512Vnni, MR, 1, WEIGHTS>(t, [*t.weights], &mut acc) };
    // A copy: the accumulators above need no place in memory.
    end([columns], 0, &{ acc }, output, pitch);
}

/// A tile of `MR` rows by two panels.
#[target_feature(enable = "avx2,avx512bw,avx512vl,avx512vnni")]
fn pair<const MR: usize, const WEIGHTS: u8>(
    t: &Tile,
    columns: &Columns,
    second: Second<Columns>,
    output: &mut [u8],
    pitch: usize,
) {
    let mut acc = [[columns.bias, second.columns.bias]; MR];
    // SAFETY: the target features.
    unsafe { quads::multiply::<Avx512Vnni, MR, 2, WEIGHTS>(t, [*t.weights, second.weights], &mut acc) };
    // A copy: the accumulators above need no place in memory.
    end([columns, second.columns], second.at, &{ acc }, output, pitch);
}

/// A full tile by two panels.
#[target_feature(enable = "avx2,avx512bw,avx512vl,avx512vnni")]
fn full_pair<const WEIGHTS: u8>(
    t: &Tile,
    columns: &Columns,
    second: Second<Columns>,
    output: &mut [u8],
    pitch: usize,
) {
    match t.step.or_else(|| distance(&t.first)) {
        Some(distance) => {
            let mut sums = MaybeUninit::uninit();
            multiply::<WEIGHTS>(t, distance, columns, second, &mut sums);
            // SAFETY: `multiply` writes all of them.
            let sums = unsafe { sums.assume_init_ref() };
            end([columns, second.columns], second.at, sums, output, pitch);
        }
        None => two_halves::<WEIGHTS>(t, columns, second, output, pitch),
    }
}

/// The bytes between neighbours of the rows 0 to 6 and 7 to 13, if they are always the same.
#[cold]
fn distance(first: &[usize; MAX_ROWS]) -> Option<usize> {
    let distance = first[1].wrapping_sub(first[0]);
    let (groups, _) = first.as_chunks::<{ ROWS / 2 }>();
    let mut pairs = groups.iter().flat_map(|group| group.windows(2));
    pairs.all(|pair| pair[1].wrapping_sub(pair[0]) == distance).then_some(distance)
}

/// A full tile whose rows lie anyhow.
#[cold]
#[target_feature(enable = "avx2,avx512bw,avx512vl,avx512vnni")]
fn two_halves<const WEIGHTS: u8>(
    t: &Tile,
    columns: &Columns,
    second: Second<Columns>,
    output: &mut [u8],
    pitch: usize,
) {
    let mut half = Tile { rows: ROWS / 2, ..*t };
    pair::<{ ROWS / 2 }, WEIGHTS>(&half, columns, second, output, pitch);
    half.first.copy_within(ROWS / 2.., 0);
    pair::<{ ROWS / 2 }, WEIGHTS>(&half, columns, second, &mut output[ROWS / 2 * pitch..], pitch);
}

/// The sums of a full tile whose rows lie `distance` apart, seven by seven.
#[inline]
#[target_feature(enable = "avx2,avx512bw,avx512vl,avx512vnni")]
fn multiply<const WEIGHTS: u8>(
    t: &Tile,
    distance: usize,
    columns: &Columns,
    second: Second<Columns>,
    sums: &mut MaybeUninit<Sums>,
) {
    let Activations { bytes, runs, run_step, steps } = *t.activations;
    let panels = match (WEIGHTS, *t.weights, second.weights) {
        (S8, Weights::S8(first), Weights::S8(second)) => [first, second],
        (U8, Weights::U8(first, _), Weights::U8(second, _)) => [first, second],
        (S4, Weights::S4(first), Weights::S4(second)) => [first, second],
        _ => unreachable!("both panels have the weights of the layer"),
    };
    let (turns, step) = if WEIGHTS == S4 { (steps / 2, 8) } else { (steps, 4) };
    assert!(runs > 0 && panels.iter().all(|panel| runs * turns * QUAD_BYTES == panel.len()));
    // The last byte that a row reads is `reach` behind its first one. Saturating: an offset that wrapped must not pass.
    let reach = (runs - 1).saturating_mul(run_step).saturating_add(step * turns);
    let reach = reach.saturating_add(distance.saturating_mul(ROWS / 2 - 1));
    let first = [t.first[0], t.first[ROWS / 2]];
    assert!(bytes.len().checked_sub(reach).is_some_and(|last| first[0].max(first[1]) <= last));
    let corrections = match *t.weights {
        Weights::U8(_, zero_point) => {
            quads::checked::<ROWS, 1, U8>(t, [*t.weights]);
            // SAFETY: `checked`.
            unsafe { quads::corrections::<ROWS>(t, zero_point) }
        }
        // Not read.
        _ => [0; ROWS],
    };
    let source = Source {
        biases: [columns.bias, second.columns.bias],
        corrections: &corrections,
        rows: first.map(|first| bytes.as_ptr().wrapping_add(first)),
        distance,
        runs,
        run_step,
        turns,
        panels: panels.map(<[u8]>::as_ptr),
        ahead: t.fetched(2 * panels[0].len()),
    };
    // SAFETY: by the assertions every activation and weight is there.
    unsafe {
        match WEIGHTS {
            S4 => loops::nibbles(&source, sums),
            U8 => loops::bytes_corrected(&source, sums),
            _ => loops::bytes(&source, sums),
        }
    }
}

/// The `ConvFn` of the AVX-512 VNNI rows.
///
/// # Safety
/// The CPU has AVX2 and AVX-512 BW, VL and VNNI.
pub(crate) unsafe fn conv(
    p: &Conv,
    packed: &[u8],
    input: &[u8],
    rows: Range<usize>,
    output: &mut [u8],
    scratch: &mut [u8],
) {
    // SAFETY: the caller's promise.
    let isa = unsafe { Avx512Vnni::new() };
    crate::ops::gemm::run(isa, p, packed, input, rows, output, scratch);
}
