//! Hostile values in every field, with checksums that fit: refused or open, never a panic.

use dyadic_format::ModelView;
use dyadic_format::section::SectionKind;

use crate::models::{mixed, tiny};
use crate::seal::{aligned, file, open_and_walk, reseal, section, walk};
use dyadic_format::seeded::Generator;

/// Miri is slow: every so many values there, all of them elsewhere.
const VALUES: usize = if cfg!(miri) { 5 } else { 1 };

/// Interesting values of a field of `width` bytes in a file of `length` bytes.
fn values(width: usize, length: u64, generator: &mut Generator) -> Vec<u64> {
    let max = u64::MAX >> (64 - 8 * width);
    let sizes = [length, length - 1, length + 1, length / 2, length / 64, length / 4];
    let ends = [0, 1, 2, 3, max, max - 1, max / 2, max / 2 + 1, max - 63, 1 << 31, (1 << 31) - 1, 1 << 32];
    let random = [generator.draw(), generator.draw(), generator.draw() % 256];
    let all = sizes.into_iter().chain(ends).chain(random);
    let mut list: Vec<u64> = all.map(|v| v & max).collect();
    list.sort_unstable();
    list.dedup();
    list
}

/// Puts every value of `values` at every multiple of `width`; returns how many of the files opened.
fn attack(bytes: &[u8], width: usize, step: usize) -> usize {
    let mut generator = Generator::new(width as u64);
    let mut damaged = aligned(bytes);
    let mut opened = 0;
    for offset in (0..bytes.len() / width * width).step_by(width * step) {
        for value in values(width, bytes.len() as u64, &mut generator).into_iter().step_by(VALUES) {
            damaged[offset..offset + width].copy_from_slice(&value.to_le_bytes()[..width]);
            reseal(&mut damaged);
            opened += usize::from(open_and_walk(&damaged));
            damaged.copy_from_slice(bytes);
        }
    }
    opened
}

#[test]
fn every_field_with_every_hostile_value() {
    // Fields of the larger model are found by their widths; single bytes are taken by stride there.
    for (contents, byte_step) in [(tiny(), 1), (mixed(), 5)] {
        let bytes = file(&contents);
        for width in [1, 2, 4, 8] {
            if cfg!(miri) && bytes.len() > 4096 && width < 8 {
                continue;
            }
            let step = if width == 1 { byte_step } else { 1 };
            let step = if cfg!(miri) { bytes.len() / width / 2 } else { step };
            // Names, zero points and the like may change freely, so some files open: the walk is not idle.
            assert!(attack(&bytes, width, step) > 0 || cfg!(miri), "width {width}");
        }
    }
}

#[test]
fn pairs_of_hostile_fields() {
    let bytes = file(&mixed());
    let mut generator = Generator::new(7);
    let mut damaged = aligned(&bytes);
    for _ in 0..if cfg!(miri) { 8 } else { 40_000 } {
        for _ in 0..2 + generator.draw() % 3 {
            let width = 1usize << (generator.draw() % 4);
            let offset = generator.draw() as usize % (bytes.len() / width) * width;
            let list = values(width, bytes.len() as u64, &mut generator);
            let value = list[generator.draw() as usize % list.len()];
            damaged[offset..offset + width].copy_from_slice(&value.to_le_bytes()[..width]);
        }
        reseal(&mut damaged);
        open_and_walk(&damaged);
        damaged.copy_from_slice(&bytes);
    }
}

#[test]
fn truncations_that_believe_in_themselves() {
    let bytes = file(&mixed());
    for length in (128..bytes.len()).step_by(if cfg!(miri) { 997 } else { 1 }) {
        let mut cut = aligned(&bytes[..length]);
        cut[16..24].copy_from_slice(&(length as u64).to_le_bytes());
        reseal(&mut cut);
        assert!(!open_and_walk(&cut), "{length}");
    }
}

#[test]
fn weights_and_tables_may_hold_anything() {
    let bytes = file(&mixed());
    let mut generator = Generator::new(3);
    for kind in [SectionKind::Weights, SectionKind::Packed, SectionKind::Tables] {
        let (start, length) = section(&bytes, kind);
        let mut changed = aligned(&bytes);
        for at in start..start + length {
            if changed[at] != 0 {
                changed[at] = 1 + (generator.draw() % 255) as u8;
            }
        }
        reseal(&mut changed);
        assert!(open_and_walk(&changed), "{}", kind.name());
    }
}

/// A file that changes under a reader that has checked it before: nothing or nonsense, never a panic.
#[test]
fn reopened_files_may_have_changed() {
    let bytes = file(&mixed());
    assert_eq!(walk(&ModelView::reopen(&bytes)), walk(&ModelView::open(&bytes).expect("valid")));
    let mut generator = Generator::new(8);
    let mut changed = aligned(&bytes);
    for _ in 0..if cfg!(miri) { 8 } else { 20_000 } {
        for _ in 0..3 {
            let width = 1usize << (generator.draw() % 4);
            // Half of the changes hit the header and the section table.
            let end = if generator.draw().is_multiple_of(2) { 128 + 17 * 32 } else { bytes.len() };
            let offset = generator.draw() as usize % (end / width) * width;
            let list = values(width, bytes.len() as u64, &mut generator);
            let value = list[generator.draw() as usize % list.len()];
            changed[offset..offset + width].copy_from_slice(&value.to_le_bytes()[..width]);
        }
        let cut = if generator.draw().is_multiple_of(4) {
            generator.draw() as usize % bytes.len()
        } else {
            bytes.len()
        };
        let view = ModelView::reopen(&changed[..cut]);
        for (i, op) in view.operators().iter().enumerate() {
            let lists = (view.operator_inputs(op), view.operator_outputs(op), view.concat_tables(op));
            let pieces = (view.operator_intervals(op), view.packed_layouts(i), view.text(op.name));
            std::hint::black_box((lists, pieces, view.params(op), view.packed_weights(i, 1)));
        }
        for tensor in view.tensors() {
            std::hint::black_box((
                view.scales(tensor),
                view.constant(tensor),
                view.text(tensor.name),
                tensor.shape(),
            ));
        }
        std::hint::black_box((view.label(0), view.provenance(), view.check_digest().is_ok()));
        changed.copy_from_slice(&bytes);
    }
}
