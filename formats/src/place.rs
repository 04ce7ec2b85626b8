//! Where a check takes place in the file, and the checks that every record shares.

use crate::error::{FormatError, Problem};
use crate::records::TextRef;

pub(crate) type Checked = Result<(), FormatError>;

/// Longest text, in bytes.
pub(crate) const MAX_TEXT: u32 = (1 << 16) - 1;

/// The place of a field: a byte offset in the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) offset: u64,
}

/// The place of a field of the record at `$p`.
macro_rules! at {
    ($p:expr, $record:ty, $($field:tt)+) => { $p.at(core::mem::offset_of!($record, $($field)+)) };
}
pub(crate) use at;

impl Place {
    /// The place `bytes` further on.
    pub(crate) const fn at(self, bytes: usize) -> Place {
        Place { offset: self.offset + bytes as u64 }
    }

    pub(crate) fn fail(self, problem: Problem) -> Checked {
        Err(FormatError { offset: self.offset, problem })
    }

    pub(crate) fn field(
        self,
        ok: bool,
        field: &'static str,
        found: impl TryInto<i64>,
        expected: &'static str,
    ) -> Checked {
        if ok {
            return Ok(());
        }
        self.fail(Problem::Field { field, found: found.try_into().unwrap_or(i64::MAX), expected })
    }

    /// `count` elements from `first` on end by `limit`.
    pub(crate) fn range(self, field: &'static str, first: u64, count: u64, limit: u64) -> Checked {
        match first.checked_add(count) {
            Some(end) if end <= limit => Ok(()),
            _ => self.fail(Problem::Range { field, first, count, limit }),
        }
    }

    pub(crate) fn checksum(self, what: &'static str, stored: u32, computed: u32) -> Checked {
        if stored == computed { Ok(()) } else { self.fail(Problem::Checksum { what, stored, computed }) }
    }

    /// Padding that begins here.
    pub(crate) fn zeros(self, padding: &[u8]) -> Checked {
        match padding.iter().position(|&b| b != 0) {
            None => Ok(()),
            Some(i) => self.at(i).field(false, "padding", padding[i], "0"),
        }
    }

    /// A piece of the section `Strings`, whose whole was found to be UTF-8: both ends lie between characters.
    pub(crate) fn text(self, field: &'static str, text: TextRef, strings: &str) -> Checked {
        self.range(field, text.offset.into(), text.bytes.into(), strings.len() as u64)?;
        let (start, end) = (text.offset as usize, text.offset as usize + text.bytes as usize);
        let whole = strings.is_char_boundary(start) && strings.is_char_boundary(end);
        self.field(whole, field, text.offset, "text cut between characters")?;
        self.field(text.bytes <= MAX_TEXT, field, text.bytes, "at most 65535 bytes")
    }
}

/// Pieces of a section that must lie one after another from its start to its end, so that none overlap, none are
/// shared and nothing lies between them. That also bounds the work of whoever walks over all pieces.
#[derive(Debug)]
pub(crate) struct Row {
    field: &'static str,
    next: u64,
    limit: u64,
}

impl Row {
    /// A section of `limit` elements.
    pub(crate) const fn new(field: &'static str, limit: usize) -> Row {
        Row { field, next: 0, limit: limit as u64 }
    }

    /// The next piece: `count` elements from `first` on.
    pub(crate) fn take(&mut self, p: Place, first: u64, count: u64) -> Checked {
        p.range(self.field, first, count, self.limit)?;
        p.field(first == self.next, self.field, first, "the end of the piece before it")?;
        self.next = first + count;
        Ok(())
    }

    /// The next piece of the payload `bytes`, which starts on the next 64-byte boundary after zeros.
    pub(crate) fn take_aligned(
        &mut self,
        p: Place,
        first: u64,
        count: u64,
        (payload, bytes): (Place, &[u8]),
    ) -> Checked {
        p.range(self.field, first, count, self.limit)?;
        let ok = first == self.next.next_multiple_of(crate::ALIGNMENT as u64);
        p.field(ok, self.field, first, "the next 64-byte boundary after the piece before it")?;
        // Both lie inside `bytes` and so keep their values.
        let (end, start) = (self.next as usize, first as usize);
        payload.at(end).zeros(&bytes[end..start])?;
        self.next = first + count;
        Ok(())
    }

    /// No element is left over. `section` is where the elements of `element` bytes begin.
    pub(crate) fn finish(&self, section: Place, element: usize) -> Checked {
        let rest = self.limit - self.next;
        let p = section.at(self.next as usize * element);
        p.field(rest == 0, self.field, rest, "nothing after the last piece in use")
    }
}
