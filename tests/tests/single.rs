//! Float32 steps in integers against the float32 of this machine.
#![forbid(unsafe_code)]

use dyadic_kernels::isa::Cpu;
use dyadic_kernels::params::{Coordinates, Resize};
use dyadic_kernels::registry::{Choice, KernelOp};
use dyadic_kernels::single::Single;
use dyadic_kernels::{ElemType, reference};
use proptest::prelude::*;

/// A finite float32 as the steps hold it: its mantissa, doubled or halved.
fn single(value: f32) -> Single {
    let bits = value.to_bits();
    let (fraction, biased) = ((bits & 0x7f_ffff) as i32, (bits >> 23 & 0xff) as i32);
    assert!(biased != 0 || fraction == 0, "{value:e} is below the normal numbers");
    let mantissa = if biased == 0 { 0 } else { fraction | 1 << 23 };
    let signed = Single::from_integer(if value < 0.0 { -mantissa } else { mantissa });
    let two = Single::ONE.plus(Single::ONE);
    let exponent = biased - 150;
    (0..exponent.abs()).fold(signed, |v, _| v.times(if exponent < 0 { Single::HALF } else { two }))
}

/// Values whose sums, products and quotients stay normal; many with few bits, so that ties and equal exponents occur.
fn values() -> impl Strategy<Value = f32> {
    let any_bits = (0..1u32 << 23, 100..154u32, any::<bool>());
    let few_bits = (0..8u32, 100..154u32, any::<bool>()).prop_map(|(top, e, s)| (top << 20, e, s));
    let close = (0..1u32 << 23, 126..129u32, any::<bool>());
    prop_oneof![any_bits, few_bits, close].prop_map(|(fraction, biased, negative)| {
        f32::from_bits(u32::from(negative) << 31 | biased << 23 | fraction)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(20_000) })]

    #[test]
    fn steps_are_those_of_the_machine(a in values(), b in values()) {
        let (x, y) = (single(a), single(b));
        prop_assert_eq!(x.plus(y), single(a + b));
        prop_assert_eq!(x.minus(y), single(a - b));
        prop_assert_eq!(x.times(y), single(a * b));
        prop_assert_eq!(x.over(y), single(a / b));
        prop_assert_eq!(i128::from(x.floor()), a.floor() as i128);
        prop_assert_eq!(i128::from(x.ceil()), a.ceil() as i128);
        prop_assert_eq!(i128::from(x.truncated()), a as i128);
        prop_assert_eq!(i128::from(x.rounded()), a.round() as i128);
    }

    #[test]
    fn whole_numbers(value in any::<i32>(), small in -(1 << 25)..1 << 25) {
        prop_assert_eq!(Single::from_integer(value), single(value as f32));
        prop_assert_eq!(Single::from_integer(small), single(small as f32));
    }

    #[test]
    fn fixed_points(value in values(), bits in 0..31) {
        // Exact: a product with a power of two, and a sum of at most 53 bits.
        let scaled = f64::from(value) * f64::from(1u32 << bits);
        if scaled.abs() < 1e15 {
            prop_assert_eq!(single(value).fixed_point(bits), (scaled + 0.5).floor() as i64);
        }
    }
}

const MODES: [Coordinates; 3] = [Coordinates::Asymmetric, Coordinates::AlignCorners, Coordinates::HalfPixel];

fn step(input: usize, output: usize, align: bool) -> f32 {
    if align && output > 1 { (input - 1) as f32 / (output - 1) as f32 } else { input as f32 / output as f32 }
}

/// Taps and weight of the upper one, in the machine's float32.
fn taps(o: usize, input: usize, output: usize, mode: Coordinates) -> (usize, usize, f32) {
    let step = step(input, output, mode == Coordinates::AlignCorners);
    let position =
        if mode == Coordinates::HalfPixel { (o as f32 + 0.5) * step - 0.5 } else { o as f32 * step };
    let lower = (position.floor() as i64).max(0);
    let upper = (position.ceil() as i64).min(input as i64 - 1);
    (lower as usize, upper as usize, position - lower as f32)
}

