//! Depthwise convolution: rules 1, 2, 20 and 23.

use super::conv2d::accumulator;
use crate::params::Conv;

/// Output channel `c` reads input channel `c / multiplier`, the depth multiplier being
/// `out_channels / in_channels`; weights `[out_channels, y.kernel, x.kernel]`.
pub fn depthwise(p: &Conv, input: &[u8], output: &mut [u8]) {
    let (y, x) = (&p.window.y, &p.window.x);
    let multiplier = p.out_channels / p.in_channels;
    let mut index = 0;
    for n in 0..p.batch {
        for oy in 0..y.output {
            for ox in 0..x.output {
                for c in 0..p.out_channels {
                    let mut acc = i64::from(p.bias[c]);
                    for ky in 0..y.kernel {
                        for kx in 0..x.kernel {
                            let (Some(iy), Some(ix)) = (y.position(oy, ky), x.position(ox, kx)) else {
                                continue;
                            };
                            let at = ((n * y.input + iy) * x.input + ix) * p.in_channels + c / multiplier;
                            let a = p.input.elem.load(input, at) - p.input.zero_point;
                            let w = p.weight.elem.load(p.weights, (c * y.kernel + ky) * x.kernel + kx);
                            acc += i64::from(a) * i64::from(w - p.weight.zero_point);
                        }
                    }
                    let value = p.finish(accumulator(acc), c);
                    p.output.elem.store(output, index, value);
                    index += 1;
                }
            }
        }
    }
}
