//! Rescaling, additions, products, conversions, storage of 4 bits.

use dyadic_compiler::quantize::factors;
use dyadic_format::operator::ScaleProduct;
use dyadic_kernels::params::{Add, AddRule, Dims, Mul, Output, Quant, Requantize};
use dyadic_kernels::registry::KernelOp;
use dyadic_kernels::requant::{Dyadic, Rounding, rescale, saturate};
use dyadic_kernels::{ElemType, reference};

use crate::choices;
use crate::vector::{Case, bytes, cases, elem, values};

pub const FILES: &[&str] = &[
    "requant_once",
    "requant_once_away",
    "requant_twice",
    "requant_f64",
    "add_joint",
    "add_separate",
    "add_wide",
    "requantize",
    "add_tflite",
    "mul",
    "conversions",
    "int4",
];

fn check_rescale(file: &str, rounding: Rounding) {
    for case in cases(file) {
        let (factor, out) = (case.factor("m", "s"), case.output("type"));
        for (&acc, &expected) in case.list("acc").iter().zip(&case.list("out")) {
            let value = rescale(acc, factor, rounding);
            let actual = saturate(value, out.zero_point, out.lo, out.hi);
            assert_eq!(actual, expected, "{}: accumulator {acc}", case.name);
        }
        check_requantize(&case, factor, rounding, out);
    }
}

/// The same accumulators as an s32 tensor.
fn check_requantize(case: &Case, factor: Dyadic, rounding: Rounding, out: Output) {
    let acc = case.list("acc");
    let from = Quant { elem: ElemType::S32, zero_point: 0 };
    let mut actual = vec![0; out.elem.bytes(acc.len()).unwrap()];
    let input = bytes(ElemType::S32, &acc);
    reference::requantize(from, factor, rounding, out, acc.len(), &input, &mut actual);
    assert_eq!(values(out.elem, &actual, acc.len()), case.list("out"), "{}", case.name);
}

#[test]
fn rescales() {
    check_rescale("requant_once", Rounding::Once);
    check_rescale("requant_once_away", Rounding::OnceAway);
    check_rescale("requant_twice", Rounding::Twice);
}

/// TFLite's fully connected layer: the 31-bit factor with ties away from zero gives what float64 gives.
#[test]
fn fully_connected_of_float64() {
    for case in cases("requant_f64") {
        let (sx, sw, sy) = (case.scale("sx"), case.scale("sw"), case.scale("sy"));
        let factor = factors::convolution(sx, sw, sy, ScaleProduct::Double).unwrap();
        for (&acc, &expected) in case.list("acc").iter().zip(&case.list("out")) {
            let actual = saturate(rescale(acc, factor, Rounding::OnceAway), 0, -128, 127);
            assert_eq!(actual, expected, "{}: accumulator {acc}", case.name);
        }
    }
}

fn check_add(case: &Case, [first, second]: [&str; 2], rule: AddRule, subtract: bool) {
    let p = Add {
        first: case.quant(first, "za"),
        second: case.quant(second, "zb"),
        subtract,
        rule,
        output: case.output("out_type"),
    };
    let (a, b) = (case.tensor(p.first.elem, "a"), case.tensor(p.second.elem, "b"));
    let expected = case.tensor(p.output.elem, "out");
    let shape = Dims::new(&[case.list("out").len()]).unwrap();
    let mut actual = vec![0; expected.len()];
    reference::add(&p, (&shape, &a), (&shape, &b), &shape, &mut actual);
    assert_eq!(actual, expected, "{}", case.name);
    for choice in choices() {
        let kernel = choice.add(KernelOp::Add, &p).unwrap();
        actual.fill(0xa5);
        kernel.run(&p, Some(&a), &b, &mut actual);
        assert_eq!(actual, expected, "{} by {}", case.name, kernel.kernel().name);
        if p.output.elem == p.first.elem {
            actual.copy_from_slice(&a);
            kernel.run(&p, None, &b, &mut actual);
            assert_eq!(actual, expected, "{} in place by {}", case.name, kernel.kernel().name);
        }
    }
}

