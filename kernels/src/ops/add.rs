//! Addition and subtraction in plain Rust: what depends on one input only is computed once per value.

use crate::params::{Add, AddRule, Quant};
use crate::requant::{Dyadic, rescale_once, rescale_twice};
use crate::types::ElemType;

/// 8-bit types.
pub(crate) fn accepts(p: &Add) -> bool {
    let byte = |elem| matches!(elem, ElemType::U8 | ElemType::S8);
    byte(p.first.elem) && byte(p.second.elem) && byte(p.output.elem)
}

/// The factor that TFLite gives the input of larger scale.
pub(crate) const HALF: Dyadic = Dyadic { multiplier: 1 << 30, shift: 31 };

/// What the kernels of whole vectors compute: 8-bit types. Joint: shifts 13 to 42. Separate: from 17. TFLite: input factors of at most 1/2, as they are, and a
/// sum's factor below 1/2.
pub(crate) fn accepts_vectors(p: &Add) -> bool {
    let rule = match p.rule {
        AddRule::Joint { shift, .. } => (13..=42).contains(&shift),
        AddRule::Separate { first, second } => first.shift >= 17 && second.shift >= 17,
        AddRule::Tflite { first, second, sum } => {
            let below_half = |factor: Dyadic| factor == HALF || factor.shift >= 32;
            below_half(first) && below_half(second) && sum.shift >= 32
        }
    };
    rule && accepts(p)
}

/// See [`crate::registry::AddFn`].
pub(crate) fn add_portable(p: &Add, first: Option<&[u8]>, second: &[u8], output: &mut [u8]) {
    let sign = if p.subtract { -1 } else { 1 };
    match p.rule {
        AddRule::Joint { m1, m2, shift } => {
            let round = 1i64 << (shift - 1);
            let a = terms(p.first, |x| i64::from(x) * i64::from(m1) + round);
            let b = terms(p.second, |x| i64::from(x) * i64::from(sign * m2));
            each(p, first, second, output, (&a, &b), |sum| sum >> shift);
        }
        AddRule::Separate { first: f, second: s } => {
            let a = terms(p.first, |x| rescale_once(x, f));
            let b = terms(p.second, |x| i64::from(sign) * rescale_once(x, s));
            each(p, first, second, output, (&a, &b), |sum| sum);
        }
        AddRule::Tflite { first: f, second: s, sum } => {
            let shifted = |x: i32, factor: Dyadic| rescale_twice(x << 20, factor);
            let a = terms(p.first, |x| shifted(x, f));
            let b = terms(p.second, |x| i64::from(sign) * shifted(x, s));
            each(p, first, second, output, (&a, &b), |total| rescale_twice(total as i32, sum));
        }
    }
}

/// `f` of every byte's value less the zero point.
fn terms(quant: Quant, f: impl Fn(i32) -> i64) -> [i64; 256] {
    core::array::from_fn(|byte| {
        let value = if quant.elem == ElemType::S8 { i32::from(byte as u8 as i8) } else { byte as i32 };
        f(value - quant.zero_point)
    })
}

/// Adds the terms of every pair of bytes and ends with `end`.
fn each(
    p: &Add,
    first: Option<&[u8]>,
    second: &[u8],
    output: &mut [u8],
    (a, b): (&[i64; 256], &[i64; 256]),
    end: impl Fn(i64) -> i64,
) {
    let sum = |x: u8, y: u8| p.output.saturate(end(a[usize::from(x)] + b[usize::from(y)])) as u8;
    let second = &second[..output.len()];
    match first {
        Some(first) => {
            for ((out, &x), &y) in output.iter_mut().zip(first).zip(second) {
                *out = sum(x, y);
            }
        }
        None => {
            for (out, &y) in output.iter_mut().zip(second) {
                *out = sum(*out, y);
            }
        }
    }
}
