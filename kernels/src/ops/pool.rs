//! Average and maximum pooling: plain Rust over runs of channels, compiled once for every CPU and once for AVX2.

use core::ops::Range;

use crate::params::{AveragePool, AverageRule, MaxPool};
use crate::requant::{Dyadic, rescale_once};
use crate::types::ElemType;

/// Channels that are summed together.
const CHANNELS: usize = 32;

/// 8-bit types, and sums that fit 32 bits.
pub(crate) fn accepts_average(p: &AveragePool) -> bool {
    p.input.elem.bits() == 8 && p.output.elem.bits() == 8
}

/// 8-bit types.
pub(crate) fn accepts_max(p: &MaxPool) -> bool {
    p.elem.bits() == 8
}

/// s16.
pub(crate) fn accepts_max_words(p: &MaxPool) -> bool {
    p.elem == ElemType::S16
}

/// See [`crate::registry::AveragePoolFn`].
#[inline(always)]
pub(crate) fn average_pool(p: &AveragePool, input: &[u8], pixels: Range<usize>, output: &mut [u8]) {
    let (y, x) = (&p.window.y, &p.window.x);
    let mut output = output.chunks_exact_mut(p.channels);
    for segment in p.window.segments(pixels) {
        let rows = y.valid_taps(segment.oy);
        for (ox, out) in segment.ox.zip(&mut output) {
            let columns = x.valid_taps(ox);
            let average = Average::new(p, rows.len() * columns.len());
            for (first, out) in (0..p.channels).step_by(CHANNELS).zip(out.chunks_mut(CHANNELS)) {
                let mut sums = [0i32; CHANNELS];
                for ky in rows.clone() {
                    let iy = segment.oy * y.stride + ky * y.dilation - y.pad;
                    for kx in columns.clone() {
                        let ix = ox * x.stride + kx * x.dilation - x.pad;
                        let at = ((segment.picture * y.input + iy) * x.input + ix) * p.channels + first;
                        add_values(p.input.elem, &input[at..at + out.len()], &mut sums);
                    }
                }
                average.finish(&sums, out);
            }
        }
    }
}

/// Adds up to [`CHANNELS`] values of `elem`, u8 or s8, to the sums.
#[inline(always)]
pub(super) fn add_values(elem: ElemType, bytes: &[u8], sums: &mut [i32; CHANNELS]) {
    // The usual length as an array: the loop is then all vectors.
    if let Ok(bytes) = <&[u8; CHANNELS]>::try_from(bytes) {
        add_some(elem, bytes, sums);
    } else {
        add_some(elem, bytes, sums);
    }
}

#[inline(always)]
fn add_some(elem: ElemType, bytes: &[u8], sums: &mut [i32; CHANNELS]) {
    let signed = elem == ElemType::S8;
    if signed {
        sums.iter_mut().zip(bytes).for_each(|(sum, &byte)| *sum = sum.wrapping_add(i32::from(byte as i8)));
    } else {
        sums.iter_mut().zip(bytes).for_each(|(sum, &byte)| *sum = sum.wrapping_add(i32::from(byte)));
    }
}

/// The end of an average over `count` values.
struct Average<'a> {
    p: &'a AveragePool<'a>,
    count: i32,
    end: End,
}

enum End {
    /// No value.
    Nothing,
    Rescale(Dyadic),
    /// `x / count` as `x * reciprocal / 2^24`.
    Reciprocal(u32),
    /// `x / count` as `x * reciprocal / 2^55`.
    LongReciprocal(u64),
}

/// Largest count whose quotients are taken by [`reciprocal`].
const MAX_RECIPROCAL: usize = 256;

/// `ceil(2^55 / n)`, for the counts beyond: `n <= 2^23`, so that `x < 2^31` and the quotient is too large by less than
/// `x / 2^55 < 1 / n`; the product is below `257 * 2^55`.
const fn long_reciprocal(n: u64) -> u64 {
    (1u64 << 55).div_ceil(n)
}

/// `ceil(2^24 / n)`. For `n <= 256` and `x <= 255n + n/2`, the sums of n bytes and their rounder, `x / n` is
/// `x * ceil(2^24 / n) / 2^24`: the reciprocal is too large by less than `n / (n * 2^24)`, so the quotient by less
/// than `x / 2^24 < 1 / n`, and the product stays below 2^32.
const fn reciprocal(n: u32) -> u32 {
    (1u32 << 24).div_ceil(n)
}

