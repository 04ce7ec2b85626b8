//! Addition, subtraction and requantization of residual streams: any mix of 8- and 16-bit types, a block of values at a
//! time. Plain Rust, compiled once for every CPU and once for AVX2.

use crate::params::{Add, AddRule, Output, Requantize};
use crate::requant::{Dyadic, Rounding, add_joint, rescale, rescale_once};
use crate::types::ElemType;

/// Values that are widened, computed and narrowed together.
const BLOCK: usize = 64;

type Values = [i32; BLOCK];

const fn has_bytes(elem: ElemType) -> bool {
    matches!(elem, ElemType::U8 | ElemType::S8 | ElemType::S16)
}

/// Types of 8 and 16 bits under the rules that take them; bytes alone have kernels of their own.
pub(crate) fn accepts_add(p: &Add) -> bool {
    let rule = matches!(p.rule, AddRule::Joint { .. } | AddRule::Separate { .. });
    let types = [p.first.elem, p.second.elem, p.output.elem];
    rule && types.into_iter().all(has_bytes) && types.contains(&ElemType::S16)
}

/// Whole bytes on both sides.
pub(crate) fn accepts_requantize(p: &Requantize) -> bool {
    p.from.elem.bits() >= 8 && has_bytes(p.to.elem)
}

/// See [`crate::registry::AddFn`].
#[inline(always)]
pub(crate) fn add(p: &Add, first: Option<&[u8]>, second: &[u8], output: &mut [u8]) {
    let sign = if p.subtract { -1 } else { 1 };
    match p.rule {
        AddRule::Joint { m1, m2, shift: shift @ 13..=42 } => {
            let joint = Joint::new(m1, sign * m2, shift);
            add_blocks(p, first, second, output, |x, y| joint.of(x, y));
        }
        AddRule::Joint { m1, m2, shift } => {
            add_blocks(p, first, second, output, |x, y| bounded(add_joint(x, y, m1, sign * m2, shift)));
        }
        AddRule::Separate { first: f, second: s } => match (Once::new(f), Once::new(s)) {
            (Some(f), Some(s)) => add_blocks(p, first, second, output, |x, y| f.of(x) + sign * s.of(y)),
            _ => add_blocks(p, first, second, output, |x, y| {
                bounded(rescale_once(x, f) + i64::from(sign) * rescale_once(y, s))
            }),
        },
        // Not accepted.
        AddRule::Tflite { .. } => {}
    }
}

/// See [`crate::registry::RequantizeFn`].
#[inline(always)]
pub(crate) fn requantize(p: &Requantize, input: &[u8], output: &mut [u8]) {
    let once = Once::new(p.scale).filter(|_| p.from.elem.bits() <= 16);
    match (p.rounding, once) {
        (Rounding::Once, Some(once)) => requantize_blocks(p, input, output, |x| once.of(x)),
        (Rounding::Once, None) => requantize_blocks(p, input, output, |x| bounded(rescale_once(x, p.scale))),
        (rounding, _) => requantize_blocks(p, input, output, |x| bounded(rescale(x, p.scale, rounding))),
    }
}

/// The joint rule in 32 bits: with `m = 4096 * h + l`, `H = a*h1 + b*h2` and `L = a*l1 + b*l2` the sum is
/// `floor((H + floor(L / 2^12) + 2^(s-13)) / 2^(s-12))`. Inputs of 17 bits keep `H` and `L` below 2^29, the rounder is at
/// most 2^29.
struct Joint {
    high: [i32; 2],
    low: [i32; 2],
    round: i32,
    shift: i32,
}

impl Joint {
    /// `shift` is 13 to 42.
    fn new(m1: i32, m2: i32, shift: i32) -> Joint {
        Joint {
            high: [m1 >> 12, m2 >> 12],
            low: [m1 & 4095, m2 & 4095],
            round: 1 << (shift - 13),
            shift: shift - 12,
        }
    }

    #[inline(always)]
    fn of(&self, a: i32, b: i32) -> i32 {
        let high = a * self.high[0] + b * self.high[1];
        let low = a * self.low[0] + b * self.low[1];
        (high + (low >> 12) + self.round) >> self.shift
    }
}

