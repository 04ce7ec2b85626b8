//! Opening models and sessions, and the self-test that `compile` adds.

use std::path::Path;

use dyadic_format::records::GoldenRecord;
use dyadic_format::write::{Contents, write};
use dyadic_runtime::{Model, Options, Session};

use crate::args::Machine;
use crate::error::{Error, Result};

/// Maps a file.
pub fn model(path: &Path) -> Result<Model> {
    map(path).map_err(|e| Error::file(path, e))
}

#[allow(unsafe_code, reason = "the contract of a memory map is passed on to the user of the command")]
fn map(path: &Path) -> std::result::Result<Model, dyadic_runtime::LoadError> {
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
    fill_seeded(&mut session, GOLDEN_SEED);
    session.run().map_err(|e| Error::Message(e.to_string()))?;
    for output in 0..contents.outputs.len() {
        let digest = *blake3::hash(session.output(output)).as_bytes();
        contents.golden.push(GoldenRecord { seed: GOLDEN_SEED, output: output as u32, reserved: 0, digest });
    }
    Ok(())
}

/// Fills every input with the seeded values that `FORMAT.md` defines.
pub fn fill_seeded(session: &mut Session, seed: u64) {
    let infos = session.model().inputs().to_vec();
    let mut state = seed;
    for (index, info) in infos.iter().enumerate() {
        let elements: usize = info.shape.iter().product();
        let (lo, hi) = info.range;
        let span = (i64::from(hi) - i64::from(lo) + 1) as u64;
        let bytes = session.input_mut(index);
        for element in 0..elements {
            let value = i64::from(lo) + (next(&mut state) % span) as i64;
            info.elem.store(bytes, element, value as i32);
        }
    }
}

/// SplitMix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
