//! The inner loops, each in one block of assembly: there are no stable intrinsics, and between single instructions a compiler
//! copies accumulators about.

use core::arch::aarch64::*;
use core::arch::asm;

use crate::pack::panels::OCTET_BYTES;

/// Sums of 8 rows by 8 columns: vector `[p][c]` is rows `2p` and `2p + 1`, of each columns `2c` and `2c + 1`.
pub(super) type Sums = [[int32x4_t; 4]; 4];

/// Two columns in vector `$w` times four vectors of two rows.
macro_rules! two_columns {
    ($w:literal, $r0:literal $r1:literal $r2:literal $r3:literal, $a:literal $b:literal $c:literal $d:literal) => {
        concat!(
            "smmla ", $a, ".4s, ", $r0, ".16b, ", $w, ".16b\n", "smmla ", $b, ".4s, ", $r1, ".16b, ", $w,
            ".16b\n", "smmla ", $c, ".4s, ", $r2, ".16b, ", $w, ".16b\n", "smmla ", $d, ".4s, ", $r3,
            ".16b, ", $w, ".16b\n"
        )
    };
}

/// One step: eight columns in four vectors times eight rows in four vectors.
macro_rules! step {
    ($w0:literal $w1:literal $w2:literal $w3:literal, $($row:literal)+) => {
        concat!(
            two_columns!($w0, $($row)+, "v16" "v20" "v24" "v28"),
            two_columns!($w1, $($row)+, "v17" "v21" "v25" "v29"),
            two_columns!($w2, $($row)+, "v18" "v22" "v26" "v30"),
            two_columns!($w3, $($row)+, "v19" "v23" "v27" "v31")
        )
    };
}

/// The next two steps of eight rows, two by two: the even step in v8, v0, v2, v4, the odd one in v1, v3, v5, v7.
macro_rules! load_rows {
    () => {
        concat!(
            "ldr q0, [{row0}, {at}]\nldr q1, [{row1}, {at}]\nldr q2, [{row2}, {at}]\nldr q3, [{row3}, {at}]\n",
            "ldr q4, [{row4}, {at}]\nldr q5, [{row5}, {at}]\nldr q6, [{row6}, {at}]\nldr q7, [{row7}, {at}]\n",
            "add {at}, {at}, #16\n",
            "zip1 v8.2d, v0.2d, v1.2d\nzip2 v1.2d, v0.2d, v1.2d\n",
            "zip1 v0.2d, v2.2d, v3.2d\nzip2 v3.2d, v2.2d, v3.2d\n",
            "zip1 v2.2d, v4.2d, v5.2d\nzip2 v5.2d, v4.2d, v5.2d\n",
            "zip1 v4.2d, v6.2d, v7.2d\nzip2 v7.2d, v6.2d, v7.2d"
        )
    };
}

/// Runs code over [`Sums`], which are in v16 and up, with the rows' pointers and `weights`.
macro_rules! run {
    ($sums:ident, $rows:ident, $weights:ident, [$($operands:tt)*], $($code:expr),+) => {
        asm!(
            $($code),+,
            row0 = in(reg) $rows[0], row1 = in(reg) $rows[1], row2 = in(reg) $rows[2], row3 = in(reg) $rows[3],
            row4 = in(reg) $rows[4], row5 = in(reg) $rows[5], row6 = in(reg) $rows[6], row7 = in(reg) $rows[7],
            weights = inout(reg) $weights => _,
            $($operands)*
            inout("v16") $sums[0][0], inout("v17") $sums[0][1], inout("v18") $sums[0][2], inout("v19") $sums[0][3],
            inout("v20") $sums[1][0], inout("v21") $sums[1][1], inout("v22") $sums[1][2], inout("v23") $sums[1][3],
            inout("v24") $sums[2][0], inout("v25") $sums[2][1], inout("v26") $sums[2][2], inout("v27") $sums[2][3],
            inout("v28") $sums[3][0], inout("v29") $sums[3][1], inout("v30") $sums[3][2], inout("v31") $sums[3][3],
            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _, out("v7") _,
            out("v8") _, out("v9") _, out("v10") _, out("v11") _, out("v12") _, out("v13") _, out("v14") _, out("v15") _,
            options(nostack, readonly)
        )
    };
}

