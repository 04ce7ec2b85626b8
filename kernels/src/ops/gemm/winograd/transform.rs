//! The three transforms, in plain Rust that the compiler vectorises. Words and products are little-endian.

use super::LANES;
use crate::pack::panels::COLUMNS;

type Words = [i16; LANES];

// Loops over arrays of a fixed length, which become vector instructions; closures over them do not.

#[inline(always)]
fn load(bytes: &[u8]) -> Words {
    let bytes = bytes[..2 * LANES].as_chunks::<2>().0;
    let mut words = [0; LANES];
    for i in 0..LANES {
        words[i] = i16::from_le_bytes(bytes[i]);
    }
    words
}

#[inline(always)]
fn store(words: &Words, bytes: &mut [u8]) {
    let bytes = bytes[..2 * LANES].as_chunks_mut::<2>().0;
    for i in 0..LANES {
        bytes[i] = words[i].to_le_bytes();
    }
}

#[inline(always)]
fn add(a: &Words, b: &Words) -> Words {
    let mut sum = [0; LANES];
    for i in 0..LANES {
        sum[i] = a[i].wrapping_add(b[i]);
    }
    sum
}

#[inline(always)]
fn sub(a: &Words, b: &Words) -> Words {
    let mut difference = [0; LANES];
    for i in 0..LANES {
        difference[i] = a[i].wrapping_sub(b[i]);
    }
    difference
}

/// `Bt` times a column.
#[inline(always)]
fn bt([a, b, c, d]: [&Words; 4]) -> [Words; 4] {
    [sub(a, c), add(b, c), sub(c, b), sub(b, d)]
}

/// `2 G` times a column.
#[inline(always)]
fn g2([a, b, c]: [&Words; 3]) -> [Words; 4] {
    let ends = add(a, c);
    [add(a, a), add(&ends, b), sub(&ends, b), add(c, c)]
}

/// `Bt d B` of one tile: its 4x4 pixels begin at `strip`, rows `row` and pixels `pixel` bytes apart, with `bytes` of channels
/// each. Element `e` goes to `target` from byte `e * position`.
#[inline(always)]
pub(crate) fn inputs(
    strip: &[u8],
    row: usize,
    pixel: usize,
    target: &mut [u8],
    position: usize,
    bytes: usize,
) {
    for at in (0..bytes).step_by(2 * LANES) {
        let mut rows = [[[0; LANES]; 4]; 4];
        for (y, to) in rows.iter_mut().enumerate() {
            let strip = &strip[y * row + at..];
            let [a, b] = [load(strip), load(&strip[pixel..])];
            let [c, d] = [load(&strip[2 * pixel..]), load(&strip[3 * pixel..])];
            *to = bt([&a, &b, &c, &d]);
        }
        for x in 0..4 {
            let column = bt([&rows[0][x], &rows[1][x], &rows[2][x], &rows[3][x]]);
            for (y, words) in column.iter().enumerate() {
                store(words, &mut target[(4 * y + x) * position + at..]);
            }
        }
    }
}

/// Column `x` of `(2 G) g (2 G)t` of a packed panel of 9 taps whose bytes are s8, less `zero_point`: one panel of words for
/// each row `y`, in `target` from byte `y * step`.
#[inline(always)]
pub(crate) fn weights(panel: &[u8], zero_point: i16, x: usize, target: &mut [u8], step: usize) {
    let tap = panel.len() / 9;
    for at in (0..tap).step_by(LANES) {
        let mut column = [[0; LANES]; 3];
        for (ky, to) in column.iter_mut().enumerate() {
            let weight = |kx: usize| widen(&panel[(3 * ky + kx) * tap + at..], zero_point);
            // Row `x` of 2 G.
            *to = match x {
                0 => add(&weight(0), &weight(0)),
                1 => add(&add(&weight(0), &weight(2)), &weight(1)),
                2 => sub(&add(&weight(0), &weight(2)), &weight(1)),
                _ => add(&weight(2), &weight(2)),
            };
        }
        for (y, words) in g2([&column[0], &column[1], &column[2]]).iter().enumerate() {
            store(words, &mut target[y * step + 2 * at..]);
        }
    }
}

/// Weights as words, less their zero point.
#[inline(always)]
fn widen(bytes: &[u8], zero_point: i16) -> Words {
    let bytes = &bytes[..LANES];
    let mut words = [0; LANES];
    for i in 0..LANES {
        words[i] = i16::from(bytes[i] as i8) - zero_point;
    }
    words
}

/// Half a row of sums.
const HALF: usize = COLUMNS / 2;
type Sums = [i32; HALF];

#[inline(always)]
fn products(bytes: &[u8]) -> Sums {
    let bytes = bytes[..4 * HALF].as_chunks::<4>().0;
    let mut sums = [0; HALF];
    for i in 0..HALF {
        sums[i] = i32::from_le_bytes(bytes[i]);
    }
    sums
}

/// `At` times a column.
#[inline(always)]
fn at([a, b, c, d]: [&Sums; 4]) -> [Sums; 2] {
    let mut sums = [[0; HALF]; 2];
    for i in 0..HALF {
        sums[0][i] = a[i].wrapping_add(b[i]).wrapping_add(c[i]);
        sums[1][i] = b[i].wrapping_sub(c[i]).wrapping_sub(d[i]);
    }
    sums
}

/// `At m A / 4` of neighbouring tiles, whose products of element `e` lie in `from` from byte `e * position`. The upper
/// outputs of all tiles, `width` of them, go to the first half of `sums`, the lower ones to the second.
#[inline(always)]
pub(crate) fn back(from: &[u8], position: usize, sums: &mut [[i32; COLUMNS]], width: usize) {
    for tile in 0..width / 2 {
        for half in 0..2 {
            let from = &from[(2 * tile + half) * 4 * HALF..];
            let mut rows = [[[0; HALF]; 2]; 4];
            for (y, to) in rows.iter_mut().enumerate() {
                let from = &from[4 * y * position..];
                let [a, b] = [products(from), products(&from[position..])];
                let [c, d] = [products(&from[2 * position..]), products(&from[3 * position..])];
                *to = at([&a, &b, &c, &d]);
            }
            for x in 0..2 {
                let column = at([&rows[0][x], &rows[1][x], &rows[2][x], &rows[3][x]]);
                for (y, values) in column.iter().enumerate() {
                    let sums = &mut sums[y * width + 2 * tile + x][half * HALF..][..HALF];
                    for i in 0..HALF {
                        sums[i] = values[i] >> 2;
                    }
                }
            }
        }
    }
}
