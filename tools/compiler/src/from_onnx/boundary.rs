//! Outputs of the network: real numbers are given as the codes that stand for them.

use std::collections::HashSet;

use super::reals::RealId;
use super::{Value, Walk};
use crate::import::onnx::{DataType, OnnxModel};
use crate::unsupported::{CutError, Unsupported};

impl Walk<'_> {
    /// The tensors that the caller gets. What a refused node makes is not reported again.
    pub(super) fn outputs(&mut self) -> Vec<RealId> {
        let mut outputs = Vec::new();
        for output in &self.model.outputs {
            let problem = match self.values.get(output.name.as_str()) {
                Some(&(Value::Real(real) | Value::Codes(real))) => {
                    if matches!(output.elem, Some(DataType::Float | DataType::Float16 | DataType::Double)) {
                        self.notes.push(format!(
                            "float output '{}' left out: the network gives the integers that stand for it",
                            output.name
                        ));
                    }
                    outputs.push(real);
                    continue;
                }
                Some(Value::Refused) => continue,
                Some(Value::Constant(_) | Value::Quantized(_)) => "is a constant, which needs no network",
                None => "is made by no node",
            };
            self.problems.push(Unsupported {
                position: None,
                operator: "output".to_string(),
                elem: output.elem.map_or_else(String::new, |e| e.to_string()),
                tensor: output.name.clone(),
                reason: format!("this output {problem}"),
                remedy: "leave it out of the source network's outputs".to_string(),
            });
        }
        outputs
    }
}

/// A network whose outputs are all made of constants.
pub(super) fn no_input() -> Unsupported {
    Unsupported {
        position: None,
        operator: "input".to_string(),
        elem: String::new(),
        tensor: String::new(),
        reason: "no node reads an input of the network".to_string(),
        remedy: "check that the file is the network that was meant, and the tensors of --cut-at".to_string(),
    }
}

/// Makes the named values the outputs (an empty list keeps the network's own), then drops every node that no output
/// needs.
///
/// # Errors
/// When a name is not that of a node's output.
pub fn cut(model: &mut OnnxModel, names: &[String]) -> Result<(), CutError> {
    if !names.is_empty() {
        let made: HashSet<&str> = model
            .nodes
            .iter()
            .flat_map(|n| n.outputs.iter().map(String::as_str))
            .filter(|o| !o.is_empty())
            .collect();
        if let Some(name) = names.iter().find(|n| !made.contains(n.as_str())) {
            let close = |o: &&str| o.contains(name.as_str()) || name.contains(*o);
            let mut similar: Vec<String> = made.into_iter().filter(close).map(str::to_string).collect();
            similar.sort_unstable();
            similar.truncate(5);
            return Err(CutError { name: name.clone(), similar });
        }
        model.outputs = names
            .iter()
            .map(|name| {
                let stated =
                    model.outputs.iter().find(|o| o.name == *name).or_else(|| model.values.get(name));
                stated.cloned().unwrap_or(crate::import::onnx::ValueInfo {
                    name: name.clone(),
                    elem: None,
                    shape: None,
                })
            })
            .collect();
    }
    let mut needed: HashSet<String> = model.outputs.iter().map(|o| o.name.clone()).collect();
    let mut keep = vec![false; model.nodes.len()];
    for (i, node) in model.nodes.iter().enumerate().rev() {
        keep[i] = node.outputs.iter().any(|o| needed.contains(o));
        if keep[i] {
            needed.extend(node.inputs.iter().cloned());
        }
    }
    let mut kept = keep.into_iter();
    model.nodes.retain(|_| kept.next().unwrap_or(true));
    if !names.is_empty() {
        model.inputs.retain(|i| needed.contains(&i.name));
    }
    Ok(())
}
