//! Lowering: every operator of a checked file becomes a bound [`Step`]. All that a run relies on is checked here,
//! once: shapes against each other, constants against the ranges of their rules, inputs apart from outputs. What passes
//! runs without a panic and without touching a byte outside its tensors. (That every value is still there when it is
//! read was checked with the file.)

use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::ops::Range;

use dyadic_format::section::SectionKind;
use dyadic_format::{AlignedBytes, ElemCode, ModelView, OpKind, Params, Rule, Storage, TensorRecord};
use dyadic_kernels::ElemType;
use dyadic_kernels::isa::IsaKind;
use dyadic_kernels::params::Quant;
use dyadic_kernels::registry::{Choice, Kernel};
use dyadic_kernels::requant::Rounding;

use crate::error::{LoadError, Warning};
use crate::model::Model;
use crate::step::{Action, Step, StepInfo};

mod conv;
mod elementwise;
mod movement;
mod operator;
mod picture;
mod reduce;
mod weights;

use operator::Operator;

/// A lowered file.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) steps: Vec<Step>,
    pub(crate) infos: Vec<StepInfo>,
    pub(crate) repacked: Vec<AlignedBytes>,
    pub(crate) warnings: Vec<Warning>,
    /// Scratch bytes that one thread needs, a multiple of 64.
    pub(crate) scratch: usize,
}

/// What lowering needs besides the file, and what it gathers.
pub(crate) struct Lowering<'m> {
    model: &'m Model,
    choice: Choice,
    budget: &'m mut Budget,
    repacked: Vec<AlignedBytes>,
    /// Which weights `repacked` holds, in which form: each is made once, however many operators share it.
    forms: BTreeMap<weights::Form, usize>,
    warnings: Vec<Warning>,
}

/// Memory that a session may allocate.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: u64,
    used: u64,
}

impl Budget {
    pub(crate) fn new(limit: u64) -> Budget {
        Budget { limit, used: 0 }
    }

    /// Counts memory that is about to be allocated.
    pub(crate) fn claim(&mut self, bytes: u64) -> Result<(), LoadError> {
        let used = self.used.saturating_add(bytes);
        if used > self.limit {
            return Err(LoadError::Memory { bytes: used, limit: self.limit });
        }
        self.used = used;
        Ok(())
    }

    /// Counts memory no more that was freed again.
    pub(crate) fn release(&mut self, bytes: u64) {
        self.used = self.used.saturating_sub(bytes);
    }

    /// An empty list with room for `count` entries.
    pub(crate) fn list<T>(&mut self, count: usize) -> Result<Vec<T>, LoadError> {
        let bytes = (count as u64).saturating_mul(size_of::<T>() as u64);
        self.claim(bytes)?;
        let mut list = Vec::new();
        list.try_reserve_exact(count).map_err(|_| self.missing(bytes))?;
        Ok(list)
    }

    /// The system refused these bytes.
    pub(crate) fn missing(&self, bytes: u64) -> LoadError {
        LoadError::Memory { bytes, limit: self.limit }
    }

    /// Zeroed memory.
    pub(crate) fn allocate(&mut self, bytes: u64) -> Result<AlignedBytes, LoadError> {
        self.claim(bytes)?;
        let memory = usize::try_from(bytes).ok().and_then(AlignedBytes::zeroed);
        memory.ok_or_else(|| self.missing(bytes))
    }
}

/// Whether a step is work enough to be shared out: some eight microseconds of it, of which two threads save half, because a fork
/// and join with all threads awake was seen to cost two to four. On the cores that have NEON and nothing newer everything takes
/// several times as long. Other steps than convolutions wait for memory mostly.
fn is_worth_sharing(info: &StepInfo) -> bool {
    let depthwise = info.kind == OpKind::DepthwiseConv2d;
    let (macs, bytes) = match info.isa {
        IsaKind::Avx512Vnni if !depthwise => (1 << 21, 1 << 17),
        IsaKind::AvxVnni | IsaKind::I8mm if !depthwise => (1 << 20, 1 << 17),
        IsaKind::Avx2 | IsaKind::DotProd if !depthwise => (1 << 19, 1 << 17),
        IsaKind::Avx2 | IsaKind::AvxVnni | IsaKind::Avx512Vnni | IsaKind::DotProd | IsaKind::I8mm => {
            (1 << 18, 1 << 17)
        }
        IsaKind::Reference | IsaKind::Portable | IsaKind::Neon => (1 << 16, 1 << 15),
    };
    if info.macs == 0 { info.activation_bytes >= bytes } else { info.macs >= macs }
}

