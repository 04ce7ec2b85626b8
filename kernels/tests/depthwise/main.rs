//! Every depthwise kernel that this CPU runs against the reference.

use dyadic_kernels::geometry::{Axis, Window};
use dyadic_kernels::isa::{Cpu, IsaKind};
use dyadic_kernels::params::{Conv, Output, Quant};
use dyadic_kernels::registry::{KernelOp, Layout};
use dyadic_kernels::requant::Rounding;
use dyadic_kernels::{ElemType, pack, reference};
use proptest::prelude::*;

#[path = "../common/mod.rs"]
mod common;
use common::{Fill, Guarded, Random, any_axis, assert_taken, axis, fast, left_out};

#[derive(Clone, Debug)]
struct Case {
    batch: usize,
    y: Axis,
    x: Axis,
    channels: usize,
    multiplier: usize,
    input: Quant,
    weight: Quant,
    output: Output,
    rounding: Rounding,
    fill: Fill,
    shifts: [i32; 2],
    /// Largest magnitude of the bias.
    bias: i32,
    /// Rows of a band.
    band: usize,
    seed: u64,
}

const S8: Quant = Quant { elem: ElemType::S8, zero_point: -3 };
const S8_WEIGHT: Quant = Quant { elem: ElemType::S8, zero_point: 0 };

fn whole(elem: ElemType, zero_point: i32) -> Output {
    Output { elem, zero_point, lo: elem.min(), hi: elem.max() }
}

fn plain(channels: usize, size: usize, kernel: usize, stride: usize) -> Case {
    let axis = axis(size, kernel, stride, 1, kernel / 2);
    Case {
        batch: 1,
        y: axis,
        x: axis,
        channels,
        multiplier: 1,
        input: S8,
        weight: S8_WEIGHT,
        output: whole(ElemType::S8, 5),
        rounding: Rounding::Once,
        fill: Fill::Random,
        shifts: [38, 42],
        bias: 20_000,
        band: 11,
        seed: (channels * 1000 + kernel * 10 + stride) as u64,
    }
}

impl Case {
    /// Compares; returns the names of the kernels that took the case.
    fn check(&self) -> Vec<&'static str> {
        let mut random = Random(self.seed);
        let window = Window { y: self.y, x: self.x };
        let outputs = self.channels * self.multiplier;
        let count = outputs * window.taps();
        // A kernel computes whole blocks of 32 channels.
        let work =
            self.batch * window.y.output * window.x.output * window.taps() * outputs.next_multiple_of(32);
        if left_out(work / 4) {
            return Vec::new();
        }
        let weights = random.bytes(self.weight.elem.bytes(count).unwrap(), self.fill);
        let bias: Vec<i32> = (0..outputs).map(|_| random.within(-self.bias, self.bias)).collect();
        let multipliers: Vec<i32> = (0..outputs)
            .map(|_| match random.next() % 8 {
                0 => 0,
                1 => i32::MAX,
                2 => 1 << 30,
                _ => random.within(1 << 30, i32::MAX),
            })
            .collect();
        let shifts: Vec<i32> = (0..outputs).map(|_| random.within(self.shifts[0], self.shifts[1])).collect();
        let raw = self.output.elem == ElemType::S32;
        let width = self.output.elem.bits() / 8;
        let p = Conv {
            batch: self.batch,
            window,
            in_channels: self.channels,
            out_channels: outputs,
            groups: self.channels,
            input: self.input,
            input_codes: (self.input.elem.min(), self.input.elem.max()),
            weight: self.weight,
            weights: &weights,
            bias: &bias,
            multipliers: if raw { &[] } else { &multipliers },
            shifts: if raw { &[] } else { &shifts },
            rounding: self.rounding,
            output: self.output,
        };
        let input = random.bytes(self.batch * window.input_pixels() * self.channels, self.fill);
        let mut expected = vec![0; p.rows() * outputs * width];
        reference::depthwise(&p, &input, &mut expected);
        let mut names = Vec::new();
        for choice in fast(KernelOp::Depthwise) {
            let kernel = choice.conv(KernelOp::Depthwise, &p).expect("a kernel for every case");
            if kernel.kernel().isa != choice.isa {
                continue;
            }
            names.push(kernel.kernel().name);
            let layout = kernel.kernel().layout;
            let mut packed = vec![0; pack::packed_len(layout, &p)];
            assert!(pack::pack(layout, &p, &mut packed));
            let bare = Conv { weights: &[], ..p };
            for band in [self.band, p.rows()] {
                let mut from = 0;
                while from < p.rows() {
                    let to = p.rows().min(from + band);
                    let mut output = Guarded::new((to - from) * outputs * width);
                    let mut scratch = Guarded::new((kernel.kernel().scratch)(&p));
                    let (mut input, mut packed) = (Guarded::copy(&input), Guarded::copy(&packed));
                    let (input, packed) = (input.slice(), packed.slice());
                    kernel.run(&bare, packed, input, from..to, output.slice(), scratch.slice());
                    scratch.checked();
                    assert_eq!(
                        output.checked(),
                        &expected[from * outputs * width..to * outputs * width],
                        "{} rows {from}..{to} of {self:?}",
                        kernel.kernel().name
                    );
                    from = to;
                }
            }
        }
        names
    }
}

