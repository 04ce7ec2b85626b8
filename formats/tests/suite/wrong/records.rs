//! Text, scales, intervals, tensors, packed weights, metadata.

use std::mem::offset_of;

use dyadic_format::records::{GoldenRecord, PackedRecord, ProvenanceRecord, RecipeRecord, TextRef};
use dyadic_format::section::SectionKind::*;
use dyadic_format::{OperatorRecord, Problem, TensorRecord};

use super::Says::{Exactly, Field, Names, Range};
use super::{number, o, of, provenance, refuse, t, tensor};

#[test]
#[rustfmt::skip]
fn text() {
    const NAME: usize = of!(TensorRecord, name);
    refuse(&[
        ("not UTF-8", |c| c.strings[7] = 0xff, Field("text", 0xff), Strings, 7),
        ("name beyond the end", |c| c.tensors[0].name.offset = 1 << 20, Range("tensor name"), Tensors, t(0, NAME)),
        ("name too long", |c| c.tensors[3].name.bytes = u32::MAX, Range("tensor name"), Tensors, t(3, NAME)),
        ("name of 65536 bytes", |c| { c.strings.resize(70_000, b'x'); c.tensors[0].name = TextRef { offset: 100, bytes: 65_536 }; }, Field("tensor name", 65_536), Tensors, t(0, NAME)),
        ("label cut inside a character", |c| c.labels[1].bytes = 10, Names("label"), Labels, 8),
        ("operator name", |c| c.operators[1].name.offset = u32::MAX, Range("operator name"), Operators, o(1, 0)),
    ]);
}

#[test]
#[rustfmt::skip]
fn scales_and_intervals() {
    refuse(&[
        ("scale of zero", |c| c.scales[1].mantissa = 0, Field("scale mantissa", 0), Scales, 8),
        ("scale below zero", |c| c.scales[0].mantissa = -1, Field("scale mantissa", -1), Scales, 0),
        ("25 bits", |c| c.scales[0].mantissa = 1 << 24, Field("scale mantissa", 1 << 24), Scales, 0),
        ("too small a scale", |c| c.scales[0].exponent = -150, Field("scale exponent", -150), Scales, 4),
        ("scale of 2^128", |c| c.scales[0].exponent = 128, Field("scale exponent", 128), Scales, 4),
        ("24 bits times 2^105", |c| (c.scales[0].mantissa, c.scales[0].exponent) = ((1 << 24) - 1, 105), Field("scale exponent", 105), Scales, 4),
        ("reserved scale field", |c| c.scales[0].reserved = 1, Field("reserved", 1), Scales, 6),
        ("interval upside down", |c| c.intervals[0].lo = 20_001, Field("interval", 20_000), Intervals, 8),
        ("33-bit lower bound", |c| c.intervals[1].lo = i64::from(i32::MIN) - 1, Field("interval", i64::from(i32::MIN) - 1), Intervals, 16),
        ("33-bit upper bound", |c| c.intervals[0].hi = 1 << 31, Field("interval", 1 << 31), Intervals, 8),
    ]);
}