/// Lowers every operator.
pub(crate) fn lower(model: &Model, choice: Choice, budget: &mut Budget) -> Result<Program, LoadError> {
    let view = &model.view();
    model_inputs(view)?;
    let count = view.operators().len();
    let (mut steps, mut infos) = (budget.list(count)?, budget.list(count)?);
    let (repacked, warnings) = (budget.list(count)?, budget.list(count)?);
    let mut state = Lowering { model, choice, budget, repacked, forms: BTreeMap::new(), warnings };
    for index in 0..count {
        let op = Operator::new(view, index)?;
        let (action, kernel) = action(&op, &mut state)?;
        let info = info(&op, kernel, &mut state)?;
        let large = is_worth_sharing(&info);
        let output = op.arena(op.output());
        let odd_nibbles = op.elem(op.output()).bits() == 4 && op.elements(op.output()) % 2 == 1;
        steps.push(Step { output, large, odd_nibbles, action });
        infos.push(info);
    }
    let scratch = steps.iter().map(Step::scratch).max().unwrap_or(0).next_multiple_of(64);
    let Lowering { repacked, warnings, .. } = state;
    Ok(Program { steps, infos, repacked, warnings, scratch })
}

/// The proofs in the file hold for inputs of the range it states; any byte may be given, so that range must be whole.
fn model_inputs(view: &ModelView) -> Result<(), LoadError> {
    for &number in view.inputs() {
        let tensor = &view.tensors()[number as usize];
        let (min, max) = elem_of(tensor).range();
        if (tensor.lo, tensor.hi) != (min, max) {
            return Err(LoadError::Tensor {
                name: view.text(tensor.name).to_string(),
                what: "proven range of a model input",
                found: alloc::format!("{}..={}", tensor.lo, tensor.hi),
                expected: "the whole range of its type",
            });
        }
    }
    Ok(())
}

