//! From the records of a file to bound steps. Everything that a kernel relies on is checked here, once: geometry,
//! lengths, ranges of constants, and that no step writes what it still reads.

use std::ops::Range;

use dyadic_format::{ModelView, OpKind, OperatorRecord, Params, Rule, Storage, TensorRecord};
use dyadic_kernels::ElemType;
use dyadic_kernels::isa::IsaKind;
use dyadic_kernels::params::{Dims, Output, Quant};
use dyadic_kernels::registry::{Choice, Kernel};
use dyadic_kernels::requant::{Dyadic, MAX_SHIFT, MIN_SHIFT, Rounding};

use crate::error::{LoadError, Warning};
use crate::model::elem_of;
use crate::step::{Place, Step, StepInfo, Work};

mod convolution;
mod elementwise;
mod movement;
mod spatial;

/// A problem of one step, to be wrapped with its number and name.
type Lowered<T> = Result<T, String>;

/// Work below this many multiply-adds (or bytes moved) per thread is done by one thread: waking another costs a few
/// microseconds, which this much work takes on one core.
const SPLIT_MACS: usize = 100_000;

/// A lowered model.
#[derive(Debug, Default)]
pub(crate) struct Program {
    pub(crate) steps: Vec<Step>,
    pub(crate) infos: Vec<StepInfo>,
    /// Scratch bytes of one band of the greediest kernel.
    pub(crate) scratch: usize,
    pub(crate) warnings: Vec<Warning>,
}

/// Lowers every operator for one machine.
pub(crate) fn lower(view: &ModelView, choice: Choice) -> Result<Program, LoadError> {
    let mut lowering = Lowering { view, choice, program: Program::default() };
    for &input in view.inputs() {
        let record = &view.tensors()[input as usize];
        let elem = elem_of(record);
        if (record.lo, record.hi) != (elem.min(), elem.max()) {
            // A narrower range would make the proofs depend on the caller.
            let name = view.text(record.name);
            return Err(LoadError::Model(format!(
                "input '{name}' has a proven range narrower than its type"
            )));
        }
    }
    for (number, op) in view.operators().iter().enumerate() {
        let step = lowering.operator(number, op).map_err(|problem| LoadError::Step {
            step: number,
            name: view.text(op.name).to_string(),
            problem,
        })?;
        lowering.program.steps.push(step);
    }
    Ok(lowering.program)
}

/// A step in the making: its work, its kernel, its multiply-adds and weight bytes.
struct Bound {
    work: Work,
    kernel: Option<&'static Kernel>,
    macs: u64,
    weight_bytes: u64,
}

impl Bound {
    /// A step that a function of the reference does.
    fn plain(work: Work) -> Bound {
        Bound { work, kernel: None, macs: 0, weight_bytes: 0 }
    }

    fn kernel(work: Work, kernel: &'static Kernel) -> Bound {
        Bound { work, kernel: Some(kernel), macs: 0, weight_bytes: 0 }
    }
}

struct Lowering<'v, 'a> {
    view: &'v ModelView<'a>,
    choice: Choice,
    program: Program,
}

