//! `--cut-float-tail`: where a network ends in operators on real numbers that have no integer form, its outputs become
//! the last tensors that have one.

use std::collections::{HashMap, HashSet};

use super::reals::RealOp;
use super::{Value, Walk};

impl Walk<'_> {
    /// Names of the values at which the network has to end, in the order of its outputs.
    pub(super) fn integer_ends(&mut self) -> Vec<String> {
        let model = self.model;
        let makers: HashMap<&str, usize> = model
            .nodes
            .iter()
            .enumerate()
            .flat_map(|(i, n)| n.outputs.iter().map(move |o| (o.as_str(), i)))
            .collect();
        let fed: HashSet<&str> = model.inputs.iter().map(|i| i.name.as_str()).collect();
        let mut ends = Vec::new();
        let mut seen = HashSet::new();
        let mut todo: Vec<&str> = model.outputs.iter().rev().map(|o| o.name.as_str()).collect();
        while let Some(name) = todo.pop() {
            if !seen.insert(name) {
                continue;
            }
            if self.is_integer(name) {
                ends.push(name.to_string());
            } else if let Some(node) = makers.get(name).map(|&i| &model.nodes[i]) {
                // What the network is fed, and constants, are no ends.
                let computed = |i: &&String| {
                    matches!(
                        self.values.get(i.as_str()),
                        Some(Value::Real(_) | Value::Codes(_) | Value::Refused)
                    )
                };
                todo.extend(
                    node.inputs
                        .iter()
                        .rev()
                        .filter(|i| computed(i) && !fed.contains(i.as_str()))
                        .map(String::as_str),
                );
            }
        }
        ends
    }

    /// Whether a value has codes, or gets them from what is known.
    fn is_integer(&mut self, name: &str) -> bool {
        let Some(&(Value::Real(mut real) | Value::Codes(mut real))) = self.values.get(name) else {
            return false;
        };
        if self.reals.quant(real).is_some() {
            return true;
        }
        while let Some(producer) = self.reals.producer(real) {
            let input = producer.inputs.first().copied();
            match producer.op {
                RealOp::Function(_) | RealOp::PRelu { .. } | RealOp::Softmax { .. } | RealOp::Mul => {
                    return false;
                }
                RealOp::Conv(_) | RealOp::Add { .. } | RealOp::Mean { .. } | RealOp::AveragePool(_) => {
                    return true;
                }
                _ => {}
            }
            match input {
                Some(input) => real = input,
                None => return false,
            }
        }
        false
    }
}
