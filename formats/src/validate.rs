//! Checks every record of a file once. Each function returns the first thing that is wrong.

use crate::error::{FormatError, Problem};
use crate::operator::{NO_TABLE, OpKind, OperatorRecord, Params, Rule, ScaleProduct, TableFunction};
use crate::records::{ChannelOrder, TextRef};
use crate::section::SectionKind;
use crate::tensor::{ElemCode, MAX_RANK, Storage, TensorRecord};
use crate::view::ModelView;

/// Largest arena, in bytes.
pub(crate) const MAX_ARENA: u64 = 1 << 40;
/// Most sections.
pub(crate) const MAX_SECTIONS: usize = 64;
/// Largest tensor, in elements.
const MAX_ELEMENTS: u64 = (1 << 31) - 1;

type Checked = Result<(), FormatError>;

/// One record under check: knows where its fields lie in the file.
struct Place<'v, 'a> {
    view: &'v ModelView<'a>,
    offset: u64,
}

impl Place<'_, '_> {
    fn fail(&self, problem: Problem) -> Checked {
        Err(FormatError { offset: self.offset, problem })
    }

    fn field(&self, ok: bool, field: &'static str, found: impl Into<i64>, expected: &'static str) -> Checked {
        if ok { Ok(()) } else { self.fail(Problem::Field { field, found: found.into(), expected }) }
    }

    fn range(&self, field: &'static str, first: u64, count: u64, limit: u64) -> Checked {
        match first.checked_add(count) {
            Some(end) if end <= limit => Ok(()),
            _ => self.fail(Problem::Range { field, first, count, limit }),
        }
    }

    fn text(&self, field: &'static str, text: TextRef) -> Checked {
        let strings = self.view.strings;
        self.range(field, text.offset.into(), text.bytes.into(), strings.len() as u64)?;
        let piece = &strings[text.offset as usize..][..text.bytes as usize];
        self.field(core::str::from_utf8(piece).is_ok(), field, text.offset, "UTF-8 text")
    }
}

pub(crate) fn records(view: &ModelView) -> Checked {
    let place = |kind: SectionKind, index: usize| {
        let section = view.sections.iter().find(|s| s.kind == kind as u32);
        let offset = section.map_or(0, |s| s.offset + (index * kind.record_bytes()) as u64);
        Place { view, offset }
    };
    for (i, scale) in view.scales.iter().enumerate() {
        let p = place(SectionKind::Scales, i);
        p.field((1..1 << 24).contains(&scale.mantissa), "scale mantissa", scale.mantissa, "1 to 2^24 - 1")?;
        p.field((-149..=127).contains(&scale.exponent), "scale exponent", scale.exponent, "-149 to 127")?;
        p.field(scale.reserved == 0, "reserved", scale.reserved, "0")?;
    }
    for (i, record) in view.tensors.iter().enumerate() {
        tensor(&place(SectionKind::Tensors, i), record)?;
    }
    for (i, interval) in view.intervals.iter().enumerate() {
        place(SectionKind::Intervals, i).field(
            interval.lo <= interval.hi,
            "interval",
            interval.lo,
            "lo <= hi",
        )?;
    }
    for (i, record) in view.operators.iter().enumerate() {
        operator(&place(SectionKind::Operators, i), record)?;
    }
    for (kind, list) in [(SectionKind::Inputs, view.inputs), (SectionKind::Outputs, view.outputs)] {
        for (i, &number) in list.iter().enumerate() {
            let p = place(kind, i);
            p.range("tensor number", number.into(), 1, view.tensors.len() as u64)?;
            let storage = view.tensors[number as usize].storage;
            p.field(storage == Storage::Arena as u8, "storage", storage, "arena")?;
        }
    }
    packed(view, &place)?;
    metadata(view, &place)
}

