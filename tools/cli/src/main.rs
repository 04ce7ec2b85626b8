//! The `dyadic` command: compiles quantized networks, runs, inspects, proves and profiles them.
//!
//! Exit codes: 0 done, 1 ran but the answer is no, 2 error.
#![deny(unsafe_code)]

mod args;
mod commands;
mod error;
mod input;
mod isa;
mod load;
mod npy;
mod picture;
mod progress;
mod table;
mod text;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let args = args::Args::parse();
    match commands::run(args) {
        Ok(commands::Answer::Yes) => ExitCode::SUCCESS,
        Ok(commands::Answer::No) => ExitCode::from(1),
        // A reader that has seen enough is no failure.
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}
