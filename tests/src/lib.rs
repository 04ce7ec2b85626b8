//! Suites over several crates; see `tests/`. What they share lies here.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

use std::io::Write;
use std::path::PathBuf;
use std::sync::Once;

use dyadic_kernels::isa::{Cpu, IsaKind};

/// A folder of this repository.
pub fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The folder of real networks, when `DYADIC_MODELS` names one; otherwise says aloud, once, what is left out.
pub fn real_models() -> Option<PathBuf> {
    let folder = std::env::var_os("DYADIC_MODELS").filter(|f| !f.is_empty()).map(PathBuf::from);
    if folder.is_none() {
        static SAID: Once = Once::new();
        SAID.call_once(|| {
            // The macros that print are captured by the test harness; this is not.
            let line = "left out: tests on real models, because DYADIC_MODELS is not set";
            writeln!(std::io::stderr(), "{line}").expect("standard error");
        });
    }
    folder
}

/// The instruction sets to test: those of this CPU, or the one that `DYADIC_ISA` names.
///
/// # Panics
/// When this CPU does not have that one.
pub fn isas() -> Vec<IsaKind> {
    let cpu = Cpu::detect();
    match std::env::var("DYADIC_ISA") {
        Ok(name) => {
            let isa = IsaKind::from_name(&name).unwrap_or_else(|| panic!("DYADIC_ISA={name}"));
            assert!(cpu.has(isa), "DYADIC_ISA={name}: this CPU does not have it");
            vec![isa]
        }
        Err(_) => IsaKind::ALL.into_iter().filter(|&isa| cpu.has(isa)).collect(),
    }
}
