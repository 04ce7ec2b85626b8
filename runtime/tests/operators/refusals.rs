//! Files that the format accepts and no kernel may see: each is refused at load, with the operator and what is wrong.

use dyadic_format::operator::{
    AddParams, ArgMaxParams, ConcatParams, ConvParams, MeanParams, MulParams, NO_TABLE, NoParams, PadParams,
    PoolParams, ResizeParams, SoftmaxParams, StridedCopyParams, TableParams,
};
use dyadic_format::{Params, Rule};
use dyadic_kernels::ElemType::{self, S8, S16, S32, U8};
use dyadic_runtime::{LoadError, Options, RunError, Session};

use super::builder::Builder;

/// The `what` of the refusal of operator 0, or of the model's tensor.
fn refusal(builder: &Builder) -> &'static str {
    let model = builder.model().unwrap_or_else(|e| panic!("the format refuses: {e}"));
    match Session::new(model, &Options::default()) {
        Err(LoadError::Operator { index: 0, what, .. } | LoadError::Tensor { what, .. }) => what,
        Err(other) => panic!("another refusal: {other}"),
        Ok(_) => panic!("accepted"),
    }
}

/// One operator from inputs of these types and shapes to one output.
pub fn one(
    rule: Rule,
    params: Params,
    inputs: &[(ElemType, &[usize])],
    output: (ElemType, &[usize]),
) -> Builder {
    let mut b = Builder::default();
    let numbers: Vec<u32> = inputs.iter().map(|(elem, shape)| b.input(*elem, shape, 0)).collect();
    let to = b.tensor(output.0, output.1, 0);
    let extra =
        if params.kind() == dyadic_format::OpKind::Concat { vec![NO_TABLE; inputs.len()] } else { vec![] };
    b.operator(rule, params, &numbers, to, &extra);
    b.output(to);
    b
}

/// The convolution with inputs of 16 bits.
fn wide_input(mut b: Builder) -> Builder {
    let input = &mut b.contents.tensors[0];
    (input.elem, input.bytes, input.lo, input.hi) = (5, 2 * input.bytes, S16.min(), S16.max());
    let room = input.bytes.next_multiple_of(64);
    b.contents.tensors[2].offset += room;
    b.contents.arena_bytes += room;
    b
}

pub fn conv(
    change: impl Fn(&mut ConvParams),
    input: &[usize],
    weight: (ElemType, &[usize], i32),
    output: (ElemType, &[usize]),
    wrap: impl Fn(ConvParams) -> Params,
) -> Builder {
    let mut b = Builder::default();
    let from = b.input(U8, input, 0);
    let count = weight.1.iter().product();
    let kernel = b.constant(weight.0, weight.1, weight.2, &vec![1; weight.0.bytes(count).expect("small")]);
    let to = b.tensor(output.0, output.1, 0);
    let channels = *output.1.last().expect("an axis");
    let words = [vec![0; channels], vec![1 << 30; channels], vec![32; channels]].concat();
    let constants_first = b.constants(&words);
    let mut params = ConvParams {
        stride: [1; 2],
        dilation: [1; 2],
        pad: [0; 2],
        groups: 1,
        constants_first,
        lo: output.0.min(),
        hi: output.0.max(),
        product: 1,
    };
    change(&mut params);
    b.operator(Rule::RequantOnce, wrap(params), &[from, kernel], to, &[]);
    b.output(to);
    b
}

