//! Compiles and runs on every instruction set of this CPU, with one thread and two.

use dyadic_compiler::from_onnx::ImportOptions;
use dyadic_compiler::{CompileError, Options, compile};
use dyadic_runtime::{ElemType, IsaKind, Model, Session, TensorInfo};
use dyadic_tests::isas;

use crate::author::Net;
use crate::plain::Array;

pub fn options(import: ImportOptions) -> Options {
    Options { import, ..Options::default() }
}

pub fn compiled(file: &[u8], import: &ImportOptions) -> Model {
    let compiled = compile(file, &options(import.clone())).unwrap_or_else(|e| panic!("{e}"));
    Model::copy_of(&compiled.to_bytes()).expect("a valid file")
}

pub fn session(model: &Model, isa: IsaKind, threads: usize) -> Session {
    let options = dyadic_runtime::Options { threads, isa: Some(isa), ..Default::default() };
    Session::new(model.clone(), &options).expect("a session")
}

/// The report on a network that is not compiled.
pub fn refusal(net: &Net) -> CompileError {
    compile(&net.bytes(), &Options::default()).map(|_| ()).expect_err("a network that is refused")
}

pub fn encode(info: &TensorInfo, values: &[i64]) -> Vec<u8> {
    let width = width(info);
    values.iter().flat_map(|v| v.to_le_bytes().into_iter().take(width)).collect()
}

pub fn decode(info: &TensorInfo, bytes: &[u8]) -> Vec<i64> {
    let value = |chunk: &[u8]| {
        let bits = chunk.iter().rev().fold(0i64, |v, &b| v << 8 | i64::from(b));
        let unused = 64 - 8 * chunk.len();
        if info.elem == ElemType::U8 { bits } else { bits << unused >> unused }
    };
    bytes.chunks(width(info)).map(value).collect()
}

fn width(info: &TensorInfo) -> usize {
    match info.elem {
        ElemType::U8 | ElemType::S8 => 1,
        ElemType::S16 => 2,
        ElemType::S32 => 4,
        ElemType::U4 | ElemType::S4 => panic!("tensor '{}' is {}", info.name, info.elem.name()),
    }
}

/// Every output, which is the same wherever it is computed.
pub fn outputs_of(file: &[u8], import: &ImportOptions, inputs: &[&Array]) -> Vec<Array> {
    let model = compiled(file, import);
    let mut first: Option<Vec<Array>> = None;
    for isa in isas() {
        for threads in [1, 2, 3] {
            let mut session = session(&model, isa, threads);
            assert_eq!(inputs.len(), model.inputs().len());
            for (index, input) in inputs.iter().enumerate() {
                let info = &model.inputs()[index];
                assert_eq!(info.shape, input.shape, "input '{}'", info.name);
                session.input_mut(index).copy_from_slice(&encode(info, &input.data));
            }
            session.run().expect("a run");
            let output = |(i, info): (usize, &TensorInfo)| Array {
                shape: info.shape.clone(),
                data: decode(info, session.output(i)),
            };
            let found: Vec<Array> = model.outputs().iter().enumerate().map(output).collect();
            match &first {
                Some(first) => assert!(found == *first, "{}, {threads} threads, differs", isa.name()),
                None => first = Some(found),
            }
        }
    }
    first.expect("an instruction set")
}

/// The outputs of a network on its own shapes.
pub fn outputs(net: &Net, inputs: &[&Array]) -> Vec<Array> {
    outputs_of(&net.bytes(), &ImportOptions::default(), inputs)
}

/// Demands the outputs.
pub fn check(net: &Net, inputs: &[&Array], expected: &[&Array]) {
    let found = outputs(net, inputs);
    assert_eq!(found.len(), expected.len(), "outputs");
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_equal(&format!("output {i}"), found, expected);
    }
}

/// Fails with the count and the first place when values differ.
pub fn assert_equal(what: &str, found: &Array, expected: &Array) {
    assert_eq!(found.shape, expected.shape, "{what}: shape");
    let differing: Vec<usize> =
        (0..found.data.len()).filter(|&i| found.data[i] != expected.data[i]).collect();
    if let Some(&first) = differing.first() {
        let (got, want) = (found.data[first], expected.data[first]);
        let of = found.data.len();
        panic!(
            "{what}: {} of {of} elements differ; element {first} is {got}, expected {want}",
            differing.len()
        );
    }
}
