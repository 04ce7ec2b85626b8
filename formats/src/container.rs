//! The frame of a file: header, section table, checksums, padding. What the sections hold is checked by `validate`.

use bytemuck::Pod;

use crate::error::{FormatError, Problem};
use crate::header::{HEADER_BYTES, Header, MAGIC, VERSION};
use crate::place::{Place, at};
use crate::section::{MUST_UNDERSTAND, SectionKind, SectionRecord};
use crate::{ALIGNMENT, validate};

/// Most sections.
pub(crate) const MAX_SECTIONS: usize = 64;

const TABLE: Place = Place { offset: HEADER_BYTES as u64 };

/// The section table of a file whose header and checksums were found right.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sections<'a> {
    pub(crate) file: &'a [u8],
    pub(crate) header: &'a Header,
    pub(crate) table: &'a [SectionRecord],
}

impl<'a> Sections<'a> {
    /// Checks header, section table, the place and checksum of every section, and all bytes between sections.
    pub(crate) fn open(file: &'a [u8]) -> Result<Sections<'a>, FormatError> {
        let header = check_header(file)?;
        let sections = Sections { file, header, table: check_table(file, header)? };
        for &kind in SectionKind::ALL {
            if kind.must_understand() && sections.find(kind).is_none() {
                TABLE.fail(Problem::MissingSection { kind })?;
            }
        }
        Ok(sections)
    }

    /// The table of a file that [`Sections::open`] accepted before; only what memory safety needs is looked at. No
    /// sections when the bytes are no longer a file.
    pub(crate) fn reopen(file: &'a [u8]) -> Sections<'a> {
        let header = file.get(..HEADER_BYTES).and_then(|b| bytemuck::try_from_bytes(b).ok());
        let header = header.unwrap_or(&Header::EMPTY);
        let bytes = (header.section_count as usize).min(MAX_SECTIONS) * size_of::<SectionRecord>();
        let table = file.get(HEADER_BYTES..).and_then(|b| b.get(..bytes)).unwrap_or(&[]);
        Sections { file, header, table: bytemuck::try_cast_slice(table).unwrap_or(&[]) }
    }

    pub(crate) fn find(&self, kind: SectionKind) -> Option<&'a SectionRecord> {
        self.table.iter().find(|s| s.kind == kind as u32)
    }

    /// The bytes of a section; none when it is absent, or when a reopened file no longer has them.
    pub(crate) fn bytes(&self, kind: SectionKind) -> &'a [u8] {
        let Some(section) = self.find(kind) else { return &[] };
        // `check_section` found offset and length inside the file, so both conversions keep their values.
        let from = self.file.get(section.offset as usize..);
        from.and_then(|f| f.get(..section.bytes as usize)).unwrap_or(&[])
    }

    /// The records of a section; none when it is absent, or when a reopened file no longer has them: `check_section`
    /// found the section on a 64-byte boundary and a whole number of records long.
    pub(crate) fn records<T: Pod>(&self, kind: SectionKind) -> &'a [T] {
        bytemuck::try_cast_slice(self.bytes(kind)).unwrap_or(&[])
    }
}

/// The BLAKE3 digest as the header stores it: with the table's checksum, the digest itself and the header's checksum
/// taken as zero.
pub(crate) fn digest(file: &[u8]) -> [u8; 32] {
    const FIRST: usize = core::mem::offset_of!(Header, table_crc);
    const LAST: usize = core::mem::offset_of!(Header, digest) + 32;
    const CRC: usize = core::mem::offset_of!(Header, header_crc);
    let mut hasher = blake3::Hasher::new();
    let (head, rest) = file.split_at(file.len().min(HEADER_BYTES));
    let mut header = [0; HEADER_BYTES];
    header[..head.len()].copy_from_slice(head);
    header[FIRST..LAST].fill(0);
    header[CRC..].fill(0);
    hasher.update(&header[..head.len()]);
    hasher.update(rest);
    *hasher.finalize().as_bytes()
}

