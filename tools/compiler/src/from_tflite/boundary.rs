//! Inputs and outputs of the network: float edges are left out, the caller feeds and gets the quantized tensors.

use dyadic_kernels::ElemType;

use super::{Lowered, Lowering, Refusal, Unsupported, no_form, refuse, shape};
use crate::import::tflite::{self, OpCode, Operator};
use crate::ir::{Node, Op, Tensor, TensorId};

impl<'m> Lowering<'m> {
    /// Quantized inputs become inputs; a float input that only a QUANTIZE reads is replaced by that one's output.
    pub(super) fn inputs(&mut self) {
        for &input in &self.model.inputs {
            let source = &self.model.tensors[input];
            let quantized = matches!(source.elem, tflite::ElemType::Int8 | tflite::ElemType::UInt8);
            if !quantized && self.readers(input).next().is_none() {
                self.notes.push(format!("input '{}' left out: nothing reads it", source.name));
                continue;
            }
            let quantizers = self.boundary_quantizers(input);
            let result = match quantizers.as_slice() {
                [] if self.only_cast(input) => self.whole_numbers(input),
                [] => self.activation(input),
                outputs => self.quantized_form(source, outputs),
            };
            match result {
                Ok(id) => self.graph.inputs.push(id),
                Err(refusal) => self.boundary_problem(input, "input", refusal),
            }
        }
    }

    /// The operators that read a tensor.
    pub(super) fn readers(&self, tensor: usize) -> impl Iterator<Item = &'m Operator> + use<'m> {
        self.model.operators.iter().filter(move |o| o.inputs.contains(&Some(tensor)))
    }

    /// The one tensor that stands for a float input: what all its QUANTIZE readers make, which must be the same.
    fn quantized_form(&mut self, source: &tflite::Tensor, outputs: &[usize]) -> Lowered<TensorId> {
        let form = |t: usize| (self.model.tensors[t].elem, &self.model.tensors[t].quant);
        if outputs.iter().any(|&o| form(o) != form(outputs[0])) {
            return refuse("a float input that is quantized in several ways");
        }
        self.notes
            .push(format!("float input '{}' left out: the network takes its quantized form", source.name));
        let id = self.activation(outputs[0])?;
        outputs.iter().for_each(|&o| self.tensors[o] = Some(id));
        Ok(id)
    }

    /// Whether every reader of a tensor is a CAST.
    fn only_cast(&self, tensor: usize) -> bool {
        self.model.tensors[tensor].quant.is_none() && self.readers(tensor).all(|o| o.code == OpCode::Cast)
    }

    /// An 8-bit tensor without quantization, taken as whole numbers: scale 1, zero point 0.
    pub(super) fn whole_numbers(&mut self, index: usize) -> Lowered<TensorId> {
        let source = &self.model.tensors[index];
        // Codes of another scale are no whole numbers to the `dyadic` contract.
        if source.quant.as_ref().is_some_and(|q| q.scales != [1.0] || q.zero_points != [0]) {
            return refuse(format!("CAST of '{}', which has a scale of its own", source.name));
        }
        if let Some(id) = self.tensors[index].filter(|&id| self.graph.tensors[id].elem.bits() == 8) {
            return Ok(id);
        }
        let elem = match source.elem {
            tflite::ElemType::Int8 => ElemType::S8,
            tflite::ElemType::UInt8 => ElemType::U8,
            _ => return no_form(),
        };
        let tensor = Tensor {
            name: source.name.clone(),
            shape: shape(source)?,
            elem,
            zero_point: 0,
            scales: vec![1.0],
            codes: None,
            data: None,
        };
        let id = self.graph.add(tensor);
        self.tensors[index] = Some(id);
        Ok(id)
    }

    /// What the readers of a float graph input make, if all of them are QUANTIZE.
    fn boundary_quantizers(&self, input: usize) -> Vec<usize> {
        let float = self.model.tensors[input].elem == tflite::ElemType::Float32;
        if float && self.readers(input).all(|o| o.code == OpCode::Quantize) {
            self.readers(input).map(|o| o.outputs[0]).collect()
        } else {
            Vec::new()
        }
    }

    fn boundary_problem(&mut self, tensor: usize, what: &str, refusal: Refusal) {
        let tensor = &self.model.tensors[tensor];
        self.problems.push(Unsupported {
            position: None,
            operator: what.to_string(),
            elem: tensor.elem.to_string(),
            tensor: tensor.name.clone(),
            reason: refusal.reason,
            remedy: refusal.remedy,
        });
    }

    pub(super) fn outputs(&mut self) {
        for &output in &self.model.outputs {
            match self.tensors[output] {
                Some(id) if self.graph.tensors[id].data.is_none() => self.graph.outputs.push(id),
                None if self.model.tensors[output].data.is_none() => {
                    let unmade = refuse::<()>("this output is made by no supported operator").unwrap_err();
                    self.boundary_problem(output, "output", unmade);
                }
                // Anchors, for example: copied in every run.
                _ => match self.activation(output) {
                    Ok(id) => self.copied_constant(id),
                    Err(refusal) => self.boundary_problem(output, "output", refusal),
                },
            }
        }
    }

    fn copied_constant(&mut self, constant: TensorId) {
        let copy = Tensor { data: None, ..self.graph.tensors[constant].clone() };
        let sources = vec![format!("constant {}", copy.name)];
        let output = self.graph.add(copy);
        self.graph.nodes.push(Node { sources, op: Op::Reshape, inputs: vec![constant], output });
        self.graph.outputs.push(output);
    }
}
