//! Addition, tables and softmax: every kernel that this CPU runs against the reference.

use dyadic_kernels::params::{Add, AddRule, ChannelTable, Output, Quant, Softmax};
use dyadic_kernels::registry::KernelOp;
use dyadic_kernels::requant::Dyadic;
use dyadic_kernels::{ElemType, reference};
use proptest::prelude::*;

#[path = "../common/mod.rs"]
mod common;
mod stream;
use common::{Fill, Guarded, Random, assert_taken, fast, left_out};

fn quants() -> Vec<Quant> {
    [(ElemType::U8, [0, 3, 128, 255]), (ElemType::S8, [-128, -1, 7, 127])]
        .into_iter()
        .flat_map(|(elem, points)| points.map(|zero_point| Quant { elem, zero_point }))
        .collect()
}

fn whole(q: Quant) -> Output {
    Output { elem: q.elem, zero_point: q.zero_point, lo: q.elem.min(), hi: q.elem.max() }
}

/// Compares every kernel on the given values, in place and not; returns how many took the parameters.
fn check_add(p: &Add, first: &[u8], second: &[u8]) -> usize {
    if left_out(first.len()) {
        return 0;
    }
    let mut expected = vec![0; first.len()];
    reference::add_equal_shapes(p, Some(first), second, &mut expected);
    let mut count = 0;
    for choice in fast(KernelOp::Add) {
        let kernel = choice.add(KernelOp::Add, p).expect("a kernel for every addition");
        if kernel.kernel().isa != choice.isa {
            continue;
        }
        count += 1;
        let (mut a, mut b) = (Guarded::copy(first), Guarded::copy(second));
        let mut output = Guarded::new(first.len());
        kernel.run(p, Some(a.slice()), b.slice(), output.slice());
        assert_eq!(output.checked(), expected, "{} {p:?}", kernel.kernel().name);
        kernel.run(p, None, b.slice(), a.slice());
        assert_eq!(a.checked(), expected, "{} in place {p:?}", kernel.kernel().name);
    }
    count
}

/// All 65,536 pairs of bytes.
fn all_pairs() -> (Vec<u8>, Vec<u8>) {
    let stride = if cfg!(miri) { 8191 } else { 1 };
    (0..=u16::MAX).step_by(stride).map(|i| (i as u8, (i >> 8) as u8)).unzip()
}

fn fast_count() -> usize {
    fast(KernelOp::Add).count()
}

#[test]
fn add_all_pairs_joint() {
    let (a, b) = all_pairs();
    let mut random = Random(1);
    let quants = quants();
    for shift in 1..=62 {
        for subtract in [false, true] {
            let mut draw = || quants[random.within(0, 7) as usize];
            let (first, second, output) = (draw(), draw(), whole(draw()));
            let mut factor = || [0, 1, 4095, 4096, (1 << 24) - 1, random.within(0, (1 << 24) - 1)];
            let (m1, m2) = (factor()[shift as usize % 6], factor()[(shift as usize + 1) % 6]);
            let p = Add { first, second, subtract, rule: AddRule::Joint { m1, m2, shift }, output };
            let count = check_add(&p, &a, &b);
            assert_taken(count, if (13..=42).contains(&shift) { fast_count() } else { 1 });
        }
    }
}

#[test]
fn add_all_pairs_joint_every_zero_point() {
    let (a, b) = all_pairs();
    for first in quants() {
        for second in quants() {
            let rule = AddRule::Joint { m1: 11_000_123, m2: (1 << 24) - 1, shift: 24 };
            for subtract in [false, true] {
                check_add(&Add { first, second, subtract, rule, output: whole(first) }, &a, &b);
            }
        }
    }
}

#[test]
fn add_all_pairs_separate_and_tflite() {
    let (a, b) = all_pairs();
    let mut random = Random(2);
    let quants = quants();
    for shift in 16..=62 {
        for subtract in [false, true] {
            let mut dyadic = |shift| {
                let multiplier =
                    [0, 1 << 30, i32::MAX, random.within(1 << 30, i32::MAX)][random.within(0, 3) as usize];
                Dyadic { multiplier, shift }
            };
            let separate = AddRule::Separate { first: dyadic(shift), second: dyadic(78 - shift) };
            // Input factors of at most 1/2.
            let mut half = |shift: i32| {
                if shift <= 31 { Dyadic { multiplier: 1 << 30, shift: 31 } } else { dyadic(shift) }
            };
            let (first, second) = (half(shift), half(31 + shift % 8));
            let tflite = AddRule::Tflite { first, second, sum: dyadic(shift) };
            for rule in [separate, tflite] {
                let mut draw = || quants[random.within(0, 7) as usize];
                let (first, second, output) = (draw(), draw(), whole(draw()));
                let count = check_add(&Add { first, second, subtract, rule, output }, &a, &b);
                assert!(cfg!(miri) || count > 0);
                assert!(cfg!(miri) || count == fast_count() || shift == 16 || 78 - shift == 16 || shift < 32);
            }
        }
    }
}

#[test]
fn add_every_length_and_clamp() {
    let mut random = Random(3);
    let rule = AddRule::Joint { m1: 9_000_000, m2: 16_000_000, shift: 24 };
    let [first, second] =
        [Quant { elem: ElemType::U8, zero_point: 9 }, Quant { elem: ElemType::S8, zero_point: -5 }];
    for length in 0..=200 {
        let (a, b) = (random.bytes(length, Fill::Random), random.bytes(length, Fill::Random));
        let lo = random.within(-128, 127);
        let output = Output { lo, hi: random.within(lo, 127), ..whole(second) };
        check_add(&Add { first, second, subtract: false, rule, output }, &a, &b);
    }
}

