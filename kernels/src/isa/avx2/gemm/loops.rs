//! The inner loops of the full tile, each in one block of assembly.
//!
//! The multiplications keep a core's vector units nearly full, and then it matters where the loop starts: a Zen 3 needs 7.7 to
//! 9.2 cycles for a step of 26 vector operations, depending on the place of its first byte within 64, which a compiler leaves
//! to chance. Both multiplications of a row before both additions, two steps a turn and a start at a multiple of 64 make that
//! 7.6, of 7.5 for the multiplications and additions alone ([`crate::isa::probe`]). Where decoding is no limit nothing is lost.
//!
//! With nibbles the sums of 16 bits take the registers, so those of 32 bits stay in memory between folds. Compiled code keeps
//! both there.

use core::arch::asm;
use core::arch::x86_64::*;

/// Six rows by 16 columns.
pub(super) type Sums = [__m256i; 12];

/// One row of a step: products with the weights of both halves in `ymm12` and `ymm13`, added to their sums.
#[rustfmt::skip]
macro_rules! row {
    ([$multiply:literal, $add:literal], $row:literal, $at:literal, $first:literal, $second:literal) => {
        concat!(
            "vpbroadcastd ymm14, dword ptr [{", $row, "} + {i} + ", $at, "]\n",
            $multiply, " ymm15, ymm14, ymm12\n",
            $multiply, " ymm14, ymm14, ymm13\n",
            $add, " {", $first, "}, {", $first, "}, ymm15\n",
            $add, " {", $second, "}, {", $second, "}, ymm14\n",
        )
    };
}

/// The six rows of a step whose activations are `$at` bytes behind the rows.
macro_rules! rows {
    ($names:tt, $at:literal) => {
        concat!(
            row!($names, "r0", $at, "a0", "b0"),
            row!($names, "r1", $at, "a1", "b1"),
            row!($names, "r2", $at, "a2", "b2"),
            row!($names, "r3", $at, "a3", "b3"),
            row!($names, "r4", $at, "a4", "b4"),
            row!($names, "r5", $at, "a5", "b5"),
        )
    };
}

