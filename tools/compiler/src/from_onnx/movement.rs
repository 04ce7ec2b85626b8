//! Operators that move values: reshapes, transposes, slices, splits, concatenations, padding, repetition, gathers.

use dyadic_kernels::ElemType;

use super::attributes::Attributes;
use super::reals::{Quant, RealId, RealOp};
use super::{Form, Value, Walk, shapes};
use crate::import::onnx::{DataType, Node};
use crate::unsupported::{Lowered, refuse, refuse_with};

/// Row-major strides in elements.
pub(super) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// Strides with which a tensor of shape `own` is read as one of shape `shape` that it broadcasts to.
pub(super) fn broadcast_strides(own: &[usize], shape: &[usize]) -> Vec<usize> {
    let strides = strides(own);
    let lead = shape.len() - own.len();
    let stride = |axis: usize| match axis.checked_sub(lead) {
        Some(a) if own[a] > 1 => strides[a],
        _ => 0,
    };
    (0..shape.len()).map(stride).collect()
}

/// Where the element number `flat` of a row-major `shape` lies under other strides.
pub(super) fn place(flat: usize, shape: &[usize], strides: &[usize]) -> usize {
    let signed: Vec<isize> = strides.iter().map(|&s| s as isize).collect();
    signed_place(flat, shape, &signed) as usize
}

/// As [`place`], with strides of either sign.
pub(super) fn signed_place(mut flat: usize, shape: &[usize], strides: &[isize]) -> isize {
    let mut place = 0;
    for axis in (0..shape.len()).rev() {
        place += (flat % shape[axis]) as isize * strides[axis];
        flat /= shape[axis];
    }
    place
}

/// The order of axes of a Transpose; reversed unless stated.
pub(super) fn order(node: &Node, rank: usize) -> Lowered<Vec<usize>> {
    let Some(stated) = node.ints("perm")? else { return Ok((0..rank).rev().collect()) };
    let order = stated.iter().map(|&a| shapes::axis(a, rank)).collect::<Lowered<Vec<_>>>()?;
    let mut seen = order.clone();
    seen.sort_unstable();
    if seen == (0..rank).collect::<Vec<_>>() {
        Ok(order)
    } else {
        refuse(format!("{stated:?} is no order of the axes"))
    }
}

