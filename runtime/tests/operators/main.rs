//! A small model of every kind of operator on every instruction set of this CPU, with one, two and three threads: the
//! output equals what the reference gives when it is called directly.

mod builder;
mod refusals;

use builder::Builder;
use dyadic_format::operator::{
    AddParams, ArgMaxParams, ConcatParams, ConvParams, MeanParams, MulParams, NO_TABLE, NoParams, PadParams,
    PoolParams, ResizeParams, SoftmaxParams, StridedCopyParams, TableParams,
};
use dyadic_format::{Params, Rule};
use dyadic_kernels::ElemType::{self, S8, S32, U8};
use dyadic_kernels::geometry::{Axis, Window};
use dyadic_kernels::params::*;
use dyadic_kernels::reference;
use dyadic_kernels::requant::{Dyadic, Rounding};
use dyadic_runtime::{Cpu, IsaKind, Model, Options, Session, Warning};

const HALF: Dyadic = Dyadic { multiplier: 3 << 29, shift: 36 };

/// Sessions go to other threads and keep what they need alive.
const fn send_and_static<T: Send + 'static>() {}
const _: () = send_and_static::<Session>();
const fn shared<T: Send + Sync + Clone + 'static>() {}
const _: () = shared::<Model>();

/// Bytes that look random.
fn bytes(count: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(count).collect()
}

fn quant(elem: ElemType, zero_point: i32) -> Quant {
    Quant { elem, zero_point }
}

fn end(elem: ElemType, zero_point: i32, lo: i32, hi: i32) -> Output {
    Output { elem, zero_point, lo, hi }
}

/// Runs the model everywhere and compares its one output.
fn check(builder: &Builder, inputs: &[&[u8]], expected: &[u8]) {
    let model = builder.model().unwrap_or_else(|e| panic!("{e}"));
    let cpu = Cpu::detect();
    for isa in IsaKind::ALL.into_iter().filter(|&isa| cpu.has(isa)) {
        for threads in [1, 2, 3] {
            let options = Options { threads, isa: Some(isa), ..Options::default() };
            let mut session = Session::new(model.clone(), &options).unwrap_or_else(|e| panic!("{e}"));
            let mut output = vec![0xa5; expected.len()];
            for run in 0..2 {
                session.run_with(inputs, &mut [&mut output]).unwrap_or_else(|e| panic!("{e}"));
                assert_eq!(output, expected, "{} with {threads} threads, run {run}", isa.name());
            }
        }
    }
}

fn axis(input: usize, output: usize, kernel: usize, stride: usize, dilation: usize, pad: usize) -> Axis {
    Axis { input, output, kernel, stride, dilation, pad }
}

/// A convolution, with its constants in the file and as the reference wants them.
struct ConvCase {
    window: Window,
    in_channels: usize,
    out_channels: usize,
    groups: usize,
    weight: Quant,
}