/// One rounding of values of 17 bits in 32: `q = floor(x * m / 2^18)` is below 2^29, and the result is
/// `floor((q + 2^(s-19)) / 2^(s-18))`.
#[derive(Clone, Copy)]
struct Once {
    multiplier: i32,
    round: i32,
    shift: i32,
}

impl Once {
    /// Shifts from 19 on. From 48 on the result is 0, so 49 does for all that are larger.
    fn new(factor: Dyadic) -> Option<Once> {
        let shift = factor.shift.min(49) - 18;
        let once = |round| Once { multiplier: factor.multiplier, round, shift };
        (shift >= 1).then(|| once(1 << (shift - 1)))
    }

    #[inline(always)]
    fn of(&self, x: i32) -> i32 {
        let high = ((i64::from(x << 14) * i64::from(self.multiplier)) >> 32) as i32;
        (high + self.round) >> self.shift
    }
}

/// A value that is clamped to 16 bits in the end, as 32 bits: what is cut off lies beyond every clamp, zero point
/// included.
#[inline(always)]
fn bounded(value: i64) -> i32 {
    value.clamp(-(1 << 24), 1 << 24) as i32
}

/// `clamp(zero_point + value, lo, hi)` of values below 2^30.
#[inline(always)]
fn end(output: &Output, value: i32) -> i32 {
    (value + output.zero_point).clamp(output.lo, output.hi)
}

#[inline(always)]
fn add_blocks(
    p: &Add,
    first: Option<&[u8]>,
    second: &[u8],
    output: &mut [u8],
    sum: impl Fn(i32, i32) -> i32,
) {
    let step = |elem: ElemType| BLOCK * elem.bits() / 8;
    let mut second = second.chunks(step(p.second.elem));
    let mut first = first.map(|first| first.chunks(step(p.first.elem)));
    for out in output.chunks_mut(step(p.output.elem)) {
        let (mut a, mut b) = ([0; BLOCK], [0; BLOCK]);
        match &mut first {
            Some(first) => read(p.first.elem, first.next().unwrap_or_default(), &mut a),
            None => read(p.first.elem, out, &mut a),
        }
        read(p.second.elem, second.next().unwrap_or_default(), &mut b);
        for (a, b) in a.iter_mut().zip(b) {
            *a = end(&p.output, sum(*a - p.first.zero_point, b - p.second.zero_point));
        }
        write(p.output.elem, &a, out);
    }
}

#[inline(always)]
fn requantize_blocks(p: &Requantize, input: &[u8], output: &mut [u8], rescaled: impl Fn(i32) -> i32) {
    let step = |elem: ElemType| BLOCK * elem.bits() / 8;
    for (x, out) in input.chunks(step(p.from.elem)).zip(output.chunks_mut(step(p.to.elem))) {
        let mut values = [0; BLOCK];
        read(p.from.elem, x, &mut values);
        values.iter_mut().for_each(|v| *v = end(&p.to, rescaled(*v - p.from.zero_point)));
        write(p.to.elem, &values, out);
    }
}

/// The elements of `bytes`, at most a block.
#[inline(always)]
fn read(elem: ElemType, bytes: &[u8], values: &mut Values) {
    match elem {
        ElemType::U8 => values.iter_mut().zip(bytes).for_each(|(v, &b)| *v = b.into()),
        ElemType::S8 => values.iter_mut().zip(bytes).for_each(|(v, &b)| *v = (b as i8).into()),
        ElemType::S16 => {
            let words = bytes.as_chunks::<2>().0;
            values.iter_mut().zip(words).for_each(|(v, &b)| *v = i16::from_le_bytes(b).into());
        }
        ElemType::S32 => {
            let words = bytes.as_chunks::<4>().0;
            values.iter_mut().zip(words).for_each(|(v, &b)| *v = i32::from_le_bytes(b));
        }
        // Not accepted.
        ElemType::U4 | ElemType::S4 => {}
    }
}

/// The elements of `bytes` from the start of a block.
#[inline(always)]
fn write(elem: ElemType, values: &Values, bytes: &mut [u8]) {
    if elem == ElemType::S16 {
        let words = bytes.as_chunks_mut::<2>().0;
        words.iter_mut().zip(values).for_each(|(b, &v)| *b = (v as i16).to_le_bytes());
    } else {
        bytes.iter_mut().zip(values).for_each(|(b, &v)| *b = v as u8);
    }
}
