//! The `.dyad` file: one compiled network, read in place.
//!
//! [`ModelView`] checks every byte it will ever rely on, once, and hands out borrowed records; [`write`](write::write) is its
//! inverse and deterministic. `FORMAT.md` specifies the file byte by byte. Nothing here knows what an operation
//! computes: geometry, and the shapes and types that depend on it, are checked by the runtime when it lowers the file.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![deny(clippy::float_arithmetic, clippy::disallowed_types, clippy::disallowed_methods)]

extern crate alloc;

#[cfg(target_endian = "big")]
compile_error!("the .dyad file is little-endian and read in place; big-endian hosts are not supported");

mod aligned;
mod container;
mod error;
pub mod header;
pub mod operator;
mod place;
pub mod records;
pub mod section;
pub mod seeded;
pub mod tensor;
mod validate;
mod view;
pub mod write;

pub use aligned::AlignedBytes;
pub use error::{FormatError, Problem};
pub use operator::{OpKind, OperatorRecord, Params, Rule};
pub use tensor::{ElemCode, Storage, TensorRecord};
pub use view::ModelView;
pub use write::Contents;

/// Alignment of the file in memory and of every section in the file, in bytes.
pub const ALIGNMENT: usize = 64;