impl<'m> Walk<'m> {
    /// Operators with one data input whose codes are moved, and everything that is not known.
    pub(super) fn moved(&mut self, node: &'m Node) -> Lowered {
        match node.op.as_str() {
            "Cast" => self.cast(node),
            "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => {
                let (real, form) = self.either(node, 0)?;
                let shape = self.target_shape(node, &self.reals.tensors[real].shape)?;
                self.alike(node, form, real, shape, RealOp::Reshape)
            }
            "Transpose" => {
                let (real, form) = self.either(node, 0)?;
                let from = &self.reals.tensors[real].shape;
                let order = order(node, from.len())?;
                let shape = order.iter().map(|&a| from[a]).collect();
                self.alike(node, form, real, shape, RealOp::Transpose { order })
            }
            "Slice" => {
                let (real, form) = self.either(node, 0)?;
                let parts =
                    [self.whole(node, 1)?, self.whole(node, 2)?, self.whole(node, 3)?, self.whole(node, 4)?];
                let slices = shapes::slices(node, &self.reals.tensors[real].shape, parts)?;
                let shape = slices.iter().map(|s| s.count).collect();
                let (start, step) = slices.iter().map(|s| (s.start, s.step)).unzip();
                self.alike(node, form, real, shape, RealOp::Slice { start, step })
            }
            "Gather" => self.gather(node),
            "Pad" => self.pad(node),
            "Tile" | "Expand" => self.tile(node),
            "DepthToSpace" => self.depth_to_space(node),
            "SpaceToDepth" => self.space_to_depth(node),
            _ => refuse_with(
                "this operator has no integer form in Dyadic yet",
                "replace it in the source network, or end the network before it: with --cut-at, or with \
                 --cut-float-tail where nothing but operators on real numbers follows",
            ),
        }
    }

    /// A node whose output holds codes of its input.
    pub(super) fn alike(
        &mut self,
        node: &'m Node,
        form: Form,
        real: RealId,
        shape: Vec<usize>,
        op: RealOp,
    ) -> Lowered {
        shapes::possible(&shape)?;
        let output = self.reals.alike(Self::name(node, 0), shape, real);
        self.reals.node(node.index, op, vec![real], output);
        self.define(node, 0, form.value(output));
        Ok(())
    }

    /// Casts to real numbers change nothing here, nor do casts of indices. Others would cut fractions off.
    fn cast(&mut self, node: &'m Node) -> Lowered {
        let to = DataType::from_number(node.int("to", 1)? as i32);
        let real_target = matches!(to, DataType::Float | DataType::Float16 | DataType::Double);
        match self.value(node, 0)? {
            Value::Real(real)
                if real_target || self.reals.quant(real).is_some_and(|q| q.elem == ElemType::S32) =>
            {
                self.reals.absorb(node.index, real);
                self.define(node, 0, Value::Real(real));
                Ok(())
            }
            // Codes as numbers: scale 1.
            Value::Codes(real) if real_target && self.reals.quant(real).is_none() => {
                self.whole_numbers(real, 0)?;
                self.define(node, 0, Value::Real(real));
                Ok(())
            }
            // Codes in a type that holds more of them.
            Value::Codes(real) if self.widens(real, to) => {
                self.define(node, 0, Value::Codes(real));
                Ok(())
            }
            _ => refuse_with(
                format!("a cast to {to}"),
                "quantize with QuantizeLinear instead of rounding and casting",
            ),
        }
    }

    /// Whether every code of a tensor is one of a type, stored alike.
    fn widens(&self, real: RealId, to: DataType) -> bool {
        let class = self.reals.class(real);
        let fed = class.fed.and_then(super::activation_type);
        let own = class.quant.map(|q| (q.elem, q.codes)).or(fed);
        match (own, super::activation_type(to)) {
            (Some((from, codes)), Some((elem, all))) => from == elem && all.0 <= codes.0 && codes.1 <= all.1,
            _ => false,
        }
    }

    /// Reads codes that the caller feeds as whole numbers, less a zero point.
    pub(super) fn whole_numbers(&mut self, real: RealId, zero_point: i32) -> Lowered {
        let Some((elem, codes)) = self.reals.class(real).fed.and_then(super::activation_type) else {
            return refuse("codes of a type that is not known");
        };
        if !(elem.min()..=elem.max()).contains(&zero_point) {
            return refuse(format!("zero point {zero_point} for codes of type {}", elem.name()));
        }
        self.reals.assign(real, Quant { elem, scale: 1.0, zero_point, codes });
        Ok(())
    }

    fn gather(&mut self, node: &'m Node) -> Lowered {
        let (real, form) = self.either(node, 0)?;
        let shape = self.reals.tensors[real].shape.clone();
        let axis = shapes::axis(node.int("axis", 0)?, shape.len())?;
        let Some(tensor) = self.constant(node, 1)? else { return refuse("the indices are missing") };
        let indices = shapes::indices(&super::constant::integers(&tensor)?, shape[axis])?;
        let mut picked = shape.clone();
        picked[axis] = indices.len();
        let mut target = shape[..axis].to_vec();
        target.extend(&tensor.shape);
        target.extend(&shape[axis + 1..]);
        if indices.is_empty() {
            return refuse("no indices");
        }
        if target == picked {
            return self.alike(node, form, real, picked, RealOp::Gather { axis, indices });
        }
        let middle = self.reals.alike(Self::name(node, 0), picked, real);
        self.reals.node(node.index, RealOp::Gather { axis, indices }, vec![real], middle);
        self.alike(node, form, middle, target, RealOp::Reshape)
    }

    /// Tile, and Expand, which repeats axes of extent 1.
    fn tile(&mut self, node: &'m Node) -> Lowered {
        let (real, form) = self.either(node, 0)?;
        let from = self.reals.tensors[real].shape.clone();
        let Some(list) = self.whole(node, 1)? else { return refuse("the second input is missing") };
        let target = if node.op == "Expand" {
            shapes::broadcast(&from, &shapes::extents(&list)?)?
        } else {
            let counts = shapes::extents(&list)?;
            if counts.len() != from.len() {
                return refuse(format!("{list:?} repetitions of {from:?}"));
            }
            from.iter().zip(&counts).map(|(&e, &c)| e.saturating_mul(c)).collect()
        };
        let mut lead = vec![1; target.len() - from.len()];
        lead.extend(&from);
        if target == from {
            return self.alike(node, form, real, target, RealOp::Reshape);
        }
        if lead == from {
            return self.alike(node, form, real, target, RealOp::Tile);
        }
        let name = Self::name(node, 0);
        let middle = self.reals.alike(name, lead, real);
        self.reals.node(node.index, RealOp::Reshape, vec![real], middle);
        self.alike(node, form, middle, target, RealOp::Tile)
    }

    /// Blocks of channels become pixels.
    fn depth_to_space(&mut self, node: &'m Node) -> Lowered {
        let (real, form) = self.either(node, 0)?;
        let &[n, c, h, w] = self.reals.tensors[real].shape.as_slice() else {
            return refuse("the input needs 4 axes");
        };
        let block = node.int("blocksize", 0)?;
        let Some(b) = usize::try_from(block).ok().filter(|&b| b > 0 && b < 1 << 10 && c % (b * b) == 0)
        else {
            return refuse(format!("blocks of {block} from {c} channels"));
        };
        let op = RealOp::DepthToSpace {
            block: [b, b],
            groups: 1,
            depth_first: node.text("mode", "DCR")? == "CRD",
        };
        self.alike(node, form, real, vec![n, c / (b * b), h * b, w * b], op)
    }

    /// Blocks of pixels become channels: a transpose between two reshapes.
    fn space_to_depth(&mut self, node: &'m Node) -> Lowered {
        let (real, form) = self.either(node, 0)?;
        let &[n, c, h, w] = self.reals.tensors[real].shape.as_slice() else {
            return refuse("the input needs 4 axes");
        };
        let block = node.int("blocksize", 0)?;
        let divides = |&b: &usize| b > 0 && h % b == 0 && w % b == 0;
        let Some(b) = usize::try_from(block).ok().filter(divides) else {
            return refuse(format!("blocks of {block} from pictures of {h} by {w}"));
        };
        let split = vec![n, c, h / b, b, w / b, b];
        let order = match node.text("mode", "DCR")? {
            "CRD" => vec![0, 1, 3, 5, 2, 4],
            _ => vec![0, 3, 5, 1, 2, 4],
        };
        let name = Self::name(node, 0);
        let parts = self.reals.alike(name, split.clone(), real);
        self.reals.node(node.index, RealOp::Reshape, vec![real], parts);
        let moved = self.reals.alike(name, order.iter().map(|&a| split[a]).collect(), parts);
        self.reals.node(node.index, RealOp::Transpose { order }, vec![parts], moved);
        self.alike(node, form, moved, vec![n, c * b * b, h / b, w / b], RealOp::Reshape)
    }

    pub(super) fn concat(&mut self, node: &'m Node) -> Lowered {
        let parts = (0..node.inputs.len()).map(|i| self.either(node, i)).collect::<Lowered<Vec<_>>>()?;
        let form = if parts.iter().all(|p| p.1 == Form::Codes) { Form::Codes } else { Form::Real };
        let inputs: Vec<RealId> = parts.iter().map(|p| p.0).collect();
        let (shape, axis) = self.stacked(&inputs, node.int("axis", 1)?)?;
        let quant = match form {
            Form::Codes => self.reals.quant(inputs[0]),
            Form::Real => None,
        };
        if form == Form::Codes
            && inputs.iter().any(|&i| {
                self.reals.quant(i).map(|q| (q.elem, q.scale, q.zero_point))
                    != quant.map(|q| (q.elem, q.scale, q.zero_point))
            })
        {
            return refuse("a concatenation of codes with different scales");
        }
        let quant = quant.map(|q| Quant { codes: (q.elem.min(), q.elem.max()), ..q });
        let output = self.reals.tensor(Self::name(node, 0), shape, quant);
        self.reals.node(node.index, RealOp::Concat { axis }, inputs, output);
        self.define(node, 0, form.value(output));
        Ok(())
    }

    /// Shape and axis of a concatenation.
    pub(super) fn stacked(&self, inputs: &[RealId], axis: i64) -> Lowered<(Vec<usize>, usize)> {
        let Some(&first) = inputs.first() else { return refuse("nothing to concatenate") };
        let mut shape = self.reals.tensors[first].shape.clone();
        let axis = shapes::axis(axis, shape.len())?;
        let mut total = 0usize;
        for &input in inputs {
            let part = &self.reals.tensors[input].shape;
            let fits =
                part.len() == shape.len() && (0..shape.len()).all(|a| a == axis || part[a] == shape[a]);
            if !fits {
                return refuse(format!("shapes {shape:?} and {part:?} do not stack along axis {axis}"));
            }
            total = total.saturating_add(part[axis]);
        }
        shape[axis] = total;
        Ok((shape, axis))
    }

    pub(super) fn split(&mut self, node: &'m Node) -> Lowered {
        let (real, form) = self.either(node, 0)?;
        let from = self.reals.tensors[real].shape.clone();
        let axis = shapes::axis(node.int("axis", 0)?, from.len())?;
        let stated = match self.whole(node, 1)? {
            Some(list) => Some(list),
            None => node.ints("split")?.map(<[i64]>::to_vec),
        };
        let parts = match stated {
            Some(list) => shapes::extents(&list)?,
            None => {
                // Equal parts, the last one smaller when they do not divide.
                let count = node.outputs.len().max(1);
                let part = from[axis].div_ceil(count);
                (0..count).map(|i| part.min(from[axis].saturating_sub(i * part))).collect()
            }
        };
        if parts.len() != node.outputs.len()
            || parts.iter().sum::<usize>() != from[axis]
            || parts.contains(&0)
        {
            return refuse(format!(
                "parts {parts:?} of {} elements for {} outputs",
                from[axis],
                node.outputs.len()
            ));
        }
        if node.outputs.len() > 1 {
            self.reals.share(real);
        }
        let mut first = 0;
        for (i, &part) in parts.iter().enumerate() {
            let (mut start, mut shape) = (vec![0; from.len()], from.clone());
            (start[axis], shape[axis]) = (first, part);
            first += part;
            let output = self.reals.alike(Self::name(node, i), shape, real);
            let op = RealOp::Slice { start, step: vec![1; from.len()] };
            self.reals.node(node.index, op, vec![real], output);
            self.define(node, i, form.value(output));
        }
        Ok(())
    }
}
