//! Graphs of the intermediate representation, emitted, proven, verified and run: what the importers rely on.

use dyadic_compiler::emit::{EmitError, emit};
use dyadic_compiler::ir::{Activation, Conv, ConvKind, Graph, Node, Op, Tensor, TensorId};
use dyadic_compiler::quantize::Contract;
use dyadic_compiler::{memory_plan, passes, verify};
use dyadic_format::records::ProvenanceRecord;
use dyadic_format::{Contents, write};
use dyadic_kernels::ElemType::{self, S8, S32};
use dyadic_runtime::{Cpu, IsaKind, Model, Options, Session};

/// An activation.
pub fn tensor(graph: &mut Graph, elem: ElemType, shape: &[usize], scale: f32, zero_point: i32) -> TensorId {
    let name = format!("t{}", graph.tensors.len());
    let (shape, scales) = (shape.to_vec(), vec![scale]);
    graph.add(Tensor { name, shape, elem, zero_point, scales, codes: None, data: None })
}

/// An s8 constant with these scales.
pub fn weights(graph: &mut Graph, shape: &[usize], scales: &[f32], values: &[i8]) -> TensorId {
    let id = tensor(graph, S8, shape, 1.0, 0);
    graph.tensors[id].scales = scales.to_vec();
    graph.tensors[id].data = Some(values.iter().map(|&v| v as u8).collect());
    id
}

pub fn push(graph: &mut Graph, op: Op, inputs: &[TensorId], output: TensorId) {
    let sources = vec![format!("n{}", graph.nodes.len())];
    graph.nodes.push(Node { sources, op, inputs: inputs.to_vec(), output });
}

pub fn dense(bias: &[i32]) -> Op {
    Op::Conv(Conv {
        kind: ConvKind::FullyConnected,
        stride: [1; 2],
        dilation: [1; 2],
        pad: [0; 2],
        groups: 1,
        bias: bias.to_vec(),
        activation: Activation::None,
        single_product: false,
    })
}

/// The contents of a file of the graph.
pub fn emitted(graph: &Graph, contract: Contract) -> Result<Contents, EmitError> {
    let mut graph = graph.clone();
    passes::run(&mut graph, contract);
    let plan = memory_plan::plan(&graph);
    let mut contents = emit(&graph, &plan, contract)?;
    let options = contents.text(&format!("rounding={}", contract.name()));
    let (tool, description) = (contents.text("test"), contents.text(""));
    let source_digest = [0; 32];
    let provenance = ProvenanceRecord { source_digest, source_bytes: 0, tool, options, description };
    contents.provenance = Some(provenance);
    Ok(contents)
}

/// Opens the file of a graph after `verify` found nothing.
pub fn model(graph: &Graph, contract: Contract) -> Model {
    let contents = emitted(graph, contract).unwrap_or_else(|e| panic!("{}: {e}", contract.name()));
    let model = Model::copy_of(&write::write(&contents)).unwrap_or_else(|e| panic!("{e}"));
    let problems = [verify::certificates(&model.view()), verify::constants(&model.view())].concat();
    assert!(problems.is_empty(), "{problems:?}");
    model
}

/// Runs on every instruction set of this CPU with one thread and with two; all give the same outputs.
pub fn run(model: &Model, inputs: &[&[u8]]) -> Vec<Vec<u8>> {
    let (cpu, mut all) = (Cpu::detect(), Vec::new());
    for isa in IsaKind::ALL.into_iter().filter(|&isa| cpu.has(isa)) {
        for threads in [1, 2] {
            let options = Options { threads, isa: Some(isa), ..Options::default() };
            let mut session = Session::new(model.clone(), &options).unwrap_or_else(|e| panic!("{e}"));
            for (index, input) in inputs.iter().enumerate() {
                session.input_mut(index).copy_from_slice(input);
            }
            session.run().unwrap();
            let outputs = (0..model.outputs().len()).map(|i| session.output(i).to_vec());
            all.push((isa, outputs.collect::<Vec<_>>()));
        }
    }
    let (_, expected) = &all[0];
    for (isa, outputs) in &all {
        assert!(outputs == expected, "{} differs from the reference", isa.name());
    }
    all.swap_remove(0).1
}

