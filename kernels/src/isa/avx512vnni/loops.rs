//! The inner loops of the full tile, each in one block of assembly.
//!
//! 28 accumulators in registers are more than a compiler keeps there: it leaves arrays of that size in memory. Fourteen pointers
//! to rows do not fit the other registers, and reading them from memory costs an eighth of the rate. So the rows are two groups of
//! seven at one distance, whose multiples of 0 to 6 an address can name with the distance, its triple and its fivefold.

use core::arch::asm;
use core::arch::x86_64::*;
use core::mem::MaybeUninit;

use super::gemm::ROWS;

/// Fourteen rows by two panels.
pub(super) type Sums = [[__m512i; 2]; ROWS];

/// What a tile reads: rows of activations run by run, and two panels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    /// What the sums of each panel start from, and what is added for each row: only [`bytes_corrected`] does.
    pub biases: [__m512i; 2],
    pub corrections: &'a [i32; ROWS],
    /// Where the first run of row 0 starts, and that of row 7. Each of the six rows behind them is `distance` further.
    pub rows: [*const u8; 2],
    pub distance: usize,
    /// Runs, at least 1, the bytes between them, and turns of the loop in each.
    pub runs: usize,
    pub run_step: usize,
    pub turns: usize,
    pub panels: [*const u8; 2],
    /// From a panel to what is fetched meanwhile.
    pub ahead: usize,
}

/// One row of a step: its four activations at `$at` times the weights of both panels in `zmm28` and `zmm29`.
#[rustfmt::skip]
macro_rules! row {
    ($at:expr, $first:literal, $second:literal, $x:literal) => {
        concat!(
            "vpbroadcastd ", $x, ", dword ptr [", $at, "]\n",
            "vpdpbusd ", $first, ", ", $x, ", zmm28\n",
            "vpdpbusd ", $second, ", ", $x, ", zmm29\n",
        )
    };
}

/// The rows of a step whose activations are `$at` bytes behind the rows.
macro_rules! rows {
    ($at:literal) => {
        concat!(
            row!(concat!("{r0} + ", $at), "zmm0", "zmm1", "zmm30"),
            row!(concat!("{r0} + {d} + ", $at), "zmm2", "zmm3", "zmm31"),
            row!(concat!("{r0} + 2*{d} + ", $at), "zmm4", "zmm5", "zmm30"),
            row!(concat!("{r0} + {d3} + ", $at), "zmm6", "zmm7", "zmm31"),
            row!(concat!("{r0} + 4*{d} + ", $at), "zmm8", "zmm9", "zmm30"),
            row!(concat!("{r0} + {d5} + ", $at), "zmm10", "zmm11", "zmm31"),
            row!(concat!("{r0} + 2*{d3} + ", $at), "zmm12", "zmm13", "zmm30"),
            row!(concat!("{r7} + ", $at), "zmm14", "zmm15", "zmm31"),
            row!(concat!("{r7} + {d} + ", $at), "zmm16", "zmm17", "zmm30"),
            row!(concat!("{r7} + 2*{d} + ", $at), "zmm18", "zmm19", "zmm31"),
            row!(concat!("{r7} + {d3} + ", $at), "zmm20", "zmm21", "zmm30"),
            row!(concat!("{r7} + 4*{d} + ", $at), "zmm22", "zmm23", "zmm31"),
            row!(concat!("{r7} + {d5} + ", $at), "zmm24", "zmm25", "zmm30"),
            row!(concat!("{r7} + 2*{d3} + ", $at), "zmm26", "zmm27", "zmm31"),
        )
    };
}

