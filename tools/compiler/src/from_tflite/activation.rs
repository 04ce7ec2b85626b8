//! One-input functions, quantization boundaries, softmax and argmax.

use dyadic_kernels::ElemType;

use super::{Lowered, Lowering, axis, integers, refuse, shape};
use crate::import::tflite::{self, OpCode, Operator, Options};
use crate::ir::{Activation, Function, Op, Tensor};

/// A fused activation.
pub(super) fn fused(activation: tflite::Activation) -> Lowered<Activation> {
    match activation {
        tflite::Activation::None => Ok(Activation::None),
        tflite::Activation::Relu => Ok(Activation::Relu),
        tflite::Activation::Relu6 => Ok(Activation::Relu6),
        tflite::Activation::ReluN1To1 => Ok(Activation::ReluN1To1),
        tflite::Activation::Tanh | tflite::Activation::SignBit => {
            refuse(format!("the fused activation {activation:?} has no integer form"))
        }
    }
}

impl Lowering<'_> {
    pub(super) fn unary(&mut self, operator: &Operator) -> Lowered {
        let function = match (&operator.code, &operator.options) {
            (OpCode::Relu, _) => Function::Clamp(Activation::Relu),
            (OpCode::Relu6, _) => Function::Clamp(Activation::Relu6),
            (OpCode::ReluN1To1, _) => Function::Clamp(Activation::ReluN1To1),
            (OpCode::Logistic, _) => Function::Logistic,
            (OpCode::Tanh, _) => Function::Tanh,
            (OpCode::HardSwish, _) => Function::HardSwish,
            (OpCode::LeakyRelu, Options::LeakyRelu { alpha }) => Function::LeakyRelu { alpha: *alpha },
            _ => return refuse("options of another operator"),
        };
        self.function(operator, function)
    }

    fn function(&mut self, operator: &Operator, function: Function) -> Lowered {
        let (input, output) = (self.input(operator, 0)?, self.output(operator)?);
        let expected = self.graph.tensors[input].shape.clone();
        super::expect_shape(&self.graph.tensors[output], &expected)?;
        self.push(operator, Op::Unary(function), vec![input], output);
        Ok(())
    }

    /// QUANTIZE between integers is a rescale. At the edge of the network a QUANTIZE of a float input and a DEQUANTIZE
    /// of an output are left out: the caller feeds and gets the quantized tensors.
    pub(super) fn boundary(&mut self, operator: &Operator) -> Lowered {
        let (from, to) = (self.source(operator, 0)?, operator.outputs[0]);
        if operator.code == OpCode::Quantize {
            if self.tensors[to].is_some() {
                return Ok(());
            }
            let whole = from.elem == tflite::ElemType::Float32 && self.tensors[from.index].is_some();
            return self.function(operator, if whole { Function::Quantize } else { Function::Rescale });
        }
        let read = self.model.operators.iter().any(|o| o.inputs.contains(&Some(to)));
        if read || !self.model.outputs.contains(&to) {
            return super::refuse_with(
                "floats in the middle of the network",
                "keep the whole network quantized, or cut it before this operator with --cut-at",
            );
        }
        let inner = self.input(operator, 0)?;
        self.tensors[to] = Some(inner);
        self.notes.push(format!("float output left out: the network gives '{}' instead", from.name));
        Ok(())
    }

    /// A CAST of 8-bit whole numbers to float that only QUANTIZE reads: the numbers are codes of scale 1.
    pub(super) fn cast(&mut self, operator: &Operator) -> Lowered {
        let (from, to) = (self.source(operator, 0)?, operator.outputs[0]);
        let readers = self.model.operators.iter().filter(|o| o.inputs.contains(&Some(to)));
        let only_quantize = readers.map(|o| &o.code).all(|c| *c == OpCode::Quantize);
        let float = self.model.tensors[to].elem == tflite::ElemType::Float32;
        if !(float && only_quantize) || self.model.outputs.contains(&to) || from.data.is_some() {
            return super::no_form();
        }
        let inner = self.whole_numbers(from.index)?;
        self.tensors[to] = Some(inner);
        Ok(())
    }

    /// SOFTMAX and ARG_MAX.
    pub(super) fn last(&mut self, operator: &Operator) -> Lowered {
        let input = self.input(operator, 0)?;
        match &operator.options {
            Options::Softmax { beta } => {
                let output = self.output(operator)?;
                let to = &self.graph.tensors[output];
                let unit = to.scale() == 1.0 / 256.0;
                if to.zero_point != to.elem.min() || (to.elem == ElemType::S8 && !unit) {
                    return refuse(
                        "the output of SOFTMAX must have scale 1/256 and the lowest code as zero point",
                    );
                }
                let from = &self.graph.tensors[input];
                super::expect_shape(to, &from.shape)?;
                if from.shape.last().is_none_or(|&depth| depth > 4095) {
                    return refuse(format!(
                        "SOFTMAX over {:?}, expected at most 4095 values",
                        from.shape.last()
                    ));
                }
                if to.elem != self.graph.tensors[input].elem {
                    return refuse("SOFTMAX between different types");
                }
                self.push(operator, Op::Softmax { beta: *beta }, vec![input], output);
            }
            Options::ArgMinMax { .. } if operator.code == OpCode::ArgMax => {
                let from = &self.graph.tensors[input];
                let axis_list = integers(self.source(operator, 1)?)?;
                let &[value] = axis_list.as_slice() else { return refuse("ARG_MAX over several axes") };
                let axis = axis(value, from.shape.len())?;
                let mut expected = from.shape.clone();
                expected.remove(axis);
                let source = &self.model.tensors[operator.outputs[0]];
                let tensor = Tensor {
                    name: source.name.clone(),
                    shape: shape(source)?,
                    elem: ElemType::S32,
                    zero_point: 0,
                    scales: Vec::new(),
                    codes: None,
                    data: None,
                };
                super::expect_shape(&tensor, &expected)?;
                let output = self.graph.add(tensor);
                self.tensors[operator.outputs[0]] = Some(output);
                self.push(operator, Op::ArgMax { axis }, vec![input], output);
            }
            _ => return refuse("options of another operator"),
        }
        Ok(())
    }
}