impl ConvCase {
    fn check(&self, rule: Rule, rounding: Rounding) {
        let (y, x) = (self.window.y, self.window.x);
        let depthwise = self.groups == self.in_channels && self.groups > 1;
        let shape = [self.out_channels, y.kernel, x.kernel, self.in_channels / self.groups];
        let length = self.weight.elem.bytes(shape.iter().product()).expect("a small tensor");
        let weights = bytes(length, 1);
        let bias: Vec<i32> = (0..self.out_channels as i32).map(|c| 100 * c - 500).collect();
        let multipliers: Vec<i32> = (0..self.out_channels as i32).map(|c| (1 << 30) + 12345 * c).collect();
        let shifts: Vec<i32> = (0..self.out_channels as i32).map(|c| 38 + c % 3).collect();
        let mut b = Builder::default();
        let from = b.input(U8, &[2, y.input, x.input, self.in_channels], 120);
        let kernel = b.constant(self.weight.elem, &shape, self.weight.zero_point, &weights);
        let to = b.tensor(S8, &[2, y.output, x.output, self.out_channels], -3);
        let words: Vec<i32> = [&bias, &multipliers, &shifts].into_iter().flatten().copied().collect();
        let params = ConvParams {
            stride: [y.stride as u32, x.stride as u32],
            dilation: [y.dilation as u32, x.dilation as u32],
            pad: [y.pad as u32, x.pad as u32],
            groups: self.groups as u32,
            constants_first: b.constants(&words),
            lo: -100,
            hi: 127,
            product: 1,
        };
        let params = if depthwise { Params::DepthwiseConv2d(params) } else { Params::Conv2d(params) };
        b.operator(rule, params, &[from, kernel], to, &[]);
        b.output(to);
        let conv = Conv {
            batch: 2,
            window: self.window,
            in_channels: self.in_channels,
            out_channels: self.out_channels,
            groups: self.groups,
            input: quant(U8, 120),
            weight: self.weight,
            weights: &weights,
            bias: &bias,
            multipliers: &multipliers,
            shifts: &shifts,
            rounding,
            output: end(S8, -3, -100, 127),
        };
        let input = bytes(2 * y.input * x.input * self.in_channels, 2);
        let mut expected = vec![0; conv.rows() * self.out_channels];
        if depthwise {
            reference::depthwise(&conv, &input, &mut expected);
        } else {
            reference::conv2d(&conv, &input, &mut expected);
        }
        check(&b, &[&input], &expected);
    }
}

#[test]
fn convolutions() {
    let rules = [
        (Rule::RequantOnce, Rounding::Once),
        (Rule::RequantTwice, Rounding::Twice),
        (Rule::RequantOnceAway, Rounding::OnceAway),
    ];
    for (rule, rounding) in rules {
        for weight in [quant(S8, 0), quant(ElemType::S4, 0), quant(U8, 131)] {
            // Large enough to be shared out among threads.
            let window = Window { y: axis(17, 9, 3, 2, 1, 1), x: axis(19, 17, 3, 1, 2, 1) };
            for (in_channels, out_channels, groups) in [(5, 21, 1), (6, 4, 2), (24, 24, 24), (3, 6, 3)] {
                ConvCase { window, in_channels, out_channels, groups, weight }.check(rule, rounding);
            }
        }
    }
}

#[test]
fn padding_alone_under_a_window() {
    let window = Window { y: axis(3, 6, 2, 2, 1, 4), x: axis(3, 5, 2, 1, 1, 0) };
    ConvCase { window, in_channels: 4, out_channels: 5, groups: 1, weight: quant(S8, 0) }
        .check(Rule::RequantOnce, Rounding::Once);
}

#[test]
fn fully_connected() {
    let (rows, depth, channels) = (5, 300, 70);
    let (weights, input) = (bytes(depth * channels, 3), bytes(rows * depth, 4));
    let bias: Vec<i32> = (0..channels as i32).collect();
    let (multipliers, shifts) = (vec![HALF.multiplier; channels], vec![41; channels]);
    let mut b = Builder::default();
    let from = b.input(S8, &[rows, 3, 100], 7);
    let kernel = b.constant(S8, &[channels, depth], 0, &weights);
    let to = b.tensor(S8, &[rows, channels], 1);
    let words: Vec<i32> = [&bias, &multipliers, &shifts].into_iter().flatten().copied().collect();
    let params = ConvParams {
        stride: [1; 2],
        dilation: [1; 2],
        pad: [0; 2],
        groups: 1,
        constants_first: b.constants(&words),
        lo: -128,
        hi: 127,
        product: 1,
    };
    b.operator(Rule::RequantOnce, Params::FullyConnected(params), &[from, kernel], to, &[]);
    b.output(to);
    let conv = Conv {
        batch: rows,
        window: Window::POINT,
        in_channels: depth,
        out_channels: channels,
        groups: 1,
        input: quant(S8, 7),
        weight: quant(S8, 0),
        weights: &weights,
        bias: &bias,
        multipliers: &multipliers,
        shifts: &shifts,
        rounding: Rounding::Once,
        output: end(S8, 1, -128, 127),
    };
    let mut expected = vec![0; rows * channels];
    reference::fully_connected(&conv, &input, &mut expected);
    check(&b, &[&input], &expected);
    // Nothing is packed in this file, so a kernel that wants panels says so.
    let session = Session::new(b.model().expect("a valid file"), &Options::default()).expect("a session");
    let repacked = session.warnings().iter().any(|w| matches!(w, Warning::Repacked { operator: 0, .. }));
    assert_eq!(repacked, session.isa() != IsaKind::Reference);
}

