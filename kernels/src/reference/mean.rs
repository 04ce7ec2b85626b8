//! Mean over axes: rules 10 (one rounding) and 11 (TFLite, two roundings).

use crate::params::Mean;
use crate::requant::rescale;

/// Output elements in the order of the axes that are kept.
pub fn mean(p: &Mean, input: &[u8], output: &mut [u8]) {
    let extents = p.shape.as_slice();
    let strides = p.shape.strides();
    let split = |reduced: bool| (0..extents.len()).filter(move |&axis| p.axes[axis] == reduced);
    let kept: usize = split(false).map(|axis| extents[axis]).product();
    let count: usize = split(true).map(|axis| extents[axis]).product();
    // Offset of the `index`-th combination of the kept or of the reduced axes.
    let offset = |reduced: bool, mut index: usize| {
        let mut at = 0;
        for axis in (0..extents.len()).rev().filter(|&axis| p.axes[axis] == reduced) {
            at += index % extents[axis] * strides[axis];
            index /= extents[axis];
        }
        at
    };
    for o in 0..kept {
        let base = offset(false, o);
        let sum: i64 = (0..count).map(|i| i64::from(p.input.elem.load(input, base + offset(true, i)))).sum();
        let centred = sum - count as i64 * i64::from(p.input.zero_point);
        let value = p.output.saturate(rescale(centred as i32, p.scale, p.rounding));
        p.output.elem.store(output, o, value);
    }
}
