//! Bound steps: a kernel, its parameters, and where everything lies. A step borrows nothing; places are byte ranges of
//! the arena or of the file's sections and were checked when the step was made.

use std::ops::Range;

use dyadic_format::{OpKind, Rule};
use dyadic_kernels::ElemType;
use dyadic_kernels::isa::IsaKind;
use dyadic_kernels::params::{
    Add, AveragePool, Conv, Dims, MAX_RANK, MaxPool, Mean, Mul, Output, Quant, Resize, Softmax,
};
use dyadic_kernels::registry::{
    AddFn, AveragePoolFn, Bound, ConvFn, MaxPoolFn, MeanFn, ResizeFn, SoftmaxFn, TableFn,
};
use dyadic_kernels::requant::{Dyadic, Rounding};

/// What a caller may know of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepInfo {
    /// Source nodes, comma-separated.
    pub name: String,
    /// Operator.
    pub kind: OpKind,
    /// Rounding rule.
    pub rule: Rule,
    /// Name of the kernel, or of what stands for it.
    pub kernel: &'static str,
    /// Instruction set of the kernel.
    pub isa: IsaKind,
    /// Number of the output tensor in the file.
    pub output: usize,
    /// Multiply-adds of one run.
    pub macs: u64,
    /// Bytes of weights that a run reads.
    pub weight_bytes: u64,
    /// Bytes of activations that a run reads and writes.
    pub activation_bytes: u64,
}

/// Where bytes lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the arena.
    Arena(Range<usize>),
    /// In the file's logical weights.
    Constant(Range<usize>),
}

/// A bound step.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) work: Work,
    /// The output's bytes in the arena.
    pub(crate) output: Range<usize>,
}

/// Weights as the kernel wants them.
#[derive(Debug)]
pub(crate) enum Weights {
    /// Logical bytes in the file's weights section.
    Logical(Range<usize>),
    /// Entry of the file's packed index.
    Packed(usize),
    /// Made at load.
    Owned(Vec<u8>),
}

/// A tensor operand with its shape.
#[derive(Clone, Debug)]
pub(crate) struct Operand {
    pub(crate) place: Place,
    pub(crate) dims: Dims,
}

/// One input of a concatenation.
#[derive(Debug)]
pub(crate) struct Branch {
    pub(crate) place: Place,
    /// Bytes of one contiguous run.
    pub(crate) run: usize,
    /// First byte in each output run.
    pub(crate) first: usize,
    /// Table number.
    pub(crate) table: Option<usize>,
}

/// A strided copy.
#[derive(Clone, Debug)]
pub(crate) struct Strided {
    pub(crate) start: usize,
    pub(crate) strides: [isize; MAX_RANK],
    pub(crate) out: Dims,
}

/// What a step does.
#[derive(Debug)]
pub(crate) enum Work {
    /// Nothing: the output shares its input's bytes.
    Nothing,
    Copy(Place),
    Conv {
        kernel: Bound<ConvFn>,
        /// Without its slices, which are filled in at each run.
        conv: Conv<'static>,
        weights: Weights,
        /// First of bias, multipliers, shifts in the file's constants.
        constants: usize,
        input: Place,
        /// Worth splitting among threads.
        split: bool,
    },
    Add {
        kernel: Bound<AddFn>,
        add: Add,
        first: Option<Place>,
        second: Place,
        split: bool,
    },
    AddBroadcast {
        add: Add,
        first: Operand,
        second: Operand,
        out: Dims,
    },
    Mul {
        mul: Mul,
        first: Operand,
        second: Operand,
        out: Dims,
    },
    Table {
        kernel: Bound<TableFn>,
        table: usize,
        input: Option<Place>,
        split: bool,
    },
    AveragePool {
        kernel: Bound<AveragePoolFn>,
        /// Without its rule's slices.
        pool: AveragePool<'static>,
        /// First of multipliers and shifts in the file's constants; `None` for raw codes.
        constants: Option<usize>,
        input: Place,
        split: bool,
    },
    MaxPool {
        kernel: Bound<MaxPoolFn>,
        pool: MaxPool,
        input: Place,
        split: bool,
    },
    Mean {
        kernel: Bound<MeanFn>,
        mean: Mean,
        input: Place,
    },
    Softmax {
        kernel: Bound<SoftmaxFn>,
        softmax: Softmax,
        input: Place,
    },
    Bilinear {
        kernel: Bound<ResizeFn>,
        resize: Resize,
        input: Place,
        split: bool,
    },
    Nearest {
        resize: Resize,
        /// Coordinates in float32 steps instead of exact fractions.
        single: bool,
        input: Place,
    },
    Pad {
        elem: ElemType,
        input: Operand,
        before: [usize; MAX_RANK],
        value: i32,
        out: Dims,
    },
    Concat {
        outer: usize,
        pitch: usize,
        branches: Vec<Branch>,
    },
    StridedCopy {
        elem: ElemType,
        copy: Strided,
        input: Place,
    },
    Tile {
        elem: ElemType,
        input: Operand,
        out: Dims,
    },
    Requantize {
        from: Quant,
        scale: Dyadic,
        rounding: Rounding,
        to: Output,
        count: usize,
        input: Place,
    },
    ArgMax {
        elem: ElemType,
        outer: usize,
        depth: usize,
        inner: usize,
        input: Place,
    },
}
