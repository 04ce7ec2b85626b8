//! Proofs: which values every tensor can take, and between which bounds every accumulator stays.
//!
//! For an output channel with weights `w`, bias `b` and centred inputs in `[xlo, xhi]`,
//! `hi = max(b, 0) + sum max(0, w*xlo, w*xhi)` and `lo = min(b, 0) + sum min(0, w*xlo, w*xhi)` bound every partial
//! sum in every order, padding included (each term may be absent). Ranges are propagated from layer to layer; the
//! model's inputs take every value of their type.

use dyadic_format::operator::{AddParams, ConvParams, MulParams, NO_TABLE, PoolParams};
use dyadic_format::{OperatorRecord, Params, Rule, TensorRecord};
use dyadic_kernels::params::Quant;
use dyadic_kernels::reference::add_value;
use dyadic_kernels::requant::{Dyadic, Rounding, rescale};

use crate::records::{Program, addition, conv_constants, elem_of, factor, output, quant, rounding};

/// An inclusive range of values.
pub type Range = (i32, i32);
/// Inclusive bounds of an accumulator.
pub type Interval = (i64, i64);

/// What was proven of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// One per tensor.
    pub ranges: Vec<Range>,
    /// One list per operator: an interval per output channel of a convolution, else empty.
    pub intervals: Vec<Vec<Interval>>,
}

/// An accumulator that may leave 32 bits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "operator {operator}: the accumulator of output channel {channel} may reach {lo} to {hi}, expected 32 bits"
)]
pub struct Overflow {
    /// Operator number.
    pub operator: usize,
    /// Output channel.
    pub channel: usize,
    /// Lower bound.
    pub lo: i64,
    /// Upper bound.
    pub hi: i64,
}

/// Proves ranges and intervals, operator by operator.
///
/// # Errors
/// The first accumulator that may overflow.
pub fn prove(program: &Program) -> Result<Proof, Overflow> {
    let mut proof = Proof {
        ranges: program.tensors.iter().map(|t| initial_range(program, t)).collect(),
        intervals: Vec::with_capacity(program.operators.len()),
    };
    for (number, op) in program.operators.iter().enumerate() {
        let (range, intervals) = operator(program, op, &proof.ranges);
        if let Some((channel, &(lo, hi))) = intervals.iter().enumerate().find(|(_, i)| !fits_32_bits(i)) {
            return Err(Overflow { operator: number, channel, lo, hi });
        }
        proof.ranges[program.operand(op, usize::from(op.inputs))] = range;
        proof.intervals.push(intervals);
    }
    Ok(proof)
}

fn fits_32_bits(&(lo, hi): &Interval) -> bool {
    i64::from(i32::MIN) <= lo && hi <= i64::from(i32::MAX)
}

/// A constant's smallest and largest element; for everything else the range of its type.
fn initial_range(program: &Program, tensor: &TensorRecord) -> Range {
    let elem = elem_of(tensor);
    let data =
        if tensor.storage == dyadic_format::Storage::Constant as u8 { program.constant(tensor) } else { &[] };
    let count = data.len() * 8 / elem.bits();
    let elements = tensor.shape().iter().map(|&e| e as usize).product::<usize>().min(count);
    let values = (0..elements).map(|i| elem.load(data, i));
    values
        .fold(None, |range: Option<Range>, v| Some(range.map_or((v, v), |r| union(r, (v, v)))))
        .unwrap_or((elem.min(), elem.max()))
}

fn union(a: Range, b: Range) -> Range {
    (a.0.min(b.0), a.1.max(b.1))
}

