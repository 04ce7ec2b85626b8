//! The rescaling rules against their definitions on 128-bit integers: random factors, every shift, every tie.
#![forbid(unsafe_code)]

use dyadic_compiler::quantize::dyadic::{from_real, joint};
use dyadic_kernels::requant::{
    Dyadic, MAX_SHIFT, MIN_SHIFT, Rounding, add_joint, divide_by_power_of_two, doubling_high_mul, rescale,
    rescale_once, rescale_once_away, rescale_twice, saturate,
};
use proptest::prelude::*;

/// `floor(x / 2^s + 1/2)`.
fn half_up(x: i128, s: i32) -> i128 {
    (2 * x + (1 << s)).div_euclid(2 << s)
}

/// `x / 2^s` to nearest, ties away from zero.
fn half_away(x: i128, s: i32) -> i128 {
    x.signum() * half_up(x.abs(), s)
}

/// gemmlowp's rounding doubling high product as it is written there: a nudge that depends on the sign, then a quotient
/// cut toward zero.
fn doubling_high(x: i128, m: i128) -> i128 {
    let product = x * m;
    let nudge = if product >= 0 { 1 << 30 } else { 1 - (1 << 30) };
    (product + nudge) / (1 << 31)
}

fn expected(acc: i32, d: Dyadic, rounding: Rounding) -> i128 {
    let product = i128::from(acc) * i128::from(d.multiplier);
    match rounding {
        Rounding::Once => half_up(product, d.shift),
        Rounding::OnceAway => half_away(product, d.shift),
        Rounding::Twice => {
            let shifted = i128::from(acc) << (31 - d.shift).max(0);
            half_away(doubling_high(shifted, d.multiplier.into()), (d.shift - 31).max(0))
        }
    }
}

const ROUNDINGS: [Rounding; 3] = [Rounding::Once, Rounding::OnceAway, Rounding::Twice];

fn check(acc: i32, d: Dyadic) {
    for rounding in ROUNDINGS {
        assert_eq!(
            i128::from(rescale(acc, d, rounding)),
            expected(acc, d, rounding),
            "{acc} {d:?} {rounding:?}"
        );
    }
}

/// Accumulators of every magnitude.
fn accumulators() -> impl Strategy<Value = i32> {
    let near_ends = prop_oneof![Just(i32::MIN), Just(i32::MIN + 1), Just(i32::MAX), Just(0), Just(-1)];
    prop_oneof![any::<i32>(), (0..32u32, any::<i32>()).prop_map(|(bits, v)| v >> bits), near_ends]
}

