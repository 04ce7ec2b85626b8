//! One convolution with its buffers, and the comparison of a kernel with the reference.

use dyadic_kernels::ElemType;
use dyadic_kernels::geometry::{Axis, Window};
use dyadic_kernels::pack;
use dyadic_kernels::params::{Conv, Output, Quant};
use dyadic_kernels::reference;
use dyadic_kernels::registry::{Bound, ConvFn, KernelOp};
use dyadic_kernels::requant::Rounding;

use crate::common::{Guarded, Random, fast, left_out};

/// What the bytes of inputs and weights are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fill {
    Random,
    Lowest,
    Highest,
    /// Lowest and highest, at random.
    Ends,
}

/// How shifts and multipliers are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scales {
    /// So that outputs spread over the 8-bit range.
    Ordinary,
    /// Shifts 16 to 62, multipliers of all sizes and zero.
    Wild,
    /// One shift for all channels.
    Shift(i32),
    /// Powers of two near 1, so that many values fall halfway between two outputs.
    Ties,
}

#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub batch: usize,
    pub y: Axis,
    pub x: Axis,
    pub in_channels: usize,
    pub out_channels: usize,
    pub groups: usize,
    pub input: Quant,
    /// Codes of the input, if not all of its type.
    pub codes: Option<(i32, i32)>,
    pub weight: Quant,
    pub rounding: Rounding,
    pub output: Output,
    pub fill: Fill,
    pub scales: Scales,
    pub seed: u64,
}

pub const POINT: Axis = Axis { input: 1, output: 1, kernel: 1, stride: 1, dilation: 1, pad: 0 };

pub fn s8(zero_point: i32) -> Quant {
    Quant { elem: ElemType::S8, zero_point }
}

pub fn u8(zero_point: i32) -> Quant {
    Quant { elem: ElemType::U8, zero_point }
}

pub const S4: Quant = Quant { elem: ElemType::S4, zero_point: 0 };

/// Output over the whole range of `elem`.
pub fn output(elem: ElemType, zero_point: i32) -> Output {
    Output { elem, zero_point, lo: elem.min(), hi: elem.max() }
}

impl Case {
    /// A fully connected layer of `rows x depth x columns`.
    pub fn matrix(rows: usize, depth: usize, columns: usize) -> Case {
        Case {
            batch: rows,
            y: POINT,
            x: POINT,
            in_channels: depth,
            out_channels: columns,
            groups: 1,
            input: s8(-3),
            codes: None,
            weight: s8(0),
            rounding: Rounding::Once,
            output: output(ElemType::S8, 5),
            fill: Fill::Random,
            scales: Scales::Ordinary,
            seed: (rows * 1_000_003 + depth * 1009 + columns) as u64,
        }
    }

    /// Compares every kernel of this CPU that takes the case with the reference, for every cut of the rows in
    /// `cuts`; returns the names of the kernels.
    pub fn check(&self, cuts: &[usize]) -> Vec<&'static str> {
        let depth = self.y.kernel * self.x.kernel * self.in_channels / self.groups;
        let work = self.batch * self.y.output * self.x.output * self.out_channels * depth;
        if left_out(work * (1 + cuts.len())) {
            return Vec::new();
        }
        let buffers = Buffers::new(self);
        let p = buffers.conv(self);
        let mut expected = vec![0; p.rows() * p.out_channels * p.output.elem.bits() / 8];
        reference::conv2d(&p, &buffers.input, &mut expected);
        let mut names = Vec::new();
        for choice in fast(KernelOp::Gemm) {
            let of_isa = |bound: &Bound<ConvFn>| bound.kernel().isa == choice.isa;
            // An instruction set may leave a case to one that it includes.
            for bound in choice.convs(KernelOp::Gemm, &p).filter(of_isa) {
                let kernel = bound.kernel();
                let mut packed = vec![0xa5; pack::packed_len(kernel.layout, &p)];
                assert!(pack::pack(kernel.layout, &p, &mut packed), "{self:?}");
                // The kernel must not look at the logical weights.
                let fast = Conv { weights: &[], ..p };
                let mut input = Guarded::copy(&buffers.input);
                for &cut in cuts.iter().chain(&[usize::MAX]) {
                    let input = &*input.slice();
                    let actual = Case::run(&fast, (kernel.scratch)(&fast), cut, |rows, out, scratch| {
                        bound.run(&fast, &packed, input, rows, out, scratch);
                    });
                    assert!(actual == expected, "{} in bands of {cut}: {self:?}", kernel.name);
                }
                names.push(kernel.name);
            }
        }
        assert!(!names.is_empty(), "a kernel for every case");
        names
    }

    /// Compares every cut into two parts with the whole, for all kernels of this CPU.
    pub fn check_columns(&self) {
        let buffers = Buffers::new(self);
        let p = buffers.conv(self);
        let width = p.output.elem.bits() / 8;
        let mut whole = vec![0; p.rows() * p.out_channels * width];
        reference::conv2d(&p, &buffers.input, &mut whole);
        for choice in fast(KernelOp::Gemm) {
            for bound in choice.convs(KernelOp::Gemm, &p) {
                let kernel = bound.kernel();
                let Some(unit) = pack::column_unit(kernel.layout, &p) else { continue };
                let mut packed = vec![0; pack::packed_len(kernel.layout, &p)];
                assert!(pack::pack(kernel.layout, &p, &mut packed));
                for cut in (unit..p.out_channels).step_by(unit) {
                    for range in [0..cut, cut..p.out_channels] {
                        let (part, weights) = pack::columns(kernel.layout, &p, &packed, range.clone());
                        let mut scratch = vec![0; (kernel.scratch)(&p)];
                        assert_eq!((kernel.scratch)(&part), scratch.len(), "{}", kernel.name);
                        let mut out = vec![0; p.rows() * range.len() * width];
                        bound.run(&part, weights, &buffers.input, 0..p.rows(), &mut out, &mut scratch);
                        let expected = whole.chunks_exact(p.out_channels * width);
                        let expected: Vec<_> =
                            expected.flat_map(|row| &row[range.start * width..range.end * width]).collect();
                        assert!(out.iter().eq(expected), "{} channels {range:?}: {self:?}", kernel.name);
                    }
                }
            }
        }
    }

    fn codes(&self) -> (i32, i32) {
        self.codes.unwrap_or((self.input.elem.min(), self.input.elem.max()))
    }

    /// Runs in bands of `cut` rows, each into a buffer with canaries, input, output and scratch at odd addresses.
    fn run(
        p: &Conv,
        scratch_len: usize,
        cut: usize,
        kernel: impl Fn(std::ops::Range<usize>, &mut [u8], &mut [u8]),
    ) -> Vec<u8> {
        let mut whole = Vec::new();
        let mut start = 0;
        while start < p.rows() {
            let rows = start..p.rows().min(start.saturating_add(cut));
            start = rows.end;
            let mut out = Guarded::new(rows.len() * p.out_channels * p.output.elem.bits() / 8);
            let mut scratch = Guarded::new(scratch_len);
            kernel(rows, out.slice(), scratch.slice());
            scratch.checked();
            whole.extend_from_slice(out.checked());
        }
        whole
    }
}

