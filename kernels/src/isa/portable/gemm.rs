//! The 4x16 micro-kernel in plain Rust: fixed-size arrays and no branch in the inner loops.

use core::ops::Range;

use super::Portable;
use crate::ops::gemm::winograd::{self, WinogradIsa};
use crate::ops::gemm::{Centre, Form, GemmIsa, Tile, Weights};
use crate::pack::panels::{COLUMNS, PAIR_BYTES};
use crate::params::{Conv, Output};
use crate::requant::{Dyadic, Rounding, rescale};
use crate::types::ElemType;

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
    const FORM: Form = Form::Words;
    const EXPAND_FROM: usize = 2 * ROWS;
    type Columns = Columns;

    fn columns(self, p: &Conv, channels: Range<usize>, _sums: &[u8]) -> Columns {
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
            if !p.is_raw() {
                columns.dyadic[column] = p.dyadic(channel);
            }
        }
        columns
    }

    #[inline]
    fn convert(self, source: &[u8], count: usize, centre: Centre, target: &mut [u8]) {
        for (&byte, target) in source[..count].iter().zip(target[..2 * count].as_chunks_mut().0) {
            *target = (i16::from(byte ^ centre.flip) - centre.offset).to_le_bytes();
        }
    }

    fn expand_s4(self, panel: &[u8], target: &mut [u8]) {
        // 32 bytes hold two pairs of depth positions, the even one in the low nibbles.
        let pairs = target.as_chunks_mut::<{ 2 * PAIR_BYTES }>().0;
        for (codes, pairs) in panel.as_chunks::<PAIR_BYTES>().0.iter().zip(pairs) {
            let (even, odd) = pairs.split_at_mut(PAIR_BYTES);
            for ((&code, even), odd) in codes.iter().zip(even).zip(odd) {
                *even = ((code << 4) as i8 >> 4) as u8;
                *odd = (code as i8 >> 4) as u8;
            }
        }
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
    let mut acc = [columns.bias; MR];
    match *t.weights {
        Weights::Wide(panel) => {
            let (steps, _) = panel.as_chunks::<{ 2 * PAIR_BYTES }>();
            multiply(t, steps, &mut acc, wide_pair);
        }
        Weights::S8(panel) => {
            let (steps, _) = panel.as_chunks::<PAIR_BYTES>();
            multiply(t, steps, &mut acc, |codes| codes.map(|code| i16::from(code as i8)));
        }
        Weights::U8(panel, zero_point) => {
            let (steps, _) = panel.as_chunks::<PAIR_BYTES>();
            multiply(t, steps, &mut acc, |codes| codes.map(|code| i16::from(code as i8) - zero_point));
        }
        Weights::S4(panel) => multiply_s4(t, panel.as_chunks().0, &mut acc),
    }
    for (r, acc) in acc.iter().enumerate() {
        columns.store(acc, &mut output[r * pitch..]);
    }
}

impl Columns {
    /// The outputs of one row, at the start of `row`.
    #[inline]
    fn store(&self, acc: &[i32; COLUMNS], row: &mut [u8]) {
        let value = |(&acc, &dyadic)| self.output.saturate(rescale(acc, dyadic, self.rounding));
        let values = acc.iter().zip(&self.dyadic).map(value);
        match self.output.elem {
            ElemType::S32 => {
                let row = &mut row.as_chunks_mut::<4>().0[..self.width];
                row.iter_mut().zip(acc).for_each(|(out, acc)| *out = acc.to_le_bytes());
            }
            ElemType::S16 => {
                let row = &mut row.as_chunks_mut::<2>().0[..self.width];
                row.iter_mut().zip(values).for_each(|(out, value)| *out = (value as i16).to_le_bytes());
            }
            ElemType::U8 | ElemType::S8 | ElemType::U4 | ElemType::S4 => {
                let row = &mut row[..self.width];
                row.iter_mut().zip(values).for_each(|(out, value)| *out = value as u8);
            }
        }
    }
}

/// The weights of one pair of depth positions, 16 columns.
type Pair = [i16; PAIR_BYTES];

