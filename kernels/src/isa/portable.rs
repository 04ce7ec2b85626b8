//! Plain Rust, shaped so that the compiler vectorises it for whatever baseline it is given.