/// Kernels of whole vectors that this CPU has.
fn tiled() -> usize {
    [IsaKind::Avx2, IsaKind::Avx512Vnni, IsaKind::Neon]
        .into_iter()
        .filter(|&isa| Cpu::detect().has(isa))
        .count()
}

#[test]
fn channels_round_the_block() {
    for channels in [1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 31, 32, 33, 40, 47, 48, 63, 64, 65, 96, 100]
    {
        for (kernel, stride) in [(3, 1), (3, 2), (5, 1)] {
            let names = plain(channels, 9, kernel, stride).check();
            assert_taken(names.len(), 1 + tiled());
        }
    }
}

#[test]
fn windows_of_every_kind() {
    for kernel in [1, 2, 3, 4, 5, 7, 9] {
        for stride in [1, 2, 3] {
            for dilation in [1, 2, 4] {
                for pad in [0, 1, kernel * dilation / 2, kernel * dilation] {
                    for channels in [6, 35] {
                        let case = plain(channels, 10, kernel, stride);
                        let y = axis(kernel * dilation + 2, kernel, stride, dilation, pad);
                        let x = axis(kernel * dilation + 3, kernel, stride, dilation, pad);
                        Case { y, x, ..case.clone() }.check();
                        // One row and one column of taps.
                        Case { y: axis(4, 1, 1, 1, 0), x, ..case.clone() }.check();
                        Case { y, x: axis(5, 1, 2, 1, 0), ..case }.check();
                    }
                }
            }
        }
    }
}

/// As many taps as a window of 3x3 has with its padding tap, and neighbours too.
#[test]
fn windows_of_ten_taps() {
    let row = |kernel| axis(16, kernel, 1, 1, 2);
    for (height, width) in [(1, 10), (2, 5), (5, 2), (10, 1)] {
        Case { y: row(height), x: row(width), ..plain(40, 9, 3, 1) }.check();
    }
}

/// Outputs of 16 bits and accumulators as they are: the portable kernel takes them on every CPU.
#[test]
fn wide_outputs() {
    for output in [whole(ElemType::S16, -900), whole(ElemType::S32, 0)] {
        for channels in [1, 7, 32, 33, 70] {
            for rounding in [Rounding::Once, Rounding::Twice, Rounding::OnceAway] {
                let case = Case { output, rounding, shifts: [28, 36], ..plain(channels, 6, 3, 1) };
                let names = case.check();
                assert!(cfg!(miri) || names == ["depthwise_x8_portable"]);
                Case { multiplier: 2, fill: Fill::Either(0x80, 0x7f), ..case }.check();
            }
        }
    }
}

