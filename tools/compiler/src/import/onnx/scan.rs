//! Walks the wire format before anything of it is allocated.
//!
//! Two bytes make an empty message, which takes hundreds in memory. The walk follows the definition's own table of
//! fields, keeps a stack of bounded depth, looks at each byte a bounded number of times, and adds up what the decoder
//! would allocate.

use dyadic_onnx_schema::{FieldInfo, Kind, MESSAGES, MODEL, MessageInfo};

use super::error::OnnxError;

type Result<T> = std::result::Result<T, OnnxError>;

/// Messages inside messages. A subgraph takes three levels, a shape five; the decoder's own limit is 100.
pub(super) const MAX_DEPTH: usize = 40;

/// How many there may be of messages that a file can hold many of.
pub(super) const MAX_COUNTS: [(&str, usize); 5] = [
    ("NodeProto", 1 << 20),
    ("TensorProto", 1 << 20),
    ("ValueInfoProto", 1 << 20),
    ("AttributeProto", 1 << 21),
    ("Dimension", 1 << 21),
];

/// What a file of that length may unfold to: above what tools write (once its length where weights make it up, 20 to
/// 50 times where they lie in other files), below what empty messages would give (300 to 700 times).
pub(super) fn unfold_limit(file: usize) -> usize {
    file.saturating_mul(128).saturating_add(1 << 20)
}

/// A growing list has at most three times its elements allocated at once (the old half and the new whole), and room
/// for four from its first.
const GROWTH: usize = 4;

/// Refuses bytes that are no well-formed `ModelProto` on the wire, or that would unfold beyond the limits.
pub(super) fn scan(bytes: &[u8]) -> Result<()> {
    let mut scan = Scan { bytes, at: 0, unfolded: 0, counts: [0; MAX_COUNTS.len()] };
    let mut open = vec![(&MESSAGES[MODEL], bytes.len())];
    while let Some(&(message, end)) = open.last() {
        if scan.at == end {
            open.pop();
        } else if let Some(inner) = scan.field(message, end)? {
            if open.len() == MAX_DEPTH {
                return Err(OnnxError::TooDeep { limit: MAX_DEPTH, at: scan.at });
            }
            open.push(inner);
        }
    }
    Ok(())
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    unfolded: usize,
    counts: [usize; MAX_COUNTS.len()],
}

/// Where a field begins, for reports.
#[derive(Clone, Copy)]
struct Place {
    message: &'static str,
    field: &'static str,
    at: usize,
}

impl Place {
    fn damaged(self, problem: impl Into<String>) -> OnnxError {
        let Place { message, field, at } = self;
        OnnxError::Damaged { message, field, at, problem: problem.into() }
    }
}

impl Scan<'_> {
    /// Steps over one field, or into it: then gives the message and its end.
    fn field(
        &mut self,
        message: &'static MessageInfo,
        end: usize,
    ) -> Result<Option<(&'static MessageInfo, usize)>> {
        let mut place = Place { message: message.name, field: "(tag)", at: self.at };
        let key = self.varint(place, end)?;
        let (number, wire) = (key >> 3, key & 7);
        if number == 0 || key > u64::from(u32::MAX) {
            return Err(place.damaged(format!("field number {number}")));
        }
        let known = message.fields.iter().find(|field| u64::from(field.number) == number);
        place.field = known.map_or("(unknown)", |field| field.name);
        if let Some(field) = known
            && !fits(field, wire)
        {
            return Err(place.damaged(format!("wire type {wire} does not fit the field")));
        }
        match wire {
            0 => {
                self.varint(place, end)?;
            }
            1 => self.skip(place, 8, end)?,
            5 => self.skip(place, 4, end)?,
            2 => {
                let length = usize::try_from(self.varint(place, end)?).unwrap_or(usize::MAX);
                return self.delimited(place, known, length, end);
            }
            other => return Err(place.damaged(format!("wire type {other}, which ONNX does not use"))),
        }
        if let Some(FieldInfo { repeated: true, kind, .. }) = known {
            self.unfold(1, element_size(*kind) * GROWTH)?;
        }
        Ok(None)
    }

    /// A field with a length.
    fn delimited(
        &mut self,
        place: Place,
        known: Option<&FieldInfo>,
        length: usize,
        end: usize,
    ) -> Result<Option<(&'static MessageInfo, usize)>> {
        let start = self.at;
        self.skip(place, length, end)?;
        let Some(field) = known else { return Ok(None) };
        let growth = if field.repeated { GROWTH } else { 1 };
        match field.kind {
            Kind::Message(index) => {
                let message = &MESSAGES[index];
                self.count(message)?;
                self.unfold(growth, message.size)?;
                self.at = start;
                return Ok(Some((message, start + length)));
            }
            Kind::Bytes => {
                self.unfold(if field.repeated { GROWTH } else { 0 }, size_of::<String>())?;
                self.unfold(length, 1)?;
            }
            kind => {
                let packed = &self.bytes[start..start + length];
                let elements = match kind {
                    Kind::Fixed32 => length / 4,
                    Kind::Fixed64 => length / 8,
                    _ => packed.iter().filter(|&&byte| byte < 0x80).count(),
                };
                self.unfold(elements, element_size(kind) * GROWTH)?;
            }
        }
        Ok(None)
    }

    fn skip(&mut self, place: Place, length: usize, end: usize) -> Result<()> {
        let left = end - self.at;
        if length > left {
            return Err(place.damaged(format!("{length} bytes, but {left} are left")));
        }
        self.at += length;
        Ok(())
    }

    fn varint(&mut self, place: Place, end: usize) -> Result<u64> {
        let mut value = 0u64;
        for (place_in, &byte) in self.bytes[self.at..end].iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * place_in).min(63);
            if byte < 0x80 {
                self.at += place_in + 1;
                return Ok(value);
            }
        }
        Err(place.damaged(if end - self.at < 10 {
            "a number is cut off"
        } else {
            "a number of over 10 bytes"
        }))
    }

    fn unfold(&mut self, count: usize, size: usize) -> Result<()> {
        let limit = unfold_limit(self.bytes.len());
        self.unfolded = self.unfolded.saturating_add(count.saturating_mul(size));
        if self.unfolded > limit {
            return Err(OnnxError::Unfolds { file: self.bytes.len(), limit });
        }
        Ok(())
    }

    fn count(&mut self, message: &MessageInfo) -> Result<()> {
        for (count, (name, limit)) in self.counts.iter_mut().zip(MAX_COUNTS) {
            if name == message.name.rsplit('.').next().unwrap_or_default() {
                *count += 1;
                if *count > limit {
                    return Err(OnnxError::TooMany { what: name, limit });
                }
            }
        }
        Ok(())
    }
}

fn fits(field: &FieldInfo, wire: u64) -> bool {
    match field.kind {
        Kind::Message(_) | Kind::Bytes => wire == 2,
        Kind::Varint(_) => wire == 0 || wire == 2 && field.repeated,
        Kind::Fixed32 => wire == 5 || wire == 2 && field.repeated,
        Kind::Fixed64 => wire == 1 || wire == 2 && field.repeated,
    }
}

fn element_size(kind: Kind) -> usize {
    match kind {
        Kind::Varint(size) => size,
        Kind::Fixed32 => 4,
        Kind::Fixed64 => 8,
        Kind::Bytes | Kind::Message(_) => 0,
    }
}