fn add_params(rule: Rule) -> (AddParams, AddRule) {
    let (multipliers, shifts, params) = match rule {
        Rule::AddSeparate => {
            let params = AddRule::Separate { first: HALF, second: HALF };
            ([HALF.multiplier, HALF.multiplier, 0], [36, 36, 0], params)
        }
        Rule::AddTflite => {
            let factor = |shift| Dyadic { shift, ..HALF };
            let params = AddRule::Tflite { first: factor(32), second: factor(33), sum: factor(51) };
            ([HALF.multiplier; 3], [32, 33, 51], params)
        }
        _ => (
            [9_000_000, 5_000_001, 0],
            [23, 0, 0],
            AddRule::Joint { m1: 9_000_000, m2: 5_000_001, shift: 23 },
        ),
    };
    (AddParams { multipliers, shifts, lo: -120, hi: 127 }, params)
}

#[test]
fn additions() {
    for rule in [Rule::AddJoint, Rule::AddSeparate, Rule::AddTflite] {
        for subtract in [false, true] {
            for (second_shape, in_place) in
                [(&[2, 123, 101][..], false), (&[2, 123, 101], true), (&[101], false)]
            {
                let (params, add_rule) = add_params(rule);
                let shape = [2, 123, 101];
                let mut b = Builder::default();
                let first = b.input(S8, &shape, 5);
                let second = b.input(S8, second_shape, -9);
                let to = if in_place { b.tensor_at(0, S8, &shape, 2) } else { b.tensor(S8, &shape, 2) };
                let params = if subtract { Params::Sub(params) } else { Params::Add(params) };
                b.operator(rule, params, &[first, second], to, &[]);
                b.output(to);
                let add = Add {
                    first: quant(S8, 5),
                    second: quant(S8, -9),
                    subtract,
                    rule: add_rule,
                    output: end(S8, 2, -120, 127),
                };
                let count = shape.iter().product();
                let (x, y) = (bytes(count, 5), bytes(second_shape.iter().product(), 6));
                let dims = |shape| Dims::new(shape).expect("a small shape");
                let out = dims(&shape);
                let mut expected = vec![0; count];
                reference::add(&add, (&out, &x), (&dims(second_shape), &y), &out, &mut expected);
                check(&b, &[&x, &y], &expected);
            }
        }
    }
}

#[test]
fn product() {
    let mut b = Builder::default();
    let (first, second) = (b.input(U8, &[3, 4], 100), b.input(S8, &[4], 3));
    let to = b.tensor(S8, &[3, 4], 1);
    let params = MulParams { multiplier: HALF.multiplier, shift: 36, lo: -128, hi: 100 };
    b.operator(Rule::MulTwice, Params::Mul(params), &[first, second], to, &[]);
    b.output(to);
    let mul = Mul {
        first: quant(U8, 100),
        second: quant(S8, 3),
        scale: HALF,
        rounding: Rounding::Twice,
        output: end(S8, 1, -128, 100),
    };
    let (x, y) = (bytes(12, 7), bytes(4, 8));
    let (out, row) = (Dims::new(&[3, 4]).expect("small"), Dims::new(&[4]).expect("small"));
    let mut expected = vec![0; 12];
    reference::mul(&mul, (&out, &x), (&row, &y), &out, &mut expected);
    check(&b, &[&x, &y], &expected);
}

