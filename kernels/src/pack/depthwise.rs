//! Depthwise weights, layout `Depthwise32x2`: channels in blocks of 32, taps in pairs, 16-bit little-endian.
//!
//! `[block][pair][quad 0..4][lane 0..8][tap of the pair]`, each value `w - zw`, so that s8, s4 and asymmetric u8
//! weights look alike and one `vpmaddwd` takes two taps of eight channels. Within a block, lane `i` of quad `q`
//! is channel `4q + i` for `i < 4` and `16 + 4q + i - 4` otherwise: the order in which unpacking the bytes of 32
//! channels inside 128-bit halves yields them.
//!
//! With 32 channels or more the last block holds the *last* 32 channels, overlapping the one before, so no kernel
//! ever reads or writes past a pixel. With fewer, channel `l mod C` fills slot `l`: a block then spans several
//! neighbouring pixels. An odd tap count leaves the last tap of the last pair zero.
//!
//! Packed bytes are right exactly when packing what [`unpack`] returns gives them back.

use crate::params::Conv;

/// Channels of a block.
pub const BLOCK: usize = 32;
/// Bytes of one pair of taps of a block.
pub const PAIR_BYTES: usize = BLOCK * 2 * 2;

/// Blocks that `channels` channels take.
pub const fn blocks(channels: usize) -> usize {
    channels.div_ceil(BLOCK)
}

/// First channel of block `block`.
pub const fn first_channel(channels: usize, block: usize) -> usize {
    if channels < BLOCK {
        0
    } else if block * BLOCK > channels - BLOCK {
        channels - BLOCK
    } else {
        block * BLOCK
    }
}

/// Channel slot, 0 to 31, of lane `lane` of quad `quad`.
pub const fn slot(quad: usize, lane: usize) -> usize {
    lane / 4 * 16 + quad * 4 + lane % 4
}

/// Bytes of one block of a window of `taps` taps.
pub const fn block_bytes(taps: usize) -> usize {
    taps.div_ceil(2) * PAIR_BYTES
}

/// Bytes that the packed weights of `p` take.
pub const fn packed_len(p: &Conv) -> usize {
    blocks(p.out_channels) * block_bytes(p.window.taps())
}

/// Byte offset of the value of tap `tap` in slot (`quad`, `lane`) of block `block`.
const fn offset(taps: usize, block: usize, tap: usize, quad: usize, lane: usize) -> usize {
    block * block_bytes(taps) + tap / 2 * PAIR_BYTES + ((quad * 8 + lane) * 2 + tap % 2) * 2
}

/// Packs the logical weights of `p` into `packed`, which is [`packed_len`] bytes long.
pub fn pack(p: &Conv, packed: &mut [u8]) {
    let taps = p.window.taps();
    for_each_slot(p, |block, quad, lane, channel| {
        for tap in 0..taps.next_multiple_of(2) {
            let value = if tap < taps {
                p.weight.elem.load(p.weights, channel * taps + tap) - p.weight.zero_point
            } else {
                0
            };
            let at = offset(taps, block, tap, quad, lane);
            packed[at..at + 2].copy_from_slice(&(value as i16).to_le_bytes());
        }
    });
}

/// The logical weights, in the type of `p.weight`, of weights packed for `p`; `p.weights` is not read. Values that
/// the type cannot hold, which [`pack`] never writes, are clamped.
pub fn unpack(p: &Conv, packed: &[u8], weights: &mut [u8]) {
    let taps = p.window.taps();
    for_each_slot(p, |block, quad, lane, channel| {
        for tap in 0..taps {
            let at = offset(taps, block, tap, quad, lane);
            let value = i32::from(i16::from_le_bytes([packed[at], packed[at + 1]])) + p.weight.zero_point;
            let value = value.clamp(p.weight.elem.min(), p.weight.elem.max());
            p.weight.elem.store(weights, channel * taps + tap, value);
        }
    });
}

/// Calls `f(block, quad, lane, channel)` for every lane.
fn for_each_slot(p: &Conv, mut f: impl FnMut(usize, usize, usize, usize)) {
    for block in 0..blocks(p.out_channels) {
        let first = first_channel(p.out_channels, block);
        for quad in 0..4 {
            for lane in 0..8 {
                f(block, quad, lane, (first + slot(quad, lane)) % p.out_channels);
            }
        }
    }
}
