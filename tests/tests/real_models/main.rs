//! Real networks under the `tflite` contract: every output, and every layer where the reference kernels' layers were
//! kept, equals TFLite's reference kernels by value, on every instruction set of this CPU, with one thread and two.
//!
//! The networks lie in the folder that the environment variable `DYADIC_MODELS` names; without it the tests say that
//! they were left out. `DYADIC_ISA` restricts them to one instruction set.
#![forbid(unsafe_code)]

mod npy;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use dyadic_compiler::import::tflite;
use dyadic_compiler::quantize::Contract;
use dyadic_compiler::{CompileError, Options, compile};
use dyadic_runtime::{IsaKind, Model, Session};
use dyadic_tests::isas;
use npy::{assert_equal, decode, encode, integers};

/// How many of a network's cases run on the scalar reference, which takes seconds for hundreds of millions of
/// multiply-adds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scalar {
    All,
    First,
    /// Thousands of millions.
    None,
}

/// A folder of one network, or `None`, said aloud, when there are no real models.
fn network(name: &str) -> Option<PathBuf> {
    let models = dyadic_tests::real_models()?;
    let folder = models.join("tflite").join(name);
    assert!(folder.join("model.tflite").is_file(), "{} holds no model.tflite", folder.display());
    Some(folder)
}

fn options() -> Options {
    Options { contract: Contract::Tflite, ..Options::default() }
}

/// Compiles twice: the same bytes both times.
fn compiled(folder: &Path, options: &Options) -> Model {
    let source = fs::read(folder.join("model.tflite")).expect("a readable network");
    let compile = || compile(&source, options).unwrap_or_else(|e| panic!("{e}")).to_bytes();
    let bytes = compile();
    assert!(bytes == compile(), "two compilations of one network differ");
    Model::copy_of(&bytes).expect("a valid file")
}

fn session(model: &Model, isa: IsaKind, threads: usize) -> Session {
    let options = dyadic_runtime::Options { threads, isa: Some(isa), ..Default::default() };
    Session::new(model.clone(), &options).expect("a session")
}

fn cases(folder: &Path) -> usize {
    let count = (0..).take_while(|case| folder.join(format!("in_{case}_0.npy")).is_file()).count();
    assert!(count > 0, "{} holds no case", folder.display());
    count
}

fn feed(session: &mut Session, folder: &Path, case: usize) {
    for index in 0..session.model().inputs().len() {
        let info = session.model().inputs()[index].clone();
        let values = integers(&folder.join(format!("in_{case}_{index}.npy")));
        session.input_mut(index).copy_from_slice(&encode(&info, &values));
    }
}

fn equals_reference_kernels(name: &str, scalar: Scalar) {
    let Some(folder) = network(name) else { return };
    let model = compiled(&folder, &options());
    for isa in isas() {
        let cases = match (isa, scalar) {
            (IsaKind::Reference, Scalar::None) => 0,
            (IsaKind::Reference, Scalar::First) => 1,
            _ => cases(&folder),
        };
        for threads in [1, 2, 3] {
            // The scalar code is the same for every number of threads; the cheap networks show it.
            if isa == IsaKind::Reference && threads > 1 && scalar != Scalar::All {
                continue;
            }
            let mut session = session(&model, isa, threads);
            for case in 0..cases {
                feed(&mut session, &folder, case);
                session.run().expect("a run");
                for (index, info) in model.outputs().iter().enumerate() {
                    let what =
                        format!("{name}, case {case}, output {index}, {}, {threads} threads", isa.name());
                    let expected = integers(&folder.join(format!("ref_{case}_{index}.npy")));
                    assert_equal(&what, &decode(info, session.output(index)), &expected);
                }
            }
        }
        if cases > 0 && folder.join("layers").is_dir() {
            equals_layers(name, &folder, &model, isa);
        }
    }
}

/// Source tensors that no step makes, by network: kind of operator, how many, and why.
const FOLDED: [(&str, &str, usize, &str); 1] = [(
    "ssd_slim_int8",
    "PAD",
    12,
    "the only taker is a convolution, which reads the padding beyond the edge itself",
)];

/// Every tensor that an operator of the source makes, case 0, found here under its name.
fn equals_layers(name: &str, folder: &Path, model: &Model, isa: IsaKind) {
    let text = fs::read_to_string(folder.join("layers/index.json")).expect("an index of layers");
    let index: serde_json::Value = serde_json::from_str(&text).expect("an index of layers");
    let layers = index.as_array().expect("a list of layers");
    let mut session = session(model, isa, 1);
    let outputs: Vec<_> =
        session.steps().iter().map(|step| model.tensor(step.output).expect("a tensor of the file")).collect();
    feed(&mut session, folder, 0);
    let mut compared = BTreeSet::new();
    session
        .run_observed(&mut |step, bytes| {
            let info = &outputs[step];
            for layer in layers.iter().filter(|layer| layer["name"] == info.name.as_str()) {
                let tensor = layer["tensor"].as_u64().expect("a tensor number");
                let expected = integers(&folder.join(format!("layers/{tensor:03}.npy")));
                let what = format!("{name}, tensor {tensor} '{}', {}", info.name, isa.name());
                assert_equal(&what, &decode(info, bytes), &expected);
                compared.insert(tensor);
            }
        })
        .expect("a run");
    let tensor = |layer: &serde_json::Value| layer["tensor"].as_u64().expect("a tensor number");
    let missing: Vec<_> = layers.iter().filter(|layer| !compared.contains(&tensor(layer))).collect();
    let (kind, folded) =
        FOLDED.iter().find(|f| f.0 == name).map_or(("", 0), |&(_, kind, count, _)| (kind, count));
    for layer in &missing {
        assert_eq!(layer["kind"], kind, "{name}: no step makes '{}'", layer["name"]);
    }
    assert_eq!(missing.len(), folded, "{name}: tensors folded away");
    assert_eq!(compared.len() + folded, layers.len());
}

