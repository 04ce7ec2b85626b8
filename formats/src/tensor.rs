//! Tensor records.

use bytemuck::{Pod, Zeroable};

use crate::records::TextRef;

/// Highest rank of a tensor.
pub const MAX_RANK: usize = 8;

/// One tensor. The range `lo..=hi` is proven: no run gives a value outside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct TensorRecord {
    /// Name in the source network.
    pub name: TextRef,
    /// [`ElemCode`].
    pub elem: u8,
    /// [`Storage`].
    pub storage: u8,
    /// Number of axes, 0 to 8.
    pub rank: u8,
    /// Zero.
    pub reserved: u8,
    /// Value that stands for real zero.
    pub zero_point: i32,
    /// Extents, outermost first; entries from `rank` on are 1.
    pub dims: [u32; MAX_RANK],
    /// Byte offset: in the arena a multiple of the element size (of 1 for 4-bit elements), in the `Weights` section
    /// a multiple of 64, and 0 when packed only.
    pub offset: u64,
    /// Size in bytes: the elements, 4-bit ones two a byte.
    pub bytes: u64,
    /// First entry in `Scales`.
    pub scale_first: u32,
    /// 0 (no scale: indices), 1, or one per element of axis 0.
    pub scale_count: u32,
    /// Smallest proven value.
    pub lo: i32,
    /// Largest proven value.
    pub hi: i32,
    /// Smallest and largest code that the quantizer of this tensor gives; both 0: all of the type.
    pub codes: [i32; 2],
    /// Zero.
    pub reserved2: [u32; 2],
}

const _: () = assert!(core::mem::size_of::<TensorRecord>() == 96);

/// Element types of the file; the numbers are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ElemCode {
    /// Unsigned 8 bits.
    U8 = 1,
    /// Signed 8 bits.
    S8 = 2,
    /// Unsigned 4 bits, two a byte, even element low.
    U4 = 3,
    /// Signed 4 bits, two a byte, even element low.
    S4 = 4,
    /// Signed 16 bits.
    S16 = 5,
    /// Signed 32 bits.
    S32 = 6,
}

impl ElemCode {
    /// The type of that number.
    pub const fn from_number(number: u8) -> Option<ElemCode> {
        match number {
            1 => Some(ElemCode::U8),
            2 => Some(ElemCode::S8),
            3 => Some(ElemCode::U4),
            4 => Some(ElemCode::S4),
            5 => Some(ElemCode::S16),
            6 => Some(ElemCode::S32),
            _ => None,
        }
    }

    /// Bits of one element.
    pub const fn bits(self) -> u64 {
        match self {
            ElemCode::U4 | ElemCode::S4 => 4,
            ElemCode::U8 | ElemCode::S8 => 8,
            ElemCode::S16 => 16,
            ElemCode::S32 => 32,
        }
    }

    /// Smallest and largest value.
    pub const fn range(self) -> (i32, i32) {
        match self {
            ElemCode::U8 => (0, 255),
            ElemCode::S8 => (-128, 127),
            ElemCode::U4 => (0, 15),
            ElemCode::S4 => (-8, 7),
            ElemCode::S16 => (-32768, 32767),
            ElemCode::S32 => (i32::MIN, i32::MAX),
        }
    }
}

/// Where a tensor lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Storage {
    /// In the arena, at `offset`.
    Arena = 1,
    /// In the `Weights` section, at `offset`.
    Constant = 2,
    /// Weights whose logical bytes the file leaves out: every operator that reads them has them packed.
    PackedOnly = 3,
}

impl Storage {
    /// The storage of that number.
    pub const fn from_number(number: u8) -> Option<Storage> {
        match number {
            1 => Some(Storage::Arena),
            2 => Some(Storage::Constant),
            3 => Some(Storage::PackedOnly),
            _ => None,
        }
    }
}

impl TensorRecord {
    /// [`TensorRecord::codes`], those of `elem` where none are recorded.
    pub const fn code_range(&self, elem: ElemCode) -> (i32, i32) {
        match self.codes {
            [0, 0] => elem.range(),
            [lo, hi] => (lo, hi),
        }
    }

    /// The extents, outermost first.
    pub fn shape(&self) -> &[u32] {
        &self.dims[..usize::from(self.rank).min(MAX_RANK)]
    }
}
