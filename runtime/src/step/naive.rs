//! Data movement by the reference, element by element: what a session forced to the reference runs, so that the fast
//! walks are compared with something.

use dyadic_kernels::ElemType;
use dyadic_kernels::params::{Dims, MAX_RANK, Resize};
use dyadic_kernels::reference;

/// One movement with the parameters of its reference.
#[derive(Clone, Debug)]
pub(crate) enum Naive {
    Pad { elem: ElemType, shape: Dims, before: [usize; MAX_RANK], value: i32, out: Dims },
    Tile { elem: ElemType, shape: Dims, out: Dims },
    StridedCopy { elem: ElemType, start: usize, strides: [isize; MAX_RANK], out: Dims },
    Nearest(Resize),
    NearestSingle(Resize),
}

impl Naive {
    /// The name that a profile shows.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Naive::Pad { .. } => "pad_reference",
            Naive::Tile { .. } => "tile_reference",
            Naive::StridedCopy { .. } => "strided_copy_reference",
            Naive::Nearest(_) => "nearest_reference",
            Naive::NearestSingle(_) => "nearest_single_reference",
        }
    }

    pub(super) fn run(&self, input: &[u8], output: &mut [u8]) {
        match self {
            Naive::Pad { elem, shape, before, value, out } => {
                reference::pad(*elem, shape, input, before, *value, out, output);
            }
            Naive::Tile { elem, shape, out } => reference::tile(*elem, shape, input, out, output),
            Naive::StridedCopy { elem, start, strides, out } => {
                reference::copy_strided(*elem, input, *start, strides, out, output);
            }
            Naive::Nearest(params) => reference::nearest(params, input, output),
            Naive::NearestSingle(params) => reference::nearest_single(params, input, output),
        }
    }
}
