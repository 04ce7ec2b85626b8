//! 256-entry tables in plain Rust.

use crate::params::ChannelTable;

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

/// See [`crate::registry::ChannelTableFn`].
pub(crate) fn channel_table(p: &ChannelTable, input: Option<&[u8]>, output: &mut [u8]) {
    let channels = p.tables.len();
    for (i, pixel) in output.chunks_exact_mut(channels).enumerate() {
        if let Some(input) = input {
            pixel.copy_from_slice(&input[i * channels..][..channels]);
        }
        for (value, table) in pixel.iter_mut().zip(p.tables) {
            *value = table[usize::from(*value)];
        }
    }
}