/// Multipliers with few and with many bits, and those below 2^30 that means have.
fn factors() -> impl Strategy<Value = Dyadic> {
    let normal = 1 << 30..=i32::MAX;
    let narrow = (0..30u32).prop_map(|bit| 1 << 30 | 1 << bit);
    let ends = prop_oneof![Just(0), Just(1 << 30), Just(i32::MAX), 1..1i32 << 30];
    (prop_oneof![normal, narrow, ends], MIN_SHIFT..=MAX_SHIFT)
        .prop_map(|(m, s)| Dyadic::unnormalised(m, s).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(20_000) })]

    #[test]
    fn rescales_are_their_definitions(acc in accumulators(), d in factors()) {
        check(acc, d);
    }

    /// Larger accumulators never give smaller values: range proofs rest on this.
    #[test]
    fn rescales_do_not_decrease(a in accumulators(), b in accumulators(), d in factors()) {
        for rounding in ROUNDINGS {
            prop_assert!(rescale(a.min(b), d, rounding) <= rescale(a.max(b), d, rounding));
        }
    }

    /// Rounding a floor once more is rounding once: the form of the vector kernels.
    #[test]
    fn floors_compose(acc in accumulators(), d in factors(), t in 31..=32i32) {
        let d = Dyadic { shift: d.shift.max(33), ..d };
        let high = (i64::from(acc) * i64::from(d.multiplier)) >> t;
        let k = d.shift - t;
        prop_assert_eq!((high + (1i64 << (k - 1))) >> k, rescale_once(acc, d));
    }

    /// A multiplier whose low bits are zero may be shifted with its shift.
    #[test]
    fn narrow_factors_are_equal(acc in accumulators(), m in 1 << 14..1i32 << 15, shift in 32..=MAX_SHIFT) {
        let wide = Dyadic::new(m << 16, shift).unwrap();
        prop_assert_eq!(rescale_once(acc, wide), (i64::from(acc) * i64::from(m) + (1 << (shift - 17))) >> (shift - 16));
    }

    #[test]
    fn joint_sums(a in -65536..=65535, b in -65536..=65535, m1 in 0..1 << 24, m2 in 0..1 << 24, s in 1..=62) {
        let sum = i128::from(a) * i128::from(m1) + i128::from(b) * i128::from(m2);
        prop_assert_eq!(i128::from(add_joint(a, b, m1, m2, s)), half_up(sum, s));
        let difference = i128::from(a) * i128::from(m1) - i128::from(b) * i128::from(m2);
        prop_assert_eq!(i128::from(add_joint(a, b, m1, -m2, s)), half_up(difference, s));
        // In 32 bits, for codes of 9 bits after their zero points: halves of 12 bits.
        let (x, y) = (a >> 8, b >> 8);
        if (13..=44).contains(&s) {
            let high = x * (m1 >> 12) + y * (m2 >> 12);
            let low = x * (m1 & 4095) + y * (m2 & 4095);
            let sum = i64::from(high + (low >> 12));
            prop_assert_eq!((sum + (1 << (s - 13))) >> (s - 12), add_joint(x, y, m1, m2, s));
        }
    }

    #[test]
    fn saturation(value in any::<i64>(), zero_point in -32768..=32767i32, a in -32768..=32767i32, b in -32768..=32767i32) {
        let (lo, hi) = (a.min(b), a.max(b));
        let exact = (i128::from(value) + i128::from(zero_point)).clamp(lo.into(), hi.into());
        prop_assert_eq!(i128::from(saturate(value, zero_point, lo, hi)), exact);
    }

    /// The multiplier of a float64 factor is its mantissa, rounded half up to 31 bits.
    #[test]
    fn factors_of_reals(fraction in 0..1u64 << 52, exponent in -70..20i32) {
        let real = f64::from_bits(((1023 + exponent) as u64) << 52 | fraction);
        let mantissa = (1u64 << 52 | fraction) as i128;
        let (mut m, mut shift) = (half_up(mantissa, 22), 30 - exponent);
        if m == 1 << 31 {
            (m, shift) = (1 << 30, shift - 1);
        }
        match from_real(real) {
            Ok(d) if shift > MAX_SHIFT => prop_assert_eq!(d, Dyadic { multiplier: 0, shift: MAX_SHIFT }),
            Ok(d) => prop_assert_eq!((i128::from(d.multiplier), d.shift), (m, shift)),
            Err(_) => prop_assert!(shift < MIN_SHIFT),
        }
    }

    /// Both joint multipliers are nearest to their factors over the common shift; the larger has 24 bits.
    #[test]
    fn joint_factors(a in 1..1i64 << 53, b in 1..1i64 << 53, down in 30..80) {
        // a / 2^down and b / 2^down, both exact.
        let real = |v: i64| v as f64 / 2f64.powi(down);
        let largest = real(a.max(b));
        match joint(real(a), real(b)) {
            Ok((m1, m2, shift)) => {
                let nearest = |v: i64| if down > shift { half_up(v.into(), down - shift) } else { i128::from(v) << (shift - down) };
                prop_assert_eq!((i128::from(m1), i128::from(m2)), (nearest(a), nearest(b)));
                prop_assert!((1 << 23..1 << 24).contains(&m1.max(m2)) || shift == MAX_SHIFT);
            }
            // The shift would be 0.
            Err(_) => prop_assert!(largest > 2f64.powi(23) - 1.0, "refused {largest}"),
        }
    }
}

