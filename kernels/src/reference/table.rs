//! Any function of one 8-bit value: rule 13.

/// `out[i] = table[in[i]]`, the table indexed by the raw byte (an s8 value as its two's complement byte).
/// Without an `input` the values already lie in the output.
pub fn table(table: &[u8; 256], input: Option<&[u8]>, output: &mut [u8]) {
    for (i, out) in output.iter_mut().enumerate() {
        *out = table[usize::from(input.map_or(*out, |x| x[i]))];
    }
}

/// `out[p, c] = tables[c][in[p, c]]`: a table for every channel of the last axis. Without an `input` the values already
/// lie in the output.
pub fn channel_table(tables: &[[u8; 256]], input: Option<&[u8]>, output: &mut [u8]) {
    for (i, out) in output.iter_mut().enumerate() {
        *out = tables[i % tables.len()][usize::from(input.map_or(*out, |x| x[i]))];
    }
}
