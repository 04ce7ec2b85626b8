//! Executing a step: slices are cut from arena and file, then the kernel is called, in bands where that pays.

use core::ops::Range;

use dyadic_format::AlignedBytes;
use dyadic_kernels::ElemType;
use dyadic_kernels::pack;
use dyadic_kernels::params::{AveragePool, AverageRule, ChannelTable, Conv};
use dyadic_kernels::reference;
use dyadic_kernels::registry::Kernel;

use super::{Action, ConvStep, Elements, Move, Rows, Source, Step, Weights, Whole, movement};
use crate::arena::Views;
use crate::parallel::{Banded, Parallel};

/// What steps run on besides the arena.
pub(crate) struct Context<'a> {
    /// The file.
    pub(crate) file: &'a [u8],
    /// Weights that were packed at load.
    pub(crate) repacked: &'a [AlignedBytes],
    /// One part per thread.
    pub(crate) scratch: &'a mut [u8],
    /// Bytes of a part, a multiple of 64.
    pub(crate) scratch_each: usize,
    /// Bands of a large step; there is scratch for as many.
    pub(crate) threads: usize,
    pub(crate) parallel: &'a dyn Parallel,
}

/// The inputs of a step.
struct Inputs<'a> {
    views: Views<'a>,
    file: &'a [u8],
}

impl<'a> Inputs<'a> {
    /// The bytes of an input; none when it lies in the output.
    fn optional(&self, source: &Source) -> Option<&'a [u8]> {
        match source {
            Source::Arena(range) => Some(self.views.input(range.clone())),
            Source::File(range) => Some(&self.file[range.clone()]),
            Source::InPlace => None,
        }
    }

    /// The bytes of an input of an operator that never runs in place.
    fn get(&self, source: &Source) -> &'a [u8] {
        self.optional(source).unwrap_or_default()
    }
}

/// A table in the file; its range is 256 bytes long.
fn table<'a>(file: &'a [u8], range: &Range<usize>) -> &'a [u8; 256] {
    bytemuck::from_bytes(&file[range.clone()])
}

/// Words in the file; sections of words lie on 64-byte boundaries.
fn words<'a>(file: &'a [u8], range: &Range<usize>) -> &'a [i32] {
    bytemuck::cast_slice(&file[range.clone()])
}

/// Elements per unit of an element-wise step: whole bytes for every element type.
const UNIT_ELEMENTS: usize = 64;

impl Step {
    /// Executes the step.
    pub(crate) fn run(&self, arena: &mut [u8], context: &mut Context) {
        let (views, output) = Views::split(arena, self.output.clone());
        let inputs = Inputs { views, file: context.file };
        let bands = if self.large { context.threads } else { 1 };
        match &self.action {
            Action::Rows(rows) => rows.run(&inputs, output, bands, context),
            Action::Elements(elements) => elements.run(&inputs, output, bands, context),
            Action::Whole(whole) => whole.run(&inputs, output),
            Action::Move(movement) => movement.run(&inputs, output),
        }
        // Whole bytes that were copied, or that lie there already, bring along what a caller put behind the last element.
        if self.odd_nibbles
            && let Some(last) = output.last_mut()
        {
            *last &= 0x0f;
        }
    }
}

impl Context<'_> {
    /// Bands of `units` equal units, if the kernel computes bands and a unit is a whole number of bytes.
    fn rows<'a>(
        &'a mut self,
        output: &'a mut [u8],
        units: usize,
        bands: usize,
        kernel: &Kernel,
    ) -> Banded<'a> {
        let unit_bytes = output.len() / units;
        let whole = kernel.banded && unit_bytes * units == output.len();
        let (parallel, scratch_each) = (self.parallel, self.scratch_each);
        let bands = if whole { bands } else { 1 };
        Banded { parallel, bands, units, unit_bytes, output, scratch: self.scratch, scratch_each }
    }
}