impl<'a> Lowering<'_, 'a> {
    fn operator(&mut self, number: usize, op: &OperatorRecord) -> Lowered<Step> {
        let (Some(kind), Some(rule)) = (OpKind::from_number(op.kind), Rule::from_number(op.rule)) else {
            return Err("unknown operator or rule".to_string());
        };
        let output_number = self.view.operator_outputs(op)[0] as usize;
        let Place::Arena(output) = self.place(&self.view.tensors()[output_number])? else {
            return Err("the output is a constant".to_string());
        };
        let bound = match self.view.params(op) {
            Params::Conv2d(p) | Params::DepthwiseConv2d(p) | Params::FullyConnected(p) => {
                self.convolution(number, op, kind, rule, &p)?
            }
            Params::Add(p) => self.add(op, rule, &p, false, &output)?,
            Params::Sub(p) => self.add(op, rule, &p, true, &output)?,
            Params::Mul(p) => self.mul(op, rule, &p)?,
            Params::Requantize(p) => self.requantize(op, rule, &p)?,
            Params::Table(p) => self.table(op, &p, &output)?,
            Params::AveragePool2d(p) => self.average_pool(op, rule, &p)?,
            Params::MaxPool2d(p) => self.max_pool(op, &p)?,
            Params::Mean(p) => self.mean(op, rule, &p)?,
            Params::Softmax(p) => self.softmax(op, &p)?,
            Params::ResizeBilinear(p) => self.bilinear(op, rule, &p)?,
            Params::ResizeNearest(p) => self.nearest(op, rule, &p)?,
            Params::ArgMax(p) => self.argmax(op, &p)?,
            Params::Pad(p) => self.pad(op, &p)?,
            Params::Concat(p) => self.concat(op, &p, &output)?,
            Params::Reshape(_) => self.reshape(op, &output)?,
            Params::StridedCopy(p) => self.strided_copy(op, &p)?,
            Params::Tile(_) => self.tile(op)?,
        };
        self.check_overlap(op, &bound.work, &output)?;
        self.describe(op, kind, rule, output_number, &bound);
        Ok(Step { work: bound.work, output })
    }

    fn describe(&mut self, op: &OperatorRecord, kind: OpKind, rule: Rule, output: usize, bound: &Bound) {
        let tensors = self.view.tensors();
        let arena = |&&n: &&u32| tensors[n as usize].storage == Storage::Arena as u8;
        let read: u64 =
            self.view.operator_inputs(op).iter().filter(arena).map(|&n| tensors[n as usize].bytes).sum();
        self.program.infos.push(StepInfo {
            name: self.view.text(op.name).to_string(),
            kind,
            rule,
            kernel: bound
                .kernel
                .map_or(if matches!(bound.work, Work::Nothing) { "none" } else { "copy" }, |k| k.name),
            isa: bound.kernel.map_or(IsaKind::Portable, |k| k.isa),
            output,
            macs: bound.macs,
            weight_bytes: bound.weight_bytes,
            activation_bytes: if matches!(bound.work, Work::Nothing) {
                0
            } else {
                read + tensors[output].bytes
            },
        });
    }

    /// No input may share bytes with the output, except where the step was lowered as in place.
    fn check_overlap(&self, op: &OperatorRecord, work: &Work, output: &Range<usize>) -> Lowered<()> {
        let in_place = match work {
            Work::Nothing => return Ok(()),
            Work::Add { first: None, .. } | Work::Table { input: None, .. } => 1,
            // Concatenation sorts out its branches itself.
            Work::Concat { .. } => usize::from(op.inputs),
            _ => 0,
        };
        for &number in self.view.operator_inputs(op).iter().skip(in_place) {
            if let Place::Arena(range) = self.place(&self.view.tensors()[number as usize])?
                && range.start < output.end
                && output.start < range.end
            {
                return Err(format!("input {range:?} overlaps output {output:?} in the arena"));
            }
        }
        Ok(())
    }

    fn input(&self, op: &OperatorRecord, index: usize) -> &'a TensorRecord {
        &self.view.tensors()[self.view.operator_inputs(op)[index] as usize]
    }

    fn output(&self, op: &OperatorRecord) -> &'a TensorRecord {
        &self.view.tensors()[self.view.operator_outputs(op)[0] as usize]
    }

    /// The bytes of a tensor; the view checked that they lie inside.
    fn place(&self, tensor: &TensorRecord) -> Lowered<Place> {
        let start = usize::try_from(tensor.offset).map_err(|_| "offset does not fit this machine")?;
        let range = start..start + tensor.bytes as usize;
        if tensor.storage == Storage::Arena as u8 {
            return Ok(Place::Arena(range));
        }
        match self.view.constant(tensor) {
            Some(_) => Ok(Place::Constant(range)),
            None => Err("the file leaves these logical weights out".to_string()),
        }
    }

    fn input_place(&self, op: &OperatorRecord, index: usize) -> Lowered<Place> {
        self.place(self.input(op, index))
    }
}

/// Shape of a tensor.
fn dims(tensor: &TensorRecord) -> Lowered<Dims> {
    let extents: Vec<usize> = tensor.shape().iter().map(|&e| e as usize).collect();
    Dims::new(&extents).ok_or_else(|| "the shape is too large".to_string())
}

/// The four extents of an NHWC tensor.
fn nhwc(tensor: &TensorRecord) -> Lowered<[usize; 4]> {
    let extents: Vec<usize> = tensor.shape().iter().map(|&e| e as usize).collect();
    extents.try_into().map_err(|e: Vec<usize>| format!("shape {e:?}, expected 4 axes"))
}

fn quant(tensor: &TensorRecord) -> Quant {
    Quant { elem: elem_of(tensor), zero_point: tensor.zero_point }
}

fn output(tensor: &TensorRecord, lo: i32, hi: i32) -> Output {
    Output { elem: elem_of(tensor), zero_point: tensor.zero_point, lo, hi }
}

/// A dyadic factor whose multiplier may be anything from 0 to 2^31 - 1, as the mean of TFLite needs.
fn loose_dyadic(multiplier: i32, shift: i32) -> Lowered<Dyadic> {
    if multiplier < 0 || !(MIN_SHIFT..=MAX_SHIFT).contains(&shift) {
        return Err(format!("factor {multiplier} / 2^{shift}, expected a shift of 16 to 62"));
    }
    Ok(Dyadic { multiplier, shift })
}

/// A normalised dyadic factor.
fn dyadic(multiplier: i32, shift: i32) -> Lowered<Dyadic> {
    Dyadic::new(multiplier, shift).ok_or_else(|| {
        format!("factor {multiplier} / 2^{shift}, expected 0 or 2^30.. over a shift of 16 to 62")
    })
}

fn rounding(rule: Rule) -> Lowered<Rounding> {
    match rule {
        Rule::RequantOnce | Rule::MulOnce | Rule::MeanOnce | Rule::AverageOnce => Ok(Rounding::Once),
        Rule::RequantTwice | Rule::MulTwice | Rule::MeanTwice => Ok(Rounding::Twice),
        Rule::RequantOnceAway => Ok(Rounding::OnceAway),
        other => Err(format!("rule {} rounds no accumulator", other.name())),
    }
}

fn expect(ok: bool, problem: impl FnOnce() -> String) -> Lowered<()> {
    if ok { Ok(()) } else { Err(problem()) }
}

/// An element type that byte-wise kernels take.
fn expect_byte(tensor: &TensorRecord) -> Lowered<()> {
    let elem = elem_of(tensor);
    expect(matches!(elem, ElemType::U8 | ElemType::S8), || format!("type {}, expected u8 or s8", elem.name()))
}

fn expect_same_elem(a: &TensorRecord, b: &TensorRecord) -> Lowered<()> {
    expect(a.elem == b.elem, || format!("types {} and {} differ", elem_of(a).name(), elem_of(b).name()))
}
