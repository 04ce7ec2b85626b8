//! Rules and parameters of everything but convolutions and concatenations.

use dyadic_format::operator::{
    AddParams, ArgMaxParams, ChannelTableParams, GatherParams, MeanParams, MulParams, PadParams, PoolParams,
    ResizeParams, SoftmaxParams, StridedCopyParams, TableFunction, TableParams,
};
use dyadic_format::{Params, Rule};
use dyadic_kernels::ElemType;
use dyadic_kernels::params::Coordinates;

use super::{Emitter, NONE, clamp, side};
use crate::ir::{Function, Node, Op, Pool, Tensor};
use crate::quantize::dyadic::{FactorError, from_real};
use crate::quantize::scale::argument_to_words;
use crate::quantize::{Contract, factors, table};

impl Emitter<'_> {
    pub(super) fn params(&mut self, node: &Node) -> Result<(Rule, Params), FactorError> {
        let (from, to) = (self.ir(node.inputs[0]), self.ir(node.output));
        Ok(match &node.op {
            Op::Add { activation, subtract } => {
                let second = self.ir(node.inputs[1]);
                let factors = factors::addition(from.scale(), second.scale(), to.scale(), self.contract)?;
                let (lo, hi) = clamp(*activation, to);
                let params = AddParams { lo, hi, ..factors };
                let rule = self.by_contract(Rule::AddJoint, Rule::AddTflite);
                (rule, if *subtract { Params::Sub(params) } else { Params::Add(params) })
            }
            Op::Mul { activation } => {
                let second = self.ir(node.inputs[1]);
                let d = factors::product(from.scale(), second.scale(), to.scale(), self.contract)?;
                let (lo, hi) = clamp(*activation, to);
                let params = MulParams { multiplier: d.multiplier, shift: d.shift, lo, hi };
                (self.by_contract(Rule::MulOnce, Rule::MulTwice), Params::Mul(params))
            }
            Op::AveragePool(pool) => self.average_pool(node, pool)?,
            Op::MaxPool(pool) => {
                (Rule::Max, Params::MaxPool2d(pool_params(pool, clamp(pool.activation, to))))
            }
            Op::Mean { axes } => {
                let count = axes.iter().map(|&a| from.shape[a]).product();
                let d = factors::mean(from.scale(), to.scale(), count, self.contract)?;
                let mask = axes.iter().fold(0, |mask, &a| mask | 1 << a);
                let (lo, hi) = to.code_range();
                let params = MeanParams { axes: mask, multiplier: d.multiplier, shift: d.shift, lo, hi };
                (self.by_contract(Rule::MeanOnce, Rule::MeanTwice), Params::Mean(params))
            }
            Op::Unary(function) => self.unary(node, *function)?,
            Op::Softmax { beta } => {
                let (multiplier, left_shift, diff_min) = factors::softmax(*beta, from.scale())?;
                let beta = argument_to_words(*beta);
                (Rule::Softmax, Params::Softmax(SoftmaxParams { multiplier, left_shift, diff_min, beta }))
            }
            Op::Pad { before, value } => {
                let mut params = PadParams { before: [0; 8], value: *value };
                params.before.iter_mut().zip(before).for_each(|(p, &b)| *p = b as u32);
                (Rule::Move, Params::Pad(params))
            }
            Op::StridedCopy { start, strides } => {
                let mut params = StridedCopyParams { start: *start as u32, strides: [0; 8] };
                params.strides.iter_mut().zip(strides).for_each(|(p, &s)| *p = s as i32);
                (Rule::Move, Params::StridedCopy(params))
            }
            Op::Gather { axis, indices } => {
                let constants_first = self.contents.constants.len() as u32;
                self.contents.constants.extend(indices);
                (Rule::Move, Params::Gather(GatherParams { axis: *axis as u32, constants_first }))
            }
            Op::PRelu { slopes } => self.channel_table(node, slopes)?,
            Op::ArgMax { axis } => (Rule::ArgMax, Params::ArgMax(ArgMaxParams { axis: *axis as u32 })),
            Op::Reshape => (Rule::Move, Params::Reshape(NONE)),
            Op::Tile => (Rule::Move, Params::Tile(NONE)),
            // TFLite resizes u8 bilinearly, and finds nearest neighbours, by float32 steps.
            Op::ResizeBilinear(coordinates) => {
                let tflite = if from.elem == ElemType::U8 { Rule::BilinearSingle } else { Rule::Bilinear10 };
                let params = ResizeParams { coordinates: coordinates_number(*coordinates) };
                (self.by_contract(Rule::Bilinear10, tflite), Params::ResizeBilinear(params))
            }
            Op::ResizeNearest(coordinates) => {
                let params = ResizeParams { coordinates: coordinates_number(*coordinates) };
                (self.by_contract(Rule::Nearest, Rule::NearestSingle), Params::ResizeNearest(params))
            }
            // These have their own emitters.
            Op::Conv(_) | Op::Concat { .. } => (Rule::Move, Params::Reshape(NONE)),
        })
    }

    fn by_contract(&self, dyadic: Rule, tflite: Rule) -> Rule {
        match self.contract {
            Contract::Dyadic => dyadic,
            Contract::Tflite => tflite,
        }
    }

    /// TFLite averages raw codes whatever the scales; `dyadic` rescales, one factor per count of valid taps.
    fn average_pool(&mut self, node: &Node, pool: &Pool) -> Result<(Rule, Params), FactorError> {
        let (from, to) = (self.ir(node.inputs[0]), self.ir(node.output));
        let mut params = pool_params(pool, clamp(pool.activation, to));
        if self.contract == Contract::Tflite {
            return Ok((Rule::AverageHalfAway, Params::AveragePool2d(params)));
        }
        let taps = pool.kernel[0] * pool.kernel[1];
        let factor = |n: usize| factors::mean(from.scale(), to.scale(), n, Contract::Dyadic);
        let dyadics = (1..=taps).map(factor).collect::<Result<Vec<_>, _>>()?;
        params.constants_first = self.contents.constants.len() as u32;
        self.contents.constants.extend(dyadics.iter().map(|d| d.multiplier));
        self.contents.constants.extend(dyadics.iter().map(|d| d.shift));
        Ok((Rule::AverageOnce, Params::AveragePool2d(params)))
    }

    /// A table for 8-bit values, a requantization for wider ones.
    fn unary(&mut self, node: &Node, function: Function) -> Result<(Rule, Params), FactorError> {
        let (from, to) = (self.ir(node.inputs[0]), self.ir(node.output));
        let (lo, hi) = function_clamp(function, to);
        if from.elem.bits() != 8 || to.elem.bits() != 8 {
            let d = from_real(f64::from(from.scale()) / f64::from(to.scale()))?;
            let params = MulParams { multiplier: d.multiplier, shift: d.shift, lo, hi };
            let rule = self.by_contract(Rule::RequantOnce, Rule::RequantTwice);
            return Ok((rule, Params::Requantize(params)));
        }
        let (kind, arguments) = table_function(function, self.contract);
        let entries = table_of(function, self.contract, from, to)?;
        let (table, function) = (self.table(entries), kind as u32);
        let [argument, second_argument] = arguments.map(arguments_to_words);
        Ok((Rule::Table, Params::Table(TableParams { table, function, lo, hi, argument, second_argument })))
    }

    /// A leaky ReLU for every channel: neighbouring tables, the slopes among the constants.
    fn channel_table(&mut self, node: &Node, slopes: &[f32]) -> Result<(Rule, Params), FactorError> {
        let (from, to) = (self.ir(node.inputs[0]), self.ir(node.output));
        let (lo, hi) = to.code_range();
        let (tables_first, constants_first) =
            (self.contents.tables.len() as u32, self.contents.constants.len() as u32);
        for &slope in slopes {
            let function = TableFunction::LeakyRelu;
            self.contents.tables.push(table::build(function, [slope, 0.0], side(from), side(to), (lo, hi))?);
        }
        let words: Vec<[i32; 2]> = slopes.iter().map(|&slope| arguments_to_words(slope)).collect();
        self.contents.constants.extend(words.iter().map(|[mantissa, _]| mantissa));
        self.contents.constants.extend(words.iter().map(|[_, exponent]| exponent));
        let params = ChannelTableParams { tables_first, constants_first, lo, hi };
        Ok((Rule::Table, Params::ChannelTable(params)))
    }
}

