//! Packed weights: the layouts that fast kernels read, and back.
//!
//! The logical weights (OHWI rows) are the truth; a packed copy decodes to exactly the same values, and whatever
//! it holds beyond them adds nothing. Nothing here allocates or panics: lengths that do not fit are refused.

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
        Layout::Panels16x2 => panels::packed_len(p),
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
        Layout::Panels16x2 => panels::pack(p, packed),
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
        Layout::Panels16x2 => panels::unpack(p, packed, logical),
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
        Layout::Panels16x2 => panels::padding_is_neutral(p, packed),
        Layout::Depthwise32x2 => depthwise::padding_is_neutral(p, packed),
    }
}

/// Bytes of the logical weights, saturating at `usize::MAX`.
fn logical_len(p: &Conv) -> usize {
    let count = p.out_channels.saturating_mul(p.depth());
    p.weight.elem.bytes(count).unwrap_or(usize::MAX)
}
