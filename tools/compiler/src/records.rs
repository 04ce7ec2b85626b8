//! Format records to kernel parameters, for the parts of the compiler that reason about a finished program: the
//! proofs and `verify`. (The runtime has its own, stricter way: it must refuse what this may assume.)

use dyadic_format::operator::{AddParams, ConvParams, MulParams, Rule};
use dyadic_format::records::IntervalRecord;
use dyadic_format::{Contents, ElemCode, ModelView, OperatorRecord, TensorRecord};
use dyadic_kernels::ElemType;
use dyadic_kernels::params::{Add, AddRule, Output, Quant};
use dyadic_kernels::requant::{Dyadic, Rounding};

/// The records of a program, from a file or from one being made.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    /// Tensors.
    pub tensors: &'a [TensorRecord],
    /// Operators.
    pub operators: &'a [OperatorRecord],
    /// Operands.
    pub operands: &'a [u32],
    /// Tensor numbers of the inputs.
    pub inputs: &'a [u32],
    /// Constants.
    pub constants: &'a [i32],
    /// Tables.
    pub tables: &'a [[u8; 256]],
    /// Logical weights.
    pub weights: &'a [u8],
}

impl<'a> Program<'a> {
    /// The program of a file being made.
    pub fn of_contents(c: &'a Contents) -> Program<'a> {
        Program {
            tensors: &c.tensors,
            operators: &c.operators,
            operands: &c.operands,
            inputs: &c.inputs,
            constants: &c.constants,
            tables: &c.tables,
            weights: &c.weights,
        }
    }

    /// The program of a checked file.
    pub fn of_view(v: &ModelView<'a>) -> Program<'a> {
        Program {
            tensors: v.tensors(),
            operators: v.operators(),
            operands: v.operands(),
            inputs: v.inputs(),
            constants: v.constants(),
            tables: v.tables(),
            weights: v.weights(),
        }
    }

    /// Operand `index` of an operator: inputs, then outputs, then tables.
    pub fn operand(&self, op: &OperatorRecord, index: usize) -> usize {
        self.operands[op.operands_first as usize + index] as usize
    }

    /// Input tensor `index` of an operator.
    pub fn input(&self, op: &OperatorRecord, index: usize) -> &'a TensorRecord {
        &self.tensors[self.operand(op, index)]
    }

    /// The output tensor of an operator.
    pub fn output(&self, op: &OperatorRecord) -> &'a TensorRecord {
        &self.tensors[self.operand(op, usize::from(op.inputs))]
    }

    /// Bytes of a constant tensor.
    pub fn constant(&self, tensor: &TensorRecord) -> &'a [u8] {
        let bytes = self.weights.get(tensor.offset as usize..).and_then(|w| w.get(..tensor.bytes as usize));
        bytes.unwrap_or(&[])
    }
}

/// The codes that the quantizer of a tensor gives.
pub fn codes(tensor: &TensorRecord) -> (i32, i32) {
    ElemCode::from_number(tensor.elem).map_or((0, 0), |elem| tensor.code_range(elem))
}

/// The kernels' name of an element type.
pub fn elem(code: ElemCode) -> ElemType {
    match code {
        ElemCode::U8 => ElemType::U8,
        ElemCode::S8 => ElemType::S8,
        ElemCode::U4 => ElemType::U4,
        ElemCode::S4 => ElemType::S4,
        ElemCode::S16 => ElemType::S16,
        ElemCode::S32 => ElemType::S32,
    }
}

/// The format's name of an element type.
pub fn elem_code(elem: ElemType) -> ElemCode {
    match elem {
        ElemType::U8 => ElemCode::U8,
        ElemType::S8 => ElemCode::S8,
        ElemType::U4 => ElemCode::U4,
        ElemType::S4 => ElemCode::S4,
        ElemType::S16 => ElemCode::S16,
        ElemType::S32 => ElemCode::S32,
    }
}

/// Element type of a checked record.
pub fn elem_of(tensor: &TensorRecord) -> ElemType {
    ElemCode::from_number(tensor.elem).map_or(ElemType::U8, elem)
}

/// Type and zero point of a checked record.
pub fn quant(tensor: &TensorRecord) -> Quant {
    Quant { elem: elem_of(tensor), zero_point: tensor.zero_point }
}

/// The end of an operation.
pub fn output(tensor: &TensorRecord, lo: i32, hi: i32) -> Output {
    Output { elem: elem_of(tensor), zero_point: tensor.zero_point, lo, hi }
}

/// The rounding of a one-accumulator rule.
pub fn rounding(rule: Rule) -> Option<Rounding> {
    match rule {
        Rule::RequantOnce | Rule::MulOnce | Rule::MeanOnce | Rule::AverageOnce => Some(Rounding::Once),
        Rule::RequantTwice | Rule::MulTwice | Rule::MeanTwice => Some(Rounding::Twice),
        Rule::RequantOnceAway => Some(Rounding::OnceAway),
        Rule::AddJoint | Rule::AddSeparate | Rule::AddTflite => None,
        Rule::AverageHalfAway | Rule::Softmax | Rule::Table | Rule::Bilinear10 | Rule::BilinearRational => {
            None
        }
        Rule::BilinearSingle | Rule::Nearest | Rule::NearestSingle => None,
        Rule::Move | Rule::Max | Rule::ArgMax | Rule::Accumulate => None,
    }
}

/// Bias, multipliers and shifts of a convolution with so many output channels; the latter are empty where the accumulator
/// is the output. `None` where they lie outside the section.
pub fn conv_constants<'a>(
    program: &Program<'a>,
    p: &ConvParams,
    rule: Rule,
    channels: usize,
) -> Option<[&'a [i32]; 3]> {
    let count = rule.constants_per_channel() * channels;
    let (bias, factors) =
        program.constants.get(p.constants_first as usize..)?.get(..count)?.split_at(channels);
    let (multipliers, shifts) = factors.split_at(factors.len() / 2);
    Some([bias, multipliers, shifts])
}

/// The factor of a product or requantization.
pub fn factor(p: &MulParams) -> Dyadic {
    Dyadic { multiplier: p.multiplier, shift: p.shift }
}

/// The addition of a checked record.
pub fn addition(rule: Rule, p: &AddParams, subtract: bool, [a, b, out]: [&TensorRecord; 3]) -> Add {
    let d = |i: usize| Dyadic { multiplier: p.multipliers[i], shift: p.shifts[i] };
    let rule = match rule {
        Rule::AddTflite => AddRule::Tflite { first: d(0), second: d(1), sum: d(2) },
        Rule::AddSeparate => AddRule::Separate { first: d(0), second: d(1) },
        _ => AddRule::Joint { m1: p.multipliers[0], m2: p.multipliers[1], shift: p.shifts[0] },
    };
    Add { first: quant(a), second: quant(b), subtract, rule, output: output(out, p.lo, p.hi) }
}

/// An interval as the file stores it.
pub fn interval((lo, hi): (i64, i64)) -> IntervalRecord {
    IntervalRecord { lo, hi }
}
