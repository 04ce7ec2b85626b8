//! Padding: with a constant, or with elements of the tensor itself.

use super::attributes::Attributes;
use super::reals::{RealId, RealOp};
use super::{Form, Walk, constant, shapes};
use crate::import::onnx::Node;
use crate::unsupported::{Lowered, refuse, refuse_with};

/// Longest axis that is padded with elements of its own.
const MAX_PADDED: i64 = 1 << 14;

/// Elements to add before and after an axis; fewer than none cut.
type Pads = (i64, i64);

impl<'m> Walk<'m> {
    pub(super) fn pad(&mut self, node: &'m Node) -> Lowered {
        let (real, form) = self.either(node, 0)?;
        let pads = self.pads(node, self.reals.tensors[real].shape.len())?;
        match node.text("mode", "constant")? {
            "constant" => self.pad_constant(node, real, form, &pads),
            mode => self.pad_gathered(node, real, form, &pads, mode),
        }
    }

    fn pads(&self, node: &Node, rank: usize) -> Lowered<Vec<Pads>> {
        let list = match self.whole(node, 1)? {
            Some(list) => list,
            None => node.ints("pads")?.map(<[i64]>::to_vec).unwrap_or_default(),
        };
        let axes = match self.whole(node, 3)? {
            Some(axes) => axes,
            None => (0..rank as i64).collect(),
        };
        shapes::axes(&axes, rank)?;
        let limit = -(1 << 28)..=1 << 28;
        if list.len() != 2 * axes.len() || list.iter().any(|p| !limit.contains(p)) {
            return refuse(format!("pads {list:?} of {} axes", axes.len()));
        }
        let mut pads = vec![(0, 0); rank];
        for (i, &axis) in axes.iter().enumerate() {
            pads[shapes::axis(axis, rank)?] = (list[i], list[i + axes.len()]);
        }
        Ok(pads)
    }

    fn pad_constant(&mut self, node: &'m Node, mut real: RealId, form: Form, pads: &[Pads]) -> Lowered {
        let value = match self.constant(node, 2)? {
            Some(tensor) => match constant::reals(&tensor)?.as_slice() {
                &[value] => value,
                _ => return refuse("a fill value that is no single number"),
            },
            None => f64::from(node.float("value", 0.0)?),
        };
        let value = match (form, self.reals.quant(real)) {
            (Form::Real, _) => value,
            // A fill code as the real number it stands for.
            (Form::Codes, Some(q)) => (value - f64::from(q.zero_point)) * f64::from(q.scale),
            (Form::Codes, None) => return refuse("padding of codes whose scale is not known yet"),
        };
        let from = self.reals.tensors[real].shape.clone();
        if pads.iter().any(|&(before, after)| before < 0 || after < 0) {
            let start: Vec<usize> = pads.iter().map(|p| (-p.0).max(0) as usize).collect();
            let left = |a: usize| from[a] as i64 + pads[a].0.min(0) + pads[a].1.min(0);
            let kept: Vec<usize> = (0..from.len()).map(|a| left(a).max(0) as usize).collect();
            shapes::possible(&kept)?;
            let cut = self.reals.alike(Self::name(node, 0), kept, real);
            let slice = RealOp::Slice { start, step: vec![1; from.len()] };
            self.reals.node(node.index, slice, vec![real], cut);
            real = cut;
        }
        let before = pads.iter().map(|p| p.0.max(0) as usize).collect();
        let kept = &self.reals.tensors[real].shape;
        let whole = |a: usize| kept[a] + (pads[a].0.max(0) + pads[a].1.max(0)) as usize;
        let shape = (0..kept.len()).map(whole).collect();
        self.alike(node, form, real, shape, RealOp::Pad { before, value })
    }

    /// One gather per padded axis.
    fn pad_gathered(
        &mut self,
        node: &'m Node,
        mut real: RealId,
        form: Form,
        pads: &[Pads],
        mode: &str,
    ) -> Lowered {
        let mut shape = self.reals.tensors[real].shape.clone();
        for (axis, &(before, after)) in pads.iter().enumerate().filter(|(_, p)| **p != (0, 0)) {
            let indices = padded_indices(shape[axis] as i64, (before, after), mode)?;
            shape[axis] = indices.len();
            shapes::possible(&shape)?;
            let output = self.reals.alike(Self::name(node, 0), shape.clone(), real);
            self.reals.node(node.index, RealOp::Gather { axis, indices }, vec![real], output);
            real = output;
        }
        self.alike(node, form, real, shape, RealOp::Reshape)
    }
}

/// Which elements of an axis stand where after padding.
fn padded_indices(extent: i64, (before, after): Pads, mode: &str) -> Lowered<Vec<i32>> {
    let last = extent - 1;
    let index: Box<dyn Fn(i64) -> i64> = match mode {
        "edge" => Box::new(|i| i.clamp(0, last)),
        "wrap" => Box::new(|i| i.rem_euclid(extent)),
        "reflect" if last > 0 => Box::new(|i| {
            let i = i.rem_euclid(2 * last);
            i.min(2 * last - i)
        }),
        "reflect" => Box::new(|_| 0),
        other => {
            return refuse_with(
                format!("padding by '{other}'"),
                "pad with a constant, or by edge, reflect or wrap",
            );
        }
    };
    let total = before + extent + after;
    if !(1..=MAX_PADDED).contains(&total) {
        return refuse(format!(
            "{before} and {after} elements around {extent}, expected 1 to {MAX_PADDED} in all"
        ));
    }
    Ok((-before..extent + after).map(|i| index(i) as i32).collect())
}
