//! What can go wrong: at load (the file, the machine, the options), at a run (only misuse).

use alloc::string::String;
use core::fmt;

use dyadic_format::FormatError;
use dyadic_kernels::isa::IsaKind;

use crate::name::Name;

/// Why a model or session was not made.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadError {
    /// The file cannot be read.
    #[cfg(feature = "std")]
    Io {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The bytes are not a valid file.
    Format(FormatError),
    /// An operator's records do not fit together.
    Operator {
        /// Number of the operator in the file.
        index: usize,
        /// What it computes.
        kind: &'static str,
        /// The source nodes it stands for.
        name: String,
        /// What is wrong.
        what: &'static str,
        /// Its value.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// A tensor of the model itself is not usable.
    Tensor {
        /// Its name.
        name: String,
        /// What is wrong.
        what: &'static str,
        /// Its value.
        found: String,
        /// What was expected.
        expected: &'static str,
    },
    /// Memory is not there, or more than [`crate::Options::memory_limit`] is asked for.
    Memory {
        /// Bytes asked for.
        bytes: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// This CPU does not run the wanted instruction set.
    Isa {
        /// The instruction set.
        wanted: IsaKind,
        /// The strongest one here.
        best: IsaKind,
    },
    /// An option has a value that is not allowed.
    Option {
        /// The option.
        option: &'static str,
        /// Its value.
        found: String,
        /// What was expected.
        expected: &'static str,
    },
    /// The worker threads cannot be started.
    Threads {
        /// Why.
        reason: String,
    },
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            #[cfg(feature = "std")]
            LoadError::Io { path, source } => write!(f, "{}: {source}", path.display()),
            LoadError::Format(error) => write!(f, "{error}"),
            LoadError::Operator { index, kind, name, what, found, expected } => {
                write!(f, "operator {index} ({kind} '{name}'): {what} is {found}, expected {expected}")
            }
            LoadError::Tensor { name, what, found, expected } => {
                write!(f, "tensor '{name}': {what} is {found}, expected {expected}")
            }
            LoadError::Memory { bytes, limit } if bytes > limit => {
                write!(f, "the network needs {bytes} bytes of memory, allowed are {limit}")
            }
            LoadError::Memory { bytes, .. } => write!(f, "{bytes} bytes of memory are not available"),
            LoadError::Isa { wanted, best } => {
                write!(f, "this CPU does not run {}; the best it has is {}", wanted.name(), best.name())
            }
            LoadError::Option { option, found, expected } => {
                write!(f, "option {option} is {found}, expected {expected}")
            }
            LoadError::Threads { reason } => write!(f, "worker threads cannot be started: {reason}"),
        }
    }
}

impl core::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            #[cfg(feature = "std")]
            LoadError::Io { source, .. } => Some(source),
            LoadError::Format(error) => Some(error),
            LoadError::Operator { .. }
            | LoadError::Tensor { .. }
            | LoadError::Memory { .. }
            | LoadError::Isa { .. }
            | LoadError::Option { .. }
            | LoadError::Threads { .. } => None,
        }
    }
}

impl From<FormatError> for LoadError {
    fn from(error: FormatError) -> LoadError {
        LoadError::Format(error)
    }
}

/// Misuse of a loaded session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunError {
    /// Another number of inputs or outputs than the model has.
    Count {
        /// `"inputs"` or `"outputs"`.
        what: &'static str,
        /// Buffers given.
        found: usize,
        /// Buffers expected.
        expected: usize,
    },
    /// A buffer has not the length of its tensor.
    Length {
        /// `"input"` or `"output"`.
        what: &'static str,
        /// Which.
        index: usize,
        /// Bytes given.
        found: usize,
        /// Bytes expected.
        expected: usize,
    },
    /// A step panicked, in this run or an earlier one: a bug in this library, never a property of the data.
    Panicked,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Count { what, found, expected } => {
                write!(f, "{found} {what} given, the model has {expected}")
            }
            RunError::Length { what, index, found, expected } => {
                write!(f, "{what} {index} has {found} bytes, expected {expected}")
            }
            RunError::Panicked => write!(f, "a step panicked; the session cannot be used any more"),
        }
    }
}

impl core::error::Error for RunError {}

/// Something that the user of a session may want to know; it changes no result.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// The file has no packed weights in the layout of the chosen kernel, so they were packed at load, which costs
    /// time and memory. Operators that share weights share the packed ones too; the first of them is named.
    Repacked {
        /// Number of the operator.
        operator: usize,
        /// Its name.
        name: Name,
        /// The kernel.
        kernel: &'static str,
        /// Bytes that the packed weights take.
        bytes: usize,
    },
    /// A thread runs wherever the system puts it.
    NotPinned {
        /// The thread.
        thread: usize,
        /// The core that was wanted.
        core: usize,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::Repacked { operator, name, kernel, bytes } => write!(
                f,
                "operator {operator} ('{name}'): the file has no weights packed for {kernel}; packed {bytes} bytes at load"
            ),
            Warning::NotPinned { thread, core } => {
                write!(f, "thread {thread} could not be pinned to core {core}")
            }
        }
    }
}