#[test]
fn convolutions() {
    let (x, w, y): (&[usize], &[usize], &[usize]) = (&[1, 4, 4, 4], &[6, 3, 3, 4], &[1, 2, 2, 6]);
    let plain = |_: &mut ConvParams| {};
    let cases = [
        ("input shape", conv(plain, &[16, 4], (S8, w, 0), (U8, y), Params::Conv2d)),
        ("weight shape", conv(plain, x, (S8, &[6, 36], 0), (U8, y), Params::Conv2d)),
        ("output shape", conv(plain, x, (S8, w, 0), (U8, &[4, 6]), Params::Conv2d)),
        ("weight depth", conv(plain, x, (S8, &[6, 3, 3, 3], 0), (U8, y), Params::Conv2d)),
        ("output batch", conv(plain, x, (S8, w, 0), (U8, &[2, 2, 2, 6]), Params::Conv2d)),
        ("output channels", conv(plain, x, (S8, w, 0), (U8, &[1, 2, 2, 5]), Params::Conv2d)),
        ("groups", conv(|p| p.groups = 4, x, (S8, w, 0), (U8, y), Params::Conv2d)),
        ("groups", conv(|p| p.groups = 1 << 31, x, (S8, w, 0), (U8, y), Params::Conv2d)),
        ("groups", conv(plain, x, (S8, w, 0), (U8, y), Params::DepthwiseConv2d)),
        ("window", conv(|p| p.stride[0] = 1 << 30, x, (S8, w, 0), (U8, y), Params::Conv2d)),
        ("window", conv(|p| p.dilation[1] = (1 << 31) - 1, x, (S8, w, 0), (U8, y), Params::Conv2d)),
        ("window", conv(|p| p.pad[1] = (1 << 31) - 1, x, (S8, w, 0), (U8, y), Params::Conv2d)),
        (
            "window",
            conv(
                |p| (p.stride, p.dilation) = ([1 << 20; 2], [1 << 20; 2]),
                x,
                (S8, w, 0),
                (U8, y),
                Params::Conv2d,
            ),
        ),
        ("weight type", conv(plain, x, (S16, w, 0), (U8, y), Params::Conv2d)),
        ("output type", conv(plain, x, (S8, w, 0), (S32, y), Params::Conv2d)),
        ("input type", wide_input(conv(plain, x, (S8, w, 0), (U8, y), Params::Conv2d))),
        ("weight zero point", conv(plain, x, (S8, w, 1), (U8, y), Params::Conv2d)),
        ("weight shape", conv(plain, x, (S8, w, 0), (U8, y), Params::FullyConnected)),
        ("input elements", conv(plain, &[9, 7], (S8, &[6, 8], 0), (U8, &[8, 6]), Params::FullyConnected)),
        ("output elements", conv(plain, &[8, 8], (S8, &[6, 8], 0), (U8, &[7, 6]), Params::FullyConnected)),
        ("output shape", conv(plain, &[8, 8], (S8, &[6, 8], 0), (U8, &[6, 8]), Params::FullyConnected)),
        ("window", conv(|p| p.pad[0] = 1, &[8, 8], (S8, &[6, 8], 0), (U8, &[8, 6]), Params::FullyConnected)),
    ];
    for (number, (what, builder)) in cases.iter().enumerate() {
        assert_eq!(refusal(builder), *what, "case {number}");
    }
}

#[test]
fn element_wise() {
    let (lo, hi) = (0, 255);
    let joint = AddParams { multipliers: [1, 1, 0], shifts: [1, 0, 0], lo, hi };
    let tflite = AddParams { multipliers: [1 << 30; 3], shifts: [32; 3], lo, hi };
    let mul = MulParams { multiplier: 1 << 30, shift: 32, lo, hi };
    let table = TableParams { table: 0, function: 1, lo, hi, argument: [0; 2], second_argument: [0; 2] };
    let with_table = |input, output| {
        let mut b = one(Rule::Table, Params::Table(table), &[input], output);
        b.contents.tables.push([0; 256]);
        b
    };
    let a: (ElemType, &[usize]) = (U8, &[4, 3]);
    let cases = [
        ("input shape", one(Rule::AddJoint, Params::Add(joint), &[a, (U8, &[4])], a)),
        ("input shape", one(Rule::AddJoint, Params::Add(joint), &[a, (U8, &[8, 3])], a)),
        ("type", one(Rule::AddJoint, Params::Sub(joint), &[a, (S32, &[4, 3])], a)),
        ("type under this rule", one(Rule::AddTflite, Params::Add(tflite), &[a, (S16, &[4, 3])], a)),
        ("type", one(Rule::MulOnce, Params::Mul(mul), &[(S16, &[4, 3]), a], a)),
        ("input shape", one(Rule::MulOnce, Params::Mul(mul), &[a, (U8, &[2])], a)),
        ("output elements", one(Rule::RequantOnce, Params::Requantize(mul), &[a], (U8, &[11]))),
        ("output type", one(Rule::RequantOnce, Params::Requantize(mul), &[a], (S32, &[12]))),
        ("input type", with_table((S16, &[12]), (U8, &[12]))),
        ("output elements", with_table(a, (U8, &[13]))),
    ];
    for (number, (what, builder)) in cases.iter().enumerate() {
        assert_eq!(refusal(builder), *what, "case {number}");
    }
}

