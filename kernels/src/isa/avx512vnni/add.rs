//! Addition and subtraction by the joint rule, 64 values at a time: [`crate::isa::avx2::add`], where its sums are derived, with
//! `vpdpwssd` for a product and an addition. The other rules go there.

use core::arch::x86_64::*;

use crate::isa::avx2;
use crate::isa::avx2::bytes::offset;
use crate::params::{Add, AddRule};
use crate::types::ElemType;

/// Values of a turn.
const VALUES: usize = 64;

/// See [`crate::registry::AddFn`].
#[target_feature(enable = "avx2,avx512bw,avx512vl,avx512vnni")]
pub(crate) fn add(p: &Add, first: Option<&[u8]>, second: &[u8], output: &mut [u8]) {
    let AddRule::Joint { m1, m2, shift } = p.rule else {
        return avx2::add::add(p, first, second, output);
    };
    let sum = Sum::new(p, [m1, if p.subtract { -m2 } else { m2 }], shift);
    match (p.output.elem, sum.plain) {
        (ElemType::U8, true) => sum.of_all::<PLAIN_U8>(first, second, output),
        (_, true) => sum.of_all::<PLAIN_S8>(first, second, output),
        _ => sum.of_all::<CLAMPED>(first, second, output),
    }
}

/// How sums become bytes: with nothing but saturation, or with limits of their own.
const PLAIN_S8: u8 = 0;
const PLAIN_U8: u8 = 1;
const CLAMPED: u8 = 2;

/// An addition, prepared: with `m = 4096 * h + l`, `H = a*h1 + b*h2` and `L = a*l1 + b*l2` it is
/// `floor((H + floor(L / 2^12) + 2^(s-13)) / 2^(s-12))`, zero points in the constants.
struct Sum {
    /// To u8.
    flips: [__m512i; 2],
    high: __m512i,
    low: __m512i,
    high_constant: __m512i,
    low_constant: __m512i,
    shift: __m128i,
    /// The zero point is in `high_constant`, and the limits are those of the type.
    plain: bool,
    zero_point: __m512i,
    lo: __m512i,
    hi: __m512i,
    flip: __m512i,
}

/// Largest shift with which the zero point fits in beside the sum: `255 * 2^(30 - 12)` is below 2^26.
const PLAIN_SHIFT: i32 = 30;

impl Sum {
    #[target_feature(enable = "avx512bw")]
    fn new(p: &Add, m: [i32; 2], shift: i32) -> Sum {
        let offsets = [offset(p.first.elem), offset(p.second.elem)];
        let zero_points = [p.first.zero_point + offsets[0], p.second.zero_point + offsets[1]];
        let words = |first: i32, second: i32| _mm512_set1_epi32(first & 0xffff | second << 16);
        let constant =
            -(i64::from(zero_points[0]) * i64::from(m[0]) + i64::from(zero_points[1]) * i64::from(m[1]));
        let output = &p.output;
        let plain = shift <= PLAIN_SHIFT && output.lo == output.elem.min() && output.hi == output.elem.max();
        let zero_point = if plain { output.zero_point << (shift - 12) } else { 0 };
        let out = offset(output.elem);
        Sum {
            flips: [_mm512_set1_epi8(offsets[0] as i8), _mm512_set1_epi8(offsets[1] as i8)],
            high: words(m[0] >> 12, m[1] >> 12),
            low: words(m[0] & 4095, m[1] & 4095),
            high_constant: _mm512_set1_epi32((constant >> 12) as i32 + (1 << (shift - 13)) + zero_point),
            low_constant: _mm512_set1_epi32((constant & 4095) as i32),
            shift: _mm_cvtsi32_si128(shift - 12),
            plain,
            zero_point: _mm512_set1_epi16((output.zero_point + out) as i16),
            lo: _mm512_set1_epi8((output.lo + out) as i8),
            hi: _mm512_set1_epi8((output.hi + out) as i8),
            flip: _mm512_set1_epi8(out as i8),
        }
    }

    /// Without a first operand that is what `output` holds.
    #[target_feature(enable = "avx2,avx512bw,avx512vnni")]
    fn of_all<const KIND: u8>(&self, first: Option<&[u8]>, second: &[u8], output: &mut [u8]) {
        let count = output.len();
        let (second, second_rest) = second[..count].as_chunks::<VALUES>();
        let (first, first_rest) = match first {
            Some(first) => first[..count].as_chunks::<VALUES>(),
            None => (&[][..], &[][..]),
        };
        let in_place = first.is_empty() && first_rest.is_empty();
        let (output, output_rest) = output.as_chunks_mut::<VALUES>();
        let mut tail = ([0; VALUES], [0; VALUES]);
        tail.0[..output_rest.len()].copy_from_slice(if in_place { output_rest } else { first_rest });
        tail.1[..output_rest.len()].copy_from_slice(second_rest);
        // The tail is the last turn of the same loop: with one call the sum is inlined.
        for i in 0..=output.len() {
            let b = load(second.get(i).unwrap_or(&tail.1));
            let a = if in_place { output.get(i) } else { first.get(i) };
            let bytes = self.of::<KIND>(load(a.unwrap_or(&tail.0)), b);
            let to = output.get_mut(i).unwrap_or(&mut tail.0);
            // SAFETY: 64 writable bytes.
            unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), bytes) };
        }
        output_rest.copy_from_slice(&tail.0[..output_rest.len()]);
    }

    /// 64 sums.
    #[inline]
    #[target_feature(enable = "avx2,avx512bw,avx512vnni")]
    fn of<const KIND: u8>(&self, a: __m512i, b: __m512i) -> __m512i {
        let (a, b) = (_mm512_xor_si512(a, self.flips[0]), _mm512_xor_si512(b, self.flips[1]));
        let zero = _mm512_setzero_si512();
        let (low, high) = (_mm512_unpacklo_epi8(a, b), _mm512_unpackhi_epi8(a, b));
        // Of four values in a row each, four times; narrowing brings them back in order.
        let words = [
            _mm512_packs_epi32(
                self.quad(_mm512_unpacklo_epi8(low, zero)),
                self.quad(_mm512_unpackhi_epi8(low, zero)),
            ),
            _mm512_packs_epi32(
                self.quad(_mm512_unpacklo_epi8(high, zero)),
                self.quad(_mm512_unpackhi_epi8(high, zero)),
            ),
        ];
        match KIND {
            PLAIN_S8 => _mm512_packs_epi16(words[0], words[1]),
            PLAIN_U8 => _mm512_packus_epi16(words[0], words[1]),
            _ => {
                let first = _mm512_adds_epi16(words[0], self.zero_point);
                let bytes = _mm512_packus_epi16(first, _mm512_adds_epi16(words[1], self.zero_point));
                _mm512_xor_si512(_mm512_min_epu8(_mm512_max_epu8(bytes, self.lo), self.hi), self.flip)
            }
        }
    }

    /// Rescaled sums of pairs of words.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vnni")]
    fn quad(&self, pairs: __m512i) -> __m512i {
        let low = _mm512_dpwssd_epi32(self.low_constant, pairs, self.low);
        let high = _mm512_dpwssd_epi32(self.high_constant, pairs, self.high);
        _mm512_sra_epi32(_mm512_add_epi32(high, _mm512_srai_epi32::<12>(low)), self.shift)
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(bytes: &[u8; VALUES]) -> __m512i {
    // SAFETY: 64 readable bytes.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}