#[test]
#[rustfmt::skip]
fn tensors() {
    const ELEM: usize = of!(TensorRecord, elem);
    const RANK: usize = of!(TensorRecord, rank);
    const DIMS: usize = of!(TensorRecord, dims);
    const OFFSET: usize = of!(TensorRecord, offset);
    const BYTES: usize = of!(TensorRecord, bytes);
    refuse(&[
        ("element type 0", |c| c.tensors[0].elem = 0, Field("element type", 0), Tensors, t(0, ELEM)),
        ("element type 7", |c| c.tensors[2].elem = 7, Field("element type", 7), Tensors, t(2, ELEM)),
        ("storage 0", |c| c.tensors[0].storage = 0, Field("storage", 0), Tensors, t(0, 9)),
        ("storage 4", |c| c.tensors[0].storage = 4, Field("storage", 4), Tensors, t(0, 9)),
        ("rank 9", |c| c.tensors[0].rank = 9, Field("rank", 9), Tensors, t(0, RANK)),
        ("rank 3 of 4 axes", |c| c.tensors[2].rank = 3, Field("unused extent", 2), Tensors, t(2, DIMS + 12)),
        ("reserved", |c| c.tensors[0].reserved = 1, Field("reserved", 1), Tensors, t(0, 11)),
        ("codes beyond the type", |c| c.tensors[0].codes = [0, 256], Field("codes", 256), Tensors, t(0, 84)),
        ("codes below the type", |c| c.tensors[0].codes = [-1, 3], Field("codes", -1), Tensors, t(0, 80)),
        ("codes upside down", |c| c.tensors[0].codes = [5, 4], Field("codes", 4), Tensors, t(0, 84)),
        ("more reserved", |c| c.tensors[0].reserved2[1] = 5, Field("reserved", 5), Tensors, t(0, 88)),
        ("extent 0", |c| c.tensors[0].dims[1] = 0, Field("extent", 0), Tensors, t(0, DIMS + 4)),
        ("2^31 elements", |c| c.tensors[0].dims[0] = 1 << 27, Field("element count", 1 << 31), Tensors, t(0, DIMS + 8)),
        ("elements beyond 64 bits", |c| c.tensors[0].dims = [u32::MAX; 8], Field("element count", u32::MAX as i64), Tensors, t(0, DIMS)),
        ("size too small", |c| c.tensors[0].bytes = 15, Field("tensor size", 15), Tensors, t(0, BYTES)),
        ("size too large", |c| c.tensors[1].bytes = 10, Field("tensor size", 10), Tensors, t(1, BYTES)),
        ("size of 64 bits", |c| c.tensors[0].bytes = !0, Field("tensor size", i64::MAX), Tensors, t(0, BYTES)),
        ("beyond the arena", |c| c.tensors[0].offset = 1 << 40, Range("arena offset"), Tensors, t(0, OFFSET)),
        ("offset wraps", |c| c.tensors[0].offset = !0, Range("arena offset"), Tensors, t(0, OFFSET)),
        ("odd offset of s16", |c| tensor(c, "wide").offset += 1, Names("arena offset"), Tensors, t(number("wide"), OFFSET)),
        ("packed only with an offset", |c| c.tensors[1].offset = 64, Field("constant offset", 64), Tensors, t(1, OFFSET)),
        ("constant not at 64", |c| tensor(c, "fw").offset = 1, Range("constant"), Tensors, t(number("fw"), OFFSET)),
        ("constant behind a gap", |c| { c.weights.splice(0..0, [0; 64]); tensor(c, "fw").offset = 64; }, Field("constant", 64), Tensors, t(number("fw"), OFFSET)),
        ("constant cut short", |c| c.weights.truncate(5), Range("constant"), Tensors, t(number("fw"), OFFSET)),
        ("a nibble behind an odd count", |c| { c.weights[5] = 0x15; let t = tensor(c, "fw"); (t.elem, t.dims) = (4, [11, 1, 1, 1, 1, 1, 1, 1]); }, Field("padding nibble", 1), Weights, 5),
        ("weights left over", |c| c.weights.push(0), Field("constant", 1), Weights, 6),
        ("zero point of u8", |c| c.tensors[0].zero_point = -1, Field("zero point", -1), Tensors, t(0, 12)),
        ("zero point of s8", |c| c.tensors[2].zero_point = 128, Field("zero point", 128), Tensors, t(2, 12)),
        ("zero point of s32", |c| tensor(c, "best").zero_point = 1, Field("zero point", 1), Tensors, t(number("best"), 12)),
        ("range below the type", |c| c.tensors[0].lo = -1, Field("value range", -1), Tensors, t(0, of!(TensorRecord, lo))),
        ("range beyond the type", |c| c.tensors[0].hi = 256, Field("value range", 256), Tensors, t(0, of!(TensorRecord, hi))),
        ("range upside down", |c| (c.tensors[0].lo, c.tensors[0].hi) = (9, 8), Field("value range", 8), Tensors, t(0, of!(TensorRecord, hi))),
    ]);
}

#[test]
#[rustfmt::skip]
fn scale_lists() {
    const FIRST: usize = of!(TensorRecord, scale_first);
    refuse(&[
        ("2 scales of 1 row", |c| c.tensors[0].scale_count = 2, Field("scale count", 2), Tensors, t(0, FIRST + 4)),
        ("scales shared", |c| c.tensors[1].scale_first = 0, Field("scales", 0), Tensors, t(1, FIRST)),
        ("scales with a gap", |c| c.tensors[1].scale_first = 2, Field("scales", 2), Tensors, t(1, FIRST)),
        ("scales beyond the end", |c| c.tensors[1].scale_first = !0, Range("scales"), Tensors, t(1, FIRST)),
        ("scale left over", |c| c.scales.push(c.scales[0]), Field("scales", 1), Scales, SCALES * 8),
    ]);
}

