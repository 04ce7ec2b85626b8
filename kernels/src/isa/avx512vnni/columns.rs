//! The end of a tile in vectors of 512 bits: a vector is the 16 columns of a panel.

use core::arch::x86_64::*;

use crate::isa::avx2::gemm as avx2;
use crate::isa::avx2::{ONCE, TWICE};
use crate::pack::panels::COLUMNS;
use crate::params::{Conv, Output};
use crate::requant::Rounding;
use crate::types::ElemType;

/// The epilogue of one panel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns {
    /// What the sums of a row start from.
    pub(super) bias: __m512i,
    factors: Factors,
    /// `None` where the output has more than 8 bits, a column scales up, or the rounding is of another kind.
    narrow: Option<Narrow>,
    /// Channels that exist, 1 to 16.
    width: usize,
    /// For the other kinds.
    halves: avx2::Columns,
}

/// [`crate::isa::avx2::Factors`] of 16 lanes none of which scales up.
#[derive(Clone, Copy, Debug)]
struct Factors {
    multiplier: __m512i,
    /// The multipliers of the odd lanes, in the even lanes.
    multiplier_odd: __m512i,
    right: __m512i,
    round: __m512i,
}

/// [`crate::isa::avx2::Narrow`] of 64 values.
#[derive(Clone, Copy, Debug)]
struct Narrow {
    rounding: Rounding,
    /// In 16-bit lanes; for u8 less 128, like the limits.
    zero_point: __m512i,
    lo: __m512i,
    hi: __m512i,
    /// 0x80 for u8: back from the signed form.
    flip: __m512i,
}

impl Factors {
    #[inline]
    #[target_feature(enable = "avx2,avx512f")]
    fn new([first, second]: &[crate::isa::avx2::Factors; 2]) -> Factors {
        let ([multiplier, right, round], second) = (first.in_lanes(), second.in_lanes());
        let both = |first, second| _mm512_inserti64x4::<1>(_mm512_castsi256_si512(first), second);
        let multiplier = both(multiplier, second[0]);
        Factors {
            multiplier,
            multiplier_odd: _mm512_srli_epi64::<32>(multiplier),
            right: both(right, second[1]),
            round: both(round, second[2]),
        }
    }

    /// The rounding of [`crate::isa::avx2::Factors::round`], where its bounds are argued, in the order of the lanes.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn round<const ROUNDING: u8>(&self, acc: __m512i) -> __m512i {
        let even = _mm512_mul_epi32(acc, self.multiplier);
        let odd = _mm512_mul_epi32(_mm512_srli_epi64::<32>(acc), self.multiplier_odd);
        if ROUNDING == ONCE {
            let high = _mm512_add_epi32(high_halves(even, odd), self.round);
            return _mm512_srav_epi32(high, self.right);
        }
        let doubled = |product| _mm512_slli_epi64::<1>(_mm512_add_epi64(product, _mm512_set1_epi64(1 << 30)));
        let high = high_halves(doubled(even), doubled(odd));
        // Up when the remainder exceeds one half, a negative value only when it exceeds it by one more.
        let threshold = _mm512_sub_epi32(_mm512_srli_epi32::<1>(self.round), _mm512_srai_epi32::<31>(high));
        let up = _mm512_cmpgt_epi32_mask(_mm512_and_si512(high, self.round), threshold);
        let down = _mm512_srav_epi32(high, self.right);
        _mm512_mask_add_epi32(down, up, down, _mm512_set1_epi32(1))
    }
}

/// The high 32 bits of the products of even lanes and of odd ones, in the order of the lanes.
#[inline]
#[target_feature(enable = "avx512f")]
fn high_halves(even: __m512i, odd: __m512i) -> __m512i {
    _mm512_mask_shuffle_epi32::<0b11_11_01_01>(odd, 0x5555, even)
}

impl Narrow {
    #[inline]
    #[target_feature(enable = "avx512bw")]
    fn new(output: &Output, rounding: Rounding) -> Narrow {
        let offset = if output.elem == ElemType::U8 { 128 } else { 0 };
        Narrow {
            rounding,
            zero_point: _mm512_set1_epi16((output.zero_point - offset) as i16),
            lo: _mm512_set1_epi8((output.lo - offset) as i8),
            hi: _mm512_set1_epi8((output.hi - offset) as i8),
            flip: _mm512_set1_epi8(offset as i8),
        }
    }

