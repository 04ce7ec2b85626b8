//! Pooling, mean, resize and argmax: every kernel that this CPU runs against the reference.

use std::ops::Range;

use dyadic_kernels::geometry::{Axis, Window};
use dyadic_kernels::isa::IsaKind;
use dyadic_kernels::params::{
    ArgMax, AveragePool, AverageRule, Coordinates, Dims, MAX_RANK, MaxPool, Mean, Output, Quant, Resize,
};
use dyadic_kernels::registry::KernelOp;
use dyadic_kernels::requant::{Dyadic, Rounding};
use dyadic_kernels::{ElemType, reference};
use proptest::prelude::*;

#[path = "../common/mod.rs"]
mod common;
use common::{Fill, Guarded, Random, any_axis, assert_taken, axis, fast, left_out};

/// Runs a banded kernel band by band, each into a guarded buffer, and compares.
fn check_bands(
    input: &[u8],
    expected: &[u8],
    rows: usize,
    band: usize,
    run: impl Fn(&[u8], Range<usize>, &mut [u8]),
    name: &str,
) {
    let bytes = expected.len() / rows;
    for band in [band, rows] {
        for from in (0..rows).step_by(band) {
            let to = rows.min(from + band);
            let (mut input, mut output) = (Guarded::copy(input), Guarded::new((to - from) * bytes));
            run(input.slice(), from..to, output.slice());
            assert_eq!(output.checked(), &expected[from * bytes..to * bytes], "{name} rows {from}..{to}");
        }
    }
}

fn quants() -> [Quant; 6] {
    let quant = |elem, zero_point| Quant { elem, zero_point };
    [
        quant(ElemType::U8, 0),
        quant(ElemType::U8, 77),
        quant(ElemType::U8, 255),
        quant(ElemType::S8, -128),
        quant(ElemType::S8, -7),
        quant(ElemType::S8, 127),
    ]
}

const FILLS: [Fill; 4] = [Fill::Random, Fill::Same(0x80), Fill::Same(0x7f), Fill::Either(0, 255)];

/// One pooling geometry with both average rules and the maximum.
fn check_pools(batch: usize, window: Window, channels: usize, band: usize, seed: u64) {
    if left_out(batch * window.output_pixels() * window.taps() * channels) {
        return;
    }
    let mut random = Random(seed);
    let quants = quants();
    let from = quants[random.within(0, 5) as usize];
    let to = Quant { elem: from.elem, ..quants[random.within(0, 5) as usize] };
    let lo = random.within(to.elem.min(), to.elem.max());
    let hi = random.within(lo, to.elem.max());
    let zero_point = to.zero_point.clamp(to.elem.min(), to.elem.max());
    let output = [
        Output { elem: to.elem, zero_point, lo: to.elem.min(), hi: to.elem.max() },
        Output { elem: to.elem, zero_point, lo, hi },
    ][random.within(0, 1) as usize];
    let fill = FILLS[random.within(0, 3) as usize];
    let input = random.bytes(batch * window.input_pixels() * channels, fill);
    let rows = batch * window.output_pixels();
    let multipliers: Vec<i32> = (0..window.taps()).map(|_| random.within(1 << 30, i32::MAX)).collect();
    let shifts: Vec<i32> = (0..window.taps()).map(|_| random.within(16, 62)).collect();
    let rescale = AverageRule::Rescale { multipliers: &multipliers, shifts: &shifts };
    for rule in [rescale, AverageRule::RawHalfAway] {
        let p = AveragePool { batch, window, channels, input: from, rule, output };
        let mut expected = vec![0; rows * channels];
        reference::average_pool(&p, &input, &mut expected);
        for choice in fast(KernelOp::AveragePool) {
            let kernel = choice.average_pool(KernelOp::AveragePool, &p).unwrap();
            assert_eq!(kernel.kernel().isa, choice.isa);
            let run = |input: &[u8], rows, output: &mut [u8]| kernel.run(&p, input, rows, output);
            check_bands(&input, &expected, rows, band, run, &format!("{} {p:?}", kernel.kernel().name));
        }
    }
    check_maximum(
        &MaxPool { batch, window, channels, elem: to.elem, lo: output.lo, hi: output.hi },
        &input,
        band,
    );
    // The same of 16 bits, from the same bytes twice.
    let (lo, hi) = (256 * output.lo.min(127), 256 * output.hi.min(127));
    let wide = MaxPool { batch, window, channels, elem: ElemType::S16, lo, hi };
    check_maximum(&wide, &[input.clone(), input].concat(), band);
}

