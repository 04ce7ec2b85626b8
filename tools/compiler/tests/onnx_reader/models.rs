//! Published networks, where `DYADIC_MODELS` says that they are.

use std::io::Write;
use std::path::{Path, PathBuf};

use dyadic_compiler::import::onnx::{DataType, Extent, OnnxModel, read};

use crate::assert_sound;

/// Every `.onnx` file there; `None` (and a line that says so) where there is no folder.
pub fn model_files() -> Option<Vec<PathBuf>> {
    let Some(folder) = std::env::var_os("DYADIC_MODELS").filter(|f| !f.is_empty()).map(PathBuf::from) else {
        // The macros that print are captured by the test harness; this is not.
        let line = writeln!(
            std::io::stderr(),
            "left out: reading published ONNX networks, because DYADIC_MODELS is not set"
        );
        line.expect("standard error");
        return None;
    };
    let mut files: Vec<PathBuf> = ["float", "lowbit"]
        .iter()
        .flat_map(|part| std::fs::read_dir(folder.join(part)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|file| file.extension().is_some_and(|end| end == "onnx"))
        .collect();
    files.sort();
    Some(files)
}

fn read_file(path: &Path) -> OnnxModel {
    read(&std::fs::read(path).unwrap(), path.parent())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Counts of nodes, constants and bytes of constants, as the `onnx` Python package states them.
const CATALOGUE: &[(&str, usize, usize, usize)] = &[
    ("float/efficientnet_lite0_224_float.onnx", 94, 102, 18524008),
    ("float/gtsrb_cnn_float.onnx", 16, 12, 784680),
    ("float/kws_float.onnx", 21, 20, 90416),
    ("float/resnet8_float.onnx", 23, 20, 310824),
    ("float/vww_96_float.onnx", 58, 56, 843400),
    ("lowbit/gtsrb_mbv2mini_w4a8_float.onnx", 44, 48, 292020),
    ("lowbit/gtsrb_mbv2mini_w4a8_qdq.onnx", 145, 250, 73396),
    ("lowbit/gtsrb_resnet8_w4a4_float.onnx", 22, 20, 182380),
    ("lowbit/gtsrb_resnet8_w4a4_qdq.onnx", 69, 114, 28328),
];

#[test]
fn every_published_file_is_read() {
    let Some(files) = model_files() else { return };
    assert!(files.len() >= CATALOGUE.len(), "{files:?}");
    for file in &files {
        let model = read_file(file);
        assert_sound(&model);
        assert!(model.nodes.iter().enumerate().all(|(place, node)| node.index == place), "already in order");
        assert!(model.external.is_empty() && model.domains.is_empty());
        let input = &model.inputs[0];
        assert_eq!(model.inputs.len(), 1);
        assert!(matches!(input.elem, Some(DataType::Float | DataType::Uint8)));
        assert!(input.shape.as_ref().unwrap()[1..].iter().all(|extent| matches!(extent, Extent::Fixed(1..))));
    }
    for &(name, nodes, constants, bytes) in CATALOGUE {
        let file = files.iter().find(|file| file.ends_with(name)).expect(name);
        let model = read_file(file);
        let found: usize = model.constants.values().map(|tensor| tensor.data.len()).sum();
        assert_eq!((model.nodes.len(), model.constants.len(), found), (nodes, constants, bytes), "{name}");
    }
}
