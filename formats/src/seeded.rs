//! Seeded inputs: golden records and digests are made from them on every machine alike.
//!
//! The generator is SplitMix64 (G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators",
//! 2014). One generator serves all inputs of a run: the model's inputs in order, the elements of each in order.

use crate::tensor::{ElemCode, TensorRecord};

/// A stream of 64-bit numbers that follows from a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generator {
    state: u64,
}

impl Generator {
    /// The stream of `seed`.
    pub const fn new(seed: u64) -> Generator {
        Generator { state: seed }
    }

    /// The next number; all arithmetic modulo 2^64.
    pub const fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = self.state;
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A value in `lo..=hi`: `lo + draw() mod (hi - lo + 1)`; `lo` when `hi` is below it.
    pub const fn value(&mut self, lo: i32, hi: i32) -> i32 {
        let count = hi as i64 - lo as i64 + 1;
        let drawn = self.draw();
        // The sum lies in `lo..=hi` and so keeps its value.
        if count < 1 { lo } else { (lo as i64 + (drawn % count as u64) as i64) as i32 }
    }

    /// Fills `bytes` with the elements of `tensor`, each a value in its proven range, in row-major order, little-endian
    /// as the file stores them. Bytes beyond the tensor's stay as they are; a record of an unknown type fills nothing.
    pub fn fill(&mut self, tensor: &TensorRecord, bytes: &mut [u8]) {
        let Some(elem) = ElemCode::from_number(tensor.elem) else { return };
        let limit = usize::try_from(tensor.bytes).unwrap_or(usize::MAX).min(bytes.len());
        let bytes = &mut bytes[..limit];
        let (lo, hi) = (tensor.lo, tensor.hi);
        match elem {
            ElemCode::U8 | ElemCode::S8 => bytes.fill_with(|| self.value(lo, hi) as u8),
            ElemCode::S16 => {
                for pair in bytes.chunks_exact_mut(2) {
                    pair.copy_from_slice(&(self.value(lo, hi) as u16).to_le_bytes());
                }
            }
            ElemCode::S32 => {
                for four in bytes.chunks_exact_mut(4) {
                    four.copy_from_slice(&self.value(lo, hi).to_le_bytes());
                }
            }
            ElemCode::U4 | ElemCode::S4 => self.fill_nibbles(tensor, bytes),
        }
    }

    /// Two elements a byte, the even one low; the high half of the last byte of an odd count is zero.
    fn fill_nibbles(&mut self, tensor: &TensorRecord, bytes: &mut [u8]) {
        let elements: u64 = tensor.shape().iter().map(|&e| u64::from(e)).fold(1, u64::saturating_mul);
        for (i, byte) in bytes.iter_mut().enumerate() {
            let low = self.value(tensor.lo, tensor.hi) as u8 & 15;
            let whole = 2 * i as u64 + 1 < elements;
            let high = if whole { self.value(tensor.lo, tensor.hi) as u8 & 15 } else { 0 };
            *byte = low | high << 4;
        }
    }
}
