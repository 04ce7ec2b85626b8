//! STRIDED_SLICE: masks, new axes and the ellipsis, worked out to a start and strides. The rules are those of TFLite's
//! reference kernel.

use super::{Lowered, refuse};
use crate::import::tflite::StridedSliceOptions;

/// Begin, end and stride of one axis of the input, and which of its bits are set.
struct Range {
    begin: i64,
    end: i64,
    step: i64,
    open_begin: bool,
    open_end: bool,
    shrink: bool,
    /// The end counts from the begin.
    offset: bool,
}

/// What one entry of the operands stands for.
enum Entry {
    /// An axis of the output that the input does not have.
    New,
    /// An axis of the input, whole.
    Whole,
    Range(Range),
}

/// A strided copy: output shape, first element, strides of the output's axes.
pub(super) type Walk = (Vec<usize>, usize, Vec<isize>);

/// The walk of a STRIDED_SLICE over an input of that shape and those row-major strides.
pub(super) fn walk(
    shape: &[usize],
    own: &[isize],
    operands: [Vec<i64>; 3],
    options: &StridedSliceOptions,
) -> Lowered<Walk> {
    let (mut extents, mut strides, mut start, mut axis) = (Vec::new(), Vec::new(), 0usize, 0);
    for entry in entries(shape.len(), operands, options)? {
        if let Entry::New = entry {
            extents.push(1);
            strides.push(0);
            continue;
        }
        let (Some(&size), Some(&stride)) = (shape.get(axis), own.get(axis)) else {
            return refuse("a strided slice of more axes than its input has");
        };
        axis += 1;
        let Entry::Range(range) = entry else {
            extents.push(size);
            strides.push(stride);
            continue;
        };
        let (first, extent, step) = range.resolve(size as i64)?;
        start += first * stride as usize;
        if !range.shrink {
            extents.push(extent);
            strides.push(stride * step);
        }
    }
    Ok((extents, start, strides))
}

/// The entries in order, the ellipsis written out, absent axes at the end whole.
fn entries(
    rank: usize,
    [begin, end, step]: [Vec<i64>; 3],
    options: &StridedSliceOptions,
) -> Lowered<Vec<Entry>> {
    if options.offset && options.begin_mask | options.end_mask != 0 {
        return refuse("a strided slice with open ends whose ends are offsets");
    }
    let count = begin.len();
    if count != end.len() || count != step.len() || count > 32 {
        return refuse("begin, end and strides of a strided slice do not fit each other");
    }
    let bit = |mask: i32, i: usize| mask >> i & 1 == 1;
    let new = |i: usize| bit(options.new_axis_mask, i) && !bit(options.ellipsis_mask, i);
    let given = (0..count).filter(|&i| !new(i) && !bit(options.ellipsis_mask, i)).count();
    let Some(hidden) = rank.checked_sub(given) else {
        return refuse("a strided slice of more axes than its input has");
    };
    let mut entries = Vec::new();
    let mut written_out = false;
    for i in 0..count {
        if bit(options.ellipsis_mask, i) {
            if std::mem::replace(&mut written_out, true) {
                return refuse("a strided slice with two ellipses");
            }
            entries.extend((0..hidden).map(|_| Entry::Whole));
        } else if new(i) {
            entries.push(Entry::New);
        } else {
            entries.push(Entry::Range(Range {
                begin: begin[i],
                end: end[i],
                step: step[i],
                open_begin: bit(options.begin_mask, i),
                open_end: bit(options.end_mask, i),
                shrink: bit(options.shrink_axis_mask, i),
                offset: options.offset,
            }));
        }
    }
    if !written_out {
        entries.extend((0..hidden).map(|_| Entry::Whole));
    }
    Ok(entries)
}

impl Range {
    /// First element, number of elements, and step on an axis of `size` elements.
    fn resolve(&self, size: i64) -> Lowered<(usize, usize, isize)> {
        let step = self.step;
        if step == 0 || (self.shrink && step != 1) {
            return refuse(format!(
                "a strided slice with stride {step}, expected 1 on a dropped axis and never 0"
            ));
        }
        let wrap = |v: i64| if v < 0 { v.saturating_add(size) } else { v };
        // Limits as NumPy: a negative step may stop before the first element.
        let (low, high) = if step > 0 { (0, size) } else { (-1, size - 1) };
        let (first, last) = if step > 0 { (0, size) } else { (size - 1, -1) };
        // The mask of the begin holds for an axis that is dropped, too; its end follows from the begin.
        let from = if self.open_begin { first } else { wrap(self.begin).clamp(low, high) };
        let to = match (self.shrink, self.open_end) {
            (true, _) => from + 1,
            (false, true) => last,
            (false, false) if self.offset => wrap(self.end.saturating_add(from)).clamp(low, high),
            (false, false) => wrap(self.end).clamp(low, high),
        };
        let distance = if step > 0 { to - from } else { from - to };
        let extent = distance.max(0).unsigned_abs().div_ceil(step.unsigned_abs());
        if extent < 1 || !(0..size).contains(&from) {
            return refuse("a strided slice of no elements");
        }
        // A step beyond the axis takes one element, and none of its strides is walked.
        let step = if extent == 1 { step.signum() } else { step };
        Ok((from as usize, extent as usize, step as isize))
    }
}
