//! The end of a tile in vectors of 512 bits: a vector is the 16 columns of a panel.

use core::arch::x86_64::*;

use super::{Narrow, ONCE, PLAIN_S8, PLAIN_U8, TWICE, high_halves, with_zero_point};
use crate::isa::avx2::gemm as avx2;
use crate::pack::panels::COLUMNS;
use crate::params::Conv;
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
    fn round<const KIND: u8>(&self, acc: __m512i) -> __m512i {
        let even = _mm512_mul_epi32(acc, self.multiplier);
        let odd = _mm512_mul_epi32(_mm512_srli_epi64::<32>(acc), self.multiplier_odd);
        if KIND != TWICE {
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

impl Columns {
    #[target_feature(enable = "avx2,avx512bw,avx512vl")]
    pub(super) fn new(p: &Conv, halves: avx2::Columns) -> Columns {
        let [first, second] = halves.bias();
        let mut factors = Factors::new(halves.factors());
        let narrow = matches!(p.output.elem, ElemType::U8 | ElemType::S8)
            && p.rounding != Rounding::OnceAway
            && !halves.factors().iter().any(|factors| factors.scales_up());
        let narrow = narrow.then(|| Narrow::new(p, &[factors.right], u16::MAX >> (COLUMNS - halves.width())));
        if narrow.is_some_and(|narrow| narrow.is_plain()) {
            factors.round = with_zero_point(factors.round, factors.right, p.output.zero_point);
        }
        Columns {
            bias: _mm512_inserti64x4::<1>(_mm512_castsi256_si512(first), second),
            factors,
            narrow,
            width: halves.width(),
            halves,
        }
    }
}

impl Columns {
    /// How values become bytes, if they do here.
    fn kind(&self) -> Option<u8> {
        self.narrow.map(|narrow| narrow.kind)
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
    match columns[0].narrow.as_ref() {
        Some(narrow) if columns[PANELS - 1].kind() == columns[0].kind() => match narrow.kind {
            PLAIN_S8 => bytes::<MR, PANELS, PLAIN_S8>(columns, narrow, acc, output, pitch),
            PLAIN_U8 => bytes::<MR, PANELS, PLAIN_U8>(columns, narrow, acc, output, pitch),
            TWICE => bytes::<MR, PANELS, TWICE>(columns, narrow, acc, output, pitch),
            _ => bytes::<MR, PANELS, ONCE>(columns, narrow, acc, output, pitch),
        },
        _ if PANELS > 1 => {
            // Panels of different kinds, one by one.
            for (i, columns) in columns.into_iter().enumerate() {
                end([columns], 0, &acc.map(|row| [row[i]]), &mut output[i * second_at..], pitch);
            }
        }
        _ => {
            let halves = |row: [__m512i; PANELS]| {
                [_mm512_castsi512_si256(row[0]), _mm512_extracti64x4_epi64::<1>(row[0])]
            };
            avx2::quads::end(&columns[0].halves, &mut acc.map(halves), output, pitch);
        }
    }
}

/// The end of a tile of bytes.
#[inline]
#[target_feature(enable = "avx2,avx512bw,avx512vl")]
fn bytes<const MR: usize, const PANELS: usize, const KIND: u8>(
    columns: [&Columns; PANELS],
    narrow: &Narrow,
    acc: &[[__m512i; PANELS]; MR],
    output: &mut [u8],
    pitch: usize,
) {
    let width = (PANELS - 1) * COLUMNS + columns[PANELS - 1].width;
    assert!((MR - 1) * pitch + width <= output.len() && width <= pitch);
    let value = |row: usize, panel: usize| columns[panel].factors.round::<KIND>(acc[row.min(MR - 1)][panel]);
    let start = output.as_mut_ptr();
    let to = |row: usize| start.wrapping_add(row * pitch);
    if PANELS == 2 {
        let mask = u32::MAX >> (2 * COLUMNS - width);
        for row in (0..MR).step_by(2) {
            let both =
                narrow.in_order::<KIND>([value(row, 0), value(row, 1), value(row + 1, 0), value(row + 1, 1)]);
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
            let four = narrow.in_order::<KIND>([
                value(row, 0),
                value(row + 1, 0),
                value(row + 2, 0),
                value(row + 3, 0),
            ]);
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
