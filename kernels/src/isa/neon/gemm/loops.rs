//! The inner loops of the matrix kernels for Armv8.0, each in one block of assembly.
//!
//! Written for cores that issue in order (Cortex-A53): one vector multiplication a cycle, one load of 64 bits beside it. A
//! compiler neither puts a load beside every multiplication nor keeps the results of one apart by its latency of four
//! cycles, and it spills accumulators; on the A53 that costs a quarter to a half of the speed. Cores that reorder lose nothing by it.
//! So that no load waits for its data, what a step multiplies was loaded in the step before; the last step of a loop loads its
//! own operands again, and nothing behind them is read.

use core::arch::aarch64::*;
use core::arch::asm;

use crate::pack::panels::OCTET_BYTES;

/// Sums of 4 columns by 4 rows. A lane holds the products of every fourth position or pair of positions; the sum over the lanes
/// is the sum of the products, modulo 2^32.
pub(super) type Sums = [[int32x4_t; 4]; 4];

/// Sums of 8 rows by 2 columns in 16 bits, lane by lane of the depth.
pub(super) type NarrowSums = [[int16x8_t; 2]; 8];

/// Four rows times one column in two steps: products, products added, sums. Twelve cycles, each with a slot for something else:
/// weights `$even` and `$odd`, accumulators, slots.
macro_rules! two_steps {
    ($even:literal $odd:literal, $a:literal $b:literal $c:literal $d:literal,
     $s0:literal $s1:literal $s2:literal $s3:literal $s4:literal $s5:literal
     $s6:literal $s7:literal $s8:literal $s9:literal $s10:literal $s11:literal) => {
        concat!(
            "smull v0.8h, v8.8b, ",
            $even,
            ".8b\n",
            $s0,
            "\n",
            "smull v1.8h, v9.8b, ",
            $even,
            ".8b\n",
            $s1,
            "\n",
            "smull v2.8h, v10.8b, ",
            $even,
            ".8b\n",
            $s2,
            "\n",
            "smull v3.8h, v11.8b, ",
            $even,
            ".8b\n",
            $s3,
            "\n",
            "smlal v0.8h, v12.8b, ",
            $odd,
            ".8b\n",
            $s4,
            "\n",
            "smlal v1.8h, v13.8b, ",
            $odd,
            ".8b\n",
            $s5,
            "\n",
            "smlal v2.8h, v14.8b, ",
            $odd,
            ".8b\n",
            $s6,
            "\n",
            "smlal v3.8h, v15.8b, ",
            $odd,
            ".8b\n",
            $s7,
            "\n",
            "sadalp ",
            $a,
            ".4s, v0.8h\n",
            $s8,
            "\n",
            "sadalp ",
            $b,
            ".4s, v1.8h\n",
            $s9,
            "\n",
            "sadalp ",
            $c,
            ".4s, v2.8h\n",
            $s10,
            "\n",
            "sadalp ",
            $d,
            ".4s, v3.8h\n",
            $s11
        )
    };
}

/// As [`two_steps`] for one step, in eight cycles.
macro_rules! one_step {
    ($even:literal, $a:literal $b:literal $c:literal $d:literal,
     $s0:literal $s1:literal $s2:literal $s3:literal $s4:literal $s5:literal $s6:literal $s7:literal) => {
        concat!(
            "smull v0.8h, v8.8b, ",
            $even,
            ".8b\n",
            $s0,
            "\n",
            "smull v1.8h, v9.8b, ",
            $even,
            ".8b\n",
            $s1,
            "\n",
            "smull v2.8h, v10.8b, ",
            $even,
            ".8b\n",
            $s2,
            "\n",
            "smull v3.8h, v11.8b, ",
            $even,
            ".8b\n",
            $s3,
            "\n",
            "sadalp ",
            $a,
            ".4s, v0.8h\n",
            $s4,
            "\n",
            "sadalp ",
            $b,
            ".4s, v1.8h\n",
            $s5,
            "\n",
            "sadalp ",
            $c,
            ".4s, v2.8h\n",
            $s6,
            "\n",
            "sadalp ",
            $d,
            ".4s, v3.8h\n",
            $s7
        )
    };
}