/// Range of the output and the intervals of one operator.
fn operator(program: &Program, op: &OperatorRecord, ranges: &[Range]) -> (Range, Vec<Interval>) {
    let kind = dyadic_format::OpKind::from_number(op.kind).unwrap_or(dyadic_format::OpKind::Reshape);
    let rule = Rule::from_number(op.rule).unwrap_or(Rule::Move);
    let out = program.output(op);
    let full = (elem_of(out).min(), elem_of(out).max());
    let first = ranges[program.operand(op, 0)];
    let range = match Params::from_words(kind, &op.params) {
        Params::Conv2d(p) | Params::DepthwiseConv2d(p) | Params::FullyConnected(p) => {
            return convolution(program, op, &p, rule, first);
        }
        Params::Add(p) => add_range(program, op, &p, rule, false, ranges),
        Params::Sub(p) => add_range(program, op, &p, rule, true, ranges),
        Params::Mul(p) => mul_range(program, op, &p, rule, ranges),
        Params::Requantize(p) => {
            let end = output(out, p.lo, p.hi);
            let at =
                |x: i32| end.saturate(rescale(x - program.input(op, 0).zero_point, factor(&p), round(rule)));
            (at(first.0), at(first.1))
        }
        Params::AveragePool2d(p) => average_range(program, op, &p, rule, first),
        Params::MaxPool2d(p) => (first.0.clamp(p.lo, p.hi), first.1.clamp(p.lo, p.hi)),
        Params::Mean(p) => {
            let shape = program.input(op, 0).shape();
            let reduced = |i: &usize| p.axes & 1 << i != 0;
            let count: i64 = (0..shape.len()).filter(reduced).map(|i| i64::from(shape[i])).product();
            let d = Dyadic { multiplier: p.multiplier, shift: p.shift };
            sum_range(quant(program.input(op, 0)), first, count, d, round(rule), output(out, p.lo, p.hi))
        }
        Params::Pad(p) => union(first, (p.value, p.value)),
        Params::Concat(_) => concat_range(program, op, ranges),
        Params::Table(p) => table_image(&program.tables[p.table as usize], out, first),
        Params::ChannelTable(p) => {
            let channels = out.shape().last().copied().unwrap_or(1) as usize;
            let tables = &program.tables[p.tables_first as usize..][..channels];
            tables.iter().map(|table| table_image(table, out, first)).reduce(union).unwrap_or(full)
        }
        Params::Gather(_) => first,
        Params::Reshape(_) | Params::StridedCopy(_) | Params::Tile(_) | Params::ResizeNearest(_) => first,
        // Beyond the border both taps are the same one, so no weight extrapolates.
        Params::ResizeBilinear(_) => first,
        Params::Softmax(_) => full,
        Params::ArgMax(p) => {
            let depth = program.input(op, 0).shape().get(p.axis as usize).copied().unwrap_or(1);
            (0, depth as i32 - 1)
        }
    };
    (range, Vec::new())
}

fn round(rule: Rule) -> Rounding {
    rounding(rule).unwrap_or(Rounding::Once)
}

fn convolution(
    program: &Program,
    op: &OperatorRecord,
    p: &ConvParams,
    rule: Rule,
    input: Range,
) -> (Range, Vec<Interval>) {
    let (weights, out) = (program.input(op, 1), program.output(op));
    let channels = out.shape().last().copied().unwrap_or(1) as usize;
    let [bias, multipliers, shifts] = conv_constants(program, p, rule, channels).unwrap_or_default();
    let zero_point = program.input(op, 0).zero_point;
    let centred = (i64::from(input.0) - i64::from(zero_point), i64::from(input.1) - i64::from(zero_point));
    let intervals = channel_intervals(quant(weights), program.constant(weights), bias, centred);
    let end = output(out, p.lo, p.hi);
    let at = |acc: i64, c: usize| {
        let acc = acc.clamp(i32::MIN.into(), i32::MAX.into()) as i32;
        if rule == Rule::Accumulate {
            return acc;
        }
        end.saturate(rescale(acc, Dyadic { multiplier: multipliers[c], shift: shifts[c] }, round(rule)))
    };
    let range = intervals.iter().enumerate().map(|(c, &(lo, hi))| (at(lo, c), at(hi, c))).reduce(union);
    (range.unwrap_or((p.lo, p.hi)), intervals)
}

/// The interval of every output channel: `bias.len()` rows of weights, centred inputs in `lo..=hi`.
pub fn channel_intervals(weight: Quant, weights: &[u8], bias: &[i32], (lo, hi): Interval) -> Vec<Interval> {
    let depth = (weights.len() * 8 / weight.elem.bits()) / bias.len().max(1);
    let row = |c: usize| {
        let start = (i64::from(bias[c]).min(0), i64::from(bias[c]).max(0));
        (c * depth..(c + 1) * depth).fold(start, |(below, above), i| {
            let w = i64::from(weight.elem.load(weights, i) - weight.zero_point);
            let (a, b) = (w * lo, w * hi);
            (below + a.min(b).min(0), above + a.max(b).max(0))
        })
    };
    (0..bias.len()).map(row).collect()
}

