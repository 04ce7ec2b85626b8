//! Reads `.tflite` files.
//!
//! [`read`] turns the bytes of a file into a [`TfliteModel`]: plain owned data in which every number that names
//! something names something that exists. What it promises is written at each field of [`model`]; a file that breaks a
//! promise is refused with a [`TfliteError`] that says where. No input makes it panic, and it allocates no more than a
//! small multiple of the file's length.
//!
//! The reader judges the file, not the network: operators that the compiler cannot run are read like all others, so
//! that one report can name them all.
//!
//! [`author`] is the other direction, for tests and examples that need a small file.

pub mod author;
mod decode;
pub mod elem;
mod encode;
pub mod error;
mod graph;
pub mod model;
pub mod opcode;
pub mod options;
mod read;

pub use elem::ElemType;
pub use error::{GraphFault, Held, Maker, OperatorFault, Role, TensorFault, TfliteError};
pub use model::{Operator, Quant, QuantScheme, Tensor, TfliteModel};
pub use opcode::{Arity, OpCode};
pub use options::{
    Activation, AddOptions, Conv2dOptions, DepthwiseConv2dOptions, FullyConnectedOptions, MirrorPadMode,
    Options, Padding, Pool2dOptions, ResizeOptions, StridedSliceOptions, TransposeConvOptions, WeightsFormat,
};
pub use read::read;
