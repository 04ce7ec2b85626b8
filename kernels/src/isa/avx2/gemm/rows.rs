//! The end of a tile: accumulators of a row to outputs of 8, 16 or 32 bits.

use core::arch::x86_64::*;

use super::{Accumulators, Columns};
use crate::isa::avx2::{Narrow, ONCE, ONCE_AWAY, TWICE, in_order};
use crate::pack::panels::COLUMNS;
use crate::params::Output;
use crate::requant::Rounding;
use crate::types::ElemType;

/// What becomes of rescaled accumulators.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    Bytes(Narrow),
    Words(Words),
    /// The accumulators themselves.
    Raw,
}

impl End {
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn new(output: &Output) -> End {
        match output.elem {
            ElemType::S32 => End::Raw,
            ElemType::S16 => End::Words(Words::new(output)),
            ElemType::U8 | ElemType::S8 | ElemType::U4 | ElemType::S4 => End::Bytes(Narrow::new(output)),
        }
    }
}

/// Zero point and clamp of 16-bit outputs, in 32-bit lanes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words {
    zero_point: __m256i,
    /// The limits less the zero point: clamped before it is added, no value overflows.
    lo: __m256i,
    hi: __m256i,
}

impl Words {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new(output: &Output) -> Words {
        Words {
            zero_point: _mm256_set1_epi32(output.zero_point),
            lo: _mm256_set1_epi32(output.lo - output.zero_point),
            hi: _mm256_set1_epi32(output.hi - output.zero_point),
        }
    }

    /// `clamp(zero_point + value, lo, hi)`.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn finish(&self, values: __m256i) -> __m256i {
        let kept = _mm256_min_epi32(_mm256_max_epi32(values, self.lo), self.hi);
        _mm256_add_epi32(kept, self.zero_point)
    }
}

impl Columns {
    /// Bytes of a row of outputs.
    #[inline]
    pub(super) fn row_bytes(&self) -> usize {
        match self.end {
            End::Bytes(_) => self.width,
            End::Words(_) => 2 * self.width,
            End::Raw => 4 * self.width,
        }
    }

    /// Rescales, narrows and stores two rows of a tile of 16 columns none of which scales up.
    ///
    /// # Safety
    /// 16 bytes from `output` and from one `pitch` further are writable.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn finish_two<const ROUNDING: u8>(
        &self,
        narrow: &Narrow,
        [first, second]: [[__m256i; 2]; 2],
        output: *mut u8,
        pitch: usize,
    ) {
        let both = narrow.narrow([
            self.factors[0].round::<ROUNDING>(first[0]),
            self.factors[1].round::<ROUNDING>(first[1]),
            self.factors[0].round::<ROUNDING>(second[0]),
            self.factors[1].round::<ROUNDING>(second[1]),
        ]);
        // SAFETY: the caller's promise.
        unsafe {
            _mm_storeu_si128(output.cast(), _mm256_castsi256_si128(both));
            _mm_storeu_si128(output.add(pitch).cast(), _mm256_extracti128_si256::<1>(both));
        }
    }

    /// Rescales a tile in place, to rounded order. One half at a time, so that its factors stay in registers.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn rescale<const MR: usize, const HALVES: usize>(&self, acc: &mut Accumulators<MR, HALVES>) {
        match self.rounding {
            Rounding::Once => self.rescale_by::<MR, HALVES, ONCE>(acc),
            Rounding::Twice => self.rescale_by::<MR, HALVES, TWICE>(acc),
            Rounding::OnceAway => self.rescale_by::<MR, HALVES, ONCE_AWAY>(acc),
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn rescale_by<const MR: usize, const HALVES: usize, const ROUNDING: u8>(
        &self,
        acc: &mut Accumulators<MR, HALVES>,
    ) {
        for half in 0..HALVES {
            let factors = self.factors[half];
            if factors.scales_up() {
                acc.iter_mut().for_each(|row| row[half] = factors.scale_up(row[half]));
            }
            for row in &mut *acc {
                row[half] = factors.round::<ROUNDING>(row[half]);
            }
        }
    }
}

impl Words {
    /// One row of rescaled values, in rounded order, as words, which `output` has room for.
    #[target_feature(enable = "avx2")]
    pub(super) fn store<const HALVES: usize>(&self, row: [__m256i; HALVES], output: &mut [u8]) {
        let [first, second] = [row[0], row[HALVES - 1]].map(|values| self.finish(in_order(values)));
        // Words 0-3, 8-11 | 4-7, 12-15, then in order.
        let packed = _mm256_packs_epi32(first, second);
        store_lanes([_mm256_permute4x64_epi64::<0b11_01_10_00>(packed)], output);
    }
}

/// The first bytes of some vectors, as many as `output` has.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn store_lanes<const COUNT: usize>(lanes: [__m256i; COUNT], output: &mut [u8]) {
    let mut bytes = [[0u8; 32]; COUNT];
    for (bytes, lanes) in bytes.iter_mut().zip(lanes) {
        // SAFETY: 32 writable bytes.
        unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), lanes) };
    }
    output.copy_from_slice(&bytes.as_flattened()[..output.len()]);
}

/// The first `width` bytes of `bytes`, at the start of `output`.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn store(bytes: __m128i, output: &mut [u8], width: usize) {
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
