//! Operators that move values: reshape, transpose, slices, split, concatenation, pack, pad, tile.

use dyadic_kernels::ElemType;

use super::activation::fused;
use super::{Lowered, Lowering, axis, integers, refuse, refuse_with, strided_slice};
use crate::import::tflite::{OpCode, Operator, Options};
use crate::ir::{Activation, Op, TensorId};

/// Row-major strides in elements.
fn strides(shape: &[usize]) -> Vec<isize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis] as isize;
    }
    strides
}

impl Lowering<'_> {
    /// Codes are copied, so both tensors must read them alike.
    pub(super) fn moved(&self, operator: &Operator, input: TensorId, output: TensorId) -> Lowered {
        let (from, to) = (&self.graph.tensors[input], &self.graph.tensors[output]);
        if from.elem != to.elem {
            let (a, b) = (from.elem.name(), to.elem.name());
            return refuse(format!("{} changes the type from {a} to {b}", operator.code));
        }
        if from.zero_point != to.zero_point {
            let (a, b) = (from.zero_point, to.zero_point);
            return refuse_with(
                format!("{} copies codes, but the zero point changes from {a} to {b}", operator.code),
                "give both tensors the same scale and zero point in the source network",
            );
        }
        Ok(())
    }

    pub(super) fn reshape(&mut self, operator: &Operator) -> Lowered {
        let (input, output) = (self.input(operator, 0)?, self.output(operator)?);
        self.moved(operator, input, output)?;
        let (from, to) = (&self.graph.tensors[input], &self.graph.tensors[output]);
        if from.elements() != to.elements() {
            return refuse(format!("{:?} has another number of elements than {:?}", from.shape, to.shape));
        }
        self.push(operator, Op::Reshape, vec![input], output);
        Ok(())
    }

    /// TRANSPOSE, SLICE and STRIDED_SLICE.
    pub(super) fn strided(&mut self, operator: &Operator) -> Lowered {
        let (input, output) = (self.input(operator, 0)?, self.output(operator)?);
        self.moved(operator, input, output)?;
        let shape = self.graph.tensors[input].shape.clone();
        let own = strides(&shape);
        let list = |i: usize| integers(self.source(operator, i)?);
        let (expected, start, strides) = match &operator.options {
            Options::StridedSlice(options) => {
                strided_slice::walk(&shape, &own, [list(1)?, list(2)?, list(3)?], options)?
            }
            _ if operator.code == OpCode::Transpose => {
                let order =
                    list(1)?.into_iter().map(|a| axis(a, shape.len())).collect::<Lowered<Vec<_>>>()?;
                let mut seen = order.clone();
                seen.sort_unstable();
                if seen != (0..shape.len()).collect::<Vec<_>>() {
                    return refuse(format!("{order:?} is no order of the axes"));
                }
                let pick = |a: &usize| (shape[*a], own[*a]);
                let (extents, strides) = order.iter().map(pick).unzip();
                (extents, 0, strides)
            }
            _ => {
                let (begin, size) = (list(1)?, list(2)?);
                if begin.len() != shape.len() || size.len() != shape.len() {
                    return refuse("begin and size need one entry per axis");
                }
                let mut extents = Vec::new();
                let mut start = 0;
                for a in 0..shape.len() {
                    let rest = (shape[a] as i64).saturating_sub(begin[a]);
                    let extent = if size[a] == -1 { rest } else { size[a] };
                    let operands = (0..1 << 31).contains(&begin[a]) && (1..1 << 31).contains(&extent);
                    if !operands || begin[a] + extent > shape[a] as i64 {
                        return refuse(format!("slice {begin:?} of size {size:?} leaves {shape:?}"));
                    }
                    extents.push(extent as usize);
                    start += begin[a] as usize * own[a] as usize;
                }
                (extents, start, own)
            }
        };
        super::expect_shape(&self.graph.tensors[output], &expected)?;
        self.push(operator, Op::StridedCopy { start, strides }, vec![input], output);
        Ok(())
    }

    /// SPLIT, SPLIT_V and UNPACK: one copy per output.
    pub(super) fn split(&mut self, operator: &Operator) -> Lowered {
        let (value, axis_input) = match operator.code {
            OpCode::Split => (1, Some(0)),
            OpCode::SplitV => (0, Some(2)),
            _ => (0, None),
        };
        let input = self.input(operator, value)?;
        let shape = self.graph.tensors[input].shape.clone();
        let number = match (&operator.options, axis_input) {
            (Options::Unpack { axis, .. }, _) => i64::from(*axis),
            (_, Some(i)) => match integers(self.source(operator, i)?)?.as_slice() {
                [a] => *a,
                _ => return refuse("the axis must be one number"),
            },
            _ => return refuse("options of another operator"),
        };
        let axis = axis(number, shape.len())?;
        let own = strides(&shape);
        let unpack = operator.code == OpCode::Unpack;
        let mut first = 0;
        for &number in &operator.outputs {
            let output = self.activation(number)?;
            self.moved(operator, input, output)?;
            let to = &self.graph.tensors[output];
            let part = if unpack { 1 } else { to.shape.get(axis).copied().unwrap_or(1) };
            let (mut expected, mut strides) = (shape.clone(), own.clone());
            if unpack {
                expected.remove(axis);
                strides.remove(axis);
            } else {
                expected[axis] = part;
            }
            super::expect_shape(to, &expected)?;
            if first + part > shape[axis] {
                return refuse(format!("the parts exceed the {} elements of axis {axis}", shape[axis]));
            }
            let start = first * own[axis] as usize;
            self.push(operator, Op::StridedCopy { start, strides }, vec![input], output);
            first += part;
        }
        if first == shape[axis] {
            return Ok(());
        }
        refuse(format!("the parts cover {first} of the {} elements of axis {axis}", shape[axis]))
    }

    /// CONCATENATION and PACK; a packed input first gets an axis of extent 1.
    pub(super) fn concat(&mut self, operator: &Operator) -> Lowered {
        let output = self.output(operator)?;
        let to = self.graph.tensors[output].clone();
        let number = match &operator.options {
            Options::Concatenation { axis, activation } => {
                if fused(*activation)? != Activation::None {
                    return refuse("a concatenation with a fused activation");
                }
                *axis
            }
            Options::Pack { axis, .. } => *axis,
            _ => return refuse("options of another operator"),
        };
        let axis = axis(number.into(), to.shape.len())?;
        let mut inputs = Vec::new();
        let mut stacked = 0;
        for i in 0..operator.inputs.len() {
            let mut input = self.input(operator, i)?;
            if operator.code == OpCode::Pack {
                input = self.with_axis(operator, input, axis);
            }
            let from = &self.graph.tensors[input];
            let mut expected = to.shape.clone();
            expected[axis] = from.shape.get(axis).copied().unwrap_or(0);
            if from.shape != expected {
                return refuse(format!("input {i} has shape {:?}, expected {expected:?}", from.shape));
            }
            let byte_wide = from.elem.bits() == 8 && to.elem.bits() == 8;
            if from.elem != to.elem && !byte_wide {
                return refuse(format!("input {i} is {}, expected {}", from.elem.name(), to.elem.name()));
            }
            stacked += expected[axis];
            inputs.push(input);
        }
        if stacked != to.shape[axis] {
            return refuse(format!("the inputs stack to {stacked}, the output has {}", to.shape[axis]));
        }
        self.push(operator, Op::Concat { axis }, inputs, output);
        Ok(())
    }

    /// The tensor with an axis of extent 1 inserted.
    fn with_axis(&mut self, operator: &Operator, input: TensorId, axis: usize) -> TensorId {
        let mut tensor = self.graph.tensors[input].clone();
        tensor.shape.insert(axis.min(tensor.shape.len()), 1);
        if tensor.data.is_some() {
            return self.graph.add(tensor);
        }
        let output = self.graph.add(tensor);
        self.push(operator, Op::Reshape, vec![input], output);
        output
    }

    pub(super) fn pad(&mut self, operator: &Operator) -> Lowered {
        let (input, output) = (self.input(operator, 0)?, self.output(operator)?);
        self.moved(operator, input, output)?;
        let (from, to) = (&self.graph.tensors[input], &self.graph.tensors[output]);
        let list = integers(self.source(operator, 1)?)?;
        if list.len() != 2 * from.shape.len() || list.iter().any(|&p| !(0..1 << 28).contains(&p)) {
            return refuse(format!("paddings {list:?} do not fit a tensor with {} axes", from.shape.len()));
        }
        let pairs = list.as_chunks::<2>().0;
        let padded = |(&extent, p): (&usize, &[i64; 2])| extent + (p[0] + p[1]) as usize;
        let expected: Vec<usize> = from.shape.iter().zip(pairs).map(padded).collect();
        super::expect_shape(to, &expected)?;
        let value = match operator.code {
            OpCode::PadV2 => constant_code(&self.model.tensors, operator)?,
            _ => to.zero_point,
        };
        let before = pairs.iter().map(|p| p[0] as usize).collect();
        self.push(operator, Op::Pad { before, value }, vec![input], output);
        Ok(())
    }

    pub(super) fn tile(&mut self, operator: &Operator) -> Lowered {
        let (input, output) = (self.input(operator, 0)?, self.output(operator)?);
        self.moved(operator, input, output)?;
        let (from, to) = (&self.graph.tensors[input], &self.graph.tensors[output]);
        let multiples = integers(self.source(operator, 1)?)?;
        let fits = multiples.len() == from.shape.len()
            && to.shape.len() == from.shape.len()
            && (0..from.shape.len())
                .all(|a| multiples[a].checked_mul(from.shape[a] as i64) == Some(to.shape[a] as i64));
        if !fits {
            return refuse(format!("{:?} times {multiples:?} is not {:?}", from.shape, to.shape));
        }
        self.push(operator, Op::Tile, vec![input], output);
        Ok(())
    }
}

/// The fill code of a PADV2.
fn constant_code(tensors: &[crate::import::tflite::Tensor], operator: &Operator) -> Lowered<i32> {
    let tensor = operator.inputs.get(2).copied().flatten().map(|i| &tensors[i]);
    let elem = tensor.and_then(|t| match t.elem {
        crate::import::tflite::ElemType::Int8 => Some(ElemType::S8),
        crate::import::tflite::ElemType::UInt8 => Some(ElemType::U8),
        _ => None,
    });
    match (elem, tensor.and_then(|t| t.data.as_deref())) {
        (Some(elem), Some(data)) if data.len() == 1 => Ok(elem.load(data, 0)),
        _ => refuse("the fill value must be one constant of the tensor's type"),
    }
}
