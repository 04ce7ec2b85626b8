//! The memory map. With [`crate::Model::map`], which hands its contract on, all the `unsafe` of this crate.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::path::Path;

/// A file mapped for reading.
#[derive(Debug)]
pub(crate) struct Mapping {
    map: memmap2::Mmap,
}

impl Mapping {
    /// Maps the whole file.
    ///
    /// # Safety
    /// Until the mapping is dropped nobody, in this process or another, changes the file's bytes or shortens it: its
    /// bytes are lent as `&[u8]`, and a read behind a shortened file ends the process.
    pub(crate) unsafe fn new(path: &Path) -> io::Result<Mapping> {
        let file = File::open(path)?;
        // SAFETY: the caller's promise is the contract of `Mmap::map`.
        let map = unsafe { memmap2::Mmap::map(&file) }?;
        Ok(Mapping { map })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map
    }
}
