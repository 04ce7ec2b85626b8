//! What the networks compute, in plain 64-bit integers, written from `kernels/ARITHMETIC.md` and the definitions of ONNX
//! alone.

use crate::author::Code;

/// Row-major whole numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array {
    pub shape: Vec<usize>,
    pub data: Vec<i64>,
}

impl Array {
    pub fn new(shape: &[usize], data: Vec<i64>) -> Array {
        assert_eq!(shape.iter().product::<usize>(), data.len());
        Array { shape: shape.to_vec(), data }
    }

    /// Each element by its index.
    pub fn make(shape: &[usize], mut element: impl FnMut(&[usize]) -> i64) -> Array {
        let count = shape.iter().product();
        let mut data = Vec::with_capacity(count);
        for mut flat in 0..count {
            let mut index = vec![0; shape.len()];
            for axis in (0..shape.len()).rev() {
                index[axis] = flat % shape[axis];
                flat /= shape[axis];
            }
            data.push(element(&index));
        }
        Array { shape: shape.to_vec(), data }
    }

    pub fn at(&self, index: &[usize]) -> i64 {
        assert_eq!(index.len(), self.shape.len());
        let flat = index.iter().zip(&self.shape).fold(0, |flat, (&i, &extent)| {
            assert!(i < extent);
            flat * extent + i
        });
        self.data[flat]
    }

    pub fn map(&self, value: impl Fn(i64) -> i64) -> Array {
        Array { shape: self.shape.clone(), data: self.data.iter().map(|&v| value(v)).collect() }
    }

    pub fn reshaped(&self, shape: &[usize]) -> Array {
        Array::new(shape, self.data.clone())
    }

    /// Axis `i` of the result is axis `order[i]`.
    pub fn transposed(&self, order: &[usize]) -> Array {
        let shape: Vec<usize> = order.iter().map(|&a| self.shape[a]).collect();
        Array::make(&shape, |index| {
            let mut own = vec![0; index.len()];
            order.iter().zip(index).for_each(|(&a, &i)| own[a] = i);
            self.at(&own)
        })
    }
}

/// Seeded values between `lo` and `hi`, both included.
pub fn values(seed: u64, shape: &[usize], (lo, hi): (i64, i64)) -> Array {
    let mut state = seed;
    Array::make(shape, |_| lo + (next(&mut state) % (hi - lo + 1) as u64) as i64)
}

/// SplitMix64.
pub fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The `bits`-bit number and the shift that stand for a factor: the number is at least half of what the bits hold.
fn dyadic(real: f64, bits: i32) -> (i64, i32) {
    let mut shift = 0;
    let scaled = |shift: i32| real * 2f64.powi(shift);
    while scaled(shift) < 2f64.powi(bits - 1) {
        shift += 1;
    }
    while scaled(shift) >= 2f64.powi(bits) {
        shift -= 1;
    }
    let multiplier = (scaled(shift) + 0.5).floor() as i64;
    if multiplier == 1 << bits { (multiplier / 2, shift - 1) } else { (multiplier, shift) }
}

/// Rule 1: `floor((acc * m + 2^(s-1)) / 2^s)`.
pub fn rescale(acc: i64, real: f64) -> i64 {
    let (m, s) = dyadic(real, 31);
    (acc * m + (1 << (s - 1))) >> s
}

/// Rule 3: both factors over the shift of the larger, one rounding.
pub fn joint(a: i64, b: i64, first: f64, second: f64) -> i64 {
    let (_, s) = dyadic(first.max(second), 24);
    let scaled = |real: f64| (real * 2f64.powi(s) + 0.5).floor() as i64;
    (a * scaled(first) + b * scaled(second) + (1 << (s - 1))) >> s
}

impl Code {
    /// `zero + value`, within the codes.
    pub fn place(self, value: i64) -> i64 {
        let (lo, hi) = self.range();
        (self.zero + value).clamp(lo, hi)
    }

    /// Another quantization of the codes `x`.
    pub fn of(self, x: &Array, from: Code) -> Array {
        x.map(|v| self.place(rescale(v - from.zero, from.scale() / self.scale())))
    }

    /// Accumulators with one factor per element of `axis`.
    pub fn settle(self, acc: &Array, axis: usize, factor: impl Fn(usize) -> f64) -> Array {
        Array::make(&acc.shape, |index| self.place(rescale(acc.at(index), factor(index[axis]))))
    }

    /// The sum of two tensors of equal shape.
    pub fn sum(self, (a, ca): (&Array, Code), (b, cb): (&Array, Code)) -> Array {
        let (first, second) = (ca.scale() / self.scale(), cb.scale() / self.scale());
        Array::make(&a.shape, |i| self.place(joint(a.at(i) - ca.zero, b.at(i) - cb.zero, first, second)))
    }
}

/// Of a convolution or pooling.
#[derive(Clone, Copy, Debug)]
pub struct Geometry {
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    /// Above, left, below, right.
    pub pads: [usize; 4],
    pub groups: usize,
}

pub const PLAIN: Geometry = Geometry { stride: [1; 2], dilation: [1; 2], pads: [0; 4], groups: 1 };

impl Geometry {
    pub fn output(&self, input: &[usize], kernel: &[usize]) -> [usize; 2] {
        [0, 1].map(|a| {
            let reach = (kernel[a] - 1) * self.dilation[a] + 1;
            (input[a] + self.pads[a] + self.pads[a + 2] - reach) / self.stride[a] + 1
        })
    }

    /// Where tap `k` of output `o` falls, `None` beyond the picture.
    pub fn tap(&self, axis: usize, o: usize, k: usize, extent: usize) -> Option<usize> {
        let place = (o * self.stride[axis] + k * self.dilation[axis]).checked_sub(self.pads[axis])?;
        (place < extent).then_some(place)
    }
}

/// Accumulators of `x` (NCHW, zero point `zero`) with weights `[out, in / groups, height, width]`.
pub fn conv(x: &Array, zero: i64, w: &Array, bias: &[i64], g: &Geometry) -> Array {
    let [oh, ow] = g.output(&x.shape[2..], &w.shape[2..]);
    let (out, own) = (w.shape[0], w.shape[1]);
    Array::make(&[x.shape[0], out, oh, ow], |o| {
        let mut sum = bias.get(o[1]).copied().unwrap_or(0);
        let first = o[1] / (out / g.groups) * own;
        for c in 0..own {
            for ky in 0..w.shape[2] {
                for kx in 0..w.shape[3] {
                    let place = (g.tap(0, o[2], ky, x.shape[2]), g.tap(1, o[3], kx, x.shape[3]));
                    if let (Some(iy), Some(ix)) = place {
                        sum += (x.at(&[o[0], first + c, iy, ix]) - zero) * w.at(&[o[1], c, ky, kx]);
                    }
                }
            }
        }
        sum
    })
}

/// Accumulators of rows `x` with weights `[in, out]`.
pub fn product(x: &Array, zero: i64, w: &Array, bias: &[i64]) -> Array {
    Array::make(&[x.shape[0], w.shape[1]], |o| {
        let dot: i64 = (0..w.shape[0]).map(|k| (x.at(&[o[0], k]) - zero) * w.at(&[k, o[1]])).sum();
        dot + bias.get(o[1]).copied().unwrap_or(0)
    })
}
