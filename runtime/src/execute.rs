//! Runs the steps over the arena.

use std::ops::Range;
use std::time::Instant;

use dyadic_format::ModelView;
use dyadic_kernels::params::{AveragePool, AverageRule, Conv};
use dyadic_kernels::reference;

use crate::bytes::AlignedBytes;
use crate::model::Model;
use crate::profile::{Profile, since};
use crate::step::{Operand, Place, Step, Weights, Work};
use crate::threads::Parallel;

mod movement;

/// Everything a run needs; handed to the leader of the worker threads for the time of a run.
#[derive(Debug)]
pub(crate) struct Executor {
    pub(crate) model: Model,
    pub(crate) steps: Vec<Step>,
    pub(crate) arena: AlignedBytes,
    pub(crate) scratch: AlignedBytes,
    pub(crate) profile: Option<Profile>,
}

impl Executor {
    /// Runs every step.
    pub(crate) fn run(&mut self, parallel: &dyn Parallel) {
        let view = self.model.view();
        let (arena, scratch) = (self.arena.as_mut_slice(), self.scratch.as_mut_slice());
        let Some(profile) = &mut self.profile else {
            self.steps.iter().for_each(|step| run_step(&view, step, arena, scratch, parallel));
            return;
        };
        profile.begin();
        let start = Instant::now();
        let mut before = 0;
        for (number, step) in self.steps.iter().enumerate() {
            run_step(&view, step, arena, scratch, parallel);
            // One clock reading per step: the time between two readings is the step's, dispatch included.
            let now = since(start);
            profile.step(number, now - before);
            before = now;
        }
        profile.end(since(start));
    }

    /// Runs every step on the calling thread and shows the output of each.
    pub(crate) fn run_observed(&mut self, parallel: &dyn Parallel, observe: &mut dyn FnMut(usize, &[u8])) {
        let view = self.model.view();
        let (arena, scratch) = (self.arena.as_mut_slice(), self.scratch.as_mut_slice());
        for (number, step) in self.steps.iter().enumerate() {
            run_step(&view, step, arena, scratch, parallel);
            observe(number, &arena[step.output.clone()]);
        }
    }
}

/// The arena with one step's output split out; every other byte is readable.
struct Split<'r, 'v> {
    view: &'r ModelView<'v>,
    before: &'r [u8],
    after: &'r [u8],
    after_start: usize,
}

impl<'r> Split<'r, '_> {
    /// The bytes of an input, which lowering proved to lie outside the output.
    fn get(&self, place: &Place) -> &'r [u8] {
        match place {
            Place::Arena(range) if range.end <= self.before.len() => &self.before[range.clone()],
            Place::Arena(range) => &self.after[range.start - self.after_start..range.end - self.after_start],
            Place::Constant(range) => &self.view.weights()[range.clone()],
        }
    }
}

fn run_step(view: &ModelView, step: &Step, arena: &mut [u8], scratch: &mut [u8], parallel: &dyn Parallel) {
    let Range { start, end } = step.output;
    let (before, rest) = arena.split_at_mut(start);
    let (output, after) = rest.split_at_mut(end - start);
    let split = Split { view, before, after, after_start: end };
    match &step.work {
        Work::Nothing => {}
        Work::Copy(place) => output.copy_from_slice(split.get(place)),
        Work::Conv { .. } => run_convolution(view, &step.work, &split, output, scratch, parallel),
        Work::Add { .. } | Work::Table { .. } => run_bytewise(view, &step.work, &split, output, parallel),
        Work::AveragePool { .. } | Work::MaxPool { .. } | Work::Bilinear { .. } => {
            run_window(view, &step.work, &split, output, parallel);
        }
        Work::AddBroadcast { add, first, second, out } => {
            reference::add(add, operand(&split, first), operand(&split, second), out, output);
        }
        Work::Mul { mul, first, second, out } => {
            reference::mul(mul, operand(&split, first), operand(&split, second), out, output);
        }
        Work::Mean { kernel, mean, input } => kernel.run(mean, split.get(input), output),
        Work::Softmax { kernel, softmax, input } => kernel.run(softmax, split.get(input), output),
        Work::Nearest { resize, single: false, input } => {
            reference::nearest(resize, split.get(input), output);
        }
        Work::Nearest { resize, single: true, input } => {
            reference::nearest_single(resize, split.get(input), output);
        }
        Work::Pad { elem, input, before, value, out } => {
            movement::pad(*elem, operand(&split, input), before, *value, out, output);
        }
        Work::Concat { outer, pitch, branches } => {
            for branch in branches {
                let table = branch.table.map(|t| &view.tables()[t]);
                movement::concat(split.get(&branch.place), branch, table, *outer, *pitch, output);
            }
        }
        Work::StridedCopy { elem, copy, input } => {
            movement::strided_copy(*elem, copy, split.get(input), output);
        }
        Work::Tile { elem, input, out } => {
            let (dims, bytes) = operand(&split, input);
            reference::tile(*elem, dims, bytes, out, output);
        }
        Work::Requantize { from, scale, rounding, to, count, input } => {
            reference::requantize(*from, *scale, *rounding, *to, *count, split.get(input), output);
        }
        Work::ArgMax { elem, outer, depth, inner, input } => {
            reference::argmax(*elem, *outer, *depth, *inner, split.get(input), output);
        }
    }
}

