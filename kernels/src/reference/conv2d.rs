//! Convolution: rules 1, 2, 20 and 23.

use crate::params::Conv;

/// `out[n,oy,ox,c] = clamp(zp + rescale(bias[c] + sum (x - zx) * (w - zw)))`, the sum over the taps that fall on
/// the picture and the input channels of the group of `c`.
pub fn conv2d(p: &Conv, input: &[u8], output: &mut [u8]) {
    let (y, x) = (&p.window.y, &p.window.x);
    let mut index = 0;
    for n in 0..p.batch {
        for oy in 0..y.output {
            for ox in 0..x.output {
                for c in 0..p.out_channels {
                    let acc = i64::from(p.bias[c]) + window_sum(p, input, n, [oy, ox], c);
                    let value = p.finish(accumulator(acc), c);
                    p.output.elem.store(output, index, value);
                    index += 1;
                }
            }
        }
    }
}

/// Sum of products of output channel `c` at one output pixel.
fn window_sum(p: &Conv, input: &[u8], n: usize, [oy, ox]: [usize; 2], c: usize) -> i64 {
    let (y, x) = (&p.window.y, &p.window.x);
    let depth = p.group_channels();
    let first = c / (p.out_channels / p.groups) * depth;
    let mut sum = 0;
    for ky in 0..y.kernel {
        for kx in 0..x.kernel {
            let (Some(iy), Some(ix)) = (y.position(oy, ky), x.position(ox, kx)) else { continue };
            let pixel = ((n * y.input + iy) * x.input + ix) * p.in_channels + first;
            let weight = ((c * y.kernel + ky) * x.kernel + kx) * depth;
            for i in 0..depth {
                let a = p.input.elem.load(input, pixel + i) - p.input.zero_point;
                let w = p.weight.elem.load(p.weights, weight + i) - p.weight.zero_point;
                sum += i64::from(a) * i64::from(w);
            }
        }
    }
    sum
}

/// The accumulator type is s32 and the compiler proves that every final sum fits. A file whose proof is wrong
/// (`verify` finds it) must still give one defined result everywhere: the sum modulo 2^32.
pub(super) fn accumulator(sum: i64) -> i32 {
    sum as i32
}
