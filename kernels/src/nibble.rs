//! INT4 storage: two elements a byte, element `2i` in the low nibble, `2i + 1` in the high one; signed elements
//! in two's complement. An odd count leaves the last high nibble zero.

/// Unsigned 4-bit element `index`, 0 to 15.
#[inline]
pub fn unsigned(data: &[u8], index: usize) -> i32 {
    let byte = data[index / 2];
    i32::from(if index.is_multiple_of(2) { byte & 15 } else { byte >> 4 })
}

/// Signed 4-bit element `index`, -8 to 7.
#[inline]
pub fn signed(data: &[u8], index: usize) -> i32 {
    sign_extend(unsigned(data, index))
}

/// The signed value of the low nibble of `nibble`.
#[inline]
pub const fn sign_extend(nibble: i32) -> i32 {
    ((nibble & 15) ^ 8) - 8
}

/// Stores the low four bits of `value` as element `index`, leaving its neighbour alone.
#[inline]
pub fn store(data: &mut [u8], index: usize, value: i32) {
    let nibble = (value & 15) as u8;
    let byte = &mut data[index / 2];
    *byte = if index.is_multiple_of(2) { *byte & 0xf0 | nibble } else { *byte & 0x0f | nibble << 4 };
}