fn operand<'r>(split: &Split<'r, '_>, operand: &'r Operand) -> (&'r dyadic_kernels::params::Dims, &'r [u8]) {
    (&operand.dims, split.get(&operand.place))
}

fn run_convolution(
    view: &ModelView,
    work: &Work,
    split: &Split,
    output: &mut [u8],
    scratch: &mut [u8],
    parallel: &dyn Parallel,
) {
    let Work::Conv { kernel, conv, weights, constants, input, split: banded } = work else { return };
    let channels = conv.out_channels;
    let constants = &view.constants()[*constants..][..3 * channels];
    let packed = match weights {
        Weights::Logical(range) => &view.weights()[range.clone()],
        Weights::Packed(index) => view.packed(&view.packed_index()[*index]),
        Weights::Owned(bytes) => bytes,
    };
    let full = Conv {
        weights: packed,
        bias: &constants[..channels],
        multipliers: &constants[channels..2 * channels],
        shifts: &constants[2 * channels..],
        ..*conv
    };
    let input = split.get(input);
    let rows = conv.rows();
    if *banded {
        parallel.bands(rows, channels, output, scratch, &|rows, output, scratch| {
            kernel.run(&full, packed, input, rows, output, scratch);
        });
    } else {
        kernel.run(&full, packed, input, 0..rows, output, scratch);
    }
}

fn run_bytewise(view: &ModelView, work: &Work, split: &Split, output: &mut [u8], parallel: &dyn Parallel) {
    let count = output.len();
    let bands = |banded: bool, output: &mut [u8], body: &(dyn Fn(Range<usize>, &mut [u8]) + Sync)| {
        if banded {
            parallel.bands(count, 1, output, &mut [], &|range, output, _| body(range, output));
        } else {
            body(0..count, output);
        }
    };
    match work {
        Work::Add { kernel, add, first, second, split: banded } => {
            let (first, second) = (first.as_ref().map(|place| split.get(place)), split.get(second));
            if *banded {
                bands(true, output, &|r, output| {
                    kernel.run(add, first.map(|f| &f[r.clone()]), &second[r.clone()], output);
                });
            } else {
                kernel.run(add, first, second, output);
            }
        }
        Work::Table { kernel, table, input, split: banded } => {
            let (table, input) = (&view.tables()[*table], input.as_ref().map(|place| split.get(place)));
            bands(*banded, output, &|r, output| kernel.run(table, input.map(|i| &i[r.clone()]), output));
        }
        _ => {}
    }
}

fn run_window(view: &ModelView, work: &Work, split: &Split, output: &mut [u8], parallel: &dyn Parallel) {
    let bands =
        |banded: bool, rows: usize, output: &mut [u8], body: &(dyn Fn(Range<usize>, &mut [u8]) + Sync)| {
            let row_bytes = output.len() / rows.max(1);
            if banded {
                parallel.bands(rows, row_bytes, output, &mut [], &|rows, output, _| body(rows, output));
            } else {
                body(0..rows, output);
            }
        };
    match work {
        Work::AveragePool { kernel, pool, constants, input, split: banded } => {
            let rule = match constants {
                Some(first) => {
                    let taps = pool.window.taps();
                    let (multipliers, shifts) = view.constants()[*first..][..2 * taps].split_at(taps);
                    AverageRule::Rescale { multipliers, shifts }
                }
                None => AverageRule::RawHalfAway,
            };
            let (full, input) = (AveragePool { rule, ..*pool }, split.get(input));
            let pixels = pool.batch * pool.window.output_pixels();
            bands(*banded, pixels, output, &|rows, output| kernel.run(&full, input, rows, output));
        }
        Work::MaxPool { kernel, pool, input, split: banded } => {
            let (input, pixels) = (split.get(input), pool.batch * pool.window.output_pixels());
            bands(*banded, pixels, output, &|rows, output| kernel.run(pool, input, rows, output));
        }
        Work::Bilinear { kernel, resize, input, split: banded } => {
            let (input, rows) = (split.get(input), resize.batch * resize.output[0]);
            bands(*banded, rows, output, &|rows, output| kernel.run(resize, input, rows, output));
        }
        _ => {}
    }
}