fn check_maximum(p: &MaxPool, input: &[u8], band: usize) {
    let rows = p.batch * p.window.output_pixels();
    let mut expected = vec![0; rows * p.channels * p.elem.bits() / 8];
    reference::max_pool(p, input, &mut expected);
    for choice in fast(KernelOp::MaxPool) {
        let kernel = choice.max_pool(KernelOp::MaxPool, p).unwrap();
        assert_eq!(kernel.kernel().isa, choice.isa);
        let run = |input: &[u8], rows, output: &mut [u8]| kernel.run(p, input, rows, output);
        check_bands(input, &expected, rows, band, run, &format!("{} {p:?}", kernel.kernel().name));
    }
}

#[test]
fn pools_of_every_channel_count() {
    for channels in 1..=70 {
        // The last has more padding behind than before.
        let lopsided = Axis { output: 4, ..axis(8, 3, 2, 1, 0) };
        for (i, axis) in
            [axis(7, 7, 1, 1, 0), axis(6, 3, 2, 1, 1), axis(5, 2, 2, 1, 0), lopsided].into_iter().enumerate()
        {
            let window = Window { y: axis, x: axis };
            check_pools(2, window, channels, 3, (channels * 10 + i) as u64);
        }
    }
}

/// Counts round the end of the reciprocals, and far beyond.
#[test]
fn pools_of_many_taps() {
    for kernel in [15, 16, 17, 40] {
        for seed in 0..20 {
            let of = |extra| axis(kernel + extra, kernel, 1, 1, kernel / 3);
            check_pools(1, Window { y: of(1), x: of(0) }, 5, 7, seed);
        }
    }
}

proptest! {
    #![proptest_config(common::cases(1500))]
    #[test]
    fn any_pool(
        batch in 1..3usize, y in any_axis(), x in any_axis(), channels in 1..70usize, band in 1..40usize,
        seed in any::<u64>(),
    ) {
        check_pools(batch, Window { y, x }, channels, band, seed);
    }

    #[test]
    fn any_mean(extents in prop::collection::vec(1..6usize, 1..5), mask in any::<u8>(), seed in any::<u64>()) {
        check_mean(&extents, mask, seed);
    }

}

proptest! {
    #![proptest_config(common::cases(60))]
    #[test]
    fn any_resize(
        batch in 1..3usize, input in [1..20usize, 1..20usize], output in [1..150usize, 1..150usize],
        channels in 1..70usize, band in 1..40usize, seed in any::<u64>(),
    ) {
        check_resize(batch, input, [output[0] % 25 + 1, output[1]], channels, band, seed);
    }
}

