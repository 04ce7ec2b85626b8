//! Resizing by float32 steps: rules 21 (bilinear) and 22 (nearest), TFLite's reference kernels for u8 pictures and
//! for nearest neighbours. Each step is [`Single`] arithmetic, in the order that the rule names.

use crate::params::{Coordinates, Resize};
use crate::single::Single;

/// Bilinear: coordinates, weights and the blend in float32, one half added last, the sum truncated.
pub fn bilinear_single(p: &Resize, input: &[u8], output: &mut [u8]) {
    let [in_h, in_w] = p.input;
    let mut index = 0;
    for n in 0..p.batch {
        for oy in 0..p.output[0] {
            let y = SingleTaps::new(oy, in_h, p.output[0], p.coordinates);
            for ox in 0..p.output[1] {
                let x = SingleTaps::new(ox, in_w, p.output[1], p.coordinates);
                for c in 0..p.channels {
                    let at = |iy: usize, ix: usize| {
                        p.elem.load(input, ((n * in_h + iy) * in_w + ix) * p.channels + c)
                    };
                    let corners = [
                        at(y.lower, x.lower),
                        at(y.upper, x.lower),
                        at(y.lower, x.upper),
                        at(y.upper, x.upper),
                    ];
                    p.elem.store(output, index, blend(corners, &y, &x).clamp(p.elem.min(), p.elem.max()));
                    index += 1;
                }
            }
        }
    }
}

/// Two input positions of one axis and their weights.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SingleTaps {
    pub(crate) lower: usize,
    pub(crate) upper: usize,
    /// Weight of `upper`: the position less `lower`. Below 0 before the first half-pixel centre, where both taps are
    /// the same.
    pub(crate) fraction: Single,
    /// Weight of `lower`: 1 less `fraction`.
    pub(crate) rest: Single,
}

impl SingleTaps {
    /// The taps of output `o`; extents are below 2^24.
    pub(crate) fn new(o: usize, input: usize, output: usize, coordinates: Coordinates) -> SingleTaps {
        let step = step(input, output, coordinates == Coordinates::AlignCorners);
        let position = match coordinates {
            Coordinates::Asymmetric | Coordinates::AlignCorners => whole(o).times(step),
            Coordinates::HalfPixel => whole(o).plus(Single::HALF).times(step).minus(Single::HALF),
        };
        let last = input.max(1) as i64 - 1;
        // The lower bound of TFLite is never above the last element for extents below 2^24.
        let lower = position.floor().clamp(0, last);
        let upper = position.ceil().clamp(0, last);
        let fraction = position.minus(Single::from_integer(lower as i32));
        let rest = Single::ONE.minus(fraction);
        SingleTaps { lower: lower as usize, upper: upper as usize, fraction, rest }
    }
}

/// The value between four corners: lower row and column, upper row and lower column, lower row and upper column,
/// upper both.
pub(crate) fn blend(corners: [i32; 4], y: &SingleTaps, x: &SingleTaps) -> i32 {
    let [a, b, c, d] = corners.map(Single::from_integer);
    let sum = (a.times(y.rest).times(x.rest))
        .plus(b.times(y.fraction).times(x.rest))
        .plus(c.times(y.rest).times(x.fraction))
        .plus(d.times(y.fraction).times(x.fraction));
    sum.plus(Single::HALF).truncated() as i32
}

/// Nearest neighbour by float32 coordinates.
pub fn nearest_single(p: &Resize, input: &[u8], output: &mut [u8]) {
    let [in_h, in_w] = p.input;
    let (align, half) = (p.coordinates == Coordinates::AlignCorners, p.coordinates == Coordinates::HalfPixel);
    let mut index = 0;
    for n in 0..p.batch {
        for oy in 0..p.output[0] {
            let iy = nearest_single_index(oy, in_h, p.output[0], align, half);
            for ox in 0..p.output[1] {
                let ix = nearest_single_index(ox, in_w, p.output[1], align, half);
                for c in 0..p.channels {
                    let value = p.elem.load(input, ((n * in_h + iy) * in_w + ix) * p.channels + c);
                    p.elem.store(output, index, value);
                    index += 1;
                }
            }
        }
    }
}

/// Input index of output index `o`: the coordinate `(o + 1/2 if half) * step`, rounded half away from zero when
/// corners are aligned and down otherwise. Extents are below 2^24.
pub fn nearest_single_index(o: usize, input: usize, output: usize, align: bool, half: bool) -> usize {
    let centre = if half { whole(o).plus(Single::HALF) } else { whole(o) };
    let position = centre.times(step(input, output, align));
    let index = if align { position.rounded() } else { position.floor() };
    index.clamp(0, input.max(1) as i64 - 1) as usize
}

/// Input elements per output element.
fn step(input: usize, output: usize, align: bool) -> Single {
    if align && output > 1 {
        whole(input.max(1) - 1).over(whole(output - 1))
    } else {
        whole(input).over(whole(output))
    }
}

fn whole(value: usize) -> Single {
    Single::from_integer(value as i32)
}