#[test]
fn tables_and_requantization() {
    let table: [u8; 256] = std::array::from_fn(|i| (i as u8).wrapping_mul(77));
    for (in_place, count) in [(false, 40_001), (true, 40_001), (false, 3)] {
        let mut b = Builder::default();
        b.contents.tables.push(table);
        let from = b.input(U8, &[count], 0);
        let to = if in_place { b.tensor_at(0, S8, &[count], 0) } else { b.tensor(S8, &[count], 0) };
        let params = TableParams { table: 0, function: 1, lo: -128, hi: 127, argument: [0; 2] };
        b.operator(Rule::Table, Params::Table(params), &[from], to, &[]);
        b.output(to);
        let input = bytes(count, 9);
        let mut expected = vec![0; count];
        reference::table(&table, Some(&input), &mut expected);
        check(&b, &[&input], &expected);
    }
    // Odd counts of 4-bit elements end in a zero nibble.
    for (from_type, to_type) in [(S8, ElemType::S16), (ElemType::S16, ElemType::U4), (S32, S8)] {
        let count = 9;
        let mut b = Builder::default();
        let from = b.input(from_type, &[count], 0);
        let to = b.tensor(to_type, &[count], 1);
        let (lo, hi) = (to_type.min(), to_type.max());
        let params = MulParams { multiplier: HALF.multiplier, shift: 33, lo, hi };
        b.operator(Rule::RequantOnce, Params::Requantize(params), &[from], to, &[]);
        b.output(to);
        let input = bytes(from_type.bytes(count).expect("small"), 10);
        let mut expected = vec![0; to_type.bytes(count).expect("small")];
        let scale = Dyadic { shift: 33, ..HALF };
        let (from, to) = (quant(from_type, 0), end(to_type, 1, lo, hi));
        reference::requantize(from, scale, Rounding::Once, to, count, &input, &mut expected);
        check(&b, &[&input], &expected);
    }
}

#[test]
fn pooling() {
    let window = Window { y: axis(31, 15, 3, 2, 1, 0), x: axis(30, 16, 2, 2, 1, 1) };
    let (batch, channels) = (2, 19);
    let pool = |constants_first| PoolParams {
        kernel: [3, 2],
        stride: [2, 2],
        pad: [0, 1],
        constants_first,
        lo: -90,
        hi: 110,
    };
    let input = bytes(batch * 31 * 30 * channels, 11);
    let mut expected = vec![0; batch * 15 * 16 * channels];
    for rule in [Rule::AverageOnce, Rule::AverageHalfAway, Rule::Max] {
        let mut b = Builder::default();
        let from = b.input(S8, &[batch, 31, 30, channels], 4);
        let zero_point = if rule == Rule::AverageOnce { -6 } else { 4 };
        let to = b.tensor(S8, &[batch, 15, 16, channels], zero_point);
        let multipliers: Vec<i32> = (1..=6).map(|n| (1 << 30) + 1000 * n).collect();
        let shifts: Vec<i32> = (1..=6).map(|n| 30 + n).collect();
        let output = end(S8, zero_point, -90, 110);
        let params = match rule {
            Rule::Max => Params::MaxPool2d(pool(0)),
            Rule::AverageOnce => {
                let words: Vec<i32> = [&multipliers[..], &shifts[..]].concat();
                Params::AveragePool2d(pool(b.constants(&words)))
            }
            _ => Params::AveragePool2d(pool(0)),
        };
        b.operator(rule, params, &[from], to, &[]);
        b.output(to);
        let average = |rule| AveragePool { batch, window, channels, input: quant(S8, 4), rule, output };
        match rule {
            Rule::Max => {
                let max = MaxPool { batch, window, channels, elem: S8, lo: -90, hi: 110 };
                reference::max_pool(&max, &input, &mut expected);
            }
            Rule::AverageOnce => {
                let rule = AverageRule::Rescale { multipliers: &multipliers, shifts: &shifts };
                reference::average_pool(&average(rule), &input, &mut expected);
            }
            _ => reference::average_pool(&average(AverageRule::RawHalfAway), &input, &mut expected),
        }
        check(&b, &[&input], &expected);
    }
}