fn packed<'v, 'a>(view: &'v ModelView<'a>, place: &dyn Fn(SectionKind, usize) -> Place<'v, 'a>) -> Checked {
    for (i, record) in view.packed_index.iter().enumerate() {
        let p = place(SectionKind::PackedIndex, i);
        p.range("operator number", record.operator.into(), 1, view.operators.len() as u64)?;
        p.field(record.layout != 0, "layout", record.layout, "a layout number")?;
        p.field(record.offset.is_multiple_of(64), "packed offset", record.offset as i64, "a multiple of 64")?;
        p.range("packed weights", record.offset, record.bytes, view.packed.len() as u64)?;
        let key = |r: &crate::records::PackedRecord| (r.operator, r.layout);
        let ordered = i == 0 || key(&view.packed_index[i - 1]) < key(record);
        p.field(ordered, "packed index", record.operator, "operators in order, each layout once")?;
    }
    Ok(())
}

fn metadata<'v, 'a>(view: &'v ModelView<'a>, place: &dyn Fn(SectionKind, usize) -> Place<'v, 'a>) -> Checked {
    if let Some(section) = view.sections.iter().find(|s| s.kind == SectionKind::Provenance as u32) {
        let p = Place { view, offset: section.offset };
        let one = SectionKind::Provenance.record_bytes() as u64;
        p.field(section.bytes == one, "provenance length", section.bytes as i64, "one record")?;
    }
    if let Some(provenance) = view.provenance {
        let p = place(SectionKind::Provenance, 0);
        p.text("tool", provenance.tool)?;
        p.text("options", provenance.options)?;
        p.text("description", provenance.description)?;
    }
    for (i, recipe) in view.recipe.iter().enumerate() {
        let p = place(SectionKind::Recipe, i);
        p.range("input number", recipe.input.into(), 1, view.inputs.len() as u64)?;
        let order = ChannelOrder::from_number(recipe.order);
        p.field(order.is_some(), "channel order", recipe.order, "1 to 3")?;
        let channels = if order == Some(ChannelOrder::Gray) { 1 } else { 3 };
        p.field(recipe.channels == channels, "recipe channels", recipe.channels, "1 for gray, else 3")?;
        p.range("recipe tables", recipe.tables_first.into(), channels.into(), view.tables.len() as u64)?;
    }
    for (i, &label) in view.labels.iter().enumerate() {
        place(SectionKind::Labels, i).text("label", label)?;
    }
    for (i, golden) in view.golden.iter().enumerate() {
        let p = place(SectionKind::Golden, i);
        p.range("output number", golden.output.into(), 1, view.outputs.len() as u64)?;
        p.field(golden.reserved == 0, "reserved", golden.reserved, "0")?;
    }
    if let Some(section) = view.sections.iter().find(|s| s.kind == SectionKind::Signature as u32) {
        let p = Place { view, offset: section.offset };
        p.field(section.bytes == 0, "signature", section.bytes as i64, "no bytes in version 1")?;
    }
    Ok(())
}

