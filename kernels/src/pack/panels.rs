//! [`Layout::Panels16x2`](crate::registry::Layout::Panels16x2): panels of 16 output channels, depth in pairs.
//!
//! Depth runs as in an OHWI row: tap by tap, channels innermost; `K` positions. One panel holds the pairs
//! `(0, 1), (2, 3), ..` of its 16 columns, column by column:
//!
//! ```text
//! byte 32*pair + 2*column + (k % 2)      column = output channel % 16, pair = k / 2
//! ```
//!
//! * s8 stores the weight, u8 stores `weight - 128` as s8.
//! * s4 folds two consecutive 32-byte pairs into one: the even pair in the low nibbles, the odd one in the high.
//!
//! `K` is padded to even (s4: to a multiple of 4) and the last panel of a group to 16 columns, both with the zero
//! point of the weights: whatever activation meets padding adds nothing.
//! Panels follow each other, group by group.

use core::ops::Range;

use crate::nibble;
use crate::params::Conv;
use crate::types::ElemType;

/// Columns of a panel: NR.
pub(crate) const COLUMNS: usize = 16;
/// Bytes that one pair of depth positions takes in a panel of 8-bit weights.
pub(crate) const PAIR_BYTES: usize = 2 * COLUMNS;

/// Pairs of depth positions in a panel of 8-bit weights; s4 panels hold an even number.
pub(crate) fn pairs(p: &Conv) -> usize {
    match p.weight.elem {
        ElemType::S4 => p.depth().div_ceil(4) * 2,
        ElemType::S8 | ElemType::U8 | ElemType::U4 | ElemType::S16 | ElemType::S32 => p.depth().div_ceil(2),
    }
}

/// Bytes of one panel, saturating.
pub(crate) fn panel_len(p: &Conv) -> usize {
    let bytes = pairs(p).saturating_mul(PAIR_BYTES);
    if p.weight.elem == ElemType::S4 { bytes / 2 } else { bytes }
}

/// Panels of one group.
pub(crate) fn panels_per_group(p: &Conv) -> usize {
    (p.out_channels / p.groups).div_ceil(COLUMNS)
}

/// Bytes of all panels, saturating.
pub(super) fn packed_len(p: &Conv) -> usize {
    panel_len(p).saturating_mul(panels_per_group(p)).saturating_mul(p.groups)
}

/// Packs `p.weights`; both lengths are right. `false` for a weight type without panels.
pub(super) fn pack(p: &Conv, packed: &mut [u8]) -> bool {
    for_each_slot(p, |panel, at, source| {
        let panel = &mut packed[panel];
        let weight = source.map_or(p.weight.zero_point, |index| p.weight.elem.load(p.weights, index));
        match p.weight.elem {
            ElemType::S8 => panel[at] = weight as u8,
            ElemType::U8 => panel[at] = (weight - 128) as u8,
            ElemType::S4 => nibble::store(panel, at, weight),
            ElemType::U4 | ElemType::S16 | ElemType::S32 => return false,
        }
        true
    })
}

/// The inverse; `false` when padding is not the zero point. Both lengths are right.
pub(super) fn unpack(p: &Conv, packed: &[u8], logical: &mut [u8]) -> bool {
    logical.fill(0);
    for_each_slot(p, |panel, at, target| {
        let Some(weight) = load(p, &packed[panel], at) else { return false };
        match target {
            Some(index) => p.weight.elem.store(logical, index, weight),
            None => return weight == p.weight.zero_point,
        }
        true
    })
}

/// Element `at` of a panel; `None` for a weight type without panels.
fn load(p: &Conv, panel: &[u8], at: usize) -> Option<i32> {
    match p.weight.elem {
        ElemType::S8 => Some(i32::from(panel[at] as i8)),
        ElemType::U8 => Some(i32::from(panel[at] as i8) + 128),
        ElemType::S4 => Some(nibble::signed(panel, at)),
        ElemType::U4 | ElemType::S16 | ElemType::S32 => None,
    }
}

/// Whether the depth behind the last position and the columns behind the last channel are the zero point. The length
/// is right.
pub(super) fn padding_is_neutral(p: &Conv, packed: &[u8]) -> bool {
    let (columns, depth) = (p.out_channels / p.groups, p.depth());
    let zero_point = p.weight.zero_point;
    // Two nibbles share a byte; both are padding behind the last channel.
    let byte = match p.weight.elem {
        ElemType::S4 => (zero_point & 15 | (zero_point & 15) << 4) as u8,
        ElemType::U8 => (zero_point - 128) as u8,
        ElemType::S8 | ElemType::U4 | ElemType::S16 | ElemType::S32 => zero_point as u8,
    };
    packed.chunks_exact(panel_len(p).max(1)).enumerate().all(|(number, panel)| {
        let used = COLUMNS.min(columns - number % panels_per_group(p) * COLUMNS);
        let neutral = |k, column| load(p, panel, element(p, k, column)) == Some(zero_point);
        (depth..2 * pairs(p)).all(|k| (0..COLUMNS).all(|column| neutral(k, column)))
            && (used == COLUMNS
                || panel.chunks_exact(PAIR_BYTES).all(|pair| pair[2 * used..].iter().all(|&b| b == byte)))
    })
}

/// Calls `f(panel bytes, element of the panel, logical weight or None in padding)` for every element of every
/// panel, until one call is `false`. The element counts nibbles when the weights are s4.
fn for_each_slot(p: &Conv, mut f: impl FnMut(Range<usize>, usize, Option<usize>) -> bool) -> bool {
    let (columns, depth, bytes) = (p.out_channels / p.groups, p.depth(), panel_len(p));
    for group in 0..p.groups {
        for panel in 0..panels_per_group(p) {
            let first = (group * panels_per_group(p) + panel) * bytes;
            for k in 0..2 * pairs(p) {
                for column in 0..COLUMNS {
                    let channel = panel * COLUMNS + column;
                    let inside = channel < columns && k < depth;
                    let source = inside.then(|| (group * columns + channel) * depth + k);
                    if !f(first..first + bytes, element(p, k, column), source) {
                        return false;
                    }
                }
            }
        }
    }
    true
}

/// Where weight `k` of `column` lies in its panel, in elements.
fn element(p: &Conv, k: usize, column: usize) -> usize {
    let within = 2 * column + k % 2;
    match p.weight.elem {
        ElemType::S4 => 2 * (k / 4 * PAIR_BYTES + within) + k / 2 % 2,
        ElemType::S8 | ElemType::U8 | ElemType::U4 | ElemType::S16 | ElemType::S32 => {
            k / 2 * PAIR_BYTES + within
        }
    }
}
