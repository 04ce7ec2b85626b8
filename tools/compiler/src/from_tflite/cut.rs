//! `--cut-at`: a network up to given tensors, and without what its outputs do not need.

use crate::import::tflite::{OpCode, TfliteModel};
use crate::unsupported::CutError;

/// Makes the named tensors the outputs (an empty list keeps the network's own), then drops every operator that no
/// output needs.
///
/// # Errors
/// When a name is not that of an operator's output.
pub fn cut(model: &mut TfliteModel, names: &[String]) -> Result<(), CutError> {
    if !names.is_empty() {
        model.outputs = names.iter().map(|name| find(model, name)).collect::<Result<_, _>>()?;
    }
    let mut needed = vec![false; model.tensors.len()];
    for &output in &model.outputs {
        needed[output] = true;
    }
    let mut keep = vec![false; model.operators.len()];
    for (i, operator) in model.operators.iter().enumerate().rev() {
        keep[i] = operator.outputs.iter().any(|&o| needed[o]);
        if keep[i] {
            let read = operator.inputs.iter().take(operands_read(&operator.code));
            read.flatten().for_each(|&input| needed[input] = true);
        }
    }
    let mut kept = keep.iter();
    model.operators.retain(|_| *kept.next().unwrap_or(&true));
    if !names.is_empty() {
        model.inputs.retain(|&input| needed[input]);
    }
    Ok(())
}

/// How many of its operands lowering reads. The shape of a RESHAPE and its like follows from the output's stated shape:
/// what computes it at run time, for a batch that was dynamic once, is not needed.
fn operands_read(code: &OpCode) -> usize {
    match code {
        OpCode::Reshape | OpCode::Squeeze | OpCode::ExpandDims => 1,
        OpCode::ResizeBilinear | OpCode::ResizeNearestNeighbor => 1,
        _ => usize::MAX,
    }
}

fn find(model: &TfliteModel, name: &str) -> Result<usize, CutError> {
    let made = || model.operators.iter().flat_map(|o| o.outputs.iter().copied());
    let exact = made().find(|&t| model.tensors[t].name == name);
    exact.ok_or_else(|| CutError {
        name: name.to_string(),
        similar: made()
            .map(|t| model.tensors[t].name.clone())
            .filter(|n| n.contains(name) || (!n.is_empty() && name.contains(n.as_str())))
            .take(5)
            .collect(),
    })
}
