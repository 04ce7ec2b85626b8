//! What no rule computes: a node is refused here by name, before a file is made that would not load.

use dyadic_format::{Contents, ElemCode};
use dyadic_kernels::ElemType;
use dyadic_kernels::params::Quant;

use super::{EmitError, Emitter, name, table_function};
use crate::ir::{Activation, Conv, Function, Graph, Node, Op, Tensor};
use crate::prove::Proof;
use crate::quantize::Contract;
use crate::quantize::factors::follows;
use crate::records::{Program, elem_of};
use crate::verify::makes;

type Judged = Result<(), String>;

fn demand(ok: bool, reason: impl FnOnce() -> String) -> Judged {
    if ok { Ok(()) } else { Err(reason()) }
}

/// Refuses a node that may give codes beyond those of its output's quantizer: what moves values cannot clamp them, and a
/// model input takes every code of its type.
pub(super) fn check_codes(contents: &Contents, proof: &Proof, graph: &Graph) -> Result<(), EmitError> {
    let program = Program::of_contents(contents);
    let wide = |number: usize| {
        let (tensor, (lo, hi)) = (&contents.tensors[number], proof.ranges[number]);
        let elem = ElemCode::from_number(tensor.elem)?;
        let (least, most) = tensor.code_range(elem);
        let name = elem_of(tensor).name();
        let reason = || {
            format!("its {name} output may hold codes {lo} to {hi}, its quantizer gives {least} to {most}")
        };
        (lo < least || most < hi).then(reason)
    };
    for &input in &contents.inputs {
        if let Some(reason) = wide(input as usize) {
            return Err(EmitError::Contract { node: "a model input".to_string(), reason });
        }
    }
    for (op, node) in contents.operators.iter().zip(&graph.nodes) {
        if let Some(reason) = wide(program.operand(op, usize::from(op.inputs))) {
            return Err(EmitError::Contract { node: name(node), reason });
        }
    }
    Ok(())
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
            Op::Gather { axis, indices } => self.gather_limits(node, *axis, indices),
            Op::PRelu { slopes } => self.prelu_limits(node, slopes),
            Op::MaxPool(_) | Op::Pad { .. } | Op::Reshape | Op::StridedCopy { .. } | Op::Tile => Ok(()),
            Op::ResizeNearest(_) | Op::ArgMax { .. } => Ok(()),
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
        let equal = node.inputs.iter().all(|&t| self.ir(t).fits(to));
        if equal || to.scales.is_empty() { Ok(()) } else { self.all_bytes(node) }
    }

    /// One position of the input for each of the output.
    fn gather_limits(&self, node: &Node, axis: usize, indices: &[i32]) -> Judged {
        let (from, to) = (self.ir(node.inputs[0]), self.ir(node.output));
        let extents = from.shape.get(axis).zip(to.shape.get(axis));
        let fits = |(&extent, &positions): (&usize, &usize)| {
            let inside = |&i: &i32| usize::try_from(i).is_ok_and(|i| i < extent);
            positions == indices.len() && indices.iter().all(inside)
        };
        demand(extents.is_some_and(fits), || {
            format!("{} indices along axis {axis} from {:?} to {:?}", indices.len(), from.shape, to.shape)
        })
    }

    fn prelu_limits(&self, node: &Node, slopes: &[f32]) -> Judged {
        self.all_bytes(node)?;
        let channels = self.ir(node.output).shape.last().copied().unwrap_or(1);
        let fits = slopes.len() == channels && slopes.iter().all(|s| s.is_finite());
        demand(fits, || {
            format!("{} slopes, expected a finite one for each of {channels} channels", slopes.len())
        })?;
        let dyadic = self.contract == Contract::Dyadic;
        demand(dyadic, || {
            format!("slopes per channel have no rule under the contract {}", self.contract.name())
        })
    }

    /// An s32 output is the accumulator: nothing clamps it, and one scale gives its real values.
    fn conv_limits(&self, node: &Node, conv: &Conv) -> Judged {
        self.narrow_inputs(node)?;
        let (from, weights, to) = (self.ir(node.inputs[0]), self.ir(node.inputs[1]), self.ir(node.output));
        if to.elem != ElemType::S32 {
            return Ok(());
        }
        demand(conv.activation == Activation::None, || "an s32 output has no fused activation".to_string())?;
        demand(to.scales.len() == 1 && to.zero_point == 0 && to.codes.is_none(), || {
            format!("the s32 output '{}' needs one scale, the zero point 0 and no narrower codes", to.name)
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
            let (kind, arguments) = table_function(function, self.contract);
            demand(arguments.iter().all(|a| a.is_finite()), || {
                format!("{function:?}: arguments are finite")
            })?;
            return demand(makes(self.contract, kind), || {
                format!("{function:?} has no rule under the contract {}", self.contract.name())
            });
        }
        let types = || format!("{} to {}", from.elem.name(), to.elem.name());
        let rescales = matches!(function, Function::Rescale | Function::Clamp(_));
        demand(rescales, || format!("{function:?} from {}: functions take and give 8 bits", types()))?;
        demand(to.elem.bits() <= 16, || format!("a rescale from {}: outputs have 16 bits or fewer", types()))
    }
}
