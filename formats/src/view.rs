//! [`ModelView`]: a checked file, read in place.

use crate::container::{Sections, digest};
use crate::error::{FormatError, Problem};
use crate::header::Header;
use crate::operator::{OpKind, OperatorRecord, Params};
use crate::records::{
    GoldenRecord, IntervalRecord, PackedRecord, ProvenanceRecord, RecipeRecord, ScaleRecord, TextRef,
};
use crate::section::{SectionKind, SectionRecord};
use crate::tensor::{Storage, TensorRecord};
use crate::validate;

/// A valid file. Every reference between records, every enum, every length, every factor and the memory plan were
/// checked by [`ModelView::open`]; what an operation demands of its shapes and types is the runtime's business.
///
/// Accessors that take a record give nothing (an empty slice) for a record of another file; none panics, not even when
/// the bytes have changed since ([`ModelView::reopen`]).
#[derive(Clone, Copy, Debug)]
pub struct ModelView<'a> {
    pub(crate) file: &'a [u8],
    pub(crate) header: &'a Header,
    pub(crate) sections: &'a [SectionRecord],
    /// Valid UTF-8 as a whole, which `open` checks.
    pub(crate) strings: &'a [u8],
    pub(crate) tensors: &'a [TensorRecord],
    pub(crate) operators: &'a [OperatorRecord],
    pub(crate) operands: &'a [u32],
    pub(crate) inputs: &'a [u32],
    pub(crate) outputs: &'a [u32],
    pub(crate) scales: &'a [ScaleRecord],
    pub(crate) constants: &'a [i32],
    pub(crate) tables: &'a [[u8; 256]],
    pub(crate) intervals: &'a [IntervalRecord],
    pub(crate) weights: &'a [u8],
    pub(crate) packed_index: &'a [PackedRecord],
    pub(crate) packed: &'a [u8],
    pub(crate) provenance: Option<&'a ProvenanceRecord>,
    pub(crate) recipe: &'a [RecipeRecord],
    pub(crate) labels: &'a [TextRef],
    pub(crate) golden: &'a [GoldenRecord],
}

impl<'a> ModelView<'a> {
    /// Checks the checksum of every section and every record. The file must start on a 64-byte boundary in memory
    /// ([`Problem::Misaligned`]). Work and memory are bounded by the length of the file.
    ///
    /// # Errors
    /// The first thing found wrong, with its byte offset in the file.
    pub fn open(file: &'a [u8]) -> Result<ModelView<'a>, FormatError> {
        let view = ModelView::assemble(&Sections::open(file)?);
        validate::records(&view)?;
        Ok(view)
    }

    /// The view of bytes that [`ModelView::open`] accepted before, without checking them again: cheap. Bytes that have
    /// changed since give other records or none; numbers in them may then point anywhere, so whoever indexes with one
    /// may panic. Never undefined behaviour.
    pub fn reopen(file: &'a [u8]) -> ModelView<'a> {
        ModelView::assemble(&Sections::reopen(file))
    }

    fn assemble(sections: &Sections<'a>) -> ModelView<'a> {
        ModelView {
            file: sections.file,
            header: sections.header,
            sections: sections.table,
            strings: sections.bytes(SectionKind::Strings),
            tensors: sections.records(SectionKind::Tensors),
            operators: sections.records(SectionKind::Operators),
            operands: sections.records(SectionKind::Operands),
            inputs: sections.records(SectionKind::Inputs),
            outputs: sections.records(SectionKind::Outputs),
            scales: sections.records(SectionKind::Scales),
            constants: sections.records(SectionKind::Constants),
            tables: sections.records(SectionKind::Tables),
            intervals: sections.records(SectionKind::Intervals),
            weights: sections.bytes(SectionKind::Weights),
            packed_index: sections.records(SectionKind::PackedIndex),
            packed: sections.bytes(SectionKind::Packed),
            provenance: sections.records(SectionKind::Provenance).first(),
            recipe: sections.records(SectionKind::Recipe),
            labels: sections.records(SectionKind::Labels),
            golden: sections.records(SectionKind::Golden),
        }
    }

    /// Compares the BLAKE3 digest in the header with the file.
    ///
    /// # Errors
    /// [`Problem::Digest`].
    pub fn check_digest(&self) -> Result<(), FormatError> {
        if digest(self.file) == self.header.digest {
            return Ok(());
        }
        let offset = core::mem::offset_of!(Header, digest) as u64;
        Err(FormatError { offset, problem: Problem::Digest })
    }

    /// The whole file.
    pub fn file(&self) -> &'a [u8] {
        self.file
    }

    /// The header.
    pub fn header(&self) -> &'a Header {
        self.header
    }

    /// The section table.
    pub fn sections(&self) -> &'a [SectionRecord] {
        self.sections
    }