/// A real argument as the file stores it: zeros for 0.
pub fn arguments_to_words(value: f32) -> [i32; 2] {
    if value == 0.0 { [0; 2] } else { argument_to_words(value) }
}

fn function_clamp(function: Function, to: &Tensor) -> (i32, i32) {
    match function {
        Function::Clamp(activation) => clamp(activation, to),
        Function::Rescale
        | Function::Quantize
        | Function::Logistic
        | Function::Tanh
        | Function::HardSwish
        | Function::LeakyRelu { .. }
        | Function::Elu { .. }
        | Function::Gelu
        | Function::GeluTanh
        | Function::HardSigmoid { .. }
        | Function::Swish { .. }
        | Function::Sign { .. } => to.code_range(),
    }
}

/// The table of a function between two 8-bit tensors.
///
/// # Errors
/// When a ratio of scales has no dyadic form.
pub fn table_of(
    function: Function,
    contract: Contract,
    from: &Tensor,
    to: &Tensor,
) -> Result<[u8; 256], FactorError> {
    let (kind, arguments) = table_function(function, contract);
    table::build(kind, arguments, side(from), side(to), function_clamp(function, to))
}

fn pool_params(pool: &Pool, (lo, hi): (i32, i32)) -> PoolParams {
    let two = |v: [usize; 2]| v.map(|x| x as u32);
    PoolParams {
        kernel: two(pool.kernel),
        stride: two(pool.stride),
        pad: two(pool.pad),
        constants_first: 0,
        lo,
        hi,
    }
}

