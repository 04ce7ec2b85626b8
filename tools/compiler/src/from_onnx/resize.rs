//! Resize and its older form Upsample.

use dyadic_kernels::params::Coordinates;

use super::attributes::Attributes;
use super::constant;
use super::reals::{RealId, RealOp};
use super::{Form, Walk};
use crate::import::onnx::Node;
use crate::unsupported::{Lowered, refuse, refuse_with};

/// One resized axis: extents and the scale that coordinates are made with.
struct Axis {
    input: usize,
    output: usize,
    scale: f64,
}

impl<'m> Walk<'m> {
    pub(super) fn resize(&mut self, node: &'m Node) -> Lowered {
        let (real, form) = self.either(node, 0)?;
        let from = self.reals.tensors[real].shape.clone();
        let axes = self.resized(node, &from)?;
        let changed: Vec<usize> = (0..from.len()).filter(|&a| axes[a].output != axes[a].input).collect();
        let mode = node.text("mode", "nearest")?;
        match mode {
            "nearest" => self.nearest(node, form, real, &axes, &changed),
            "linear" if changed.iter().all(|&a| a >= 2) && from.len() == 4 => {
                let coordinates = linear_coordinates(node, &axes[2..])?;
                let shape = axes.iter().map(|a| a.output).collect();
                self.alike(node, form, real, shape, RealOp::ResizeLinear(coordinates))
            }
            "linear" => {
                refuse_with("a linear resize of other axes than height and width", "resize height and width")
            }
            other => refuse_with(format!("a resize by '{other}'"), "resize by nearest or linear"),
        }
    }

    /// All axes of a resize, from its scales or its sizes.
    fn resized(&self, node: &Node, from: &[usize]) -> Lowered<Vec<Axis>> {
        let chosen = match node.ints("axes")? {
            Some(axes) => {
                axes.iter().map(|&a| super::shapes::axis(a, from.len())).collect::<Lowered<Vec<_>>>()?
            }
            None => (0..from.len()).collect(),
        };
        // Resize has a region of interest in between; operator set 10 and Upsample do not.
        let place = if node.op == "Resize" && self.model.opset > 10 { 2 } else { 1 };
        let scales = match self.constant(node, place)? {
            Some(tensor) => constant::reals(&tensor)?,
            None => Vec::new(),
        };
        let sizes = self.whole(node, 3)?.unwrap_or_default();
        let mut axes: Vec<Axis> = from.iter().map(|&e| Axis { input: e, output: e, scale: 1.0 }).collect();
        let given = scales.len().max(sizes.len());
        if given != chosen.len() || !scales.is_empty() && !sizes.is_empty() {
            return refuse(format!(
                "{} scales and {} sizes for {} axes",
                scales.len(),
                sizes.len(),
                chosen.len()
            ));
        }
        let common = common_scale(node, from, &chosen, &sizes)?;
        for (i, &a) in chosen.iter().enumerate() {
            let input = from[a];
            let output = match (sizes.get(i), common) {
                (Some(_), Some(scale)) => libm::floor(input as f64 * scale + 0.5),
                (Some(&size), None) => size as f64,
                (None, _) => libm::floor(input as f64 * scales[i]),
            };
            if !(1.0..=16384.0).contains(&output) || input > 16384 {
                return refuse(format!("a resize from {input} to {output}, expected 1 to 16384"));
            }
            let scale = scales.get(i).copied().or(common).unwrap_or(output / input as f64);
            axes[a] = Axis { input, output: output as usize, scale };
        }
        Ok(axes)
    }

    /// One gather per resized axis.
    fn nearest(
        &mut self,
        node: &'m Node,
        form: Form,
        mut real: RealId,
        axes: &[Axis],
        changed: &[usize],
    ) -> Lowered {
        let transform = node.text("coordinate_transformation_mode", self.default_transform(node))?;
        let rounding =
            node.text("nearest_mode", if self.model.opset > 10 { "round_prefer_floor" } else { "floor" })?;
        let mut shape = self.reals.tensors[real].shape.clone();
        for (i, &axis) in changed.iter().enumerate() {
            let indices = nearest_indices(&axes[axis], transform, rounding)?;
            shape[axis] = axes[axis].output;
            let op = RealOp::Gather { axis, indices };
            if i + 1 == changed.len() {
                return self.alike(node, form, real, shape, op);
            }
            let middle = self.reals.alike(Self::name(node, 0), shape.clone(), real);
            self.reals.node(node.index, op, vec![real], middle);
            real = middle;
        }
        self.define(node, 0, form.value(real));
        Ok(())
    }

