//! Pooling, mean and resizing.

use dyadic_kernels::params::{Coordinates, Resize};

use super::activation::fused;
use super::conv::window;
use super::{Lowered, Lowering, axis, integers, refuse};
use crate::import::tflite::{OpCode, Operator, Options};
use crate::ir::{Op, Pool};

/// Longest side and most taps of a pooling window; a larger one would take as many factors under `dyadic`.
const MAX_POOL: usize = 1 << 12;
const MAX_AVERAGED: usize = 1 << 23;

impl Lowering<'_> {
    pub(super) fn pooling(&mut self, operator: &Operator) -> Lowered {
        let (input, output) = (self.input(operator, 0)?, self.output(operator)?);
        let (from, to) = (&self.graph.tensors[input], &self.graph.tensors[output]);
        if from.elem != to.elem {
            return refuse("input and output have different types");
        }
        let op = match &operator.options {
            Options::Pool2d(o) => {
                let Some(i) = from.nhwc() else { return refuse("the input needs 4 axes") };
                let (y, pad_y) = window(i[1], o.filter_h, o.stride_h, 1, o.padding);
                let (x, pad_x) = window(i[2], o.filter_w, o.stride_w, 1, o.padding);
                super::expect_shape(to, &[i[0], y, x, i[3]])?;
                if o.filter_h.max(o.filter_w) > MAX_POOL || o.filter_h * o.filter_w > MAX_AVERAGED {
                    return refuse(format!(
                        "a window of {} x {}, expected at most 2^23 taps",
                        o.filter_h, o.filter_w
                    ));
                }
                if operator.code == OpCode::MaxPool2d {
                    self.moved(operator, input, output)?;
                }
                let pool = Pool {
                    kernel: [o.filter_h, o.filter_w],
                    stride: [o.stride_h, o.stride_w],
                    pad: [pad_y, pad_x],
                    activation: fused(o.activation)?,
                };
                if operator.code == OpCode::MaxPool2d { Op::MaxPool(pool) } else { Op::AveragePool(pool) }
            }
            Options::Reducer { keep_dims } => {
                let rank = from.shape.len();
                let list = integers(self.source(operator, 1)?)?;
                let mut axes = list.into_iter().map(|a| axis(a, rank)).collect::<Lowered<Vec<_>>>()?;
                axes.sort_unstable();
                axes.dedup();
                let kept = |a: &usize| *keep_dims || !axes.contains(a);
                let extent = |a: usize| if axes.contains(&a) { 1 } else { from.shape[a] };
                let expected: Vec<usize> = (0..rank).filter(kept).map(extent).collect();
                super::expect_shape(to, &expected)?;
                Op::Mean { axes }
            }
            _ => return refuse("options of another operator"),
        };
        self.push(operator, op, vec![input], output);
        Ok(())
    }

    pub(super) fn resize(&mut self, operator: &Operator) -> Lowered {
        let (input, output) = (self.input(operator, 0)?, self.output(operator)?);
        let (from, to) = (&self.graph.tensors[input], &self.graph.tensors[output]);
        let (Some(i), Some(o)) = (from.nhwc(), to.nhwc()) else {
            return refuse("input and output need 4 axes");
        };
        if i[0] != o[0] || i[3] != o[3] || from.elem != to.elem {
            return refuse("a resize keeps batch, channels and type");
        }
        if i.iter().chain(&o).any(|&extent| extent > Resize::MAX_EXTENT) {
            return refuse(format!("a resize from {i:?} to {o:?}, expected extents of at most 16384"));
        }
        self.moved(operator, input, output)?;
        let op = match &operator.options {
            Options::ResizeBilinear(r) => {
                Op::ResizeBilinear(coordinates(r.align_corners, r.half_pixel_centers)?)
            }
            Options::ResizeNearestNeighbor(r) => {
                Op::ResizeNearest(coordinates(r.align_corners, r.half_pixel_centers)?)
            }
            _ => return refuse("options of another operator"),
        };
        self.push(operator, op, vec![input], output);
        Ok(())
    }
}

fn coordinates(align_corners: bool, half_pixel: bool) -> Lowered<Coordinates> {
    match (align_corners, half_pixel) {
        (false, false) => Ok(Coordinates::Asymmetric),
        (true, false) => Ok(Coordinates::AlignCorners),
        (false, true) => Ok(Coordinates::HalfPixel),
        (true, true) => refuse("aligned corners and half-pixel centres exclude each other"),
    }
}
