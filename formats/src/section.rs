//! The section table and the section numbers.

use bytemuck::{Pod, Zeroable};

/// One entry of the section table.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct SectionRecord {
    /// A [`SectionKind`], or a number this reader does not know.
    pub kind: u32,
    /// [`MUST_UNDERSTAND`] or 0.
    pub flags: u32,
    /// Byte offset in the file, a multiple of 64.
    pub offset: u64,
    /// Payload size in bytes, padding not counted.
    pub bytes: u64,
    /// Size of one record.
    pub record_bytes: u32,
    /// CRC-32 of the payload.
    pub crc: u32,
}

/// Flag: a reader that does not know the kind must refuse the file.
pub const MUST_UNDERSTAND: u32 = 1;

/// Declares the section kinds with number, record size and whether a reader must understand them.
macro_rules! sections {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $bytes:expr, $must:literal;)*) => {
        /// What a section holds. Numbers are never reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u32)]
        pub enum SectionKind { $($(#[$doc])* $name = $number,)* }

        impl SectionKind {
            /// Every kind, in the order of the file.
            pub const ALL: &'static [SectionKind] = &[$(SectionKind::$name),*];

            /// The kind of that number.
            pub fn from_number(number: u32) -> Option<SectionKind> {
                match number { $($number => Some(SectionKind::$name),)* _ => None }
            }

            /// Size of one record in bytes.
            pub const fn record_bytes(self) -> usize {
                match self { $(SectionKind::$name => $bytes,)* }
            }

            /// Whether a reader that does not know the kind must refuse the file.
            pub const fn must_understand(self) -> bool {
                match self { $(SectionKind::$name => $must,)* }
            }

            /// Name as `inspect` prints it.
            pub const fn name(self) -> &'static str {
                match self { $(SectionKind::$name => stringify!($name),)* }
            }
        }
    };
}

use crate::records as r;
use core::mem::size_of;

sections! {
    /// UTF-8 text that [`r::TextRef`] points into.
    Strings = 1, 1, true;
    /// [`crate::TensorRecord`].
    Tensors = 2, size_of::<crate::TensorRecord>(), true;
    /// [`crate::OperatorRecord`], in execution order.
    Operators = 3, size_of::<crate::OperatorRecord>(), true;
    /// u32 tensor and table numbers that operators point into.
    Operands = 4, 4, true;
    /// u32 tensor numbers of the model's inputs.
    Inputs = 5, 4, true;
    /// u32 tensor numbers of the model's outputs.
    Outputs = 6, 4, true;
    /// [`r::ScaleRecord`].
    Scales = 7, size_of::<r::ScaleRecord>(), true;
    /// i32 bias, multipliers and shifts.
    Constants = 8, 4, true;
    /// Tables of 256 bytes.
    Tables = 9, 256, true;
    /// [`r::IntervalRecord`], one per output channel of a proven operator.
    Intervals = 10, size_of::<r::IntervalRecord>(), true;
    /// Logical values of the constant tensors.
    Weights = 11, 1, true;
    /// [`r::PackedRecord`].
    PackedIndex = 12, size_of::<r::PackedRecord>(), false;
    /// Packed weights: a cache that decodes to the logical weights.
    Packed = 13, 1, false;
    /// [`r::ProvenanceRecord`], exactly one.
    Provenance = 14, size_of::<r::ProvenanceRecord>(), false;
    /// [`r::RecipeRecord`]: from pixels to the input tensor.
    Recipe = 15, size_of::<r::RecipeRecord>(), false;
    /// [`r::TextRef`], one per output class.
    Labels = 16, size_of::<r::TextRef>(), false;
    /// [`r::GoldenRecord`]: self-test.
    Golden = 17, size_of::<r::GoldenRecord>(), false;
    /// Reserved for a signature over the digest; empty in version 1.
    Signature = 18, 1, false;
}