    /// All tensors.
    pub fn tensors(&self) -> &'a [TensorRecord] {
        self.tensors
    }

    /// All operators in execution order.
    pub fn operators(&self) -> &'a [OperatorRecord] {
        self.operators
    }

    /// Tensor numbers of the model's inputs.
    pub fn inputs(&self) -> &'a [u32] {
        self.inputs
    }

    /// Tensor numbers of the model's outputs.
    pub fn outputs(&self) -> &'a [u32] {
        self.outputs
    }

    /// Tensor and table numbers that operators point into.
    pub fn operands(&self) -> &'a [u32] {
        self.operands
    }

    /// Logical bytes of all constant tensors.
    pub fn weights(&self) -> &'a [u8] {
        self.weights
    }

    /// Bias, multipliers, shifts.
    pub fn constants(&self) -> &'a [i32] {
        self.constants
    }

    /// Tables.
    pub fn tables(&self) -> &'a [[u8; 256]] {
        self.tables
    }

    /// All packed weights.
    pub fn packed_index(&self) -> &'a [PackedRecord] {
        self.packed_index
    }

    /// Provenance, if the file says.
    pub fn provenance(&self) -> Option<&'a ProvenanceRecord> {
        self.provenance
    }

    /// From pixels to inputs.
    pub fn recipe(&self) -> &'a [RecipeRecord] {
        self.recipe
    }

    /// Self-test records.
    pub fn golden(&self) -> &'a [GoldenRecord] {
        self.golden
    }

    /// Number of output labels.
    pub fn label_count(&self) -> usize {
        self.labels.len()
    }

    /// Output label `index`.
    pub fn label(&self, index: usize) -> Option<&'a str> {
        self.labels.get(index).map(|&text| self.text(text))
    }

    /// A piece of text; empty when `text` is not of this file.
    pub fn text(&self, text: TextRef) -> &'a str {
        let bytes = piece(self.strings, text.offset.into(), text.bytes.into());
        core::str::from_utf8(bytes).unwrap_or("")
    }

    /// Typed parameters of an operator.
    pub fn params(&self, operator: &OperatorRecord) -> Params {
        // `open` refused every other number; the fallback is never reached with a record of this file.
        let kind = OpKind::from_number(operator.kind).unwrap_or(OpKind::Reshape);
        Params::from_words(kind, &operator.params)
    }

    /// Input tensor numbers of an operator.
    pub fn operator_inputs(&self, operator: &OperatorRecord) -> &'a [u32] {
        piece(self.operands, operator.operands_first.into(), operator.inputs.into())
    }

    /// Output tensor numbers of an operator.
    pub fn operator_outputs(&self, operator: &OperatorRecord) -> &'a [u32] {
        let first = u64::from(operator.operands_first) + u64::from(operator.inputs);
        piece(self.operands, first, operator.outputs.into())
    }

    /// Table numbers of a concatenation's branches, one per input; nothing for another operator.
    pub fn concat_tables(&self, operator: &OperatorRecord) -> &'a [u32] {
        let tensors = u64::from(operator.inputs) + u64::from(operator.outputs);
        let count = if operator.kind == OpKind::Concat as u16 { operator.inputs } else { 0 };
        piece(self.operands, u64::from(operator.operands_first) + tensors, count.into())
    }

    /// Intervals of an operator: one per output channel, or none.
    pub fn operator_intervals(&self, operator: &OperatorRecord) -> &'a [IntervalRecord] {
        piece(self.intervals, operator.intervals_first.into(), operator.intervals_count.into())
    }

    /// Scales of a tensor: none, one, or one per element of axis 0.
    pub fn scales(&self, tensor: &TensorRecord) -> &'a [ScaleRecord] {
        piece(self.scales, tensor.scale_first.into(), tensor.scale_count.into())
    }

    /// Logical bytes of a constant tensor; `None` for one in the arena and for weights that the file holds only
    /// packed ([`Storage::PackedOnly`]).
    pub fn constant(&self, tensor: &TensorRecord) -> Option<&'a [u8]> {
        let stored = tensor.storage == Storage::Constant as u8;
        stored.then(|| piece(self.weights, tensor.offset, tensor.bytes))
    }

    /// The bytes of packed weights.
    pub fn packed(&self, record: &PackedRecord) -> &'a [u8] {
        piece(self.packed, record.offset, record.bytes)
    }

    /// The packed weights of operator `operator`, one record per layout.
    pub fn packed_layouts(&self, operator: usize) -> &'a [PackedRecord] {
        // The index is in the order of operators.
        let first = self.packed_index.partition_point(|p| (p.operator as usize) < operator);
        let count = self.packed_index[first..].partition_point(|p| p.operator as usize == operator);
        &self.packed_index[first..first + count]
    }

    /// The packed weights of operator `operator` in `layout`.
    pub fn packed_weights(&self, operator: usize, layout: u32) -> Option<&'a [u8]> {
        let found = self.packed_layouts(operator).iter().find(|p| p.layout == layout);
        found.map(|record| self.packed(record))
    }
}

/// `count` elements of `list` from `first` on; nothing when they are not there.
fn piece<T>(list: &[T], first: u64, count: u64) -> &[T] {
    let end = first.checked_add(count).filter(|&end| end <= list.len() as u64);
    // Both ends are at most a length and so keep their values.
    end.map_or(&[], |end| &list[first as usize..end as usize])
}
