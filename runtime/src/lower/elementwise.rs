//! Addition, product, tables, requantization, softmax, argmax.

use std::ops::Range;

use dyadic_format::operator::{AddParams, ArgMaxParams, MulParams, SoftmaxParams, TableParams};
use dyadic_format::{OperatorRecord, Rule};
use dyadic_kernels::ElemType;
use dyadic_kernels::params::{Add, AddRule, Mul, Softmax};
use dyadic_kernels::registry::KernelOp;

use super::{
    Bound, Lowered, Lowering, SPLIT_MACS, dims, dyadic, elem_of, expect, expect_byte, expect_same_elem,
    output, quant, rounding,
};
use crate::step::{Operand, Place, Work};

impl Lowering<'_, '_> {
    fn operand(&self, op: &OperatorRecord, index: usize) -> Lowered<Operand> {
        Ok(Operand { place: self.input_place(op, index)?, dims: dims(self.input(op, index))? })
    }

    pub(super) fn add(
        &self,
        op: &OperatorRecord,
        rule: Rule,
        p: &AddParams,
        subtract: bool,
        out_range: &Range<usize>,
    ) -> Lowered<Bound> {
        let (a, b, to) = (self.input(op, 0), self.input(op, 1), self.output(op));
        let narrow = [a, b, to].iter().all(|t| elem_of(t) != ElemType::S32);
        expect(narrow, || "addition takes 16 bits or fewer".to_string())?;
        let factor = |i: usize| dyadic(p.multipliers[i], p.shifts[i]);
        let rule = match rule {
            Rule::AddJoint => {
                let [m1, m2, _] = p.multipliers;
                let shift = p.shifts[0];
                let ok =
                    (0..1 << 24).contains(&m1) && (0..1 << 24).contains(&m2) && (1..=62).contains(&shift);
                expect(ok, || {
                    format!("factors {m1}, {m2} over 2^{shift}, expected 24 bits and a shift of 1 to 62")
                })?;
                AddRule::Joint { m1, m2, shift }
            }
            Rule::AddSeparate => AddRule::Separate { first: factor(0)?, second: factor(1)? },
            Rule::AddTflite => {
                let wide = [a, b].iter().any(|t| elem_of(t).bits() > 8);
                let small = p.shifts[0] >= 31 && p.shifts[1] >= 31 && p.shifts[2] >= 31;
                expect(!wide && small, || "TFLite's addition takes 8 bits and factors below 1".to_string())?;
                AddRule::Tflite { first: factor(0)?, second: factor(1)?, sum: factor(2)? }
            }
            other => return Err(format!("rule {} is none of an addition", other.name())),
        };
        let add = Add { first: quant(a), second: quant(b), subtract, rule, output: output(to, p.lo, p.hi) };
        let (first, second, out) = (self.operand(op, 0)?, self.operand(op, 1)?, dims(to)?);
        let broadcasts =
            first.dims.broadcast_strides(&out).is_some() && second.dims.broadcast_strides(&out).is_some();
        expect(broadcasts, || format!("shapes {:?} and {:?} do not broadcast", a.shape(), b.shape()))?;
        if first.dims.count() != out.count() || second.dims.count() != out.count() {
            return Ok(Bound::plain(Work::AddBroadcast { add, first, second, out }));
        }
        let kernel = self.choice.add(KernelOp::Add, &add).ok_or("no kernel takes this addition")?;
        let row = kernel.kernel();
        let in_place = first.place == Place::Arena(out_range.clone()) && a.elem == to.elem;
        let split = row.banded && out.count() >= SPLIT_MACS && elem_of(to).bits() == 8;
        let first = if in_place { None } else { Some(first.place) };
        Ok(Bound::kernel(Work::Add { kernel, add, first, second: second.place, split }, row))
    }

    pub(super) fn mul(&self, op: &OperatorRecord, rule: Rule, p: &MulParams) -> Lowered<Bound> {
        let (a, b, to) = (self.input(op, 0), self.input(op, 1), self.output(op));
        // The product of two centred 8-bit codes has 18 bits; 16-bit ones could exceed 32.
        let narrow = elem_of(a).bits() <= 8 && elem_of(b).bits() <= 8 && elem_of(to) != ElemType::S32;
        expect(narrow, || "a product takes 8-bit inputs".to_string())?;
        let mul = Mul {
            first: quant(a),
            second: quant(b),
            scale: dyadic(p.multiplier, p.shift)?,
            rounding: rounding(rule)?,
            output: output(to, p.lo, p.hi),
        };
        let (first, second, out) = (self.operand(op, 0)?, self.operand(op, 1)?, dims(to)?);
        let broadcasts =
            first.dims.broadcast_strides(&out).is_some() && second.dims.broadcast_strides(&out).is_some();
        expect(broadcasts, || format!("shapes {:?} and {:?} do not broadcast", a.shape(), b.shape()))?;
        Ok(Bound::plain(Work::Mul { mul, first, second, out }))
    }

