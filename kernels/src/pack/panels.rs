//! Panels of 16 output channels: [`Layout::Panels16x2`](crate::registry::Layout::Panels16x2) with the depth in pairs,
//! [`Layout::Panels16x4`](crate::registry::Layout::Panels16x4) in quads,
//! [`Layout::Panels16x8`](crate::registry::Layout::Panels16x8) in octets.
//!
//! Depth runs as in an OHWI row: tap by tap, channels innermost; `K` positions. A *step* is the KR consecutive positions
//! that a lane multiplies at once. One panel holds its steps one after the other, each column by column:
//!
//! ```text
//! byte 16*KR*step + KR*column + (k % KR)      column = output channel % 16, step = k / KR
//! ```
//!
//! * s8 stores the weight, u8 stores `weight - 128` as s8.
//! * s4 folds two consecutive steps into one: the even step in the low nibbles, the odd one in the high.
//!
//! `K` is padded to whole steps (s4: to an even number of them) and the last panel of a group to 16 columns, both with the
//! zero point of the weights: whatever activation meets padding adds nothing.
//! A panel of quads or octets ends with the sum of `weight - zero point` of each column, 16 little-endian s32: kernels that
//! multiply bytes whose zero point was not subtracted take `zero point * sum` off the bias.
//! Panels follow each other, group by group.

use core::ops::Range;

use crate::nibble;
use crate::params::Conv;
use crate::types::ElemType;

/// Columns of a panel: NR.
pub(crate) const COLUMNS: usize = 16;
/// Bytes that one pair of depth positions takes in a panel of 8-bit weights.
pub(crate) const PAIR_BYTES: usize = 2 * COLUMNS;
/// Bytes that one quad of depth positions takes in a panel of 8-bit weights.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "for kernels that take bytes"))]
pub(crate) const QUAD_BYTES: usize = 4 * COLUMNS;
/// Bytes that one octet of depth positions takes in a panel of 8-bit weights.
#[cfg_attr(not(target_arch = "aarch64"), allow(dead_code, reason = "Arm kernels read octets"))]
pub(crate) const OCTET_BYTES: usize = 8 * COLUMNS;
/// Bytes of the sums of the columns.
pub(crate) const SUM_BYTES: usize = 4 * COLUMNS;

/// Depth positions in pairs.
pub(crate) const PAIRS: usize = 2;
/// Depth positions in quads.
pub(crate) const QUADS: usize = 4;
/// Depth positions in octets.
pub(crate) const OCTETS: usize = 8;

/// Steps of `kr` depth positions in a panel of 8-bit weights; s4 panels count an even number.
pub(crate) fn steps(p: &Conv, kr: usize) -> usize {
    match p.weight.elem {
        ElemType::S4 => p.depth().div_ceil(2 * kr) * 2,
        ElemType::S8 | ElemType::U8 | ElemType::U4 | ElemType::S16 | ElemType::S32 => p.depth().div_ceil(kr),
    }
}

/// Bytes of the weights of one panel, saturating.
pub(crate) fn weight_len(p: &Conv, kr: usize) -> usize {
    let bytes = steps(p, kr).saturating_mul(kr * COLUMNS);
    if p.weight.elem == ElemType::S4 { bytes / 2 } else { bytes }
}

/// Bytes of one panel, saturating.
pub(crate) fn panel_len(p: &Conv, kr: usize) -> usize {
    weight_len(p, kr).saturating_add(if kr == PAIRS { 0 } else { SUM_BYTES })
}

/// Panels of one group.
pub(crate) fn panels_per_group(p: &Conv) -> usize {
    (p.out_channels / p.groups).div_ceil(COLUMNS)
}

/// Bytes of all panels, saturating.
pub(super) fn packed_len(p: &Conv, kr: usize) -> usize {
    panel_len(p, kr).saturating_mul(panels_per_group(p)).saturating_mul(p.groups)
}

/// Packs `p.weights`; both lengths are right. `false` for a weight type without panels.
pub(super) fn pack(p: &Conv, kr: usize, packed: &mut [u8]) -> bool {
    let stored = for_each_slot(p, kr, |panel, at, source| {
        let panel = &mut packed[panel];
        let weight = source.map_or(p.weight.zero_point, |index| p.weight.elem.load(p.weights, index));
        match p.weight.elem {
            ElemType::S8 => panel[at] = weight as u8,
            ElemType::U8 => panel[at] = (weight - 128) as u8,
            ElemType::S4 => nibble::store(panel, at, weight),
            ElemType::U4 | ElemType::S16 | ElemType::S32 => return false,
        }
        true
    });
    if stored && kr != PAIRS {
        let length = weight_len(p, kr);
        for panel in packed.chunks_exact_mut(panel_len(p, kr).max(1)) {
            let (weights, sums) = panel.split_at_mut(length);
            for (column, sum) in sums.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                *sum = column_sum(p, kr, weights, column).to_le_bytes();
            }
        }
    }
    stored
}