/// All accumulators of 14 bits, every shift, several multipliers.
#[test]
fn small_accumulators() {
    for multiplier in [0, 1, 1 << 29, 1 << 30, (1 << 30) + 1, 3 << 29, 0x5555_5555, i32::MAX - 1, i32::MAX] {
        for shift in MIN_SHIFT..=MAX_SHIFT {
            let d = Dyadic::unnormalised(multiplier, shift).unwrap();
            (-8192..8192).for_each(|acc| check(acc, d));
        }
    }
}

/// A tie needs as many factors of two in accumulator and multiplier as the shift has, less one: every way to have them,
/// with both neighbours. Ties below zero are where the two single roundings differ, and nowhere else.
#[test]
fn every_tie() {
    let mut ties = 0;
    for twos in 0..=30 {
        for bit in 0..=30 {
            let shift = twos + bit + 1;
            if !(MIN_SHIFT..=MAX_SHIFT).contains(&shift) {
                continue;
            }
            for odd_m in [1i64, 3, 5, 0x2aaa_aaab, 0x3fff_ffff, 0x7fff_ffff] {
                for odd_acc in [1i64, 3, 7, 1001, 0x5555_5555, 0x7fff_ffff] {
                    let (m, acc) = (odd_m << bit, odd_acc << twos);
                    let (Ok(multiplier), Ok(acc)) = (i32::try_from(m), i32::try_from(acc)) else { continue };
                    let d = Dyadic::unnormalised(multiplier, shift).unwrap();
                    ties += 1;
                    for acc in [acc, -acc] {
                        [acc.saturating_sub(1), acc, acc.saturating_add(1)]
                            .into_iter()
                            .for_each(|a| check(a, d));
                        let apart = rescale_once(acc, d) - rescale_once_away(acc, d);
                        assert_eq!(apart, i64::from(acc < 0), "{acc} {d:?}");
                    }
                    // Its neighbours are no ties unless the multiplier moves them by whole units.
                    if shift > 31 {
                        assert_eq!(rescale_once(-acc + 1, d), rescale_once_away(-acc + 1, d));
                    }
                }
            }
        }
    }
    assert!(ties > 1000, "{ties}");
}

/// The two roundings differ from one rounding by at most 1, and for s <= 31 not at all (ties apart).
#[test]
fn two_roundings_against_one() {
    for acc in (-40_000..40_000).map(|i| i * 53_687) {
        for shift in 31..=MAX_SHIFT {
            for multiplier in [1 << 30, 0x5a5a_5a5a, i32::MAX] {
                let d = Dyadic::new(multiplier, shift).unwrap();
                let apart = rescale_twice(acc, d) - rescale_once(acc, d);
                assert!(apart.abs() <= i64::from(shift > 31), "{acc} {d:?}");
            }
        }
    }
}

#[test]
fn divisions_by_powers_of_two() {
    for x in -70_000i64..70_000 {
        for exponent in 0..=20 {
            let actual = divide_by_power_of_two(x, exponent);
            assert_eq!(i128::from(actual), half_away(x.into(), exponent), "{x} / 2^{exponent}");
        }
    }
    assert_eq!(divide_by_power_of_two(i32::MIN.into(), 33), 0);
    assert_eq!(divide_by_power_of_two(i32::MIN.into(), 32), -1);
    assert_eq!(divide_by_power_of_two(i32::MAX.into(), 32), 0);
    assert_eq!(doubling_high_mul(i32::MIN.into(), i32::MAX), -i64::from(i32::MAX));
}

#[test]
fn factors_are_checked() {
    for (m, s, ok) in [
        (0, 16, true),
        (0, 62, true),
        (1 << 30, 16, true),
        (i32::MAX, 62, true),
        ((1 << 30) - 1, 40, false),
        (-1, 40, false),
        (i32::MIN, 40, false),
        (1 << 30, 15, false),
        (1 << 30, 63, false),
        (0, 63, false),
    ] {
        assert_eq!(Dyadic::new(m, s).is_some(), ok, "{m} {s}");
    }
    assert!(Dyadic::unnormalised(1, 31).is_some());
    assert!(Dyadic::unnormalised(-1, 31).is_none());
    assert!(Dyadic::unnormalised(1, 63).is_none());
}
