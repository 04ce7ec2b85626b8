//! Convolution and fully connected kernels: every row of the registry that this CPU runs against the reference.
//! Equality of every byte, in bands of any size, with canaries round output and scratch.
#![forbid(unsafe_code)]

mod case;
#[path = "../common/mod.rs"]
mod common;
mod winograd;

use case::{Case, Fill, S4, Scales, output, s8, u8};
use common::{any_axis, axis};
use dyadic_kernels::ElemType;
use dyadic_kernels::geometry::Axis;
use dyadic_kernels::isa::{Cpu, IsaKind};
use dyadic_kernels::params::{Output, Quant};
use dyadic_kernels::registry::{KernelOp, kernels};
use dyadic_kernels::requant::Rounding;
use proptest::prelude::*;
use proptest::sample::select;

const WEIGHTS: [Quant; 4] = [
    Quant { elem: ElemType::S8, zero_point: 0 },
    S4,
    Quant { elem: ElemType::U8, zero_point: 131 },
    Quant { elem: ElemType::U8, zero_point: 0 },
];

const ROUNDINGS: [Rounding; 3] = [Rounding::Once, Rounding::Twice, Rounding::OnceAway];

/// Sizes round the edges of tiles of 4 and 6 rows, panels of 16 columns, depth steps of 2, 4 and 16.
#[test]
fn matrix_edges() {
    let mut names = Vec::new();
    for weight in WEIGHTS {
        for rows in [1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 19] {
            for depth in [1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33] {
                for columns in [1, 7, 8, 9, 15, 16, 17, 31, 32, 33] {
                    let case = Case { weight, ..Case::matrix(rows, depth, columns) };
                    names.extend(case.check(&[]));
                    // Activations of seven bits have kernels of their own.
                    if weight.elem == ElemType::S8 {
                        let case = Case { input: s8(5), codes: Some((0, 127)), fill: Fill::Ends, ..case };
                        names.extend(case.check(&[]));
                    }
                }
            }
        }
    }
    names.extend(WEIGHTS.iter().flat_map(|&weight| winograd::case(weight, 7, 16, 16).check(&[])));
    // Every row of the registry that this CPU runs was tested.
    for kernel in kernels().filter(|k| k.op == KernelOp::Gemm && k.isa != IsaKind::Reference) {
        assert!(
            cfg!(miri) || names.contains(&kernel.name) == Cpu::detect().has(kernel.isa),
            "{}",
            kernel.name
        );
    }
}

/// Some output channels alone are what the whole gives for them, with the same scratch.
#[test]
fn columns_apart() {
    for (weight, columns, elem) in [
        (WEIGHTS[0], 70, ElemType::S8),
        (S4, 33, ElemType::U8),
        (u8(77), 48, ElemType::S16),
        (S4, 20, ElemType::S32),
    ] {
        for codes in [None, Some((0, 127))] {
            let case =
                Case { weight, input: s8(3), codes, output: output(elem, 0), ..Case::matrix(3, 37, columns) };
            case.check_columns();
        }
    }
}

/// Shapes whose activations do not fit one block and whose panels are many.
#[test]
fn deep_and_long_matrices() {
    for weight in WEIGHTS {
        for (rows, depth, columns) in [(203, 70, 40), (7, 4608, 20), (1, 2048, 100), (130, 1030, 3)] {
            let case = Case { weight, ..Case::matrix(rows, depth, columns) };
            case.check(&[]);
            Case { input: u8(200), output: output(ElemType::U8, 100), ..case }.check(&[5]);
        }
    }
}

/// Extreme values with zero points at both ends, for every pair of types.
#[test]
fn extremes() {
    for weight in [WEIGHTS[0], S4, u8(0), u8(255), u8(128)] {
        for input in [s8(-128), s8(127), s8(0), u8(0), u8(255)] {
            for fill in [Fill::Lowest, Fill::Highest, Fill::Ends] {
                for scales in [Scales::Ordinary, Scales::Wild] {
                    for rounding in ROUNDINGS {
                        let case =
                            Case { weight, input, fill, scales, rounding, ..Case::matrix(7, 1153, 18) };
                        case.check(&[]);
                    }
                }
            }
        }
    }
}