#[test]
fn windows_and_reductions() {
    let x: (ElemType, &[usize]) = (U8, &[1, 4, 4, 4]);
    let y: (ElemType, &[usize]) = (U8, &[1, 2, 2, 4]);
    let pool = PoolParams { kernel: [2; 2], stride: [2; 2], pad: [0; 2], constants_first: 0, lo: 0, hi: 255 };
    let max = |params, from, to| one(Rule::Max, Params::MaxPool2d(params), &[from], to);
    let resize = ResizeParams { coordinates: 1 };
    let bilinear = |from, to| one(Rule::Bilinear10, Params::ResizeBilinear(resize), &[from], to);
    let mean = MeanParams { axes: 6, multiplier: 1 << 30, shift: 32, lo: 0, hi: 255 };
    let soft = SoftmaxParams { multiplier: 1 << 30, left_shift: 20, diff_min: -255, beta: [1, 0] };
    let softmax = |from, to| one(Rule::Softmax, Params::Softmax(soft), &[from], to);
    let argmax = |axis, to| one(Rule::ArgMax, Params::ArgMax(ArgMaxParams { axis }), &[x], to);
    let cases = [
        ("window", max(PoolParams { kernel: [4097, 1], ..pool }, x, y)),
        ("window", max(PoolParams { stride: [1 << 29, 1], ..pool }, x, y)),
        ("window", max(PoolParams { pad: [1 << 29, 1], ..pool }, x, y)),
        ("output batch", max(pool, x, (U8, &[2, 2, 2, 4]))),
        ("output channels", max(pool, x, (U8, &[1, 2, 2, 5]))),
        ("output type", max(PoolParams { hi: 127, ..pool }, x, (S8, &[1, 2, 2, 4]))),
        ("input shape", max(pool, (U8, &[16, 4]), y)),
        ("extent", bilinear(x, (U8, &[1, 16385, 1, 4]))),
        ("output channels", bilinear(x, (U8, &[1, 8, 8, 3]))),
        ("type", bilinear((S16, &[1, 4, 4, 4]), (S16, &[1, 8, 8, 4]))),
        ("output elements", one(Rule::MeanOnce, Params::Mean(mean), &[x], (U8, &[1, 5]))),
        ("input type", one(Rule::MeanOnce, Params::Mean(mean), &[(S32, &[1, 4, 4, 4])], (U8, &[4]))),
        ("last axis", softmax((U8, &[4096]), (U8, &[4096]))),
        ("output shape", softmax((U8, &[8]), (U8, &[4, 2]))),
        ("input type", softmax((S16, &[8]), (U8, &[8]))),
        ("output zero point", softmax((S8, &[8]), (S8, &[8]))),
        ("output type", argmax(3, (U8, &[1, 4, 4]))),
        ("output elements", argmax(3, (S32, &[1, 4, 5]))),
    ];
    for (number, (what, builder)) in cases.iter().enumerate() {
        assert_eq!(refusal(builder), *what, "case {number}");
    }
}

