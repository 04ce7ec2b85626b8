//! What no rule computes: a node is refused here by name, before a file is made that would not load.

use dyadic_kernels::ElemType;

use super::{EmitError, Emitter, name};
use crate::ir::{Activation, Conv, Function, Node, Op, Tensor};
use crate::quantize::factors::follows;

type Judged = Result<(), String>;

fn demand(ok: bool, reason: impl FnOnce() -> String) -> Judged {
    if ok { Ok(()) } else { Err(reason()) }
}

impl Emitter<'_> {
    /// Refuses a node whose types no kernel takes, or that the contract has no rule for.
    pub(super) fn check_limits(&self, node: &Node) -> Result<(), EmitError> {
        let judged = match &node.op {
            Op::Conv(conv) => self.conv_limits(node, conv),
            Op::Mul { .. } => self.narrow_inputs(node),
            Op::Unary(function) => self.unary_limits(node, *function),
            _ => Ok(()),
        };
        judged.map_err(|reason| EmitError::Contract { node: name(node), reason })
    }

    /// Inputs of a product have 8 bits or fewer.
    fn narrow_inputs(&self, node: &Node) -> Judged {
        let wide = node.inputs.iter().map(|&t| self.ir(t)).find(|t| t.elem.bits() > 8);
        let reason = |t: &Tensor| format!("'{}' has type {}, products take 8 bits", t.name, t.elem.name());
        wide.map_or(Ok(()), |t| Err(reason(t)))
    }

    /// An s32 output is the accumulator: nothing clamps it, and one scale gives its real values.
    fn conv_limits(&self, node: &Node, conv: &Conv) -> Judged {
        self.narrow_inputs(node)?;
        let (from, weights, to) = (self.ir(node.inputs[0]), self.ir(node.inputs[1]), self.ir(node.output));
        if to.elem != ElemType::S32 {
            return Ok(());
        }
        demand(conv.activation == Activation::None, || "an s32 output has no fused activation".to_string())?;
        demand(to.scales.len() == 1 && to.zero_point == 0, || {
            format!("the s32 output '{}' needs one scale and the zero point 0", to.name)
        })?;
        let wrong = weights.scales.iter().find(|&&scale| !follows(from.scale(), scale, to.scale()));
        wrong.map_or(Ok(()), |scale| {
            Err(format!(
                "the s32 output '{}' has scale {:e}, input and weights give {:e}: raw accumulators have one scale for \
                 all channels",
                to.name,
                to.scale(),
                f64::from(from.scale()) * f64::from(*scale)
            ))
        })
    }

    /// Functions are tables of bytes; other types are only rescaled and clamped, to 16 bits or fewer.
    fn unary_limits(&self, node: &Node, function: Function) -> Judged {
        let (from, to) = (self.ir(node.inputs[0]), self.ir(node.output));
        if from.elem.bits() == 8 && to.elem.bits() == 8 {
            return Ok(());
        }
        let types = || format!("{} to {}", from.elem.name(), to.elem.name());
        let rescales = matches!(function, Function::Rescale | Function::Clamp(_));
        demand(rescales, || format!("{function:?} from {}: functions take and give 8 bits", types()))?;
        demand(to.elem.bits() <= 16, || format!("a rescale from {}: outputs have 16 bits or fewer", types()))
    }
}
