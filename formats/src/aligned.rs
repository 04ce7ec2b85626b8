//! Bytes on a 64-byte boundary.

use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};

use bytemuck::{Pod, Zeroable, cast_slice, cast_slice_mut};

use crate::ALIGNMENT;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Block([u8; ALIGNMENT]);

/// Owned bytes that start on a 64-byte boundary, as [`ModelView::open`](crate::ModelView::open) wants them.
#[derive(Clone)]
pub struct AlignedBytes {
    blocks: Vec<Block>,
    length: usize,
}

impl AlignedBytes {
    /// `length` zeros; `None` when there is no memory for them. Large ones come as zeros from the system, so pages that
    /// nobody touches take no memory.
    pub fn zeroed(length: usize) -> Option<AlignedBytes> {
        let blocks = bytemuck::try_zeroed_vec(length.div_ceil(ALIGNMENT)).ok()?;
        Some(AlignedBytes { blocks, length })
    }

    /// A copy of `bytes`; `None` when there is no memory for it.
    pub fn copy_of(bytes: &[u8]) -> Option<AlignedBytes> {
        let mut copy = AlignedBytes::zeroed(bytes.len())?;
        copy.copy_from_slice(bytes);
        Some(copy)
    }
}

impl core::fmt::Debug for AlignedBytes {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "AlignedBytes({})", self.length)
    }
}

impl Deref for AlignedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &cast_slice(&self.blocks)[..self.length]
    }
}

impl DerefMut for AlignedBytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut cast_slice_mut(&mut self.blocks)[..self.length]
    }
}