/// Scales of the model: one per tensor but the index output.
const SCALES: usize = 25;

#[test]
#[rustfmt::skip]
fn interface_and_packed_weights() {
    const OFFSET: usize = of!(PackedRecord, offset);
    refuse(&[
        ("no input", |c| c.inputs.clear(), Field("Inputs", 0), Inputs, 0),
        ("more outputs than tensors", |c| c.outputs = vec![c.outputs[0]; c.tensors.len() + 1], Field("Outputs", 27), Outputs, 0),
        ("no output", |c| c.outputs.clear(), Field("Outputs", 0), Outputs, 0),
        ("input beyond", |c| c.inputs[0] = 99, Range("tensor number"), Inputs, 0),
        ("constant output", |c| c.outputs[1] = 1, Field("storage", 3), Outputs, 4),
        ("packed for no operator", |c| c.packed_index[3].operator = 22, Range("operator number"), PackedIndex, 72),
        ("packed for an addition", |c| c.packed_index[2].operator = 3, Field("operator number", 3), PackedIndex, 48),
        ("layout 0", |c| c.packed_index[0].layout = 0, Field("layout", 0), PackedIndex, 4),
        ("layout twice", |c| c.packed_index[1].layout = 1, Field("packed index", 0), PackedIndex, 24),
        ("operators out of order", |c| c.packed_index[1].operator = 17, Field("packed index", 1), PackedIndex, 48),
        ("no packed bytes", |c| c.packed_index[0].bytes = 0, Field("packed weights", 0), PackedIndex, 16),
        ("packed beyond", |c| c.packed_index[3].bytes = !0, Range("packed weights"), PackedIndex, 72 + OFFSET),
        ("packed shared", |c| c.packed_index[1].offset = 0, Field("packed weights", 0), PackedIndex, 24 + OFFSET),
        ("packed not at 64", |c| c.packed_index[1].offset = 127, Field("packed weights", 127), PackedIndex, 24 + OFFSET),
        ("packed bytes in a gap", |c| c.packed[71] = 1, Field("padding", 1), Packed, 71),
        ("packed bytes left over", |c| c.packed.push(1), Field("packed weights", 1), Packed, 262),
        ("weights in no form", |c| { c.packed_index.remove(2); c.packed.drain(192..256); c.packed_index[2].offset = 192; }, Exactly(Problem::NotPacked { tensor: 3 }), Operators, o(1, of!(OperatorRecord, operands_first))),
    ]);
}

#[test]
#[rustfmt::skip]
fn metadata() {
    const DESCRIPTION: usize = of!(ProvenanceRecord, description);
    refuse(&[
        ("tool", |c| provenance(c).tool.offset = !0, Range("tool"), Provenance, of!(ProvenanceRecord, tool)),
        ("options", |c| provenance(c).options.bytes = !0, Range("options"), Provenance, of!(ProvenanceRecord, options)),
        ("description", |c| provenance(c).description.bytes = !0, Range("description"), Provenance, DESCRIPTION),
        ("recipe of input 1", |c| c.recipe[0].input = 1, Range("input number"), Recipe, 0),
        ("two recipes", |c| c.recipe.push(c.recipe[0]), Field("input number", 0), Recipe, 16),
        ("order 0", |c| c.recipe[0].order = 0, Field("channel order", 0), Recipe, of!(RecipeRecord, order)),
        ("order 4", |c| c.recipe[0].order = 4, Field("channel order", 4), Recipe, 4),
        ("3 gray channels", |c| c.recipe[0].channels = 3, Field("recipe channels", 3), Recipe, 12),
        ("1 channel of RGB", |c| c.recipe[0].order = 1, Field("recipe channels", 1), Recipe, 12),
        ("no such table", |c| c.recipe[0].tables_first = 2, Range("table number"), Recipe, 8),
        ("table beyond 32 bits", |c| c.recipe[0].tables_first = !0, Range("table number"), Recipe, 8),
        ("a table nobody uses", |c| c.tables.insert(1, [0; 256]), Field("table number", 2), Tables, 512),
        ("label", |c| c.labels[2].offset = !0, Range("label"), Labels, 16),
        ("golden output 4 of 4", |c| c.golden[1].output = 4, Range("output number"), Golden, 48 + of!(GoldenRecord, output)),
        ("golden reserved", |c| c.golden[0].reserved = 1, Field("reserved", 1), Golden, of!(GoldenRecord, reserved)),
    ]);
}
