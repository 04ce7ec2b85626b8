//! 256-entry tables, 16 values at a time: `tbl` looks 64 entries up and gives 0 beyond, `tbx` leaves what it finds.

use core::arch::aarch64::*;

/// See [`crate::registry::TableFn`].
#[target_feature(enable = "neon")]
pub(crate) fn table(table: &[u8; 256], input: Option<&[u8]>, output: &mut [u8]) {
    // SAFETY: four times 64 readable bytes.
    let quarters = unsafe {
        let start = table.as_ptr();
        [
            vld1q_u8_x4(start),
            vld1q_u8_x4(start.add(64)),
            vld1q_u8_x4(start.add(128)),
            vld1q_u8_x4(start.add(192)),
        ]
    };
    let count = output.len();
    let (vectors, rest) = output.as_chunks_mut::<16>();
    let input_vectors = input.map(|input| input[..count].as_chunks::<16>().0);
    for (i, out) in vectors.iter_mut().enumerate() {
        let x = input_vectors.map_or(*out, |input| input[i]);
        // SAFETY: 16 readable and 16 writable bytes.
        unsafe { vst1q_u8(out.as_mut_ptr(), look_up(&quarters, vld1q_u8(x.as_ptr()))) };
    }
    for (i, out) in rest.iter_mut().enumerate() {
        let x = input.map_or(*out, |input| input[vectors.len() * 16 + i]);
        *out = table[usize::from(x)];
    }
}

/// The entries of 16 values.
#[inline]
#[target_feature(enable = "neon")]
fn look_up(quarters: &[uint8x16x4_t; 4], x: uint8x16_t) -> uint8x16_t {
    let quarter = vdupq_n_u8(64);
    let (second, third) = (vsubq_u8(x, quarter), vsubq_u8(x, vdupq_n_u8(128)));
    let found = vqtbl4q_u8(quarters[0], x);
    let found = vqtbx4q_u8(found, quarters[1], second);
    let found = vqtbx4q_u8(found, quarters[2], third);
    vqtbx4q_u8(found, quarters[3], vsubq_u8(third, quarter))
}
