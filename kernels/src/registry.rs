//! Every kernel with arithmetic, one row each: runtime, tests, benches and `dyadic kernels` read [`kernels`]. (What only moves
//! data is in the runtime.)
//!
//! A kernel is chosen once, at load: [`Choice`] names what may run and its selectors check the CPU. A
//! [`Bound`] value therefore proves that its entry may be called, and its `run` is the single place that calls it.

use core::ops::Range;

use crate::isa::{Cpu, IsaKind};
use crate::params::{
    Add, ArgMax, AveragePool, ChannelTable, Conv, MaxPool, Mean, Requantize, Resize, Softmax, Valid,
};

mod rows;

/// Every row: for this architecture, and those for others, whose entry is [`Entry::Elsewhere`].
pub fn kernels() -> impl Iterator<Item = &'static Kernel> {
    rows::ROWS.iter().copied().flatten()
}

/// The operation a kernel computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KernelOp {
    /// Convolution and fully connected layer.
    Gemm,
    /// Depthwise convolution.
    Depthwise,
    /// Addition and subtraction of equal shapes.
    Add,
    /// 256-entry table.
    Table,
    /// 256-entry table per channel.
    ChannelTable,
    /// Another scale, zero point or type.
    Requantize,
    /// Average pooling.
    AveragePool,
    /// Maximum pooling.
    MaxPool,
    /// Mean over axes.
    Mean,
    /// Softmax.
    Softmax,
    /// Bilinear resize with 10-bit weights.
    Bilinear10,
    /// Bilinear resize on rational coordinates.
    BilinearRational,
    /// Bilinear resize by float32 steps.
    BilinearSingle,
    /// Index of the largest value.
    ArgMax,
}

/// Rows x columns x depth that one micro-kernel call handles; 1x1x1 for element-wise kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Rows: output pixels.
    pub mr: usize,
    /// Columns: output channels, the width of a weight panel.
    pub nr: usize,
    /// Depth step: how many consecutive weights of one column lie together.
    pub kr: usize,
}

/// How a kernel wants its weights. The ids are those of the file format and are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// As stored: OHWI rows.
    Logical,
    /// Panels of 16 columns, depth in pairs: see [`crate::pack`].
    Panels16x2,
    /// Panels of 16 columns, depth in quads, with the sum of every column: see [`crate::pack`].
    Panels16x4,
    /// Panels of 16 columns, depth in octets, with the sum of every column: see [`crate::pack`].
    Panels16x8,
    /// Depthwise: channels in blocks of 32, taps in pairs: see [`crate::pack`].
    Depthwise32x2,
}

/// `(parameters, packed weights, input, output rows, output of those rows, scratch)`.
///
/// `rows` counts output pixels over all pictures. The output slice holds exactly those rows.
pub type ConvFn = unsafe fn(&Conv, &[u8], &[u8], Range<usize>, &mut [u8], &mut [u8]);
/// `(parameters, first input or None when it already lies in the output, second input, output)`.
pub type AddFn = unsafe fn(&Add, Option<&[u8]>, &[u8], &mut [u8]);
/// `(table, input or None when it already lies in the output, output)`.
pub type TableFn = unsafe fn(&[u8; 256], Option<&[u8]>, &mut [u8]);
/// `(tables, input or None when it already lies in the output, output)`; whole pixels.
pub type ChannelTableFn = unsafe fn(&ChannelTable, Option<&[u8]>, &mut [u8]);
/// `(parameters, input, output)`, as many elements as the output has.
pub type RequantizeFn = unsafe fn(&Requantize, &[u8], &mut [u8]);
/// `(parameters, input, output pixels, output of those pixels)`.
pub type AveragePoolFn = unsafe fn(&AveragePool, &[u8], Range<usize>, &mut [u8]);
/// `(parameters, input, output pixels, output of those pixels)`.
pub type MaxPoolFn = unsafe fn(&MaxPool, &[u8], Range<usize>, &mut [u8]);
/// `(parameters, input, output)`.
pub type MeanFn = unsafe fn(&Mean, &[u8], &mut [u8]);
/// `(parameters, input, output)`.
pub type SoftmaxFn = unsafe fn(&Softmax, &[u8], &mut [u8]);
/// `(parameters, input, output rows over all pictures, output of those rows)`; a row is `output[1] * channels`
/// elements.
pub type ResizeFn = unsafe fn(&Resize, &[u8], Range<usize>, &mut [u8]);

