//! Memory on cache-line boundaries, and the views a step has of the arena.

use alloc::vec::Vec;
use core::ops::Range;

use bytemuck::{Pod, Zeroable};
use dyadic_format::ALIGNMENT;

/// One cache line.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u8; ALIGNMENT]);

/// Zeroed bytes that start on a 64-byte boundary.
pub(crate) struct Aligned {
    lines: Vec<Line>,
    len: usize,
}

impl Aligned {
    /// `None` when the memory is not there.
    pub(crate) fn zeroed(len: usize) -> Option<Aligned> {
        let count = len.div_ceil(ALIGNMENT);
        let mut lines = Vec::new();
        lines.try_reserve_exact(count).ok()?;
        lines.resize(count, Line([0; ALIGNMENT]));
        Some(Aligned { lines, len })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len]
    }
}

impl core::fmt::Debug for Aligned {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Aligned({} bytes)", self.len)
    }
}

/// The arena while one step runs: the output may be written, everything before and behind it read. Inputs lie wholly
/// on one side, which was checked at load, so any number of them may be read at once.
pub(crate) struct Views<'a> {
    before: &'a [u8],
    behind: &'a [u8],
    /// Where `behind` starts in the arena.
    end: usize,
}

impl<'a> Views<'a> {
    /// The views round `output`, which lies inside the arena, and the output itself.
    pub(crate) fn split(arena: &'a mut [u8], output: Range<usize>) -> (Views<'a>, &'a mut [u8]) {
        let end = output.end;
        let (before, rest) = arena.split_at_mut(output.start);
        let (output, behind) = rest.split_at_mut(end - output.start);
        (Views { before, behind, end }, output)
    }

    /// The bytes of a range that does not touch the output.
    pub(crate) fn input(&self, range: Range<usize>) -> &'a [u8] {
        if range.start >= self.end {
            &self.behind[range.start - self.end..range.end - self.end]
        } else {
            &self.before[range]
        }
    }
}
