//! Suites over several crates; see `tests/`. What they share lies here.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

use std::path::PathBuf;

/// A folder of this repository.
pub fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The folder of real networks, when `DYADIC_MODELS` names one; otherwise says aloud what is left out.
pub fn real_models(what: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("DYADIC_MODELS").map(PathBuf::from).filter(|f| f.is_dir());
    if folder.is_none() {
        println!("LEFT OUT: {what}: DYADIC_MODELS names no folder of real networks");
    }
    folder
}