#[test]
fn windows_of_many_taps() {
    let wide = |kernel, pad| axis(kernel + 1, kernel, 1, 1, pad);
    let case = plain(33, 4, 3, 1);
    let names = Case { y: wide(16, 3), x: wide(16, 8), ..case.clone() }.check();
    assert_taken(names.len(), 1 + tiled());
    Case { y: wide(1, 0), x: wide(256, 100), ..case.clone() }.check();
    // One tap more than the vector kernel takes.
    let names = Case { y: wide(1, 0), x: wide(257, 100), ..case }.check();
    assert!(cfg!(miri) || names == ["depthwise_x8_portable"]);
}

#[test]
fn every_shift_and_rounding() {
    for rounding in [Rounding::Once, Rounding::Twice, Rounding::OnceAway] {
        for shift in 16..=62 {
            for bias in [0, 20_000, (1 << 30) - 255 * 255 * 9 - 1, i32::MAX] {
                Case { rounding, shifts: [shift, shift], bias, ..plain(32, 6, 3, 1) }.check();
            }
        }
        Case { rounding, shifts: [16, 62], bias: 1 << 29, ..plain(65, 6, 3, 1) }.check();
    }
}

/// With two roundings the vector kernel leaves accumulators of 2^30 and beyond to the portable one.
#[test]
fn large_accumulators() {
    let count = |bias| {
        let case = Case { rounding: Rounding::Twice, bias, ..plain(32, 6, 3, 1) };
        let names = case.check();
        names.len()
    };
    assert_taken(count((1 << 30) - 255 * 255 * 9 - 1), 1 + tiled());
    assert_taken(count(i32::MAX), 1);
}

#[test]
fn extreme_values_and_zero_points() {
    let quants = |elem: ElemType| [elem.min(), 0, elem.max()].map(|zero_point| Quant { elem, zero_point });
    for input in quants(ElemType::U8).into_iter().chain(quants(ElemType::S8)) {
        let weights =
            quants(ElemType::U8).into_iter().chain([S8_WEIGHT, Quant { elem: ElemType::S4, zero_point: 0 }]);
        for weight in weights {
            for fill in [Fill::Same(0x80), Fill::Same(0x7f), Fill::Same(0xff), Fill::Either(0x80, 0x7f)] {
                for rounding in [Rounding::Once, Rounding::Twice] {
                    for channels in [8, 40] {
                        Case { input, weight, fill, rounding, ..plain(channels, 5, 3, 1) }.check();
                    }
                }
            }
        }
    }
}

#[test]
fn every_clamp_end() {
    for elem in [ElemType::U8, ElemType::S8] {
        for lo in (elem.min()..=elem.max()).step_by(5) {
            for hi in (lo..=elem.max()).step_by(51) {
                for zero_point in [elem.min(), elem.max()] {
                    let output = Output { elem, zero_point, lo, hi };
                    Case { output, shifts: [34, 36], ..plain(32, 3, 3, 1) }.check();
                }
            }
        }
    }
}

fn quant() -> impl Strategy<Value = Quant> {
    prop_oneof![
        (0..=255).prop_map(|zero_point| Quant { elem: ElemType::U8, zero_point }),
        (-128..=127).prop_map(|zero_point| Quant { elem: ElemType::S8, zero_point }),
    ]
}

fn weight() -> impl Strategy<Value = Quant> {
    prop_oneof![
        Just(S8_WEIGHT),
        Just(Quant { elem: ElemType::S4, zero_point: 0 }),
        (0..=255).prop_map(|zero_point| Quant { elem: ElemType::U8, zero_point }),
    ]
}

fn output() -> impl Strategy<Value = Output> {
    (quant(), 0..=255i32, 0..=255i32).prop_map(|(q, a, b)| {
        let (lo, hi) = (q.elem.min() + a.min(b), q.elem.min() + a.max(b));
        Output { elem: q.elem, zero_point: q.zero_point, lo, hi }
    })
}

