//! Reads `.onnx` files.
//!
//! [`read`] turns the bytes of a file into an [`OnnxModel`]: plain owned data in which every name that is read is made.
//! What it promises is written at each field of [`model`]; a file that breaks a promise is refused with an
//! [`OnnxError`] that says where. No input makes it panic or read a file outside the model's folder, and it allocates
//! no more than a multiple of the file's length, plus the bytes of the constants that lie in other files.
//!
//! The reader judges the file, not the network: what becomes of it is decided by the lowering. Not looked at: graphs in
//! attributes (they stand as [`Attribute::Other`]; what they read of the graph around them does not count as read),
//! functions that no node calls, quantization annotations, device configurations, texts for people.
//!
//! | limit | |
//! |---|---|
//! | IR version | [`IR_VERSIONS`] |
//! | operator set `ai.onnx` | [`OPSETS`] |
//! | messages inside messages | 40 |
//! | nodes, tensors, stated values (those in subgraphs included) | 2^20 of each |
//! | attributes, extents of stated values | 2^21 of each |
//! | axes of a tensor or value | [`MAX_RANK`] |
//! | elements of a tensor | 2^31 - 1 |
//! | what the decoder may allocate, estimated from above | 128 times the file and 1 MiB |
//! | bytes taken of one external file by all tensors together | 4 times its length |

mod attribute;
pub mod error;
mod external;
pub mod fault;
mod graph;
pub mod model;
mod read;
mod scan;
mod tensor;

pub use error::{List, OnnxError};
pub use fault::{AttributeFault, ExternalFault, Held, NodeFault, TensorFault, ValueFault};
pub use model::{Attribute, DataType, Extent, Node, OnnxModel, Tensor, ValueInfo};
pub use read::{IR_VERSIONS, OPSETS, read};
pub use tensor::MAX_RANK;
