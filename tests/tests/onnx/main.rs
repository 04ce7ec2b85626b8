//! ONNX networks: little ones whose integers are computed here in plain arithmetic, the same in every form that ONNX has
//! for them, on every instruction set of this CPU; what is refused, and how; damage; and published low-bit networks.
#![forbid(unsafe_code)]

mod author;
mod convolutions;
mod forms;
mod heads;
mod hostile;
mod lowbit;
mod movement;
mod plain;
mod qonnx;
mod refusals;
mod run;
mod streams;