    /// `clamp(zero_point + value, lo, hi)` of four times 16 values, in order: [`crate::isa::avx2::Narrow::narrow`].
    #[inline]
    #[target_feature(enable = "avx512bw")]
    fn narrow(&self, [a, b, c, d]: [__m512i; 4]) -> __m512i {
        let words = [
            _mm512_adds_epi16(_mm512_packs_epi32(a, b), self.zero_point),
            _mm512_adds_epi16(_mm512_packs_epi32(c, d), self.zero_point),
        ];
        // Four values of each of the vectors in turn, four times.
        let bytes = _mm512_packs_epi16(words[0], words[1]);
        let bytes = _mm512_min_epi8(_mm512_max_epi8(bytes, self.lo), self.hi);
        let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        _mm512_permutexvar_epi32(order, _mm512_xor_si512(bytes, self.flip))
    }
}

impl Columns {
    #[target_feature(enable = "avx2,avx512bw,avx512vl")]
    pub(super) fn new(p: &Conv, halves: avx2::Columns) -> Columns {
        let [first, second] = halves.bias();
        let narrow = matches!(p.output.elem, ElemType::U8 | ElemType::S8)
            && p.rounding != Rounding::OnceAway
            && !halves.factors().iter().any(|factors| factors.scales_up());
        Columns {
            bias: _mm512_inserti64x4::<1>(_mm512_castsi256_si512(first), second),
            factors: Factors::new(halves.factors()),
            narrow: narrow.then(|| Narrow::new(&p.output, p.rounding)),
            width: halves.width(),
            halves,
        }
    }
}

/// Rescales, narrows and stores the rows of a panel, and of its neighbour where there is one. Not inlined: the bodies for the
/// types of weights share it. The neighbour's bytes are `second_at` further in a row.
#[inline(never)]
#[target_feature(enable = "avx2,avx512bw,avx512vl")]
pub(super) fn end<const MR: usize, const PANELS: usize>(
    columns: [&Columns; PANELS],
    second_at: usize,
    acc: &[[__m512i; PANELS]; MR],
    output: &mut [u8],
    pitch: usize,
) {
    match &columns[0].narrow {
        Some(narrow) if columns[PANELS - 1].narrow.is_some() => match narrow.rounding {
            Rounding::Twice => bytes::<MR, PANELS, TWICE>(columns, narrow, acc, output, pitch),
            Rounding::Once | Rounding::OnceAway => bytes::<MR, PANELS, ONCE>(columns, narrow, acc, output, pitch),
        },
        _ => {
            for (i, columns) in columns.into_iter().enumerate() {
                let mut acc = acc.map(|row| {
                    [_mm512_castsi512_si256(row[i]), _mm512_extracti64x4_epi64::<1>(row[i])]
                });
                avx2::quads::end(&columns.halves, &mut acc, &mut output[i * second_at..], pitch);
            }
        }
    }
}

/// The end of a tile of bytes.
#[inline]
#[target_feature(enable = "avx2,avx512bw,avx512vl")]
fn bytes<const MR: usize, const PANELS: usize, const ROUNDING: u8>(
    columns: [&Columns; PANELS],
    narrow: &Narrow,
    acc: &[[__m512i; PANELS]; MR],
    output: &mut [u8],
    pitch: usize,
) {
    let width = (PANELS - 1) * COLUMNS + columns[PANELS - 1].width;
    assert!((MR - 1) * pitch + width <= output.len() && width <= pitch);
    let value = |row: usize, panel: usize| columns[panel].factors.round::<ROUNDING>(acc[row.min(MR - 1)][panel]);
    let start = output.as_mut_ptr();
    let to = |row: usize| start.wrapping_add(row * pitch);
    if PANELS == 2 {
        let mask = u32::MAX >> (2 * COLUMNS - width);
        for row in (0..MR).step_by(2) {
            let both = narrow.narrow([value(row, 0), value(row, 1), value(row + 1, 0), value(row + 1, 1)]);
            // SAFETY: by the assertion `width` bytes of each row are inside `output`.
            unsafe {
                _mm256_mask_storeu_epi8(to(row).cast(), mask, _mm512_castsi512_si256(both));
                if row + 1 < MR {
                    _mm256_mask_storeu_epi8(to(row + 1).cast(), mask, _mm512_extracti64x4_epi64::<1>(both));
                }
            }
        }
    } else {
        let mask = u16::MAX >> (COLUMNS - width);
        for row in (0..MR).step_by(4) {
            let four = narrow.narrow([value(row, 0), value(row + 1, 0), value(row + 2, 0), value(row + 3, 0)]);
            let rows = [
                _mm512_castsi512_si128(four),
                _mm512_extracti32x4_epi32::<1>(four),
                _mm512_extracti32x4_epi32::<2>(four),
                _mm512_extracti32x4_epi32::<3>(four),
            ];
            for (at, bytes) in rows.into_iter().enumerate() {
                if row + at < MR {
                    // SAFETY: by the assertion `width` bytes of each row are inside `output`.
                    unsafe { _mm_mask_storeu_epi8(to(row + at).cast(), mask, bytes) };
                }
            }
        }
    }
}