macro_rules! networks {
    ($($test:ident: $name:literal, $scalar:ident;)*) => {
        $(#[test]
        fn $test() {
            equals_reference_kernels($name, Scalar::$scalar);
        })*
    };
}

networks! {
    deeplab_cityscapes_uint8: "deeplab_cityscapes_uint8", None;
    deeplab_dm05_uint8: "deeplab_dm05_uint8", First;
    gtsrb_cnn_int8: "gtsrb_cnn_int8", All;
    hello_world_int8: "hello_world_int8", All;
    kws_int8: "kws_int8", All;
    mobilenet_v1_uint8: "mobilenet_v1_0.25_128_uint8", All;
    mobilenet_v2_int8: "mobilenet_v2_1.0_224_int8", First;
    mobilenet_v2_uint8: "mobilenet_v2_1.0_224_uint8", First;
    mobilenet_v2_nchw_int8: "mobilenet_v2_nchw_int8", First;
    person_detect_int8: "person_detect_int8", All;
    resnet8_int8: "resnet8_int8", All;
    resnet8_large_w4a8: "resnet8_large_w4a8", All;
    ssd_slim_int8: "ssd_slim_int8", All;
    vww_96_int8: "vww_96_int8", All;
}

/// One report names everything that is not supported; the part before it compiles with the tensors that the rest
/// would have taken as its outputs. Gives the folder and the compiled part.
fn supported_part(name: &str, refused: &[&str]) -> Option<(PathBuf, Model)> {
    let folder = network(name)?;
    let source = fs::read(folder.join("model.tflite")).expect("a readable network");
    let Err(CompileError::Unsupported { problems, operators }) = compile(&source, &options()) else {
        panic!("{name} was not refused as unsupported");
    };
    let whole = tflite::read(&source).expect("a valid network");
    assert_eq!(operators, whole.operators.len());
    for kind in refused {
        assert!(problems.iter().any(|p| p.operator == *kind), "{name}: {kind} is not in the report");
    }
    for problem in &problems {
        let position = problem.position.expect("a problem of an operator");
        assert_eq!(whole.operators[position].code.to_string(), problem.operator);
        assert!(!problem.remedy.is_empty());
    }
    let first = problems.iter().filter_map(|p| p.position).min().expect("a problem of an operator");
    let (before, rest) = whole.operators.split_at(first);
    let taken: BTreeSet<usize> = rest.iter().flat_map(|o| o.inputs.iter().flatten().copied()).collect();
    let cut_at: Vec<String> = before
        .iter()
        .flat_map(|o| o.outputs.iter().copied())
        .filter(|t| taken.contains(t) || whole.outputs.contains(t))
        .map(|t| whole.tensors[t].name.clone())
        .collect();
    assert!(!cut_at.is_empty());
    let model = compiled(&folder, &Options { cut_at: cut_at.clone(), ..options() });
    let outputs: Vec<&str> = model.outputs().iter().map(|o| o.name.as_str()).collect();
    assert_eq!(outputs, cut_at);
    // The default contract takes the same part.
    compiled(&folder, &Options { contract: Contract::Dyadic, cut_at, ..options() });
    Some((folder, model))
}

#[test]
fn movenet_lightning_int8_up_to_its_floats() {
    let Some((folder, model)) = supported_part("movenet_lightning_int8", &["SQRT", "DIV", "GATHER_ND"])
    else {
        return;
    };
    let run = |isa| {
        let mut session = session(&model, isa, 1);
        feed(&mut session, &folder, 0);
        session.run().expect("a run");
        (0..model.outputs().len()).map(|i| session.output(i).to_vec()).collect::<Vec<_>>()
    };
    // No oracle ends here, so the instruction sets are each other's.
    let expected = run(IsaKind::Portable);
    for isa in isas() {
        assert!(run(isa) == expected, "{} differs from portable", isa.name());
    }
}

/// The recurrent state is quantized and comes before the unsupported operator, so it has an oracle.
#[test]
fn traffic_ssd_lstm_uint8_up_to_its_detections() {
    let refused = ["CUSTOM:TFLite_Detection_PostProcess"];
    let Some((folder, model)) = supported_part("traffic_ssd_lstm_uint8", &refused) else { return };
    let state = [("raw_outputs/lstm_c", 4), ("raw_outputs/lstm_h", 5)];
    for isa in isas() {
        let cases = if isa == IsaKind::Reference { 1 } else { cases(&folder) };
        let mut session = session(&model, isa, 2);
        for case in 0..cases {
            feed(&mut session, &folder, case);
            session.run().expect("a run");
            for (name, output) in state {
                let index = model.outputs().iter().position(|o| o.name == name).expect("the state");
                let expected = integers(&folder.join(format!("ref_{case}_{output}.npy")));
                let what = format!("{name}, case {case}, {}", isa.name());
                assert_equal(&what, &decode(&model.outputs()[index], session.output(index)), &expected);
            }
        }
    }
}
