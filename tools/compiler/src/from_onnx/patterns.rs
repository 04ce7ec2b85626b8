//! Functions that exporters write as several nodes: the hard swish, the swish and the Gelu of their parts.
//!
//! A pattern is replaced only where its inner values have no other reader, so nothing but its last value is computed.

use std::collections::HashMap;

use super::constant;
use crate::import::onnx::{Attribute, Node, OnnxModel};

/// Replaces every pattern by the one node that it stands for.
pub(super) fn replace(model: &mut OnnxModel) {
    let mut readers: HashMap<String, usize> = HashMap::new();
    let read = model.nodes.iter().flat_map(|n| n.inputs.iter());
    for name in read.chain(model.outputs.iter().map(|o| &o.name)) {
        *readers.entry(name.clone()).or_insert(0) += 1;
    }
    let makers: HashMap<String, usize> = model
        .nodes
        .iter()
        .enumerate()
        .flat_map(|(i, n)| n.outputs.iter().map(move |o| (o.clone(), i)))
        .collect();
    let graph = Parts { model, readers, makers };
    let found: Vec<(usize, Node)> = (0..graph.model.nodes.len())
        .filter_map(|i| Some((i, graph.hard_swish(i).or_else(|| graph.swish(i)).or_else(|| graph.gelu(i))?)))
        .collect();
    // The inner nodes stay without a reader; the cut that follows drops them.
    for (i, node) in found {
        model.nodes[i] = node;
    }
}

struct Parts<'m> {
    model: &'m OnnxModel,
    readers: HashMap<String, usize>,
    makers: HashMap<String, usize>,
}