    fn default_transform(&self, node: &Node) -> &'static str {
        if node.op == "Resize" && self.model.opset > 10 { "half_pixel" } else { "asymmetric" }
    }
}

/// The scale of all resized axes where the sizes only limit it and the aspect ratio stays.
fn common_scale(node: &Node, from: &[usize], chosen: &[usize], sizes: &[i64]) -> Lowered<Option<f64>> {
    let scales = chosen.iter().zip(sizes).map(|(&a, &size)| size as f64 / from[a] as f64);
    Ok(match node.text("keep_aspect_ratio_policy", "stretch")? {
        _ if sizes.is_empty() => None,
        "stretch" => None,
        "not_larger" => scales.reduce(f64::min),
        "not_smaller" => scales.reduce(f64::max),
        other => return refuse(format!("an aspect ratio kept by '{other}'")),
    })
}

/// Where an output position lies in the input.
fn coordinate(axis: &Axis, transform: &str, o: usize) -> Lowered<f64> {
    let (o, input, output) = (o as f64, axis.input as f64, axis.output as f64);
    Ok(match transform {
        "half_pixel" => (o + 0.5) / axis.scale - 0.5,
        "pytorch_half_pixel" if axis.output > 1 => (o + 0.5) / axis.scale - 0.5,
        "pytorch_half_pixel" => 0.0,
        "half_pixel_symmetric" => {
            let adjustment = output / (axis.scale * input);
            let centre = input / 2.0;
            centre * (1.0 - adjustment) + (o + 0.5) / axis.scale - 0.5
        }
        "asymmetric" => o / axis.scale,
        "align_corners" if axis.output > 1 => o * (input - 1.0) / (output - 1.0),
        "align_corners" => 0.0,
        other => return refuse(format!("coordinates by '{other}'")),
    })
}

fn nearest_indices(axis: &Axis, transform: &str, rounding: &str) -> Lowered<Vec<i32>> {
    let round: fn(f64) -> f64 = match rounding {
        "round_prefer_floor" => |x| libm::ceil(x - 0.5),
        "round_prefer_ceil" => |x| libm::floor(x + 0.5),
        "floor" => libm::floor,
        "ceil" => libm::ceil,
        other => return refuse(format!("nearest neighbours by '{other}'")),
    };
    let last = axis.input as f64 - 1.0;
    let index = |o| Ok(round(coordinate(axis, transform, o)?).clamp(0.0, last) as i32);
    (0..axis.output).map(index).collect()
}

/// The coordinate rule of a linear resize; the kernels make coordinates from the extents alone.
fn linear_coordinates(node: &Node, axes: &[Axis]) -> Lowered<Coordinates> {
    if node.int("antialias", 0)? != 0 || node.int("exclude_outside", 0)? != 0 {
        return refuse_with("a linear resize with antialiasing", "resize without antialiasing");
    }
    let transform = node.text("coordinate_transformation_mode", "half_pixel")?;
    let exact = axes.iter().all(|a| a.input as f64 * a.scale == a.output as f64);
    match transform {
        "align_corners" => Ok(Coordinates::AlignCorners),
        _ if !exact => refuse_with(
            "a scale that does not give a whole number of pixels",
            "give the resize its output sizes",
        ),
        "half_pixel" | "half_pixel_symmetric" => Ok(Coordinates::HalfPixel),
        "pytorch_half_pixel" if axes.iter().all(|a| a.output > 1) => Ok(Coordinates::HalfPixel),
        "asymmetric" => Ok(Coordinates::Asymmetric),
        other => refuse(format!("coordinates by '{other}'")),
    }
}
