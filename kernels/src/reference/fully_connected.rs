//! Fully connected layer: rules 1, 2, 20 and 23.

use super::conv2d::accumulator;
use crate::params::Conv;

/// `out[n,c] = clamp(zp + rescale(bias[c] + sum_i (x[n,i] - zx) * (w[c,i] - zw)))`.
pub fn fully_connected(p: &Conv, input: &[u8], output: &mut [u8]) {
    let depth = p.in_channels;
    for n in 0..p.batch {
        for c in 0..p.out_channels {
            let mut acc = i64::from(p.bias[c]);
            for i in 0..depth {
                let a = p.input.elem.load(input, n * depth + i) - p.input.zero_point;
                let w = p.weight.elem.load(p.weights, c * depth + i) - p.weight.zero_point;
                acc += i64::from(a) * i64::from(w);
            }
            let value = p.finish(accumulator(acc), c);
            p.output.elem.store(output, n * p.out_channels + c, value);
        }
    }
}