proptest! {
    #![proptest_config(common::cases(300))]
    /// Factors as compilers make them.
    #[test]
    fn add_usual_factors(seed in any::<u64>(), subtract in any::<bool>(), shift in 22..27i32) {
        let mut random = Random(seed);
        let mut dyadic = |lo: i32| Dyadic { multiplier: random.within(1 << 30, i32::MAX), shift: random.within(lo, lo + 4) };
        let rules = [
            AddRule::Tflite { first: dyadic(32), second: Dyadic { multiplier: 1 << 30, shift: 31 }, sum: dyadic(47) },
            AddRule::Separate { first: dyadic(30), second: dyadic(30) },
            AddRule::Joint { m1: random.within(1 << 23, (1 << 24) - 1), m2: random.within(0, (1 << 24) - 1), shift },
        ];
        let quants = quants();
        for rule in rules {
            let mut draw = || quants[random.within(0, 7) as usize];
            let p = Add { first: draw(), second: draw(), subtract, rule, output: whole(draw()) };
            let (a, b) = (random.bytes(999, Fill::Random), random.bytes(999, Fill::Random));
            check_add(&p, &a, &b);
        }
    }
}

#[test]
fn table_all_values() {
    let mut random = Random(4);
    for length in (0..=130).chain([256, 300]) {
        if left_out(length) {
            continue;
        }
        let table: [u8; 256] = random.bytes(256, Fill::Random).try_into().unwrap();
        // All 256 values from a changing start.
        let values: Vec<u8> = (0..length).map(|i| (i * 37 + length) as u8).collect();
        let mut expected = vec![0; length];
        reference::table(&table, Some(&values), &mut expected);
        for choice in fast(KernelOp::Table) {
            let kernel = choice.table(KernelOp::Table, &table).unwrap();
            let (mut input, mut output) = (Guarded::copy(&values), Guarded::new(length));
            kernel.run(&table, Some(input.slice()), output.slice());
            assert_eq!(output.checked(), expected, "{}", kernel.kernel().name);
            kernel.run(&table, None, input.slice());
            assert_eq!(input.checked(), expected, "{} in place", kernel.kernel().name);
        }
    }
}

/// Every channel through its own table, in place and not.
#[test]
fn channel_tables() {
    let mut random = Random(6);
    for channels in [1, 2, 3, 16, 33] {
        let tables: Vec<[u8; 256]> =
            (0..channels).map(|_| random.bytes(256, Fill::Random).try_into().unwrap()).collect();
        for pixels in [0, 1, 5, 300] {
            if left_out(pixels * channels) {
                continue;
            }
            let p = ChannelTable { tables: &tables };
            let values = random.bytes(pixels * channels, Fill::Random);
            let mut expected = vec![0; values.len()];
            reference::channel_table(&tables, Some(&values), &mut expected);
            for choice in fast(KernelOp::ChannelTable) {
                let kernel = choice.channel_table(KernelOp::ChannelTable, &p).unwrap();
                assert_eq!(kernel.kernel().isa, choice.isa);
                let (mut input, mut output) = (Guarded::copy(&values), Guarded::new(values.len()));
                kernel.run(&p, Some(input.slice()), output.slice());
                assert_eq!(output.checked(), expected);
                kernel.run(&p, None, input.slice());
                assert_eq!(input.checked(), expected, "in place");
            }
        }
    }
}

/// Rows of every depth round the vectors, factors of every size; `diff_min` as TFLite derives it and at its ends.
#[test]
fn softmax_rows() {
    let mut random = Random(5);
    let fills =
        [Fill::Random, Fill::Same(0x80), Fill::Same(0x7f), Fill::Either(0x80, 0x7f), Fill::Either(0, 255)];
    for depth in (1..=40).chain([255, 256, 257, 1001, 4095]) {
        for fill in fills {
            for elem in [ElemType::U8, ElemType::S8] {
                if left_out(depth) {
                    continue;
                }
                let left_shift = random.within(0, 31);
                let multiplier = random.within(1 << 30, i32::MAX);
                let exact = -((((1i64 << 5) - 1) << 26) >> left_shift) as i32;
                let diff_min = [exact, exact, -256, -1, 0][random.within(0, 4) as usize].max(-256).max(exact);
                let output = [ElemType::U8, ElemType::S8][random.within(0, 1) as usize];
                let p = Softmax { depth, elem, output, multiplier, left_shift, diff_min };
                let rows = if depth > 300 { 2 } else { 5 };
                let input = random.bytes(rows * depth, fill);
                let mut expected = vec![0; input.len()];
                reference::softmax(&p, &input, &mut expected);
                for choice in fast(KernelOp::Softmax) {
                    let kernel = choice.softmax(KernelOp::Softmax, &p).unwrap();
                    assert_eq!(kernel.kernel().isa, choice.isa);
                    let (mut input, mut actual) = (Guarded::copy(&input), Guarded::new(input.len()));
                    kernel.run(&p, input.slice(), actual.slice());
                    assert_eq!(actual.checked(), expected, "{p:?}");
                }
            }
        }
    }
}
