//! What is refused: all of one network in one report, with names, reasons and remedies, and nothing that follows from
//! something else in it.

use dyadic_compiler::from_onnx::{ImportOptions, InputShapes};
use dyadic_compiler::unsupported::Unsupported;
use dyadic_compiler::{CompileError, compile};

use crate::author::{Attributes, Code, F32, Net, S8, S32, U8, code};
use crate::run::{options, refusal};

const X: Code = code(S8, 0.05, 7);

/// Everything in the report on a network.
pub fn problems(net: &Net) -> Vec<Unsupported> {
    match refusal(net) {
        CompileError::Unsupported { problems, .. } => {
            assert!(problems.iter().all(|p| !p.reason.is_empty() && !p.remedy.is_empty()), "{problems:?}");
            problems
        }
        other => panic!("expected a report, not {other}"),
    }
}

/// The only problem of a network.
fn problem(net: &Net) -> Unsupported {
    let [problem] = problems(net).try_into().unwrap_or_else(|p: Vec<_>| panic!("{p:#?}"));
    problem
}

/// `x` (1 x 2 x 4 x 4), weights `w` of 3 channels, and what `node` makes of them: `m`, quantized to `y_q`.
fn around(node: impl FnOnce(&mut Net)) -> Net {
    let mut net = Net::new();
    net.fed("x", &[1, 2, 4, 4], X);
    net.weights("w", (S8, &[3, 2, 1, 1]), &[1, 2, 3, 4, 5, 6], &[0.01]);
    node(&mut net);
    net.quantize("m", "y", X);
    net.output("y_q", S8);
    net
}

#[test]
fn a_float_network() {
    let mut net = Net::new();
    net.input("x", F32, &[1, 4]);
    net.node("Relu", &["x"], &["y"]);
    net.output("y", F32);
    let error = refusal(&net);
    assert!(matches!(error, CompileError::NotQuantized));
    assert_eq!(error.to_string(), "this model is not quantized; see `dyadic quantize`");
}

/// Three nodes that have no integer form; what reads from them is not reported again.
#[test]
fn one_report() {
    let mut net = Net::new();
    net.fed("x", &[1, 2, 4, 4], X);
    net.node("Erf", &["x"], &["e"]);
    net.node("Relu", &["e"], &["after"]);
    net.qdq("after", "after_codes", X);
    net.node("NonZero", &["x"], &["n"]);
    net.node("Softplus", &["x"], &["s"]);
    net.node("Add", &["s", "e"], &["sum"]);
    net.quantize("sum", "y", X);
    net.quantize("n", "z", X);
    net.output("after_codes", F32).output("y_q", S8).output("z_q", S8);
    let found = problems(&net);
    let operators: Vec<&str> = found.iter().map(|p| p.operator.as_str()).collect();
    assert_eq!(operators, ["Erf 'Erf:e'", "NonZero 'NonZero:n'", "Softplus 'Softplus:s'"]);
    assert_eq!(found.iter().map(|p| p.tensor.as_str()).collect::<Vec<_>>(), ["e", "n", "s"]);
    assert!(found.iter().all(|p| p.reason.contains("no integer form") && p.remedy.contains("--cut-at")));
    let text = refusal(&net).to_string();
    assert!(text.starts_with("3 of 10 operators are not supported:\n  operator 1 Erf 'Erf:e'"), "{text}");
    assert_eq!(text.matches("remedy:").count(), 3, "{text}");
}

#[test]
fn a_missing_quantizer() {
    let mut net = around(|net| {
        net.node("Conv", &["x", "w"], &["c"]).int("group", 1);
        net.node("Sigmoid", &["x"], &["s"]);
        net.node("Flatten", &["s"], &["f"]);
        net.node("Tanh", &["f"], &["t"]);
        net.quantize("t", "z", X);
        net.output("z_q", S8);
        net.node("Add", &["c", "c"], &["m"]);
    });
    // Accumulators are codes of their own; a function of one value has none.
    net.output("c", F32);
    let found = problem(&net);
    assert_eq!(found.operator, "Sigmoid 'Sigmoid:s'");
    assert!(found.reason.contains("no quantizer"), "{found:?}");
    assert!(found.remedy.contains("after Sigmoid 'Sigmoid:s'"), "{found:?}");
}

#[test]
fn an_unquantized_input() {
    let mut net = Net::new();
    net.input("x", F32, &[1, 4]);
    net.node("Relu", &["x"], &["r"]);
    net.node("Sigmoid", &["r"], &["m"]);
    net.quantize("m", "y", X);
    net.output("y_q", S8);
    assert!(problem(&net).remedy.contains("after"));
}

fn with_shapes(net: &Net, name: &str, shape: &[usize]) -> Result<(), CompileError> {
    let named = [(name.to_owned(), shape.to_vec())].into();
    let import = ImportOptions { shapes: InputShapes { named, batch: None }, ..ImportOptions::default() };
    compile(&net.bytes(), &options(import)).map(|_| ())
}

