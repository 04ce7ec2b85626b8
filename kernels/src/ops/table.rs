//! 256-entry tables in plain Rust.

/// See [`crate::registry::TableFn`].
pub(crate) fn table_portable(table: &[u8; 256], input: Option<&[u8]>, output: &mut [u8]) {
    match input {
        Some(input) => {
            for (out, &x) in output.iter_mut().zip(input) {
                *out = table[usize::from(x)];
            }
        }
        None => output.iter_mut().for_each(|out| *out = table[usize::from(*out)]),
    }
}
