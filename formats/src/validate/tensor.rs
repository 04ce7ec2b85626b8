//! Tensor records, their scales and their constants.

use crate::place::{Checked, Place, at};
use crate::records::ScaleRecord;
use crate::section::SectionKind;
use crate::tensor::{ElemCode, MAX_RANK, Storage, TensorRecord};
use crate::view::ModelView;

use super::{Starts, row};

/// Largest tensor, in elements.
const MAX_ELEMENTS: u64 = (1 << 31) - 1;

pub(super) fn in_arena(storage: u8) -> bool {
    storage == Storage::Arena as u8
}

pub(super) fn tensors(view: &ModelView, starts: &Starts) -> Checked {
    let mut scales = row("scales", view.scales);
    let mut weights = row("constant", view.weights);
    let payload = (starts.section(SectionKind::Weights), view.weights);
    for (i, t) in view.tensors.iter().enumerate() {
        let p = starts.record(SectionKind::Tensors, i);
        p.text("tensor name", t.name, starts.strings)?;
        let (elem, elements) = shape(p, t)?;
        match storage(p, t, elem, elements)? {
            Storage::Arena => {
                let size = elem.bits().div_ceil(8);
                let q = at!(p, TensorRecord, offset);
                q.field(
                    t.offset.is_multiple_of(size),
                    "arena offset",
                    t.offset,
                    "a multiple of the element size",
                )?;
                q.range("arena offset", t.offset, t.bytes, view.header.arena_bytes)?;
            }
            Storage::Constant => {
                weights.take_aligned(at!(p, TensorRecord, offset), t.offset, t.bytes, payload)?;
                last_nibble(elem, elements, t.offset + t.bytes, payload)?;
            }
            Storage::PackedOnly => {
                at!(p, TensorRecord, offset).field(t.offset == 0, "constant offset", t.offset, "0")?;
            }
        }
        values(p, t, elem)?;
        let q = at!(p, TensorRecord, scale_count);
        let count_ok = t.scale_count <= 1 || t.shape().first() == Some(&t.scale_count);
        q.field(count_ok, "scale count", t.scale_count, "0, 1 or the extent of axis 0")?;
        scales.take(at!(p, TensorRecord, scale_first), t.scale_first.into(), t.scale_count.into())?;
    }
    weights.finish(payload.0, 1)?;
    scales.finish(starts.section(SectionKind::Scales), size_of::<ScaleRecord>())
}

/// Element type and number of elements.
fn shape(p: Place, t: &TensorRecord) -> Result<(ElemCode, u64), crate::FormatError> {
    let elem = ElemCode::from_number(t.elem);
    at!(p, TensorRecord, elem).field(elem.is_some(), "element type", t.elem, "1 to 6")?;
    at!(p, TensorRecord, rank).field(usize::from(t.rank) <= MAX_RANK, "rank", t.rank, "at most 8")?;
    at!(p, TensorRecord, reserved).field(t.reserved == 0, "reserved", t.reserved, "0")?;
    let mut elements = 1u64;
    for (axis, &extent) in t.dims.iter().enumerate() {
        let q = at!(p, TensorRecord, dims).at(4 * axis);
        if axis >= t.shape().len() {
            q.field(extent == 1, "unused extent", extent, "1")?;
            continue;
        }
        q.field(extent >= 1, "extent", extent, "at least 1")?;
        // Both factors are below 2^32, so this product is exact.
        elements *= u64::from(extent);
        q.field(elements <= MAX_ELEMENTS, "element count", elements, "below 2^31")?;
    }
    // The number was refused above when it is unknown.
    Ok((elem.unwrap_or(ElemCode::U8), elements))
}

/// The high half of the last byte of an odd number of 4-bit elements is zero. `end` lies inside the payload.
fn last_nibble(elem: ElemCode, elements: u64, end: u64, (payload, bytes): (Place, &[u8])) -> Checked {
    if elem.bits() != 4 || elements.is_multiple_of(2) {
        return Ok(());
    }
    let last = end as usize - 1;
    payload.at(last).field(bytes[last] < 16, "padding nibble", bytes[last] >> 4, "0")
}

fn storage(p: Place, t: &TensorRecord, elem: ElemCode, elements: u64) -> Result<Storage, crate::FormatError> {
    let storage = Storage::from_number(t.storage);
    at!(p, TensorRecord, storage).field(storage.is_some(), "storage", t.storage, "1 to 3")?;
    // At most 2^31 elements of 32 bits.
    let bytes = (elements * elem.bits()).div_ceil(8);
    at!(p, TensorRecord, bytes).field(
        t.bytes == bytes,
        "tensor size",
        t.bytes,
        "shape times element size",
    )?;
    Ok(storage.unwrap_or(Storage::Arena))
}

/// Zero point and proven range.
fn values(p: Place, t: &TensorRecord, elem: ElemCode) -> Checked {
    let (min, max) = elem.range();
    let inside = min <= t.zero_point && t.zero_point <= max && (elem != ElemCode::S32 || t.zero_point == 0);
    let expected = "a value of the element type (0 for s32)";
    at!(p, TensorRecord, zero_point).field(inside, "zero point", t.zero_point, expected)?;
    let lo_ok = min <= t.lo && t.lo <= max;
    at!(p, TensorRecord, lo).field(lo_ok, "value range", t.lo, "a value of the element type")?;
    let hi_ok = t.lo <= t.hi && t.hi <= max;
    at!(p, TensorRecord, hi).field(
        hi_ok,
        "value range",
        t.hi,
        "a value of the element type, not below the least",
    )?;
    let q = at!(p, TensorRecord, codes);
    let [first, last] = t.codes;
    let expected = "values of the element type in their order, or zeros";
    q.field(min <= first && first <= max, "codes", first, expected)?;
    q.at(4).field(first <= last && last <= max, "codes", last, expected)?;
    let set = t.reserved2.iter().find(|&&word| word != 0).copied().unwrap_or(0);
    at!(p, TensorRecord, reserved2).field(set == 0, "reserved", set, "0")
}
