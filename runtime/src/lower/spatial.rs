//! Pooling, mean, resizing.

use dyadic_format::operator::{MeanParams, PoolParams, ResizeParams};
use dyadic_format::{OperatorRecord, Rule};
use dyadic_kernels::ElemType;
use dyadic_kernels::geometry::{Axis, Window};
use dyadic_kernels::params::{AveragePool, AverageRule, Coordinates, MAX_RANK, MaxPool, Mean, Resize};
use dyadic_kernels::registry::KernelOp;

use super::{
    Bound, Lowered, Lowering, SPLIT_MACS, dims, dyadic, elem_of, expect, expect_byte, expect_same_elem,
    loose_dyadic, nhwc, output, quant, rounding,
};
use crate::step::Work;

/// Most values that are averaged: their sum fits 32 bits.
const MAX_COUNT: usize = 1 << 22;

impl Lowering<'_, '_> {
    fn pool_window(&self, op: &OperatorRecord, p: &PoolParams) -> Lowered<(usize, Window, usize)> {
        let (from, to) = (self.input(op, 0), self.output(op));
        expect_byte(from)?;
        expect_same_elem(from, to)?;
        let ([batch, in_h, in_w, channels], [out_batch, out_h, out_w, out_channels]) =
            (nhwc(from)?, nhwc(to)?);
        let axis = |i: usize, input, output| Axis {
            input,
            output,
            kernel: p.kernel[i] as usize,
            stride: p.stride[i] as usize,
            dilation: 1,
            pad: p.pad[i] as usize,
        };
        let window = Window { y: axis(0, in_h, out_h), x: axis(1, in_w, out_w) };
        let taps = (p.kernel[0] as usize).checked_mul(p.kernel[1] as usize);
        let fits = window.y.is_valid()
            && window.x.is_valid()
            && taps.is_some_and(|t| t <= MAX_COUNT)
            && batch == out_batch
            && channels == out_channels;
        expect(fits, || {
            format!(
                "input {:?}, output {:?}, window {:?}, stride {:?} do not fit",
                from.shape(),
                to.shape(),
                p.kernel,
                p.stride
            )
        })?;
        Ok((batch, window, channels))
    }

    pub(super) fn average_pool(&self, op: &OperatorRecord, rule: Rule, p: &PoolParams) -> Lowered<Bound> {
        let (batch, window, channels) = self.pool_window(op, p)?;
        let taps = window.taps();
        let constants = (rule == Rule::AverageOnce).then_some(p.constants_first as usize);
        let (multipliers, shifts) = match constants {
            // The view checked the range.
            Some(first) => self.view.constants()[first..][..2 * taps].split_at(taps),
            None => (&[][..], &[][..]),
        };
        for (&multiplier, &shift) in multipliers.iter().zip(shifts) {
            dyadic(multiplier, shift)?;
        }
        let pool = AveragePool {
            batch,
            window,
            channels,
            input: quant(self.input(op, 0)),
            rule: AverageRule::RawHalfAway,
            output: output(self.output(op), p.lo, p.hi),
        };
        let full = match constants {
            Some(_) => AveragePool { rule: AverageRule::Rescale { multipliers, shifts }, ..pool },
            None => pool,
        };
        let kernel =
            self.choice.average_pool(KernelOp::AveragePool, &full).ok_or("no kernel for this pooling")?;
        let row = kernel.kernel();
        let reads = batch * window.output_pixels() * channels * taps;
        let split = row.banded && reads >= SPLIT_MACS;
        let input = self.input_place(op, 0)?;
        Ok(Bound::kernel(Work::AveragePool { kernel, pool, constants, input, split }, row))
    }

    pub(super) fn max_pool(&self, op: &OperatorRecord, p: &PoolParams) -> Lowered<Bound> {
        let (batch, window, channels) = self.pool_window(op, p)?;
        let elem = elem_of(self.output(op));
        let pool = MaxPool { batch, window, channels, elem, lo: p.lo, hi: p.hi };
        let kernel = self.choice.max_pool(KernelOp::MaxPool, &pool).ok_or("no kernel for this pooling")?;
        let row = kernel.kernel();
        let split = row.banded && batch * window.output_pixels() * channels * window.taps() >= SPLIT_MACS;
        Ok(Bound::kernel(Work::MaxPool { kernel, pool, input: self.input_place(op, 0)?, split }, row))
    }

