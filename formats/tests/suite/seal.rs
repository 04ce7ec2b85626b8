//! Files of tests: on a 64-byte boundary, and with checksums made right again after damage.

use dyadic_format::header::{HEADER_BYTES, Header};
use dyadic_format::section::{SectionKind, SectionRecord};
use dyadic_format::write::write;
use dyadic_format::{AlignedBytes, Contents, FormatError, ModelView, Problem};

use std::mem::offset_of;

pub fn aligned(bytes: &[u8]) -> AlignedBytes {
    AlignedBytes::copy_of(bytes).expect("memory for a small file")
}

/// The file of these contents.
pub fn file(contents: &Contents) -> AlignedBytes {
    aligned(&write(contents))
}

/// The error of opening these bytes.
pub fn error(bytes: &[u8]) -> Option<FormatError> {
    ModelView::open(&aligned(bytes)).err()
}

pub fn problem(bytes: &[u8]) -> Option<Problem> {
    error(bytes).map(|e| e.problem)
}

fn word(file: &[u8], offset: usize) -> usize {
    u32::from_le_bytes(file[offset..offset + 4].try_into().expect("four bytes")) as usize
}

fn set_word(file: &mut [u8], offset: usize, value: u32) {
    file[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
}

/// Entry `index` of the section table, when the file is long enough to have it.
fn entry(file: &[u8], index: usize) -> Option<usize> {
    let at = HEADER_BYTES + index * size_of::<SectionRecord>();
    (index < word(file, offset_of!(Header, section_count)) && at + size_of::<SectionRecord>() <= file.len())
        .then_some(at)
}

/// Makes every checksum right that can be made right, whatever else is wrong.
pub fn reseal(file: &mut [u8]) {
    if file.len() < HEADER_BYTES {
        return;
    }
    let mut table_end = HEADER_BYTES;
    for at in (0..).map_while(|i| entry(file, i)).collect::<Vec<_>>() {
        let offset = word(file, at + offset_of!(SectionRecord, offset));
        let bytes = word(file, at + offset_of!(SectionRecord, bytes));
        if let Some(payload) = file.get(offset..).and_then(|f| f.get(..bytes)) {
            let crc = crc(payload);
            set_word(file, at + offset_of!(SectionRecord, crc), crc);
        }
        table_end = at + size_of::<SectionRecord>();
    }
    let table = crc(&file[HEADER_BYTES..table_end]);
    set_word(file, offset_of!(Header, table_crc), table);
    let header = crc(&file[..HEADER_BYTES - 4]);
    set_word(file, HEADER_BYTES - 4, header);
}

/// CRC-32 (IEEE 802.3) of every single byte.
const CRC_OF_BYTE: [u32; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let (mut c, mut bit) = (i as u32, 0);
        while bit < 8 {
            c = if c & 1 == 1 { c >> 1 ^ 0xedb8_8320 } else { c >> 1 };
            bit += 1;
        }
        table[i] = c;
        i += 1;
    }
    table
};

/// CRC-32 (IEEE 802.3): the tests' own definition.
pub fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| crc >> 8 ^ CRC_OF_BYTE[usize::from(crc as u8 ^ byte)])
}

/// The entry of a section in the section table: where it lies in the file.
pub fn table_entry(file: &[u8], kind: SectionKind) -> usize {
    let found = (0..).map_while(|i| entry(file, i)).find(|&at| word(file, at) == kind as usize);
    found.expect("the section is there")
}

/// First byte and length of a section.
pub fn section(file: &[u8], kind: SectionKind) -> (usize, usize) {
    let at = table_entry(file, kind);
    let field = |offset| word(file, at + offset);
    (field(offset_of!(SectionRecord, offset)), field(offset_of!(SectionRecord, bytes)))
}

/// One section taken out of its file.
pub struct Piece {
    pub kind: u32,
    pub flags: u32,
    pub record_bytes: u32,
    pub payload: Vec<u8>,
}

