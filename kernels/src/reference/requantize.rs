//! Requantization between integer types: rules 1, 2 and 20.

use crate::params::{Output, Quant};
use crate::requant::{Dyadic, Rounding, rescale};

/// `clamp(zp_out + rescale(x - zp_in))` for `count` elements.
pub fn requantize(
    from: Quant,
    scale: Dyadic,
    rounding: Rounding,
    to: Output,
    count: usize,
    input: &[u8],
    output: &mut [u8],
) {
    for i in 0..count {
        let centred = i64::from(from.elem.load(input, i)) - i64::from(from.zero_point);
        to.elem.store(output, i, to.saturate(rescale(centred as i32, scale, rounding)));
    }
}