    pub(super) fn mean(&self, op: &OperatorRecord, rule: Rule, p: &MeanParams) -> Lowered<Bound> {
        let (from, to) = (self.input(op, 0), self.output(op));
        let shape = dims(from)?;
        let mut axes = [false; MAX_RANK];
        for (axis, reduced) in axes.iter_mut().enumerate() {
            *reduced = p.axes & 1 << axis != 0;
        }
        let named = (shape.rank() as u32..32).all(|axis| p.axes & 1 << axis == 0);
        expect(named, || format!("axes {:#x} of a tensor with {} axes", p.axes, shape.rank()))?;
        let product = |reduced: bool| {
            let extents = shape.as_slice().iter().zip(axes);
            extents.filter(|(_, r)| *r == reduced).map(|(&e, _)| e).product::<usize>()
        };
        let (kept, count) = (product(false), product(true));
        let narrow = elem_of(from).bits() <= 8 && elem_of(to) != ElemType::S32 && count <= MAX_COUNT;
        expect(narrow && dims(to)?.count() == kept, || {
            format!("input {:?} and output {:?} do not fit a mean", from.shape(), to.shape())
        })?;
        let mean = Mean {
            shape,
            axes,
            input: quant(from),
            scale: loose_dyadic(p.multiplier, p.shift)?,
            rounding: rounding(rule)?,
            output: output(to, p.lo, p.hi),
        };
        let kernel = self.choice.mean(KernelOp::Mean, &mean).ok_or("no kernel for this mean")?;
        let row = kernel.kernel();
        Ok(Bound::kernel(Work::Mean { kernel, mean, input: self.input_place(op, 0)? }, row))
    }

    fn resize(&self, op: &OperatorRecord, p: &ResizeParams) -> Lowered<Resize> {
        let (from, to) = (self.input(op, 0), self.output(op));
        expect_same_elem(from, to)?;
        expect_byte(from)?;
        let ([batch, in_h, in_w, channels], [out_batch, out_h, out_w, out_channels]) =
            (nhwc(from)?, nhwc(to)?);
        // Weights and their products stay inside 64 bits for sides of 2^14.
        let small = [in_h, in_w, out_h, out_w].iter().all(|&side| side <= 1 << 14);
        expect(small && batch == out_batch && channels == out_channels, || {
            format!("input {:?} and output {:?} do not fit a resize", from.shape(), to.shape())
        })?;
        let coordinates = match p.coordinates {
            1 => Coordinates::Asymmetric,
            2 => Coordinates::AlignCorners,
            3 => Coordinates::HalfPixel,
            other => return Err(format!("coordinate rule {other}, expected 1 to 3")),
        };
        let elem = elem_of(to);
        Ok(Resize { batch, input: [in_h, in_w], output: [out_h, out_w], channels, elem, coordinates })
    }

    pub(super) fn bilinear(&self, op: &OperatorRecord, rule: Rule, p: &ResizeParams) -> Lowered<Bound> {
        let resize = self.resize(op, p)?;
        let kernel_op = match rule {
            Rule::Bilinear10 => KernelOp::Bilinear10,
            Rule::BilinearRational => KernelOp::BilinearRational,
            Rule::BilinearSingle => {
                expect(resize.elem == ElemType::U8, || "float32 steps resize u8 only".to_string())?;
                KernelOp::BilinearSingle
            }
            other => return Err(format!("rule {} is none of a bilinear resize", other.name())),
        };
        let kernel = self.choice.resize(kernel_op, &resize).ok_or("no kernel for this resize")?;
        let row = kernel.kernel();
        let split = row.banded && self.output(op).bytes as usize >= SPLIT_MACS;
        Ok(Bound::kernel(Work::Bilinear { kernel, resize, input: self.input_place(op, 0)?, split }, row))
    }

    pub(super) fn nearest(&self, op: &OperatorRecord, rule: Rule, p: &ResizeParams) -> Lowered<Bound> {
        let resize = self.resize(op, p)?;
        let single = match rule {
            Rule::Nearest => false,
            Rule::NearestSingle => true,
            other => return Err(format!("rule {} is none of a nearest-neighbour resize", other.name())),
        };
        Ok(Bound::plain(Work::Nearest { resize, single, input: self.input_place(op, 0)? }))
    }
}
