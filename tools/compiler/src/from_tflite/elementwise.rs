//! ADD, SUB and MUL.

use dyadic_kernels::params::Dims;

use super::activation::fused;
use super::{Lowered, Lowering, refuse};
use crate::import::tflite::{OpCode, Operator, Options};
use crate::ir::Op;

impl Lowering<'_> {
    pub(super) fn elementwise(&mut self, operator: &Operator) -> Lowered {
        let op = match &operator.options {
            Options::Add(o) | Options::Sub(o) => {
                Op::Add { activation: fused(o.activation)?, subtract: operator.code == OpCode::Sub }
            }
            Options::Mul { activation } => Op::Mul { activation: fused(*activation)? },
            _ => return refuse("options of another operator"),
        };
        let inputs = vec![self.input(operator, 0)?, self.input(operator, 1)?];
        let output = self.output(operator)?;
        let dims = |id: usize| Dims::new(&self.graph.tensors[id].shape);
        let broadcasts = match (dims(inputs[0]), dims(inputs[1]), dims(output)) {
            (Some(a), Some(b), Some(out)) => {
                a.broadcast_strides(&out).is_some() && b.broadcast_strides(&out).is_some()
            }
            _ => false,
        };
        if !broadcasts {
            let shapes = [inputs[0], inputs[1], output].map(|id| self.graph.tensors[id].shape.clone());
            return refuse(format!(
                "shapes {:?} and {:?} do not broadcast to {:?}",
                shapes[0], shapes[1], shapes[2]
            ));
        }
        let types = [inputs[0], inputs[1], output].map(|id| self.graph.tensors[id].elem);
        if types[0] != types[2] || types[1] != types[2] {
            return refuse("inputs and output have different types");
        }
        self.push(operator, op, inputs, output);
        Ok(())
    }
}
