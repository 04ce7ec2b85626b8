//! A small model of every kind of operator on every instruction set of this CPU, with one, two and three threads: the
//! output equals what the reference gives when it is called directly.

mod builder;
mod hostile;
mod hosts;
mod refusals;
mod shapes;
mod weights;

use builder::Builder;
use dyadic_format::operator::{AddParams, ConvParams, MulParams, TableParams};
use dyadic_format::{Params, Rule};
use dyadic_kernels::ElemType::{self, S8, S32, U8};
use dyadic_kernels::geometry::{Axis, Window};
use dyadic_kernels::pack::{pack, packed_len};
use dyadic_kernels::params::*;
use dyadic_kernels::reference;
use dyadic_kernels::registry::Layout;
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
    fn shape(&self) -> [usize; 4] {
        [self.out_channels, self.window.y.kernel, self.window.x.kernel, self.in_channels / self.groups]
    }

    fn check(&self, rule: Rule, rounding: Rounding) {
        let length = self.weight.elem.bytes(self.shape().iter().product()).expect("a small tensor");
        let mut weights = bytes(length, 1);
        if self.weight.elem == ElemType::S4 && self.shape().iter().product::<usize>() % 2 == 1 {
            weights[length - 1] &= 0x0f;
        }
        let bias: Vec<i32> = (0..self.out_channels as i32).map(|c| 100 * c - 500).collect();
        let multipliers: Vec<i32> = (0..self.out_channels as i32).map(|c| (1 << 30) + 12345 * c).collect();
        let shifts: Vec<i32> = (0..self.out_channels as i32).map(|c| 38 + c % 3).collect();
        self.check_with(rule, rounding, &weights, [&bias, &multipliers, &shifts]);
    }

    /// `words`: bias, multipliers and shifts.
    fn check_with(&self, rule: Rule, rounding: Rounding, weights: &[u8], words: [&[i32]; 3]) {
        let (y, x) = (self.window.y, self.window.x);
        let [bias, multipliers, shifts] = words;
        let depthwise = self.groups == self.in_channels && self.groups > 1;
        let mut b = Builder::default();
        let from = b.input(U8, &[2, y.input, x.input, self.in_channels], 120);
        let kernel = b.constant(self.weight.elem, &self.shape(), self.weight.zero_point, weights);
        let to = b.tensor(S8, &[2, y.output, x.output, self.out_channels], -3);
        let words: Vec<i32> = words.concat();
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
            input_codes: (0, 255),
            weight: self.weight,
            weights,
            bias,
            multipliers,
            shifts,
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
        // The same with a packed copy beside the logical weights, and with nothing but that, as on a board.
        let (number, layout) = if depthwise { (2, Layout::Depthwise32x2) } else { (1, Layout::Panels16x2) };
        let mut packed = vec![0; packed_len(layout, &conv)];
        assert!(pack(layout, &conv, &mut packed));
        b.contents.packed(0, number, &packed);
        check(&b, &[&input], &expected);
        assert_eq!(b.contents.leave_out_packed_weights(), weights.len());
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
            // The last two are large enough to be shared out among threads on every instruction set.
            let window = Window { y: axis(17, 9, 3, 2, 1, 1), x: axis(19, 17, 3, 1, 2, 1) };
            for (in_channels, out_channels, groups) in
                [(5, 21, 1), (6, 4, 2), (24, 24, 24), (3, 6, 3), (40, 40, 1), (200, 200, 200)]
            {
                ConvCase { window, in_channels, out_channels, groups, weight }.check(rule, rounding);
            }
        }
    }
}

/// Channels whose bias is an end of 32 bits: a kernel that counts on small accumulators may not be chosen for them.
#[test]
fn biases_at_the_ends_of_32_bits() {
    let window = Window { y: axis(9, 9, 3, 1, 1, 1), x: axis(8, 8, 3, 1, 1, 1) };
    for channels in [32, 45] {
        let case = ConvCase {
            window,
            in_channels: channels,
            out_channels: channels,
            groups: channels,
            weight: quant(S8, 0),
        };
        let mut weights = bytes(9 * channels, 1);
        let bias: Vec<i32> = (0..channels as i32)
            .map(|c| match c % 5 {
                0 => i32::MAX,
                1 => i32::MIN,
                _ => 1000 * c,
            })
            .collect();
        // Those channels are dead, so that every sum fits 32 bits.
        for (row, _) in weights.chunks_mut(9).zip(&bias).filter(|(_, bias)| bias.unsigned_abs() > 1 << 30) {
            row.fill(0);
        }
        let (multipliers, shifts) = (vec![i32::MAX; channels], vec![32; channels]);
        case.check_with(Rule::RequantTwice, Rounding::Twice, &weights, [&bias, &multipliers, &shifts]);
    }
}

#[test]
fn padding_alone_under_a_window() {
    let window = Window { y: axis(3, 6, 2, 2, 1, 4), x: axis(3, 5, 2, 1, 1, 0) };
    ConvCase { window, in_channels: 4, out_channels: 5, groups: 1, weight: quant(S8, 0) }
        .check(Rule::RequantOnce, Rounding::Once);
}

/// The last two are large enough to be shared out among threads: by rows, and by columns where there is one row.
#[test]
fn fully_connected() {
    for (rows, channels) in [(5, 70), (1, 250), (5, 1500), (1, 7100)] {
        fully_connected_of(rows, channels);
    }
}

fn fully_connected_of(rows: usize, channels: usize) {
    let depth = 300;
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
        input_codes: (-128, 127),
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
        let params = TableParams {
            table: 0,
            function: 1,
            lo: -128,
            hi: 127,
            argument: [0; 2],
            second_argument: [0; 2],
        };
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
