//! Constants in files beside the model: which file, which bytes, and nothing outside the model's folder.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use dyadic_onnx_schema::StringStringEntryProto;

use super::fault::{ExternalFault, TensorFault};
use super::tensor::Wanted;

type Result<T> = std::result::Result<T, ExternalFault>;

/// All tensors together may take this many times the length of an external file: room for a few that share bytes,
/// none for thousands that each take the whole of a large one.
const MAX_USE: u64 = 4;

/// The model's folder, and what was read of its files.
pub(super) struct External<'a> {
    folder: Option<&'a Path>,
    /// Bytes taken of each file, by its true path.
    taken: BTreeMap<PathBuf, u64>,
    digests: BTreeMap<String, blake3::Hasher>,
}

/// The keys of the format. `checksum` and those of others are not used.
struct Entry {
    location: String,
    offset: u64,
    length: Option<u64>,
}

impl<'a> External<'a> {
    pub(super) fn new(folder: Option<&'a Path>) -> Self {
        Self { folder, taken: BTreeMap::new(), digests: BTreeMap::new() }
    }

    /// The bytes that the entries name.
    pub(super) fn take(
        &mut self,
        entries: &[StringStringEntryProto],
        wanted: &Wanted<'_>,
    ) -> std::result::Result<Vec<u8>, TensorFault> {
        let stated =
            |key| entries.iter().find(|entry| entry.key() == key).map(|entry| entry.value().to_owned());
        let location = stated("location").unwrap_or_default();
        let outside = |fault| TensorFault::External { location: location.clone(), fault };
        let entry = entry(entries).map_err(outside)?;
        let (path, name) = self.path(&entry.location).map_err(outside)?;
        let (mut file, size) = open(&path).map_err(outside)?;
        let length = entry.length.unwrap_or(size.saturating_sub(entry.offset));
        let end = entry.offset.checked_add(length).filter(|&end| end <= size);
        if end.is_none() {
            return Err(outside(ExternalFault::Range { offset: entry.offset, length, file: size }));
        }
        wanted.check(length)?;
        self.count(path, length, size).map_err(outside)?;
        let data = read_range(&mut file, entry.offset, length).map_err(outside)?;
        if length > 0 {
            let digest = self.digests.entry(name).or_default();
            digest.update(&entry.offset.to_le_bytes()).update(&length.to_le_bytes()).update(&data);
        }
        Ok(data)
    }

    /// What was used: names below the folder, ascending, each with the digest that [`super::OnnxModel::external`] tells.
    pub(super) fn finish(self) -> Vec<(String, [u8; 32])> {
        self.digests.into_iter().map(|(name, hasher)| (name, hasher.finalize().into())).collect()
    }

    /// The true path of a location, and its name below the folder.
    fn path(&self, location: &str) -> Result<(PathBuf, String)> {
        let name = name_below(location)?;
        let folder = self.folder.ok_or(ExternalFault::NoFolder)?;
        // The folder of `model.onnx` is the empty path.
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let root = folder.canonicalize().map_err(io)?;
        let path = root.join(&name).canonicalize().map_err(io)?;
        if !path.starts_with(&root) {
            return Err(ExternalFault::Escapes);
        }
        Ok((path, name))
    }

    fn count(&mut self, path: PathBuf, length: u64, size: u64) -> Result<()> {
        let taken = self.taken.entry(path).or_default();
        *taken = taken.saturating_add(length);
        if *taken > size.saturating_mul(MAX_USE) {
            return Err(ExternalFault::Overused { limit: MAX_USE, file: size });
        }
        Ok(())
    }
}

fn io(error: std::io::Error) -> ExternalFault {
    ExternalFault::Io(error.to_string())
}

fn entry(entries: &[StringStringEntryProto]) -> Result<Entry> {
    let mut found = [None, None, None];
    for entry in entries {
        for (key, slot) in ["location", "offset", "length"].into_iter().zip(&mut found) {
            if entry.key() == key && slot.replace(entry.value()).is_some() {
                return Err(ExternalFault::KeyTwice { key });
            }
        }
    }
    let number = |key: &'static str, value: &str| {
        let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        let number = if digits { value.parse().ok() } else { None };
        number.ok_or_else(|| ExternalFault::NoNumber { key, value: value.to_owned() })
    };
    let [location, offset, length] = found;
    Ok(Entry {
        location: location.ok_or(ExternalFault::NoLocation)?.to_owned(),
        offset: offset.map_or(Ok(0), |value| number("offset", value))?,
        length: length.map(|value| number("length", value)).transpose()?,
    })
}

/// The location without `.` steps. Judged as text, the same on every system: what one system takes for a plain name, a
/// backslash for instance, leads out of the folder on another.
fn name_below(location: &str) -> Result<String> {
    let bytes = location.as_bytes();
    let problem = if location.is_empty() {
        Some("is empty")
    } else if location.contains('\\') {
        Some("has a backslash")
    } else if location.contains('\0') {
        Some("has a zero byte")
    } else if bytes[0] == b'/' {
        Some("is absolute")
    } else if bytes.get(1) == Some(&b':') && bytes[0].is_ascii_alphabetic() {
        Some("names a drive")
    } else if location.split('/').any(|step| step == "..") {
        Some("leads upwards")
    } else {
        None
    };
    let name: Vec<&str> = location.split('/').filter(|step| !matches!(*step, "" | ".")).collect();
    match problem.or(name.is_empty().then_some("names no file")) {
        Some(problem) => Err(ExternalFault::Path { problem }),
        None => Ok(name.join("/")),
    }
}

/// Opens a regular file and gives its length. Asked before opening, because opening a pipe waits for its writer, and
/// again afterwards, of the file that was opened.
fn open(path: &Path) -> Result<(File, u64)> {
    if !path.metadata().map_err(io)?.is_file() {
        return Err(ExternalFault::NotRegular);
    }
    let file = File::open(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    if metadata.is_file() { Ok((file, metadata.len())) } else { Err(ExternalFault::NotRegular) }
}

fn read_range(file: &mut File, offset: u64, length: u64) -> Result<Vec<u8>> {
    let size =
        usize::try_from(length).map_err(|_| ExternalFault::Io("too large for this machine".to_owned()))?;
    let mut data = vec![0; size];
    file.seek(SeekFrom::Start(offset)).map_err(io)?;
    file.read_exact(&mut data).map_err(io)?;
    Ok(data)
}
