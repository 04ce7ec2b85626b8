//! One error type for the command: a sentence that names the file, the place and the remedy.

use std::fmt;
use std::path::Path;

use crate::text::shown_lines;

/// What went wrong.
#[derive(Debug)]
pub enum Error {
    /// Reading or writing a file failed.
    Io {
        /// The file.
        what: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Writing to standard output failed.
    Output(std::io::Error),
    /// Everything else, already a sentence.
    Message(String),
}

/// Result of a command's parts.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A failed operation on a file.
    pub fn io(path: &Path, source: std::io::Error) -> Error {
        Error::Io { what: path.display().to_string(), source }
    }

    /// A sentence about a file.
    pub fn file(path: &Path, message: impl fmt::Display) -> Error {
        Error::Message(format!("{}: {message}", path.display()))
    }

    /// Whether standard output was closed by its reader.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Error::Output(source) if source.kind() == std::io::ErrorKind::BrokenPipe)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io { what, source } => f.write_str(&shown_lines(&format!("{what}: {source}"))),
            Error::Output(source) => write!(f, "standard output: {source}"),
            Error::Message(message) => f.write_str(&shown_lines(message)),
        }
    }
}

impl From<String> for Error {
    fn from(message: String) -> Error {
        Error::Message(message)
    }
}

impl From<&str> for Error {
    fn from(message: &str) -> Error {
        Error::Message(message.to_string())
    }
}

/// Writing to standard output: files are written through [`Error::io`], which names them.
impl From<std::io::Error> for Error {
    fn from(source: std::io::Error) -> Error {
        Error::Output(source)
    }
}
