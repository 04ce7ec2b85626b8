//! Convolution, pooling, mean, softmax.

use dyadic_compiler::quantize::{Contract, factors};
use dyadic_kernels::geometry::{Axis, Window};
use dyadic_kernels::params::{
    AveragePool, AverageRule, Conv, Dims, MAX_RANK, MaxPool, Mean, Output, Softmax,
};
use dyadic_kernels::registry::{Choice, KernelOp};
use dyadic_kernels::requant::{Dyadic, Rounding};
use dyadic_kernels::{ElemType, pack, reference};

use crate::choices;
use crate::vector::{Case, bytes, cases};

pub const FILES: &[&str] = &["conv", "pool", "mean", "softmax"];

fn window(case: &Case, kernel: [usize; 2], dilation: [usize; 2]) -> Window {
    let (shape, out) = (case.sizes("input_shape"), case.pair("out"));
    let (stride, pad) = (case.pair("stride"), case.pair("pad"));
    let axis = |i: usize| Axis {
        input: shape[1 + i],
        output: out[i],
        kernel: kernel[i],
        stride: stride[i],
        dilation: dilation[i],
        pad: pad[i],
    };
    Window { y: axis(0), x: axis(1) }
}

#[test]
fn convolutions() {
    for case in cases("conv") {
        let (input_shape, weight_shape) = (case.sizes("input_shape"), case.sizes("weights_shape"));
        let depthwise = case.flag("depthwise");
        let weight = case.quant("weight_type", "zw");
        let (weights, bias) = (case.tensor(weight.elem, "weights"), case.list("bias"));
        let (multipliers, shifts) = (case.list("m"), case.list("s"));
        for (&m, &s) in multipliers.iter().zip(&shifts) {
            Dyadic::new(m, s).unwrap();
        }
        for (field, rounding) in [("once", Rounding::Once), ("twice", Rounding::Twice)] {
            let p = Conv {
                batch: 1,
                window: window(&case, case.pair("kernel"), case.pair("dilation")),
                in_channels: input_shape[3],
                out_channels: weight_shape[0],
                groups: if depthwise { input_shape[3] } else { case.size("groups") },
                input: case.quant("type", "zx"),
                input_codes: (case.quant("type", "zx").elem.min(), case.quant("type", "zx").elem.max()),
                weight,
                weights: &weights,
                bias: &bias,
                multipliers: &multipliers,
                shifts: &shifts,
                rounding,
                output: case.output("type"),
            };
            let expected = case.tensor(p.output.elem, field);
            check_convolution(&case, &p, &expected);
            let elem = ElemType::S32;
            let output = Output { elem, zero_point: 0, lo: elem.min(), hi: elem.max() };
            let raw = Conv { multipliers: &[], shifts: &[], output, ..p };
            check_convolution(&case, &raw, &case.tensor(elem, "acc"));
        }
    }
}

fn check_convolution(case: &Case, p: &Conv, expected: &[u8]) {
    let input = case.tensor(p.input.elem, "input");
    let mut actual = vec![0; expected.len()];
    reference::conv2d(p, &input, &mut actual);
    assert_eq!(actual, expected, "{} {:?}", case.name, p.rounding);
    let mut ops = vec![KernelOp::Gemm];
    if p.groups == p.in_channels {
        reference::depthwise(p, &input, &mut actual);
        assert_eq!(actual, expected, "{} {:?} depthwise", case.name, p.rounding);
        ops.push(KernelOp::Depthwise);
    }
    if p.window == Window::POINT && p.groups == 1 {
        reference::fully_connected(p, &input, &mut actual);
        assert_eq!(actual, expected, "{} {:?} fully connected", case.name, p.rounding);
    }
    for op in ops {
        for choice in choices() {
            let kernel = choice.conv(op, p).unwrap();
            let row = kernel.kernel();
            let mut packed = vec![0; pack::packed_len(row.layout, p)];
            assert!(pack::pack(row.layout, p, &mut packed), "{}", case.name);
            let mut scratch = vec![0; (row.scratch)(p)];
            actual.fill(0xa5);
            kernel.run(p, &packed, &input, 0..p.rows(), &mut actual, &mut scratch);
            assert_eq!(actual, expected, "{} {:?} by {}", case.name, p.rounding, row.name);
        }
    }
}

