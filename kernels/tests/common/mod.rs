//! What the suites share: a small deterministic generator, buffers that notice writes beyond them, and how many cases
//! are tried where.
#![allow(dead_code, reason = "every test file uses a part")]

use std::cell::Cell;

use dyadic_kernels::geometry::Axis;
use dyadic_kernels::isa::{Cpu, IsaKind};
use dyadic_kernels::registry::{Choice, KernelOp, kernels};
use proptest::prelude::*;
use proptest::test_runner::Config;

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A value of `lo..=hi`.
    pub fn within(&mut self, lo: i32, hi: i32) -> i32 {
        (i64::from(lo) + (self.next() % (i64::from(hi) - i64::from(lo) + 1) as u64) as i64) as i32
    }

    pub fn bytes(&mut self, count: usize, fill: Fill) -> Vec<u8> {
        (0..count)
            .map(|_| match fill {
                Fill::Random => self.next() as u8,
                Fill::Same(byte) => byte,
                Fill::Either(a, b) => [a, b][self.next() as usize % 2],
            })
            .collect()
    }
}

/// What bytes are drawn.
#[derive(Clone, Copy, Debug)]
pub enum Fill {
    Random,
    Same(u8),
    Either(u8, u8),
}

/// Bytes at an odd address between canaries.
pub struct Guarded {
    bytes: Vec<u8>,
    length: usize,
}

const CANARY: u8 = 0xc5;
const MARGIN: usize = 65;

impl Guarded {
    pub fn new(length: usize) -> Guarded {
        // `fill` is one step for Miri, `vec![CANARY; _]` as many as there are bytes.
        let mut bytes = vec![0; length + 2 * MARGIN];
        bytes.fill(CANARY);
        Guarded { bytes, length }
    }

    pub fn copy(bytes: &[u8]) -> Guarded {
        let mut guarded = Guarded::new(bytes.len());
        guarded.slice().copy_from_slice(bytes);
        guarded
    }

    pub fn slice(&mut self) -> &mut [u8] {
        &mut self.bytes[MARGIN..MARGIN + self.length]
    }

    /// The bytes, when nothing beyond them changed.
    pub fn checked(&self) -> &[u8] {
        let (before, rest) = self.bytes.split_at(MARGIN);
        let (bytes, after) = rest.split_at(self.length);
        assert!(before.iter().chain(after).all(|&byte| byte == CANARY), "written beyond the buffer");
        bytes
    }
}

/// A property test of so many cases: 3 under Miri, and what `PROPTEST_CASES` says where it is set.
pub fn cases(count: u32) -> Config {
    let set = std::env::var("PROPTEST_CASES").ok().and_then(|v| v.parse().ok());
    let cases = set.unwrap_or(if cfg!(miri) { 3 } else { count });
    Config { cases, failure_persistence: None, ..Config::default() }
}

/// How many kernels took a case; Miri may have left the case out.
#[track_caller]
pub fn assert_taken(found: usize, expected: usize) {
    assert!(cfg!(miri) || found == expected, "{found} kernels took the case where {expected} were expected");
}

/// Whether a case of a long list is left out here. Miri is some hundred times slower than a CPU: it takes the first and
/// then every 97th case of a test, and none of more than 2048 steps of work.
pub fn left_out(work: usize) -> bool {
    thread_local!(static SEEN: Cell<usize> = const { Cell::new(0) });
    cfg!(miri) && (work > 2048 || !SEEN.replace(SEEN.get() + 1).is_multiple_of(97))
}

/// One choice for each instruction set of this CPU that has a fast kernel of `op`.
pub fn fast(op: KernelOp) -> impl Iterator<Item = Choice> {
    let cpu = Cpu::detect();
    let has_row = move |isa| kernels().any(|kernel| kernel.op == op && kernel.isa == isa);
    let isas = IsaKind::ALL.into_iter().filter(move |&isa| isa != IsaKind::Reference && cpu.has(isa));
    isas.filter(move |&isa| has_row(isa)).map(move |isa| Choice { isa, cpu })
}

/// An axis whose output covers everything that `pad` on both sides allows, at least one position.
pub fn axis(input: usize, kernel: usize, stride: usize, dilation: usize, pad: usize) -> Axis {
    let output = (input + 2 * pad).saturating_sub((kernel - 1) * dilation + 1) / stride + 1;
    Axis { input, output, kernel, stride, dilation, pad }
}

/// Any axis; in half of the cases the padding behind is larger than before, as TFLite's SAME has it.
pub fn any_axis() -> impl Strategy<Value = Axis> {
    let input = 1..if cfg!(miri) { 4usize } else { 13 };
    (input, 1..6usize, 1..4usize, 1..4usize, 0..6usize, 0..2usize).prop_map(
        |(input, kernel, stride, dilation, pad, more)| {
            let drawn = axis(input, kernel, stride, dilation, pad);
            Axis { output: drawn.output + more, ..drawn }
        },
    )
}
