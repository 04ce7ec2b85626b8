//! Addition and requantization of 16-bit residual streams, mixed with 8-bit types.

use dyadic_kernels::params::{Add, AddRule, Output, Quant, Requantize};
use dyadic_kernels::registry::KernelOp;
use dyadic_kernels::requant::{Dyadic, Rounding};
use dyadic_kernels::{ElemType, reference};
use proptest::prelude::*;
use proptest::sample::select;

use crate::common::{self, Fill, Guarded, Random, fast, left_out};

/// A type with any zero point, the ends often.
fn any_quant() -> impl Strategy<Value = Quant> {
    (select(vec![ElemType::U8, ElemType::S8, ElemType::S16]), 0..5u8, any::<i16>()).prop_map(
        |(elem, end, random)| {
            let spread = i32::from(random).rem_euclid(elem.max() - elem.min() + 1) + elem.min();
            Quant { elem, zero_point: [elem.min(), elem.max(), 0, spread, spread][usize::from(end)] }
        },
    )
}

fn any_output() -> impl Strategy<Value = Output> {
    (any_quant(), any_quant(), any::<bool>()).prop_map(|(Quant { elem, zero_point }, limit, clamped)| {
        let lo = if clamped { limit.zero_point.clamp(elem.min(), elem.max()) } else { elem.min() };
        Output { elem, zero_point, lo, hi: elem.max() }
    })
}

fn any_dyadic() -> impl Strategy<Value = Dyadic> {
    let multiplier = prop_oneof![Just(0), Just(1 << 30), Just(i32::MAX), (1 << 30)..=i32::MAX];
    (multiplier, prop_oneof![16..=62i32, 24..=34i32])
        .prop_map(|(multiplier, shift)| Dyadic { multiplier, shift })
}

fn any_rule() -> impl Strategy<Value = AddRule> {
    let multiplier = || prop_oneof![Just(0), Just((1 << 24) - 1), 0..1 << 24];
    let joint = (multiplier(), multiplier(), prop_oneof![1..=62i32, 20..=28i32]);
    let separate = (any_dyadic(), any_dyadic());
    prop_oneof![
        joint.prop_map(|(m1, m2, shift)| AddRule::Joint { m1, m2, shift }),
        separate.prop_map(|(first, second)| AddRule::Separate { first, second }),
    ]
}

/// Codes of a type: anything, or its ends.
fn codes(random: &mut Random, elem: ElemType, count: usize, ends: bool) -> Vec<u8> {
    let mut bytes = vec![0; elem.bytes(count).unwrap()];
    for i in 0..count {
        let value = random.within(elem.min(), elem.max());
        elem.store(&mut bytes, i, if ends { [elem.min(), elem.max()][i % 2] } else { value });
    }
    bytes
}

proptest! {
    #![proptest_config(common::cases(4000))]
    #[test]
    fn any_addition(
        (first, second) in (any_quant(), any_quant()),
        (subtract, ends) in any::<(bool, bool)>(),
        rule in any_rule(),
        output in any_output(),
        (count, seed) in (0..300usize, any::<u64>()),
    ) {
        let p = Add { first, second, subtract, rule, output };
        let random = &mut Random(seed);
        let (a, b) = (codes(random, first.elem, count, ends), codes(random, second.elem, count, false));
        let mut expected = vec![0; output.elem.bytes(count).unwrap()];
        reference::add_equal_shapes(&p, Some(&a), &b, &mut expected);
        for choice in fast(KernelOp::Add) {
            let kernel = choice.add(KernelOp::Add, &p).expect("a kernel for every addition");
            let name = kernel.kernel().name;
            prop_assert!(!name.contains("reference"), "{name} {p:?}");
            let (mut a, mut b) = (Guarded::copy(&a), Guarded::copy(&b));
            let mut out = Guarded::new(expected.len());
            kernel.run(&p, Some(a.slice()), b.slice(), out.slice());
            prop_assert_eq!(out.checked(), &expected, "{} {:?}", name, p);
            if first.elem.bits() == output.elem.bits() {
                kernel.run(&p, None, b.slice(), a.slice());
                prop_assert_eq!(a.checked(), &expected, "{} in place {:?}", name, p);
            }
        }
    }

    #[test]
    fn any_requantization(
        from in prop_oneof![3 => any_quant(), 1 => Just(Quant { elem: ElemType::S32, zero_point: 0 })],
        (scale, to) in (any_dyadic(), any_output()),
        rounding in select(vec![Rounding::Once, Rounding::Twice, Rounding::OnceAway]),
        (count, seed, ends) in (0..300usize, any::<u64>(), any::<bool>()),
    ) {
        let p = Requantize { from, scale, rounding, to };
        let input = codes(&mut Random(seed), from.elem, count, ends);
        let mut expected = vec![0; to.elem.bytes(count).unwrap()];
        reference::requantize(from, scale, rounding, to, count, &input, &mut expected);
        for choice in fast(KernelOp::Requantize) {
            let kernel = choice.requantize(KernelOp::Requantize, &p).expect("a kernel for all of them");
            prop_assert_eq!(kernel.kernel().isa, choice.isa);
            let (mut input, mut out) = (Guarded::copy(&input), Guarded::new(expected.len()));
            kernel.run(&p, input.slice(), out.slice());
            prop_assert_eq!(out.checked(), &expected, "{} {:?}", kernel.kernel().name, p);
        }
    }
}

/// Every s16 code, through factors of every shift.
#[test]
fn every_code_of_a_stream() {
    let every: Vec<u8> = (i16::MIN..=i16::MAX).flat_map(i16::to_le_bytes).collect();
    let input = if cfg!(miri) { Random(1).bytes(128, Fill::Random) } else { every };
    for shift in 16..=62 {
        for (multiplier, zero_point) in [(1 << 30, -32768), (i32::MAX, 32767), (0x5555_5555, 3)] {
            if left_out(64) {
                continue;
            }
            let from = Quant { elem: ElemType::S16, zero_point };
            let to =
                Output { elem: ElemType::S16, zero_point: -zero_point.max(-32767), lo: -32768, hi: 32767 };
            let scale = Dyadic { multiplier, shift };
            let p = Requantize { from, scale, rounding: Rounding::Once, to };
            let mut expected = vec![0; input.len()];
            reference::requantize(from, scale, p.rounding, to, input.len() / 2, &input, &mut expected);
            for choice in fast(KernelOp::Requantize) {
                let mut actual = vec![0; input.len()];
                choice.requantize(KernelOp::Requantize, &p).unwrap().run(&p, &input, &mut actual);
                assert!(actual == expected, "{p:?}");
            }
        }
    }
}
