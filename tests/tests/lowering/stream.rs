//! Residual streams of 16 bits through every operator that takes them.

use dyadic_compiler::ir::{Activation, Function, Graph, Op, Pool, TensorId};
use dyadic_compiler::quantize::Contract;
use dyadic_kernels::ElemType::{self, S8, S16, U8};
use dyadic_kernels::params::Coordinates;

use crate::graph::{bytes, codes, dense, model, push, refusal, run, tensor, weights};

const RESCALE: Op = Op::Unary(Function::Rescale);
const ADD: Op = Op::Add { activation: Activation::Relu, subtract: false };

/// One node from a stream of this shape to one of another.
fn one(op: Op, from: (ElemType, &[usize]), to: (ElemType, &[usize])) -> Graph {
    let mut graph = Graph::default();
    let x = tensor(&mut graph, from.0, from.1, 0.5, 0);
    let y = tensor(&mut graph, to.0, to.1, 0.5, 0);
    push(&mut graph, op, &[x], y);
    (graph.inputs, graph.outputs) = (vec![x], vec![y]);
    graph
}

/// Runs it on codes; every instruction set gives the same.
fn output(graph: &Graph, input: &[i32]) -> Vec<i32> {
    let elem = |ids: &[TensorId]| graph.tensors[ids[0]].elem;
    let model = model(graph, Contract::Dyadic);
    codes(elem(&graph.outputs), &run(&model, &[&bytes(elem(&graph.inputs), input)])[0])
}

/// A unit of HAWQ-V3: the stream is requantized, goes through a product of 16-bit output, and is added to itself.
#[test]
fn a_residual_unit() {
    let mut graph = Graph::default();
    let x = tensor(&mut graph, S8, &[1, 3], 1.0, 0);
    let stream = tensor(&mut graph, S16, &[1, 3], 1.0 / 64.0, -100);
    let narrow = tensor(&mut graph, U8, &[1, 3], 1.0, 128);
    let w = weights(&mut graph, &[3, 3], &[0.5], &[1, 0, 0, 0, 2, 0, 1, 1, 1]);
    let branch = tensor(&mut graph, S16, &[1, 3], 1.0 / 32.0, 5);
    let sum = tensor(&mut graph, S16, &[1, 3], 1.0 / 64.0, 0);
    push(&mut graph, RESCALE, &[x], stream);
    push(&mut graph, RESCALE, &[stream], narrow);
    push(&mut graph, dense(&[2, 4, 6]), &[narrow, w], branch);
    push(&mut graph, ADD, &[stream, branch], sum);
    (graph.inputs, graph.outputs) = (vec![x], vec![stream, branch, sum]);
    let model = model(&graph, Contract::Dyadic);
    let outputs = run(&model, &[&bytes(S8, &[10, -20, 127])]);
    assert_eq!(codes(S16, &outputs[0]), [540, -1380, 8028]);
    // Accumulators 12, -36 and 123 at scale 1/2.
    assert_eq!(codes(S16, &outputs[1]), [197, -571, 1973]);
    // 640 + 384, -1280 - 1152 clamped, 8128 + 3936.
    assert_eq!(codes(S16, &outputs[2]), [1024, 0, 12064]);
}

