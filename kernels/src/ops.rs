//! Fast kernel bodies: loops, blocking and edges, written once over the micro-kernels of [`crate::isa`]. The
//! registry lists what they make; nothing else calls them.

pub(crate) mod add;
pub(crate) mod argmax;
pub(crate) mod depthwise;
pub(crate) mod gemm;
pub(crate) mod mean;
pub(crate) mod pool;
pub(crate) mod resize;
pub(crate) mod softmax;
pub(crate) mod stream;
pub(crate) mod table;
