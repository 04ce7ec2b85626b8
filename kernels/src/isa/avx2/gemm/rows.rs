//! The end of a tile: accumulators of a row to outputs of 8, 16 or 32 bits.

use core::arch::x86_64::*;

use super::Columns;
use crate::isa::avx2::{Factors, Narrow, ONCE, ONCE_AWAY, TWICE};
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

    /// Rescales and narrows two rows: 16 bytes each.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn bytes<const HALVES: usize>(
        &self,
        narrow: &Narrow,
        first: [__m256i; HALVES],
        second: [__m256i; HALVES],
    ) -> __m256i {
        match self.rounding {
            Rounding::Once => self.narrowed::<HALVES, ONCE>(narrow, first, second),
            Rounding::Twice => self.narrowed::<HALVES, TWICE>(narrow, first, second),
            Rounding::OnceAway => self.narrowed::<HALVES, ONCE_AWAY>(narrow, first, second),
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn narrowed<const HALVES: usize, const ROUNDING: u8>(
        &self,
        narrow: &Narrow,
        mut first: [__m256i; HALVES],
        mut second: [__m256i; HALVES],
    ) -> __m256i {
        for half in 0..HALVES {
            let factors = &self.factors[half];
            first[half] = self.rescaled::<ROUNDING>(factors, first[half]);
            second[half] = self.rescaled::<ROUNDING>(factors, second[half]);
        }
        narrow.narrow([first[0], first[HALVES - 1], second[0], second[HALVES - 1]])
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn rescaled<const ROUNDING: u8>(&self, factors: &Factors, acc: __m256i) -> __m256i {
        factors.round::<ROUNDING>(if self.scaled_up { factors.scale_up(acc) } else { acc })
    }

    /// One row of 16- or 32-bit outputs, which `output` has room for.
    #[target_feature(enable = "avx2")]
    pub(super) fn store_wide<const HALVES: usize>(&self, mut row: [__m256i; HALVES], output: &mut [u8]) {
        let End::Words(words) = &self.end else { return store_lanes(row, output) };
        for (half, lanes) in row.iter_mut().enumerate() {
            let factors = &self.factors[half];
            *lanes = words.finish(match self.rounding {
                Rounding::Once => self.rescaled::<ONCE>(factors, *lanes),
                Rounding::Twice => self.rescaled::<TWICE>(factors, *lanes),
                Rounding::OnceAway => self.rescaled::<ONCE_AWAY>(factors, *lanes),
            });
        }
        // Words 0-3, 8-11 | 4-7, 12-15, then in order.
        let packed = _mm256_packs_epi32(row[0], row[HALVES - 1]);
        store_lanes([_mm256_permute4x64_epi64::<0b11_01_10_00>(packed)], output);
    }
}

/// The first bytes of some vectors, as many as `output` has.
#[inline]
#[target_feature(enable = "avx2")]
fn store_lanes<const COUNT: usize>(lanes: [__m256i; COUNT], output: &mut [u8]) {
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
