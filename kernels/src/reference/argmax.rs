//! Index of the largest value: rule 19.

use crate::types::ElemType;

/// Over `outer x depth x inner` elements: `out[o, i]` is the index along the middle axis of the largest value,
/// the first one among equals, as s32.
pub fn argmax(elem: ElemType, outer: usize, depth: usize, inner: usize, input: &[u8], output: &mut [u8]) {
    for o in 0..outer {
        for i in 0..inner {
            let mut best = 0;
            for d in 1..depth {
                let at = |d: usize| elem.load(input, (o * depth + d) * inner + i);
                if at(d) > at(best) {
                    best = d;
                }
            }
            ElemType::S32.store(output, o * inner + i, best as i32);
        }
    }
}
