//! [`Layout::Depthwise32x2`](crate::registry::Layout::Depthwise32x2): channels in blocks of 32, taps in pairs,
//! each weight as `w - zw` in 16 bits, little-endian.
//!
//! ```text
//! byte block * 128 * pairs + 128 * pair + 4 * position(slot) + 2 * (tap % 2)      pair = tap / 2
//! ```
//!
//! Sixteen bits because s8, s4 and asymmetric u8 weights then look alike and one `vpmaddwd` takes two taps of
//! eight channels with nothing to widen. `position` is the order in which unpacking the bytes of 32 channels
//! inside 128-bit halves yields the channels.
//!
//! With 32 channels or more the last block holds the *last* 32 channels, overlapping the one before, so no kernel
//! reads or writes past a pixel. With fewer, slot `l` holds channel `l mod C`: a block then spans neighbouring
//! pixels. An odd tap count leaves the second tap of the last pair zero.

use crate::params::Conv;
use crate::types::ElemType;

/// Channels of a block.
pub(crate) const BLOCK: usize = 32;
/// Bytes of one pair of taps of a block.
pub(crate) const PAIR_BYTES: usize = BLOCK * 2 * 2;

/// Blocks that `channels` channels take.
pub(crate) const fn blocks(channels: usize) -> usize {
    channels.div_ceil(BLOCK)
}

/// First channel of block `block`.
pub(crate) const fn first_channel(channels: usize, block: usize) -> usize {
    if channels < BLOCK {
        0
    } else if block * BLOCK > channels - BLOCK {
        channels - BLOCK
    } else {
        block * BLOCK
    }
}

/// Where slot `slot` of a block lies among its 32 values: quads 0-3, 16-19, 4-7, 20-23, ..
pub(crate) const fn position(slot: usize) -> usize {
    slot % 16 / 4 * 8 + slot / 16 * 4 + slot % 4
}

/// Bytes of one block of a window of `taps` taps, saturating.
pub(crate) const fn block_len(taps: usize) -> usize {
    taps.div_ceil(2).saturating_mul(PAIR_BYTES)
}

/// Bytes of all blocks, saturating.
pub(super) const fn packed_len(p: &Conv) -> usize {
    blocks(p.out_channels).saturating_mul(block_len(p.window.taps()))
}

/// Packs `p.weights`; both lengths are right. `false` for a weight type that does not fit 16 bits.
pub(super) fn pack(p: &Conv, packed: &mut [u8]) -> bool {
    let taps = p.window.taps();
    packed.fill(0);
    fits(p)
        && for_each_weight(p, |at, channel, tap, _| {
            let value = p.weight.elem.load(p.weights, channel * taps + tap) - p.weight.zero_point;
            packed[at..at + 2].copy_from_slice(&(value as i16).to_le_bytes());
            true
        })
}

/// The inverse; `false` when a value is none of the weight type, when a repeated channel differs or when padding is
/// not zero. Both lengths are right.
pub(super) fn unpack(p: &Conv, packed: &[u8], logical: &mut [u8]) -> bool {
    // The nibble behind an odd count is zero.
    logical.fill(0);
    let taps = p.window.taps();
    let (elem, zero_point) = (p.weight.elem, p.weight.zero_point);
    let all = fits(p)
        && for_each_weight(p, |at, channel, tap, repeated| {
            let index = channel * taps + tap;
            let value = i32::from(i16::from_le_bytes([packed[at], packed[at + 1]])) + zero_point;
            if repeated {
                return value == elem.load(logical, index);
            }
            let valid = elem.min() <= value && value <= elem.max();
            if valid {
                elem.store(logical, index, value);
            }
            valid
        });
    all && (taps.is_multiple_of(2) || packed.chunks_exact(block_len(taps)).all(last_tap_is_zero))
}

/// Whether the tap behind the last is zero, and channels that lie in two slots have the same weights in both: the last
/// block repeats channels of the one before, or of its own when there are fewer than a block has. The length is right.
pub(super) fn padding_is_neutral(p: &Conv, packed: &[u8]) -> bool {
    let (taps, channels) = (p.window.taps(), p.out_channels);
    let (length, last) = (block_len(taps), blocks(channels) - 1);
    let pair = |block: usize, slot: usize, pair: usize| {
        &packed[block * length + pair * PAIR_BYTES + 4 * position(slot)..][..4]
    };
    let repeats = |slot: usize| match (first_channel(channels, last) + slot) % channels {
        channel if channels < BLOCK && slot >= channels => Some((0, channel)),
        channel if channel < last * BLOCK => Some((channel / BLOCK, channel % BLOCK)),
        _ => None,
    };
    let same = (0..BLOCK).filter_map(|slot| repeats(slot).map(|first| (slot, first)));
    fits(p)
        && same.into_iter().all(|(slot, (block, first))| {
            (0..taps.div_ceil(2)).all(|i| pair(last, slot, i) == pair(block, first, i))
        })
        && (taps.is_multiple_of(2) || packed.chunks_exact(length).all(last_tap_is_zero))
}

/// Whether the second tap of the last pair of a block is zero.
fn last_tap_is_zero(block: &[u8]) -> bool {
    block[block.len() - PAIR_BYTES..].chunks_exact(4).all(|pair| pair[2..] == [0, 0])
}

fn fits(p: &Conv) -> bool {
    match p.weight.elem {
        ElemType::U8 | ElemType::S8 | ElemType::U4 | ElemType::S4 => true,
        ElemType::S16 | ElemType::S32 => false,
    }
}

/// Calls `f(byte, channel, tap, whether an earlier slot holds the channel too)` for every weight in every slot,
/// until one call is `false`.
fn for_each_weight(p: &Conv, mut f: impl FnMut(usize, usize, usize, bool) -> bool) -> bool {
    let taps = p.window.taps();
    for block in 0..blocks(p.out_channels) {
        let first = first_channel(p.out_channels, block);
        for slot in 0..BLOCK {
            let channel = (first + slot) % p.out_channels;
            let repeated = first + slot >= p.out_channels || channel < block * BLOCK;
            for tap in 0..taps {
                let within = tap / 2 * PAIR_BYTES + 4 * position(slot) + 2 * (tap % 2);
                if !f(block * block_len(taps) + within, channel, tap, repeated) {
                    return false;
                }
            }
        }
    }
    true
}
