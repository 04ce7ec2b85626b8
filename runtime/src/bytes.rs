//! 64-byte aligned memory without unsafe code.

use bytemuck::{Pod, Zeroable};

use crate::error::LoadError;

/// One cache line, the unit of allocation.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Zeroed bytes on a 64-byte boundary.
#[derive(Debug)]
pub(crate) struct AlignedBytes {
    lines: Vec<Line>,
    length: usize,
}

impl AlignedBytes {
    /// Zeroed memory.
    ///
    /// # Errors
    /// [`LoadError::Memory`] when the system has no such amount.
    pub(crate) fn zeroed(length: usize) -> Result<AlignedBytes, LoadError> {
        let count = length.div_ceil(64);
        let mut lines = Vec::new();
        lines.try_reserve_exact(count).map_err(|_| LoadError::Memory { bytes: length as u64 })?;
        lines.resize(count, Line([0; 64]));
        Ok(AlignedBytes { lines, length })
    }

    /// A copy.
    ///
    /// # Errors
    /// As [`AlignedBytes::zeroed`].
    pub(crate) fn copy_of(bytes: &[u8]) -> Result<AlignedBytes, LoadError> {
        let mut aligned = AlignedBytes::zeroed(bytes.len())?;
        aligned.as_mut_slice().copy_from_slice(bytes);
        Ok(aligned)
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.lines)[..self.length]
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.length]
    }
}
