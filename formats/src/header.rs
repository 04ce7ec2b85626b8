//! The first 128 bytes of a file.

use bytemuck::{Pod, Zeroable};

/// `"DYADIC"`, then a byte sequence that text-mode transfers damage.
pub const MAGIC: [u8; 8] = *b"DYADIC\r\n";
/// Version of the structure. A reader refuses every other one by name.
pub const VERSION: u32 = 1;

/// The file header.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// [`VERSION`].
    pub version: u32,
    /// Size of this header: 128.
    pub header_bytes: u32,
    /// Size of the file.
    pub file_bytes: u64,
    /// Bytes of arena that a run needs, scratch not counted: the end of the last tensor, rounded up to 64.
    pub arena_bytes: u64,
    /// Entries of the section table, which follows the header.
    pub section_count: u32,
    /// CRC-32 of the section table.
    pub table_crc: u32,
    /// BLAKE3 of the file, with `table_crc`, this field and `header_crc` taken as zero.
    pub digest: [u8; 32],
    /// Zero.
    pub reserved: [u32; 13],
    /// CRC-32 of the 124 bytes before this field.
    pub header_crc: u32,
}

impl Header {
    /// The header of no file.
    pub(crate) const EMPTY: Header = Header {
        magic: [0; 8],
        version: 0,
        header_bytes: 0,
        file_bytes: 0,
        arena_bytes: 0,
        section_count: 0,
        table_crc: 0,
        digest: [0; 32],
        reserved: [0; 13],
        header_crc: 0,
    };
}

/// Size of [`Header`] in bytes.
pub const HEADER_BYTES: usize = core::mem::size_of::<Header>();
const _: () = assert!(HEADER_BYTES == 128);
