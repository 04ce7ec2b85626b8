//! The element types of TFLite tensors.

use std::fmt;

/// Stamps [`ElemType`] from one table, so that a code, its name and its width stand on one line.
macro_rules! elem_types {
    ($($variant:ident = $code:literal, $name:literal, $bits:expr;)*) => {
        /// Type of one tensor element, as the file states it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ElemType {
            $(#[doc = concat!("`", $name, "`, code ", stringify!($code), ".")] $variant,)*
            /// A code that the schema known here does not define.
            Unknown(i8),
        }

        impl ElemType {
            /// The type of a code in the file.
            pub fn from_code(code: i8) -> Self {
                match code {
                    $($code => Self::$variant,)*
                    other => Self::Unknown(other),
                }
            }

            /// The code in the file; inverse of [`ElemType::from_code`].
            pub fn code(self) -> i8 {
                match self {
                    $(Self::$variant => $code,)*
                    Self::Unknown(code) => code,
                }
            }

            /// Bits of one element; `None` where elements have no fixed width or the type is unknown.
            pub fn bits(self) -> Option<u32> {
                match self {
                    $(Self::$variant => $bits,)*
                    Self::Unknown(_) => None,
                }
            }
        }

        impl fmt::Display for ElemType {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant => f.write_str($name),)*
                    Self::Unknown(code) => write!(f, "element type {code}"),
                }
            }
        }
    };
}

elem_types! {
    Float32 = 0, "FLOAT32", Some(32);
    Float16 = 1, "FLOAT16", Some(16);
    Int32 = 2, "INT32", Some(32);
    UInt8 = 3, "UINT8", Some(8);
    Int64 = 4, "INT64", Some(64);
    String = 5, "STRING", None;
    Bool = 6, "BOOL", Some(8);
    Int16 = 7, "INT16", Some(16);
    Complex64 = 8, "COMPLEX64", Some(64);
    Int8 = 9, "INT8", Some(8);
    Float64 = 10, "FLOAT64", Some(64);
    Complex128 = 11, "COMPLEX128", Some(128);
    UInt64 = 12, "UINT64", Some(64);
    Resource = 13, "RESOURCE", None;
    Variant = 14, "VARIANT", None;
    UInt32 = 15, "UINT32", Some(32);
    UInt16 = 16, "UINT16", Some(16);
    Int4 = 17, "INT4", Some(4);
    BFloat16 = 18, "BFLOAT16", Some(16);
    Int2 = 19, "INT2", Some(2);
    UInt4 = 20, "UINT4", Some(4);
    Float8E4M3 = 21, "FLOAT8_E4M3FN", Some(8);
    Float8E5M2 = 22, "FLOAT8_E5M2", Some(8);
}

impl ElemType {
    /// Smallest and largest value of an integer type of at most 32 bits signed range, which is also where its zero
    /// point has to lie (a real 0 must be representable). `None` for every other type: their tensors carry no
    /// affine quantization.
    pub fn integer_range(self) -> Option<(i64, i64)> {
        match self {
            Self::Int2 => Some((-2, 1)),
            Self::Int4 => Some((-8, 7)),
            Self::UInt4 => Some((0, 15)),
            Self::Int8 => Some((-128, 127)),
            Self::UInt8 => Some((0, 255)),
            Self::Int16 => Some((-32_768, 32_767)),
            Self::UInt16 => Some((0, 65_535)),
            Self::Int32 => Some((i64::from(i32::MIN), i64::from(i32::MAX))),
            Self::UInt32 => Some((0, i64::from(u32::MAX))),
            Self::Int64 => Some((i64::MIN, i64::MAX)),
            Self::UInt64 => Some((0, i64::MAX)),
            Self::Float32
            | Self::Float16
            | Self::String
            | Self::Bool
            | Self::Complex64
            | Self::Float64
            | Self::Complex128
            | Self::Resource
            | Self::Variant
            | Self::BFloat16
            | Self::Float8E4M3
            | Self::Float8E5M2
            | Self::Unknown(_) => None,
        }
    }

    /// Bytes that `elements` elements take when packed without gaps (4-bit types: two a byte, the first in the low
    /// nibble, the last byte filled up). `None` where [`ElemType::bits`] is, or beyond 64 bits.
    pub fn byte_len(self, elements: u64) -> Option<u64> {
        Some(elements.checked_mul(u64::from(self.bits()?))?.div_ceil(8))
    }
}
