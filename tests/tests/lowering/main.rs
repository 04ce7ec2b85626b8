//! Little TFLite networks whose graphs are unusual: they compile under both contracts, open, run, and give what TFLite's
//! rules say, or they are refused in the report.
#![forbid(unsafe_code)]

mod graph;
mod narrow;
mod stream;

use dyadic_compiler::import::tflite::author::Author;
use dyadic_compiler::import::tflite::{
    Activation, ElemType, FullyConnectedOptions, OpCode, Options, Quant, StridedSliceOptions, WeightsFormat,
};
use dyadic_compiler::quantize::Contract;
use dyadic_compiler::{CompileError, Options as CompileOptions, compile};
use dyadic_runtime::{Model, Session};

fn quant(scale: f32, zero_point: i64) -> Option<Quant> {
    Some(Quant::per_tensor(scale, zero_point))
}

/// The outputs on one input, the same under both contracts and from a repeated run.
fn outputs(file: &[u8], inputs: &[&[i8]]) -> Vec<Vec<i8>> {
    let run = |contract| {
        let options = CompileOptions { contract, ..CompileOptions::default() };
        let compiled = compile(file, &options).unwrap_or_else(|e| panic!("{}: {e}", contract.name()));
        let model = Model::copy_of(&compiled.to_bytes()).unwrap();
        let mut session = Session::new(model.clone(), &dyadic_runtime::Options::default()).unwrap();
        let mut outputs = Vec::new();
        for _ in 0..2 {
            for (index, input) in inputs.iter().enumerate() {
                let bytes = session.input_mut(index);
                bytes.iter_mut().zip(*input).for_each(|(byte, &value)| *byte = value as u8);
            }
            session.run().unwrap();
            let count = model.outputs().len();
            let output = |i| session.output(i).iter().map(|&b| b as i8).collect::<Vec<_>>();
            outputs = (0..count).map(output).collect();
        }
        outputs
    };
    let [dyadic, tflite] = [Contract::Dyadic, Contract::Tflite].map(run);
    assert_eq!(dyadic, tflite);
    tflite
}

fn problems(file: &[u8]) -> Vec<String> {
    match compile(file, &CompileOptions::default()) {
        Err(CompileError::Unsupported { problems, .. }) => problems.iter().map(|p| p.to_string()).collect(),
        other => panic!("expected a report, not {other:?}"),
    }
}

fn concatenation(axis: i32) -> Options {
    Options::Concatenation { axis, activation: Activation::None }
}

/// Two readers of one intermediate that is stacked on itself.
#[test]
fn a_tensor_concatenated_with_itself() {
    let mut file = Author::new();
    let x = file.activation("x", &[1, 4], ElemType::Int8, quant(0.5, 3));
    let y = file.activation("y", &[1, 4], ElemType::Int8, quant(1.0, 0));
    let z = file.activation("z", &[1, 8], ElemType::Int8, quant(1.0, 0));
    file.operator(OpCode::Quantize, Options::None, [x], [y]);
    file.operator(OpCode::Concatenation, concatenation(1), [y, y], [z]);
    let file = file.finish(&[x], &[z]);
    assert_eq!(outputs(&file, &[&[3, 5, 7, 9]]), [[0, 1, 2, 3, 0, 1, 2, 3]]);
}

/// A dead operator in front of the QUANTIZE of a float input moves every position by one.
#[test]
fn dead_operators_in_front_of_a_float_boundary() {
    let mut file = Author::new();
    let x = file.activation("x", &[1, 4], ElemType::Float32, None);
    let unused = file.constant_i8("unused", &[1, 4], quant(0.25, 0), &[1, 2, 3, 4]);
    let dead = file.activation("dead", &[4], ElemType::Int8, quant(0.25, 0));
    let y = file.activation("y", &[1, 4], ElemType::Int8, quant(0.5, 0));
    let z = file.activation("z", &[4], ElemType::Int8, quant(0.5, 0));
    let shape = file.constant_i32("shape", &[1], None, &[4]);
    file.operator(OpCode::Reshape, Options::Reshape { new_shape: vec![4] }, [unused, shape], [dead]);
    file.operator(OpCode::Quantize, Options::None, [x], [y]);
    file.operator(OpCode::Reshape, Options::Reshape { new_shape: vec![4] }, [y, shape], [z]);
    let file = file.finish(&[x], &[z]);
    assert_eq!(outputs(&file, &[&[1, -2, 3, -4]]), [[1, -2, 3, -4]]);
}