/// The table function of a node under a contract, with its arguments.
pub fn table_function(function: Function, contract: Contract) -> (TableFunction, [f32; 2]) {
    let pick = |dyadic, tflite| match contract {
        Contract::Dyadic => dyadic,
        Contract::Tflite => tflite,
    };
    let kind = match function {
        Function::Rescale => pick(TableFunction::RescaleOnce, TableFunction::RescaleTwice),
        Function::Quantize => pick(TableFunction::RescaleOnce, TableFunction::QuantizeFloat),
        Function::Clamp(_) => pick(TableFunction::RescaleOnce, TableFunction::ReluTflite),
        Function::Logistic => pick(TableFunction::Logistic, TableFunction::LogisticTflite),
        Function::Tanh => pick(TableFunction::Tanh, TableFunction::TanhTflite),
        Function::HardSwish => pick(TableFunction::HardSwish, TableFunction::HardSwishTflite),
        Function::LeakyRelu { .. } => pick(TableFunction::LeakyRelu, TableFunction::LeakyReluTflite),
        Function::Elu { .. } => TableFunction::Elu,
        Function::Gelu => TableFunction::Gelu,
        Function::GeluTanh => TableFunction::GeluTanh,
        Function::HardSigmoid { .. } => TableFunction::HardSigmoid,
        Function::Swish { .. } => TableFunction::Swish,
        Function::Sign { .. } => TableFunction::Sign,
    };
    let arguments = match function {
        Function::LeakyRelu { alpha } | Function::Elu { alpha } | Function::Swish { alpha } => [alpha, 0.0],
        Function::Sign { magnitude } => [magnitude, 0.0],
        Function::HardSigmoid { alpha, beta } => [alpha, beta],
        _ => [0.0; 2],
    };
    (kind, arguments)
}

fn coordinates_number(coordinates: Coordinates) -> u32 {
    match coordinates {
        Coordinates::Asymmetric => 1,
        Coordinates::AlignCorners => 2,
        Coordinates::HalfPixel => 3,
    }
}
