//! The deterministic writer: the same [`Contents`] give the same bytes.

use alloc::vec;
use alloc::vec::Vec;

use bytemuck::{Zeroable, bytes_of, cast_slice};

use crate::ALIGNMENT;
use crate::header::{HEADER_BYTES, Header, MAGIC, VERSION};
use crate::operator::{OperatorRecord, Params, Rule};
use crate::records::{
    GoldenRecord, IntervalRecord, PackedRecord, ProvenanceRecord, RecipeRecord, ScaleRecord, TextRef,
};
use crate::section::{MUST_UNDERSTAND, SectionKind, SectionRecord};
use crate::tensor::{Storage, TensorRecord};

/// Everything a file holds, section by section. [`write()`] does not check it; open the result to do that.
///
/// Pieces that records point at lie in the order of the records: weights and scales in the order of `tensors`;
/// operands, constants and intervals in the order of `operators`; packed weights by operator, then layout.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "each field is the section of that name")]
pub struct Contents {
    pub arena_bytes: u64,
    pub strings: Vec<u8>,
    pub tensors: Vec<TensorRecord>,
    pub operators: Vec<OperatorRecord>,
    pub operands: Vec<u32>,
    pub inputs: Vec<u32>,
    pub outputs: Vec<u32>,
    pub scales: Vec<ScaleRecord>,
    pub constants: Vec<i32>,
    pub tables: Vec<[u8; 256]>,
    pub intervals: Vec<IntervalRecord>,
    pub weights: Vec<u8>,
    pub packed_index: Vec<PackedRecord>,
    pub packed: Vec<u8>,
    pub provenance: Option<ProvenanceRecord>,
    pub recipe: Vec<RecipeRecord>,
    pub labels: Vec<TextRef>,
    pub golden: Vec<GoldenRecord>,
}

impl Contents {
    /// Adds text and returns where it lies.
    ///
    /// # Panics
    /// When all text together is longer than 2^32 - 1 bytes, which no record can address.
    pub fn text(&mut self, text: &str) -> TextRef {
        let number = |n: usize| u32::try_from(n).expect("a record addresses text by 32 bits");
        let offset = self.strings.len();
        self.strings.extend_from_slice(text.as_bytes());
        number(self.strings.len());
        TextRef { offset: number(offset), bytes: number(text.len()) }
    }

    /// Adds the logical bytes of a constant on a 64-byte boundary and returns their offset.
    pub fn weights(&mut self, bytes: &[u8]) -> u64 {
        append_aligned(&mut self.weights, bytes)
    }

    /// Adds an operator of one output; `tables` follow the operands of a concatenation. Its intervals are none.
    ///
    /// # Panics
    /// With more than 65,535 inputs, which no record can count, or too much [text](Contents::text).
    pub fn operator(
        &mut self,
        name: &str,
        rule: Rule,
        params: Params,
        inputs: &[u32],
        output: u32,
        tables: &[u32],
    ) {
        let record = OperatorRecord {
            name: self.text(name),
            kind: params.kind() as u16,
            rule: rule as u16,
            operands_first: self.operands.len() as u32,
            inputs: u16::try_from(inputs.len()).expect("a record counts its inputs in 16 bits"),
            outputs: 1,
            intervals_first: self.intervals.len() as u32,
            intervals_count: 0,
            reserved: 0,
            params: params.words(),
        };
        self.operands.extend(inputs);
        self.operands.push(output);
        self.operands.extend(tables);
        self.operators.push(record);
    }

    /// Adds packed weights of an operator; operators in ascending order, and the layouts of each.
    pub fn packed(&mut self, operator: u32, layout: u32, bytes: &[u8]) {
        let offset = append_aligned(&mut self.packed, bytes);
        self.packed_index.push(PackedRecord { operator, layout, offset, bytes: bytes.len() as u64 });
    }

