//! Readers of the files that networks arrive in. A reader knows its file format and nothing of the compiler: it turns
//! bytes that nobody vouches for into a checked, owned structure, which lowering then reads without looking back.

pub mod onnx;
pub mod tflite;