/// Inputs of fewer codes than their type has, at the ends of these: sums in few bits are folded later.
#[test]
fn narrow_codes() {
    let narrow = [
        (u8(0), (0, 15)),
        (u8(7), (0, 100)),
        (u8(0), (0, 127)),
        (u8(128), (0, 127)),
        (u8(0), (0, 129)),
        (s8(127), (0, 127)),
        (s8(-1), (0, 127)),
        (s8(-128), (-128, -113)),
        (s8(0), (-8, 7)),
        (u8(200), (0, 0)),
    ];
    for (input, codes) in narrow {
        for weight in WEIGHTS {
            for fill in [Fill::Lowest, Fill::Highest, Fill::Ends, Fill::Random] {
                for depth in [9, 64, 1153, 2300] {
                    let case = Case { weight, input, codes: Some(codes), fill, ..Case::matrix(7, depth, 18) };
                    case.check(&[]);
                }
                let picture = axis(5, 3, 1, 1, 1);
                Case {
                    weight,
                    input,
                    codes: Some(codes),
                    fill,
                    y: picture,
                    x: picture,
                    ..Case::matrix(1, 40, 18)
                }
                .check(&[]);
            }
        }
    }
}

/// Every shift, both roundings, both output types, zero points at the ends.
#[test]
fn every_shift() {
    for shift in 16..=62 {
        for rounding in ROUNDINGS {
            for out in [
                output(ElemType::S8, -128),
                output(ElemType::S8, 127),
                output(ElemType::U8, 255),
                output(ElemType::S16, -32768),
                output(ElemType::S16, 32767),
            ] {
                for (depth, weight) in [(1, WEIGHTS[0]), (37, WEIGHTS[0]), (600, u8(3)), (9, S4)] {
                    let scales = Scales::Shift(shift);
                    Case { rounding, scales, weight, output: out, ..Case::matrix(13, depth, 33) }.check(&[]);
                }
            }
        }
    }
}

/// Values halfway between two outputs, on both sides of zero.
#[test]
fn ties() {
    for rounding in ROUNDINGS {
        for (depth, fill) in [(1, Fill::Random), (2, Fill::Ends), (5, Fill::Random)] {
            let case =
                Case { rounding, fill, weight: S4, scales: Scales::Ties, ..Case::matrix(40, depth, 50) };
            case.check(&[]);
            Case { weight: u8(127), input: u8(128), ..case }.check(&[]);
        }
    }
}

/// Outputs of 16 bits, and accumulators as they are: every edge of tiles and panels, in bands.
#[test]
fn wide_outputs() {
    for weight in WEIGHTS {
        for out in [output(ElemType::S16, 0), output(ElemType::S16, -700), output(ElemType::S32, 0)] {
            for rows in [1, 2, 5, 6, 13] {
                for columns in [1, 3, 8, 9, 16, 17, 31, 40] {
                    for rounding in ROUNDINGS {
                        let case = Case { weight, output: out, rounding, ..Case::matrix(rows, 19, columns) };
                        case.check(&[3]);
                        Case { fill: Fill::Ends, scales: Scales::Wild, ..case }.check(&[]);
                    }
                }
            }
        }
    }
}

/// Clamps inside the range, as ReLU and ReLU6 make them, and a clamp to one value.
#[test]
fn clamps() {
    for (elem, zero_point, lo, hi) in [
        (ElemType::S8, -5, -5, 60),
        (ElemType::U8, 7, 7, 200),
        (ElemType::U8, 0, 0, 255),
        (ElemType::S8, 3, 9, 9),
        (ElemType::S16, -300, -300, 2500),
        (ElemType::S16, 32767, -32768, -5),
    ] {
        let clamped = Output { elem, zero_point, lo, hi };
        Case { output: clamped, ..Case::matrix(9, 40, 20) }.check(&[]);
        Case { output: clamped, rounding: Rounding::Twice, ..Case::matrix(9, 40, 20) }.check(&[]);
    }
}

