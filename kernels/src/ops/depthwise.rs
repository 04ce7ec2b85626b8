//! Depthwise convolution on weights in layout `Depthwise32x2`: the walk over the picture, and the portable kernel.

use core::ops::Range;

use crate::geometry::Segment;
use crate::pack::depthwise::{BLOCK, PAIR_BYTES, block_len, blocks, first_channel, position};
use crate::params::Conv;
use crate::requant::rescale;
use crate::types::ElemType;

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;

/// Whether the kernels here compute `p`: 8-bit activations, any depth multiplier.
pub fn accepts(p: &Conv) -> bool {
    let byte = |elem| matches!(elem, ElemType::U8 | ElemType::S8);
    p.groups == p.in_channels && byte(p.input.elem) && byte(p.output.elem)
}

/// Plain Rust; see [`crate::registry::ConvFn`].
pub fn depthwise_portable(
    p: &Conv,
    packed: &[u8],
    input: &[u8],
    rows: Range<usize>,
    output: &mut [u8],
    _scratch: &mut [u8],
) {
    let taps = p.window.taps();
    for block in 0..blocks(p.out_channels) {
        let first = first_channel(p.out_channels, block);
        let weights = &packed[block * block_len(taps)..][..block_len(taps)];
        let mut pixel = 0;
        for segment in p.window.segments(rows.clone()) {
            for ox in segment.ox.clone() {
                let acc = accumulate(p, input, weights, first, &segment, ox);
                store(p, &acc, first, &mut output[pixel * p.out_channels..]);
                pixel += 1;
            }
        }
    }
}

/// Sums of products of the 32 slots of a block, in slot order.
#[inline]
fn accumulate(p: &Conv, input: &[u8], weights: &[u8], first: usize, at: &Segment, ox: usize) -> [i32; BLOCK] {
    let (y, x) = (&p.window.y, &p.window.x);
    let mut acc = [0i32; BLOCK];
    for ky in 0..y.kernel {
        let Some(iy) = y.position(at.oy, ky) else { continue };
        for kx in 0..x.kernel {
            let Some(ix) = x.position(ox, kx) else { continue };
            let pixel = ((at.picture * y.input + iy) * x.input + ix) * p.in_channels;
            let values = load(p, &input[pixel..pixel + p.in_channels], first);
            let tap = ky * x.kernel + kx;
            let pair: &[u8; PAIR_BYTES] =
                weights[tap / 2 * PAIR_BYTES..].first_chunk().expect("packed weights hold every pair");
            for (slot, (acc, value)) in acc.iter_mut().zip(values).enumerate() {
                let byte = 4 * position(slot) + 2 * (tap % 2);
                let w = i16::from_le_bytes([pair[byte], pair[byte + 1]]);
                *acc = acc.wrapping_add(i32::from(value) * i32::from(w));
            }
        }
    }
    acc
}

/// The input values of the slots of a block, less the zero point, from one pixel.
#[inline]
fn load(p: &Conv, pixel: &[u8], first: usize) -> [i16; BLOCK] {
    let signed = p.input.elem == ElemType::S8;
    let value = |byte: u8| {
        let raw = if signed { i16::from(byte as i8) } else { i16::from(byte) };
        raw - p.input.zero_point as i16
    };
    let mut values = [0; BLOCK];
    if p.in_channels == p.out_channels && p.in_channels >= BLOCK {
        let bytes: &[u8; BLOCK] = pixel[first..].first_chunk().expect("a block lies inside the pixel");
        for (v, &byte) in values.iter_mut().zip(bytes) {
            *v = value(byte);
        }
    } else {
        let multiplier = p.out_channels / p.in_channels;
        for (s, v) in values.iter_mut().enumerate() {
            *v = value(pixel[(first + s) % p.out_channels / multiplier]);
        }
    }
    values
}

/// Requantizes the slots of a block and writes the channels `first..` of one output pixel.
#[inline]
fn store(p: &Conv, acc: &[i32; BLOCK], first: usize, pixel: &mut [u8]) {
    for (s, out) in pixel[first..p.out_channels].iter_mut().take(BLOCK).enumerate() {
        let acc = acc[s].wrapping_add(p.bias[first + s]);
        *out = p.output.saturate(rescale(acc, p.dyadic(first + s), p.rounding)) as u8;
    }
}