#[test]
fn pooling() {
    for case in cases("pool") {
        let window = window(&case, case.pair("kernel"), [1, 1]);
        let channels = case.sizes("input_shape")[3];
        let (multipliers, shifts) = (case.list("m"), case.list("s"));
        let rescale = AverageRule::Rescale { multipliers: &multipliers, shifts: &shifts };
        let (from, output) = (case.quant("type", "zx"), case.output("type"));
        let input = case.tensor(from.elem, "input");
        for (field, rule) in [("average_rescale", rescale), ("average_raw", AverageRule::RawHalfAway)] {
            let p = AveragePool { batch: 1, window, channels, input: from, rule, output };
            let expected = case.tensor(output.elem, field);
            let mut actual = vec![0; expected.len()];
            reference::average_pool(&p, &input, &mut actual);
            assert_eq!(actual, expected, "{} {field}", case.name);
            for choice in choices() {
                let kernel = choice.average_pool(KernelOp::AveragePool, &p).unwrap();
                actual.fill(0xa5);
                kernel.run(&p, &input, 0..window.output_pixels(), &mut actual);
                assert_eq!(actual, expected, "{} {field} by {}", case.name, kernel.kernel().name);
            }
        }
        let p = MaxPool { batch: 1, window, channels, elem: output.elem, lo: output.lo, hi: output.hi };
        let expected = case.tensor(output.elem, "maximum");
        let mut actual = vec![0; expected.len()];
        reference::max_pool(&p, &input, &mut actual);
        assert_eq!(actual, expected, "{} maximum", case.name);
        for choice in choices() {
            let kernel = choice.max_pool(KernelOp::MaxPool, &p).unwrap();
            actual.fill(0xa5);
            kernel.run(&p, &input, 0..window.output_pixels(), &mut actual);
            assert_eq!(actual, expected, "{} maximum by {}", case.name, kernel.kernel().name);
        }
    }
}

/// Factors as stored in the file and as the compiler derives them from the scales.
#[test]
fn means() {
    for case in cases("mean") {
        let (sx, sy, n) = (case.scale("sx"), case.scale("sy"), case.size("n"));
        for (field, contract, rounding) in
            [("once", Contract::Dyadic, Rounding::Once), ("twice", Contract::Tflite, Rounding::Twice)]
        {
            let scale = case.factor(&format!("m_{field}"), &format!("s_{field}"));
            assert_eq!(factors::mean(sx, sy, n, contract).unwrap(), scale, "{} {field}", case.name);
            check_mean(&case, scale, rounding, field);
        }
    }
}

fn check_mean(case: &Case, scale: Dyadic, rounding: Rounding, field: &str) {
    let (from, output, n) = (case.quant("type", "zx"), case.output("type"), case.size("n"));
    let rows = case.rows("rows");
    let input = bytes(from.elem, &rows.concat());
    let mut axes = [false; MAX_RANK];
    axes[1] = true;
    let shape = Dims::new(&[rows.len(), n]).unwrap();
    let p = Mean { shape, axes, input: from, scale, rounding, output };
    let expected = case.tensor(output.elem, field);
    let mut actual = vec![0; expected.len()];
    reference::mean(&p, &input, &mut actual);
    assert_eq!(actual, expected, "{} {field}", case.name);
    for choice in choices() {
        let kernel = choice.mean(KernelOp::Mean, &p).unwrap();
        actual.fill(0xa5);
        kernel.run(&p, &input, &mut actual);
        assert_eq!(actual, expected, "{} {field} by {}", case.name, kernel.kernel().name);
    }
}

#[test]
fn softmaxes() {
    for case in cases("softmax") {
        let elem = case.elem("type");
        let beta = case.field("beta").as_f64().unwrap() as f32;
        let derived = factors::softmax(beta, case.scale("sx")).unwrap();
        let stored = (case.i32("multiplier"), case.i32("left_shift"), case.i32("diff_min"));
        assert_eq!(derived, stored, "{}", case.name);
        let (multiplier, left_shift, diff_min) = stored;
        let p = Softmax { depth: case.size("depth"), elem, output: elem, multiplier, left_shift, diff_min };
        let input = bytes(elem, &case.rows("rows").concat());
        let expected = bytes(elem, &case.rows("out").concat());
        let mut actual = vec![0; expected.len()];
        reference::softmax(&p, &input, &mut actual);
        assert_eq!(actual, expected, "{}", case.name);
        check_softmax_kernels(&case, &p, &input, &expected, choices());
    }
}

fn check_softmax_kernels(
    case: &Case,
    p: &Softmax,
    input: &[u8],
    expected: &[u8],
    choices: impl Iterator<Item = Choice>,
) {
    for choice in choices {
        let kernel = choice.softmax(KernelOp::Softmax, p).unwrap();
        let mut actual = vec![0xa5; expected.len()];
        kernel.run(p, input, &mut actual);
        assert_eq!(actual, expected, "{} by {}", case.name, kernel.kernel().name);
    }
}
