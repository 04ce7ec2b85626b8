//! Codes narrower than their type, gathered positions, slopes per channel and the functions of ONNX.

use dyadic_compiler::ir::{Activation, Function, Graph, Op, TensorId};
use dyadic_compiler::quantize::Contract;
use dyadic_kernels::ElemType::{self, S4, S8, S16, S32, U8};

use crate::graph::{bytes, codes, dense, emitted, model, push, refusal, run, tensor, weights};

const RESCALE: Op = Op::Unary(Function::Rescale);

/// One node; scales and zero points of input and output.
fn one(op: Op, from: (ElemType, &[usize], f32, i32), to: (ElemType, &[usize], f32, i32)) -> Graph {
    let mut graph = Graph::default();
    let x = tensor(&mut graph, from.0, from.1, from.2, from.3);
    let y = tensor(&mut graph, to.0, to.1, to.2, to.3);
    push(&mut graph, op, &[x], y);
    (graph.inputs, graph.outputs) = (vec![x], vec![y]);
    graph
}

fn output(graph: &Graph, input: &[i32]) -> Vec<i32> {
    let elem = |ids: &[TensorId]| graph.tensors[ids[0]].elem;
    let model = model(graph, Contract::Dyadic);
    codes(elem(&graph.outputs), &run(&model, &[&bytes(elem(&graph.inputs), input)])[0])[..].to_vec()
}

/// Activations of 4 bits lie one per byte; the proof of the layer behind them sees 0..15.
#[test]
fn four_bits_in_bytes() {
    let mut graph = Graph::default();
    let x = tensor(&mut graph, S8, &[1, 2], 1.0, 0);
    let narrow = tensor(&mut graph, U8, &[1, 2], 2.0, 0);
    graph.tensors[narrow].codes = Some((0, 15));
    let w = weights(&mut graph, &[1, 2], &[1.0], &[3, -5]);
    let y = tensor(&mut graph, S32, &[1, 1], 2.0, 0);
    push(&mut graph, RESCALE, &[x], narrow);
    push(&mut graph, dense(&[0]), &[narrow, w], y);
    (graph.inputs, graph.outputs) = (vec![x], vec![narrow, y]);
    let model = model(&graph, Contract::Dyadic);
    let outputs = run(&model, &[&bytes(S8, &[-40, 100])]);
    assert_eq!((codes(U8, &outputs[0]), codes(S32, &outputs[1])), (vec![0, 15], vec![-75]));
    assert_eq!((model.outputs()[0].range, model.outputs()[1].range), ((0, 15), (-75, 45)));
    assert_eq!(model.view().operator_intervals(&model.view().operators()[1])[0].hi, 45);
}

/// Every node that can clamp is clamped to the codes, and `verify` asks for it.
#[test]
fn clamps_within_the_codes() {
    let add = Op::Add { activation: Activation::Relu, subtract: false };
    let mut sum = one(add, (S8, &[4], 1.0, 0), (S8, &[4], 1.0, 0));
    sum.nodes[0].inputs.push(0);
    sum.tensors[1].codes = Some((-8, 7));
    assert_eq!(output(&sum, &[-3, 2, 3, 4]), [0, 4, 6, 7]);
    let mul = Op::Mul { activation: Activation::None };
    let mut product = one(mul, (S8, &[3], 1.0, 0), (S8, &[3], 1.0, 0));
    product.nodes[0].inputs.push(0);
    product.tensors[1].codes = Some((-8, 7));
    assert_eq!(output(&product, &[-2, 2, 3]), [4, 4, 7]);
    let mean = Op::Mean { axes: vec![0] };
    let mut mean = one(mean, (S16, &[2], 1.0, 0), (S16, &[1], 1.0, 0));
    mean.tensors[1].codes = Some((-2048, 2047));
    assert_eq!(output(&mean, &[9000, 9001]), [2047]);
    let mut concat = one(Op::Concat { axis: 0 }, (S8, &[3], 1.0, 0), (S8, &[3], 1.0, 0));
    concat.tensors[1].codes = Some((-7, 7));
    assert_eq!(output(&concat, &[-100, 5, 8]), [-7, 5, 7]);
    // A file whose clamp is wider than its codes does not pass.
    let mut contents = emitted(&sum, Contract::Dyadic).unwrap();
    contents.tensors[1].codes = [-8, 6];
    let file = dyadic_runtime::Model::copy_of(&dyadic_format::write::write(&contents)).unwrap();
    let problems = dyadic_compiler::verify::constants(&file.view());
    assert!(problems.len() == 1 && problems[0].contains("clamp 0..7"), "{problems:?}");
}

/// What moves values cannot narrow them, and a caller may feed every code of a type.
#[test]
fn codes_that_nothing_makes() {
    let mut reshape = one(Op::Reshape, (S8, &[4], 1.0, 0), (S8, &[2, 2], 1.0, 0));
    reshape.tensors[1].codes = Some((-8, 7));
    assert!(refusal(&reshape, Contract::Dyadic).contains("may hold codes -128 to 127"));
    let mut input = one(RESCALE, (S8, &[4], 1.0, 0), (S8, &[4], 2.0, 0));
    input.tensors[0].codes = Some((-8, 7));
    assert!(refusal(&input, Contract::Dyadic).contains("its quantizer gives -8 to 7"));
    let mut softmax = one(Op::Softmax { beta: 1.0 }, (S8, &[4], 1.0, 0), (U8, &[4], 1.0 / 256.0, 0));
    softmax.tensors[1].codes = Some((0, 15));
    assert!(refusal(&softmax, Contract::Dyadic).contains("may hold codes 0 to 255"));
}

