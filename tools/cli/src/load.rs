//! Opening models and sessions, and the self-test that `compile` adds.

use std::path::Path;

use dyadic_format::write::{Contents, write};
use dyadic_runtime::{LoadError, Model, Options, SelfTestError, Session, Warning};

use crate::args::Machine;
use crate::error::{Error, Result};
use crate::isa;
use crate::text::shown;

/// Maps a file.
pub fn model(path: &Path) -> Result<Model> {
    if path.is_dir() {
        return Err(Error::file(path, "this is a folder, expected a .dyad file"));
    }
    map(path).map_err(|e| match e {
        // This one names the file itself.
        LoadError::Io { .. } => Error::Message(e.to_string()),
        other => Error::file(path, other),
    })
}

#[allow(unsafe_code, reason = "the contract of a memory map is passed on to the user of the command")]
fn map(path: &Path) -> std::result::Result<Model, LoadError> {
    // SAFETY: the help of <MODEL> says that the file must not be changed while a command runs on it.
    unsafe { Model::map(path) }
}

/// How the command line wants a session.
pub fn options(machine: &Machine, profile_runs: usize) -> Result<Options> {
    let (threads, cores) = (usize::from(machine.threads), machine.cores.clone());
    if cores.len() > threads {
        let remedy = format!("add --threads {}", cores.len());
        return Err(format!("--cores names {} cores for {threads} threads; {remedy}", cores.len()).into());
    }
    Ok(Options { threads, cores, isa: machine.isa.get()?, profile_runs, ..Options::default() })
}

/// Makes a session as the command line says and prints its warnings.
pub fn session(path: &Path, model: &Model, machine: &Machine) -> Result<Session> {
    let session = Session::new(model.clone(), &options(machine, 0)?).map_err(|e| Error::file(path, e))?;
    print_warnings(&session);
    Ok(session)
}

/// What was noticed at load, on standard error; weights packed for several operators on one line.
pub fn print_warnings(session: &Session) {
    let packed = |warning: &Warning| match warning {
        Warning::Repacked { bytes, .. } => Some(*bytes),
        _ => None,
    };
    let sizes: Vec<usize> = session.warnings().iter().filter_map(packed).collect();
    let several = sizes.len() > 1;
    if several {
        let (total, isa) = (sizes.iter().sum::<usize>(), isa::used(session.isa()).name());
        eprintln!(
            "warning: the file has no weights packed for the kernels of {} operators; packed {total} bytes at load \
             (`compile --target {isa}` stores them)",
            sizes.len()
        );
    }
    for warning in session.warnings().iter().filter(|warning| !several || packed(warning).is_none()) {
        eprintln!("warning: {}", shown(&warning.to_string()));
    }
}

/// Stores the digest of every output on seeded inputs: the self-test that every file carries.
pub fn add_self_test(contents: &mut Contents) -> std::result::Result<(), SelfTestError> {
    contents.golden = Model::copy_of(&write(contents))?.golden_records()?;
    Ok(())
}