/// The sections of a valid file.
pub fn pieces(file: &[u8]) -> Vec<Piece> {
    let piece = |at: usize| {
        let field = |offset| word(file, at + offset);
        let (start, bytes) =
            (field(offset_of!(SectionRecord, offset)), field(offset_of!(SectionRecord, bytes)));
        Piece {
            kind: field(offset_of!(SectionRecord, kind)) as u32,
            flags: field(offset_of!(SectionRecord, flags)) as u32,
            record_bytes: field(offset_of!(SectionRecord, record_bytes)) as u32,
            payload: file[start..start + bytes].to_vec(),
        }
    };
    (0..).map_while(|i| entry(file, i)).map(piece).collect()
}

/// A file of these sections with the header of `file`, sizes and checksums made right; the digest stays as it was.
pub fn assemble(file: &[u8], pieces: &[Piece]) -> Vec<u8> {
    let mut made = file[..HEADER_BYTES].to_vec();
    let mut end = HEADER_BYTES + size_of::<SectionRecord>() * pieces.len();
    for piece in pieces {
        let start = end.next_multiple_of(64);
        end = start + piece.payload.len();
        let words =
            [piece.kind, piece.flags, start as u32, 0, piece.payload.len() as u32, 0, piece.record_bytes, 0];
        made.extend(words.iter().flat_map(|w| w.to_le_bytes()));
    }
    for piece in pieces {
        made.resize(made.len().next_multiple_of(64), 0);
        made.extend_from_slice(&piece.payload);
    }
    let length = made.len() as u32;
    set_word(&mut made, offset_of!(Header, file_bytes), length);
    set_word(&mut made, offset_of!(Header, section_count), pieces.len() as u32);
    reseal(&mut made);
    made
}

/// Calls every accessor on everything; returns a number that depends on all that was seen.
pub fn walk(view: &ModelView) -> usize {
    let mut seen = view.file().len() + view.header().header_bytes as usize + view.sections().len();
    seen += usize::from(view.check_digest().is_ok());
    for tensor in view.tensors() {
        seen += view.text(tensor.name).len() + view.scales(tensor).len() + tensor.shape().len();
        seen += view.constant(tensor).map_or(0, |b| b.iter().map(|&b| usize::from(b)).sum());
    }
    for (i, op) in view.operators().iter().enumerate() {
        seen += view.text(op.name).len() + format!("{:?}", view.params(op)).len();
        for &tensor in view.operator_inputs(op).iter().chain(view.operator_outputs(op)) {
            seen += view.tensors()[tensor as usize].bytes as usize & 0xff;
        }
        seen += view.concat_tables(op).len() + view.operator_intervals(op).len();
        for record in view.packed_layouts(i) {
            assert_eq!(view.packed_weights(i, record.layout), Some(view.packed(record)));
        }
    }
    for &tensor in view.inputs().iter().chain(view.outputs()) {
        seen += usize::from(view.tensors()[tensor as usize].rank);
    }
    for record in view.packed_index() {
        seen += view.packed(record).len();
    }
    for recipe in view.recipe() {
        seen += view.tables()[recipe.tables_first as usize..][..recipe.channels as usize].len();
    }
    let text = |t| view.text(t).len();
    seen += view.provenance().map_or(0, |p| text(p.tool) + text(p.options) + text(p.description));
    seen += (0..=view.label_count()).filter_map(|i| view.label(i)).map(str::len).sum::<usize>();
    seen += view.golden().len() + view.constants().len() + view.operands().len() + view.weights().len();
    seen
}

/// Opens and, when that succeeds, walks over everything. An error must have something to say.
pub fn open_and_walk(file: &[u8]) -> bool {
    match ModelView::open(file) {
        Ok(view) => {
            walk(&view);
            true
        }
        Err(error) => {
            assert!(error.to_string().starts_with("at byte "), "{error:?}");
            assert!(error.offset <= file.len() as u64 || file.len() < HEADER_BYTES, "{error:?}");
            false
        }
    }
}