/// Several QUANTIZE readers of one float input are one input when they quantize alike.
#[test]
fn equal_quantizers_of_one_float_input() {
    let build = |second_scale| {
        let mut file = Author::new();
        let x = file.activation("x", &[1, 2], ElemType::Float32, None);
        let a = file.activation("a", &[1, 2], ElemType::Int8, quant(0.5, 0));
        let b = file.activation("b", &[1, 2], ElemType::Int8, quant(second_scale, 0));
        let z = file.activation("z", &[1, 4], ElemType::Int8, quant(0.5, 0));
        file.operator(OpCode::Quantize, Options::None, [x], [a]);
        file.operator(OpCode::Quantize, Options::None, [x], [b]);
        file.operator(OpCode::Concatenation, concatenation(1), [a, b], [z]);
        file.finish(&[x], &[z])
    };
    assert_eq!(outputs(&build(0.5), &[&[7, -7]]), [[7, -7, 7, -7]]);
    assert!(problems(&build(0.25))[0].contains("several ways"));
}

/// The shape chain of a dynamic batch: SHAPE, STRIDED_SLICE and PACK feed nothing but a shape operand.
#[test]
fn a_reshape_whose_shape_is_computed() {
    let mut file = Author::new();
    let x = file.activation("x", &[1, 2, 2], ElemType::Int8, quant(0.5, 0));
    let shape = file.activation("shape", &[3], ElemType::Int32, None);
    let y = file.activation("y", &[1, 4], ElemType::Int8, quant(0.5, 0));
    file.operator(OpCode::Unknown(77), Options::None, [x], [shape]);
    file.operator(OpCode::Reshape, Options::Reshape { new_shape: Vec::new() }, [x, shape], [y]);
    let file = file.finish(&[x], &[y]);
    assert_eq!(outputs(&file, &[&[1, 2, 3, 4]]), [[1, 2, 3, 4]]);
}

/// A fully connected layer flattens its input; padding in front of it is no padding of a window.
#[test]
fn padding_in_front_of_a_fully_connected_layer() {
    let mut file = Author::new();
    let x = file.activation("x", &[1, 1, 1, 2], ElemType::Int8, quant(1.0, 0));
    let paddings = file.constant_i32("paddings", &[4, 2], None, &[0, 0, 1, 0, 0, 1, 0, 0]);
    let y = file.activation("y", &[1, 2, 2, 2], ElemType::Int8, quant(1.0, 0));
    let weights = file.constant_i8("w", &[1, 8], quant(1.0, 0), &[9, 9, 9, 9, 1, 10, 9, 9]);
    let z = file.activation("z", &[1, 1], ElemType::Int8, quant(1.0, 0));
    file.operator(OpCode::Pad, Options::None, [x, paddings], [y]);
    file.operator(OpCode::FullyConnected, dense(), [y, weights], [z]);
    let file = file.finish(&[x], &[z]);
    assert_eq!(outputs(&file, &[&[3, 4]]), [[43]]);
}

fn dense() -> Options {
    Options::FullyConnected(FullyConnectedOptions {
        activation: Activation::None,
        weights_format: WeightsFormat::Default,
        keep_num_dims: false,
        asymmetric_quantize_inputs: false,
    })
}

/// INT8 weights with a zero point, which LiteRT's fully connected layers subtract.
#[test]
fn weights_with_a_zero_point() {
    let mut file = Author::new();
    let x = file.activation("x", &[1, 3], ElemType::Int8, quant(1.0, 1));
    let weights = file.constant_i8("w", &[2, 3], quant(1.0, -5), &[-128, 127, -5, -6, -4, -3]);
    let y = file.activation("y", &[1, 2], ElemType::Int8, quant(16.0, 0));
    file.operator(OpCode::FullyConnected, dense(), [x, weights], [y]);
    let file = file.finish(&[x], &[y]);
    // (2 * -123 + 3 * 132 + 4 * 0) / 16 and (2 * -1 + 3 * 1 + 4 * 2) / 16.
    assert_eq!(outputs(&file, &[&[3, 4, 5]]), [[9, 1]]);
}

/// Anchors of a detector: a constant beside the computed output.
#[test]
fn a_constant_output() {
    let mut file = Author::new();
    let x = file.activation("x", &[1, 2], ElemType::Int8, quant(0.5, 0));
    let y = file.activation("y", &[1, 2], ElemType::Int8, quant(1.0, 0));
    let anchors = file.constant_i8("anchors", &[3], quant(0.1, 0), &[5, -6, 7]);
    file.operator(OpCode::Quantize, Options::None, [x], [y]);
    let file = file.finish(&[x], &[y, anchors]);
    assert_eq!(outputs(&file, &[&[2, 4]]), [vec![1, 2], vec![5, -6, 7]]);
}