/// The tensors of a case.
pub struct Buffers {
    pub input: Vec<u8>,
    pub weights: Vec<u8>,
    bias: Vec<i32>,
    multipliers: Vec<i32>,
    shifts: Vec<i32>,
}

impl Buffers {
    pub fn new(case: &Case) -> Buffers {
        let random = &mut Random(case.seed);
        let depth = case.y.kernel * case.x.kernel * case.in_channels / case.groups;
        let tensor = |random: &mut Random, elem: ElemType, (lo, hi): (i32, i32), count: usize| {
            let mut bytes = vec![0; elem.bytes(count).unwrap()];
            for i in 0..count {
                let value = match case.fill {
                    Fill::Random => random.within(lo, hi),
                    Fill::Lowest => lo,
                    Fill::Highest => hi,
                    Fill::Ends => [lo, hi][random.next() as usize % 2],
                };
                elem.store(&mut bytes, i, value);
            }
            bytes
        };
        let pixels = case.batch * case.y.input * case.x.input;
        let input = tensor(random, case.input.elem, case.codes(), pixels * case.in_channels);
        let weights = tensor(
            random,
            case.weight.elem,
            (case.weight.elem.min(), case.weight.elem.max()),
            case.out_channels * depth,
        );
        let reach = 1 << (8 + depth.ilog2());
        // Now and then so large that the accumulator wraps.
        let mut bias = |_| match random.next() % 16 {
            0 => i32::MIN,
            1 => i32::MAX,
            _ => random.within(-reach, reach),
        };
        let bias = (0..case.out_channels).map(&mut bias).collect();
        let (mut multipliers, mut shifts) = (Vec::new(), Vec::new());
        for _ in 0..case.out_channels {
            let zero = case.scales != Scales::Ordinary && random.next().is_multiple_of(8);
            multipliers.push(match case.scales {
                Scales::Ties => 1 << 30,
                _ if zero => 0,
                _ => random.within(1 << 30, i32::MAX),
            });
            let spread = if case.weight.elem == ElemType::S4 { 34 } else { 38 };
            let spread = spread - (case.output.elem.bits() as i32 - 8).min(8);
            shifts.push(match case.scales {
                Scales::Ordinary => spread + (depth.ilog2() / 2) as i32 + random.within(-1, 1),
                Scales::Wild => random.within(16, 62),
                Scales::Shift(shift) => shift,
                Scales::Ties => random.within(29, 36),
            });
        }
        if case.output.elem == ElemType::S32 {
            (multipliers, shifts) = (Vec::new(), Vec::new());
        }
        Buffers { input, weights, bias, multipliers, shifts }
    }

    pub fn conv(&self, case: &Case) -> Conv<'_> {
        Conv {
            batch: case.batch,
            window: Window { y: case.y, x: case.x },
            in_channels: case.in_channels,
            out_channels: case.out_channels,
            groups: case.groups,
            input: case.input,
            input_codes: case.codes(),
            weight: case.weight,
            weights: &self.weights,
            bias: &self.bias,
            multipliers: &self.multipliers,
            shifts: &self.shifts,
            rounding: case.rounding,
            output: case.output,
        }
    }
}
