//! Published networks, where `DYADIC_MODELS` says that they are.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use dyadic_compiler::import::tflite::{ElemType, OpCode, TfliteModel, read};

use crate::assert_sound;

/// The folder of the models; `None` (and a line that says so) where there is none.
fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("DYADIC_MODELS").filter(|f| !f.is_empty()).map(PathBuf::from);
    if folder.is_none() {
        // The macros that print are captured by the test harness; this is not.
        let line = writeln!(
            std::io::stderr(),
            "left out: reading published networks, because DYADIC_MODELS is not set"
        );
        line.expect("standard error");
    }
    folder
}

/// Every `.tflite` file there.
pub fn model_files() -> Option<Vec<PathBuf>> {
    let folder = folder()?;
    let entries = |path: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    let mut files: Vec<PathBuf> =
        entries(&folder.join("tflite")).iter().map(|dir| dir.join("model.tflite")).collect();
    files.extend(
        entries(&folder.join("float"))
            .into_iter()
            .filter(|file| file.extension().is_some_and(|end| end == "tflite")),
    );
    files.sort();
    Some(files)
}

fn read_file(path: &Path) -> TfliteModel {
    read(&std::fs::read(path).unwrap()).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_published_file_is_read() {
    let Some(files) = model_files() else { return };
    assert!(files.len() >= 18, "{files:?}");
    for file in files {
        let model = read_file(&file);
        assert_sound(&model);
        assert_eq!(model.subgraph_count, 1);
        let unknown = model.operators.iter().find(|operator| matches!(operator.code, OpCode::Unknown(_)));
        assert_eq!(unknown, None, "{}", file.display());
    }
}

/// The table of the models' README names the operators of each file with their counts.
#[test]
fn operators_are_those_of_the_catalogue() {
    let Some(folder) = folder() else { return };
    let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let mut rows = 0;
    for line in readme.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let path = folder.join("tflite").join(cells.get(1).unwrap_or(&"")).join("model.tflite");
        if cells.len() < 8
            || cells[1].is_empty()
            || !path.exists()
            || !cells[6].starts_with(char::is_uppercase)
        {
            continue;
        }
        let Ok(bytes) = cells[2].parse::<u64>() else { continue };
        assert_eq!(std::fs::metadata(&path).unwrap().len(), bytes);
        let expected: BTreeMap<String, usize> = cells[6]
            .split(", ")
            .map(|item| item.rsplit_once(' ').unwrap())
            .map(|(name, count)| (name.to_owned(), count.parse().unwrap()))
            .collect();
        let mut found = BTreeMap::new();
        for operator in read_file(&path).operators {
            *found.entry(operator.code.to_string()).or_insert(0) += 1;
        }
        assert_eq!(found, expected, "{}", cells[1]);
        rows += 1;
    }
    assert!(rows >= 16, "only {rows} rows of the catalogue were understood");
}

/// `layers/index.json` of some models says what another reader found of every operator's output.
#[test]
fn names_shapes_and_scales_are_those_of_the_layer_dumps() {
    let Some(files) = model_files() else { return };
    let mut layers = 0;
    for file in files {
        let Ok(index) = std::fs::read_to_string(file.with_file_name("layers").join("index.json")) else {
            continue;
        };
        let model = read_file(&file);
        let index: serde_json::Value = serde_json::from_str(&index).unwrap();
        for layer in index.as_array().unwrap() {
            let at = layer["tensor"].as_u64().unwrap() as usize;
            let tensor = &model.tensors[at];
            let operator = &model.operators[layer["op"].as_u64().unwrap() as usize];
            assert_eq!(layer["name"].as_str().unwrap(), tensor.name);
            assert_eq!(layer["kind"].as_str().unwrap(), operator.code.to_string());
            assert!(operator.outputs.contains(&at));
            let shape: Vec<i64> =
                layer["shape"].as_array().unwrap().iter().map(|extent| extent.as_i64().unwrap()).collect();
            assert_eq!(shape, tensor.shape.iter().map(|&extent| i64::from(extent)).collect::<Vec<_>>());
            let elem = match layer["dtype"].as_str().unwrap() {
                "int8" => ElemType::Int8,
                "uint8" => ElemType::UInt8,
                other => panic!("{other}"),
            };
            assert_eq!(elem, tensor.elem);
            let quant = tensor.quant.as_ref().unwrap();
            assert_eq!(layer["scale"].as_f64().unwrap() as f32, quant.scales[0]);
            assert_eq!(layer["zero_point"].as_i64().unwrap(), quant.zero_points[0]);
            layers += 1;
        }
    }
    assert!(layers > 100, "{layers}");
}
