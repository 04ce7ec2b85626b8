//! Operator records and their parameters.

use std::mem::offset_of;

use dyadic_format::operator::{
    AddParams, ArgMaxParams, ChannelTableParams, ConcatParams, ConvParams, GatherParams, MeanParams,
    MulParams, PadParams, PoolParams, ResizeParams, SoftmaxParams, StridedCopyParams, TableParams,
};
use dyadic_format::section::SectionKind::*;
use dyadic_format::{Contents, OperatorRecord};

use super::Says::{Field, Range};
use super::{o, of, p, refuse, set};

// Operators of the model, by number.
const CONV: usize = 0;
const LEAKY: usize = 2;
const ADD: usize = 3;
const MAX: usize = 4;
const AVERAGE: usize = 5;
const NEAREST: usize = 6;
const CONCAT: usize = 8;
const MEAN: usize = 9;
const MUL: usize = 10;
const SUB: usize = 11;
const PAD: usize = 12;
const COPY: usize = 14;
const FULLY: usize = 17;
const SOFTMAX: usize = 18;
const ARGMAX: usize = 19;
const GATHER: usize = 20;
const CHANNEL: usize = 21;

#[test]
#[rustfmt::skip]
fn operators() {
    const KIND: usize = of!(OperatorRecord, kind);
    const RULE: usize = of!(OperatorRecord, rule);
    const INPUTS: usize = of!(OperatorRecord, inputs);
    const FIRST: usize = of!(OperatorRecord, operands_first);
    const INTERVALS: usize = of!(OperatorRecord, intervals_first);
    refuse(&[
        ("kind 0", |c| c.operators[0].kind = 0, Field("operator kind", 0), Operators, o(0, KIND)),
        ("kind 99", |c| c.operators[0].kind = 99, Field("operator kind", 99), Operators, o(0, KIND)),
        ("rule 0", |c| c.operators[0].rule = 0, Field("rule", 0), Operators, o(0, RULE)),
        ("rule 99", |c| c.operators[0].rule = 99, Field("rule", 99), Operators, o(0, RULE)),
        ("rule of another operator", |c| c.operators[ADD].rule = 1, Field("rule", 1), Operators, o(ADD, RULE)),
        ("1 input", |c| c.operators[ADD].inputs = 1, Field("input count", 1), Operators, o(ADD, INPUTS)),
        ("no branch", |c| c.operators[CONCAT].inputs = 0, Field("input count", 0), Operators, o(CONCAT, INPUTS)),
        ("65535 branches", |c| c.operators[CONCAT].inputs = !0, Range("operands"), Operators, o(CONCAT, FIRST)),
        ("no output", |c| c.operators[0].outputs = 0, Field("output count", 0), Operators, o(0, INPUTS + 2)),
        ("2 outputs", |c| c.operators[0].outputs = 2, Field("output count", 2), Operators, o(0, INPUTS + 2)),
        ("operands shared", |c| c.operators[1].operands_first = 0, Field("operands", 0), Operators, o(1, FIRST)),
        ("operands beyond", |c| c.operators[1].operands_first = !0, Range("operands"), Operators, o(1, FIRST)),
        ("operand left over", |c| c.operands.push(0), Field("operands", 1), Operands, 4 * OPERANDS),
        ("no such tensor", |c| c.operands[0] = 99, Range("tensor number"), Operands, 0),
        ("no such output", |c| c.operands[2] = u32::MAX, Range("tensor number"), Operands, 8),
        ("arena weights", |c| c.operands[1] = 0, Field("weight storage", 1), Operands, 4),
        ("constant output", |c| c.operands[2] = 1, Field("output storage", 3), Operands, 8),
        ("input that is packed only", |c| c.operands[0] = 1, Field("input storage", 3), Operands, 0),
        ("no such table", |c| c.operands[CONCAT_TABLES + 1] = 2, Range("table number"), Operands, 4 * CONCAT_TABLES + 4),
        ("reserved", |c| c.operators[4].reserved = 3, Field("reserved", 3), Operators, o(4, of!(OperatorRecord, reserved))),
        ("1 interval of 2", |c| c.operators[0].intervals_count = 1, Field("interval count", 1), Operators, o(0, INTERVALS + 4)),
        ("interval of an addition", |c| c.operators[ADD].intervals_count = 2, Field("interval count", 2), Operators, o(ADD, INTERVALS + 4)),
        ("intervals shared", |c| c.operators[FULLY].intervals_first = 0, Field("intervals", 0), Operators, o(FULLY, INTERVALS)),
        ("intervals beyond", |c| c.operators[0].intervals_first = !0, Range("intervals"), Operators, o(0, INTERVALS)),
        ("interval left over", |c| c.intervals.push(c.intervals[0]), Field("intervals", 1), Intervals, 5 * 16),
        ("parameters of nothing", |c| c.operators[13].params[0] = 1, Field("unused parameters", 1), Operators, p(13, 0)),
        ("a word too many", |c| c.operators[0].params[23] = 1, Field("unused parameters", 1), Operators, p(0, 92)),
    ]);
}

