//! 3x3 convolutions of stride 1: those that Winograd's algorithm takes, and those at the edges of what it takes.

use dyadic_kernels::geometry::Axis;
use dyadic_kernels::params::Quant;
use proptest::prelude::*;
use proptest::sample::select;

use crate::case::{Case, Fill, Scales, s8, u8};
use crate::common::{self, axis};
use crate::{ROUNDINGS, WEIGHTS, any_end, any_output};

/// A square picture with a border of one pixel.
pub fn case(weight: Quant, size: usize, inputs: usize, outputs: usize) -> Case {
    let side = axis(size, 3, 1, 1, 1);
    Case { y: side, x: side, weight, ..Case::matrix(1, inputs, outputs) }
}

/// Pictures of even and odd size whose outputs fill tiles of 2x2 and of twelve tiles or not, borders of every width.
#[test]
fn sizes() {
    for weight in [WEIGHTS[0], WEIGHTS[2]] {
        for size in [6, 7, 8, 9, 14] {
            for pad in 0..=3 {
                let (y, x) = (axis(size, 3, 1, 1, pad), axis(size + 1 + 22 * (pad & 1), 3, 1, 1, 3 - pad));
                let case = Case { y, x, batch: 2, ..case(weight, size, 16 + 16 * (size & 1), 15 + size) };
                case.check(&[7, 30]);
            }
        }
    }
}

/// Padding that only the far side has.
#[test]
fn lopsided() {
    for (output, pad) in [(12, 0), (8, 2), (7, 1), (6, 1)] {
        let uneven = Axis { output, pad, ..axis(5, 3, 1, 1, 0) };
        Case { y: uneven, x: uneven, batch: 2, ..case(s8(0), 5, 32, 17) }.check(&[5]);
    }
}

/// Sums as large as there can be, with the most channels that are taken, and one step beyond.
#[test]
fn extremes() {
    for (weight, channels) in [(s8(0), 1824), (s8(0), 1840), (u8(0), 912), (u8(255), 912), (u8(255), 928)] {
        for input in [s8(-128), u8(255)] {
            for fill in [Fill::Lowest, Fill::Highest, Fill::Ends] {
                Case { input, fill, ..case(weight, 7, channels, 16) }.check(&[]);
            }
        }
    }
}

/// Pictures of several blocks of rows.
#[test]
fn blocks() {
    for (size, channels) in [(40, 48), (20, 144), (14, 256)] {
        case(s8(0), size, channels, 40).check(&[1000]);
        case(u8(7), size, channels, 16).check(&[77]);
    }
}

prop_compose! {
    fn any_winograd()(
        batch in 1..3usize,
        (height, width) in (5..17usize, 5..34usize),
        (pad_y, pad_x) in (0..3usize, 0..3usize),
        (inputs, outputs) in (1..5usize, 16..50usize),
        input in any_output(),
        weight in prop_oneof![Just(WEIGHTS[0]), (0..256i32).prop_map(u8)],
        rounding in select(ROUNDINGS.to_vec()),
        output in any_end(),
        fill in select(vec![Fill::Random, Fill::Lowest, Fill::Highest, Fill::Ends]),
        scales in select(vec![Scales::Ordinary, Scales::Wild, Scales::Ties]),
        seed in any::<u64>(),
    ) -> Case {
        let (y, x) = (axis(height, 3, 1, 1, pad_y), axis(width, 3, 1, 1, pad_x));
        let input = Quant { elem: input.elem, zero_point: input.zero_point };
        Case { batch, y, x, weight, input, rounding, output, fill, scales, seed, ..Case::matrix(1, 16 * inputs, outputs) }
    }
}

proptest! {
    #![proptest_config(common::cases(300))]
    #[test]
    fn anything(case in any_winograd(), cut in 1..300usize) {
        case.check(&[cut]);
    }
}
