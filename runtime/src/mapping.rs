//! The memory map: the only unsafe code of this crate.
#![allow(unsafe_code)]

use std::fs::File;
use std::path::Path;

use memmap2::Mmap;

/// Maps a file for reading.
///
/// # Safety
/// While the map exists nobody may change or shorten the file, in this process or another.
pub(crate) unsafe fn map(path: &Path) -> std::io::Result<Mmap> {
    let file = File::open(path)?;
    // SAFETY: the caller keeps the promise that `Mmap::map` asks for, which is the one of this function.
    unsafe { Mmap::map(&file) }
}