/// A rescale that only cuts codes off is no identity, and a ReLU behind narrower codes stays behind them.
#[test]
fn passes_keep_the_codes() {
    let mut graph = one(RESCALE, (S8, &[3], 1.0, 0), (S8, &[3], 1.0, 0));
    graph.tensors[1].codes = Some((-8, 7));
    let y = tensor(&mut graph, S8, &[3], 1.0, 0);
    push(&mut graph, Op::Unary(Function::Clamp(Activation::Relu)), &[1], y);
    graph.outputs = vec![y];
    assert_eq!(output(&graph, &[-100, 5, 100]), [0, 5, 7]);
}

#[test]
fn gathered_positions() {
    for elem in [U8, S16, S32] {
        let indices = vec![2, 0, 0, 1, 2];
        let shape: (&[usize], &[usize]) = (&[2, 3, 2], &[2, 5, 2]);
        let graph = one(
            Op::Gather { axis: 1, indices: indices.clone() },
            (elem, shape.0, 1.0, 0),
            (elem, shape.1, 1.0, 0),
        );
        let input: Vec<i32> = (0..12).map(|i| i * 17).collect();
        let expected: Vec<i32> =
            (0..20).map(|o| input[o / 10 * 6 + indices[o / 2 % 5] as usize * 2 + o % 2]).collect();
        assert_eq!(output(&graph, &input), expected);
    }
    let nibbles = Op::Gather { axis: 0, indices: vec![2, 0] };
    assert_eq!(output(&one(nibbles, (S4, &[3], 1.0, 0), (S4, &[2], 1.0, 0)), &[-8, 3, 7, 0])[..2], [7, -8]);
    for (indices, positions) in [(vec![3], 1), (vec![-1], 1), (vec![0, 1], 1)] {
        let graph = one(Op::Gather { axis: 0, indices }, (S8, &[3], 1.0, 0), (S8, &[positions], 1.0, 0));
        assert!(refusal(&graph, Contract::Dyadic).contains("along axis 0"));
    }
}

#[test]
fn slopes_per_channel() {
    let slopes = vec![0.5, 0.0, -1.0, 0.25];
    let graph = one(Op::PRelu { slopes: slopes.clone() }, (S8, &[2, 4], 1.0, 2), (S8, &[2, 4], 1.0, -1));
    // Half up: -2.5 is -2, -4.5 / 4 is -1.
    let found = output(&graph, &[-3, -3, -3, -3, 12, 12, 12, 12]);
    assert_eq!(found, [-3, -1, 4, -2, 9, 9, 9, 9]);
    // Large enough for bands, and every code.
    let graph = one(Op::PRelu { slopes }, (S8, &[32000, 4], 1.0, 2), (S8, &[32000, 4], 0.75, -1));
    let input: Vec<i32> = (0..128_000).map(|i| i % 251 - 128).collect();
    assert!(output(&graph, &input).iter().any(|&v| v < -50));
    // A stored slope that is not that of the table.
    let mut contents = emitted(&graph, Contract::Dyadic).unwrap();
    contents.constants[0] += 1 << 20;
    let file = dyadic_runtime::Model::copy_of(&dyadic_format::write::write(&contents)).unwrap();
    assert_eq!(dyadic_compiler::verify::constants(&file.view()).len(), 1);
    assert!(refusal(&graph, Contract::Tflite).contains("no rule under the contract tflite"));
    let few = one(Op::PRelu { slopes: vec![1.0] }, (S8, &[2, 4], 1.0, 2), (S8, &[2, 4], 1.0, -1));
    assert!(refusal(&few, Contract::Dyadic).contains("1 slopes, expected"));
}

/// Values of the real functions, to six digits, at codes 16 times the input.
#[test]
fn functions_of_onnx() {
    let cases: [(Function, [(i32, f64); 4]); 6] = [
        (Function::Elu { alpha: 0.5 }, [(-48, -0.475106), (-8, -0.196735), (0, 0.0), (40, 2.5)]),
        (Function::Gelu, [(-48, -0.004050), (-16, -0.158655), (16, 0.841345), (40, 2.484476)]),
        (Function::GeluTanh, [(-48, -0.003637), (-16, -0.158808), (16, 0.841192), (40, 2.484916)]),
        (Function::HardSigmoid { alpha: 0.25, beta: 0.4 }, [(-48, 0.0), (-16, 0.15), (16, 0.65), (48, 1.0)]),
        (
            Function::Swish { alpha: 1.5 },
            [(-48, -0.032961), (-16, -0.182426), (16, 0.817574), (40, 2.442530)],
        ),
        (Function::Sign { magnitude: 0.5 }, [(-48, -0.5), (-1, -0.5), (0, 0.5), (48, 0.5)]),
    ];
    for (function, points) in cases {
        let graph = one(Op::Unary(function), (S8, &[4], 1.0 / 16.0, 0), (S8, &[4], 1.0 / 40.0, 3));
        let (input, expected): (Vec<i32>, Vec<i32>) =
            points.iter().map(|&(code, real)| (code, 3 + (real * 40.0 + 0.5).floor() as i32)).unzip();
        assert_eq!(output(&graph, &input), expected, "{function:?}");
        assert!(refusal(&graph, Contract::Tflite).contains("no rule under the contract tflite"));
    }
}