/// A function that adds the products of `steps` steps to `sums`, and returns the panel behind them. What lies `ahead` bytes behind
/// the panel is brought to the second-level cache meanwhile. Its loads of the weights
/// of a step, of the second step of two and of a last one go to `ymm12` and `ymm13`; a step takes `$bytes` of the panel.
macro_rules! steps {
    ($(#[$doc:meta])* $name:ident, $bytes:literal, [$($first:literal),+], [$($second:literal),+]) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// From `at` on behind each row are 4 bytes for each of `steps`, and so are the weights behind the panel.
        #[inline]
        #[target_feature(enable = "avx2")]
        pub(super) unsafe fn $name(
            sums: &mut Sums,
            rows: [*const u8; 6],
            at: usize,
            panel: *const u8,
            steps: usize,
            ahead: usize,
        ) -> *const u8 {
            let [a0, b0, a1, b1, a2, b2, a3, b3, a4, b4, a5, b5] = sums;
            let [r0, r1, r2, r3, r4, r5] = rows;
            let mut next = panel;
            // SAFETY: the caller's promise; each step reads 4 bytes of each row and its weights.
            unsafe {
                asm!(
                    "sub {left}, 2",
                    "jb 3f",
                    ".p2align 6",
                    "2:",
                    "prefetcht1 [{panel} + {ahead}]",
                    $($first,)+
                    rows!(["vpmaddwd", "vpaddd"], "0"),
                    $($second,)+
                    rows!(["vpmaddwd", "vpaddd"], "4"),
                    concat!("add {panel}, 2*", $bytes),
                    "add {i}, 8",
                    "sub {left}, 2",
                    "jae 2b",
                    "3:",
                    // Less than none are left: 2 steps, or 1.
                    "test {left}, 1",
                    "jz 4f",
                    $($first,)+
                    rows!(["vpmaddwd", "vpaddd"], "0"),
                    concat!("add {panel}, ", $bytes),
                    "4:",
                    panel = inout(reg) next,
                    i = inout(reg) at => _,
                    left = inout(reg) steps => _,
                    ahead = in(reg) ahead,
                    r0 = in(reg) r0, r1 = in(reg) r1, r2 = in(reg) r2,
                    r3 = in(reg) r3, r4 = in(reg) r4, r5 = in(reg) r5,
                    a0 = inout(ymm_reg) *a0, b0 = inout(ymm_reg) *b0,
                    a1 = inout(ymm_reg) *a1, b1 = inout(ymm_reg) *b1,
                    a2 = inout(ymm_reg) *a2, b2 = inout(ymm_reg) *b2,
                    a3 = inout(ymm_reg) *a3, b3 = inout(ymm_reg) *b3,
                    a4 = inout(ymm_reg) *a4, b4 = inout(ymm_reg) *b4,
                    a5 = inout(ymm_reg) *a5, b5 = inout(ymm_reg) *b5,
                    out("ymm12") _, out("ymm13") _, out("ymm14") _, out("ymm15") _,
                    options(readonly, nostack)
                );
            }
            next
        }
    };
}

steps! {
    /// Weights of 8 bits.
    bytes, "32",
    ["vpmovsxbw ymm12, xmmword ptr [{panel}]", "vpmovsxbw ymm13, xmmword ptr [{panel} + 16]"],
    ["vpmovsxbw ymm12, xmmword ptr [{panel} + 32]", "vpmovsxbw ymm13, xmmword ptr [{panel} + 48]"]
}

steps! {
    /// Weights of 16 bits.
    words, "64",
    ["vmovdqu ymm12, ymmword ptr [{panel}]", "vmovdqu ymm13, ymmword ptr [{panel} + 32]"],
    ["vmovdqu ymm12, ymmword ptr [{panel} + 64]", "vmovdqu ymm13, ymmword ptr [{panel} + 96]"]
}

/// One row of a step with four activations, 0 to 127, in each lane; `ymm12` is ones.
#[rustfmt::skip]
macro_rules! quad_row {
    ($row:literal, $first:literal, $second:literal) => {
        concat!(
            "vpbroadcastd ymm13, dword ptr [{", $row, "} + {i}]\n",
            "vpmaddubsw ymm14, ymm13, ymmword ptr [{panel}]\n",
            "vpmaddubsw ymm15, ymm13, ymmword ptr [{panel} + 32]\n",
            "vpmaddwd ymm14, ymm14, ymm12\n",
            "vpmaddwd ymm15, ymm15, ymm12\n",
            "vpaddd {", $first, "}, {", $first, "}, ymm14\n",
            "vpaddd {", $second, "}, {", $second, "}, ymm15\n",
        )
    };
}

/// Adds the products of `steps` steps of four activations, 0 to 127, and weights of 8 bits to `sums`, and returns the panel
/// behind them. What lies `ahead` bytes behind the panel is brought to the second-level cache meanwhile.
///
/// # Safety
/// From `at` on behind each row are 4 bytes for each of `steps`, and so are 64 behind the panel.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) unsafe fn quads(
    sums: &mut Sums,
    rows: [*const u8; 6],
    at: usize,
    panel: *const u8,
    steps: usize,
    ahead: usize,
) -> *const u8 {
    let [a0, b0, a1, b1, a2, b2, a3, b3, a4, b4, a5, b5] = sums;
    let [r0, r1, r2, r3, r4, r5] = rows;
    let mut next = panel;
    if steps == 0 {
        return next;
    }
    // SAFETY: the caller's promise; each of `steps` turns reads 4 bytes of each row and 64 of the panel.
    unsafe {
        asm!(
            "vpcmpeqw ymm12, ymm12, ymm12",
            "vpabsw ymm12, ymm12",
            ".p2align 6",
            "2:",
            "prefetcht1 [{panel} + {ahead}]",
            quad_row!("r0", "a0", "b0"),
            quad_row!("r1", "a1", "b1"),
            quad_row!("r2", "a2", "b2"),
            quad_row!("r3", "a3", "b3"),
            quad_row!("r4", "a4", "b4"),
            quad_row!("r5", "a5", "b5"),
            "add {panel}, 64",
            "add {i}, 4",
            "dec {left}",
            "jnz 2b",
            panel = inout(reg) next,
            i = inout(reg) at => _,
            left = inout(reg) steps => _,
            ahead = in(reg) ahead,
            r0 = in(reg) r0, r1 = in(reg) r1, r2 = in(reg) r2,
            r3 = in(reg) r3, r4 = in(reg) r4, r5 = in(reg) r5,
            a0 = inout(ymm_reg) *a0, b0 = inout(ymm_reg) *b0,
            a1 = inout(ymm_reg) *a1, b1 = inout(ymm_reg) *b1,
            a2 = inout(ymm_reg) *a2, b2 = inout(ymm_reg) *b2,
            a3 = inout(ymm_reg) *a3, b3 = inout(ymm_reg) *b3,
            a4 = inout(ymm_reg) *a4, b4 = inout(ymm_reg) *b4,
            a5 = inout(ymm_reg) *a5, b5 = inout(ymm_reg) *b5,
            out("ymm12") _, out("ymm13") _, out("ymm14") _, out("ymm15") _,
            options(readonly, nostack)
        );
    }
    next
}

/// Constants of [`nibbles`].
#[repr(C, align(32))]
struct Tables {
    /// The low nibble of every byte.
    low: [u8; 32],
    /// The signed values of the 16 nibbles, twice.
    values: [[i8; 16]; 2],
    ones: [i16; 16],
}

static TABLES: Tables = Tables {
    low: [15; 32],
    values: [[0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1]; 2],
    ones: [1; 16],
};

