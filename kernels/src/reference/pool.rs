//! Average pooling: rules 8 and 9. Maximum pooling: rule 18.

use crate::params::{AveragePool, AverageRule, MaxPool};
use crate::requant::{Dyadic, rescale_once};

/// Averages the taps that fall on the picture.
pub fn average_pool(p: &AveragePool, input: &[u8], output: &mut [u8]) {
    let (y, x) = (&p.window.y, &p.window.x);
    let mut index = 0;
    for n in 0..p.batch {
        for oy in 0..y.output {
            for ox in 0..x.output {
                for c in 0..p.channels {
                    let (mut sum, mut count) = (0i64, 0usize);
                    for ky in 0..y.kernel {
                        for kx in 0..x.kernel {
                            let (Some(iy), Some(ix)) = (y.position(oy, ky), x.position(ox, kx)) else {
                                continue;
                            };
                            let at = ((n * y.input + iy) * x.input + ix) * p.channels + c;
                            sum += i64::from(p.input.elem.load(input, at));
                            count += 1;
                        }
                    }
                    p.output.elem.store(output, index, average(p, sum, count));
                    index += 1;
                }
            }
        }
    }
}

/// The output value for a sum of `count` raw codes; 0 taps give the average zero.
fn average(p: &AveragePool, sum: i64, count: usize) -> i32 {
    if count == 0 {
        return p.output.saturate(0);
    }
    let n = count as i64;
    match p.rule {
        AverageRule::Rescale { multipliers, shifts } => {
            let factor = Dyadic { multiplier: multipliers[count - 1], shift: shifts[count - 1] };
            let centred = sum - n * i64::from(p.input.zero_point);
            p.output.saturate(rescale_once(centred as i32, factor))
        }
        AverageRule::RawHalfAway => {
            // The specification divides; a kernel multiplies by an exact reciprocal.
            let rounded = if sum > 0 { (sum + n / 2) / n } else { (sum - n / 2) / n };
            (rounded as i32).clamp(p.output.lo, p.output.hi)
        }
    }
}

/// Largest raw code of the taps that fall on the picture, clamped.
pub fn max_pool(p: &MaxPool, input: &[u8], output: &mut [u8]) {
    let (y, x) = (&p.window.y, &p.window.x);
    let mut index = 0;
    for n in 0..p.batch {
        for oy in 0..y.output {
            for ox in 0..x.output {
                for c in 0..p.channels {
                    let mut largest = p.elem.min();
                    for ky in 0..y.kernel {
                        for kx in 0..x.kernel {
                            let (Some(iy), Some(ix)) = (y.position(oy, ky), x.position(ox, kx)) else {
                                continue;
                            };
                            let at = ((n * y.input + iy) * x.input + ix) * p.channels + c;
                            largest = largest.max(p.elem.load(input, at));
                        }
                    }
                    p.elem.store(output, index, largest.clamp(p.lo, p.hi));
                    index += 1;
                }
            }
        }
    }
}