/// Runs a loop over [`Sums`]: rows in v8 to v15, weights in v4 to v7, accumulators from v16 on.
macro_rules! run {
    ($sums:ident, $rows:ident, $weights:ident, $count:ident, $step:expr, [$($odd:ident)?], $($code:expr),+) => {
        asm!(
            $($code),+,
            row0 = in(reg) $rows[0], row1 = in(reg) $rows[1], row2 = in(reg) $rows[2], row3 = in(reg) $rows[3],
            weights = inout(reg) $weights => _,
            count = inout(reg) $count => _,
            at = inout(reg) 0usize => _,
            next = out(reg) _,
            $($odd = out(reg) _,)?
            step = const $step,
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

/// `count` pairs of steps, at least one: 16 positions of the rows from `rows` on, by the four columns whose weights begin at
/// `weights`. The products of the two steps are added in 16 bits, which holds them unless both are `-128 * -128`.
/// 256 products in 48 cycles.
///
/// # Safety
/// `16 * count` bytes are readable at each row, and 32 bytes at each of `2 * count` steps of [`OCTET_BYTES`] from `weights` on.
#[inline]
#[target_feature(enable = "neon")]
pub(super) unsafe fn pairs(sums: &mut Sums, rows: [*const u8; 4], weights: *const u8, count: usize) {
    debug_assert!(count > 0);
    // SAFETY: reads what the caller promised; `at` and `weights` stay in the last step when `count` has come to 0.
    unsafe {
        run!(
            sums,
            rows,
            weights,
            count,
            2 * OCTET_BYTES,
            [odd],
            "ldr d8, [{row0}]",
            "ldr d9, [{row1}]",
            "ldr d10, [{row2}]",
            "ldr d11, [{row3}]",
            "ldr d4, [{weights}]",
            "ldr d12, [{row0}, #8]",
            "ldr d13, [{row1}, #8]",
            "ldr d14, [{row2}, #8]",
            "ldr d15, [{row3}, #8]",
            "ldr d5, [{weights}, #128]",
            "2:",
            two_steps!("v4" "v5", "v16" "v17" "v18" "v19",
                "ldr d6, [{weights}, #8]" "subs {count}, {count}, #1"
                "ldr d7, [{weights}, #136]" "add {next}, {at}, #16"
                "csel {at}, {next}, {at}, ne" "add {odd}, {at}, #8" "" "" "" "" "" ""),
            two_steps!("v6" "v7", "v20" "v21" "v22" "v23",
                "ldr d4, [{weights}, #16]" "" "ldr d5, [{weights}, #144]" "" "" "" "" "" "" "" "" ""),
            two_steps!("v4" "v5", "v24" "v25" "v26" "v27",
                "ldr d6, [{weights}, #24]" "" "ldr d7, [{weights}, #152]" ""
                "add {next}, {weights}, #{step}" "csel {weights}, {next}, {weights}, ne" "" "" "" "" "" ""),
            two_steps!("v6" "v7", "v28" "v29" "v30" "v31",
                "ldr d8, [{row0}, {at}]" "ldr d9, [{row1}, {at}]" "ldr d10, [{row2}, {at}]" "ldr d11, [{row3}, {at}]"
                "ldr d12, [{row0}, {odd}]" "ldr d13, [{row1}, {odd}]" "ldr d14, [{row2}, {odd}]" "ldr d15, [{row3}, {odd}]"
                "ldr d4, [{weights}]" "ldr d5, [{weights}, #128]" "" ""),
            "b.ne 2b"
        );
    }
}

/// `count` steps of 8 positions, at least one, as [`pairs`], every product added in 32 bits. 128 products in 32 cycles.
///
/// # Safety
/// `8 * count` bytes are readable at each row, and 32 bytes at each of `count` steps of [`OCTET_BYTES`] from `weights` on.
#[inline]
#[target_feature(enable = "neon")]
pub(super) unsafe fn singles(sums: &mut Sums, rows: [*const u8; 4], weights: *const u8, count: usize) {
    debug_assert!(count > 0);
    // SAFETY: reads what the caller promised; `at` and `weights` stay in the last step when `count` has come to 0.
    unsafe {
        run!(
            sums,
            rows,
            weights,
            count,
            OCTET_BYTES,
            [],
            "ldr d8, [{row0}]",
            "ldr d9, [{row1}]",
            "ldr d10, [{row2}]",
            "ldr d11, [{row3}]",
            "ldr d4, [{weights}]",
            "2:",
            one_step!("v4", "v16" "v17" "v18" "v19",
                "ldr d5, [{weights}, #8]" "subs {count}, {count}, #1" "add {next}, {at}, #8" "csel {at}, {next}, {at}, ne"
                "" "" "" ""),
            one_step!("v5", "v20" "v21" "v22" "v23",
                "ldr d6, [{weights}, #16]" "" "add {next}, {weights}, #{step}" "" "" "" "" ""),
            one_step!("v6", "v24" "v25" "v26" "v27",
                "ldr d7, [{weights}, #24]" "csel {weights}, {next}, {weights}, ne" "" "" "" "" "" ""),
            one_step!("v7", "v28" "v29" "v30" "v31",
                "ldr d8, [{row0}, {at}]" "ldr d9, [{row1}, {at}]" "ldr d10, [{row2}, {at}]" "ldr d11, [{row3}, {at}]"
                "ldr d4, [{weights}]" "" "" ""),
            "b.ne 2b"
        );
    }
}

/// One row times two columns in one step: two cycles, each with a slot for something else.
macro_rules! row {
    ($row:literal, $w0:literal $w1:literal, $a:literal $b:literal, $s0:literal $s1:literal) => {
        concat!(
            "smlal ", $a, ".8h, ", $row, ".8b, ", $w0, ".8b\n", $s0, "\n", "smlal ", $b, ".8h, ", $row,
            ".8b, ", $w1, ".8b\n", $s1
        )
    };
}

/// Most pairs of steps that [`nibbles`] adds up in 16 bits: 30 products of at most `128 * 8`.
pub(super) const MOST_NIBBLES: usize = 15;
const _: () = assert!(2 * MOST_NIBBLES * 128 * 8 <= i16::MAX as usize);

/// `count` pairs of steps, 1 to [`MOST_NIBBLES`]: 16 positions of the rows from `rows` on, by the two columns whose weights of 4
/// bits begin at `weights`. 256 products in 35 cycles: 32 multiplications, and six operations of 64 bits, two a cycle, that
/// make bytes of nibbles.
///
/// # Safety
/// `16 * count` bytes are readable at each row, and 16 bytes at each of `count` steps of [`OCTET_BYTES`] from `weights` on.
#[inline]
#[target_feature(enable = "neon")]
pub(super) unsafe fn nibbles(rows: [*const u8; 8], weights: *const u8, count: usize) -> NarrowSums {
    debug_assert!((1..=MOST_NIBBLES).contains(&count));
    let mut sums = [[vdupq_n_s16(0); 2]; 8];
    // SAFETY: reads what the caller promised; `at` and `weights` stay in the last step when `count` has come to 0.
    unsafe {
        asm!(
            "ldr d8, [{weights}]",
            "ldr d9, [{weights}, #8]",
            "ldr d0, [{row0}]",
            "ldr d1, [{row1}]",
            "ldr d2, [{row2}]",
            "ldr d3, [{row3}]",
            "ldr d4, [{row4}]",
            "ldr d5, [{row5}]",
            "ldr d6, [{row6}]",
            "ldr d7, [{row7}]",
            "shl v10.8b, v8.8b, #4",
            "shl v11.8b, v9.8b, #4",
            "sshr v10.8b, v10.8b, #4",
            "sshr v11.8b, v11.8b, #4",
            "2:",
            "sshr v12.8b, v8.8b, #4",
            "sshr v13.8b, v9.8b, #4",
            row!("v0", "v10" "v11", "v16" "v17", "add {odd}, {at}, #8" "ldr d0, [{row0}, {odd}]"),
            row!("v1", "v10" "v11", "v18" "v19", "subs {count}, {count}, #1" "ldr d1, [{row1}, {odd}]"),
            row!("v2", "v10" "v11", "v20" "v21", "add {next}, {at}, #16" "ldr d2, [{row2}, {odd}]"),
            row!("v3", "v10" "v11", "v22" "v23", "csel {at}, {next}, {at}, ne" "ldr d3, [{row3}, {odd}]"),
            row!("v4", "v10" "v11", "v24" "v25", "add {next}, {weights}, #{step}" "ldr d4, [{row4}, {odd}]"),
            row!("v5", "v10" "v11", "v26" "v27", "csel {weights}, {next}, {weights}, ne" "ldr d5, [{row5}, {odd}]"),
            row!("v6", "v10" "v11", "v28" "v29", "ldr d8, [{weights}]" "ldr d6, [{row6}, {odd}]"),
            row!("v7", "v10" "v11", "v30" "v31", "ldr d9, [{weights}, #8]" "ldr d7, [{row7}, {odd}]"),
            row!("v0", "v12" "v13", "v16" "v17", "" "ldr d0, [{row0}, {at}]"),
            row!("v1", "v12" "v13", "v18" "v19", "" "ldr d1, [{row1}, {at}]"),
            row!("v2", "v12" "v13", "v20" "v21", "" "ldr d2, [{row2}, {at}]"),
            "shl v10.8b, v8.8b, #4",
            "shl v11.8b, v9.8b, #4",
            row!("v3", "v12" "v13", "v22" "v23", "" "ldr d3, [{row3}, {at}]"),
            row!("v4", "v12" "v13", "v24" "v25", "" "ldr d4, [{row4}, {at}]"),
            row!("v5", "v12" "v13", "v26" "v27", "" "ldr d5, [{row5}, {at}]"),
            "sshr v10.8b, v10.8b, #4",
            "sshr v11.8b, v11.8b, #4",
            row!("v6", "v12" "v13", "v28" "v29", "" "ldr d6, [{row6}, {at}]"),
            row!("v7", "v12" "v13", "v30" "v31", "" "ldr d7, [{row7}, {at}]"),
            "b.ne 2b",
            row0 = in(reg) rows[0], row1 = in(reg) rows[1], row2 = in(reg) rows[2], row3 = in(reg) rows[3],
            row4 = in(reg) rows[4], row5 = in(reg) rows[5], row6 = in(reg) rows[6], row7 = in(reg) rows[7],
            weights = inout(reg) weights => _,
            count = inout(reg) count => _,
            at = inout(reg) 0usize => _,
            odd = out(reg) _,
            next = out(reg) _,
            step = const OCTET_BYTES,
            inout("v16") sums[0][0], inout("v17") sums[0][1], inout("v18") sums[1][0], inout("v19") sums[1][1],
            inout("v20") sums[2][0], inout("v21") sums[2][1], inout("v22") sums[3][0], inout("v23") sums[3][1],
            inout("v24") sums[4][0], inout("v25") sums[4][1], inout("v26") sums[5][0], inout("v27") sums[5][1],
            inout("v28") sums[6][0], inout("v29") sums[6][1], inout("v30") sums[7][0], inout("v31") sums[7][1],
            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _, out("v7") _,
            out("v8") _, out("v9") _, out("v10") _, out("v11") _, out("v12") _, out("v13") _,
            options(nostack, readonly)
        );
    }
    sums
}
