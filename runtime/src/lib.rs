//! Loads a `.dyad` file and executes it with integers only.
//!
//! ```no_run
//! use dyadic_runtime::{Model, Options, Session};
//!
//! let model = Model::open("signs.dyad")?;
//! let mut session = Session::new(model, &Options::default())?;
//! session.input_mut(0).fill(128);
//! session.run()?;
//! println!("{:?}", session.output(0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! * [`Model`]: the checked bytes of a file, shared by any number of sessions.
//! * [`Session`]: one network ready to run. Loading *lowers* every operator into a bound step: geometry, constants
//!   and arena ranges are checked there, once, and a kernel is chosen. A run then only executes steps; it allocates
//!   nothing and cannot fail on what the file says.
//! * [`Parallel`]: the loop that steps are split with; worker threads of our own, or a host's.
//!
//! Results are the same bytes for every instruction set and every number of threads.
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(unsafe_code)]
#![deny(missing_docs)]
#![deny(clippy::float_arithmetic, clippy::disallowed_types, clippy::disallowed_methods)]

extern crate alloc;

mod arena;
mod error;
mod lower;
#[cfg(feature = "std")]
mod mapping;
mod model;
mod name;
mod options;
mod parallel;
#[cfg(feature = "std")]
mod profile;
mod self_test;
mod session;
mod step;
#[cfg(feature = "std")]
mod threads;

pub use dyadic_format as format;
pub use dyadic_kernels::ElemType;
pub use dyadic_kernels::isa::{Cpu, IsaKind};

pub use error::{LoadError, RunError, Warning};
pub use model::{Model, TensorInfo};
pub use name::Name;
pub use options::Options;
pub use parallel::{Inline, MAX_BANDS, Parallel};
#[cfg(feature = "std")]
pub use profile::Profile;
pub use self_test::SelfTestError;
pub use session::Session;
pub use step::StepInfo;
