//! The views a step has of the arena.

use core::ops::Range;

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
