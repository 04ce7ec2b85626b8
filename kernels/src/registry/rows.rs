//! The rows, a file for each instruction set. To add a kernel, add a row to one; to add an instruction set, add a file and
//! name it here.

use super::{Accepts, Entry, Kernel, KernelOp, Layout, Tile};
use crate::isa::IsaKind;
use crate::ops::gemm;
use crate::params::Conv;
use crate::types::ElemType;

/// `$here` on the architecture `$arch`, else `$elsewhere`. A row is in every build, its code only where it can run: a
/// compiler on one architecture packs weights for another.
macro_rules! on {
    ($arch:tt, $here:expr, $elsewhere:expr) => {{
        #[cfg(target_arch = $arch)]
        {
            $here
        }
        #[cfg(not(target_arch = $arch))]
        {
            $elsewhere
        }
    }};
}

mod avx2;
mod avx512vnni;
mod avxvnni;
mod dotprod;
mod i8mm;
mod neon;
mod portable;
mod reference;

/// All rows, the best kernel of an operation first within its instruction set.
pub(super) static ROWS: &[&[Kernel]] = &[
    reference::ROWS,
    portable::ROWS,
    avx2::ROWS,
    avxvnni::ROWS,
    avx512vnni::ROWS,
    neon::ROWS,
    dotprod::ROWS,
    i8mm::ROWS,
];

/// Entry and scratch of a convolution.
type Code = (Entry, fn(&Conv) -> usize);

const fn depthwise_row(
    name: &'static str,
    isa: IsaKind,
    accepts: fn(&Conv) -> bool,
    (entry, scratch): Code,
) -> Kernel {
    Kernel {
        tile: Tile { mr: 1, nr: 32, kr: 2 },
        layout: Layout::Depthwise32x2,
        scratch,
        ..row(name, KernelOp::Depthwise, isa, Accepts::Conv(accepts), entry)
    }
}

/// A banded kernel.
const fn row(name: &'static str, op: KernelOp, isa: IsaKind, accepts: Accepts, entry: Entry) -> Kernel {
    Kernel { name, op, isa, accepts, entry, banded: true, ..plain(name, op, entry) }
}

/// A kernel that is given all of its output at once.
const fn whole(row: Kernel) -> Kernel {
    Kernel { banded: false, ..row }
}

const fn no_scratch(_: &Conv) -> usize {
    0
}

/// A row of the reference.
const fn plain(name: &'static str, op: KernelOp, entry: Entry) -> Kernel {
    Kernel {
        name,
        op,
        isa: IsaKind::Reference,
        tile: Tile { mr: 1, nr: 1, kr: 1 },
        layout: Layout::Logical,
        accepts: Accepts::All,
        scratch: no_scratch,
        banded: false,
        entry,
    }
}

/// A matrix kernel that takes activations as words.
const fn pair_row(
    name: &'static str,
    isa: IsaKind,
    mr: usize,
    accepts: fn(&Conv) -> bool,
    (entry, scratch): Code,
) -> Kernel {
    Kernel {
        name,
        op: KernelOp::Gemm,
        isa,
        tile: Tile { mr, nr: 16, kr: 2 },
        layout: Layout::Panels16x2,
        accepts: Accepts::Conv(accepts),
        scratch,
        banded: true,
        entry,
    }
}

/// A matrix kernel that takes eight bytes of activations at once.
const fn octet_row(
    name: &'static str,
    isa: IsaKind,
    mr: usize,
    accepts: fn(&Conv) -> bool,
    code: Code,
) -> Kernel {
    Kernel {
        tile: Tile { mr, nr: 16, kr: 8 },
        layout: Layout::Panels16x8,
        ..pair_row(name, isa, mr, accepts, code)
    }
}

/// A matrix kernel that takes activations as bytes.
const fn quad_row(
    name: &'static str,
    isa: IsaKind,
    mr: usize,
    accepts: fn(&Conv) -> bool,
    code: Code,
) -> Kernel {
    Kernel {
        tile: Tile { mr, nr: 16, kr: 4 },
        layout: Layout::Panels16x4,
        ..pair_row(name, isa, mr, accepts, code)
    }
}

fn weights_s8(p: &Conv) -> bool {
    gemm::accepts(p, ElemType::S8)
}

fn weights_s4(p: &Conv) -> bool {
    gemm::accepts(p, ElemType::S4)
}

fn weights_u8(p: &Conv) -> bool {
    gemm::accepts(p, ElemType::U8)
}

fn winograd_s8(p: &Conv) -> bool {
    gemm::winograd::accepts(p, ElemType::S8)
}

fn winograd_u8(p: &Conv) -> bool {
    gemm::winograd::accepts(p, ElemType::U8)
}

fn arm_s8(p: &Conv) -> bool {
    gemm::accepts_arm(p, ElemType::S8)
}

fn arm_s4(p: &Conv) -> bool {
    gemm::accepts_arm(p, ElemType::S4)
}
