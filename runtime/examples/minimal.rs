//! The smallest host: maps a model, runs it on zeros and prints the bytes of every output.
//!
//! `cargo run --release -p dyadic-runtime --example minimal -- net.dyad`

use std::process::ExitCode;
use std::time::Instant;

use dyadic_runtime::{LoadError, Model, Options, Session};

#[allow(unsafe_code, reason = "the contract of a memory map is the caller's")]
fn map(path: &str) -> Result<Model, LoadError> {
    // SAFETY: whoever starts this example does not change the file while it runs.
    unsafe { Model::map(path) }
}

fn run(path: &str) -> Result<(), Box<dyn std::error::Error>> {
    let start = Instant::now();
    let model = map(path)?;
    let mapped = start.elapsed().as_micros();
    let mut session = Session::new(model, &Options::default())?;
    let lowered = start.elapsed().as_micros() - mapped;
    session.run()?;
    for (index, info) in session.model().outputs().iter().enumerate() {
        println!("output {index} '{}': {} bytes", info.name, session.output(index).len());
    }
    println!(
        "mapped and checked in {mapped} us, lowered in {lowered} us, arena {} bytes",
        session.arena_bytes()
    );
    Ok(())
}

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: minimal MODEL.dyad");
        return ExitCode::from(2);
    };
    match run(&path) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{path}: {error}");
            ExitCode::from(2)
        }
    }
}
