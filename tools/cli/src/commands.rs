//! The commands, one file each.

use crate::args::{Args, Command};
use crate::error::Result;

mod compile;
mod demo;
mod eval;
mod inspect;
mod kernels;
mod profile;
mod run;
mod verify;

/// What a command that ran has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Exit code 0.
    Yes,
    /// Exit code 1: a mismatch, a regression, a failed gate.
    No,
}

/// Runs a command.
pub fn run(args: Args) -> Result<Answer> {
    match args.command {
        Command::Demo(args) => demo::run(&args),
        Command::Compile(args) => compile::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Profile(args) => profile::run(&args),
        Command::Kernels(args) => kernels::run(&args),
    }
}
