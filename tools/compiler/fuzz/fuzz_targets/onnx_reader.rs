//! Any bytes as an `.onnx` file: an answer, no panic, and what is accepted keeps its promises.
#![no_main]

use std::collections::HashSet;

use dyadic_compiler::import::onnx::{DataType, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let model = match read(bytes, None) {
        Ok(model) => model,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let mut made: HashSet<&str> = model.constants.keys().map(String::as_str).collect();
    for tensor in model.constants.values() {
        let bits = if let DataType::Other(_) = tensor.elem { 0 } else { tensor.elem.bits().unwrap() };
        assert_eq!(tensor.data.len(), (tensor.elements() * bits).div_ceil(8));
    }
    for input in &model.inputs {
        assert!(made.insert(&input.name));
    }
    for node in &model.nodes {
        assert!(node.inputs.iter().all(|name| name.is_empty() || made.contains(name.as_str())));
        for output in node.outputs.iter().filter(|name| !name.is_empty()) {
            assert!(made.insert(output));
        }
    }
    assert!(model.outputs.iter().all(|output| made.contains(output.name.as_str())));
});
