//! Resizing: rules 14 (bilinear, 10-bit weights), 15 (bilinear, exact rational), 16 (nearest).

use crate::params::{Coordinates, Resize};

/// Nearest neighbour by exact rational coordinates.
pub fn nearest(p: &Resize, input: &[u8], output: &mut [u8]) {
    let [in_h, in_w] = p.input;
    let mut index = 0;
    for n in 0..p.batch {
        for oy in 0..p.output[0] {
            let iy = nearest_index(oy, in_h, p.output[0], p.coordinates);
            for ox in 0..p.output[1] {
                let ix = nearest_index(ox, in_w, p.output[1], p.coordinates);
                for c in 0..p.channels {
                    let value = p.elem.load(input, ((n * in_h + iy) * in_w + ix) * p.channels + c);
                    p.elem.store(output, index, value);
                    index += 1;
                }
            }
        }
    }
}

/// Input index of output index `o`: floor of the coordinate, half up under align-corners.
pub fn nearest_index(o: usize, input: usize, output: usize, coordinates: Coordinates) -> usize {
    let last = input.max(1) - 1;
    let index = match coordinates {
        Coordinates::Asymmetric => o * input / output,
        Coordinates::HalfPixel => (2 * o + 1) * input / (2 * output),
        Coordinates::AlignCorners if output > 1 => {
            let span = output - 1;
            (2 * o * last + span) / (2 * span)
        }
        Coordinates::AlignCorners => 0,
    };
    index.min(last)
}

/// One axis of rule 14: lower index, upper index, and the position between them in 1/1024.
fn taps_10bit(o: usize, input: usize, output: usize, coordinates: Coordinates) -> (usize, usize, i64) {
    let (input_l, output_l) = (input as i64, output as i64);
    let step = match coordinates {
        Coordinates::AlignCorners if output > 1 => {
            ((1024 * (input_l - 1)) + (output_l - 1) / 2) / (output_l - 1)
        }
        Coordinates::Asymmetric | Coordinates::AlignCorners | Coordinates::HalfPixel => {
            (1024 * input_l + output_l / 2) / output_l
        }
    };
    let scaled = match coordinates {
        Coordinates::HalfPixel => o as i64 * step + step / 2 - 512,
        Coordinates::Asymmetric | Coordinates::AlignCorners => o as i64 * step,
    };
    let floor = scaled / 1024;
    let lower = floor.clamp(0, input_l - 1);
    let upper = ((scaled + 1023) / 1024).clamp(0, input_l - 1);
    (lower as usize, upper as usize, scaled - 1024 * lower)
}

/// Bilinear with 10-bit integer weights, the quotient by 2^20 rounded half away from zero.
pub fn bilinear_10bit(p: &Resize, input: &[u8], output: &mut [u8]) {
    bilinear(
        p,
        input,
        output,
        |o, axis| {
            let (lower, upper, fraction) = taps_10bit(o, p.input[axis], p.output[axis], p.coordinates);
            Taps { lower, upper, fraction, unit: 1024 }
        },
        |sum, unit| {
            if sum > 0 { (sum + unit / 2) / unit } else { (sum - unit / 2) / unit }
        },
    );
}

/// Bilinear on exact rational coordinates, half up.
pub fn bilinear_rational(p: &Resize, input: &[u8], output: &mut [u8]) {
    bilinear(
        p,
        input,
        output,
        |o, axis| {
            let (size, out) = (p.input[axis] as i64, p.output[axis] as i64);
            let o = o as i64;
            let (numerator, unit) = match p.coordinates {
                Coordinates::Asymmetric => (o * size, out),
                Coordinates::AlignCorners if out > 1 => (o * (size - 1), out - 1),
                Coordinates::AlignCorners => (0, 1),
                Coordinates::HalfPixel => (((2 * o + 1) * size - out).max(0), 2 * out),
            };
            let lower = (numerator / unit).min(size - 1);
            let upper = (lower + 1).min(size - 1);
            Taps { lower: lower as usize, upper: upper as usize, fraction: numerator - lower * unit, unit }
        },
        |sum, unit| (2 * sum + unit).div_euclid(2 * unit),
    );
}

/// Two input positions of one axis and the place between them: `fraction / unit`.
struct Taps {
    lower: usize,
    upper: usize,
    fraction: i64,
    unit: i64,
}

fn bilinear(
    p: &Resize,
    input: &[u8],
    output: &mut [u8],
    taps: impl Fn(usize, usize) -> Taps,
    round: impl Fn(i64, i64) -> i64,
) {
    let [in_h, in_w] = p.input;
    let mut index = 0;
    for n in 0..p.batch {
        for oy in 0..p.output[0] {
            let y = taps(oy, 0);
            for ox in 0..p.output[1] {
                let x = taps(ox, 1);
                for c in 0..p.channels {
                    let at = |iy: usize, ix: usize| {
                        i64::from(p.elem.load(input, ((n * in_h + iy) * in_w + ix) * p.channels + c))
                    };
                    let row = |iy| at(iy, x.lower) * (x.unit - x.fraction) + at(iy, x.upper) * x.fraction;
                    let sum = row(y.lower) * (y.unit - y.fraction) + row(y.upper) * y.fraction;
                    let value = round(sum, x.unit * y.unit) as i32;
                    p.elem.store(output, index, value.clamp(p.elem.min(), p.elem.max()));
                    index += 1;
                }
            }
        }
    }
}
