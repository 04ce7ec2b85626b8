//! Product: rules 6 (one rounding) and 7 (two).

use super::conv2d::accumulator;
use super::movement::for_each_pair;
use crate::params::{Dims, Mul};
use crate::requant::rescale;

/// `clamp(zp + rescale((a - za) * (b - zb)))`, element-wise over broadcast shapes (NumPy rules).
///
/// # Panics
/// When the shapes do not broadcast to `out_shape`.
pub fn mul(p: &Mul, a: (&Dims, &[u8]), b: (&Dims, &[u8]), out_shape: &Dims, output: &mut [u8]) {
    for_each_pair(a.0, b.0, out_shape, |index, ia, ib| {
        let x = p.first.elem.load(a.1, ia) - p.first.zero_point;
        let y = p.second.elem.load(b.1, ib) - p.second.zero_point;
        let product = accumulator(i64::from(x) * i64::from(y));
        p.output.elem.store(output, index, p.output.saturate(rescale(product, p.scale, p.rounding)));
    });
}