impl Average<'_> {
    #[inline(always)]
    fn new<'a>(p: &'a AveragePool, count: usize) -> Average<'a> {
        let end = match p.rule {
            _ if count == 0 => End::Nothing,
            AverageRule::Rescale { multipliers, shifts } => {
                End::Rescale(Dyadic { multiplier: multipliers[count - 1], shift: shifts[count - 1] })
            }
            AverageRule::RawHalfAway if count <= MAX_RECIPROCAL => End::Reciprocal(reciprocal(count as u32)),
            AverageRule::RawHalfAway => End::LongReciprocal(long_reciprocal(count as u64)),
        };
        Average { p, count: count as i32, end }
    }

    #[inline(always)]
    fn finish(&self, sums: &[i32; CHANNELS], out: &mut [u8]) {
        let (p, count) = (self.p, self.count);
        match self.end {
            End::Nothing => out.fill(p.output.saturate(0) as u8),
            End::Rescale(factor) => store(sums, out, |sum| {
                let centred = sum.wrapping_sub(count.wrapping_mul(p.input.zero_point));
                p.output.saturate(rescale_once(centred, factor))
            }),
            End::Reciprocal(reciprocal) => {
                let quotient = |x: u32| x.wrapping_mul(reciprocal) >> 24;
                store(sums, out, |sum| self.half_away(sum, quotient));
            }
            End::LongReciprocal(reciprocal) => {
                let quotient = |x: u32| ((u64::from(x) * reciprocal) >> 55) as u32;
                store(sums, out, |sum| self.half_away(sum, quotient));
            }
        }
    }

    /// `sum / count` half away from zero, clamped; `quotient` divides by the count.
    #[inline(always)]
    fn half_away(&self, sum: i32, quotient: impl Fn(u32) -> u32) -> i32 {
        let magnitude = quotient(sum.unsigned_abs() + self.count as u32 / 2) as i32;
        let rounded = if sum < 0 { -magnitude } else { magnitude };
        rounded.clamp(self.p.output.lo, self.p.output.hi)
    }
}

#[inline(always)]
fn store(sums: &[i32; CHANNELS], out: &mut [u8], end: impl Fn(i32) -> i32) {
    // The usual length as an array, as above.
    if let Ok(out) = <&mut [u8; CHANNELS]>::try_from(&mut *out) {
        out.iter_mut().zip(sums).for_each(|(out, &sum)| *out = end(sum) as u8);
    } else {
        out.iter_mut().zip(sums).for_each(|(out, &sum)| *out = end(sum) as u8);
    }
}

/// See [`crate::registry::MaxPoolFn`].
#[inline(always)]
pub(crate) fn max_pool(p: &MaxPool, input: &[u8], pixels: Range<usize>, output: &mut [u8]) {
    let (y, x) = (&p.window.y, &p.window.x);
    let mut output = output.chunks_exact_mut(p.channels);
    for segment in p.window.segments(pixels) {
        let rows = y.valid_taps(segment.oy);
        for (ox, out) in segment.ox.zip(&mut output) {
            // The clamp from below is the first value.
            out.fill(p.lo as u8);
            for ky in rows.clone() {
                let iy = segment.oy * y.stride + ky * y.dilation - y.pad;
                for kx in x.valid_taps(ox) {
                    let ix = ox * x.stride + kx * x.dilation - x.pad;
                    let at = ((segment.picture * y.input + iy) * x.input + ix) * p.channels;
                    raise(p.elem, &input[at..at + p.channels], out);
                }
            }
            let hi = p.hi;
            match p.elem {
                ElemType::S8 => out.iter_mut().for_each(|v| *v = (*v as i8).min(hi as i8) as u8),
                ElemType::U8 | ElemType::U4 | ElemType::S4 | ElemType::S16 | ElemType::S32 => {
                    out.iter_mut().for_each(|v| *v = (*v).min(hi as u8));
                }
            }
        }
    }
}

/// As [`max_pool`] for s16.
#[inline(always)]
pub(crate) fn max_pool_words(p: &MaxPool, input: &[u8], pixels: Range<usize>, output: &mut [u8]) {
    let (y, x) = (&p.window.y, &p.window.x);
    let input = input.as_chunks::<2>().0;
    let mut output = output.as_chunks_mut::<2>().0.chunks_exact_mut(p.channels);
    for segment in p.window.segments(pixels) {
        let rows = y.valid_taps(segment.oy);
        for (ox, out) in segment.ox.zip(&mut output) {
            out.fill((p.lo as i16).to_le_bytes());
            for ky in rows.clone() {
                let iy = segment.oy * y.stride + ky * y.dilation - y.pad;
                for kx in x.valid_taps(ox) {
                    let ix = ox * x.stride + kx * x.dilation - x.pad;
                    let at = ((segment.picture * y.input + iy) * x.input + ix) * p.channels;
                    for (largest, &value) in out.iter_mut().zip(&input[at..at + p.channels]) {
                        let value = i16::from_le_bytes(value).min(p.hi as i16);
                        *largest = i16::from_le_bytes(*largest).max(value).to_le_bytes();
                    }
                }
            }
        }
    }
}

/// The larger of two values each.
#[inline(always)]
fn raise(elem: ElemType, values: &[u8], largest: &mut [u8]) {
    let pairs = largest.iter_mut().zip(values);
    match elem {
        ElemType::S8 => pairs.for_each(|(v, &x)| *v = (*v as i8).max(x as i8) as u8),
        ElemType::U8 | ElemType::U4 | ElemType::S4 | ElemType::S16 | ElemType::S32 => {
            pairs.for_each(|(v, &x)| *v = (*v).max(x));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every sum that bytes can make.
    #[test]
    #[cfg_attr(miri, ignore = "exhaustive arithmetic without memory access")]
    fn reciprocals_are_exact() {
        for n in 1..=MAX_RECIPROCAL as u32 {
            for x in 0..=255 * n + n / 2 {
                assert_eq!(x.checked_mul(reciprocal(n)).unwrap() >> 24, x / n, "{x} / {n}");
            }
        }
    }
}