#[test]
fn means_softmax_and_argmax() {
    let input = bytes(2 * 7 * 5 * 33, 12);
    for axes in [0b0110, 0b1000, 0b0001, 0b0101] {
        let shape = [2, 7, 5, 33];
        let kept: usize = (0..4).filter(|a| axes & 1 << a == 0).map(|a| shape[a]).product();
        let mut b = Builder::default();
        let from = b.input(U8, &shape, 128);
        let to = b.tensor(U8, &[kept], 120);
        let params = MeanParams { axes, multiplier: HALF.multiplier, shift: 36, lo: 0, hi: 255 };
        b.operator(Rule::MeanOnce, Params::Mean(params), &[from], to, &[]);
        b.output(to);
        let mean = Mean {
            shape: Dims::new(&shape).expect("small"),
            axes: std::array::from_fn(|a| axes & 1 << a != 0),
            input: quant(U8, 128),
            scale: HALF,
            rounding: Rounding::Once,
            output: end(U8, 120, 0, 255),
        };
        let mut expected = vec![0; kept];
        reference::mean(&mean, &input, &mut expected);
        check(&b, &[&input], &expected);
    }

    let mut b = Builder::default();
    let from = b.input(U8, &[70, 33], 3);
    let to = b.tensor(S8, &[70, 33], -128);
    let params = SoftmaxParams { multiplier: 1 << 30, left_shift: 22, diff_min: -255, beta: [1, 0] };
    b.operator(Rule::Softmax, Params::Softmax(params), &[from], to, &[]);
    b.output(to);
    let softmax =
        Softmax { depth: 33, elem: U8, output: S8, multiplier: 1 << 30, left_shift: 22, diff_min: -255 };
    let mut expected = vec![0; 2310];
    reference::softmax(&softmax, &input, &mut expected);
    check(&b, &[&input], &expected);

    for (axis, outer, depth, inner) in [(2, 14, 5, 33), (3, 70, 33, 1), (0, 1, 2, 1155)] {
        let mut b = Builder::default();
        let from = b.input(U8, &[2, 7, 5, 33], 0);
        let to = b.tensor(S32, &[outer * inner], 0);
        b.operator(Rule::ArgMax, Params::ArgMax(ArgMaxParams { axis }), &[from], to, &[]);
        b.output(to);
        let mut expected = vec![0; 4 * outer * inner];
        reference::argmax(U8, outer, depth, inner, &input, &mut expected);
        check(&b, &[&input], &expected);
    }
}

#[test]
fn resizing() {
    let input = bytes(2 * 9 * 7 * 21, 13);
    for rule in
        [Rule::Bilinear10, Rule::BilinearRational, Rule::BilinearSingle, Rule::Nearest, Rule::NearestSingle]
    {
        let all = [Coordinates::Asymmetric, Coordinates::AlignCorners, Coordinates::HalfPixel];
        for (number, coordinates) in (1..).zip(all) {
            let mut b = Builder::default();
            let from = b.input(U8, &[2, 9, 7, 21], 0);
            let to = b.tensor(U8, &[2, 33, 20, 21], 0);
            let params = ResizeParams { coordinates: number };
            let nearest = matches!(rule, Rule::Nearest | Rule::NearestSingle);
            let params = if nearest { Params::ResizeNearest(params) } else { Params::ResizeBilinear(params) };
            b.operator(rule, params, &[from], to, &[]);
            b.output(to);
            let p = Resize { batch: 2, input: [9, 7], output: [33, 20], channels: 21, elem: U8, coordinates };
            let mut expected = vec![0; 2 * 33 * 20 * 21];
            match rule {
                Rule::Bilinear10 => reference::bilinear_10bit(&p, &input, &mut expected),
                Rule::BilinearRational => reference::bilinear_rational(&p, &input, &mut expected),
                Rule::BilinearSingle => reference::bilinear_single(&p, &input, &mut expected),
                Rule::Nearest => reference::nearest(&p, &input, &mut expected),
                _ => reference::nearest_single(&p, &input, &mut expected),
            }
            check(&b, &[&input], &expected);
        }
    }
}

