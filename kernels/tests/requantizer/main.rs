//! The end of a matrix product, from accumulator to output byte, on every instruction set of this CPU: accumulators on both
//! sides of every step of the output, and, when asked for, all 2^32.
#![forbid(unsafe_code)]

use std::ops::RangeInclusive;

use dyadic_kernels::ElemType;
use dyadic_kernels::geometry::{Axis, Window};
use dyadic_kernels::isa::{Cpu, IsaKind};
use dyadic_kernels::pack::{pack, packed_len};
use dyadic_kernels::params::{Conv, Output, Quant};
use dyadic_kernels::registry::{Bound, Choice, ConvFn, KernelOp};
use dyadic_kernels::requant::{Dyadic, Rounding, rescale};

/// Factors whose steps are narrow, wide, of uneven width and at the ends of what multiplier and shift can be.
const FACTORS: [Dyadic; 8] = [
    Dyadic { multiplier: 1 << 30, shift: 54 },
    Dyadic { multiplier: 1_431_655_765, shift: 40 },
    Dyadic { multiplier: i32::MAX, shift: 46 },
    Dyadic { multiplier: (1 << 30) + 1, shift: 31 },
    Dyadic { multiplier: 1_518_500_250, shift: 24 },
    Dyadic { multiplier: 1_985_229_328, shift: 16 },
    Dyadic { multiplier: 1_300_000_007, shift: 62 },
    Dyadic { multiplier: 1_900_000_001, shift: 36 },
];

const ROUNDINGS: [Rounding; 3] = [Rounding::Once, Rounding::Twice, Rounding::OnceAway];

const OUTPUTS: [Output; 2] = [
    Output { elem: ElemType::S8, zero_point: -7, lo: -128, hi: 127 },
    Output { elem: ElemType::U8, zero_point: 128, lo: 0, hi: 255 },
];

const POINT: Axis = Axis { input: 1, output: 1, kernel: 1, stride: 1, dilation: 1, pad: 0 };

/// A product of one channel: the accumulator of row `r` and column `c` is the bias of `c` plus the code of `r`.
struct Product {
    factor: Dyadic,
    rounding: Rounding,
    output: Output,
    rows: Vec<u8>,
    columns: usize,
    weights: Vec<u8>,
    multipliers: Vec<i32>,
    shifts: Vec<i32>,
    bias: Vec<i32>,
}

impl Product {
    fn new(
        factor: Dyadic,
        rounding: Rounding,
        output: Output,
        rows: RangeInclusive<u8>,
        columns: usize,
    ) -> Product {
        Product {
            factor,
            rounding,
            output,
            rows: rows.collect(),
            columns,
            weights: vec![1; columns],
            multipliers: vec![factor.multiplier; columns],
            shifts: vec![factor.shift; columns],
            bias: vec![0; columns],
        }
    }