#[test]
fn additions() {
    for case in cases("add_joint") {
        let rule = AddRule::Joint { m1: case.i32("m1"), m2: case.i32("m2"), shift: case.i32("s") };
        check_add(&case, ["type"; 2], rule, false);
    }
    for case in cases("add_separate") {
        let rule = AddRule::Separate { first: case.factor("m1", "s1"), second: case.factor("m2", "s2") };
        check_add(&case, ["type"; 2], rule, false);
    }
    for case in cases("add_tflite") {
        let (m, s) = (case.list("m"), case.list("s"));
        let factor = |i: usize| Dyadic::new(m[i], s[i]).unwrap();
        let rule = AddRule::Tflite { first: factor(0), second: factor(1), sum: factor(2) };
        check_add(&case, ["type"; 2], rule, case.flag("subtract"));
    }
}

#[test]
fn additions_of_streams() {
    for case in cases("add_wide") {
        let rule = match case.text("rule") {
            "joint" => AddRule::Joint { m1: case.i32("m1"), m2: case.i32("m2"), shift: case.i32("s") },
            _ => AddRule::Separate { first: case.factor("m1", "s1"), second: case.factor("m2", "s2") },
        };
        check_add(&case, ["type_a", "type_b"], rule, case.flag("subtract"));
    }
}

#[test]
fn requantizations_of_streams() {
    for case in cases("requantize") {
        let (from, to, scale) = (case.quant("type", "zx"), case.output("out_type"), case.factor("m", "s"));
        let p = Requantize { from, scale, rounding: Rounding::Once, to };
        let (input, expected) = (case.tensor(from.elem, "in"), case.tensor(to.elem, "out"));
        for choice in choices() {
            let kernel = choice.requantize(KernelOp::Requantize, &p).unwrap();
            let mut actual = vec![0xa5; expected.len()];
            kernel.run(&p, &input, &mut actual);
            assert_eq!(actual, expected, "{} by {}", case.name, kernel.kernel().name);
        }
    }
}

#[test]
fn products() {
    for case in cases("mul") {
        let p = Mul {
            first: case.quant("type", "za"),
            second: case.quant("type", "zb"),
            scale: case.factor("m", "s"),
            rounding: if case.text("rounding") == "once" { Rounding::Once } else { Rounding::Twice },
            output: case.output("out_type"),
        };
        let expected = case.tensor(p.output.elem, "out");
        let shape = Dims::new(&[case.list("out").len()]).unwrap();
        let (a, b) = (case.tensor(p.first.elem, "a"), case.tensor(p.second.elem, "b"));
        let mut actual = vec![0; expected.len()];
        reference::mul(&p, (&shape, &a), (&shape, &b), &shape, &mut actual);
        assert_eq!(actual, expected, "{}", case.name);
    }
}

/// Between u8 and s8 of one scale, zero points 128 apart: every rounding moves codes by 128.
#[test]
fn conversions() {
    let one = factors::rescale(0.1, 0.1).unwrap();
    for case in cases("conversions") {
        let (from, to) = (elem(case.text("from")), elem(case.text("to")));
        let input = case.tensor(from, "in");
        for rounding in [Rounding::Once, Rounding::Twice, Rounding::OnceAway] {
            let zero_point = |e: ElemType| 7 + if e == ElemType::U8 { 128 } else { 0 };
            let quant = Quant { elem: from, zero_point: zero_point(from) };
            let output = Output { elem: to, zero_point: zero_point(to), lo: to.min(), hi: to.max() };
            let mut actual = vec![0; 256];
            reference::requantize(quant, one, rounding, output, 256, &input, &mut actual);
            assert_eq!(values(to, &actual, 256), case.list("out"), "{}", case.name);
        }
    }
}

#[test]
fn nibbles() {
    for case in cases("int4") {
        let (codes, stored) = (case.list("values"), case.tensor(ElemType::U8, "bytes"));
        assert_eq!(bytes(ElemType::S4, &codes), stored, "{}", case.name);
        assert_eq!(values(ElemType::S4, &stored, codes.len()), codes, "{}", case.name);
        let unsigned: Vec<i32> = codes.iter().map(|v| v & 15).collect();
        assert_eq!(bytes(ElemType::U4, &unsigned), stored, "{}", case.name);
        assert_eq!(values(ElemType::U4, &stored, codes.len()), unsigned, "{}", case.name);
    }
}