/// `count` pairs of steps, at least one: 16 positions of the rows from `rows` on, by the eight columns whose weights begin at
/// `weights`.
///
/// # Safety
/// `16 * count` bytes are readable at each row, and 64 bytes at each of `2 * count` steps of [`OCTET_BYTES`] from `weights` on.
#[inline]
#[target_feature(enable = "neon,i8mm")]
pub(super) unsafe fn pairs(sums: &mut Sums, rows: [*const u8; 8], weights: *const u8, count: usize) {
    debug_assert!(count > 0);
    // SAFETY: reads what the caller promised.
    unsafe {
        run!(
            sums, rows, weights,
            [at = inout(reg) 0usize => _, count = inout(reg) count => _, step = const 2 * OCTET_BYTES,],
            "2:",
            "ldp q9, q10, [{weights}]",
            "ldp q11, q12, [{weights}, #32]",
            load_rows!(),
            step!("v9" "v10" "v11" "v12", "v8" "v0" "v2" "v4"),
            "ldp q13, q14, [{weights}, #128]",
            "ldp q15, q6, [{weights}, #160]",
            "add {weights}, {weights}, #{step}",
            "subs {count}, {count}, #1",
            step!("v13" "v14" "v15" "v6", "v1" "v3" "v5" "v7"),
            "b.ne 2b"
        );
    }
}

/// One step of 8 positions, as [`pairs`].
///
/// # Safety
/// 8 bytes are readable at each row, 64 at `weights`.
#[inline]
#[target_feature(enable = "neon,i8mm")]
pub(super) unsafe fn single(sums: &mut Sums, rows: [*const u8; 8], weights: *const u8) {
    // SAFETY: reads what the caller promised.
    unsafe {
        run!(
            sums,
            rows,
            weights,
            [],
            "ldr d0, [{row0}]\nld1 {{v0.d}}[1], [{row1}]",
            "ldr d1, [{row2}]\nld1 {{v1.d}}[1], [{row3}]",
            "ldr d2, [{row4}]\nld1 {{v2.d}}[1], [{row5}]",
            "ldr d3, [{row6}]\nld1 {{v3.d}}[1], [{row7}]",
            "ldp q9, q10, [{weights}]",
            "ldp q11, q12, [{weights}, #32]",
            step!("v9" "v10" "v11" "v12", "v0" "v1" "v2" "v3")
        );
    }
}

/// As [`pairs`] for weights of 4 bits; the sums are 16 times as large.
///
/// # Safety
/// `16 * count` bytes are readable at each row, and 64 bytes at each of `count` steps of [`OCTET_BYTES`] from `weights` on.
#[inline]
#[target_feature(enable = "neon,i8mm")]
pub(super) unsafe fn nibbles(sums: &mut Sums, rows: [*const u8; 8], weights: *const u8, count: usize) {
    debug_assert!(count > 0);
    // SAFETY: reads what the caller promised.
    unsafe {
        run!(
            sums, rows, weights,
            [at = inout(reg) 0usize => _, count = inout(reg) count => _, step = const OCTET_BYTES,],
            "2:",
            "ldp q9, q10, [{weights}]",
            "ldp q11, q12, [{weights}, #32]",
            "add {weights}, {weights}, #{step}",
            load_rows!(),
            "shl v13.16b, v9.16b, #4",
            "shl v14.16b, v10.16b, #4",
            "shl v15.16b, v11.16b, #4",
            "shl v6.16b, v12.16b, #4",
            step!("v13" "v14" "v15" "v6", "v8" "v0" "v2" "v4"),
            "movi v13.16b, #0xf0",
            "and v9.16b, v9.16b, v13.16b",
            "and v10.16b, v10.16b, v13.16b",
            "and v11.16b, v11.16b, v13.16b",
            "and v12.16b, v12.16b, v13.16b",
            "subs {count}, {count}, #1",
            step!("v9" "v10" "v11" "v12", "v1" "v3" "v5" "v7"),
            "b.ne 2b"
        );
    }
}