    fn conv(&self) -> Conv<'_> {
        Conv {
            batch: self.rows.len(),
            window: Window { y: POINT, x: POINT },
            in_channels: 1,
            out_channels: self.columns,
            groups: 1,
            input: Quant { elem: ElemType::U8, zero_point: 0 },
            input_codes: (0, 255),
            weight: Quant { elem: ElemType::S8, zero_point: 0 },
            weights: &self.weights,
            bias: &self.bias,
            multipliers: &self.multipliers,
            shifts: &self.shifts,
            rounding: self.rounding,
            output: self.output,
        }
    }

    /// The first kernel of every instruction set of this CPU, with its weights.
    fn kernels(&self) -> Vec<(Bound<ConvFn>, Vec<u8>)> {
        let (p, cpu) = (self.conv(), Cpu::detect());
        let of = |isa| {
            let bound =
                Choice { isa, cpu }.conv(KernelOp::Gemm, &p).filter(|bound| bound.kernel().isa == isa)?;
            let mut packed = vec![0; packed_len(bound.kernel().layout, &p)];
            assert!(pack(bound.kernel().layout, &p, &mut packed));
            Some((bound, packed))
        };
        let isas = IsaKind::ALL.into_iter().filter(|&isa| isa != IsaKind::Reference);
        isas.filter_map(of).collect()
    }

    /// What the definition says, rows of columns.
    fn expected(&self, into: &mut [u8]) {
        for (row, &code) in into.chunks_exact_mut(self.columns).zip(&self.rows) {
            for (byte, bias) in row.iter_mut().zip(&self.bias) {
                let value = rescale(bias + i32::from(code), self.factor, self.rounding);
                *byte = self.output.saturate(value) as u8;
            }
        }
    }

    fn check(&self, kernels: &[(Bound<ConvFn>, Vec<u8>)], expected: &mut [u8], actual: &mut [u8]) {
        let p = self.conv();
        self.expected(expected);
        for (bound, packed) in kernels {
            let mut scratch = vec![0; (bound.kernel().scratch)(&p)];
            actual.fill(0x5a);
            bound.run(&p, packed, &self.rows, 0..self.rows.len(), actual, &mut scratch);
            if actual != expected {
                let at = actual.iter().zip(&*expected).position(|(a, b)| a != b).unwrap_or(0);
                let (row, column) = (at / self.columns, at % self.columns);
                let accumulator = self.bias[column] + i32::from(self.rows[row]);
                panic!(
                    "{}: {accumulator} by {:?}, {:?}, gives {} instead of {} as {:?}",
                    bound.kernel().name,
                    self.factor,
                    self.rounding,
                    actual[at],
                    expected[at],
                    self.output
                );
            }
        }
    }
}

/// Accumulators on both sides of every step of an 8-bit output, where the real value is halfway between two integers, of
/// every power of two and of the ends.
fn near_steps(d: Dyadic) -> Vec<i32> {
    let halfway = |k: i64| (i128::from(2 * k + 1) << (d.shift - 1)) / i128::from(d.multiplier);
    let steps = (-400..=400).map(halfway);
    let powers = (0..=31).flat_map(|bit| [1i128 << bit, -(1i128 << bit)]);
    let near = |at: i128| (-2..=2).map(move |by| at + by);
    steps.chain(powers).flat_map(near).filter_map(|acc| i32::try_from(acc).ok()).collect()
}

#[test]
fn both_sides_of_every_step() {
    for factor in FACTORS {
        let accumulators = near_steps(factor);
        for rounding in ROUNDINGS {
            for output in OUTPUTS {
                let thinned = if cfg!(miri) { 24 } else { accumulators.len() };
                let mut product = Product::new(factor, rounding, output, 0..=0, thinned);
                product.bias.copy_from_slice(&accumulators[..thinned]);
                let kernels = product.kernels();
                assert!(!kernels.is_empty());
                product.check(&kernels, &mut vec![0; thinned], &mut vec![0; thinned]);
            }
        }
    }
}

/// Minutes on a fast machine, an hour or more under an emulator.
#[test]
#[ignore = "all 2^32 accumulators: run by name before a release"]
fn every_accumulator() {
    const COLUMNS: usize = 1 << 12;
    std::thread::scope(|scope| {
        for (factor, output) in FACTORS.into_iter().zip(OUTPUTS.into_iter().cycle()) {
            scope.spawn(move || {
                for rounding in ROUNDINGS {
                    let mut product = Product::new(factor, rounding, output, 0..=255, COLUMNS);
                    let kernels = product.kernels();
                    let (mut expected, mut actual) = (vec![0; 256 * COLUMNS], vec![0; 256 * COLUMNS]);
                    for block in 0..1 << 12 {
                        for (i, bias) in product.bias.iter_mut().enumerate() {
                            *bias = i32::MIN.wrapping_add(((block * COLUMNS + i) * 256) as i32);
                        }
                        product.check(&kernels, &mut expected, &mut actual);
                    }
                    let names: Vec<_> = kernels.iter().map(|(bound, _)| bound.kernel().name).collect();
                    println!("all accumulators by {factor:?}, {rounding:?}: {}", names.join(", "));
                }
            });
        }
    });
}
