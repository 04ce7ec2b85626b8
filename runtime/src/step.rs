//! A bound step: what one operator does, with its kernel, parameters and places, checked at load.

use alloc::vec::Vec;
use core::ops::Range;

use dyadic_format::{OpKind, Rule};
use dyadic_kernels::ElemType;
use dyadic_kernels::isa::IsaKind;
use dyadic_kernels::params::{
    Add, ArgMax, AveragePool, Conv, Dims, MAX_RANK, MaxPool, Mean, Mul, Requantize, Resize, Softmax,
};
use dyadic_kernels::registry::{
    AddFn, ArgMaxFn, AveragePoolFn, Bound, ChannelTableFn, ConvFn, MaxPoolFn, MeanFn, RequantizeFn, ResizeFn,
    SoftmaxFn, TableFn,
};

use crate::name::Name;

mod movement;
mod naive;
mod run;

pub(crate) use movement::{Nearest, Strided};
pub(crate) use naive::Naive;
pub(crate) use run::Context;

/// What is known about a step before it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StepInfo {
    /// Number of the operator in the file.
    pub operator: usize,
    /// The source nodes it stands for, comma-separated.
    pub name: Name,
    /// What it computes.
    pub kind: OpKind,
    /// Rounding and order of evaluation.
    pub rule: Rule,
    /// The kernel that runs; `in_place` where there is nothing to do.
    pub kernel: &'static str,
    /// Instruction set of the kernel.
    pub isa: IsaKind,
    /// Tensor numbers of the inputs.
    pub inputs: Vec<usize>,
    /// Tensor number of the output.
    pub output: usize,
    /// Multiply-accumulates of a convolution or fully connected layer; 0 for the others.
    pub macs: u64,
    /// Bytes of weights, bias and rescaling constants that a run reads.
    pub weight_bytes: u64,
    /// Bytes of activations that a run reads and writes.
    pub activation_bytes: u64,
}

/// Where an input lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// In the arena, apart from the output.
    Arena(Range<usize>),
    /// In the file.
    File(Range<usize>),
    /// In the output itself, element by element.
    InPlace,
}

/// Where a convolution's kernel finds its weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Weights {
    /// In the file: the logical or the packed bytes.
    File(Range<usize>),
    /// Made at load: entry of the session's list.
    Repacked(usize),
}

/// A checked operator.
#[derive(Debug)]
pub(crate) struct Step {
    /// Bytes of the output in the arena.
    pub(crate) output: Range<usize>,
    /// Whether there is enough work to share it out.
    pub(crate) large: bool,
    /// The output is an odd number of 4-bit elements: its last nibble is kept zero.
    pub(crate) odd_nibbles: bool,
    pub(crate) action: Action,
}

/// What a step does. Slices that parameters borrow are empty here and filled in from the file at every run.
#[derive(Debug)]
pub(crate) enum Action {
    /// Any rows of the output can be computed alone.
    Rows(Rows),
    /// An output element depends on the input elements of the same number.
    Elements(Elements),
    /// Computed at once.
    Whole(Whole),
    /// Bytes are moved.
    Move(Move),
}

/// Operators whose output rows can be computed alone.
#[derive(Debug)]
pub(crate) enum Rows {
    Conv(ConvStep),
    /// `constants`: multipliers, then shifts, one per count of taps.
    AveragePool {
        kernel: Bound<AveragePoolFn>,
        params: AveragePool<'static>,
        constants: Option<Range<usize>>,
        input: Source,
    },
    MaxPool {
        kernel: Bound<MaxPoolFn>,
        params: MaxPool,
        input: Source,
    },
    Bilinear {
        kernel: Bound<ResizeFn>,
        params: Resize,
        input: Source,
    },
    ArgMax {
        kernel: Bound<ArgMaxFn>,
        params: ArgMax,
        input: Source,
    },
}

/// Operators on equal shapes.
#[derive(Debug)]
pub(crate) enum Elements {
    Add { kernel: Bound<AddFn>, params: Add, first: Source, second: Source },
    Table { kernel: Bound<TableFn>, table: Range<usize>, input: Source },
    ChannelTable { kernel: Bound<ChannelTableFn>, tables: Range<usize>, input: Source },
    Requantize { kernel: Bound<RequantizeFn>, params: Requantize, input: Source },
}

/// Everything else that computes.
#[derive(Debug)]
pub(crate) enum Whole {
    /// `shapes`: first input, second input, output.
    Add {
        params: Add,
        shapes: [Dims; 3],
        first: Source,
        second: Source,
    },
    Mul {
        params: Mul,
        shapes: [Dims; 3],
        first: Source,
        second: Source,
    },
    Mean {
        kernel: Bound<MeanFn>,
        params: Mean,
        input: Source,
    },
    Softmax {
        kernel: Bound<SoftmaxFn>,
        params: Softmax,
        input: Source,
    },
    /// By the reference, where elements share bytes.
    Requantize {
        params: Requantize,
        count: usize,
        input: Source,
    },
}

/// Data movement.
#[derive(Debug)]
pub(crate) enum Move {
    Nearest {
        walk: Nearest,
        input: Source,
    },
    Pad {
        elem: ElemType,
        shape: Dims,
        before: [usize; MAX_RANK],
        value: i32,
        out: Dims,
        input: Source,
    },
    Tile {
        elem: ElemType,
        shape: Dims,
        out: Dims,
        input: Source,
    },
    StridedCopy {
        elem: ElemType,
        walk: Strided,
        input: Source,
    },
    Concat {
        pitch: usize,
        branches: Vec<Branch>,
    },
    /// `shape`: extents before the axis, along it, behind it; `indices` in the file.
    Gather {
        elem: ElemType,
        shape: [usize; 3],
        indices: Range<usize>,
        by_reference: bool,
        input: Source,
    },
    /// By the reference.
    Naive {
        naive: Naive,
        input: Source,
    },
    Copy {
        input: Source,
    },
    /// The input already is the output.
    Nothing,
}

/// Convolution, depthwise convolution, fully connected layer.
#[derive(Debug)]
pub(crate) struct ConvStep {
    pub(crate) kernel: Bound<ConvFn>,
    /// Without what they borrow, which lies in the file.
    pub(crate) params: Conv<'static>,
    pub(crate) weights: Weights,
    /// Bias, multipliers and shifts, `out_channels` of each; the bias alone for an s32 output.
    pub(crate) constants: Range<usize>,
    pub(crate) scratch: usize,
    pub(crate) input: Source,
}

/// One branch of a concatenation that is not made in its place.
#[derive(Debug)]
pub(crate) struct Branch {
    pub(crate) input: Source,
    /// Bytes of a run, and where a run starts in the output's.
    pub(crate) run: usize,
    pub(crate) first: usize,
    pub(crate) table: Option<Range<usize>>,
}

impl Step {
    /// Scratch bytes of one band.
    pub(crate) fn scratch(&self) -> usize {
        match &self.action {
            Action::Rows(Rows::Conv(conv)) => conv.scratch,
            Action::Rows(_) | Action::Elements(_) | Action::Whole(_) | Action::Move(_) => 0,
        }
    }
}
