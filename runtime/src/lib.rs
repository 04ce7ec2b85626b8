//! Maps a `.dyad` file and executes it with integers only.
//!
//! [`Model`] holds a checked file; [`Session`] lowers it for this machine, owns the arena and runs. Everything that can
//! be wrong with a file is refused when it is opened or lowered; [`Session::run`] cannot fail on a valid session,
//! allocates nothing and, with one thread, makes no system call.
#![deny(missing_docs)]
#![deny(clippy::float_arithmetic, clippy::disallowed_types, clippy::disallowed_methods)]
#![deny(unsafe_code)]

mod bytes;
mod error;
mod execute;
mod lower;
mod mapping;
mod model;
mod profile;
mod session;
mod step;
mod threads;

pub use error::{LoadError, RunError, Warning};
pub use model::{Model, TensorInfo};
pub use profile::Profile;
pub use session::{Options, Session};
pub use step::StepInfo;
pub use threads::Parallel;

pub use dyadic_format as format;
pub use dyadic_kernels::ElemType;
pub use dyadic_kernels::isa::{Cpu, IsaKind};