/// Kernel sizes, strides, dilations and padding on both axes.
#[test]
fn windows() {
    let mut seed = 0;
    for kernel in 1..=5 {
        for stride in 1..=3 {
            for dilation in 1..=3 {
                for pad in 0..=3 {
                    for channels in [1, 2, 3, 4, 8] {
                        seed += 1;
                        let weight = WEIGHTS[seed as usize % 4];
                        let case = Case {
                            batch: 1 + seed as usize % 2,
                            y: axis(7, kernel, stride, dilation, pad),
                            x: axis(
                                9,
                                1 + (kernel + 1) % 4,
                                1 + seed as usize % 2,
                                1 + seed as usize % 3 / 2,
                                1,
                            ),
                            weight,
                            input: [s8(-7), u8(255)][seed as usize / 4 % 2],
                            seed,
                            ..Case::matrix(1, channels, 5 + seed as usize % 20)
                        };
                        case.check(&[]);
                    }
                }
            }
        }
    }
}

/// Padding that only the far side has, outputs that read nothing but padding, and pictures of one pixel.
#[test]
fn lopsided_padding() {
    for weight in WEIGHTS {
        for (output, pad) in [(12, 0), (12, 5), (3, 2), (1, 4)] {
            let uneven = Axis { output, pad, ..axis(5, 3, 1, 1, 0) };
            let case = Case { y: uneven, x: uneven, weight, batch: 3, ..Case::matrix(1, 4, 17) };
            case.check(&[1, 4, 13]);
            Case { y: uneven, x: axis(1, 1, 1, 1, 0), ..case }.check(&[2]);
            Case { y: axis(1, 1, 1, 1, 0), x: uneven, in_channels: 3, ..case }.check(&[2]);
        }
    }
}

/// Groups, down to one channel each.
#[test]
fn groups() {
    for weight in WEIGHTS {
        for (groups, inputs, outputs) in [(2, 3, 5), (3, 8, 16), (4, 1, 1), (2, 16, 33)] {
            for kernel in [1, 3] {
                let case = Case {
                    y: axis(6, kernel, 1, 1, 1),
                    x: axis(5, kernel, 2, 1, 1),
                    groups,
                    weight,
                    batch: 2,
                    ..Case::matrix(1, groups * inputs, groups * outputs)
                };
                case.check(&[7]);
            }
        }
    }
}

/// Bands of every size give the same bytes, also when they cut picture rows and pictures.
#[test]
fn bands() {
    for (channels, kernel, stride) in [(4, 3, 1), (3, 3, 1), (8, 1, 1), (4, 3, 2), (6, 5, 1)] {
        for weight in WEIGHTS {
            let case = Case {
                y: axis(7, kernel, stride, 1, kernel / 2),
                x: axis(6, kernel, stride, 1, kernel / 2),
                weight,
                batch: 2,
                ..Case::matrix(1, channels, 18)
            };
            let cuts: Vec<usize> = (1..=84).collect();
            case.check(&cuts);
        }
    }
}

/// Pictures large enough for several blocks of each way to widen activations.
#[test]
fn several_blocks() {
    for (size, channels, kernel, stride) in
        [(40, 32, 3, 1), (20, 130, 3, 1), (9, 512, 3, 1), (64, 3, 3, 2), (30, 64, 3, 2), (24, 16, 5, 1)]
    {
        let case = Case {
            y: axis(size, kernel, stride, 1, kernel / 2),
            x: axis(size + 1, kernel, stride, 1, kernel / 2),
            rounding: Rounding::Twice,
            ..Case::matrix(1, channels, 18)
        };
        case.check(&[]);
        Case { weight: u8(9), ..case }.check(&[]);
        Case { weight: S4, ..case }.check(&[100]);
    }
}

/// Any type and zero point of activations, with the whole range or a part of it as the clamp.
fn any_output() -> impl Strategy<Value = Output> {
    let elem = select(vec![ElemType::S8, ElemType::U8]);
    (elem, 0..256i32, 0..256i32, 0..256i32, any::<bool>()).prop_map(|(elem, zero_point, a, b, clamped)| {
        let (lo, hi) = if clamped { (a.min(b), a.max(b)) } else { (0, 255) };
        let low = elem.min();
        Output { elem, zero_point: zero_point + low, lo: lo + low, hi: hi + low }
    })
}