/// Operands of the model, and where the tables of the concatenation begin.
const OPERANDS: usize = 53;
const CONCAT_TABLES: usize = 22;

#[test]
#[rustfmt::skip]
fn convolution_parameters() {
    const FIRST: usize = of!(ConvParams, constants_first);
    refuse(&[
        ("stride 0", |c| set(c, CONV, 0, 0), Field("stride", 0), Operators, p(CONV, 0)),
        ("stride 2^31", |c| set(c, CONV, 4, i32::MIN), Field("stride", 1 << 31), Operators, p(CONV, 4)),
        ("dilation 0", |c| set(c, CONV, 12, 0), Field("dilation", 0), Operators, p(CONV, 12)),
        ("padding -1", |c| set(c, CONV, 16, -1), Field("padding", 0xffff_ffff), Operators, p(CONV, 16)),
        ("no group", |c| set(c, CONV, of!(ConvParams, groups), 0), Field("groups", 0), Operators, p(CONV, 24)),
        ("product 0", |c| set(c, CONV, 40, 0), Field("scale product", 0), Operators, p(CONV, 40)),
        ("product 3", |c| set(c, CONV, 40, 3), Field("scale product", 3), Operators, p(CONV, 40)),
        ("clamp below", |c| set(c, CONV, 32, -129), Field("clamp", -129), Operators, p(CONV, 32)),
        ("clamp above", |c| set(c, CONV, 36, 128), Field("clamp", 128), Operators, p(CONV, 36)),
        ("clamp upside down", |c| { set(c, CONV, 32, 127); set(c, CONV, 36, 126) }, Field("clamp", 126), Operators, p(CONV, 36)),
        ("constants shared", |c| set(c, 1, FIRST, 0), Field("constants", 0), Operators, p(1, FIRST)),
        ("constants beyond", |c| set(c, CONV, FIRST, -1), Range("constants"), Operators, p(CONV, FIRST)),
        ("constant left over", |c| c.constants.push(0), Field("constants", 1), Constants, 4 * CONSTANTS),
        ("multiplier not normal", |c| c.constants[2] = (1 << 30) - 1, Field("multiplier", (1 << 30) - 1), Constants, 4 * 2),
        ("multiplier below zero", |c| c.constants[3] = -1, Field("multiplier", -1), Constants, 4 * 3),
        ("shift 15", |c| c.constants[4] = 15, Field("shift", 15), Constants, 4 * 4),
        ("clamp of an accumulator", |c| c.operators[FULLY].rule = 23, Field("clamp", -128), Operators, p(FULLY, 32)),
        ("accumulators of 8 bits", |c| { c.operators[FULLY].rule = 23; set(c, FULLY, 32, i32::MIN) }, Field("clamp", -(1 << 31)), Operators, p(FULLY, 32)),
        ("shift 63", |c| c.constants[5] = 63, Field("shift", 63), Constants, 4 * 5),
    ]);
}

/// Constants of the model.
const CONSTANTS: usize = 32;