#[test]
fn movement() {
    let input = bytes(2 * 3 * 4, 14);
    let shape = Dims::new(&[2, 3, 4]).expect("small");
    let one = |params: Params, extents: &[usize], expected: &[u8]| {
        let mut b = Builder::default();
        let from = b.input(U8, &[2, 3, 4], 9);
        let to = b.tensor(U8, extents, 9);
        b.operator(Rule::Move, params, &[from], to, &[]);
        b.output(to);
        check(&b, &[&input], expected);
    };
    let out = |extents: &[usize]| Dims::new(extents).expect("small");

    one(Params::Reshape(NoParams {}), &[6, 4], &input);

    let mut before = [0; 8];
    before[1] = 2;
    let mut expected = vec![0; 2 * 6 * 4];
    let large = out(&[2, 6, 4]);
    reference::pad(U8, &shape, &input, &before.map(|b| b as usize), 9, &large, &mut expected);
    one(Params::Pad(PadParams { before, value: 9 }), &[2, 6, 4], &expected);

    let mut expected = vec![0; 4 * 3 * 8];
    reference::tile(U8, &shape, &input, &out(&[4, 3, 8]), &mut expected);
    one(Params::Tile(NoParams {}), &[4, 3, 8], &expected);

    // Reversed and transposed.
    let mut strides = [0; 8];
    strides[..3].copy_from_slice(&[1, -4, 12]);
    let mut expected = vec![0; 24];
    let signed = strides.map(|s| s as isize);
    reference::copy_strided(U8, &input, 8, &signed, &out(&[4, 3, 2]), &mut expected);
    one(Params::StridedCopy(StridedCopyParams { start: 8, strides }), &[4, 3, 2], &expected);
}

/// One branch lies in its place, one is copied, one goes through a table.
#[test]
fn concatenation() {
    let table: [u8; 256] = std::array::from_fn(|i| 255 - i as u8);
    let inputs = [bytes(6, 15), bytes(9, 16), bytes(3, 17)];
    let mut b = Builder::default();
    b.contents.tables.push(table);
    let first = b.input(U8, &[2, 3], 0);
    let second = b.input(U8, &[3, 3], 0);
    let third = b.input(U8, &[1, 3], 7);
    let to = b.tensor(U8, &[6, 3], 0);
    let start = b.contents.tensors[to as usize].offset;
    let moved = b.tensor_at(start, U8, &[2, 3], 0);
    // The first branch is moved into its place by an operator before.
    b.operator(Rule::Move, Params::Reshape(NoParams {}), &[first], moved, &[]);
    let params = Params::Concat(ConcatParams { axis: 0 });
    b.operator(Rule::Move, params, &[moved, second, third], to, &[NO_TABLE, NO_TABLE, 0]);
    b.output(to);
    let mapped: Vec<u8> = inputs[2].iter().map(|&i| table[usize::from(i)]).collect();
    let expected = [&inputs[0][..], &inputs[1], &mapped].concat();
    check(&b, &[&inputs[0], &inputs[1], &inputs[2]], &expected);
}

#[test]
fn a_reshape_in_place_keeps_both_names() {
    let mut b = Builder::default();
    let from = b.input(U8, &[2, 3], 0);
    let same = b.tensor_at(0, U8, &[6], 0);
    let to = b.tensor(U8, &[12], 0);
    b.operator(Rule::Move, Params::Reshape(NoParams {}), &[from], same, &[]);
    let params = Params::Concat(ConcatParams { axis: 0 });
    b.operator(Rule::Move, params, &[same, same], to, &[NO_TABLE, NO_TABLE]);
    b.output(to);
    let input = bytes(6, 18);
    check(&b, &[&input], &[&input[..], &input].concat());
}
