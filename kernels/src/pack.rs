//! Packed weights: the layouts that fast kernels read, and back.
//!
//! The logical weights (OHWI rows) are the truth; a packed copy decodes to exactly the same values, and whatever
//! it holds beyond them adds nothing. Nothing here allocates or panics: lengths that do not fit are refused.

use core::ops::Range;

use crate::params::Conv;
use crate::registry::Layout;

pub(crate) mod depthwise;
pub(crate) mod panels;

/// Bytes of the weights of `p` in `layout`, saturating at `usize::MAX`, which stands for invalid parameters too.
/// [`Layout::Logical`] counts the logical bytes.
pub fn packed_len(layout: Layout, p: &Conv) -> usize {
    if !p.has_valid_weights() {
        return usize::MAX;
    }
    match layout {
        Layout::Logical => logical_len(p),
        Layout::Panels16x2 => panels::packed_len(p, panels::PAIRS),
        Layout::Panels16x4 => panels::packed_len(p, panels::QUADS),
        Layout::Panels16x8 => panels::packed_len(p, panels::OCTETS),
        Layout::Depthwise32x2 => depthwise::packed_len(p),
    }
}

/// Packs `p.weights` into `packed`. `false` when one of the two has not the length that `p` says or the layout has
/// no form for the weight type; `packed` is then unspecified.
pub fn pack(layout: Layout, p: &Conv, packed: &mut [u8]) -> bool {
    if !p.has_valid_weights() || p.weights.len() != logical_len(p) || packed.len() != packed_len(layout, p) {
        return false;
    }
    match layout {
        Layout::Logical => {
            packed.copy_from_slice(p.weights);
            true
        }
        Layout::Panels16x2 => panels::pack(p, panels::PAIRS, packed),
        Layout::Panels16x4 => panels::pack(p, panels::QUADS, packed),
        Layout::Panels16x8 => panels::pack(p, panels::OCTETS, packed),
        Layout::Depthwise32x2 => depthwise::pack(p, packed),
    }
}

/// The inverse of [`pack`]: writes the logical weights. `false` when a length does not fit, when padding is not
/// the weights' zero point or when `packed` holds a code that no logical weight has; `logical` is then unspecified.
pub fn unpack(layout: Layout, p: &Conv, packed: &[u8], logical: &mut [u8]) -> bool {
    if !p.has_valid_weights() || logical.len() != logical_len(p) || packed.len() != packed_len(layout, p) {
        return false;
    }
    match layout {
        Layout::Logical => {
            logical.copy_from_slice(packed);
            true
        }
        Layout::Panels16x2 => panels::unpack(p, panels::PAIRS, packed, logical),
        Layout::Panels16x4 => panels::unpack(p, panels::QUADS, packed, logical),
        Layout::Panels16x8 => panels::unpack(p, panels::OCTETS, packed, logical),
        Layout::Depthwise32x2 => depthwise::unpack(p, packed, logical),
    }
}

/// Whether what `packed` holds beyond the weights adds nothing: padding is the weights' zero point, and a channel that
/// lies in two places has the same weights in both. Only those positions are read. `false` when the length does not fit.
pub fn padding_is_neutral(layout: Layout, p: &Conv, packed: &[u8]) -> bool {
    if !p.has_valid_weights() || packed.len() != packed_len(layout, p) {
        return false;
    }
    match layout {
        Layout::Logical => true,
        Layout::Panels16x2 => panels::padding_is_neutral(p, panels::PAIRS, packed),
        Layout::Panels16x4 => panels::padding_is_neutral(p, panels::QUADS, packed),
        Layout::Panels16x8 => panels::padding_is_neutral(p, panels::OCTETS, packed),
        Layout::Depthwise32x2 => depthwise::padding_is_neutral(p, packed),
    }
}

/// Output channels at whose multiples [`columns`] cuts; `None` where it cannot.
pub fn column_unit(layout: Layout, p: &Conv) -> Option<usize> {
    let panels = matches!(layout, Layout::Panels16x2 | Layout::Panels16x4 | Layout::Panels16x8);
    (panels && p.groups == 1).then_some(panels::COLUMNS)
}

/// The convolution that computes only output channels `range` of `p`, and its packed weights, a part of those of `p`. A kernel
/// that computes `p` computes it too, with as much scratch. The range is not empty and starts and ends at multiples of
/// [`column_unit`] or at the end.
///
/// # Panics
/// When `range` or `packed` is none of that.
pub fn columns<'a>(
    layout: Layout,
    p: &Conv<'a>,
    packed: &'a [u8],
    range: Range<usize>,
) -> (Conv<'a>, &'a [u8]) {
    let unit = column_unit(layout, p).expect("a layout of panels, one group");
    let cut = |channel: usize| channel.is_multiple_of(unit) || channel == p.out_channels;
    assert!(!range.is_empty() && cut(range.start) && cut(range.end) && packed.len() == packed_len(layout, p));
    let part = |values: &'a [i32]| if values.is_empty() { values } else { &values[range.clone()] };
    let panel = packed.len() / p.out_channels.div_ceil(unit);
    let packed = &packed[range.start / unit * panel..range.end.div_ceil(unit) * panel];
    let (bias, multipliers, shifts) = (part(p.bias), part(p.multipliers), part(p.shifts));
    (Conv { out_channels: range.len(), bias, multipliers, shifts, weights: &[], ..*p }, packed)
}

/// Bytes of the logical weights, saturating at `usize::MAX`.
fn logical_len(p: &Conv) -> usize {
    let count = p.out_channels.saturating_mul(p.depth());
    p.weight.elem.bytes(count).unwrap_or(usize::MAX)
}
