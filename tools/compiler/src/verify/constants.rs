//! (c) Recomputes multipliers, shifts, tables and clamps from the stored scales.

use dyadic_format::operator::{
    AddParams, ChannelTableParams, ConvParams, MulParams, NO_TABLE, PoolParams, ScaleProduct, TableFunction,
    TableParams,
};
use dyadic_format::{ModelView, OpKind, OperatorRecord, Params, Rule, TensorRecord};
use dyadic_kernels::requant::Dyadic;

use super::{rules, scale, side};
use crate::emit::concat_function;
use crate::ir::Activation;
use crate::options::contract_of;
use crate::quantize::dyadic::FactorError;
use crate::quantize::scale::{argument_from_words, from_record};
use crate::quantize::{Contract, factors, table};
use crate::records::{codes, elem_of};

/// Every operator whose constants do not follow from its scales.
pub fn check(view: &ModelView) -> Vec<String> {
    let options = view.provenance().map(|p| view.text(p.options)).unwrap_or("");
    let Some(contract) = contract_of(options) else {
        return vec!["the provenance names no rounding contract".to_string()];
    };
    let checker = Checker { view, contract };
    let mut problems = Vec::new();
    for (number, op) in view.operators().iter().enumerate() {
        let problem = match checker.operator(op) {
            Ok(()) => continue,
            Err(Problem::Factor(error)) => error.to_string(),
            Err(Problem::Differs(what)) => what,
        };
        problems.push(format!("operator {number} ({}): {problem}", view.text(op.name)));
    }
    problems
}

enum Problem {
    Factor(FactorError),
    Differs(String),
}

impl From<FactorError> for Problem {
    fn from(error: FactorError) -> Problem {
        Problem::Factor(error)
    }
}

type Checked = Result<(), Problem>;

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, stored: T, computed: T) -> Checked {
    if stored == computed {
        return Ok(());
    }
    Err(Problem::Differs(format!("{what} is {stored:?}, the scales give {computed:?}")))
}

struct Checker<'v, 'a> {
    view: &'v ModelView<'a>,
    contract: Contract,
}

impl Checker<'_, '_> {
    fn tensor(&self, op: &OperatorRecord, input: usize) -> &TensorRecord {
        &self.view.tensors()[self.view.operator_inputs(op)[input] as usize]
    }

    fn output(&self, op: &OperatorRecord) -> &TensorRecord {
        &self.view.tensors()[self.view.operator_outputs(op)[0] as usize]
    }

    fn operator(&self, op: &OperatorRecord) -> Checked {
        let (from, to) = (self.tensor(op, 0), self.output(op));
        let (input, output) = (scale(self.view, from), scale(self.view, to));
        self.rule(op)?;
        match self.view.params(op) {
            Params::Conv2d(p) | Params::DepthwiseConv2d(p) | Params::FullyConnected(p) => {
                self.convolution(op, &p)
            }
            Params::Add(p) | Params::Sub(p) => {
                let second = scale(self.view, self.tensor(op, 1));
                let computed = factors::addition(input, second, output, self.contract)?;
                self.clamp(to, p.lo, p.hi)?;
                equal("addition", p, AddParams { lo: p.lo, hi: p.hi, ..computed })
            }
            Params::Mul(p) => {
                let second = scale(self.view, self.tensor(op, 1));
                self.clamp(to, p.lo, p.hi)?;
                self.factor(&p, factors::product(input, second, output, self.contract)?)
            }
            Params::Requantize(p) => {
                self.clamp(to, p.lo, p.hi)?;
                self.factor(&p, factors::rescale(input, output)?)
            }
            Params::Mean(p) => {
                let shape = from.shape();
                let reduced = |i: &usize| p.axes & 1 << i != 0;
                let count = (0..shape.len()).filter(reduced).map(|i| shape[i] as usize).product();
                let d = factors::mean(input, output, count, self.contract)?;
                self.whole(to, p.lo, p.hi)?;
                equal("factor of the mean", (p.multiplier, p.shift), (d.multiplier, d.shift))
            }
            Params::AveragePool2d(p) => self.average(op, &p, input, output),
            Params::MaxPool2d(p) => self.clamp(to, p.lo, p.hi),
            Params::Softmax(p) => {
                let computed = factors::softmax(argument_from_words(p.beta), input)?;
                equal("softmax factor", (p.multiplier, p.left_shift, p.diff_min), computed)
            }
            Params::Table(p) => self.table(&p, from, to),
            Params::Concat(_) => self.concat(op),
            Params::Pad(_) | Params::Reshape(_) | Params::StridedCopy(_) | Params::Tile(_) => Ok(()),
            Params::ResizeBilinear(_) | Params::ResizeNearest(_) | Params::ArgMax(_) => Ok(()),
            Params::Gather(_) => Ok(()),
            Params::ChannelTable(p) => self.channel_table(&p, from, to),
        }
    }

    /// The rule must be one that the contract has for the operator.
    fn rule(&self, op: &OperatorRecord) -> Checked {
        let (kind, rule) = (OpKind::from_number(op.kind), Rule::from_number(op.rule));
        let known = kind.zip(rule).is_some_and(|(k, r)| rules::rules(k, self.contract).contains(&r));
        if known {
            return Ok(());
        }
        let rule = rule.map_or("unknown", Rule::name);
        Err(Problem::Differs(format!("rule {rule} is not of the contract {}", self.contract.name())))
    }

    /// The clamp must be that of the quantizer.
    fn whole(&self, to: &TensorRecord, lo: i32, hi: i32) -> Checked {
        equal("clamp", (lo, hi), codes(to))
    }

