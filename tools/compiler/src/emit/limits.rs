//! What no rule computes: a node is refused here by name, before a file is made that would not load.

use dyadic_kernels::ElemType;
use dyadic_kernels::params::Quant;

use super::{EmitError, Emitter, name};
use crate::ir::{Activation, Conv, Function, Node, Op, Tensor};
use crate::quantize::Contract;
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
            Op::Add { .. } => self.tflite_is_narrow(node),
            Op::Unary(function) => self.unary_limits(node, *function),
            Op::AveragePool(pool) => {
                self.tflite_is_narrow(node).and_then(|()| self.sum_fits(node, pool.kernel.iter().product()))
            }
            Op::Mean { axes } => {
                let shape = &self.ir(node.inputs[0]).shape;
                self.sum_fits(node, axes.iter().map(|&axis| shape[axis]).product())
            }
            Op::Concat { .. } => self.concat_limits(node),
            Op::Softmax { .. } | Op::ResizeBilinear(_) => self.all_bytes(node),
            Op::MaxPool(_) | Op::Pad { .. } | Op::Reshape | Op::StridedCopy { .. } | Op::Tile => Ok(()),
            Op::ResizeNearest(_) | Op::ArgMax { .. } | Op::Gather { .. } => Ok(()),
        };
        judged.map_err(|reason| EmitError::Contract { node: name(node), reason })
    }

    /// Inputs of a product have 8 bits or fewer.
    fn narrow_inputs(&self, node: &Node) -> Judged {
        let wide = node.inputs.iter().map(|&t| self.ir(t)).find(|t| t.elem.bits() > 8);
        let reason = |t: &Tensor| format!("'{}' has type {}, expected 8 bits", t.name, t.elem.name());
        wide.map_or(Ok(()), |t| Err(reason(t)))
    }

    /// TFLite's rules of sums and averages are those of bytes.
    fn tflite_is_narrow(&self, node: &Node) -> Judged {
        if self.contract == Contract::Tflite { self.narrow_inputs(node) } else { Ok(()) }
    }

    /// The sum of an average fits 32 bits.
    fn sum_fits(&self, node: &Node, count: usize) -> Judged {
        let Tensor { elem, zero_point, .. } = *self.ir(node.inputs[0]);
        let most = Quant { elem, zero_point }.most_averaged();
        demand(count <= most, || format!("an average over {count} values of {}: at most {most}", elem.name()))
    }

    fn all_bytes(&self, node: &Node) -> Judged {
        let other = node.inputs.iter().chain([&node.output]).map(|&t| self.ir(t));
        let wrong = other.into_iter().find(|t| t.elem.bits() != 8);
        wrong.map_or(Ok(()), |t| Err(format!("'{}' has type {}, expected 8 bits", t.name, t.elem.name())))
    }

    /// Branches of another quantization go through tables of bytes.
    fn concat_limits(&self, node: &Node) -> Judged {
        let to = self.ir(node.output);
        let equal = node.inputs.iter().all(|&t| self.ir(t).same_quantization(to));
        if equal || to.scales.is_empty() { Ok(()) } else { self.all_bytes(node) }
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
