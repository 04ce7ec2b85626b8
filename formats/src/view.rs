//! [`ModelView`]: a checked file, read in place.

use bytemuck::Pod;

use crate::error::{FormatError, Problem};
use crate::header::{HEADER_BYTES, Header, MAGIC, VERSION};
use crate::operator::{OperatorRecord, Params};
use crate::records::{
    GoldenRecord, IntervalRecord, PackedRecord, ProvenanceRecord, RecipeRecord, ScaleRecord, TextRef,
};
use crate::section::{MUST_UNDERSTAND, SectionKind, SectionRecord};
use crate::tensor::{Storage, TensorRecord};
use crate::{ALIGNMENT, validate};

/// A valid file. Every reference between records, every enum and every length was checked by [`ModelView::open`];
/// what an operation demands of its shapes is the runtime's business.
#[derive(Clone, Copy, Debug)]
pub struct ModelView<'a> {
    pub(crate) file: &'a [u8],
    pub(crate) header: &'a Header,
    pub(crate) sections: &'a [SectionRecord],
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

/// The section table of a file whose header and checksums were found right.
struct Sections<'a> {
    file: &'a [u8],
    table: &'a [SectionRecord],
}

impl<'a> Sections<'a> {
    fn find(&self, kind: SectionKind) -> Option<&'a SectionRecord> {
        self.table.iter().find(|s| s.kind == kind as u32)
    }

    /// The records of a section; none when it is absent.
    fn records<T: Pod>(&self, kind: SectionKind) -> Result<&'a [T], FormatError> {
        let Some(section) = self.find(kind) else { return Ok(&[]) };
        // Offset and length were checked by `check_table`, alignment follows from the 64-byte rule.
        let bytes = &self.file[section.offset as usize..][..section.bytes as usize];
        bytemuck::try_cast_slice(bytes).map_err(|_| FormatError {
            offset: section.offset,
            problem: Problem::Field {
                field: "section length",
                found: section.bytes as i64,
                expected: "a whole number of records",
            },
        })
    }

    fn required<T: Pod>(&self, kind: SectionKind) -> Result<&'a [T], FormatError> {
        if self.find(kind).is_none() {
            return Err(FormatError {
                offset: HEADER_BYTES as u64,
                problem: Problem::MissingSection { kind },
            });
        }
        self.records(kind)
    }
}

impl<'a> ModelView<'a> {
    /// Checks the checksum of every section and every record. The file must start on a 64-byte boundary in memory
    /// ([`Problem::Misaligned`]). Work and memory are bounded by the length of the file.
    ///
    /// # Errors
    /// The first thing found wrong, with its byte offset in the file.
    pub fn open(file: &'a [u8]) -> Result<ModelView<'a>, FormatError> {
        let header = check_header(file)?;
        let view = ModelView::assemble(file, header, check_table(file, header)?)?;
        validate::records(&view)?;
        Ok(view)
    }

    /// The view of bytes that [`ModelView::open`] accepted before, without checking them again. Bytes that have changed
    /// since may give an error or, later, a panic; never undefined behaviour.
    ///
    /// # Errors
    /// When the bytes are no longer a file.
    pub fn reopen(file: &'a [u8]) -> Result<ModelView<'a>, FormatError> {
        let short = || FormatError {
            offset: 0,
            problem: Problem::TooShort { expected: HEADER_BYTES as u64, found: file.len() as u64 },
        };
        let header: &Header =
            file.get(..HEADER_BYTES).and_then(|b| bytemuck::try_from_bytes(b).ok()).ok_or_else(short)?;
        let bytes = (header.section_count as usize).min(validate::MAX_SECTIONS) * size_of::<SectionRecord>();
        let table = file.get(HEADER_BYTES..).and_then(|b| b.get(..bytes)).ok_or_else(short)?;
        let table = bytemuck::try_cast_slice(table).map_err(|_| short())?;
        ModelView::assemble(file, header, table)
    }

    fn assemble(
        file: &'a [u8],
        header: &'a Header,
        table: &'a [SectionRecord],
    ) -> Result<ModelView<'a>, FormatError> {
        let sections = Sections { file, table };
        let provenance = sections.records::<ProvenanceRecord>(SectionKind::Provenance)?;
        Ok(ModelView {
            file,
            header,
            sections: sections.table,
            strings: sections.required(SectionKind::Strings)?,
            tensors: sections.required(SectionKind::Tensors)?,
            operators: sections.required(SectionKind::Operators)?,
            operands: sections.required(SectionKind::Operands)?,
            inputs: sections.required(SectionKind::Inputs)?,
            outputs: sections.required(SectionKind::Outputs)?,
            scales: sections.records(SectionKind::Scales)?,
            constants: sections.records(SectionKind::Constants)?,
            tables: sections.records(SectionKind::Tables)?,
            intervals: sections.records(SectionKind::Intervals)?,
            weights: sections.records(SectionKind::Weights)?,
            packed_index: sections.records(SectionKind::PackedIndex)?,
            packed: sections.records(SectionKind::Packed)?,
            provenance: provenance.first(),
            recipe: sections.records(SectionKind::Recipe)?,
            labels: sections.records(SectionKind::Labels)?,
            golden: sections.records(SectionKind::Golden)?,
        })
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
        let bytes = self.strings.get(text.offset as usize..).and_then(|s| s.get(..text.bytes as usize));
        bytes.and_then(|b| core::str::from_utf8(b).ok()).unwrap_or("")
    }

    /// Typed parameters of an operator.
    pub fn params(&self, operator: &OperatorRecord) -> Params {
        validate::params(operator)
    }

    /// Input tensor numbers of an operator.
    pub fn operator_inputs(&self, operator: &OperatorRecord) -> &'a [u32] {
        &self.operands[operator.operands_first as usize..][..usize::from(operator.inputs)]
    }

