//! Resizing.

use dyadic_kernels::params::{Coordinates, Resize};
use dyadic_kernels::reference;
use dyadic_kernels::registry::KernelOp;

use crate::choices;
use crate::vector::{Case, cases};

pub const FILES: &[&str] = &[
    "resize_bilinear_s8",
    "resize_bilinear_u8",
    "resize_bilinear_rational",
    "resize_nearest",
    "resize_nearest_rational",
];

fn coordinates(mode: &str) -> Coordinates {
    match mode {
        "asymmetric" => Coordinates::Asymmetric,
        "align_corners" => Coordinates::AlignCorners,
        "half_pixel" => Coordinates::HalfPixel,
        other => panic!("mode {other}"),
    }
}

fn check_bilinear(file: &str, op: KernelOp, function: fn(&Resize, &[u8], &mut [u8])) {
    for case in cases(file) {
        let [_, in_h, in_w, channels]: [usize; 4] = case.sizes("input_shape").try_into().unwrap();
        let [_, out_h, out_w, _]: [usize; 4] = case.sizes("output_shape").try_into().unwrap();
        let p = Resize {
            batch: 1,
            input: [in_h, in_w],
            output: [out_h, out_w],
            channels,
            elem: case.elem("type"),
            coordinates: coordinates(case.text("mode")),
        };
        let (input, expected) = (case.tensor(p.elem, "input"), case.tensor(p.elem, "out"));
        let mut actual = vec![0; expected.len()];
        function(&p, &input, &mut actual);
        assert_eq!(actual, expected, "{}", case.name);
        for choice in choices() {
            let kernel = choice.resize(op, &p).unwrap();
            actual.fill(0xa5);
            kernel.run(&p, &input, 0..out_h, &mut actual);
            assert_eq!(actual, expected, "{} by {}", case.name, kernel.kernel().name);
        }
    }
}

#[test]
fn bilinear() {
    check_bilinear("resize_bilinear_s8", KernelOp::Bilinear10, reference::bilinear_10bit);
    check_bilinear("resize_bilinear_u8", KernelOp::BilinearSingle, reference::bilinear_single);
    check_bilinear("resize_bilinear_rational", KernelOp::BilinearRational, reference::bilinear_rational);
}

fn indices(case: &Case, index: impl Fn(usize, usize, usize) -> usize) {
    let (input, output) = (case.size("input"), case.size("output"));
    let actual: Vec<usize> = (0..output).map(|o| index(o, input, output)).collect();
    assert_eq!(actual, case.sizes("index"), "{}", case.name);
}

#[test]
fn nearest() {
    for case in cases("resize_nearest") {
        let (align, half) = (case.flag("align_corners"), case.flag("half_pixel"));
        indices(&case, |o, input, output| reference::nearest_single_index(o, input, output, align, half));
        let mode = match (align, half) {
            (false, false) => Coordinates::Asymmetric,
            (true, false) => Coordinates::AlignCorners,
            (false, true) => Coordinates::HalfPixel,
            // No operator has both.
            (true, true) => continue,
        };
        check_nearest(&case, mode, reference::nearest_single);
    }
    for case in cases("resize_nearest_rational") {
        let mode = coordinates(case.text("mode"));
        indices(&case, |o, input, output| reference::nearest_index(o, input, output, mode));
        check_nearest(&case, mode, reference::nearest);
    }
}

/// A picture whose rows, and one whose columns, are numbered.
fn check_nearest(case: &Case, coordinates: Coordinates, function: fn(&Resize, &[u8], &mut [u8])) {
    let (input, output) = (case.size("input"), case.size("output"));
    let numbers: Vec<u8> = (0..input).map(|i| i as u8).collect();
    let expected: Vec<u8> = case.sizes("index").into_iter().map(|i| i as u8).collect();
    let elem = dyadic_kernels::ElemType::U8;
    for [from, to] in [[[input, 1], [output, 1]], [[1, input], [1, output]]] {
        let p = Resize { batch: 1, input: from, output: to, channels: 1, elem, coordinates };
        let mut actual = vec![0xff; output];
        function(&p, &numbers, &mut actual);
        assert_eq!(actual, expected, "{}", case.name);
    }
}