#[test]
fn movement() {
    let x: (ElemType, &[usize]) = (U8, &[2, 3]);
    let concat = |inputs: &[(ElemType, &[usize])], to| {
        one(Rule::Move, Params::Concat(ConcatParams { axis: 0 }), inputs, to)
    };
    let pad = |before: &[u32], to| {
        let mut params = PadParams { before: [0; 8], value: 0 };
        params.before[..before.len()].copy_from_slice(before);
        one(Rule::Move, Params::Pad(params), &[x], to)
    };
    let moved = |params, to| one(Rule::Move, params, &[x], to);
    let strided = StridedCopyParams { start: 0, strides: [3, 1, 0, 0, 0, 0, 0, 0] };
    let cases = [
        ("output elements", moved(Params::Reshape(NoParams {}), (U8, &[7]))),
        ("output type", moved(Params::Reshape(NoParams {}), (S8, &[6]))),
        ("output shape", moved(Params::Tile(NoParams {}), (U8, &[4, 4]))),
        ("output shape", moved(Params::Tile(NoParams {}), (U8, &[12]))),
        ("output type", moved(Params::StridedCopy(strided), (S8, &[2, 3]))),
        ("output shape", pad(&[1, 1], (U8, &[3, 3]))),
        ("output rank", pad(&[1, 1], (U8, &[3, 4, 1]))),
        ("output shape", concat(&[x, x], (U8, &[5, 3]))),
        ("input shape", concat(&[x, x], (U8, &[3, 3]))),
        ("input shape", concat(&[x, (U8, &[2, 2])], (U8, &[4, 3]))),
        ("output type", concat(&[x, x], (S8, &[4, 3]))),
        ("type", concat(&[(ElemType::S4, &[2, 4][..]); 2], (ElemType::S4, &[4, 4]))),
    ];
    for (number, (what, builder)) in cases.iter().enumerate() {
        assert_eq!(refusal(builder), *what, "case {number}");
    }
}

fn copy() -> Builder {
    one(Rule::Move, Params::Reshape(NoParams {}), &[(U8, &[100])], (U8, &[100]))
}

#[test]
fn the_range_of_an_input_is_that_of_its_type() {
    let mut b = copy();
    b.contents.tensors[0].hi = 254;
    assert_eq!(refusal(&b), "proven range of a model input");
}

#[test]
fn options_are_checked() {
    let model = copy().model().expect("a valid file");
    for threads in [0, 65, usize::MAX] {
        let error = Session::new(model.clone(), &Options { threads, ..Options::default() }).err();
        assert!(matches!(error, Some(LoadError::Option { option: "threads", .. })), "{threads}");
    }
    // The arena has 256 bytes; the one step takes a little more.
    for (memory_limit, fits) in [(0, false), (255, false), (256, false), (4096, true)] {
        let session = Session::new(model.clone(), &Options { memory_limit, ..Options::default() });
        match session {
            Ok(_) => assert!(fits, "{memory_limit}"),
            Err(error) => assert!(matches!(error, LoadError::Memory { .. }) && !fits, "{error}"),
        }
    }
    let error = Session::new(model, &Options { profile_runs: usize::MAX, ..Options::default() }).err();
    assert!(matches!(error, Some(LoadError::Memory { .. })));
}

#[test]
fn buffers_are_checked() {
    let mut session =
        Session::new(copy().model().expect("a valid file"), &Options::default()).expect("loads");
    let (input, mut output) = ([0; 100], [0; 100]);
    let error = session.run_with(&[], &mut [&mut output]);
    assert_eq!(error, Err(RunError::Count { what: "inputs", found: 0, expected: 1 }));
    let error = session.run_with(&[&input[1..]], &mut [&mut output]);
    assert_eq!(error, Err(RunError::Length { what: "input", index: 0, found: 99, expected: 100 }));
    let error = session.run_with(&[&input], &mut [&mut output[2..]]);
    assert_eq!(error, Err(RunError::Length { what: "output", index: 0, found: 98, expected: 100 }));
    assert_eq!(session.run_with(&[&input], &mut [&mut output]), Ok(()));
}