/// Line `$line` for each sum, with the place of the sum in [`Sums`].
#[rustfmt::skip]
macro_rules! each {
    ($line:ident) => {
        concat!(
            $line!("a0", "0"), $line!("b0", "32"), $line!("a1", "64"), $line!("b1", "96"),
            $line!("a2", "128"), $line!("b2", "160"), $line!("a3", "192"), $line!("b3", "224"),
            $line!("a4", "256"), $line!("b4", "288"), $line!("a5", "320"), $line!("b5", "352"),
        )
    };
}

/// Clears a sum of 16 bits.
macro_rules! clear {
    ($sum:literal, $at:literal) => {
        concat!("vpxor {", $sum, "}, {", $sum, "}, {", $sum, "}\n")
    };
}

/// Adds neighbours of a sum of 16 bits to the sum of 32 bits at `$at`; `ymm12` is ones.
#[rustfmt::skip]
macro_rules! fold {
    ($sum:literal, $at:literal) => {
        concat!(
            "vpmaddwd {", $sum, "}, {", $sum, "}, ymm12\n",
            "vpaddd {", $sum, "}, {", $sum, "}, ymmword ptr [{sums} + ", $at, "]\n",
            "vmovdqu ymmword ptr [{sums} + ", $at, "], {", $sum, "}\n",
        )
    };
}

/// Adds the products of `steps` double steps of unsigned activations and weights of 4 bits to `sums`, and returns the panel
/// behind them. No `period` of these steps, at least 1, has a sum beyond 16 bits. What lies `ahead` bytes behind the panel is
/// brought to the second-level cache meanwhile.
///
/// # Safety
/// From `at` on behind each row are 8 bytes for each of `steps`, and so are 64 behind the panel.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) unsafe fn nibbles(
    sums: &mut Sums,
    rows: [*const u8; 6],
    at: usize,
    panel: *const u8,
    (steps, period): (usize, usize),
    ahead: usize,
) -> *const u8 {
    let [r0, r1, r2, r3, r4, r5] = rows;
    let mut next = panel;
    if steps == 0 || period == 0 {
        return next;
    }
    // SAFETY: the caller's promise; each of `steps` turns reads 8 bytes of each row and 64 of the panel.
    unsafe {
        asm!(
            "2:",
            each!(clear),
            // The steps of this period.
            "mov {turns}, {period}",
            "cmp {turns}, {left}",
            "cmova {turns}, {left}",
            "sub {left}, {turns}",
            ".p2align 6",
            "3:",
            "prefetcht1 [{panel} + {ahead}]",
            "vmovdqa ymm15, ymmword ptr [rip + {tables} + 32]",
            "vmovdqa ymm14, ymmword ptr [rip + {tables}]",
            "vpand ymm12, ymm14, ymmword ptr [{panel}]",
            "vpand ymm13, ymm14, ymmword ptr [{panel} + 32]",
            "vpshufb ymm12, ymm15, ymm12",
            "vpshufb ymm13, ymm15, ymm13",
            rows!(["vpmaddubsw", "vpaddw"], "0"),
            "vmovdqu ymm12, ymmword ptr [{panel}]",
            "vmovdqu ymm13, ymmword ptr [{panel} + 32]",
            "vmovdqa ymm14, ymmword ptr [rip + {tables}]",
            "vmovdqa ymm15, ymmword ptr [rip + {tables} + 32]",
            "vpsrlw ymm12, ymm12, 4",
            "vpsrlw ymm13, ymm13, 4",
            "vpand ymm12, ymm12, ymm14",
            "vpand ymm13, ymm13, ymm14",
            "vpshufb ymm12, ymm15, ymm12",
            "vpshufb ymm13, ymm15, ymm13",
            rows!(["vpmaddubsw", "vpaddw"], "4"),
            "add {panel}, 64",
            "add {i}, 8",
            "dec {turns}",
            "jnz 3b",
            "vmovdqa ymm12, ymmword ptr [rip + {tables} + 64]",
            each!(fold),
            "test {left}, {left}",
            "jnz 2b",
            sums = in(reg) sums,
            panel = inout(reg) next,
            i = inout(reg) at => _,
            left = inout(reg) steps => _,
            period = in(reg) period,
            ahead = in(reg) ahead,
            turns = out(reg) _,
            tables = sym TABLES,
            r0 = in(reg) r0, r1 = in(reg) r1, r2 = in(reg) r2,
            r3 = in(reg) r3, r4 = in(reg) r4, r5 = in(reg) r5,
            a0 = out(ymm_reg) _, b0 = out(ymm_reg) _,
            a1 = out(ymm_reg) _, b1 = out(ymm_reg) _,
            a2 = out(ymm_reg) _, b2 = out(ymm_reg) _,
            a3 = out(ymm_reg) _, b3 = out(ymm_reg) _,
            a4 = out(ymm_reg) _, b4 = out(ymm_reg) _,
            a5 = out(ymm_reg) _, b5 = out(ymm_reg) _,
            out("ymm12") _, out("ymm13") _, out("ymm14") _, out("ymm15") _,
            options(nostack)
        );
    }
    next
}