/// `(parameters, input, outer positions, output of those positions)`; a position has `inner` s32 indices.
pub type ArgMaxFn = unsafe fn(&ArgMax, &[u8], Range<usize>, &mut [u8]);

/// The entry of a kernel. Calling it is sound on a CPU that has the kernel's ISA, with [valid](Valid) parameters.
#[derive(Clone, Copy, Debug)]
pub enum Entry {
    /// For [`KernelOp::Gemm`] and [`KernelOp::Depthwise`].
    Conv(ConvFn),
    /// For [`KernelOp::Add`].
    Add(AddFn),
    /// For [`KernelOp::Table`].
    Table(TableFn),
    /// For [`KernelOp::ChannelTable`].
    ChannelTable(ChannelTableFn),
    /// For [`KernelOp::Requantize`].
    Requantize(RequantizeFn),
    /// For [`KernelOp::AveragePool`].
    AveragePool(AveragePoolFn),
    /// For [`KernelOp::MaxPool`].
    MaxPool(MaxPoolFn),
    /// For [`KernelOp::Mean`].
    Mean(MeanFn),
    /// For [`KernelOp::Softmax`].
    Softmax(SoftmaxFn),
    /// For the bilinear operations.
    Resize(ResizeFn),
    /// For [`KernelOp::ArgMax`].
    ArgMax(ArgMaxFn),
    /// The code is for another architecture.
    Elsewhere,
}

/// One row of the registry.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    /// `<op>_<act><weight>_<MR>x<NR>k<KR>_<isa>` for matrix kernels, `<op>_<act>_<isa>` for the others; `x8` stands
    /// for u8 and s8, `x16` for those and s16.
    pub name: &'static str,
    /// Operation.
    pub op: KernelOp,
    /// Instruction set.
    pub isa: IsaKind,
    /// Tile.
    pub tile: Tile,
    /// Weight layout.
    pub layout: Layout,
    /// Whether the kernel computes these parameters; the fast kernels take 8-bit activations only, and so on.
    pub accepts: Accepts,
    /// Scratch bytes that one band of rows needs; only convolutions ask for any.
    pub scratch: fn(&Conv) -> usize,
    /// Whether the work may be split into bands of rows. A kernel that is not banded is given all rows at once.
    pub banded: bool,
    /// Entry.
    pub entry: Entry,
}

/// Which parameters a kernel computes.
#[derive(Clone, Copy, Debug)]
pub enum Accepts {
    /// Every [valid](Valid) parameter set.
    All,
    /// A test of the convolution's parameters.
    Conv(fn(&Conv) -> bool),
    /// A test of the addition's parameters.
    Add(fn(&Add) -> bool),
    /// A test of the tables.
    ChannelTable(fn(&ChannelTable) -> bool),
    /// A test of the requantization's parameters.
    Requantize(fn(&Requantize) -> bool),
    /// A test of the mean's parameters.
    Mean(fn(&Mean) -> bool),
    /// A test of the pooling parameters.
    AveragePool(fn(&AveragePool) -> bool),
    /// A test of the softmax parameters.
    Softmax(fn(&Softmax) -> bool),
    /// A test of the resize parameters.
    Resize(fn(&Resize) -> bool),
    /// A test of the pooling parameters.
    MaxPool(fn(&MaxPool) -> bool),
    /// A test of the parameters.
    ArgMax(fn(&ArgMax) -> bool),
    /// A test of the table.
    Table(fn(&[u8; 256]) -> bool),
}

/// A kernel that this CPU runs, with its typed entry.
#[derive(Clone, Copy, Debug)]
pub struct Bound<F> {
    kernel: &'static Kernel,
    entry: F,
}

impl<F> Bound<F> {
    /// The registry row.
    pub fn kernel(&self) -> &'static Kernel {
        self.kernel
    }
}