/// The name and instruction set of what computes a step.
type KernelName = (&'static str, IsaKind);

/// The name of a chosen kernel.
fn named(kernel: &'static Kernel) -> KernelName {
    (kernel.name, kernel.isa)
}

fn action(op: &Operator, state: &mut Lowering) -> Result<(Action, KernelName), LoadError> {
    let choice = state.choice;
    match op.params() {
        Params::Conv2d(p) | Params::DepthwiseConv2d(p) => conv::convolution(op, &p, state),
        Params::FullyConnected(p) => conv::fully_connected(op, &p, state),
        Params::Add(p) => elementwise::add(op, &p, false, choice),
        Params::Sub(p) => elementwise::add(op, &p, true, choice),
        Params::Mul(p) => elementwise::mul(op, &p),
        Params::Table(p) => elementwise::table(op, &p, choice),
        Params::Requantize(p) => elementwise::requantize(op, &p, choice),
        Params::AveragePool2d(p) => picture::average_pool(op, &p, choice),
        Params::MaxPool2d(p) => picture::max_pool(op, &p, choice),
        Params::ResizeBilinear(p) => picture::bilinear(op, &p, choice),
        Params::ResizeNearest(p) => picture::nearest(op, &p, choice, state.budget),
        Params::Mean(p) => reduce::mean(op, &p, choice),
        Params::Softmax(p) => reduce::softmax(op, &p, choice),
        Params::ArgMax(p) => reduce::argmax(op, &p, choice),
        Params::Pad(p) => movement::pad(op, &p, choice),
        Params::Concat(p) => movement::concat(op, &p, state.budget),
        Params::Reshape(_) => movement::reshape(op),
        Params::StridedCopy(p) => movement::strided_copy(op, &p, choice),
        Params::Tile(_) => movement::tile(op, choice),
        Params::Gather(p) => movement::gather(op, &p, choice),
        Params::ChannelTable(p) => elementwise::channel_table(op, &p, choice),
    }
}

fn info(op: &Operator, (kernel, isa): KernelName, state: &mut Lowering) -> Result<StepInfo, LoadError> {
    let bytes = |t: &TensorRecord| if t.storage == Storage::Arena as u8 { t.bytes } else { 0 };
    let constant = |t: &TensorRecord| if t.storage == Storage::Arena as u8 { 0 } else { t.bytes };
    let inputs = || (0..op.input_count()).map(|i| op.input(i));
    let (mut macs, mut weight_bytes) = (0, inputs().map(constant).sum::<u64>());
    if let OpKind::Conv2d | OpKind::DepthwiseConv2d | OpKind::FullyConnected = op.kind() {
        // One product per weight and output pixel.
        let channels = op.dims(op.output()).last().copied().unwrap_or(1) as u64;
        let pixels = op.elements(op.output()) as u64 / channels.max(1);
        macs = pixels.saturating_mul(op.elements(op.input(1)) as u64);
        weight_bytes += 4 * op.rule().constants_per_channel() as u64 * channels;
    }
    let mut numbers = state.budget.list(op.input_count())?;
    numbers.extend(op.input_numbers().iter().map(|&n| n as usize));
    Ok(StepInfo {
        operator: op.index(),
        name: state.model.name(op.text()),
        kind: op.kind(),
        rule: op.rule(),
        kernel,
        isa,
        inputs: numbers,
        output: op.output_number(),
        macs,
        weight_bytes,
        activation_bytes: inputs().map(bytes).sum::<u64>() + op.output().bytes,
    })
}

/// The kernels' name of an element type.
pub(crate) fn elem(code: ElemCode) -> ElemType {
    match code {
        ElemCode::U8 => ElemType::U8,
        ElemCode::S8 => ElemType::S8,
        ElemCode::U4 => ElemType::U4,
        ElemCode::S4 => ElemType::S4,
        ElemCode::S16 => ElemType::S16,
        ElemCode::S32 => ElemType::S32,
    }
}

/// The element type of a checked record.
fn elem_of(tensor: &TensorRecord) -> ElemCode {
    ElemCode::from_number(tensor.elem).unwrap_or(ElemCode::U8)
}

/// Type and zero point of a checked record.
fn quant(tensor: &TensorRecord) -> Quant {
    Quant { elem: elem(elem_of(tensor)), zero_point: tensor.zero_point }
}

/// The rounding of a rule that rescales one accumulator.
fn rounding(rule: Rule) -> Option<Rounding> {
    match rule {
        Rule::RequantOnce | Rule::MulOnce | Rule::MeanOnce | Rule::AverageOnce => Some(Rounding::Once),
        Rule::RequantTwice | Rule::MulTwice | Rule::MeanTwice => Some(Rounding::Twice),
        Rule::RequantOnceAway => Some(Rounding::OnceAway),
        Rule::AddJoint | Rule::AddSeparate | Rule::AddTflite => None,
        Rule::AverageHalfAway | Rule::Softmax | Rule::Table | Rule::Bilinear10 | Rule::BilinearRational => {
            None
        }
        Rule::BilinearSingle | Rule::NearestSingle => None,
        Rule::Nearest | Rule::Move | Rule::Max | Rule::ArgMax | Rule::Accumulate => None,
    }
}

/// Where a section starts in the file.
pub(crate) fn section_start(view: &ModelView, kind: SectionKind) -> usize {
    view.sections().iter().find(|s| s.kind == kind as u32).map_or(0, |s| s.offset as usize)
}

/// Entries `first..first + count` of a section as bytes of the file.
fn entries(view: &ModelView, kind: SectionKind, first: u32, count: usize) -> Range<usize> {
    let bytes = kind.record_bytes();
    let start = section_start(view, kind) + first as usize * bytes;
    start..start + count * bytes
}

/// Whether two ranges share a byte.
fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}