fn check_header(file: &[u8]) -> Result<&Header, FormatError> {
    let p = Place { offset: 0 };
    let fail = |p: Place, problem| Err(FormatError { offset: p.offset, problem });
    if !(file.as_ptr() as usize).is_multiple_of(ALIGNMENT) {
        return fail(p, Problem::Misaligned);
    }
    if !file.starts_with(&MAGIC) && !MAGIC.starts_with(file) {
        return fail(p, Problem::Magic);
    }
    let length = file.len() as u64;
    let Some(bytes) = file.get(..HEADER_BYTES) else {
        return fail(p, Problem::TooShort { expected: HEADER_BYTES as u64, found: length });
    };
    let header: &Header = bytemuck::from_bytes(bytes);
    if header.version != VERSION {
        return fail(at!(p, Header, version), Problem::Version { found: header.version });
    }
    let crc = at!(p, Header, header_crc);
    crc.checksum("the header", header.header_crc, crc32fast::hash(&bytes[..HEADER_BYTES - 4]))?;
    let whole = header.header_bytes == HEADER_BYTES as u32;
    at!(p, Header, header_bytes).field(whole, "header size", header.header_bytes, "128")?;
    let size = at!(p, Header, file_bytes);
    if header.file_bytes > length {
        return fail(size, Problem::TooShort { expected: header.file_bytes, found: length });
    }
    size.field(header.file_bytes == length, "file size", header.file_bytes, "the length of the file")?;
    let arena = header.arena_bytes;
    at!(p, Header, arena_bytes).field(arena <= validate::MAX_ARENA, "arena size", arena, "at most 2^40")?;
    let set = header.reserved.iter().find(|&&word| word != 0).copied().unwrap_or(0);
    at!(p, Header, reserved).field(set == 0, "reserved", set, "0")?;
    Ok(header)
}

/// Checks the section table, every section's place and checksum, and that all bytes between sections are zero.
fn check_table<'a>(file: &'a [u8], header: &Header) -> Result<&'a [SectionRecord], FormatError> {
    let count = header.section_count as usize;
    let limit = (file.len() - HEADER_BYTES) / size_of::<SectionRecord>();
    let p = Place { offset: core::mem::offset_of!(Header, section_count) as u64 };
    p.range("section table", 0, count as u64, limit.min(MAX_SECTIONS) as u64)?;
    let bytes = &file[HEADER_BYTES..][..count * size_of::<SectionRecord>()];
    TABLE.checksum("the section table", header.table_crc, crc32fast::hash(bytes))?;
    let table: &[SectionRecord] = bytemuck::cast_slice(bytes);
    let mut end = HEADER_BYTES + bytes.len();
    let mut last_kind = 0;
    for (i, section) in table.iter().enumerate() {
        end = check_section(file, section, TABLE.at(i * size_of::<SectionRecord>()), end, last_kind)?;
        last_kind = section.kind;
    }
    let p = Place { offset: end as u64 };
    p.field(end == file.len(), "file size", header.file_bytes, "the end of the last section")?;
    Ok(table)
}

/// Checks one section that must begin at the first 64-byte boundary from `end` on; returns where it ends.
fn check_section(
    file: &[u8],
    section: &SectionRecord,
    p: Place,
    end: usize,
    last_kind: u32,
) -> Result<usize, FormatError> {
    if section.kind <= last_kind {
        p.fail(Problem::SectionOrder { kind: section.kind })?;
    }
    let known = SectionKind::from_number(section.kind);
    let flags_ok = match known {
        Some(kind) => section.flags == if kind.must_understand() { MUST_UNDERSTAND } else { 0 },
        None => section.flags <= MUST_UNDERSTAND,
    };
    at!(p, SectionRecord, flags).field(flags_ok, "section flags", section.flags, "the flags of its kind")?;
    if known.is_none() && section.flags == MUST_UNDERSTAND {
        p.fail(Problem::UnknownSection { kind: section.kind })?;
    }
    let start = end.next_multiple_of(ALIGNMENT);
    let placed = section.offset == start as u64;
    at!(p, SectionRecord, offset).field(
        placed,
        "section offset",
        section.offset,
        "the next 64-byte boundary",
    )?;
    at!(p, SectionRecord, bytes).range("section", section.offset, section.bytes, file.len() as u64)?;
    let stop = start + section.bytes as usize;
    let record_bytes = u64::from(section.record_bytes);
    let expected = known.map_or(record_bytes, |kind| kind.record_bytes() as u64);
    let size_ok = record_bytes != 0 && record_bytes == expected && section.bytes.is_multiple_of(record_bytes);
    let what = "the record size of its kind, dividing the section's length";
    at!(p, SectionRecord, record_bytes).field(size_ok, "record size", record_bytes, what)?;
    Place { offset: end as u64 }.zeros(&file[end..start])?;
    let what = known.map_or("an unknown section", SectionKind::name);
    Place { offset: section.offset }.checksum(what, section.crc, crc32fast::hash(&file[start..stop]))?;
    Ok(stop)
}
