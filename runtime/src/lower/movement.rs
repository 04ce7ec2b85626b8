//! Padding, concatenation, strided copies, tiles.

use std::ops::Range;

use dyadic_format::OperatorRecord;
use dyadic_format::operator::{ConcatParams, NO_TABLE, PadParams, StridedCopyParams};
use dyadic_kernels::params::{Dims, MAX_RANK};

use super::{Bound, Lowered, Lowering, dims, elem_of, expect, expect_same_elem};
use crate::step::{Branch, Operand, Place, Strided, Work};

impl Lowering<'_, '_> {
    fn shaped(&self, op: &OperatorRecord) -> Lowered<(Operand, Dims)> {
        let (from, to) = (self.input(op, 0), self.output(op));
        expect_same_elem(from, to)?;
        Ok((Operand { place: self.input_place(op, 0)?, dims: dims(from)? }, dims(to)?))
    }

    pub(super) fn pad(&self, op: &OperatorRecord, p: &PadParams) -> Lowered<Bound> {
        let (input, out) = self.shaped(op)?;
        let before = p.before.map(|b| b as usize);
        let fits = input.dims.rank() == out.rank()
            && (0..out.rank()).all(|i| {
                before[i].checked_add(input.dims.as_slice()[i]).is_some_and(|end| end <= out.as_slice()[i])
            });
        expect(fits, || {
            format!("{:?} padded by {:?} does not fit {:?}", input.dims.as_slice(), p.before, out.as_slice())
        })?;
        let elem = elem_of(self.output(op));
        Ok(Bound::plain(Work::Pad { elem, input, before, value: p.value, out }))
    }

    pub(super) fn tile(&self, op: &OperatorRecord) -> Lowered<Bound> {
        let (input, out) = self.shaped(op)?;
        let fits = input.dims.rank() == out.rank()
            && input.dims.as_slice().iter().zip(out.as_slice()).all(|(&i, &o)| o.is_multiple_of(i));
        expect(fits, || format!("{:?} does not tile {:?}", input.dims.as_slice(), out.as_slice()))?;
        Ok(Bound::plain(Work::Tile { elem: elem_of(self.output(op)), input, out }))
    }

    pub(super) fn strided_copy(&self, op: &OperatorRecord, p: &StridedCopyParams) -> Lowered<Bound> {
        let (input, out) = self.shaped(op)?;
        let mut strides = [0isize; MAX_RANK];
        let (mut lowest, mut highest) = (i64::from(p.start), i64::from(p.start));
        for (axis, &extent) in out.as_slice().iter().enumerate() {
            strides[axis] = p.strides[axis] as isize;
            // Below 2^31 * 2^31: no overflow.
            let reach = i64::from(p.strides[axis]) * (extent as i64 - 1);
            if reach < 0 {
                lowest = lowest.saturating_add(reach);
            } else {
                highest = highest.saturating_add(reach);
            }
        }
        expect(lowest >= 0 && highest < input.dims.count() as i64, || {
            format!("elements {lowest} to {highest} of an input of {}", input.dims.count())
        })?;
        let copy = Strided { start: p.start as usize, strides, out };
        Ok(Bound::plain(Work::StridedCopy { elem: elem_of(self.output(op)), copy, input: input.place }))
    }

    pub(super) fn concat(
        &self,
        op: &OperatorRecord,
        p: &ConcatParams,
        out_range: &Range<usize>,
    ) -> Lowered<Bound> {
        let to = self.output(op);
        let (out, elem, axis) = (dims(to)?, elem_of(to), p.axis as usize);
        expect(axis < out.rank() && elem.bits() >= 8, || format!("axis {axis} of {:?}", to.shape()))?;
        let width = elem.bits() / 8;
        let product = |extents: &[usize]| extents.iter().product::<usize>();
        let inner = product(&out.as_slice()[axis + 1..]) * width;
        let (outer, pitch) = (product(&out.as_slice()[..axis]), out.as_slice()[axis] * inner);
        let mut branches = Vec::new();
        let mut first = 0;
        let numbers = self.view.operator_inputs(op);
        for (i, &table) in self.view.concat_tables(op).iter().enumerate().take(numbers.len()) {
            let from = self.input(op, i);
            let shape = dims(from)?;
            let others =
                |d: &Dims| (0..d.rank()).filter(|&a| a != axis).map(|a| d.as_slice()[a]).collect::<Vec<_>>();
            let table = (table != NO_TABLE).then_some(table as usize);
            let types = match table {
                None => from.elem == to.elem,
                Some(_) => elem_of(from).bits() == 8 && elem.bits() == 8,
            };
            expect(shape.rank() == out.rank() && others(&shape) == others(&out) && types, || {
                format!("input {i} {:?} does not fit {:?}", from.shape(), to.shape())
            })?;
            let run = shape.as_slice()[axis] * inner;
            let place = self.input_place(op, i)?;
            self.concat_branch(&mut branches, Branch { place, run, first, table }, outer, out_range)?;
            first += run;
        }
        expect(first == pitch, || format!("the inputs fill {first} of {pitch} bytes"))?;
        Ok(Bound::plain(Work::Concat { outer, pitch, branches }))
    }

    /// A branch that lies in its place already needs no copy; any other one must not overlap the output.
    fn concat_branch(
        &self,
        branches: &mut Vec<Branch>,
        branch: Branch,
        outer: usize,
        out: &Range<usize>,
    ) -> Lowered<()> {
        if let Place::Arena(range) = &branch.place {
            let in_place = outer == 1 && branch.table.is_none() && range.start == out.start + branch.first;
            if in_place {
                return Ok(());
            }
            let overlaps = range.start < out.end && out.start < range.end;
            expect(!overlaps, || format!("branch {range:?} overlaps output {out:?} in the arena"))?;
        }
        branches.push(branch);
        Ok(())
    }
}
