//! Any single damage is refused: every bit, every cut, every wrong boundary.

use dyadic_format::{Contents, ModelView, Problem};

use crate::models::{mixed, tiny};
use crate::seal::{aligned, file, problem};

/// Miri is slow: a part of the bits there, all of them elsewhere.
const STEP: usize = if cfg!(miri) { 499 } else { 1 };

fn models() -> Vec<Contents> {
    if cfg!(miri) { vec![tiny()] } else { vec![tiny(), mixed()] }
}

#[test]
fn every_flipped_bit_is_refused() {
    for contents in models() {
        let mut bytes = file(&contents);
        for bit in (0..bytes.len() * 8).step_by(STEP) {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(ModelView::open(&bytes).is_err(), "bit {} of byte {}", bit % 8, bit / 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        ModelView::open(&bytes).expect("all bits are back");
    }
}

#[test]
fn every_truncation_is_refused() {
    for contents in models() {
        let bytes = file(&contents);
        for length in (0..bytes.len()).step_by(STEP) {
            let expected = if length < 128 { 128 } else { bytes.len() as u64 };
            let cut = ModelView::open(&bytes[..length]).map(|_| ()).map_err(|e| e.problem);
            assert_eq!(cut, Err(Problem::TooShort { expected, found: length as u64 }));
        }
    }
}

#[test]
fn every_extension_is_refused() {
    let bytes = file(&tiny());
    for more in [1, 63, 64, 65, 512] {
        for fill in [0, 255] {
            let mut longer = bytes.to_vec();
            longer.resize(bytes.len() + more, fill);
            assert!(problem(&longer).is_some());
            let length = longer.len() as u64;
            longer[16..24].copy_from_slice(&length.to_le_bytes());
            crate::seal::reseal(&mut longer);
            assert!(problem(&longer).is_some(), "the last section must end the file");
        }
    }
}

#[test]
fn short_files_of_any_size_are_refused() {
    let whole = file(&tiny());
    for size in (0..=200).step_by(if cfg!(miri) { 20 } else { 1 }) {
        for fill in [0, 0x44, 255] {
            assert!(problem(&vec![fill; size]).is_some());
        }
        let mut cut = whole[..size].to_vec();
        assert!(problem(&cut).is_some());
        if size >= 24 {
            // A header that believes in its own size.
            cut[16..24].copy_from_slice(&(size as u64).to_le_bytes());
        }
        crate::seal::reseal(&mut cut);
        assert!(problem(&cut).is_some(), "{size}");
    }
}

#[test]
fn every_wrong_boundary_is_refused() {
    let bytes = file(&tiny());
    let mut shifted = aligned(&vec![0; bytes.len() + 64]);
    for by in (0..64).step_by(if cfg!(miri) { 8 } else { 1 }) {
        shifted[by..by + bytes.len()].copy_from_slice(&bytes);
        let result = ModelView::open(&shifted[by..by + bytes.len()]);
        assert_eq!(result.map_err(|e| e.problem).err(), (by != 0).then_some(Problem::Misaligned));
    }
}

#[test]
fn swapped_blocks_are_refused() {
    let bytes = file(&if cfg!(miri) { tiny() } else { mixed() });
    let blocks = bytes.len() / 64;
    let step = if cfg!(miri) { 7 } else { 1 };
    for i in (0..blocks).step_by(step) {
        for j in (i + 1..blocks).step_by(step) {
            let mut swapped = aligned(&bytes);
            for k in 0..64 {
                swapped.swap(64 * i + k, 64 * j + k);
            }
            assert_eq!(ModelView::open(&swapped).is_err(), *swapped != *bytes, "{i} {j}");
        }
    }
}