/// Returns how many fast kernels took it.
fn check_mean(extents: &[usize], mask: u8, seed: u64) -> usize {
    let mut random = Random(seed);
    let quants = quants();
    if left_out(extents.iter().product()) {
        return 0;
    }
    let mut axes = [false; MAX_RANK];
    axes.iter_mut().enumerate().for_each(|(i, axis)| *axis = (mask >> i) & 1 == 1);
    let to = quants[random.within(0, 5) as usize];
    let shape = Dims::new(extents).unwrap();
    let shift = if random.next().is_multiple_of(2) { random.within(16, 62) } else { random.within(31, 38) };
    let rounding = [Rounding::Once, Rounding::Twice, Rounding::OnceAway][random.within(0, 2) as usize];
    // With two roundings the count is folded into the multiplier.
    let least = if rounding == Rounding::Twice { 0 } else { 1 << 30 };
    let p = Mean {
        shape,
        axes,
        input: quants[random.within(0, 5) as usize],
        scale: Dyadic { multiplier: random.within(least, i32::MAX), shift },
        rounding,
        output: Output { elem: to.elem, zero_point: to.zero_point, lo: to.elem.min(), hi: to.elem.max() - 3 },
    };
    let fill = FILLS[random.within(0, 3) as usize];
    let input = random.bytes(shape.count(), fill);
    let kept = extents.iter().zip(axes).filter(|&(_, reduced)| !reduced).map(|(&extent, _)| extent).product();
    let mut expected = vec![0; kept];
    reference::mean(&p, &input, &mut expected);
    let mut count = 0;
    for choice in fast(KernelOp::Mean) {
        let Some(kernel) = choice.mean(KernelOp::Mean, &p) else { continue };
        if kernel.kernel().isa == IsaKind::Reference {
            continue;
        }
        count += 1;
        let (mut input, mut output) = (Guarded::copy(&input), Guarded::new(kept));
        kernel.run(&p, input.slice(), output.slice());
        assert_eq!(output.checked(), expected, "{} {p:?}", kernel.kernel().name);
    }
    count
}

#[test]
fn mean_over_the_middle() {
    let fast = fast(KernelOp::Mean).count();
    for channels in (1..70).chain([1280]) {
        for rounding in 0..8 {
            assert_taken(check_mean(&[2, 7, 7, channels], 0b0110, rounding), fast);
        }
        assert_taken(check_mean(&[3, channels], 0b10, channels as u64), fast);
        assert_taken(check_mean(&[channels, 3], 0b01, channels as u64), fast);
        // An axis of extent 1 between reduced ones does not count; a kept one between them does.
        assert_taken(check_mean(&[2, 4, 1, 5, channels], 0b01010, channels as u64), fast);
        assert_taken(check_mean(&[2, 4, 3, 5, channels], 0b01010, channels as u64), 0);
    }
}

const COORDINATES: [Coordinates; 3] =
    [Coordinates::Asymmetric, Coordinates::AlignCorners, Coordinates::HalfPixel];

type Reference = fn(&Resize, &[u8], &mut [u8]);

/// Both rules under all coordinate rules; returns how many fast kernels took it.
fn check_resize(
    batch: usize,
    input: [usize; 2],
    output: [usize; 2],
    channels: usize,
    band: usize,
    seed: u64,
) -> usize {
    let mut random = Random(seed);
    let fill = FILLS[random.within(0, 3) as usize];
    let values = random.bytes(batch * input[0] * input[1] * channels, fill);
    let rows = batch * output[0];
    if left_out(rows * output[1] * channels) {
        return 0;
    }
    let mut count = 0;
    for coordinates in COORDINATES {
        for elem in [ElemType::U8, ElemType::S8] {
            let p = Resize { batch, input, output, channels, elem, coordinates };
            let mut ops: Vec<(KernelOp, Reference)> = vec![
                (KernelOp::Bilinear10, reference::bilinear_10bit),
                (KernelOp::BilinearRational, reference::bilinear_rational),
            ];
            if elem == ElemType::U8 {
                ops.push((KernelOp::BilinearSingle, reference::bilinear_single));
            }
            for (op, function) in ops {
                let mut expected = vec![0; rows * output[1] * channels];
                function(&p, &values, &mut expected);
                for choice in fast(op) {
                    let kernel = choice.resize(op, &p).unwrap();
                    if kernel.kernel().isa == IsaKind::Reference {
                        continue;
                    }
                    count += 1;
                    let run = |input: &[u8], rows, output: &mut [u8]| kernel.run(&p, input, rows, output);
                    let name = format!("{} {p:?}", kernel.kernel().name);
                    check_bands(&values, &expected, rows, band, run, &name);
                }
            }
        }
    }
    count
}