/// Line `$line` for each register of sums, with its place in [`Sums`].
#[rustfmt::skip]
macro_rules! each {
    ($line:ident) => {
        concat!(
            $line!("zmm0", "0"), $line!("zmm1", "64"), $line!("zmm2", "128"), $line!("zmm3", "192"),
            $line!("zmm4", "256"), $line!("zmm5", "320"), $line!("zmm6", "384"), $line!("zmm7", "448"),
            $line!("zmm8", "512"), $line!("zmm9", "576"), $line!("zmm10", "640"), $line!("zmm11", "704"),
            $line!("zmm12", "768"), $line!("zmm13", "832"), $line!("zmm14", "896"), $line!("zmm15", "960"),
            $line!("zmm16", "1024"), $line!("zmm17", "1088"), $line!("zmm18", "1152"), $line!("zmm19", "1216"),
            $line!("zmm20", "1280"), $line!("zmm21", "1344"), $line!("zmm22", "1408"), $line!("zmm23", "1472"),
            $line!("zmm24", "1536"), $line!("zmm25", "1600"), $line!("zmm26", "1664"), $line!("zmm27", "1728"),
        )
    };
}

#[rustfmt::skip]
macro_rules! store {
    ($sum:literal, $at:literal) => { concat!("vmovdqu64 zmmword ptr [{sums} + ", $at, "], ", $sum, "\n") };
}

/// Starts the sums of every row from the biases, in `zmm28` and `zmm29`.
#[rustfmt::skip]
macro_rules! from_bias {
    ($($row:literal, $first:literal, $second:literal;)+) => {
        concat!($("vmovdqa64 ", $first, ", zmm28\n", "vmovdqa64 ", $second, ", zmm29\n",)+)
    };
}

/// The same with the correction of each row.
#[rustfmt::skip]
macro_rules! from_rows {
    ($($row:literal, $first:literal, $second:literal;)+) => {
        concat!($(
            "vpbroadcastd zmm30, dword ptr [{left} + 4*", $row, "]\n",
            "vpaddd ", $first, ", zmm28, zmm30\n",
            "vpaddd ", $second, ", zmm29, zmm30\n",
        )+)
    };
}

/// Line `$line` for each row, with the registers of its sums.
#[rustfmt::skip]
macro_rules! starts {
    ($line:ident) => {
        $line!(
            "0", "zmm0", "zmm1"; "1", "zmm2", "zmm3"; "2", "zmm4", "zmm5"; "3", "zmm6", "zmm7";
            "4", "zmm8", "zmm9"; "5", "zmm10", "zmm11"; "6", "zmm12", "zmm13"; "7", "zmm14", "zmm15";
            "8", "zmm16", "zmm17"; "9", "zmm18", "zmm19"; "10", "zmm20", "zmm21"; "11", "zmm22", "zmm23";
            "12", "zmm24", "zmm25"; "13", "zmm26", "zmm27";
        )
    };
}

