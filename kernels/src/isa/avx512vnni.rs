//! x86-64 AVX-512 VNNI: `vpdpbusd` on vectors of 512 bits. Beside it the kernels use AVX-512 F, BW and VL.

use core::arch::x86_64::*;

use super::avx2::Avx2;
use crate::params::Conv;
use crate::requant::Rounding;
use crate::types::ElemType;

pub(crate) mod add;
mod columns;
pub(crate) mod depthwise;
pub(crate) mod gemm;
mod loops;

/// Proof that the CPU has AVX2 and AVX-512 BW, VL and VNNI.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512Vnni(Avx2);

impl Avx512Vnni {
    /// # Safety
    /// The CPU has AVX2 and AVX-512 BW, VL and VNNI.
    #[inline]
    pub(crate) unsafe fn new() -> Avx512Vnni {
        // SAFETY: the caller's promise.
        Avx512Vnni(unsafe { Avx2::new() })
    }
}

/// How rescaled values become bytes, as constants. One rounding, the zero point added before its shift and no limits but those
/// of the type: nothing is left to do but to saturate.
const PLAIN_S8: u8 = 0;
const PLAIN_U8: u8 = 1;
/// One rounding, and two.
const ONCE: u8 = 2;
const TWICE: u8 = 3;

/// The end of an operation with an 8-bit output: [`super::avx2::Narrow`] of 64 values.
#[derive(Clone, Copy, Debug)]
struct Narrow {
    /// One of the constants above.
    kind: u8,
    /// In 16-bit lanes; for u8 less 128, like the limits.
    zero_point: __m512i,
    lo: __m512i,
    hi: __m512i,
    /// 0x80 for u8: back from the signed form.
    flip: __m512i,
}

/// Largest right shift of the plain kinds: with the zero point that many places higher a sum stays below 2^31.
const PLAIN_SHIFT: i32 = 16;

/// `round + zero_point * 2^right`: adding an integer commutes with the floor of a shift.
#[inline]
#[target_feature(enable = "avx512f")]
fn with_zero_point(round: __m512i, right: __m512i, zero_point: i32) -> __m512i {
    _mm512_add_epi32(round, _mm512_sllv_epi32(_mm512_set1_epi32(zero_point), right))
}

/// The high 32 bits of the products of even lanes and of odd ones, in the order of the lanes.
#[inline]
#[target_feature(enable = "avx512f")]
fn high_halves(even: __m512i, odd: __m512i) -> __m512i {
    _mm512_mask_shuffle_epi32::<0b11_11_01_01>(odd, 0x5555, even)
}

impl Narrow {
    /// For channels with these right shifts, of which `lanes` exist. The caller adds the zero point of a plain kind.
    #[inline]
    #[target_feature(enable = "avx512bw")]
    fn new(p: &Conv, rights: &[__m512i], lanes: u16) -> Narrow {
        let output = &p.output;
        let offset = if output.elem == ElemType::U8 { 128 } else { 0 };
        let mut small = output.lo == output.elem.min() && output.hi == output.elem.max();
        for &right in rights {
            small &= _mm512_mask_cmpgt_epi32_mask(lanes, right, _mm512_set1_epi32(PLAIN_SHIFT)) == 0;
        }
        Narrow {
            kind: match (p.rounding, small, offset) {
                (Rounding::Twice, ..) => TWICE,
                (_, true, 0) => PLAIN_S8,
                (_, true, _) => PLAIN_U8,
                _ => ONCE,
            },
            zero_point: _mm512_set1_epi16((output.zero_point - offset) as i16),
            lo: _mm512_set1_epi8((output.lo - offset) as i8),
            hi: _mm512_set1_epi8((output.hi - offset) as i8),
            flip: _mm512_set1_epi8(offset as i8),
        }
    }

    /// Whether [`with_zero_point`] belongs to the rounding.
    fn is_plain(&self) -> bool {
        self.kind <= PLAIN_U8
    }

    /// [`Narrow::bytes`] in the order of the values.
    #[inline]
    #[target_feature(enable = "avx512bw")]
    fn in_order<const KIND: u8>(&self, values: [__m512i; 4]) -> __m512i {
        let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        _mm512_permutexvar_epi32(order, self.bytes::<KIND>(values))
    }

    /// `clamp(zero_point + value, lo, hi)` of four times 16 values: four values of each vector in turn, four times. The
    /// saturating steps change only what the clamp moves to the same limit.
    #[inline]
    #[target_feature(enable = "avx512bw")]
    fn bytes<const KIND: u8>(&self, [a, b, c, d]: [__m512i; 4]) -> __m512i {
        let words = [_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d)];
        match KIND {
            PLAIN_S8 => _mm512_packs_epi16(words[0], words[1]),
            PLAIN_U8 => _mm512_packus_epi16(words[0], words[1]),
            _ => {
                let first = _mm512_adds_epi16(words[0], self.zero_point);
                let bytes = _mm512_packs_epi16(first, _mm512_adds_epi16(words[1], self.zero_point));
                _mm512_xor_si512(_mm512_min_epi8(_mm512_max_epi8(bytes, self.lo), self.hi), self.flip)
            }
        }
    }
}