/// An input that nothing reads is no reason to refuse a network.
#[test]
fn an_unread_float_input() {
    let mut file = Author::new();
    let unread = file.activation("unread", &[1, 2], ElemType::Float32, None);
    let x = file.activation("x", &[1, 2], ElemType::Int8, quant(0.5, 0));
    let y = file.activation("y", &[1, 2], ElemType::Int8, quant(1.0, 0));
    file.operator(OpCode::Quantize, Options::None, [x], [y]);
    let file = file.finish(&[unread, x], &[y]);
    assert_eq!(outputs(&file, &[&[2, 4]]), [[1, 2]]);
}

/// Masks of a strided slice; expected values as LiteRT's reference kernel gives them.
#[test]
fn strided_slices() {
    let none = StridedSliceOptions {
        begin_mask: 0,
        end_mask: 0,
        ellipsis_mask: 0,
        new_axis_mask: 0,
        shrink_axis_mask: 0,
        offset: false,
    };
    let check = |begin: &[i32], end: &[i32], step: &[i32], options, shape: &[i32], expected: &[i8]| {
        let mut file = Author::new();
        let x = file.activation("x", &[2, 3, 4], ElemType::Int8, quant(0.5, 0));
        let mut list = |name, values: &[i32]| file.constant_i32(name, &[values.len() as i32], None, values);
        let operands = [x, list("begin", begin), list("end", end), list("step", step)];
        let y = file.activation("y", shape, ElemType::Int8, quant(0.5, 0));
        file.operator(OpCode::StridedSlice, Options::StridedSlice(options), operands, [y]);
        let file = file.finish(&[x], &[y]);
        let values: Vec<i8> = (0..24).collect();
        assert_eq!(outputs(&file, &[&values]), [expected], "{begin:?} {end:?} {step:?}");
    };
    // The begin mask holds for an axis that is dropped, too: row 0.
    let options = StridedSliceOptions { begin_mask: 1, shrink_axis_mask: 1, ..none.clone() };
    check(&[1, 1, 0], &[2, 2, 4], &[1, 1, 1], options, &[1, 4], &[4, 5, 6, 7]);
    // The ellipsis stands for the axes between.
    let options = StridedSliceOptions { ellipsis_mask: 2, ..none.clone() };
    check(&[1, 0, 3], &[2, 0, 4], &[1, 1, 1], options, &[1, 3, 1], &[15, 19, 23]);
    // A new axis takes no axis of the input.
    let options = StridedSliceOptions { new_axis_mask: 2, ..none.clone() };
    check(&[0, 0, 2], &[1, 0, 3], &[1, 1, 1], options, &[1, 1, 1, 4], &[8, 9, 10, 11]);
    // The end counts from the begin.
    let options = StridedSliceOptions { offset: true, ..none.clone() };
    check(&[1, 1, 2], &[1, 1, 2], &[1, 1, 1], options, &[1, 1, 2], &[18, 19]);
    // Backwards, and a step beyond the axis.
    check(&[1, 2, 0], &[-3, -4, 4], &[-1, -1, 9], none, &[2, 3, 1], &[20, 16, 12, 8, 4, 0]);
}

/// Names longer than a file holds are cut, inside no character.
#[test]
fn long_names() {
    let mut file = Author::new();
    let name = format!("x{}", "ä".repeat(40_000));
    let x = file.activation(&name, &[1, 2], ElemType::Int8, quant(0.5, 0));
    let y = file.activation("y", &[1, 2], ElemType::Int8, quant(1.0, 0));
    file.operator(OpCode::Quantize, Options::None, [x], [y]);
    let file = file.finish(&[x], &[y]);
    assert_eq!(outputs(&file, &[&[2, 4]]), [[1, 2]]);
}

/// Operands at the ends of 64 bits are refused, not wrapped.
#[test]
fn huge_operands() {
    let mut file = Author::new();
    let x = file.activation("x", &[4], ElemType::Int8, quant(0.5, 0));
    let long = |file: &mut Author, name, value: i64| {
        file.constant(name, &[1], ElemType::Int64, None, value.to_le_bytes().to_vec())
    };
    let (begin, size) = (long(&mut file, "begin", i64::MAX), long(&mut file, "size", 1));
    let (y, z) = (
        file.activation("y", &[1], ElemType::Int8, quant(0.5, 0)),
        file.activation("z", &[4], ElemType::Int8, quant(0.5, 0)),
    );
    let multiples = long(&mut file, "multiples", i64::MAX);
    file.operator(OpCode::Slice, Options::None, [x, begin, size], [y]);
    file.operator(OpCode::Tile, Options::None, [x, multiples], [z]);
    let report = problems(&file.finish(&[x], &[y, z]));
    assert_eq!(report.len(), 2, "{report:?}");
    assert!(report.iter().all(|problem| problem.contains("remedy")));
}