/// The codes of an output.
pub fn codes(elem: ElemType, bytes: &[u8]) -> Vec<i32> {
    (0..bytes.len() * 8 / elem.bits()).map(|i| elem.load(bytes, i)).collect()
}

pub fn bytes(elem: ElemType, codes: &[i32]) -> Vec<u8> {
    let mut bytes = vec![0; elem.bytes(codes.len()).unwrap()];
    codes.iter().enumerate().for_each(|(i, &code)| elem.store(&mut bytes, i, code));
    bytes
}

/// Why a graph is refused under a contract.
pub fn refusal(graph: &Graph, contract: Contract) -> String {
    match emitted(graph, contract) {
        Err(EmitError::Contract { reason, .. }) => reason,
        other => panic!("expected a refusal, not {other:?}"),
    }
}

const CONTRACTS: [Contract; 2] = [Contract::Dyadic, Contract::Tflite];

/// A fully connected layer that gives its accumulators; the scale of the output, and of the weights.
fn logits(output: f32, scales: &[f32], activation: Activation) -> Graph {
    let mut graph = Graph::default();
    let x = tensor(&mut graph, S8, &[1, 3], 0.5, 2);
    let w = weights(&mut graph, &[2, 3], scales, &[100, -128, 7, 1, 2, 3]);
    let y = tensor(&mut graph, S32, &[1, 2], output, 0);
    let mut op = dense(&[1_000_000, -5]);
    if let Op::Conv(conv) = &mut op {
        conv.activation = activation;
    }
    push(&mut graph, op, &[x, w], y);
    (graph.inputs, graph.outputs) = (vec![x], vec![y]);
    graph
}

#[test]
fn accumulators_as_they_are() {
    for contract in CONTRACTS {
        let model = model(&logits(0.125, &[0.25], Activation::None), contract);
        let output = run(&model, &[&bytes(S8, &[-128, 127, 4])]).swap_remove(0);
        assert_eq!(codes(S32, &output), [1_000_000 - 13_000 - 16_000 + 14, -5 - 130 + 250 + 6]);
        let view = model.view();
        let op = &view.operators()[0];
        assert_eq!((op.rule, view.constants()), (23, &[1_000_000, -5][..]));
        // What is proven of the accumulator is proven of the output.
        let intervals = view.operator_intervals(op);
        let union =
            (intervals.iter().map(|i| i.lo).min().unwrap(), intervals.iter().map(|i| i.hi).max().unwrap());
        let info = &model.outputs()[0];
        assert_eq!((i64::from(info.range.0), i64::from(info.range.1)), union);
        assert!(info.scale.is_some());
    }
}

#[test]
fn raw_accumulators_that_are_refused() {
    let refused = |graph| refusal(&graph, Contract::Dyadic);
    assert!(refused(logits(0.13, &[0.25], Activation::None)).contains("has scale 1.3"));
    assert!(refused(logits(0.125, &[0.25, 0.26], Activation::None)).contains("one scale for all channels"));
    assert!(refused(logits(0.125, &[0.25], Activation::Relu)).contains("no fused activation"));
}

/// The first of the largest accumulators, without a rescale in between.
#[test]
fn argmax_of_accumulators() {
    let mut graph = logits(0.125, &[0.25], Activation::None);
    let best = tensor(&mut graph, S32, &[1], 1.0, 0);
    graph.tensors[best].scales.clear();
    let logits = graph.outputs[0];
    push(&mut graph, Op::ArgMax { axis: 1 }, &[logits], best);
    graph.outputs = vec![best];
    let output = run(&model(&graph, Contract::Dyadic), &[&[0, 0, 0]]).swap_remove(0);
    assert_eq!(codes(S32, &output), [0]);
}
