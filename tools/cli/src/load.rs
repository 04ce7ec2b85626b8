//! Opening models and sessions, and the self-test that `compile` adds.

use std::path::Path;

use dyadic_format::records::GoldenRecord;
use dyadic_format::write::{Contents, write};
use dyadic_runtime::{LoadError, Model, Options, Session};

use crate::args::Machine;
use crate::error::{Error, Result};

/// Maps a file.
pub fn model(path: &Path) -> Result<Model> {
    map(path).map_err(|e| match e {
        // This one names the file itself.
        LoadError::Io { .. } => Error::Message(e.to_string()),
        other => Error::file(path, other),
    })
}

#[allow(unsafe_code, reason = "the contract of a memory map is passed on to the user of the command")]
fn map(path: &Path) -> std::result::Result<Model, LoadError> {
    // SAFETY: the help of the command says that a model must not be changed while a command runs on it.
    unsafe { Model::map(path) }
}

/// Makes a session as the command line says and prints its warnings.
pub fn session(model: &Model, machine: &Machine, profile_runs: usize) -> Result<Session> {
    let options = Options {
        threads: machine.threads.into(),
        cores: machine.cores.clone(),
        isa: machine.isa,
        profile_runs,
        ..Options::default()
    };
    let session = Session::new(model.clone(), &options).map_err(|e| Error::Message(e.to_string()))?;
    for warning in session.warnings() {
        eprintln!("warning: {warning}");
    }
    Ok(session)
}

/// Seed of the self-test that every file carries.
const GOLDEN_SEED: u64 = 1;

/// Runs the network on seeded inputs and stores the digest of every output.
pub fn add_self_test(contents: &mut Contents) -> Result<()> {
    let model = Model::copy_of(&write(contents)).map_err(|e| Error::Message(e.to_string()))?;
    let mut session = Session::new(model, &Options::default()).map_err(|e| Error::Message(e.to_string()))?;
    session.fill_seeded(GOLDEN_SEED);
    session.run().map_err(|e| Error::Message(e.to_string()))?;
    for output in 0..contents.outputs.len() {
        let digest = *blake3::hash(session.output(output)).as_bytes();
        contents.golden.push(GoldenRecord { seed: GOLDEN_SEED, output: output as u32, reserved: 0, digest });
    }
    Ok(())
}