/// A function that writes the sums of a tile. A turn of its loop has the lines given, which read `$activations` bytes of each row
/// and 64 of each panel.
macro_rules! tile {
    ($(#[$doc:meta])* $name:ident, $start:ident, $activations:literal,
     [$($line:expr),+ $(,)?] $(, $operand:ident = $($value:tt)+)?) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// In each run every turn has its activations behind each row, and over all runs its weights behind each panel.
        #[inline]
        #[target_feature(enable = "avx512bw,avx512vnni")]
        pub(super) unsafe fn $name(source: &Source, sums: &mut MaybeUninit<Sums>) {
            let [first, second] = source.panels;
            // SAFETY: the caller's promise; 28 vectors go to the 28 of `sums`.
            unsafe {
                asm!(
                    // Until the loop counts in it, `left` is where the corrections are.
                    starts!($start),
                    "2:",
                    "mov {left}, {turns}",
                    "test {left}, {left}",
                    "jz 4f",
                    ".p2align 6",
                    "3:",
                    // The next pair of panels, to the second-level cache.
                    "prefetcht1 [{panel} + {ahead}]",
                    "prefetcht1 [{second} + {ahead}]",
                    $($line,)+
                    "add {panel}, 64",
                    "add {second}, 64",
                    concat!("add {r0}, ", $activations),
                    concat!("add {r7}, ", $activations),
                    "dec {left}",
                    "jnz 3b",
                    "4:",
                    "add {r0}, {gap}",
                    "add {r7}, {gap}",
                    "dec {runs}",
                    "jnz 2b",
                    each!(store),
                    sums = in(reg) sums,
                    r0 = inout(reg) source.rows[0] => _,
                    r7 = inout(reg) source.rows[1] => _,
                    d = in(reg) source.distance,
                    d3 = in(reg) source.distance.wrapping_mul(3),
                    d5 = in(reg) source.distance.wrapping_mul(5),
                    panel = inout(reg) first => _,
                    second = inout(reg) second => _,
                    ahead = in(reg) source.ahead,
                    $($operand = $($value)+,)?
                    gap = in(reg) source.run_step.wrapping_sub($activations * source.turns),
                    left = inout(reg) source.corrections => _,
                    turns = in(reg) source.turns,
                    runs = inout(reg) source.runs => _,
                    out("zmm0") _, out("zmm1") _, out("zmm2") _, out("zmm3") _,
                    out("zmm4") _, out("zmm5") _, out("zmm6") _, out("zmm7") _,
                    out("zmm8") _, out("zmm9") _, out("zmm10") _, out("zmm11") _,
                    out("zmm12") _, out("zmm13") _, out("zmm14") _, out("zmm15") _,
                    out("zmm16") _, out("zmm17") _, out("zmm18") _, out("zmm19") _,
                    out("zmm20") _, out("zmm21") _, out("zmm22") _, out("zmm23") _,
                    out("zmm24") _, out("zmm25") _, out("zmm26") _, out("zmm27") _,
                    inout("zmm28") source.biases[0] => _, inout("zmm29") source.biases[1] => _,
                    out("zmm30") _, out("zmm31") _,
                    options(nostack)
                );
            }
        }
    };
}

/// Constants of [`nibbles`].
#[repr(C, align(64))]
struct Tables {
    /// The low nibble of every byte.
    low: [u8; 64],
    /// The signed values of the 16 nibbles, four times.
    values: [[i8; 16]; 4],
}

static TABLES: Tables =
    Tables { low: [15; 64], values: [[0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1]; 4] };

tile! {
    /// Weights of 8 bits: a turn is a step.
    bytes, from_bias, 4,
    ["vmovdqu64 zmm28, zmmword ptr [{panel}]", "vmovdqu64 zmm29, zmmword ptr [{second}]", rows!("0")]
}

tile! {
    /// The same with a correction for each row.
    bytes_corrected, from_rows, 4,
    ["vmovdqu64 zmm28, zmmword ptr [{panel}]", "vmovdqu64 zmm29, zmmword ptr [{second}]", rows!("0")]
}

tile! {
    /// Weights of 4 bits: a turn is a double step.
    nibbles, from_bias, 8,
    [
        "vmovdqa64 zmm30, zmmword ptr [rip + {tables}]",
        "vmovdqa64 zmm31, zmmword ptr [rip + {tables} + 64]",
        "vpandd zmm28, zmm30, zmmword ptr [{panel}]",
        "vpandd zmm29, zmm30, zmmword ptr [{second}]",
        "vpshufb zmm28, zmm31, zmm28",
        "vpshufb zmm29, zmm31, zmm29",
        rows!("0"),
        "vpsrlw zmm28, zmmword ptr [{panel}], 4",
        "vpsrlw zmm29, zmmword ptr [{second}], 4",
        "vmovdqa64 zmm31, zmmword ptr [rip + {tables} + 64]",
        "vpandd zmm28, zmm28, zmmword ptr [rip + {tables}]",
        "vpandd zmm29, zmm29, zmmword ptr [rip + {tables}]",
        "vpshufb zmm28, zmm31, zmm28",
        "vpshufb zmm29, zmm31, zmm29",
        rows!("4"),
    ],
    tables = sym TABLES
}