    /// Leaves the logical bytes of weights out (`compile --board`): of every weight tensor whose operators all have
    /// packed weights and that nothing else reads. Returns how many bytes that saves.
    pub fn leave_out_packed_weights(&mut self) -> usize {
        let mut needed = vec![false; self.tensors.len()];
        let mut packed = vec![false; self.tensors.len()];
        for (number, op) in self.operators.iter().enumerate() {
            let first = op.operands_first as usize;
            let here = self.packed_index.iter().any(|p| p.operator as usize == number);
            for (i, &tensor) in self.operands[first..][..usize::from(op.inputs)].iter().enumerate() {
                let list = if here && i == 1 { &mut packed } else { &mut needed };
                list[tensor as usize] = true;
            }
        }
        let before = core::mem::take(&mut self.weights);
        for (number, tensor) in self.tensors.iter_mut().enumerate() {
            if tensor.storage != Storage::Constant as u8 {
                continue;
            }
            if packed[number] && !needed[number] {
                (tensor.storage, tensor.offset) = (Storage::PackedOnly as u8, 0);
            } else {
                let bytes = &before[tensor.offset as usize..][..tensor.bytes as usize];
                tensor.offset = append_aligned(&mut self.weights, bytes);
            }
        }
        before.len() - self.weights.len()
    }

    fn section(&self, kind: SectionKind) -> &[u8] {
        match kind {
            SectionKind::Strings => &self.strings,
            SectionKind::Tensors => cast_slice(&self.tensors),
            SectionKind::Operators => cast_slice(&self.operators),
            SectionKind::Operands => cast_slice(&self.operands),
            SectionKind::Inputs => cast_slice(&self.inputs),
            SectionKind::Outputs => cast_slice(&self.outputs),
            SectionKind::Scales => cast_slice(&self.scales),
            SectionKind::Constants => cast_slice(&self.constants),
            SectionKind::Tables => cast_slice(&self.tables),
            SectionKind::Intervals => cast_slice(&self.intervals),
            SectionKind::Weights => &self.weights,
            SectionKind::PackedIndex => cast_slice(&self.packed_index),
            SectionKind::Packed => &self.packed,
            SectionKind::Provenance => self.provenance.as_ref().map_or(&[], bytes_of),
            SectionKind::Recipe => cast_slice(&self.recipe),
            SectionKind::Labels => cast_slice(&self.labels),
            SectionKind::Golden => cast_slice(&self.golden),
            SectionKind::Signature => &[],
        }
    }
}

fn append_aligned(to: &mut Vec<u8>, bytes: &[u8]) -> u64 {
    to.resize(to.len().next_multiple_of(ALIGNMENT), 0);
    let offset = to.len() as u64;
    to.extend_from_slice(bytes);
    offset
}

/// The bytes of the file. Optional sections that are empty are left out.
pub fn write(contents: &Contents) -> Vec<u8> {
    let present = |kind: &SectionKind| kind.must_understand() || !contents.section(*kind).is_empty();
    let kinds: Vec<SectionKind> = SectionKind::ALL.iter().copied().filter(present).collect();
    let table_end = HEADER_BYTES + kinds.len() * size_of::<SectionRecord>();
    let mut file = vec![0; table_end];
    let mut table = Vec::with_capacity(kinds.len());
    for kind in kinds {
        let payload = contents.section(kind);
        let offset = append_aligned(&mut file, payload);
        table.push(SectionRecord {
            kind: kind as u32,
            flags: if kind.must_understand() { MUST_UNDERSTAND } else { 0 },
            offset,
            bytes: payload.len() as u64,
            record_bytes: kind.record_bytes() as u32,
            crc: crc32fast::hash(payload),
        });
    }
    file[HEADER_BYTES..table_end].copy_from_slice(cast_slice(&table));
    let mut header = Header {
        magic: MAGIC,
        version: VERSION,
        header_bytes: HEADER_BYTES as u32,
        file_bytes: file.len() as u64,
        arena_bytes: contents.arena_bytes,
        section_count: table.len() as u32,
        table_crc: crc32fast::hash(cast_slice(&table)),
        ..Header::zeroed()
    };
    file[..HEADER_BYTES].copy_from_slice(bytes_of(&header));
    header.digest = crate::container::digest(&file);
    header.header_crc = crc32fast::hash(&bytes_of(&header)[..HEADER_BYTES - 4]);
    file[..HEADER_BYTES].copy_from_slice(bytes_of(&header));
    file
}