#[test]
fn resize_to_every_width() {
    // Three modes, two rules for both types and one for u8.
    let all = 3 * 5 * fast(KernelOp::Bilinear10).count();
    for width in (1..140).step_by(7) {
        for channels in [1, 3, 21, 31, 32, 33, 40, 64] {
            assert_taken(check_resize(1, [3, 5], [4, width], channels, 3, width as u64), all);
            assert_taken(check_resize(2, [1, 1], [3, width], channels, 2, width as u64), all);
        }
    }
    // DeepLab's, in fewer rows; the unit is 16 x 16 once reduced.
    assert_taken(check_resize(1, [3, 33], [33, 513], 21, 8, 1), all);
    // Shrinking, and extents at their limit.
    for (input, output) in [([40, 41], [7, 11]), ([3, 5], [16_383, 4]), ([5, 3], [4, 16_384])] {
        assert_taken(check_resize(1, input, output, 1, 500, output[1] as u64), all);
    }
}

/// Half-pixel units whose product is just within the 2^22 of the fast form, and beyond.
#[test]
#[cfg_attr(miri, ignore = "a million pixels")]
fn resize_by_large_units() {
    for output in [[1023, 1025], [1025, 1025], [2049, 1031]] {
        for elem in [ElemType::U8, ElemType::S8] {
            let coordinates = Coordinates::HalfPixel;
            let p = Resize { batch: 1, input: [4, 2], output, channels: 1, elem, coordinates };
            let values = Random(output[0] as u64).bytes(8, Fill::Random);
            let mut expected = vec![0; output[0] * output[1]];
            reference::bilinear_rational(&p, &values, &mut expected);
            for choice in fast(KernelOp::BilinearRational) {
                let kernel = choice.resize(KernelOp::BilinearRational, &p).unwrap();
                assert_eq!(kernel.kernel().isa, choice.isa);
                let mut actual = vec![0; expected.len()];
                kernel.run(&p, &values, 0..output[0], &mut actual);
                assert!(actual == expected, "{p:?}");
            }
        }
    }
}

/// All quotients that a reciprocal can be asked for, for the units of small pictures.
#[test]
fn resize_all_differences() {
    let values: Vec<u8> = (0..=255u8).flat_map(|v| [0, v, 255 - v, 255]).collect();
    for out in [3, 5, 6, 7, 11, 12] {
        if left_out(256 * out) {
            continue;
        }
        let p = Resize {
            batch: 256,
            input: [2, 2],
            output: [out, out],
            channels: 1,
            elem: ElemType::U8,
            coordinates: Coordinates::AlignCorners,
        };
        let mut expected = vec![0; 256 * out * out];
        reference::bilinear_rational(&p, &values, &mut expected);
        for choice in fast(KernelOp::BilinearRational) {
            let kernel = choice.resize(KernelOp::BilinearRational, &p).unwrap();
            let mut output = vec![0; expected.len()];
            kernel.run(&p, &values, 0..256 * out, &mut output);
            assert_eq!(output, expected);
        }
    }
}

#[test]
fn argmax_of_every_depth() {
    for depth in (1..=100).chain([255, 256, 1001, 70_000]) {
        let outer = if depth > 2000 { 2 } else { 9 };
        for (i, fill) in [Fill::Random, Fill::Same(3), Fill::Either(0, 255), Fill::Either(0x80, 0x7f)]
            .into_iter()
            .enumerate()
        {
            for elem in [ElemType::U8, ElemType::S8] {
                if left_out(outer * depth) {
                    continue;
                }
                let input = Random((depth * 7 + i) as u64).bytes(outer * depth, fill);
                let p = ArgMax { elem, outer, depth, inner: 1 };
                let mut expected = vec![0; outer * 4];
                reference::argmax(elem, outer, depth, 1, &input, &mut expected);
                for choice in fast(KernelOp::ArgMax) {
                    let kernel = choice.argmax(KernelOp::ArgMax, &p).unwrap();
                    assert_eq!(kernel.kernel().isa, choice.isa);
                    let run = |input: &[u8], rows, output: &mut [u8]| kernel.run(&p, input, rows, output);
                    check_bands(&input, &expected, outer, 2, run, &format!("{p:?}"));
                }
            }
        }
    }
}