impl Rows {
    fn run(&self, inputs: &Inputs, output: &mut [u8], bands: usize, context: &mut Context) {
        match self {
            Rows::Conv(conv) => conv.run(inputs, output, bands, context),
            Rows::AveragePool { kernel, params, constants, input } => {
                let units = params.batch * params.window.output_pixels();
                let (input, params) = (inputs.get(input), average_pool(params, constants, inputs.file));
                let banded = context.rows(output, units, bands, kernel.kernel());
                banded.run(&|pixels, out, _| kernel.run(&params, input, pixels, out));
            }
            Rows::MaxPool { kernel, params, input } => {
                let (units, input) = (params.batch * params.window.output_pixels(), inputs.get(input));
                let banded = context.rows(output, units, bands, kernel.kernel());
                banded.run(&|pixels, out, _| kernel.run(params, input, pixels, out));
            }
            Rows::Bilinear { kernel, params, input } => {
                let (units, input) = (params.batch * params.output[0], inputs.get(input));
                let banded = context.rows(output, units, bands, kernel.kernel());
                banded.run(&|rows, out, _| kernel.run(params, input, rows, out));
            }
            Rows::ArgMax { kernel, params, input } => {
                let input = inputs.get(input);
                let banded = context.rows(output, params.outer, bands, kernel.kernel());
                banded.run(&|outer, out, _| kernel.run(params, input, outer, out));
            }
        }
    }
}

impl ConvStep {
    /// The parameters with what they borrow. A kernel for packed weights reads its own argument, not these.
    fn params<'a>(&self, file: &'a [u8], weights: &'a [u8]) -> Conv<'a> {
        let (bias, factors) = words(file, &self.constants).split_at(self.params.out_channels);
        let (multipliers, shifts) = factors.split_at(factors.len() / 2);
        Conv { weights, bias, multipliers, shifts, ..self.params }
    }

    fn run(&self, inputs: &Inputs, output: &mut [u8], bands: usize, context: &mut Context) {
        let weights = match &self.weights {
            Weights::File(range) => &inputs.file[range.clone()],
            Weights::Repacked(index) => &context.repacked[*index][..],
        };
        let (params, input) = (self.params(inputs.file, weights), inputs.get(&self.input));
        // One row has nothing but columns to share out, and its columns are as contiguous as rows are.
        if bands > 1
            && params.rows() == 1
            && let Some(unit) = pack::column_unit(self.kernel.kernel().layout, &params)
        {
            return self.run_columns(&params, weights, (input, output), (unit, bands), context);
        }
        let banded = context.rows(output, params.rows(), bands, self.kernel.kernel());
        banded.run(&|rows, out, scratch| {
            self.kernel.run(&params, weights, input, rows, out, &mut scratch[..self.scratch]);
        });
    }
}

impl ConvStep {
    /// Bands of whole units of output channels of the one row.
    fn run_columns(
        &self,
        params: &Conv,
        weights: &[u8],
        (input, output): (&[u8], &mut [u8]),
        (unit, bands): (usize, usize),
        context: &mut Context,
    ) {
        let (layout, channels) = (self.kernel.kernel().layout, params.out_channels);
        let unit_bytes = unit * params.output.elem.bits() / 8;
        let (parallel, scratch_each) = (context.parallel, context.scratch_each);
        let units = channels.div_ceil(unit);
        let bands = bands.min(units);
        let banded =
            Banded { parallel, bands, units, unit_bytes, output, scratch: context.scratch, scratch_each };
        banded.run(&|units, out, scratch| {
            let range = units.start * unit..channels.min(units.end * unit);
            let (part, weights) = pack::columns(layout, params, weights, range);
            self.kernel.run(&part, weights, input, 0..1, out, &mut scratch[..self.scratch]);
        });
    }
}

/// Bands of whole units of elements.
fn elements<'a>(
    output: &'a mut [u8],
    elem: ElemType,
    bands: usize,
    parallel: &'a dyn Parallel,
) -> Banded<'a> {
    let unit_bytes = UNIT_ELEMENTS * elem.bits() / 8;
    let units = output.len().div_ceil(unit_bytes);
    Banded { parallel, bands, units, unit_bytes, output, scratch: &mut [], scratch_each: 0 }
}

