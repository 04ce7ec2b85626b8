//! What is written is what is read.

use dyadic_format::section::{MUST_UNDERSTAND, SectionKind};
use dyadic_format::write::write;
use dyadic_format::{AlignedBytes, Contents, ModelView, OpKind, Problem, Storage};

use crate::models::{mixed, tiny};
use crate::seal::{Piece, aligned, assemble, crc, file, pieces, walk};

fn compare(contents: &Contents, view: &ModelView) {
    assert_eq!(view.header().arena_bytes, contents.arena_bytes);
    assert_eq!(view.tensors(), contents.tensors);
    assert_eq!(view.operators(), contents.operators);
    assert_eq!(view.operands(), contents.operands);
    assert_eq!(view.inputs(), contents.inputs);
    assert_eq!(view.outputs(), contents.outputs);
    assert_eq!(view.constants(), contents.constants);
    assert_eq!(view.tables(), contents.tables);
    assert_eq!(view.weights(), contents.weights);
    assert_eq!(view.packed_index(), contents.packed_index);
    assert_eq!(view.recipe(), contents.recipe);
    assert_eq!(view.label_count(), contents.labels.len());
    assert_eq!(view.golden().len(), contents.golden.len());
    for (i, label) in contents.labels.iter().enumerate() {
        assert_eq!(view.label(i), Some(view.text(*label)));
    }
    for (stored, given) in view.golden().iter().zip(&contents.golden) {
        assert_eq!(bytemuck::bytes_of(stored), bytemuck::bytes_of(given));
    }
    let provenance = |p: &dyadic_format::records::ProvenanceRecord| bytemuck::bytes_of(p).to_vec();
    assert_eq!(view.provenance().map(provenance), contents.provenance.as_ref().map(provenance));
    let scales: usize = view.tensors().iter().map(|t| view.scales(t).len()).sum();
    assert_eq!(scales, contents.scales.len());
    let intervals: Vec<_> =
        view.operators().iter().flat_map(|op| view.operator_intervals(op)).copied().collect();
    assert_eq!(intervals, contents.intervals);
}

#[test]
fn what_is_written_is_read() {
    for contents in [tiny(), mixed()] {
        let bytes = file(&contents);
        let view = ModelView::open(&bytes).expect("valid");
        compare(&contents, &view);
        view.check_digest().expect("the digest fits");
        assert!(walk(&view) > 0);
        assert_eq!(write(&contents), &*bytes, "the same contents give the same bytes");
    }
}

#[test]
fn the_models_are_small_and_rich() {
    assert!(write(&tiny()).len() < 2048, "{}", write(&tiny()).len());
    let bytes = file(&mixed());
    assert!((4096..9216).contains(&bytes.len()), "{}", bytes.len());
    let view = ModelView::open(&bytes).expect("valid");
    for &kind in OpKind::ALL {
        assert!(view.operators().iter().any(|op| op.kind == kind as u16), "{}", kind.name());
    }
    for &kind in SectionKind::ALL {
        let there = view.sections().iter().any(|s| s.kind == kind as u32 && s.bytes > 0);
        assert_eq!(there, kind != SectionKind::Signature, "{}", kind.name());
    }
}

#[test]
fn accessors_find_their_pieces() {
    let bytes = file(&mixed());
    let view = ModelView::open(&bytes).expect("valid");
    let of = |name: &str| view.tensors().iter().find(|t| view.text(t.name) == name).expect("a tensor");
    assert_eq!(view.constant(of("cw")), None);
    assert_eq!(of("cw").storage, Storage::PackedOnly as u8);
    assert_eq!((of("cw").bytes, of("cw").offset), (9, 0));
    assert_eq!(view.constant(of("fw")), Some(&[1, 2, 3, 4, 5, 255][..]));
    assert_eq!(view.constant(of("image")), None);
    assert_eq!(view.packed_weights(0, 1), Some(&[1; 70][..]));
    assert_eq!(view.packed_weights(0, 7), Some(&[7; 3][..]));
    assert_eq!(view.packed_weights(0, 2), None);
    assert_eq!(view.packed_weights(1, 2), Some(&[2; 64][..]));
    assert_eq!(view.packed_weights(2, 1), None);
    assert_eq!(view.packed_weights(usize::MAX, 1), None);
    let concat = view.operators().iter().find(|op| op.kind == OpKind::Concat as u16).expect("a concat");
    assert_eq!(view.concat_tables(concat), [u32::MAX, 0]);
    assert_eq!(view.concat_tables(&view.operators()[0]), []);
    assert_eq!(view.label(1), Some("give way · Vorfahrt gewähren"));
    assert_eq!(view.label(3), None);
}