#[test]
#[rustfmt::skip]
fn arithmetic_parameters() {
    const SHIFTS: usize = of!(AddParams, shifts);
    refuse(&[
        ("joint multiplier", |c| set(c, ADD, 4, 1 << 24), Field("multiplier", 1 << 24), Operators, p(ADD, 4)),
        ("joint multiplier below zero", |c| set(c, ADD, 0, -1), Field("multiplier", -1), Operators, p(ADD, 0)),
        ("joint shift 0", |c| set(c, ADD, SHIFTS, 0), Field("shift", 0), Operators, p(ADD, SHIFTS)),
        ("joint shift 63", |c| set(c, ADD, SHIFTS, 63), Field("shift", 63), Operators, p(ADD, SHIFTS)),
        ("joint sum", |c| set(c, ADD, 8, 1), Field("unused parameters", 1), Operators, p(ADD, 8)),
        ("joint second shift", |c| set(c, ADD, SHIFTS + 4, 1), Field("unused parameters", 1), Operators, p(ADD, SHIFTS + 4)),
        ("addition's clamp", |c| set(c, ADD, 28, 300), Field("clamp", 300), Operators, p(ADD, 28)),
        ("separate multiplier", |c| set(c, SUB, 0, 1), Field("multiplier", 1), Operators, p(SUB, 0)),
        ("separate shift", |c| set(c, SUB, SHIFTS + 4, 15), Field("shift", 15), Operators, p(SUB, SHIFTS + 4)),
        ("separate sum", |c| set(c, SUB, SHIFTS + 8, 16), Field("unused parameters", 16), Operators, p(SUB, SHIFTS + 8)),
        ("TFLite factor above 1/2", |c| tflite(c, [30, 31, 40]), Field("shift", 30), Operators, p(SUB, SHIFTS)),
        ("TFLite second factor", |c| tflite(c, [31, 16, 40]), Field("shift", 16), Operators, p(SUB, SHIFTS + 4)),
        ("TFLite sum of 2", |c| tflite(c, [31, 31, 29]), Field("shift", 29), Operators, p(SUB, SHIFTS + 8)),
        ("multiplier of a product", |c| set(c, MUL, 0, 5), Field("multiplier", 5), Operators, p(MUL, 0)),
        ("shift of a product", |c| set(c, MUL, 4, 63), Field("shift", 63), Operators, p(MUL, 4)),
        ("clamp of a product", |c| set(c, MUL, of!(MulParams, hi), -1), Field("clamp", -1), Operators, p(MUL, 12)),
        ("axis 4 of 4", |c| set(c, MEAN, 0, 16), Field("axes", 16), Operators, p(MEAN, 0)),
        ("mean's multiplier", |c| set(c, MEAN, of!(MeanParams, multiplier), 1), Field("multiplier", 1), Operators, p(MEAN, 4)),
        ("mean's shift", |c| set(c, MEAN, 8, 99), Field("shift", 99), Operators, p(MEAN, 8)),
        ("mean's clamp", |c| set(c, MEAN, 12, 999), Field("clamp", 999), Operators, p(MEAN, 12)),
        ("mean below zero", |c| { c.operators[MEAN].rule = 11; set(c, MEAN, 4, -1); }, Field("multiplier", -1), Operators, p(MEAN, 4)),
        ("softmax multiplier", |c| set(c, SOFTMAX, 0, 1), Field("multiplier", 1), Operators, p(SOFTMAX, 0)),
        ("softmax shift", |c| set(c, SOFTMAX, 4, 32), Field("left shift", 32), Operators, p(SOFTMAX, 4)),
        ("softmax shift below zero", |c| set(c, SOFTMAX, 4, -1), Field("left shift", -1), Operators, p(SOFTMAX, 4)),
        ("softmax difference", |c| set(c, SOFTMAX, 8, 1), Field("least difference", 1), Operators, p(SOFTMAX, 8)),
        ("softmax difference", |c| set(c, SOFTMAX, 8, -249), Field("least difference", -249), Operators, p(SOFTMAX, 8)),
        ("beta of zero", |c| set(c, SOFTMAX, of!(SoftmaxParams, beta), 0), Field("mantissa", 0), Operators, p(SOFTMAX, 12)),
        ("exponent of beta", |c| set(c, SOFTMAX, 16, 128), Field("exponent", 128), Operators, p(SOFTMAX, 16)),
    ]);
}

/// TFLite's rule for the subtraction, with these shifts over multipliers of 2^30.
fn tflite(c: &mut Contents, shifts: [i32; 3]) {
    c.operators[SUB].rule = 5;
    for (i, shift) in shifts.into_iter().enumerate() {
        set(c, SUB, 4 * i, 1 << 30);
        set(c, SUB, of!(AddParams, shifts) + 4 * i, shift);
    }
}