    /// Output tensor numbers of an operator.
    pub fn operator_outputs(&self, operator: &OperatorRecord) -> &'a [u32] {
        let first = operator.operands_first as usize + usize::from(operator.inputs);
        &self.operands[first..][..usize::from(operator.outputs)]
    }

    /// Table numbers of a concatenation's branches, one per input.
    pub fn concat_tables(&self, operator: &OperatorRecord) -> &'a [u32] {
        let first =
            operator.operands_first as usize + usize::from(operator.inputs) + usize::from(operator.outputs);
        &self.operands[first..][..usize::from(operator.inputs)]
    }

    /// Intervals of an operator: one per output channel, or none.
    pub fn operator_intervals(&self, operator: &OperatorRecord) -> &'a [IntervalRecord] {
        &self.intervals[operator.intervals_first as usize..][..operator.intervals_count as usize]
    }

    /// Scales of a tensor: none, one, or one per element of axis 0.
    pub fn scales(&self, tensor: &TensorRecord) -> &'a [ScaleRecord] {
        &self.scales[tensor.scale_first as usize..][..tensor.scale_count as usize]
    }

    /// Logical bytes of a constant tensor; `None` for one in the arena, and for weights that the file leaves out.
    pub fn constant(&self, tensor: &TensorRecord) -> Option<&'a [u8]> {
        if tensor.storage != Storage::Constant as u8 {
            return None;
        }
        self.weights.get(tensor.offset as usize..)?.get(..tensor.bytes as usize)
    }

    /// The bytes of packed weights.
    pub fn packed(&self, record: &PackedRecord) -> &'a [u8] {
        &self.packed[record.offset as usize..][..record.bytes as usize]
    }

    /// The packed weights of operator `operator` in `layout`.
    pub fn packed_weights(&self, operator: usize, layout: u32) -> Option<&'a [u8]> {
        let found = self.packed_index.iter().find(|p| p.operator as usize == operator && p.layout == layout);
        found.map(|record| self.packed(record))
    }
}

/// The BLAKE3 digest as the header stores it: with the digest and the header's checksum taken as zero.
pub fn digest(file: &[u8]) -> [u8; 32] {
    const DIGEST: usize = core::mem::offset_of!(Header, digest);
    const CRC: usize = core::mem::offset_of!(Header, header_crc);
    let mut hasher = blake3::Hasher::new();
    let head = file.len().min(HEADER_BYTES);
    let mut header = [0; HEADER_BYTES];
    header[..head].copy_from_slice(&file[..head]);
    header[DIGEST..DIGEST + 32].fill(0);
    header[CRC..].fill(0);
    hasher.update(&header[..head]);
    hasher.update(&file[head..]);
    *hasher.finalize().as_bytes()
}

fn check_header(file: &[u8]) -> Result<&Header, FormatError> {
    let fail = |offset: usize, problem| Err(FormatError { offset: offset as u64, problem });
    if !(file.as_ptr() as usize).is_multiple_of(ALIGNMENT) {
        return fail(0, Problem::Misaligned);
    }
    if !file.starts_with(&MAGIC) && !MAGIC.starts_with(file) {
        return fail(0, Problem::Magic);
    }
    let length = file.len() as u64;
    let Some(bytes) = file.get(..HEADER_BYTES) else {
        return fail(0, Problem::TooShort { expected: HEADER_BYTES as u64, found: length });
    };
    let header: &Header = bytemuck::from_bytes(bytes);
    if header.version != VERSION {
        return fail(8, Problem::Version { found: header.version });
    }
    let crc_offset = core::mem::offset_of!(Header, header_crc);
    let computed = crc32fast::hash(&bytes[..crc_offset]);
    if computed != header.header_crc {
        return fail(
            crc_offset,
            Problem::Checksum { what: "the header", stored: header.header_crc, computed },
        );
    }
    let field = |offset, field, found: u64, expected| {
        fail(offset, Problem::Field { field, found: found.min(i64::MAX as u64) as i64, expected })
    };
    if header.header_bytes != HEADER_BYTES as u32 {
        return field(12, "header size", header.header_bytes.into(), "128");
    }
    if header.file_bytes > length {
        return fail(16, Problem::TooShort { expected: header.file_bytes, found: length });
    }
    if header.file_bytes < length {
        return field(16, "file size", header.file_bytes, "the length of the file");
    }
    if header.reserved.iter().any(|&b| b != 0) {
        return field(core::mem::offset_of!(Header, reserved), "reserved bytes", 1, "0");
    }
    if header.arena_bytes > validate::MAX_ARENA {
        return field(24, "arena size", header.arena_bytes, "at most 2^40");
    }
    Ok(header)
}