impl<'m> Parts<'m> {
    /// The node that makes a value which only one other node reads.
    fn inner(&self, name: &str, op: &str) -> Option<&'m Node> {
        let node = &self.model.nodes[*self.makers.get(name)?];
        (node.op == op && self.readers.get(name) == Some(&1)).then_some(node)
    }

    /// A constant of one element.
    fn scalar(&self, name: &str) -> Option<f64> {
        let tensor = match self.model.constants.get(name) {
            Some(tensor) => tensor,
            None => match self.model.nodes[*self.makers.get(name)?].attributes.get("value") {
                Some(Attribute::Tensor(tensor)) => tensor,
                _ => return None,
            },
        };
        match constant::reals(tensor).ok()?.as_slice() {
            &[value] => Some(value),
            _ => None,
        }
    }

    /// The other input of a node of two, one of which is a scalar near `value`.
    fn with_scalar(&self, node: &'m Node, value: f64) -> Option<&'m str> {
        let [a, b] = node.inputs.as_slice() else { return None };
        let near = |name: &str| self.scalar(name).is_some_and(|v| (v / value - 1.0).abs() < 1e-4);
        match (near(a), near(b)) {
            (false, true) => Some(a),
            (true, false) if node.op != "Div" => Some(b),
            _ => None,
        }
    }

    /// `x` of an inner `x * factor` or `x / (1 / factor)`.
    fn scaled(&self, node: &'m Node, factor: f64) -> Option<&'m str> {
        match node.op.as_str() {
            "Mul" => self.with_scalar(node, factor),
            "Div" => self.with_scalar(node, 1.0 / factor),
            _ => None,
        }
    }

    /// `x` of an inner `clip(x + 3, 0, 6)`.
    fn shifted_relu6(&self, name: &str) -> Option<&'m str> {
        let clip = self.inner(name, "Clip")?;
        let limit = |i: usize, attribute: &str| match (clip.inputs.get(i), clip.attributes.get(attribute)) {
            (Some(name), _) if !name.is_empty() => self.scalar(name),
            (_, Some(Attribute::Float(value))) => Some(f64::from(*value)),
            _ => None,
        };
        if limit(1, "min") != Some(0.0) || limit(2, "max") != Some(6.0) {
            return None;
        }
        self.with_scalar(self.inner(&clip.inputs[0], "Add")?, 3.0)
    }

    /// `x` of an inner `clip(x + 3, 0, 6) / 6`, or a HardSigmoid of that slope.
    fn gate(&self, name: &str) -> Option<&'m str> {
        if let Some(node) = self.inner(name, "HardSigmoid") {
            let near = |attribute: &str, default: f32, wanted: f32| {
                let value = match node.attributes.get(attribute) {
                    Some(Attribute::Float(value)) => *value,
                    _ => default,
                };
                (value - wanted).abs() < 1e-5
            };
            let slope = near("alpha", 0.2, 1.0 / 6.0) && near("beta", 0.5, 0.5);
            return slope.then(|| node.inputs.first().map(String::as_str)).flatten();
        }
        let node = self.inner(name, "Mul").or_else(|| self.inner(name, "Div"))?;
        self.shifted_relu6(self.scaled(node, 1.0 / 6.0)?)
    }

    /// `x * gate(x)`, or `x * clip(x + 3, 0, 6)` divided by 6 afterwards.
    fn hard_swish(&self, index: usize) -> Option<Node> {
        let node = &self.model.nodes[index];
        let x = match node.op.as_str() {
            "Mul" => self.product_with(node, |name| self.gate(name)),
            _ => None,
        };
        let x = x.or_else(|| {
            let product = self.inner(self.scaled(node, 1.0 / 6.0)?, "Mul")?;
            self.product_with(product, |name| self.shifted_relu6(name))
        })?;
        Some(instead(node, "HardSwish", x))
    }

    /// `x * sigmoid(x)`.
    fn swish(&self, index: usize) -> Option<Node> {
        let node = &self.model.nodes[index];
        let gate = |name: &str| self.inner(name, "Sigmoid")?.inputs.first().map(String::as_str);
        let x = (node.op == "Mul").then(|| self.product_with(node, gate)).flatten()?;
        Some(instead(node, "Swish", x))
    }

    /// `x` of `x * f(x)`.
    fn product_with(&self, node: &'m Node, f: impl Fn(&str) -> Option<&'m str>) -> Option<&'m str> {
        let [a, b] = node.inputs.as_slice() else { return None };
        let of = |x: &'m str, other: &str| f(other).filter(|&inner| inner == x);
        of(a, b).or_else(|| of(b, a))
    }

    /// `x * (erf(x / sqrt 2) + 1) * 1/2`, the factors in either order.
    fn gelu(&self, index: usize) -> Option<Node> {
        let node = &self.model.nodes[index];
        let late = self.scaled(node, 0.5).and_then(|product| {
            let product = self.inner(product, "Mul")?;
            self.product_with(product, |name| self.erf_gate(name))
        });
        let early = || {
            let [a, b] = node.inputs.as_slice() else { return None };
            let half = |x: &'m str, gate: &str| {
                let x = self.scaled(self.inner(x, "Mul")?, 0.5)?;
                self.erf_gate(gate).filter(|&inner| inner == x)
            };
            (node.op == "Mul").then(|| half(a, b).or_else(|| half(b, a))).flatten()
        };
        Some(instead(node, "Gelu", late.or_else(early)?))
    }

    /// `x` of an inner `erf(x / sqrt 2) + 1`.
    fn erf_gate(&self, name: &str) -> Option<&'m str> {
        let erf = self.with_scalar(self.inner(name, "Add")?, 1.0)?;
        let scaled = &self.inner(erf, "Erf")?.inputs[0];
        let node = self.inner(scaled, "Mul").or_else(|| self.inner(scaled, "Div"))?;
        self.scaled(node, std::f64::consts::FRAC_1_SQRT_2)
    }
}

/// A node of one input in the place of the last node of a pattern.
fn instead(node: &Node, op: &str, x: &str) -> Node {
    Node {
        op: op.to_string(),
        domain: String::new(),
        inputs: vec![x.to_string()],
        attributes: Default::default(),
        ..node.clone()
    }
}