fn add_range(
    program: &Program,
    op: &OperatorRecord,
    p: &AddParams,
    rule: Rule,
    subtract: bool,
    ranges: &[Range],
) -> Range {
    let (a, b) = (program.input(op, 0), program.input(op, 1));
    let (ra, rb) = (ranges[program.operand(op, 0)], ranges[program.operand(op, 1)]);
    let add = addition(rule, p, subtract, [a, b, program.output(op)]);
    let at = |x: i32, y: i32| add.output.saturate(add_value(&add, x - a.zero_point, y - b.zero_point));
    if subtract { (at(ra.0, rb.1), at(ra.1, rb.0)) } else { (at(ra.0, rb.0), at(ra.1, rb.1)) }
}

fn mul_range(program: &Program, op: &OperatorRecord, p: &MulParams, rule: Rule, ranges: &[Range]) -> Range {
    let (a, b) = (program.input(op, 0), program.input(op, 1));
    let (ra, rb) = (ranges[program.operand(op, 0)], ranges[program.operand(op, 1)]);
    let end = output(program.output(op), p.lo, p.hi);
    let at = |x: i32, y: i32| {
        let product = i64::from(x - a.zero_point) * i64::from(y - b.zero_point);
        // Products of 8-bit values fit; wider ones no kernel takes.
        let product = product.clamp(i32::MIN.into(), i32::MAX.into()) as i32;
        let v = end.saturate(rescale(product, factor(p), round(rule)));
        (v, v)
    };
    // A product is monotone in each factor, so its extremes lie at corners.
    [at(ra.0, rb.1), at(ra.1, rb.0), at(ra.1, rb.1)].into_iter().fold(at(ra.0, rb.0), union)
}

fn average_range(program: &Program, op: &OperatorRecord, p: &PoolParams, rule: Rule, input: Range) -> Range {
    if rule == Rule::AverageHalfAway {
        return (input.0.clamp(p.lo, p.hi), input.1.clamp(p.lo, p.hi));
    }
    let taps = p.kernel[0] as usize * p.kernel[1] as usize;
    let constants = &program.constants[p.constants_first as usize..][..2 * taps];
    let end = output(program.output(op), p.lo, p.hi);
    let from = quant(program.input(op, 0));
    let of_count = |n: usize| {
        let d = Dyadic { multiplier: constants[n - 1], shift: constants[taps + n - 1] };
        sum_range(from, input, n as i64, d, Rounding::Once, end)
    };
    (1..=taps).map(of_count).reduce(union).unwrap_or((p.lo, p.hi))
}

/// Range of the rescaled sum of `count` values.
fn sum_range(
    from: Quant,
    (lo, hi): Range,
    count: i64,
    d: Dyadic,
    rounding: Rounding,
    end: dyadic_kernels::params::Output,
) -> Range {
    let at = |x: i32| {
        let sum = count * (i64::from(x) - i64::from(from.zero_point));
        end.saturate(rescale(sum.clamp(i32::MIN.into(), i32::MAX.into()) as i32, d, rounding))
    };
    (at(lo), at(hi))
}

fn concat_range(program: &Program, op: &OperatorRecord, ranges: &[Range]) -> Range {
    let count = usize::from(op.inputs);
    let branch = |i: usize| {
        let range = ranges[program.operand(op, i)];
        match program.operand(op, count + 1 + i) {
            number if number == NO_TABLE as usize => range,
            number => table_image(&program.tables[number], program.output(op), range),
        }
    };
    (0..count).map(branch).reduce(union).unwrap_or((0, 0))
}

/// Smallest and largest table value over a range of inputs.
fn table_image(table: &[u8; 256], to: &TensorRecord, (lo, hi): Range) -> Range {
    let value = |x: i32| {
        let v = elem_of(to).load(&[table[usize::from(x as u8)]], 0);
        (v, v)
    };
    (lo..=hi).map(value).reduce(union).unwrap_or((elem_of(to).min(), elem_of(to).max()))
}