/// Checks the section table, every section's place and checksum, and that all bytes between sections are zero.
fn check_table<'a>(file: &'a [u8], header: &Header) -> Result<&'a [SectionRecord], FormatError> {
    let count = header.section_count as usize;
    let limit = (file.len() - HEADER_BYTES) / size_of::<SectionRecord>();
    if count > limit || count > validate::MAX_SECTIONS {
        let problem = Problem::Range {
            field: "section table",
            first: 0,
            count: count as u64,
            limit: limit.min(validate::MAX_SECTIONS) as u64,
        };
        return Err(FormatError { offset: 32, problem });
    }
    let bytes = &file[HEADER_BYTES..][..count * size_of::<SectionRecord>()];
    let computed = crc32fast::hash(bytes);
    if computed != header.table_crc {
        let problem = Problem::Checksum { what: "the section table", stored: header.table_crc, computed };
        return Err(FormatError { offset: HEADER_BYTES as u64, problem });
    }
    let table: &[SectionRecord] = bytemuck::cast_slice(bytes);
    let mut end = HEADER_BYTES + bytes.len();
    let mut last_kind = 0;
    for (i, section) in table.iter().enumerate() {
        let at = (HEADER_BYTES + i * size_of::<SectionRecord>()) as u64;
        end = check_section(file, section, at, end, last_kind)?;
        last_kind = section.kind;
    }
    if end != file.len() {
        let problem = Problem::Field {
            field: "file size",
            found: file.len() as i64,
            expected: "the end of the last section",
        };
        return Err(FormatError { offset: 16, problem });
    }
    Ok(table)
}

/// Checks one section that must begin at the first 64-byte boundary from `end` on; returns where it ends.
fn check_section(
    file: &[u8],
    section: &SectionRecord,
    at: u64,
    end: usize,
    last_kind: u32,
) -> Result<usize, FormatError> {
    let fail = |offset, problem| Err(FormatError { offset, problem });
    if section.kind <= last_kind {
        return fail(at, Problem::SectionOrder { kind: section.kind });
    }
    let known = SectionKind::from_number(section.kind);
    let flags = known.map(|k| if k.must_understand() { MUST_UNDERSTAND } else { 0 });
    match flags {
        None if section.flags & MUST_UNDERSTAND != 0 => {
            return fail(at, Problem::UnknownSection { kind: section.kind });
        }
        Some(expected) if section.flags != expected => {
            let (found, expected) = (section.flags.into(), "the flags of its kind");
            return fail(at + 4, Problem::Field { field: "section flags", found, expected });
        }
        _ => {}
    }
    let start = end.next_multiple_of(ALIGNMENT);
    if section.offset != start as u64 {
        let found = section.offset.min(i64::MAX as u64) as i64;
        let expected = "the next 64-byte boundary";
        return fail(at + 8, Problem::Field { field: "section offset", found, expected });
    }
    let stop = section.offset.checked_add(section.bytes).filter(|&stop| stop <= file.len() as u64);
    let Some(stop) = stop else {
        let limit = file.len() as u64;
        return fail(
            at + 16,
            Problem::Range { field: "section", first: section.offset, count: section.bytes, limit },
        );
    };
    if let Some(kind) = known
        && (section.record_bytes as usize != kind.record_bytes()
            || !section.bytes.is_multiple_of(kind.record_bytes() as u64))
    {
        let expected = "the record size of its kind, dividing the section's length";
        let found = section.record_bytes.into();
        return fail(at + 24, Problem::Field { field: "record size", found, expected });
    }
    if file[end..start].iter().any(|&b| b != 0) {
        return fail(end as u64, Problem::Field { field: "padding", found: 1, expected: "0" });
    }
    let computed = crc32fast::hash(&file[start..stop as usize]);
    if computed != section.crc {
        let what = known.map_or("an unknown section", SectionKind::name);
        return fail(section.offset, Problem::Checksum { what, stored: section.crc, computed });
    }
    Ok(stop as usize)
}