impl Elements {
    fn run(&self, inputs: &Inputs, output: &mut [u8], bands: usize, context: &Context) {
        // Bytes of a band in a tensor of `elem`; a band starts on a whole unit, so on a whole byte.
        let part = |bytes: &[u8], elem: ElemType, units: &Range<usize>| {
            let unit = UNIT_ELEMENTS * elem.bits() / 8;
            units.start * unit..bytes.len().min(units.end * unit)
        };
        match self {
            Elements::Add { kernel, params, first, second } => {
                let (first, second) = (inputs.optional(first), inputs.get(second));
                let banded = elements(output, params.output.elem, bands, context.parallel);
                banded.run(&|units, out, _| {
                    let first = first.map(|bytes| &bytes[part(bytes, params.first.elem, &units)]);
                    kernel.run(params, first, &second[part(second, params.second.elem, &units)], out);
                });
            }
            Elements::Table { kernel, table: range, input } => {
                let (input, entries) = (inputs.optional(input), table(inputs.file, range));
                let banded = elements(output, ElemType::U8, bands, context.parallel);
                banded.run(&|units, out, _| {
                    let input = input.map(|bytes| &bytes[part(bytes, ElemType::U8, &units)]);
                    kernel.run(entries, input, out);
                });
            }
            Elements::ChannelTable { kernel, tables, input } => {
                let (input, tables) =
                    (inputs.optional(input), bytemuck::cast_slice(&inputs.file[tables.clone()]));
                let (params, channels) = (ChannelTable { tables }, tables.len());
                let (units, parallel) = (output.len() / channels, context.parallel);
                let scratch = &mut [][..];
                let banded =
                    Banded { parallel, bands, units, unit_bytes: channels, output, scratch, scratch_each: 0 };
                banded.run(&|pixels, out, _| {
                    let input = input.map(|bytes| &bytes[pixels.start * channels..pixels.end * channels]);
                    kernel.run(&params, input, out);
                });
            }
            Elements::Requantize { kernel, params, input } => {
                let input = inputs.get(input);
                let banded = elements(output, params.to.elem, bands, context.parallel);
                banded.run(&|units, out, _| {
                    kernel.run(params, &input[part(input, params.from.elem, &units)], out);
                });
            }
        }
    }
}

impl Whole {
    fn run(&self, inputs: &Inputs, output: &mut [u8]) {
        match self {
            Whole::Add { params, shapes: [a, b, out], first, second } => {
                reference::add(params, (a, inputs.get(first)), (b, inputs.get(second)), out, output);
            }
            Whole::Mul { params, shapes: [a, b, out], first, second } => {
                reference::mul(params, (a, inputs.get(first)), (b, inputs.get(second)), out, output);
            }
            Whole::Mean { kernel, params, input } => kernel.run(params, inputs.get(input), output),
            Whole::Softmax { kernel, params, input } => kernel.run(params, inputs.get(input), output),
            Whole::Requantize { params: p, count, input } => {
                reference::requantize(p.from, p.scale, p.rounding, p.to, *count, inputs.get(input), output);
            }
        }
    }
}

impl Move {
    fn run(&self, inputs: &Inputs, output: &mut [u8]) {
        match self {
            Move::Nearest { walk, input } => walk.run(inputs.get(input), output),
            Move::Pad { elem, shape, before, value, out, input } => {
                movement::pad(*elem, shape, inputs.get(input), before, *value, out, output);
            }
            Move::Tile { elem, shape, out, input } => {
                movement::tile(*elem, shape, inputs.get(input), out, output);
            }
            Move::StridedCopy { elem, walk, input } => walk.run(*elem, inputs.get(input), output),
            Move::Concat { pitch, branches } => {
                for branch in branches {
                    let table = branch.table.as_ref().map(|range| table(inputs.file, range));
                    let input = inputs.get(&branch.input);
                    movement::concat(input, branch.run, table, output, branch.first, *pitch);
                }
            }
            Move::Gather { elem, shape, indices, by_reference, input } => {
                let (indices, input) = (words(inputs.file, indices), inputs.get(input));
                let gather = if *by_reference { reference::gather } else { movement::gather };
                gather(*elem, *shape, indices, input, output);
            }
            Move::Naive { naive, input } => naive.run(inputs.get(input), output),
            Move::Copy { input } => output.copy_from_slice(inputs.get(input)),
            Move::Nothing => {}
        }
    }
}

/// The parameters with the factors they borrow.
pub(crate) fn average_pool<'a>(
    params: &AveragePool<'static>,
    constants: &Option<Range<usize>>,
    file: &'a [u8],
) -> AveragePool<'a> {
    let rule = match constants {
        Some(range) => {
            let (multipliers, shifts) = words(file, range).split_at(params.window.taps());
            AverageRule::Rescale { multipliers, shifts }
        }
        None => AverageRule::RawHalfAway,
    };
    AveragePool { rule, ..*params }
}