#[test]
#[rustfmt::skip]
fn other_parameters() {
    const FIRST: usize = of!(PoolParams, constants_first);
    const STRIDES: usize = of!(StridedCopyParams, strides);
    refuse(&[
        ("window 0", |c| set(c, MAX, 0, 0), Field("window", 0), Operators, p(MAX, 0)),
        ("pool stride 0", |c| set(c, MAX, 12, 0), Field("stride", 0), Operators, p(MAX, 12)),
        ("pool padding", |c| set(c, MAX, 16, i32::MIN), Field("padding", 1 << 31), Operators, p(MAX, 16)),
        ("pool clamp", |c| set(c, MAX, 28, -500), Field("clamp", -500), Operators, p(MAX, 28)),
        ("constants of a maximum", |c| set(c, MAX, FIRST, 1), Field("unused parameters", 1), Operators, p(MAX, FIRST)),
        ("window of 2^62 taps", |c| { set(c, AVERAGE, 0, i32::MAX); set(c, AVERAGE, 4, i32::MAX) }, Range("constants"), Operators, p(AVERAGE, FIRST)),
        ("factor of 3 taps", |c| c.constants[14] = 7, Field("multiplier", 7), Constants, 4 * 14),
        ("padding beyond", |c| set(c, PAD, 4, 5), Field("padding", 5), Operators, p(PAD, 4)),
        ("padding of no axis", |c| set(c, PAD, 8, 1), Field("padding", 1), Operators, p(PAD, 8)),
        ("padding value", |c| set(c, PAD, of!(PadParams, value), 128), Field("padding value", 128), Operators, p(PAD, 32)),
        ("concat axis", |c| set(c, CONCAT, of!(ConcatParams, axis), 4), Field("axis", 4), Operators, p(CONCAT, 0)),
        ("argmax axis", |c| set(c, ARGMAX, of!(ArgMaxParams, axis), 2), Field("axis", 2), Operators, p(ARGMAX, 0)),
        ("copy from before", |c| set(c, COPY, 0, 1), Field("first element read", -1), Operators, p(COPY, 0)),
        ("copy from behind", |c| set(c, COPY, 0, 3), Field("last element read", 4), Operators, p(COPY, 0)),
        ("start beyond 2^31", |c| set(c, COPY, 0, -1), Field("last element read", 1 << 32), Operators, p(COPY, 0)),
        ("least stride", |c| set(c, COPY, STRIDES, i32::MIN), Field("first element read", -(1 << 31)), Operators, p(COPY, 0)),
        ("stride of no axis", |c| set(c, COPY, STRIDES + 28, 1), Field("unused stride", 1), Operators, p(COPY, STRIDES + 28)),
        ("table 2 of 2", |c| set(c, LEAKY, of!(TableParams, table), 2), Range("table number"), Operators, p(LEAKY, 0)),
        ("function 0", |c| set(c, LEAKY, 4, 0), Field("table function", 0), Operators, p(LEAKY, 4)),
        ("function 65537", |c| set(c, LEAKY, 4, 65537), Field("table function", 65537), Operators, p(LEAKY, 4)),
        ("table clamp", |c| set(c, LEAKY, 8, -129), Field("clamp", -129), Operators, p(LEAKY, 8)),
        ("slope of 25 bits", |c| set(c, LEAKY, 16, -(1 << 24)), Field("mantissa", -(1 << 24)), Operators, p(LEAKY, 16)),
        ("slope of a second kind", |c| set(c, LEAKY, 24, 1 << 24), Field("mantissa", 1 << 24), Operators, p(LEAKY, 24)),
        ("gather axis", |c| set(c, GATHER, of!(GatherParams, axis), 2), Field("axis", 2), Operators, p(GATHER, 0)),
        ("index below 0", |c| c.constants[29] = -1, Field("index", -1), Constants, 4 * 29),
        ("index 3 of 3", |c| c.constants[29] = 3, Field("index", 3), Constants, 4 * 29),
        ("indices shared", |c| set(c, GATHER, 4, 28), Field("constants", 28), Operators, p(GATHER, 4)),
        ("table 2 of a channel", |c| set(c, CHANNEL, of!(ChannelTableParams, tables_first), 2), Range("table number"), Operators, p(CHANNEL, 0)),
        ("slopes apart", |c| set(c, CHANNEL, 4, 31), Range("constants"), Operators, p(CHANNEL, 4)),
        ("slope of 25 bits", |c| c.constants[30] = 1 << 24, Field("mantissa", 1 << 24), Constants, 4 * 30),
        ("exponent of a slope", |c| c.constants[31] = 128, Field("exponent", 128), Constants, 4 * 31),
        ("clamp of a channel table", |c| set(c, CHANNEL, 12, 128), Field("clamp", 128), Operators, p(CHANNEL, 12)),
        ("coordinates 0", |c| set(c, NEAREST, of!(ResizeParams, coordinates), 0), Field("coordinates", 0), Operators, p(NEAREST, 0)),
        ("coordinates 4", |c| set(c, NEAREST, 0, 4), Field("coordinates", 4), Operators, p(NEAREST, 0)),
    ]);
}
