//! Element types and how one element is read from and written to bytes.

use crate::nibble;

/// Integer element type of a tensor. Multi-byte types are little-endian; 4-bit types hold two elements a byte,
/// the even element in the low nibble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ElemType {
    /// 0 to 255.
    U8,
    /// -128 to 127.
    S8,
    /// 0 to 15, two a byte.
    U4,
    /// -8 to 7, two a byte.
    S4,
    /// -32768 to 32767: residual streams.
    S16,
    /// Accumulators, bias, index outputs.
    S32,
}

impl ElemType {
    /// Width of one element in bits.
    pub const fn bits(self) -> usize {
        match self {
            ElemType::U4 | ElemType::S4 => 4,
            ElemType::U8 | ElemType::S8 => 8,
            ElemType::S16 => 16,
            ElemType::S32 => 32,
        }
    }

    /// Bytes that `count` elements occupy, `None` when that does not fit a `usize`.
    pub const fn bytes(self, count: usize) -> Option<usize> {
        match self {
            ElemType::U4 | ElemType::S4 => Some(count / 2 + count % 2),
            ElemType::U8 | ElemType::S8 => Some(count),
            ElemType::S16 => count.checked_mul(2),
            ElemType::S32 => count.checked_mul(4),
        }
    }

    /// Smallest value of the type.
    pub const fn min(self) -> i32 {
        match self {
            ElemType::U8 | ElemType::U4 => 0,
            ElemType::S8 => -128,
            ElemType::S4 => -8,
            ElemType::S16 => -32768,
            ElemType::S32 => i32::MIN,
        }
    }

    /// Largest value of the type.
    pub const fn max(self) -> i32 {
        match self {
            ElemType::U8 => 255,
            ElemType::S8 => 127,
            ElemType::U4 => 15,
            ElemType::S4 => 7,
            ElemType::S16 => 32767,
            ElemType::S32 => i32::MAX,
        }
    }

    /// Name as `inspect` and the kernel names print it.
    pub const fn name(self) -> &'static str {
        match self {
            ElemType::U8 => "u8",
            ElemType::S8 => "s8",
            ElemType::U4 => "u4",
            ElemType::S4 => "s4",
            ElemType::S16 => "s16",
            ElemType::S32 => "s32",
        }
    }

    /// Element `index` of `data`.
    ///
    /// # Panics
    /// If the element lies outside `data`.
    #[inline]
    pub fn load(self, data: &[u8], index: usize) -> i32 {
        match self {
            ElemType::U8 => i32::from(data[index]),
            ElemType::S8 => i32::from(data[index] as i8),
            ElemType::U4 => nibble::unsigned(data, index),
            ElemType::S4 => nibble::signed(data, index),
            ElemType::S16 => i32::from(i16::from_le_bytes([data[2 * index], data[2 * index + 1]])),
            ElemType::S32 => {
                let b = &data[4 * index..4 * index + 4];
                i32::from_le_bytes([b[0], b[1], b[2], b[3]])
            }
        }
    }

    /// Writes `value`, which must lie in the range of the type, as element `index` of `data`.
    ///
    /// # Panics
    /// If the element lies outside `data`.
    #[inline]
    pub fn store(self, data: &mut [u8], index: usize, value: i32) {
        debug_assert!(self.min() <= value && value <= self.max());
        match self {
            ElemType::U8 | ElemType::S8 => data[index] = value as u8,
            ElemType::U4 | ElemType::S4 => nibble::store(data, index, value),
            ElemType::S16 => data[2 * index..2 * index + 2].copy_from_slice(&(value as i16).to_le_bytes()),
            ElemType::S32 => data[4 * index..4 * index + 4].copy_from_slice(&value.to_le_bytes()),
        }
    }
}
