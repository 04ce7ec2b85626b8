//! The 4x16 micro-kernel in plain Rust: fixed-size arrays and no branch in the inner loops.

use core::ops::Range;

use super::Portable;
use crate::ops::gemm::{Activations, Centre, GemmIsa, Tile};
use crate::pack::panels::{COLUMNS, PAIR_BYTES};
use crate::params::{Conv, Output};
use crate::requant::{Dyadic, Rounding, rescale};

/// Rows of a full tile.
const ROWS: usize = 4;

/// The epilogue of one panel; channels beyond `width` are zero.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns {
    bias: [i32; COLUMNS],
    dyadic: [Dyadic; COLUMNS],
    rounding: Rounding,
    output: Output,
    width: usize,
}

impl GemmIsa for Portable {
    const ROWS: usize = ROWS;
    type Columns = Columns;

    fn columns(self, p: &Conv, channels: Range<usize>) -> Columns {
        let width = channels.len();
        let mut columns = Columns {
            bias: [0; COLUMNS],
            dyadic: [Dyadic { multiplier: 0, shift: 31 }; COLUMNS],
            rounding: p.rounding,
            output: p.output,
            width,
        };
        for (column, channel) in channels.enumerate() {
            columns.bias[column] = p.bias[channel];
            columns.dyadic[column] = p.dyadic(channel);
        }
        columns
    }

    #[inline]
    fn widen(self, source: &[u8], count: usize, centre: Centre, target: &mut [u8]) {
        for (&byte, target) in source[..count].iter().zip(target[..2 * count].as_chunks_mut().0) {
            *target = (i16::from(byte ^ centre.flip) - centre.offset).to_le_bytes();
        }
    }

    fn row_sum(self, a: &Activations, first: usize) -> i32 {
        let mut sum = 0i32;
        for run in 0..a.runs {
            let start = first + run * a.run_step;
            for &value in a.bytes[start..start + 4 * a.pairs].as_chunks().0 {
                sum = sum.wrapping_add(i32::from(i16::from_le_bytes(value)));
            }
        }
        sum
    }

    #[inline]
    fn tile(self, t: &Tile, columns: &Columns, output: &mut [u8], pitch: usize) {
        match t.rows {
            1 => tile::<1>(t, columns, output, pitch),
            2 => tile::<2>(t, columns, output, pitch),
            3 => tile::<3>(t, columns, output, pitch),
            _ => tile::<4>(t, columns, output, pitch),
        }
    }
}

/// One tile of `MR` rows.
fn tile<const MR: usize>(t: &Tile, columns: &Columns, output: &mut [u8], pitch: usize) {
    let mut acc = [[0i32; COLUMNS]; MR];
    for (acc, correction) in acc.iter_mut().zip(t.corrections) {
        *acc = columns.bias.map(|bias| bias.wrapping_add(correction));
    }
    if t.nibbles {
        multiply_s4(t, &mut acc)
    } else {
        multiply_s8(t, &mut acc)
    }
    for (r, acc) in acc.iter().enumerate() {
        let row = &mut output[r * pitch..r * pitch + columns.width];
        for ((out, &acc), &dyadic) in row.iter_mut().zip(acc).zip(&columns.dyadic) {
            *out = columns.output.saturate(rescale(acc, dyadic, columns.rounding)) as u8;
        }
    }
}

/// The runs of the rows of a tile: `MR` slices of pairs.
fn rows_of_run<'a, const MR: usize>(t: &Tile<'a>, run: usize) -> [&'a [[u8; 4]]; MR] {
    let a = &t.activations;
    core::array::from_fn(|r| {
        let start = t.first[r] + run * a.run_step;
        a.bytes[start..start + 4 * a.pairs].as_chunks().0
    })
}

/// `acc[r] += activations of row r * weights`, weights of 8 bits.
fn multiply_s8<const MR: usize>(t: &Tile, acc: &mut [[i32; COLUMNS]; MR]) {
    let (steps, _) = t.panel.as_chunks::<PAIR_BYTES>();
    for (run, steps) in steps.chunks_exact(t.activations.pairs).enumerate() {
        let rows = rows_of_run(t, run);
        for (pair, step) in steps.iter().enumerate() {
            let weights = step.map(|code| i16::from(code as i8));
            multiply_pair(acc, &rows, pair, &weights);
        }
    }
}

/// As [`multiply_s8`] with weights of 4 bits: 32 bytes hold two pairs of depth positions.
fn multiply_s4<const MR: usize>(t: &Tile, acc: &mut [[i32; COLUMNS]; MR]) {
    let (steps, _) = t.panel.as_chunks::<PAIR_BYTES>();
    for (run, steps) in steps.chunks_exact(t.activations.pairs / 2).enumerate() {
        let rows = rows_of_run(t, run);
        for (step, codes) in steps.iter().enumerate() {
            let even = codes.map(|code| i16::from((code << 4) as i8 >> 4));
            multiply_pair(acc, &rows, 2 * step, &even);
            let odd = codes.map(|code| i16::from(code as i8 >> 4));
            multiply_pair(acc, &rows, 2 * step + 1, &odd);
        }
    }
}

/// One pair of depth positions.
#[inline(always)]
fn multiply_pair<const MR: usize>(
    acc: &mut [[i32; COLUMNS]; MR],
    rows: &[&[[u8; 4]]; MR],
    pair: usize,
    weights: &[i16; PAIR_BYTES],
) {
    for (acc, row) in acc.iter_mut().zip(rows) {
        let [a, b, c, d] = row[pair];
        let (x, y) = (i16::from_le_bytes([a, b]), i16::from_le_bytes([c, d]));
        for (acc, w) in acc.iter_mut().zip(weights.as_chunks::<2>().0) {
            let products = i32::from(x) * i32::from(w[0]) + i32::from(y) * i32::from(w[1]);
            *acc = acc.wrapping_add(products);
        }
    }
}

/// The `ConvFn` of the portable rows.
pub(crate) fn conv(
    p: &Conv,
    packed: &[u8],
    input: &[u8],
    rows: Range<usize>,
    output: &mut [u8],
    scratch: &mut [u8],
) {
    crate::ops::gemm::run(Portable, p, packed, input, rows, output, scratch);
}