fn tensor(p: &Place, t: &TensorRecord) -> Checked {
    p.text("tensor name", t.name)?;
    let Some(elem) = ElemCode::from_number(t.elem) else {
        return p.field(false, "element type", t.elem, "1 to 6");
    };
    let Some(storage) = Storage::from_number(t.storage) else {
        return p.field(false, "storage", t.storage, "1 or 2");
    };
    p.field(usize::from(t.rank) <= MAX_RANK, "rank", t.rank, "at most 8")?;
    p.field(t.reserved == 0 && t.reserved2 == [0; 4], "reserved", t.reserved, "0")?;
    let (used, rest) = t.dims.split_at(usize::from(t.rank));
    p.field(rest.iter().all(|&d| d == 1), "unused extent", t.rank, "1")?;
    let mut elements = 1u64;
    for &extent in used {
        p.field(extent >= 1, "extent", extent, "at least 1")?;
        // Both factors are below 2^32, so this product is exact.
        elements *= u64::from(extent);
        p.field(elements <= MAX_ELEMENTS, "element count", elements as i64, "below 2^31")?;
    }
    let bytes = (elements * elem.bits()).div_ceil(8);
    p.field(
        t.bytes == bytes,
        "tensor size",
        t.bytes.min(i64::MAX as u64) as i64,
        "shape times element size",
    )?;
    match storage {
        Storage::Arena => p.range("arena offset", t.offset, t.bytes, p.view.header.arena_bytes)?,
        Storage::Constant => {
            p.field(
                t.offset.is_multiple_of(64),
                "constant offset",
                (t.offset & 63) as i64,
                "a multiple of 64",
            )?;
            p.range("constant", t.offset, t.bytes, p.view.weights.len() as u64)?;
        }
    }
    let (min, max) = elem.range();
    let zero_point_ok =
        min <= t.zero_point && t.zero_point <= max && (elem != ElemCode::S32 || t.zero_point == 0);
    p.field(zero_point_ok, "zero point", t.zero_point, "a value of the element type (0 for s32)")?;
    p.field(min <= t.lo && t.lo <= t.hi && t.hi <= max, "value range", t.lo, "inside the element type")?;
    p.range("scales", t.scale_first.into(), t.scale_count.into(), p.view.scales.len() as u64)?;
    let count_ok = t.scale_count <= 1 || used.first() == Some(&t.scale_count);
    p.field(count_ok, "scale count", t.scale_count, "0, 1 or the extent of axis 0")
}

/// The parameters of a validated operator.
pub(crate) fn params(operator: &OperatorRecord) -> Params {
    // `open` refused every other number; the fallback is never reached.
    Params::from_words(OpKind::from_number(operator.kind).unwrap_or(OpKind::Reshape), &operator.params)
}

fn operator(p: &Place, op: &OperatorRecord) -> Checked {
    p.text("operator name", op.name)?;
    p.field(op.reserved == 0, "reserved", op.reserved, "0")?;
    let Some(kind) = OpKind::from_number(op.kind) else {
        return p.field(false, "operator kind", op.kind, "a known operator");
    };
    let Some(rule) = Rule::from_number(op.rule) else {
        return p.field(false, "rule", op.rule, "a known rule");
    };
    p.field(allowed(kind).contains(&rule), "rule", op.rule, "a rule of this operator")?;
    let (inputs, outputs) = (u64::from(op.inputs), u64::from(op.outputs));
    let arity_ok = match kind {
        OpKind::Concat => inputs >= 1,
        OpKind::Conv2d | OpKind::DepthwiseConv2d | OpKind::FullyConnected => inputs == 2,
        OpKind::Add | OpKind::Sub | OpKind::Mul => inputs == 2,
        OpKind::AveragePool2d | OpKind::MaxPool2d | OpKind::Mean | OpKind::Pad | OpKind::Reshape => {
            inputs == 1
        }
        OpKind::StridedCopy | OpKind::Tile | OpKind::Table | OpKind::Requantize | OpKind::Softmax => {
            inputs == 1
        }
        OpKind::ResizeBilinear | OpKind::ResizeNearest | OpKind::ArgMax => inputs == 1,
    };
    p.field(arity_ok, "input count", op.inputs, "the inputs of this operator")?;
    p.field(outputs == 1, "output count", op.outputs, "1")?;
    let operands = inputs + outputs + if kind == OpKind::Concat { inputs } else { 0 };
    p.range("operands", op.operands_first.into(), operands, p.view.operands.len() as u64)?;
    let operand = |i: u64| p.view.operands[op.operands_first as usize + i as usize];
    for i in 0..inputs + outputs {
        p.range("tensor number", operand(i).into(), 1, p.view.tensors.len() as u64)?;
    }
    let output = &p.view.tensors[operand(inputs) as usize];
    p.field(output.storage == Storage::Arena as u8, "output storage", output.storage, "arena")?;
    for i in inputs + outputs..operands {
        if operand(i) != NO_TABLE {
            p.range("table number", operand(i).into(), 1, p.view.tables.len() as u64)?;
        }
    }
    let (first, count) = (op.intervals_first.into(), op.intervals_count.into());
    p.range("intervals", first, count, p.view.intervals.len() as u64)?;
    let params = Params::from_words(kind, &op.params);
    p.field(params.words() == op.params, "unused parameters", op.kind, "0")?;
    references(p, op, &params, output)
}