/// The inverse; `false` when padding is not the zero point or a sum is not that of its column. Both lengths are right.
pub(super) fn unpack(p: &Conv, kr: usize, packed: &[u8], logical: &mut [u8]) -> bool {
    logical.fill(0);
    for_each_slot(p, kr, |panel, at, target| {
        let Some(weight) = load(p, &packed[panel], at) else { return false };
        match target {
            Some(index) => p.weight.elem.store(logical, index, weight),
            None => return weight == p.weight.zero_point,
        }
        true
    }) && packed.chunks_exact(panel_len(p, kr).max(1)).all(|panel| {
        let (weights, sums) = panel.split_at(weight_len(p, kr));
        let mut sums = sums.as_chunks::<4>().0.iter().enumerate();
        sums.all(|(column, sum)| i32::from_le_bytes(*sum) == column_sum(p, kr, weights, column))
    })
}

/// The sum of the weights of a column, less their zero point, modulo 2^32 as the accumulators.
fn column_sum(p: &Conv, kr: usize, weights: &[u8], column: usize) -> i32 {
    let weight = |k| load(p, weights, element(p, kr, k, column)).unwrap_or(0) - p.weight.zero_point;
    (0..kr * steps(p, kr)).fold(0i32, |sum, k| sum.wrapping_add(weight(k)))
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
/// is right. The sums are not looked at: wrong ones make wrong outputs, as wrong weights do.
pub(super) fn padding_is_neutral(p: &Conv, kr: usize, packed: &[u8]) -> bool {
    let (columns, depth) = (p.out_channels / p.groups, p.depth());
    let zero_point = p.weight.zero_point;
    // Two nibbles share a byte; both are padding behind the last channel.
    let byte = match p.weight.elem {
        ElemType::S4 => (zero_point & 15 | (zero_point & 15) << 4) as u8,
        ElemType::U8 => (zero_point - 128) as u8,
        ElemType::S8 | ElemType::U4 | ElemType::S16 | ElemType::S32 => zero_point as u8,
    };
    packed.chunks_exact(panel_len(p, kr).max(1)).enumerate().all(|(number, panel)| {
        let used = COLUMNS.min(columns - number % panels_per_group(p) * COLUMNS);
        let weights = &panel[..weight_len(p, kr)];
        let neutral = |k, column| load(p, weights, element(p, kr, k, column)) == Some(zero_point);
        let mut steps = weights.chunks_exact(kr * COLUMNS);
        (depth..kr * self::steps(p, kr)).all(|k| (0..COLUMNS).all(|column| neutral(k, column)))
            && (used == COLUMNS || steps.all(|step| step[kr * used..].iter().all(|&b| b == byte)))
    })
}

/// Calls `f(panel bytes, element of the panel, logical weight or None in padding)` for every element of every
/// panel, until one call is `false`. The element counts nibbles when the weights are s4.
fn for_each_slot(p: &Conv, kr: usize, mut f: impl FnMut(Range<usize>, usize, Option<usize>) -> bool) -> bool {
    let (columns, depth) = (p.out_channels / p.groups, p.depth());
    let (bytes, pitch) = (weight_len(p, kr), panel_len(p, kr));
    for group in 0..p.groups {
        for panel in 0..panels_per_group(p) {
            let first = (group * panels_per_group(p) + panel) * pitch;
            for k in 0..kr * steps(p, kr) {
                for column in 0..COLUMNS {
                    let channel = panel * COLUMNS + column;
                    let inside = channel < columns && k < depth;
                    let source = inside.then(|| (group * columns + channel) * depth + k);
                    if !f(first..first + bytes, element(p, kr, k, column), source) {
                        return false;
                    }
                }
            }
        }
    }
    true
}

/// Where weight `k` of `column` lies in its panel, in elements.
fn element(p: &Conv, kr: usize, k: usize, column: usize) -> usize {
    let (step, within) = (k / kr, kr * column + k % kr);
    match p.weight.elem {
        ElemType::S4 => 2 * (step / 2 * kr * COLUMNS + within) + step % 2,
        ElemType::S8 | ElemType::U8 | ElemType::U4 | ElemType::S16 | ElemType::S32 => {
            step * kr * COLUMNS + within
        }
    }
}