#[test]
fn records_of_another_file_give_nothing() {
    let (small, large) = (file(&tiny()), file(&mixed()));
    let (small, large) = (ModelView::open(&small).expect("valid"), ModelView::open(&large).expect("valid"));
    for op in large.operators() {
        let _ = small.params(op);
        let _ = (small.operator_inputs(op), small.operator_outputs(op), small.concat_tables(op));
        let _ = (small.operator_intervals(op), small.text(op.name));
    }
    for tensor in large.tensors() {
        let _ = (small.scales(tensor), small.constant(tensor), small.text(tensor.name));
    }
    let last = large.packed_index().last().expect("packed weights");
    assert_eq!(small.packed(last), []);
}

#[test]
fn sections_lie_in_order_with_checksums() {
    let bytes = file(&mixed());
    let view = ModelView::open(&bytes).expect("valid");
    let mut end = 128 + 32 * view.sections().len() as u64;
    for section in view.sections() {
        assert_eq!(section.offset, end.next_multiple_of(64));
        end = section.offset + section.bytes;
        assert_eq!(section.crc, crc(&bytes[section.offset as usize..end as usize]));
    }
    assert_eq!(end, bytes.len() as u64);
    assert_eq!(view.header().header_crc, crc(&bytes[..124]));
}

/// A file with one more section behind the others, of a kind that no reader knows.
fn with_unknown_section(flags: u32) -> AlignedBytes {
    let bytes = file(&mixed());
    let mut pieces = pieces(&bytes);
    pieces.push(Piece { kind: 99, flags, record_bytes: 5, payload: b"later".to_vec() });
    aligned(&assemble(&bytes, &pieces))
}

#[test]
fn a_file_taken_apart_and_put_together_is_the_same() {
    let bytes = file(&mixed());
    assert_eq!(assemble(&bytes, &pieces(&bytes)), *bytes);
}

#[test]
fn unknown_sections_are_passed_over_unless_they_must_be_understood() {
    let bytes = with_unknown_section(0);
    compare(&mixed(), &ModelView::open(&bytes).expect("passed over"));
    let refused = ModelView::open(&with_unknown_section(MUST_UNDERSTAND)).map(|_| ()).map_err(|e| e.problem);
    assert_eq!(refused, Err(Problem::UnknownSection { kind: 99 }));
}

#[test]
fn the_digest_covers_every_byte_but_three_fields() {
    let bytes = file(&tiny());
    for i in (0..bytes.len()).step_by(if cfg!(miri) { 211 } else { 1 }) {
        // The digest is compared by a view, so the view is made of the damaged file with its checksums made right.
        let mut damaged = aligned(&bytes);
        damaged[i] ^= 1;
        crate::seal::reseal(&mut damaged);
        let Ok(view) = ModelView::open(&damaged) else { continue };
        let free = (36..40).contains(&i) || (124..128).contains(&i);
        assert_eq!(view.check_digest().is_ok(), free || *damaged == *bytes, "byte {i}");
    }
}

#[test]
fn leaving_weights_out_keeps_those_that_are_read() {
    let mut contents = tiny();
    assert_eq!(contents.leave_out_packed_weights(), 0);
    assert_eq!(contents.tensors[1].storage, Storage::Constant as u8);
    contents.packed(0, 1, &[5, 0xfd]);
    assert_eq!(contents.leave_out_packed_weights(), 2);
    assert_eq!(contents.tensors[1].storage, Storage::PackedOnly as u8);
    assert!(contents.weights.is_empty());
    ModelView::open(&file(&contents)).expect("valid without logical weights");
}