#[test]
fn shapes_of_inputs() {
    let mut net = Net::new();
    net.fed("x", &[-1, 2, -1, 4], X);
    net.qdq("x", "y", code(S8, 0.1, 0));
    net.output("y", F32);
    let open = problem(&net);
    assert_eq!((open.operator.as_str(), open.tensor.as_str()), ("input", "x_in"));
    assert!(open.remedy.contains("--input-shape x_in="), "{open:?}");
    let error = with_shapes(&net, "picture", &[1, 2, 4, 4]).unwrap_err().to_string();
    assert!(error.contains("--input-shape picture") && error.contains("x_in"), "{error}");
    for shape in [&[1, 3, 4, 4][..], &[1, 2, 4], &[0, 2, 4, 4], &[1, 2, 0, 4], &[1 << 40, 2, 1 << 40, 4]] {
        assert!(with_shapes(&net, "x_in", shape).is_err(), "{shape:?}");
    }
    with_shapes(&net, "x_in", &[3, 2, 9, 4]).unwrap();
}

#[test]
fn weights_computed_at_run_time() {
    let net = around(|net| {
        net.fed("v", &[3, 2, 1, 1], X);
        net.node("Conv", &["x", "v"], &["m"]);
    });
    assert!(problem(&net).reason.contains("'v' are computed at run time"));
    let net = around(|net| {
        net.real("v", &[3, 2, 1, 1], &[1.0; 6]);
        net.node("Conv", &["x", "v"], &["m"]);
    });
    assert!(problem(&net).remedy.contains("quantize the weights 'v'"));
}

#[test]
fn scales_of_other_forms() {
    let blocks = around(|net| {
        net.whole("v_q", S8, &[4, 2], &[1; 8]);
        net.real("v_s", &[2, 2], &[0.1; 4]);
        net.node("DequantizeLinear", &["v_q", "v_s"], &["v"]).int("block_size", 2).int("axis", 0);
        net.node("MatMul", &["x", "v"], &["m"]);
    });
    let found = problem(&blocks);
    assert!(found.operator.contains("DequantizeLinear:v") && found.reason.contains("per block"), "{found:?}");
    let channels = around(|net| {
        net.real("s", &[2], &[0.1, 0.2]);
        net.whole("z", S8, &[2], &[0, 0]);
        net.node("QuantizeLinear", &["x", "s", "z"], &["q"]).int("axis", 1);
        net.node("DequantizeLinear", &["q", "s", "z"], &["m"]).int("axis", 1);
    });
    assert!(problem(&channels).reason.contains("an activation with one scale per channel"));
    for scale in [0.0, -0.5, f32::INFINITY, f32::NAN, f32::NEG_INFINITY] {
        let net = around(|net| net.qdq("x", "m", code(S8, scale, 0)));
        assert!(problem(&net).reason.contains("a scale of"), "{scale}");
        let net = around(|net| {
            net.weights("v", (S8, &[3, 2, 1, 1]), &[1; 6], &[0.1, scale, 0.1]);
            net.node("Conv", &["x", "v"], &["m"]);
        });
        assert!(problem(&net).reason.contains("a scale of"), "{scale}");
    }
    for elem in [S32, 4] {
        let net = around(|net| {
            net.real("s", &[], &[0.1]);
            net.node("QuantizeLinear", &["x", "s"], &["q"]).int("output_dtype", elem.into());
            net.node("DequantizeLinear", &["q", "s"], &["m"]);
        });
        assert!(problem(&net).remedy.contains("UINT8, INT8, UINT4, INT4 or INT16"));
    }
}

#[test]
fn limits_that_are_none() {
    let clip = |lo: f32, hi: f32| {
        around(|net| {
            net.node("Conv", &["x", "w"], &["c"]);
            net.real("lo", &[], &[lo]);
            net.real("hi", &[], &[hi]);
            net.node("Clip", &["c", "lo", "hi"], &["m"]);
        })
    };
    assert!(problem(&clip(f32::NAN, 1.0)).reason.contains("limits"));
    assert!(problem(&clip(0.0, f32::NAN)).reason.contains("limits"));
    let list = around(|net| {
        net.real("lo", &[2], &[0.0, 1.0]);
        net.node("Clip", &["x", "lo"], &["m"]);
    });
    assert!(problem(&list).reason.contains("2 limits"));
    // Crossed ones are defined: the upper one wins everywhere.
    let x = crate::plain::values(1, &[1, 2, 4, 4], X.range());
    let [found] = crate::run::outputs(&clip(1.0, -1.0), &[&x]).try_into().unwrap();
    assert_eq!(found, crate::plain::Array::make(&[1, 3, 4, 4], |_| 7 - 20));
}

/// Codes that are made with one scale and read with another.
#[test]
fn a_quantizer_that_its_reader_contradicts() {
    let net = around(|net| {
        net.quantize("x", "a", code(U8, 0.1, 3));
        net.dequantize("a_q", "m", code(U8, 0.1, 4));
    });
    assert!(problem(&net).reason.contains("zero point 3 are read with 0.1 and 4"));
}
