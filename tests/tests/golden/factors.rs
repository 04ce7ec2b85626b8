//! What the compiler derives from scales: multipliers, clamps, tables.

use dyadic_compiler::ir::Activation;
use dyadic_compiler::quantize::dyadic::from_real;
use dyadic_compiler::quantize::table::{self, Side};
use dyadic_compiler::quantize::{Contract, factors};
use dyadic_format::operator::{ScaleProduct, TableFunction};
use dyadic_kernels::reference;
use dyadic_kernels::registry::KernelOp;
use dyadic_kernels::requant::{Dyadic, MAX_SHIFT, MIN_SHIFT};

use crate::choices;
use crate::vector::{Case, cases, integers, values};

pub const FILES: &[&str] = &["multipliers", "activation_ranges", "tables"];

/// A factor too small for its shift is stored with another shift than the script's 31; both are 0. A factor too large
/// is refused.
fn check_multiplier<E: std::fmt::Debug>(case: &Case, field: &str, derived: Result<Dyadic, E>) {
    let [m, s]: [i32; 2] = integers(case.field(field)).try_into().unwrap();
    match derived {
        Ok(d) if m == 0 => assert_eq!((d.multiplier, d.shift), (0, MAX_SHIFT), "{} {field}", case.name),
        Ok(d) => {
            assert_eq!((d.multiplier, d.shift), (m, s), "{} {field}", case.name);
            assert_eq!(Dyadic::new(m, s), Some(d), "{} {field}", case.name);
        }
        Err(e) => assert!(m != 0 && s < MIN_SHIFT, "{} {field}: {e:?}", case.name),
    }
}

#[test]
fn multipliers() {
    for case in cases("multipliers") {
        let (a, b, y) = (case.scale("a"), case.scale("b"), case.scale("y"));
        let conv = |product| factors::convolution(a, b, y, product);
        check_multiplier(&case, "f64_product", conv(ScaleProduct::Double));
        check_multiplier(&case, "f64_product", factors::product(a, b, y, Contract::Dyadic));
        check_multiplier(&case, "f32_product", conv(ScaleProduct::Single));
        check_multiplier(&case, "f32_all", factors::product(a, b, y, Contract::Tflite));
        check_multiplier(&case, "f64_quotient", factors::rescale(a, y));
        check_multiplier(&case, "f32_quotient", from_real(f64::from(a / y)));
    }
}

/// The three factors of TFLite's addition.
#[test]
fn addition_factors() {
    for case in cases("add_tflite") {
        let (a, b, y) = (case.scale("sa"), case.scale("sb"), case.scale("sy"));
        let p = factors::addition(a, b, y, Contract::Tflite).unwrap();
        assert_eq!((p.multipliers.to_vec(), p.shifts.to_vec()), (case.list("m"), case.list("s")));
    }
}

#[test]
fn activation_ranges() {
    for case in cases("activation_ranges") {
        let (elem, scale, zero_point) = (case.elem("type"), case.scale("sy"), case.i32("zp"));
        for (field, activation) in [
            ("none", Activation::None),
            ("relu", Activation::Relu),
            ("relu6", Activation::Relu6),
            ("relu_n1_to_1", Activation::ReluN1To1),
        ] {
            let (lo, hi) = factors::clamp(activation, elem, scale, zero_point);
            assert_eq!(vec![lo, hi], case.list(field), "{} {field}", case.name);
        }
    }
}

/// The functions of the compiler that stand for one of the script's, with argument and clamp.
fn functions(case: &Case, to: &Side) -> (Vec<TableFunction>, f32, (i32, i32)) {
    let full = (to.elem.min(), to.elem.max());
    let clamp = |activation| factors::clamp(activation, to.elem, to.scale, to.zero_point);
    match case.text("function") {
        // The exact function, rounded half up, gives the same as the float32 steps in every case.
        "logistic" => (vec![TableFunction::LogisticTflite, TableFunction::Logistic], 0.0, full),
        "tanh" => (vec![TableFunction::TanhTflite], 0.0, full),
        "hard_swish" => (vec![TableFunction::HardSwishTflite], 0.0, full),
        "leaky_relu" => (vec![TableFunction::LeakyReluTflite], case.scale("alpha"), full),
        "relu" => (vec![TableFunction::ReluTflite], 0.0, clamp(Activation::Relu)),
        "relu6" => (vec![TableFunction::ReluTflite], 0.0, clamp(Activation::Relu6)),
        "relu_n1_to_1" => (vec![TableFunction::ReluTflite], 0.0, clamp(Activation::ReluN1To1)),
        "quantize" => (vec![TableFunction::RescaleTwice], 0.0, full),
        "concat" => (vec![TableFunction::RescaleFloat], 0.0, full),
        other => panic!("{}: function {other}", case.name),
    }
}

#[test]
fn tables() {
    for case in cases("tables") {
        let side = |scale, zero_point| Side {
            elem: case.elem("type"),
            scale: case.scale(scale),
            zero_point: case.i32(zero_point),
        };
        let (from, to) = (side("sx", "zx"), side("sy", "zy"));
        let (functions, argument, clamp) = functions(&case, &to);
        for function in functions {
            let entries = table::build(function, [argument, 0.0], from, to, clamp).unwrap();
            // From the lowest code up.
            let codes: Vec<u8> = (from.elem.min()..=from.elem.max()).map(|q| q as u8).collect();
            let mut actual = vec![0; 256];
            reference::table(&entries, Some(&codes), &mut actual);
            assert_eq!(values(to.elem, &actual, 256), case.list("out"), "{} {function:?}", case.name);
            for choice in choices() {
                let kernel = choice.table(KernelOp::Table, &entries).unwrap();
                let mut looked_up = vec![0; 256];
                kernel.run(&entries, Some(&codes), &mut looked_up);
                assert_eq!(looked_up, actual, "{} by {}", case.name, kernel.kernel().name);
                let mut in_place = codes.clone();
                kernel.run(&entries, None, &mut in_place);
                assert_eq!(in_place, actual, "{} in place by {}", case.name, kernel.kernel().name);
            }
        }
    }
}