    pub(super) fn requantize(&self, op: &OperatorRecord, rule: Rule, p: &MulParams) -> Lowered<Bound> {
        let (from, to) = (self.input(op, 0), self.output(op));
        let count = dims(from)?.count();
        expect(count == dims(to)?.count(), || "input and output differ in size".to_string())?;
        expect(elem_of(to) != ElemType::S32, || "requantizing to s32 is not defined".to_string())?;
        let work = Work::Requantize {
            from: quant(from),
            scale: dyadic(p.multiplier, p.shift)?,
            rounding: rounding(rule)?,
            to: output(to, p.lo, p.hi),
            count,
            input: self.input_place(op, 0)?,
        };
        Ok(Bound::plain(work))
    }

    pub(super) fn table(
        &self,
        op: &OperatorRecord,
        p: &TableParams,
        out_range: &Range<usize>,
    ) -> Lowered<Bound> {
        let (from, to) = (self.input(op, 0), self.output(op));
        expect_byte(from)?;
        expect_byte(to)?;
        expect(from.bytes == to.bytes, || "input and output differ in size".to_string())?;
        let table = p.table as usize;
        let entries = &self.view.tables()[table];
        let kernel = self.choice.table(KernelOp::Table, entries).ok_or("no kernel looks tables up")?;
        let row = kernel.kernel();
        let place = self.input_place(op, 0)?;
        let input = if place == Place::Arena(out_range.clone()) { None } else { Some(place) };
        let split = row.banded && to.bytes as usize >= SPLIT_MACS;
        Ok(Bound::kernel(Work::Table { kernel, table, input, split }, row))
    }

    pub(super) fn softmax(&self, op: &OperatorRecord, p: &SoftmaxParams) -> Lowered<Bound> {
        let (from, to) = (self.input(op, 0), self.output(op));
        expect_byte(from)?;
        expect_byte(to)?;
        expect(from.shape() == to.shape(), || "input and output differ in shape".to_string())?;
        let depth = from.shape().last().copied().unwrap_or(1) as usize;
        let ok = p.multiplier > 0 && (0..=31).contains(&p.left_shift) && p.diff_min <= 0;
        expect(ok, || format!("softmax factor {} << {}", p.multiplier, p.left_shift))?;
        // Beyond this the sum of probabilities leaves Q12.19.
        expect(depth <= 1 << 11 << 20, || "softmax over too many classes".to_string())?;
        let softmax = Softmax {
            depth,
            elem: elem_of(from),
            output: elem_of(to),
            multiplier: p.multiplier,
            left_shift: p.left_shift,
            diff_min: p.diff_min,
        };
        let kernel = self.choice.softmax(KernelOp::Softmax, &softmax).ok_or("no kernel for this softmax")?;
        let row = kernel.kernel();
        Ok(Bound::kernel(Work::Softmax { kernel, softmax, input: self.input_place(op, 0)? }, row))
    }

    pub(super) fn argmax(&self, op: &OperatorRecord, p: &ArgMaxParams) -> Lowered<Bound> {
        let (from, to) = (self.input(op, 0), self.output(op));
        expect_same_elem_s32(to)?;
        let shape: Vec<usize> = from.shape().iter().map(|&e| e as usize).collect();
        let axis = p.axis as usize;
        expect(axis < shape.len(), || format!("axis {axis} of {shape:?}"))?;
        let product = |range: &[usize]| range.iter().product::<usize>();
        let (outer, depth, inner) = (product(&shape[..axis]), shape[axis], product(&shape[axis + 1..]));
        expect(dims(to)?.count() == outer * inner, || "the output does not have the other axes".to_string())?;
        let work = Work::ArgMax { elem: elem_of(from), outer, depth, inner, input: self.input_place(op, 0)? };
        Ok(Bound::plain(work))
    }

    pub(super) fn reshape(&self, op: &OperatorRecord, out_range: &Range<usize>) -> Lowered<Bound> {
        let (from, to) = (self.input(op, 0), self.output(op));
        expect_same_elem(from, to)?;
        expect(from.bytes == to.bytes, || "input and output differ in size".to_string())?;
        let place = self.input_place(op, 0)?;
        let shared = place == Place::Arena(out_range.clone());
        Ok(Bound::plain(if shared { Work::Nothing } else { Work::Copy(place) }))
    }
}

fn expect_same_elem_s32(tensor: &dyadic_format::TensorRecord) -> Lowered<()> {
    let elem = elem_of(tensor);
    expect(elem == ElemType::S32, || format!("indices are {}, expected s32", elem.name()))
}
