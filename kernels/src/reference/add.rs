//! Addition and subtraction: rules 3 (joint), 4 (separate) and 5 (TFLite).

use super::movement::for_each_pair;
use crate::params::{Add, AddRule, Dims};
use crate::requant::{add_joint, rescale_once, rescale_twice};

/// Element-wise over broadcast shapes (NumPy rules).
///
/// # Panics
/// When the shapes do not broadcast to `out_shape`.
pub fn add(p: &Add, a: (&Dims, &[u8]), b: (&Dims, &[u8]), out_shape: &Dims, output: &mut [u8]) {
    for_each_pair(a.0, b.0, out_shape, |index, ia, ib| {
        let x = p.first.elem.load(a.1, ia) - p.first.zero_point;
        let y = p.second.elem.load(b.1, ib) - p.second.zero_point;
        p.output.elem.store(output, index, p.output.saturate(sum(p, x, y)));
    });
}

/// The sum of two values after their zero points, before the output's. Non-decreasing in `x`, and in `y` unless the
/// operation subtracts.
pub fn sum(p: &Add, x: i32, y: i32) -> i64 {
    let sign = if p.subtract { -1 } else { 1 };
    match p.rule {
        AddRule::Joint { m1, m2, shift } => add_joint(x, y, m1, sign * m2, shift),
        AddRule::Separate { first, second } => {
            rescale_once(x, first) + i64::from(sign) * rescale_once(y, second)
        }
        AddRule::Tflite { first, second, sum } => {
            let x = rescale_twice(x << 20, first);
            let y = rescale_twice(y << 20, second);
            // |x| and |y| are at most 2^28: inputs of 9 bits shifted by 20, factors at most 1/2.
            rescale_twice((x + i64::from(sign) * y) as i32, sum)
        }
    }
}

/// Element-wise over equal shapes. Without a `first` input its values already lie in the output, which then has the
/// same element width.
pub fn add_equal_shapes(p: &Add, first: Option<&[u8]>, second: &[u8], output: &mut [u8]) {
    let count = output.len() * 8 / p.output.elem.bits();
    for i in 0..count {
        let a = first.map_or_else(|| p.first.elem.load(output, i), |first| p.first.elem.load(first, i));
        let b = p.second.elem.load(second, i) - p.second.zero_point;
        p.output.elem.store(output, i, p.output.saturate(sum(p, a - p.first.zero_point, b)));
    }
}