/// The end of a convolution: also of 16 bits, or the accumulator.
fn any_end() -> impl Strategy<Value = Output> {
    let words = (-32768..32768i32, -32768..32768i32, -32768..32768i32).prop_map(|(zero_point, a, b)| {
        Output { elem: ElemType::S16, zero_point, lo: a.min(b), hi: a.max(b) }
    });
    prop_oneof![4 => any_output(), 1 => words, 1 => Just(output(ElemType::S32, 0))]
}

fn any_weight() -> impl Strategy<Value = Quant> {
    prop_oneof![Just(WEIGHTS[0]), Just(S4), (0..256i32).prop_map(u8)]
}

prop_compose! {
    /// Anything at all.
    fn any_case()(
        (batch, y, x) in (1..3usize, any_axis(), any_axis()),
        groups in prop_oneof![3 => Just(1usize), 1 => 2..4usize],
        (inputs, outputs) in if cfg!(miri) { (1..3usize, 1..18usize) } else { (1..21usize, 1..41usize) },
        (input, narrow) in (any_output(), any::<bool>()),
        weight in any_weight(),
        rounding in select(ROUNDINGS.to_vec()),
        output in any_end(),
        fill in select(vec![Fill::Random, Fill::Lowest, Fill::Highest, Fill::Ends]),
        scales in select(vec![Scales::Ordinary, Scales::Wild, Scales::Ties]),
        seed in any::<u64>(),
    ) -> Case {
        // The clamp of an output is as good a range of codes as any.
        let codes = narrow.then_some((input.lo, input.hi));
        let input = Quant { elem: input.elem, zero_point: input.zero_point };
        let (in_channels, out_channels) = (groups * inputs, groups * outputs);
        Case { batch, y, x, in_channels, out_channels, groups, input, codes, weight, rounding, output, fill, scales, seed }
    }
}

proptest! {
    #![proptest_config(common::cases(3000))]
    #[test]
    fn any_convolution(case in any_case(), band in 1..51usize) {
        case.check(&[band]);
    }
}

/// Packing and unpacking: the logical weights come back, and padding that is not zero, or a wrong sum, is refused.
#[test]
fn packing_round_trip() {
    use dyadic_kernels::registry::Layout;
    for layout in [Layout::Panels16x2, Layout::Panels16x4, Layout::Panels16x8] {
        for weight in WEIGHTS {
            for (groups, depth, columns) in [(1, 1, 1), (1, 9, 17), (2, 4, 16), (3, 5, 3), (1, 64, 32)] {
                if !common::left_out(0) {
                    let shape = Case::matrix(1, groups * depth, groups * columns);
                    round_trip(layout, &Case { weight, groups, ..shape });
                }
            }
        }
    }
}

fn round_trip(layout: dyadic_kernels::registry::Layout, case: &Case) {
    use dyadic_kernels::pack::{pack, packed_len, padding_is_neutral, unpack};
    let buffers = case::Buffers::new(case);
    let p = buffers.conv(case);
    let mut packed = vec![0xff; packed_len(layout, &p)];
    assert!(pack(layout, &p, &mut packed));
    let mut logical = vec![0xff; buffers.weights.len()];
    assert!(unpack(layout, &p, &packed, &mut logical));
    assert_eq!(logical, buffers.weights);
    // Each flipped byte either changes the weights or is refused.
    let summed = layout != dyadic_kernels::registry::Layout::Panels16x2;
    for i in 0..packed.len() {
        packed[i] ^= 0x10;
        let accepted = unpack(layout, &p, &packed, &mut logical);
        assert!(!accepted || logical != buffers.weights, "byte {i}");
        // All that can be wrong with pairs is their padding; elsewhere the sums fit no other weights.
        assert!(
            if summed { !accepted } else { padding_is_neutral(layout, &p, &packed) == accepted },
            "byte {i}"
        );
        packed[i] ^= 0x10;
    }
    let short = packed.len() - 1;
    assert!(!unpack(layout, &p, &packed[..short], &mut logical));
    assert!(!padding_is_neutral(layout, &p, &packed[..short]));
    assert!(!pack(layout, &p, &mut packed[..short]));
}