/// Which kernels may be chosen: those of `isa` and of the instruction sets it includes, if `cpu` has them.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// The wanted instruction set.
    pub isa: IsaKind,
    /// The CPU.
    pub cpu: Cpu,
}

impl Choice {
    /// The kernels of `op` that may run, best first: the strongest ISA first, registry order within an ISA.
    pub fn candidates(self, op: KernelOp) -> impl Iterator<Item = &'static Kernel> {
        IsaKind::ALL.into_iter().rev().flat_map(move |isa| {
            let allowed = self.isa.includes(isa)
                && self.cpu.has(isa)
                && (isa == IsaKind::Reference || self.isa != IsaKind::Reference);
            kernels().filter(move |k| allowed && k.op == op && k.isa == isa)
        })
    }
}

/// Writes the selection and the single call of one entry type.
macro_rules! bind {
    ($select:ident, $all:ident, $variant:ident, $entry:ty, $params:ty, ($($arg:ident: $type:ty),*)) => {
        impl Choice {
            /// The best kernel of `op` for these parameters; `None` when they are not [valid](Valid) or no row accepts
            /// them.
            pub fn $select(self, op: KernelOp, params: &$params) -> Option<Bound<$entry>> {
                self.$all(op, params).next()
            }

            /// Every kernel of `op` that may run and accepts these parameters, best first; none when they are not
            /// [valid](Valid).
            pub fn $all(self, op: KernelOp, params: &$params) -> impl Iterator<Item = Bound<$entry>> {
                let valid = params.is_valid();
                self.candidates(op).filter_map(move |kernel| match (kernel.entry, kernel.accepts) {
                    _ if !valid => None,
                    (Entry::$variant(entry), Accepts::$variant(accepts)) if accepts(params) => {
                        Some(Bound { kernel, entry })
                    }
                    (Entry::$variant(entry), Accepts::All) => Some(Bound { kernel, entry }),
                    _ => None,
                })
            }
        }

        impl Bound<$entry> {
            /// Runs the kernel with the parameters it was chosen for; what they borrow may be another copy. Slices
            /// must have the lengths that the parameters say.
            ///
            /// # Panics
            /// When the parameters are not [valid](Valid) or a slice is too short.
            #[inline]
            #[allow(unsafe_code, reason = "the entry of a kernel")]
            pub fn run(&self, params: &$params, $($arg: $type),*) {
                assert!(params.is_valid(), "invalid parameters");
                // SAFETY: `Bound` is made only by `Choice`, whose `candidates` yields a kernel only when the CPU
                // has its instruction set. The parameters are valid.
                unsafe { (self.entry)(params, $($arg),*) }
            }
        }
    };
}

bind!(conv, convs, Conv, ConvFn, Conv,
      (weights: &[u8], input: &[u8], rows: Range<usize>, output: &mut [u8], scratch: &mut [u8]));
bind!(add, adds, Add, AddFn, Add, (first: Option<&[u8]>, second: &[u8], output: &mut [u8]));
bind!(channel_table, channel_tables, ChannelTable, ChannelTableFn, ChannelTable, (input: Option<&[u8]>, output: &mut [u8]));
bind!(requantize, requantizes, Requantize, RequantizeFn, Requantize, (input: &[u8], output: &mut [u8]));
bind!(average_pool, average_pools, AveragePool, AveragePoolFn, AveragePool,
      (input: &[u8], pixels: Range<usize>, output: &mut [u8]));
bind!(max_pool, max_pools, MaxPool, MaxPoolFn, MaxPool, (input: &[u8], pixels: Range<usize>, output: &mut [u8]));
bind!(mean, means, Mean, MeanFn, Mean, (input: &[u8], output: &mut [u8]));
bind!(softmax, softmaxes, Softmax, SoftmaxFn, Softmax, (input: &[u8], output: &mut [u8]));
bind!(resize, resizes, Resize, ResizeFn, Resize, (input: &[u8], rows: Range<usize>, output: &mut [u8]));
bind!(table, tables, Table, TableFn, [u8; 256], (input: Option<&[u8]>, output: &mut [u8]));
bind!(argmax, argmaxes, ArgMax, ArgMaxFn, ArgMax, (input: &[u8], outer: Range<usize>, output: &mut [u8]));
