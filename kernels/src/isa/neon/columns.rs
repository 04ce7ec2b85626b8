//! The end of a tile of a matrix kernel: 16 columns of accumulators to outputs of 8, 16 or 32 bits.

use core::arch::aarch64::*;
use core::ops::Range;

use super::{Factors, Narrow, load_4x32};
use crate::pack::panels::COLUMNS;
use crate::params::{Conv, Output};
use crate::requant::Rounding;
use crate::types::ElemType;

/// Accumulators of one row.
pub(crate) type Row = [int32x4_t; 4];

/// The epilogue of one panel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns {
    bias: Row,
    factors: [Factors; 4],
    rounding: Rounding,
    /// Some channel needs the general form of [`Factors::rescale`].
    mixed: bool,
    end: End,
    /// Channels that exist, 1 to 16.
    width: usize,
}

/// What becomes of accumulators.
#[derive(Clone, Copy, Debug)]
enum End {
    Bytes(Narrow),
    /// Zero point, and the limits less it: clamped before it is added, no value overflows.
    Words([int32x4_t; 3]),
    /// The accumulators themselves.
    Raw,
}

impl End {
    #[target_feature(enable = "neon")]
    fn new(output: &Output) -> End {
        let Output { elem, zero_point, lo, hi } = *output;
        match elem {
            ElemType::S32 => End::Raw,
            ElemType::S16 => End::Words([
                vdupq_n_s32(zero_point),
                vdupq_n_s32(lo - zero_point),
                vdupq_n_s32(hi - zero_point),
            ]),
            ElemType::U8 | ElemType::S8 | ElemType::U4 | ElemType::S4 => End::Bytes(Narrow::new(output)),
        }
    }
}

/// Values `4 * q` to `4 * q + 3`, `rest` behind the last.
fn four(values: &[i32], q: usize, rest: i32) -> [i32; 4] {
    core::array::from_fn(|i| values.get(4 * q + i).copied().unwrap_or(rest))
}

impl Columns {
    /// Of output channels `channels` of `p`, at most 16.
    #[target_feature(enable = "neon")]
    pub(crate) fn new(p: &Conv, channels: Range<usize>) -> Columns {
        let none = Factors::new(&[0; 4], &[62; 4], p.rounding);
        let mut columns = Columns {
            bias: [vdupq_n_s32(0); 4],
            factors: [none; 4],
            rounding: p.rounding,
            mixed: false,
            end: End::new(&p.output),
            width: channels.len(),
        };
        for q in 0..4 {
            columns.bias[q] = load_4x32(&four(&p.bias[channels.clone()], q, 0));
            if !p.is_raw() {
                let multipliers = four(&p.multipliers[channels.clone()], q, 0);
                let shifts = four(&p.shifts[channels.clone()], q, 62);
                columns.factors[q] = Factors::new(&multipliers, &shifts, p.rounding);
                columns.mixed |= columns.factors[q].is_mixed();
            }
        }
        columns
    }

    /// Takes `zero point * sum of the column's weights` off the bias, modulo 2^32: for activations whose zero point stays.
    #[target_feature(enable = "neon")]
    pub(crate) fn less_zero_point(mut self, zero_point: i16, sums: &[u8]) -> Columns {
        for (bias, sums) in self.bias.iter_mut().zip(sums.as_chunks::<16>().0) {
            let sums = sums.as_chunks::<4>().0;
            let sums: [i32; 4] = core::array::from_fn(|i| i32::from_le_bytes(sums[i]));
            *bias = vmlsq_s32(*bias, load_4x32(&sums), vdupq_n_s32(zero_point.into()));
        }
        self
    }

    /// Channels that exist, 1 to 16.
    #[inline]
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// The accumulators that a row begins with.
    #[inline]
    pub(crate) fn bias(&self) -> Row {
        self.bias
    }

    /// Rescales, narrows and stores a tile of `MR` rows, `pitch` bytes apart.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(crate) fn finish<const MR: usize>(&self, acc: &[Row; MR], output: &mut [u8], pitch: usize) {
        for (r, acc) in acc.iter().enumerate() {
            let output = &mut output[r * pitch..];
            match &self.end {
                End::Raw => {
                    let [a, b, c, d] = *acc;
                    let bytes = [bytes(a), bytes(b), bytes(c), bytes(d)];
                    self.store(bytes, output);
                }
                End::Bytes(narrow) => self.store([narrow.narrow(self.rescale(acc))], output),
                End::Words(limits) => {
                    let [a, b, c, d] = self.rescale(acc);
                    self.store([words(limits, a, b), words(limits, c, d)], output);
                }
            }
        }
    }

    /// One row. The branches are the same for every tile of a panel.
    #[inline]
    #[target_feature(enable = "neon")]
    fn rescale(&self, [a, b, c, d]: &Row) -> Row {
        let [fa, fb, fc, fd] = &self.factors;
        macro_rules! each {
            ($($how:tt)+) => { [fa.$($how)+(*a), fb.$($how)+(*b), fc.$($how)+(*c), fd.$($how)+(*d)] };
        }
        match (self.rounding, self.mixed) {
            (Rounding::Once, false) => each!(rescale::<false, false>),
            (Rounding::Once, true) => each!(rescale::<false, true>),
            (Rounding::Twice, false) => each!(rescale::<true, false>),
            (Rounding::Twice, true) => each!(rescale::<true, true>),
            (Rounding::OnceAway, _) => each!(rescale_away),
        }
    }

    /// The first bytes of `PARTS` vectors that hold a row: as many as its channels have.
    #[inline]
    #[target_feature(enable = "neon")]
    fn store<const PARTS: usize>(&self, parts: [uint8x16_t; PARTS], output: &mut [u8]) {
        if self.width == COLUMNS {
            for (part, output) in parts.into_iter().zip(output[..16 * PARTS].as_chunks_mut::<16>().0) {
                // SAFETY: 16 writable bytes.
                unsafe { vst1q_u8(output.as_mut_ptr(), part) };
            }
            return;
        }
        let mut row = [[0u8; 16]; PARTS];
        for (part, row) in parts.into_iter().zip(&mut row) {
            // SAFETY: 16 writable bytes.
            unsafe { vst1q_u8(row.as_mut_ptr(), part) };
        }
        let bytes = self.width * PARTS;
        output[..bytes].copy_from_slice(&row.as_flattened()[..bytes]);
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn bytes(values: int32x4_t) -> uint8x16_t {
    vreinterpretq_u8_s32(values)
}

/// Eight 16-bit outputs.
#[inline]
#[target_feature(enable = "neon")]
fn words([zero_point, lo, hi]: &[int32x4_t; 3], a: int32x4_t, b: int32x4_t) -> uint8x16_t {
    let [a, b] = [vminq_s32(vmaxq_s32(a, *lo), *hi), vminq_s32(vmaxq_s32(b, *lo), *hi)];
    let [a, b] = [vaddq_s32(a, *zero_point), vaddq_s32(b, *zero_point)];
    vreinterpretq_u8_s16(vcombine_s16(vmovn_s32(a), vmovn_s32(b)))
}
