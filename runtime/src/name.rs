//! [`Name`]: text of a file, read where it lies.

use alloc::sync::Arc;
use core::fmt;
use core::ops::{Deref, Range};

use crate::model::Bytes;

/// A name from a file. It keeps the file's bytes alive and copies no text: many records may share one long text.
#[derive(Clone)]
pub struct Name {
    bytes: Arc<Bytes>,
    range: Range<usize>,
}

impl Name {
    pub(crate) fn new(bytes: &Arc<Bytes>, range: Range<usize>) -> Name {
        Name { bytes: Arc::clone(bytes), range }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // The file was checked to hold UTF-8 here; a mapped file that changed against its contract may not.
        let text = self.bytes.get().get(self.range.clone());
        text.and_then(|bytes| core::str::from_utf8(bytes).ok()).unwrap_or("")
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Name {}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}
