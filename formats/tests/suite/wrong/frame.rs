//! The frame: header, section table, checksums, padding.

use std::mem::offset_of;

use dyadic_format::Problem;
use dyadic_format::section::SectionKind::{self, *};
use dyadic_format::section::SectionRecord;

use super::Says::{self, Exactly, Field, Names, Range};
use super::of;
use crate::models::mixed;
use crate::seal::{Piece, assemble, error, file, pieces, problem, reseal, section, table_entry};

/// The byte of a field in a file.
type At = fn(&[u8]) -> usize;

/// A field, its size in bytes, its new value, what is said, and at which byte.
type Row = (&'static str, At, usize, u64, Says, At);

fn put(file: &mut [u8], at: usize, value: u64, width: usize) {
    file[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
}

/// A field of the table entry of the section `Tensors`.
fn tensors(file: &[u8], field: usize) -> usize {
    table_entry(file, Tensors) + field
}

#[test]
#[rustfmt::skip]
fn header_and_section_table() {
    const OFFSET: usize = of!(SectionRecord, offset);
    const BYTES: usize = of!(SectionRecord, bytes);
    const RECORD: usize = of!(SectionRecord, record_bytes);
    let rows: &[Row] = &[
        ("magic", |_| 7, 1, 13, Exactly(Problem::Magic), |_| 0),
        ("version 2", |_| 8, 4, 2, Exactly(Problem::Version { found: 2 }), |_| 8),
        ("header of 64 bytes", |_| 12, 4, 64, Field("header size", 64), |_| 12),
        ("smaller than it is", |_| 16, 8, 128, Field("file size", 128), |_| 16),
        ("arena of 2^40 + 64", |_| 24, 8, (1 << 40) + 64, Field("arena size", (1 << 40) + 64), |_| 24),
        ("arena too large", |_| 24, 8, 1 << 40, Field("arena size", 1 << 40), |_| 24),
        ("65 sections", |_| 32, 4, 65, Range("section table"), |_| 32),
        ("2^32 - 1 sections", |_| 32, 4, !0, Range("section table"), |_| 32),
        ("no section", |_| 32, 4, 0, Names("file size"), |_| 128),
        ("first reserved word", |_| 72, 4, 1, Field("reserved", 1), |_| 72),
        ("last reserved word", |_| 120, 4, 7, Field("reserved", 7), |_| 72),
        ("section twice", |_| 160, 4, 1, Exactly(Problem::SectionOrder { kind: 1 }), |_| 160),
        ("section 0", |_| 128, 4, 0, Exactly(Problem::SectionOrder { kind: 0 }), |_| 128),
        ("optional strings", |_| 132, 4, 0, Field("section flags", 0), |_| 132),
        ("unknown flag", |_| 132, 4, 3, Field("section flags", 3), |_| 132),
        ("labels of no known kind", |f| table_entry(f, Golden), 8, 0x1_0000_0063, Exactly(Problem::UnknownSection { kind: 0x63 }), last_entry),
        ("section elsewhere", |f| tensors(f, OFFSET), 8, 64, Field("section offset", 64), |f| tensors(f, OFFSET)),
        ("section at 2^63", |f| tensors(f, OFFSET), 8, 1 << 63, Field("section offset", i64::MAX), |f| tensors(f, OFFSET)),
        ("section without end", |f| tensors(f, BYTES), 8, !0, Range("section"), |f| tensors(f, BYTES)),
        ("half a record", |f| tensors(f, BYTES), 8, 95, Field("record size", 96), |f| tensors(f, RECORD)),
        ("records of 5 bytes", |f| tensors(f, RECORD), 4, 5, Field("record size", 5), |f| tensors(f, RECORD)),
        ("records of 0 bytes", |f| tensors(f, RECORD), 4, 0, Field("record size", 0), |f| tensors(f, RECORD)),
        ("padding", |f| section(f, Inputs).0 + 60, 1, 9, Field("padding", 9), |f| section(f, Inputs).0 + 60),
    ];
    for (name, field, width, value, says, at) in rows.iter().step_by(if cfg!(miri) { 7 } else { 1 }) {
        let mut bytes = file(&mixed()).to_vec();
        let field = field(&bytes);
        put(&mut bytes, field, *value, *width);
        reseal(&mut bytes);
        let error = error(&bytes).unwrap_or_else(|| panic!("{name}: opened"));
        assert!(says.fits(error.problem), "{name}: {error}");
        assert_eq!(error.offset, at(&bytes) as u64, "{name}: {error}");
    }
}

/// The last entry of the section table.
fn last_entry(file: &[u8]) -> usize {
    table_entry(file, Labels) + 32
}

#[test]
fn bytes_behind_the_last_section() {
    let mut bytes = file(&mixed()).to_vec();
    let length = bytes.len() as u64;
    bytes.resize(bytes.len() + 64, 0);
    put(&mut bytes, 16, length + 64, 8);
    reseal(&mut bytes);
    let error = error(&bytes).expect("refused");
    assert!(Names("file size").fits(error.problem), "{error}");
    assert_eq!(error.offset, length);
}

#[test]
fn checksums() {
    let bytes = file(&mixed());
    for (at, what) in [(20, "the header"), (130, "the section table"), (bytes.len() - 1, "Golden")] {
        let mut damaged = bytes.to_vec();
        damaged[at] ^= 16;
        match error(&damaged).map(|e| e.problem) {
            Some(Problem::Checksum { what: found, .. }) => assert_eq!(found, what),
            other => panic!("{what}: {other:?}"),
        }
    }
}

#[test]
fn missing_sections() {
    let bytes = file(&mixed());
    for &kind in SectionKind::ALL.iter().step_by(if cfg!(miri) { 7 } else { 1 }) {
        let mut pieces = pieces(&bytes);
        pieces.retain(|p| p.kind != kind as u32);
        let found = error(&assemble(&bytes, &pieces)).map(|e| e.problem);
        if kind.must_understand() {
            assert_eq!(found, Some(Problem::MissingSection { kind }));
        } else {
            // The packed weights and their index need each other, and weights need them; the recipe's table has no
            // other user. The rest is free to go.
            let needed = matches!(kind, PackedIndex | Packed | Recipe);
            assert_eq!(found.is_some(), needed, "{}", kind.name());
        }
    }
    assert_eq!(problem(&assemble(&bytes, &[])), Some(Problem::MissingSection { kind: Strings }));
}

#[test]
fn a_filled_signature_is_refused() {
    let bytes = file(&mixed());
    for (payload, found) in [(Vec::new(), None), (vec![0; 64], Some(64))] {
        let mut pieces = pieces(&bytes);
        pieces.push(Piece { kind: Signature as u32, flags: 0, record_bytes: 1, payload });
        let says = problem(&assemble(&bytes, &pieces));
        match found {
            None => assert_eq!(says, None),
            Some(size) => assert!(says.is_some_and(|p| Field("Signature", size).fits(p)), "{says:?}"),
        }
    }
}

#[test]
fn two_provenance_records_are_refused() {
    let bytes = file(&mixed());
    let mut pieces = pieces(&bytes);
    let provenance = pieces.iter_mut().find(|p| p.kind == Provenance as u32).expect("the model has one");
    provenance.payload.extend_from_within(..);
    let says = problem(&assemble(&bytes, &pieces));
    assert!(says.is_some_and(|p| Field("Provenance", 128).fits(p)), "{says:?}");
}
