//! Integer arithmetic on slices: what every operation of Dyadic means, and how to do it fast.
//!
//! * [`reference`](mod@reference) is the specification in code: one naive, safe function per operation.
//!   `ARITHMETIC.md` states the same in formulas.
//! * `ops` holds the fast kernel bodies, written once over the micro-kernels of [`isa`].
//! * [`registry`] lists every fast kernel, one row each; the runtime, the tests, the benches and `dyadic kernels`
//!   read that list.
//! * [`isa::probe`] multiplies as fast as the CPU can, for the benches of `dyadic kernels`.
//!
//! Every tensor is a byte slice with an [`ElemType`]; shapes are NHWC, weights OHWI. No function allocates, and
//! no float type occurs in this crate. A fast kernel that differs from the reference in one bit is a bug.
#![no_std]
#![deny(missing_docs)]
#![deny(unsafe_code)]
#![deny(clippy::float_arithmetic, clippy::disallowed_types, clippy::disallowed_methods)]

#[cfg(feature = "std")]
extern crate std;

pub mod geometry;
pub mod isa;
pub mod nibble;
mod ops;
pub mod pack;
pub mod params;
pub mod reference;
pub mod registry;
pub mod requant;
pub mod single;
pub mod types;

pub use types::ElemType;