    fn factor(&self, p: &MulParams, d: Dyadic) -> Checked {
        equal("factor", (p.multiplier, p.shift), (d.multiplier, d.shift))
    }

    /// The clamp must be that of one of the activations.
    fn clamp(&self, to: &TensorRecord, lo: i32, hi: i32) -> Checked {
        let of = |a| {
            let clamp = factors::clamp(a, elem_of(to), scale(self.view, to), to.zero_point);
            factors::within(clamp, codes(to))
        };
        let all = [Activation::None, Activation::Relu, Activation::Relu6, Activation::ReluN1To1];
        if all.into_iter().any(|a| of(a) == (lo, hi)) {
            return Ok(());
        }
        Err(Problem::Differs(format!("clamp {lo}..{hi} is that of no activation")))
    }

    fn convolution(&self, op: &OperatorRecord, p: &ConvParams) -> Checked {
        let (from, weights, to) = (self.tensor(op, 0), self.tensor(op, 1), self.output(op));
        let (input, output) = (scale(self.view, from), scale(self.view, to));
        let product = ScaleProduct::from_number(p.product).unwrap_or(ScaleProduct::Double);
        // Only TFLite's convolutions of u8 round the product of the scales to float32.
        let single = self.contract == Contract::Tflite && op.kind != OpKind::FullyConnected as u16;
        equal("product of the scales", product == ScaleProduct::Double || single, true)?;
        let scales = self.view.scales(weights);
        if op.rule == Rule::Accumulate as u16 {
            equal("number of scales of raw accumulators", self.view.scales(to).len(), 1)?;
            let follows = |weight| factors::follows(input, from_record(weight), output);
            equal("scale of raw accumulators follows", true, scales.iter().all(follows))?;
            return self.whole(to, p.lo, p.hi);
        }
        let channels = to.shape().last().copied().unwrap_or(1) as usize;
        let constants = &self.view.constants()[p.constants_first as usize..][..3 * channels];
        for c in 0..channels {
            let weight = scales.get(c).or(scales.first()).map_or(1.0, from_record);
            let d = factors::convolution(input, weight, output, product)?;
            let stored = (constants[channels + c], constants[2 * channels + c]);
            equal(&format!("factor of channel {c}"), stored, (d.multiplier, d.shift))?;
        }
        self.clamp(to, p.lo, p.hi)
    }

    fn average(&self, op: &OperatorRecord, p: &PoolParams, input: f32, output: f32) -> Checked {
        self.clamp(self.output(op), p.lo, p.hi)?;
        if op.rule != Rule::AverageOnce as u16 {
            return Ok(());
        }
        let taps = p.kernel[0] as usize * p.kernel[1] as usize;
        let constants = &self.view.constants()[p.constants_first as usize..][..2 * taps];
        for n in 1..=taps {
            let d = factors::mean(input, output, n, Contract::Dyadic)?;
            let stored = (constants[n - 1], constants[taps + n - 1]);
            equal(&format!("factor of {n} taps"), stored, (d.multiplier, d.shift))?;
        }
        Ok(())
    }

    fn table(&self, p: &TableParams, from: &TensorRecord, to: &TensorRecord) -> Checked {
        let function = u16::try_from(p.function).ok().and_then(TableFunction::from_number);
        let Some(function) = function else {
            return Err(Problem::Differs("unknown table function".to_string()));
        };
        equal("table function", rules::makes(self.contract, function), true)?;
        let arguments = [p.argument, p.second_argument].map(argument_from_words);
        let computed =
            table::build(function, arguments, side(self.view, from), side(self.view, to), (p.lo, p.hi))?;
        self.clamp(to, p.lo, p.hi)?;
        self.same_table(p.table, &computed)
    }

    fn channel_table(&self, p: &ChannelTableParams, from: &TensorRecord, to: &TensorRecord) -> Checked {
        self.clamp(to, p.lo, p.hi)?;
        let channels = to.shape().last().copied().unwrap_or(1);
        let words = &self.view.constants()[p.constants_first as usize..];
        for c in 0..channels {
            let (mantissa, exponent) = (words[c as usize], words[(channels + c) as usize]);
            let slope = argument_from_words([mantissa, exponent]);
            let (from, to) = (side(self.view, from), side(self.view, to));
            let computed = table::build(TableFunction::LeakyRelu, [slope, 0.0], from, to, (p.lo, p.hi))?;
            self.same_table(p.tables_first + c, &computed)?;
        }
        Ok(())
    }

    fn same_table(&self, number: u32, computed: &[u8; 256]) -> Checked {
        let stored = &self.view.tables()[number as usize];
        match stored.iter().zip(computed).position(|(a, b)| a != b) {
            None => Ok(()),
            Some(i) => equal(&format!("table {number} entry {i}"), stored[i], computed[i]),
        }
    }

    fn concat(&self, op: &OperatorRecord) -> Checked {
        let to = self.output(op);
        for (i, &number) in self.view.concat_tables(op).iter().enumerate() {
            let from = self.tensor(op, i);
            let same = from.zero_point == to.zero_point
                && from.elem == to.elem
                && scale(self.view, from) == scale(self.view, to);
            if number == NO_TABLE {
                equal(&format!("branch {i} without a table"), same, true)?;
            } else {
                let function = concat_function(self.contract);
                let computed =
                    table::build(function, [0.0; 2], side(self.view, from), side(self.view, to), codes(to))?;
                self.same_table(number, &computed)?;
            }
        }
        Ok(())
    }
}