fn bilinear_in_float(p: &Resize, input: &[u8]) -> Vec<u8> {
    let mut output = Vec::new();
    for row in 0..p.batch * p.output[0] {
        let (n, oy) = (row / p.output[0], row % p.output[0]);
        let (y0, y1, dy) = taps(oy, p.input[0], p.output[0], p.coordinates);
        for ox in 0..p.output[1] {
            let (x0, x1, dx) = taps(ox, p.input[1], p.output[1], p.coordinates);
            for c in 0..p.channels {
                let at = |y: usize, x: usize| {
                    f32::from(input[((n * p.input[0] + y) * p.input[1] + x) * p.channels + c])
                };
                let sum = at(y0, x0) * (1.0 - dy) * (1.0 - dx)
                    + at(y1, x0) * dy * (1.0 - dx)
                    + at(y0, x1) * (1.0 - dy) * dx
                    + at(y1, x1) * dy * dx;
                output.push((sum + 0.5) as u8);
            }
        }
    }
    output
}

fn picture(count: usize, mut seed: u64) -> Vec<u8> {
    let mut next = || {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 56) as u8
    };
    (0..count).map(|_| next()).collect()
}

/// The reference and every kernel against float32.
fn check_bilinear(batch: usize, input: [usize; 2], output: [usize; 2], channels: usize, seed: u64) {
    let pixels = picture(batch * input[0] * input[1] * channels, seed);
    for coordinates in MODES {
        let p = Resize { batch, input, output, channels, elem: ElemType::U8, coordinates };
        let expected = bilinear_in_float(&p, &pixels);
        let mut actual = vec![0; expected.len()];
        reference::bilinear_single(&p, &pixels, &mut actual);
        assert_eq!(actual, expected, "{p:?}");
        let cpu = Cpu::detect();
        for isa in dyadic_tests::isas() {
            let kernel = Choice { isa, cpu }.resize(KernelOp::BilinearSingle, &p).unwrap();
            actual.fill(0xa5);
            kernel.run(&p, &pixels, 0..batch * output[0], &mut actual);
            assert_eq!(actual, expected, "{} {p:?}", kernel.kernel().name);
        }
    }
}

/// Sizes where float32 and exact coordinates, or weights, part.
#[test]
fn bilinear_sizes() {
    for (input, output, channels) in [
        ([1, 2], [51, 121], 3),
        ([33, 33], [65, 129], 2),
        ([33, 5], [513, 65], 21),
        ([13, 13], [50, 50], 4),
        ([7, 5], [14, 20], 33),
        ([35, 2], [12, 48], 1),
        ([22, 21], [36, 42], 1),
        ([40, 50], [20, 13], 5),
        ([1, 1], [9, 1], 70),
        ([3, 100], [1, 301], 2),
        ([2, 2], [1, 1], 1),
    ] {
        check_bilinear(2, input, output, channels, 7);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(150) })]

    #[test]
    fn bilinear(
        batch in 1..3usize,
        input in [1..40usize, 1..40],
        output in [1..60usize, 1..60],
        channels in 1..6usize,
        seed in any::<u64>(),
    ) {
        check_bilinear(batch, input, output, channels, seed);
    }
}

/// Every pair of sizes to 60 and 90, every mode.
#[test]
fn nearest_indices() {
    for input in 1..=60 {
        for output in 1..=90 {
            for (align, half) in [(false, false), (false, true), (true, false), (true, true)] {
                for o in 0..output {
                    let centre = o as f32 + if half { 0.5 } else { 0.0 };
                    let position = centre * step(input, output, align);
                    let index = if align { position.round() } else { position.floor() };
                    let expected = (index as usize).min(input - 1);
                    let actual = reference::nearest_single_index(o, input, output, align, half);
                    assert_eq!(actual, expected, "{o}: {input} to {output}, {align} {half}");
                }
            }
        }
    }
}
