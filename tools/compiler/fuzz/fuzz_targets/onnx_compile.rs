//! Whatever an ONNX file holds, compiling it gives a file or an error: no panic, no hang, bounded memory.
#![no_main]

use dyadic_compiler::{Options, compile};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = compile(bytes, &Options::default());
});
