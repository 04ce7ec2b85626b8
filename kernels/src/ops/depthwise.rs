//! Depthwise convolution on weights in layout `Depthwise32x2`: the walk over the picture, and the portable kernel.

use core::ops::Range;

use crate::geometry::Segment;
use crate::pack::depthwise::{BLOCK, PAIR_BYTES, block_len, blocks, first_channel, position};
use crate::params::Conv;
use crate::requant::Rounding;
use crate::types::ElemType;

#[cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64")),
    allow(dead_code, reason = "for kernels of whole vectors")
)]
pub(crate) mod tiles;

/// Whether the portable kernel computes `p`: 8-bit inputs, outputs of whole bytes, any depth multiplier.
pub(crate) fn accepts(p: &Conv) -> bool {
    p.groups == p.in_channels && is_byte(p.input.elem) && p.output.elem.bits() >= 8
}

/// Whether the kernels of whole vectors compute `p`: 8-bit activations, up to [`MAX_TAPS`] taps; with two roundings, accumulators below 2^30.
pub(crate) fn accepts_tiled(p: &Conv) -> bool {
    let taps = p.window.taps();
    let weights = match p.weight.elem {
        ElemType::U8 | ElemType::S8 | ElemType::S4 => true,
        ElemType::U4 | ElemType::S16 | ElemType::S32 => false,
    };
    let room = (1u32 << 30) - 255 * 255 * taps.min(MAX_TAPS) as u32;
    let fits = match p.rounding {
        Rounding::Once => true,
        Rounding::OnceAway => false,
        Rounding::Twice => p.bias.iter().all(|bias| bias.unsigned_abs() < room),
    };
    accepts(p) && is_byte(p.output.elem) && weights && taps <= MAX_TAPS && fits
}

pub(crate) fn is_byte(elem: ElemType) -> bool {
    matches!(elem, ElemType::U8 | ElemType::S8)
}

/// Most taps of a window in a tile.
pub(crate) const MAX_TAPS: usize = 256;

/// Output pixels that share one decoding of the weights.
const PIXELS: usize = 8;

/// Plain Rust; see [`crate::registry::ConvFn`].
pub(crate) fn depthwise_portable(
    p: &Conv,
    packed: &[u8],
    input: &[u8],
    rows: Range<usize>,
    output: &mut [u8],
    _scratch: &mut [u8],
) {
    let length = block_len(p.window.taps());
    let pitch = p.out_channels * p.output.elem.bits() / 8;
    for block in 0..blocks(p.out_channels) {
        let first = first_channel(p.out_channels, block);
        let multiplier = p.out_channels / p.in_channels;
        let block = Block {
            p,
            weights: &packed[block * length..][..length],
            first,
            width: BLOCK.min(p.out_channels),
            sources: core::array::from_fn(|slot| (first + slot) % p.out_channels / multiplier),
            adjacent: multiplier == 1 && p.out_channels >= BLOCK,
        };
        let mut pixel = 0;
        for segment in p.window.segments(rows.clone()) {
            for start in segment.ox.clone().step_by(PIXELS) {
                let columns = start..segment.ox.end.min(start + PIXELS);
                let acc = block.accumulate(input, &segment, columns.clone());
                for acc in &acc[..columns.len()] {
                    block.store(acc, &mut output[pixel * pitch..][..pitch]);
                    pixel += 1;
                }
            }
        }
    }
}

/// One block of channels.
struct Block<'a> {
    p: &'a Conv<'a>,
    weights: &'a [u8],
    /// First output channel.
    first: usize,
    /// Slots that hold different channels.
    width: usize,
    /// Input channel of each slot.
    sources: [usize; BLOCK],
    /// Whether the slots are neighbouring input channels.
    adjacent: bool,
}

impl Block<'_> {
    /// Sums of products of the slots at some columns of `at`.
    fn accumulate(&self, input: &[u8], at: &Segment, columns: Range<usize>) -> [[i32; BLOCK]; PIXELS] {
        let (y, x) = (&self.p.window.y, &self.p.window.x);
        let mut sums = [[0i32; BLOCK]; PIXELS];
        for ky in 0..y.kernel {
            let Some(iy) = y.position(at.oy, ky) else { continue };
            for kx in 0..x.kernel {
                let weights = self.weights(ky * x.kernel + kx);
                for (sums, ox) in sums.iter_mut().zip(columns.clone()) {
                    let Some(ix) = x.position(ox, kx) else { continue };
                    let pixel = ((at.picture * y.input + iy) * x.input + ix) * self.p.in_channels;
                    let values = self.load(&input[pixel..pixel + self.p.in_channels]);
                    for ((sum, value), weight) in sums.iter_mut().zip(values).zip(weights) {
                        *sum = sum.wrapping_add(i32::from(value) * i32::from(weight));
                    }
                }
            }
        }
        sums
    }

    /// The weights of one tap, by slot.
    fn weights(&self, tap: usize) -> [i16; BLOCK] {
        let pair = &self.weights[tap / 2 * PAIR_BYTES..][..PAIR_BYTES];
        core::array::from_fn(|slot| {
            let at = 4 * position(slot) + 2 * (tap % 2);
            i16::from_le_bytes([pair[at], pair[at + 1]])
        })
    }

    /// The values of the slots in one input pixel, less the zero point.
    #[inline]
    fn load(&self, pixel: &[u8]) -> [i16; BLOCK] {
        let mut bytes = [0; BLOCK];
        if self.adjacent {
            bytes.copy_from_slice(&pixel[self.first..self.first + BLOCK]);
        } else {
            for (byte, &source) in bytes.iter_mut().zip(&self.sources[..self.width]) {
                *byte = pixel[source];
            }
        }
        let zero_point = self.p.input.zero_point as i16;
        match self.p.input.elem {
            ElemType::S8 => bytes.map(|byte| i16::from(byte as i8) - zero_point),
            ElemType::U8 | ElemType::U4 | ElemType::S4 | ElemType::S16 | ElemType::S32 => {
                bytes.map(|byte| i16::from(byte) - zero_point)
            }
        }
    }

    /// Ends the sums of one output pixel.
    #[inline]
    fn store(&self, sums: &[i32; BLOCK], pixel: &mut [u8]) {
        for (slot, sum) in sums[..self.width].iter().enumerate() {
            let c = self.first + slot;
            let value = self.p.finish(sum.wrapping_add(self.p.bias[c]), c);
            self.p.output.elem.store(pixel, c, value);
        }
    }
}