#[test]
fn movement_and_windows() {
    let input: Vec<i32> = (0..24).map(|i| i * 2731 - 32768).collect();
    let pool = Pool { kernel: [2, 2], stride: [2, 2], pad: [0, 0], activation: Activation::None };
    let shape = [1, 2, 4, 3];
    let taps = |o: usize| [0, 3, 12, 15].map(|tap| input[o / 3 * 6 + o % 3 + tap]);
    let found = output(&one(Op::MaxPool(pool), (S16, &shape), (S16, &[1, 1, 2, 3])), &input);
    assert_eq!(found, (0..6).map(|o| taps(o).into_iter().max().unwrap()).collect::<Vec<_>>());
    let found = output(&one(Op::AveragePool(pool), (S16, &shape), (S16, &[1, 1, 2, 3])), &input);
    let average = |o| (taps(o).iter().sum::<i32>() + 2).div_euclid(4);
    assert_eq!(found, (0..6).map(average).collect::<Vec<_>>());
    let found = output(&one(Op::Mean { axes: vec![1, 2] }, (S16, &shape), (S16, &[1, 3])), &input);
    let mean = |c: usize| ((0..8).map(|i| input[3 * i + c]).sum::<i32>() + 4).div_euclid(8);
    assert_eq!(found, [mean(0), mean(1), mean(2)]);
    // A ReLU that stands alone.
    let relu = Op::Unary(Function::Clamp(Activation::Relu));
    assert_eq!(output(&one(relu, (S16, &[2]), (S16, &[2])), &[-300, 300]), [0, 300]);
    let pad = Op::Pad { before: vec![0, 0, 0, 1], value: -9 };
    let found = output(&one(pad, (S16, &[1, 1, 1, 2]), (S16, &[1, 1, 1, 4])), &[700, -32768]);
    assert_eq!(found, [-9, 700, -32768, -9]);
    let reversed = Op::StridedCopy { start: 2, strides: vec![-1] };
    assert_eq!(output(&one(reversed, (S16, &[3]), (S16, &[3])), &[1000, 2, 3]), [3, 2, 1000]);
    assert_eq!(output(&one(Op::Tile, (S16, &[2]), (S16, &[4])), &[300, 4]), [300, 4, 300, 4]);
    assert_eq!(output(&one(Op::Reshape, (S16, &[2]), (S16, &[2, 1])), &[300, 4]), [300, 4]);
    let nearest = Op::ResizeNearest(Coordinates::Asymmetric);
    let found = output(&one(nearest, (S16, &[1, 1, 2, 1]), (S16, &[1, 1, 4, 1])), &[300, -400]);
    assert_eq!(found, [300, 300, -400, -400]);
    let mut best = one(Op::ArgMax { axis: 1 }, (S16, &[1, 3]), (ElemType::S32, &[1]));
    best.tensors[1].scales.clear();
    assert_eq!(output(&best, &[-5, 300, 299]), [1]);
}

#[test]
fn streams_are_concatenated_as_they_are() {
    let mut graph = one(Op::Concat { axis: 1 }, (S16, &[1, 2]), (S16, &[1, 4]));
    graph.nodes[0].inputs = vec![0, 0];
    assert_eq!(output(&graph, &[1000, -2]), [1000, -2, 1000, -2]);
    graph.tensors[1].scales = vec![0.25];
    assert!(refusal(&graph, Contract::Dyadic).contains("expected 8 bits"));
}

/// What no kernel computes is refused by name.
#[test]
fn streams_that_are_refused() {
    let refused = |op, from, to| refusal(&one(op, from, to), Contract::Dyadic);
    let mut product = one(dense(&[0]), (S16, &[1, 3]), (S8, &[1, 1]));
    let w = weights(&mut product, &[1, 3], &[1.0], &[1, 2, 3]);
    product.nodes[0].inputs.push(w);
    assert!(refusal(&product, Contract::Dyadic).contains("expected 8 bits"));
    let table = Op::Unary(Function::Tanh);
    assert!(refused(table, (S16, &[4]), (S16, &[4])).contains("functions take and give 8 bits"));
    assert!(refused(RESCALE, (S16, &[4]), (ElemType::S32, &[4])).contains("16 bits or fewer"));
    assert!(refused(Op::Softmax { beta: 1.0 }, (S16, &[4]), (U8, &[4])).contains("expected 8 bits"));
    let mean = Op::Mean { axes: vec![0] };
    assert!(refused(mean, (S16, &[32769]), (S16, &[1])).contains("at most 32768"));
    let mut sum = one(ADD, (S16, &[4]), (S16, &[4]));
    sum.nodes[0].inputs.push(0);
    assert!(refusal(&sum, Contract::Tflite).contains("expected 8 bits"));
}
