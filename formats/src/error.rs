//! What can be wrong with a file.

use core::fmt;

use crate::section::SectionKind;

/// Why a file is refused: what, where, and what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormatError {
    /// Byte offset in the file of the field or payload that is wrong.
    pub offset: u64,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// The bytes do not start on a 64-byte boundary in memory.
    Misaligned,
    /// Shorter than a header, or than the header says.
    TooShort {
        /// Bytes that were expected at least.
        expected: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// Not a `.dyad` file.
    Magic,
    /// A version this reader does not know.
    Version {
        /// The version of the file.
        found: u32,
    },
    /// A checksum does not fit its bytes.
    Checksum {
        /// What it covers.
        what: &'static str,
        /// The stored CRC-32.
        stored: u32,
        /// The CRC-32 of the bytes.
        computed: u32,
    },
    /// The BLAKE3 digest does not fit the file.
    Digest,
    /// A field has a value that is not allowed.
    Field {
        /// The field.
        field: &'static str,
        /// Its value.
        found: i64,
        /// What was expected.
        expected: &'static str,
    },
    /// A section that must be understood has an unknown number.
    UnknownSection {
        /// The number.
        kind: u32,
    },
    /// A section that every file has is absent.
    MissingSection {
        /// The section.
        kind: SectionKind,
    },
    /// A section occurs twice or out of order.
    SectionOrder {
        /// Its number.
        kind: u32,
    },
    /// A range leaves what it points into.
    Range {
        /// The field that points.
        field: &'static str,
        /// First element.
        first: u64,
        /// Number of elements.
        count: u64,
        /// Elements that are there.
        limit: u64,
    },
    /// A tensor is read before anything has written it.
    NotWritten {
        /// Its number.
        tensor: u32,
    },
    /// A tensor is read after another value was written over it.
    Overwritten {
        /// Its number.
        tensor: u32,
    },
    /// A second operator writes a tensor, or one writes a model input.
    WrittenTwice {
        /// Its number.
        tensor: u32,
    },
    /// Two tensors share bytes of the arena where they must not.
    Overlap {
        /// The tensor that is written.
        tensor: u32,
        /// The tensor whose bytes it touches.
        other: u32,
    },
    /// Nothing reads or writes a tensor.
    Unused {
        /// Its number.
        tensor: u32,
    },
    /// Weights have neither logical nor packed bytes.
    NotPacked {
        /// The number of the tensor.
        tensor: u32,
    },
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: ", self.offset)?;
        match self.problem {
            Problem::Misaligned => write!(f, "the file must lie on a 64-byte boundary in memory"),
            Problem::TooShort { expected, found } => {
                write!(f, "the file is cut short: {found} bytes, expected {expected}")
            }
            Problem::Magic => write!(f, "not a .dyad file (wrong magic bytes)"),
            Problem::Version { found } => write!(
                f,
                "format version {found}; this program reads version {}: compile the network again",
                crate::header::VERSION
            ),
            Problem::Checksum { what, stored, computed } => {
                write!(
                    f,
                    "the checksum of {what} is {computed:08x}, the file says {stored:08x}: the file is damaged"
                )
            }
            Problem::Digest => write!(f, "the BLAKE3 digest does not fit the file: the file is damaged"),
            Problem::Field { field, found, expected } => write!(f, "{field} is {found}, expected {expected}"),
            Problem::UnknownSection { kind } => {
                write!(
                    f,
                    "section kind {kind} must be understood and is not known: a newer tool wrote this file"
                )
            }
            Problem::MissingSection { kind } => write!(f, "the section {} is missing", kind.name()),
            Problem::SectionOrder { kind } => write!(f, "section kind {kind} occurs twice or out of order"),
            Problem::Range { field, first, count, limit } => {
                write!(f, "{field} points at {count} from {first}, expected to end by {limit}")
            }
            Problem::NotWritten { tensor } => {
                write!(
                    f,
                    "tensor {tensor} is read, expected that a model input or an earlier operator wrote it"
                )
            }
            Problem::Overwritten { tensor } => {
                write!(
                    f,
                    "tensor {tensor} is read, expected that its bytes in the arena were not written since"
                )
            }
            Problem::WrittenTwice { tensor } => {
                write!(f, "tensor {tensor} is written again, expected one operator or model input per tensor")
            }
            Problem::Overlap { tensor, other } => write!(
                f,
                "tensor {tensor} is written over bytes of tensor {other}, expected apart or exactly in place"
            ),
            Problem::Unused { tensor } => {
                write!(
                    f,
                    "tensor {tensor} is not used, expected an operator, model input or output that names it"
                )
            }
            Problem::NotPacked { tensor } => {
                write!(
                    f,
                    "the weights of tensor {tensor} are left out, expected packed weights of this operator"
                )
            }
        }
    }
}

impl core::error::Error for FormatError {}