fn wide_pair(bytes: &[u8; 2 * PAIR_BYTES]) -> Pair {
    let values = bytes.as_chunks::<2>().0;
    core::array::from_fn(|i| i16::from_le_bytes(values[i]))
}

/// The runs of the rows of a tile: `MR` slices of pairs.
fn rows_of_run<'a, const MR: usize>(t: &Tile<'a>, run: usize) -> [&'a [[u8; 4]]; MR] {
    let a = t.activations;
    core::array::from_fn(|r| {
        let start = t.first[r] + run * a.run_step;
        a.bytes[start..start + 4 * a.steps].as_chunks().0
    })
}

/// `acc[r] += activations of row r * weights`; `read` makes weights of one step of the panel.
#[inline(always)]
fn multiply<const MR: usize, const STEP: usize>(
    t: &Tile,
    steps: &[[u8; STEP]],
    acc: &mut [[i32; COLUMNS]; MR],
    read: impl Fn(&[u8; STEP]) -> Pair,
) {
    for (run, steps) in steps.chunks_exact(t.activations.steps).enumerate() {
        let rows = rows_of_run(t, run);
        for (pair, step) in steps.iter().enumerate() {
            multiply_pair(acc, &rows, pair, &read(step));
        }
    }
}

/// As [`multiply`] with weights of 4 bits: one step holds two pairs of depth positions.
fn multiply_s4<const MR: usize>(t: &Tile, steps: &[[u8; PAIR_BYTES]], acc: &mut [[i32; COLUMNS]; MR]) {
    for (run, steps) in steps.chunks_exact(t.activations.steps / 2).enumerate() {
        let rows = rows_of_run(t, run);
        for (step, codes) in steps.iter().enumerate() {
            multiply_pair(acc, &rows, 2 * step, &codes.map(|code| i16::from((code << 4) as i8 >> 4)));
            multiply_pair(acc, &rows, 2 * step + 1, &codes.map(|code| i16::from(code as i8 >> 4)));
        }
    }
}

/// One pair of depth positions.
#[inline(always)]
fn multiply_pair<const MR: usize>(
    acc: &mut [[i32; COLUMNS]; MR],
    rows: &[&[[u8; 4]]; MR],
    pair: usize,
    weights: &Pair,
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

impl WinogradIsa for Portable {
    fn raw(self) -> Columns {
        let output = Output { elem: ElemType::S32, zero_point: 0, lo: i32::MIN, hi: i32::MAX };
        Columns {
            bias: [0; COLUMNS],
            dyadic: [Dyadic { multiplier: 0, shift: 31 }; COLUMNS],
            rounding: Rounding::Once,
            output,
            width: COLUMNS,
        }
    }

    fn inputs(
        self,
        strip: &[u8],
        row: usize,
        pixel: usize,
        target: &mut [u8],
        position: usize,
        bytes: usize,
    ) {
        winograd::inputs(strip, row, pixel, target, position, bytes);
    }

    fn weights(self, panel: &[u8], zero_point: i16, x: usize, target: &mut [u8], step: usize) {
        winograd::weights(panel, zero_point, x, target, step);
    }

    fn back(self, products: &[u8], position: usize, sums: &mut [[i32; COLUMNS]], width: usize) {
        winograd::back(products, position, sums, width);
    }

    fn end(self, sums: &[[i32; COLUMNS]], columns: &Columns, output: &mut [u8], pitch: usize) {
        for (sums, output) in sums.iter().zip(output.chunks_mut(pitch)) {
            let acc = core::array::from_fn(|c| columns.bias[c].wrapping_add(sums[c]));
            columns.store(&acc, output);
        }
    }
}

/// The `ConvFn` of the portable rows by Winograd's algorithm.
pub(crate) fn winograd(
    p: &Conv,
    packed: &[u8],
    input: &[u8],
    rows: Range<usize>,
    output: &mut [u8],
    scratch: &mut [u8],
) {
    winograd::run(Portable, p, packed, input, rows, output, scratch);
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