fn case() -> impl Strategy<Value = Case> {
    let shape = (1..3usize, any_axis(), any_axis(), 1..80usize, prop_oneof![8 => Just(1), 1 => 2..10usize]);
    let types = (
        quant(),
        weight(),
        output(),
        prop::sample::select(&[Rounding::Once, Rounding::Twice, Rounding::OnceAway][..]),
    );
    let values = (
        prop::sample::select(
            &[Fill::Random, Fill::Random, Fill::Either(0x80, 0x7f), Fill::Either(0, 255)][..],
        ),
        (16..=62i32, 16..=62i32, prop::bool::ANY),
        prop::sample::select(&[0, 100, 1 << 20, 1 << 29, i32::MAX][..]),
        1..40usize,
        any::<u64>(),
    );
    (shape, types, values).prop_map(|((batch, y, x, channels, multiplier), types, values)| {
        let (input, weight, output, rounding) = types;
        let (fill, (a, b, usual), bias, band, seed) = values;
        let shifts = if usual { [34, 42] } else { [i32::min(a, b), i32::max(a, b)] };
        let base = plain(channels, 1, 1, 1);
        Case {
            batch,
            y,
            x,
            multiplier,
            input,
            weight,
            output,
            rounding,
            fill,
            shifts,
            bias,
            band,
            seed,
            ..base
        }
    })
}

proptest! {
    #![proptest_config(common::cases(3000))]
    #[test]
    fn any_case(case in case()) {
        case.check();
    }
}

/// Packing keeps every weight, and unpacking notices every changed byte.
#[test]
fn packing_is_reversible() {
    for (elem, zero_point) in [(ElemType::S8, 0), (ElemType::S4, 0), (ElemType::U8, 131)] {
        for channels in [1, 3, 8, 24, 31, 32, 33, 63, 64, 70] {
            for kernel in [1, 2, 3] {
                if left_out(0) {
                    continue;
                }
                let mut random = Random(channels as u64);
                let window = Window { y: axis(4, kernel, 1, 1, 0), x: axis(4, kernel, 1, 1, 0) };
                let mut weights = random.bytes(elem.bytes(channels * window.taps()).unwrap(), Fill::Random);
                if elem == ElemType::S4 && !(channels * window.taps()).is_multiple_of(2) {
                    *weights.last_mut().unwrap() &= 15;
                }
                let p = Conv {
                    batch: 1,
                    window,
                    in_channels: channels,
                    out_channels: channels,
                    groups: channels,
                    input: S8,
                    input_codes: (-128, 127),
                    weight: Quant { elem, zero_point },
                    weights: &weights,
                    bias: &[],
                    multipliers: &[],
                    shifts: &[],
                    rounding: Rounding::Once,
                    output: whole(ElemType::S8, 0),
                };
                let mut packed = vec![0xaa; pack::packed_len(Layout::Depthwise32x2, &p)];
                assert!(pack::pack(Layout::Depthwise32x2, &p, &mut packed));
                let mut logical = vec![0xff; weights.len()];
                assert!(pack::unpack(Layout::Depthwise32x2, &p, &packed, &mut logical));
                assert_eq!(logical, weights);
                for at in 0..packed.len() {
                    packed[at] ^= 1 << (at % 8);
                    let decoded = pack::unpack(Layout::Depthwise32x2, &p, &packed, &mut logical);
                    assert!(!decoded || logical != weights, "byte {at} of {channels} channels");
                    // What is wrong is padding, a repeated channel, or a value that the type has not.
                    let neutral = pack::padding_is_neutral(Layout::Depthwise32x2, &p, &packed);
                    let pair = [packed[at & !1], packed[at | 1]];
                    let value = i32::from(i16::from_le_bytes(pair)) + zero_point;
                    let outside = value < elem.min() || elem.max() < value;
                    assert!(decoded || !neutral || outside, "byte {at} of {channels} channels");
                    assert!(neutral || !decoded, "byte {at} of {channels} channels");
                    packed[at] ^= 1 << (at % 8);
                }
            }
        }
    }
}

#[test]
fn depth_multipliers() {
    for (channels, multiplier) in
        [(1, 2), (1, 8), (3, 5), (2, 16), (1, 32), (1, 40), (7, 5), (33, 2), (16, 3)]
    {
        for stride in [1, 2] {
            let names = Case { multiplier, ..plain(channels, 9, 3, stride) }.check();
            assert_taken(names.len(), 1 + tiled());
        }
    }
}