/// Checks what parameters refer to: constants and tables.
fn references(p: &Place, op: &OperatorRecord, params: &Params, output: &TensorRecord) -> Checked {
    let constants = p.view.constants.len() as u64;
    let clamp = |lo: i32, hi: i32| {
        let (min, max) = ElemCode::from_number(output.elem).map_or((0, 0), ElemCode::range);
        p.field(min <= lo && lo <= hi && hi <= max, "clamp", lo, "lo <= hi inside the output type")
    };
    match params {
        Params::Conv2d(c) | Params::DepthwiseConv2d(c) | Params::FullyConnected(c) => {
            let channels = output.shape().last().copied().unwrap_or(1);
            let product = ScaleProduct::from_number(c.product);
            p.field(product.is_some(), "scale product", c.product, "1 or 2")?;
            p.range("convolution constants", c.constants_first.into(), 3 * u64::from(channels), constants)?;
            p.field(
                op.intervals_count == 0 || op.intervals_count == channels,
                "interval count",
                op.intervals_count,
                "one per output channel",
            )?;
            clamp(c.lo, c.hi)
        }
        Params::AveragePool2d(a) => {
            if op.rule == Rule::AverageOnce as u16 {
                let taps = u64::from(a.kernel[0]).saturating_mul(a.kernel[1].into());
                p.range("pooling constants", a.constants_first.into(), taps.saturating_mul(2), constants)?;
            }
            clamp(a.lo, a.hi)
        }
        Params::Table(t) => {
            p.range("table number", t.table.into(), 1, p.view.tables.len() as u64)?;
            let known = u16::try_from(t.function).ok().and_then(TableFunction::from_number).is_some();
            p.field(known, "table function", t.function, "a known function")?;
            clamp(t.lo, t.hi)
        }
        Params::Add(a) | Params::Sub(a) => clamp(a.lo, a.hi),
        Params::Mul(m) | Params::Requantize(m) => clamp(m.lo, m.hi),
        Params::MaxPool2d(a) => clamp(a.lo, a.hi),
        Params::Mean(m) => clamp(m.lo, m.hi),
        Params::Pad(a) => clamp(a.value, a.value),
        Params::Concat(_) | Params::Reshape(_) | Params::StridedCopy(_) | Params::Tile(_) => Ok(()),
        Params::Softmax(_) | Params::ResizeBilinear(_) | Params::ResizeNearest(_) | Params::ArgMax(_) => {
            Ok(())
        }
    }
}

/// The rules that an operator may name.
const fn allowed(kind: OpKind) -> &'static [Rule] {
    match kind {
        OpKind::Conv2d | OpKind::DepthwiseConv2d | OpKind::FullyConnected | OpKind::Requantize => {
            &[Rule::RequantOnce, Rule::RequantTwice, Rule::RequantOnceAway]
        }
        OpKind::Add | OpKind::Sub => &[Rule::AddJoint, Rule::AddSeparate, Rule::AddTflite],
        OpKind::Mul => &[Rule::MulOnce, Rule::MulTwice],
        OpKind::AveragePool2d => &[Rule::AverageOnce, Rule::AverageHalfAway],
        OpKind::MaxPool2d => &[Rule::Max],
        OpKind::Mean => &[Rule::MeanOnce, Rule::MeanTwice],
        OpKind::Pad | OpKind::Concat | OpKind::Reshape | OpKind::StridedCopy | OpKind::Tile => &[Rule::Move],
        OpKind::Table => &[Rule::Table],
        OpKind::Softmax => &[Rule::Softmax],
        OpKind::ResizeBilinear => &[Rule::Bilinear10, Rule::BilinearRational],
        OpKind::ResizeNearest => &[Rule::Nearest],
        OpKind::ArgMax => &[Rule::ArgMax],
    }
}
