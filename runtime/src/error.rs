//! What can go wrong when a file is opened, lowered or run.

use std::fmt;
use std::path::PathBuf;

use dyadic_format::FormatError;
use dyadic_kernels::isa::IsaKind;

/// Why a file or a session is refused.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadError {
    /// The file cannot be read.
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The bytes are not a valid file.
    Format(FormatError),
    /// The records of a step contradict each other.
    Step {
        /// Step number.
        step: usize,
        /// Source nodes of the step.
        name: String,
        /// What was found and what was expected.
        problem: String,
    },
    /// The model as a whole has a fault.
    Model(String),
    /// The machine does not have that much memory.
    Memory {
        /// Bytes that were asked for.
        bytes: u64,
    },
    /// This CPU does not run the wanted instruction set.
    Isa {
        /// The wanted one.
        wanted: IsaKind,
        /// The best one here.
        best: IsaKind,
    },
    /// The worker threads could not be started.
    Threads(String),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Io { path, source } => write!(f, "{}: {source}", path.display()),
            LoadError::Format(error) => error.fmt(f),
            LoadError::Step { step, name, problem } => write!(f, "step {step} ({name}): {problem}"),
            LoadError::Model(problem) => f.write_str(problem),
            LoadError::Memory { bytes } => write!(f, "no memory for {bytes} bytes"),
            LoadError::Isa { wanted, best } => {
                write!(f, "this CPU does not run {}; the best it has is {}", wanted.name(), best.name())
            }
            LoadError::Threads(reason) => write!(f, "worker threads: {reason}"),
        }
    }
}

impl std::error::Error for LoadError {}

impl From<FormatError> for LoadError {
    fn from(error: FormatError) -> LoadError {
        LoadError::Format(error)
    }
}

/// Why a run did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunError {
    /// The caller gave another number of buffers than the model has.
    Count {
        /// Buffers expected.
        expected: usize,
        /// Buffers given.
        found: usize,
    },
    /// A buffer has another length than its tensor.
    Length {
        /// Number of the input or output.
        index: usize,
        /// Bytes expected.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// A worker thread ended; the session can no longer run.
    WorkerLost,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Count { expected, found } => write!(f, "{found} buffers, expected {expected}"),
            RunError::Length { index, expected, found } => {
                write!(f, "buffer {index} has {found} bytes, expected {expected}")
            }
            RunError::WorkerLost => write!(f, "a worker thread ended; make a new session"),
        }
    }
}

impl std::error::Error for RunError {}

/// What a session did that its user may not have wanted; never changes results.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// The file holds no weights in the layout that this machine's kernel wants; they were packed at load.
    Repacked {
        /// Step number.
        step: usize,
        /// Bytes that now exist twice.
        bytes: usize,
    },
    /// A thread could not be pinned to a core.
    NotPinned {
        /// The core.
        core: usize,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::Repacked { step, bytes } => {
                write!(
                    f,
                    "step {step}: weights packed at load ({bytes} bytes); compile with --target to avoid it"
                )
            }
            Warning::NotPinned { core } => write!(f, "no thread could be pinned to core {core}"),
        }
    }
}
