//! One operation on one shape, bound to a kernel with buffers of its own.

use dyadic_kernels::ElemType;
use dyadic_kernels::geometry::Window;
use dyadic_kernels::pack::{pack, packed_len};
use dyadic_kernels::params::{
    Add, ArgMax, AveragePool, AverageRule, ChannelTable, Conv, MaxPool, Mean, Output, Quant, Requantize,
    Resize, Softmax,
};
use dyadic_kernels::registry::{Choice, Kernel, KernelOp};
use dyadic_kernels::requant::Rounding;

/// A line of the list.
#[derive(Debug)]
pub struct Work {
    /// Network and role.
    pub layer: &'static str,
    /// Extents: rows x columns x depth of a matrix product, height x width x channels of the larger side otherwise.
    pub shape: String,
    /// Element types.
    pub types: &'static str,
    /// Multiply-accumulates; 0 for what is not counted in them.
    pub macs: u64,
    /// What is computed.
    pub task: Task,
}

/// Types of a convolution.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// As printed.
    pub name: &'static str,
    /// Activations.
    pub input: ElemType,
    /// Weights.
    pub weight: ElemType,
    /// Smallest and largest code of the input.
    pub codes: (i32, i32),
}

/// A convolution without its data.
#[derive(Clone, Copy, Debug)]
pub struct Convolution {
    /// Geometry.
    pub window: Window,
    /// Input channels.
    pub input: usize,
    /// Output channels.
    pub output: usize,
    /// 1, or as many as channels.
    pub groups: usize,
    /// Types.
    pub form: Form,
}

/// An operation with its parameters; counts are elements.
#[derive(Debug)]
pub enum Task {
    Conv(Convolution),
    Add(Add, usize),
    Table(usize),
    ChannelTable { pixels: usize, channels: usize },
    Requantize(Requantize, usize),
    AveragePool { window: Window, channels: usize },
    MaxPool(MaxPool),
    Mean(Mean),
    Softmax(Softmax),
    Resize(KernelOp, Resize),
    ArgMax(ArgMax),
}

/// A kernel with everything that a call of it takes.
pub struct Bench<'a> {
    /// Of inputs, packed weights and output.
    pub bytes: usize,
    pub call: Box<dyn FnMut() + 'a>,
}

impl<'a> Bench<'a> {
    fn new(bytes: usize, call: impl FnMut() + 'a) -> Option<Bench<'a>> {
        Some(Bench { bytes, call: Box::new(call) })
    }
}

/// Whether both are the same row of the registry.
fn is(kernel: &Kernel, wanted: &Kernel) -> bool {
    kernel.name == wanted.name
}

/// Bytes of `count` elements, all different in a period longer than a cache line. `codes`: within these.
fn codes(elem: ElemType, count: usize, (lo, hi): (i32, i32)) -> Vec<u8> {
    let mut bytes = vec![0; elem.bytes(count).unwrap_or(0)];
    let range = hi.abs_diff(lo) + 1;
    let mut state = 1u32;
    for i in 0..count {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        elem.store(&mut bytes, i, lo + ((state >> 16) % range) as i32);
    }
    bytes
}

fn any(elem: ElemType, count: usize) -> Vec<u8> {
    // Accumulators of 24 bits.
    let limit = |value: i32| value.clamp(-(1 << 23), (1 << 23) - 1);
    codes(elem, count, (limit(elem.min()), limit(elem.max())))
}

fn zeros(elem: ElemType, count: usize) -> Vec<u8> {
    vec![0; elem.bytes(count).unwrap_or(0)]
}

impl Task {
    /// `wanted`, ready to be called; `None` where it does not do this.
    pub fn bind(&self, choice: Choice, wanted: &Kernel) -> Option<Bench<'_>> {
        match self {
            Task::Conv(conv) => conv.bind(choice, wanted),
            Task::Add(p, count) => {
                let kernel = choice.adds(KernelOp::Add, p).find(|bound| is(bound.kernel(), wanted))?;
                let (a, b) = (any(p.first.elem, *count), any(p.second.elem, *count));
                let mut out = zeros(p.output.elem, *count);
                let bytes = a.len() + b.len() + out.len();
                Bench::new(bytes, move || kernel.run(p, Some(&a), &b, &mut out))
            }
            Task::Table(count) => {
                let table: [u8; 256] = std::array::from_fn(|i| 255 - i as u8);
                let kernel =
                    choice.tables(KernelOp::Table, &table).find(|bound| is(bound.kernel(), wanted))?;
                let (x, mut out) = (any(ElemType::U8, *count), vec![0; *count]);
                Bench::new(2 * count, move || kernel.run(&table, Some(&x), &mut out))
            }
            Task::ChannelTable { pixels, channels } => {
                let tables = vec![[7; 256]; *channels];
                let kernel = choice
                    .channel_tables(KernelOp::ChannelTable, &ChannelTable { tables: &tables })
                    .find(|bound| is(bound.kernel(), wanted))?;
                let count = pixels * channels;
                let (x, mut out) = (any(ElemType::U8, count), vec![0; count]);
                Bench::new(2 * count + 256 * channels, move || {
                    kernel.run(&ChannelTable { tables: &tables }, Some(&x), &mut out);
                })
            }
            Task::Requantize(p, count) => {
                let kernel =
                    choice.requantizes(KernelOp::Requantize, p).find(|bound| is(bound.kernel(), wanted))?;
                let (x, mut out) = (any(p.from.elem, *count), zeros(p.to.elem, *count));
                Bench::new(x.len() + out.len(), move || kernel.run(p, &x, &mut out))
            }
            _ => self.bind_window(choice, wanted),
        }
    }

    /// The same for what reads several elements for one.
    fn bind_window(&self, choice: Choice, wanted: &Kernel) -> Option<Bench<'_>> {
        match self {
            Task::AveragePool { window, channels } => bind_average(*window, *channels, choice, wanted),
            Task::MaxPool(p) => {
                let kernel =
                    choice.max_pools(KernelOp::MaxPool, p).find(|bound| is(bound.kernel(), wanted))?;
                let pixels = p.window.output_pixels();
                let x = any(p.elem, p.window.input_pixels() * p.channels);
                let mut out = zeros(p.elem, pixels * p.channels);
                Bench::new(x.len() + out.len(), move || {
                    kernel.run(p, &x, 0..pixels, &mut out);
                })
            }
            Task::Mean(p) => {
                let kernel = choice.means(KernelOp::Mean, p).find(|bound| is(bound.kernel(), wanted))?;
                let kept = p.shape.as_slice().iter().zip(p.axes).filter(|(_, reduced)| !reduced);
                let x = any(p.input.elem, p.shape.count());
                let mut out = zeros(p.output.elem, kept.map(|(&extent, _)| extent).product());
                Bench::new(x.len() + out.len(), move || kernel.run(p, &x, &mut out))
            }
            Task::Softmax(p) => {
                let kernel =
                    choice.softmaxes(KernelOp::Softmax, p).find(|bound| is(bound.kernel(), wanted))?;
                let (x, mut out) = (any(p.elem, p.depth), vec![0; p.depth]);
                Bench::new(2 * p.depth, move || kernel.run(p, &x, &mut out))
            }
            Task::Resize(op, p) => {
                let kernel = choice.resizes(*op, p).find(|bound| is(bound.kernel(), wanted))?;
                let x = any(p.elem, p.input[0] * p.input[1] * p.channels);
                let mut out = zeros(p.elem, p.output[0] * p.output[1] * p.channels);
                Bench::new(x.len() + out.len(), move || {
                    kernel.run(p, &x, 0..p.output[0], &mut out);
                })
            }
            Task::ArgMax(p) => {
                let kernel = choice.argmaxes(KernelOp::ArgMax, p).find(|bound| is(bound.kernel(), wanted))?;
                let x = any(p.elem, p.outer * p.depth);
                let mut out = zeros(ElemType::S32, p.outer);
                Bench::new(x.len() + out.len(), move || {
                    kernel.run(p, &x, 0..p.outer, &mut out);
                })
            }
            _ => None,
        }
    }
}

fn bind_average(window: Window, channels: usize, choice: Choice, wanted: &Kernel) -> Option<Bench<'static>> {
    let elem = ElemType::S8;
    let p = AveragePool {
        batch: 1,
        window,
        channels,
        input: Quant { elem, zero_point: 0 },
        rule: AverageRule::RawHalfAway,
        output: Output { elem, zero_point: 0, lo: elem.min(), hi: elem.max() },
    };
    let kernel = choice.average_pools(KernelOp::AveragePool, &p).find(|bound| is(bound.kernel(), wanted))?;
    let pixels = window.output_pixels();
    let (x, mut out) = (any(elem, window.input_pixels() * channels), vec![0; pixels * channels]);
    Bench::new(x.len() + out.len(), move || kernel.run(&p, &x, 0..pixels, &mut out))
}

/// What the parameters of a convolution borrow.
struct Constants {
    weights: Vec<u8>,
    bias: Vec<i32>,
    multipliers: Vec<i32>,
    shifts: Vec<i32>,
}

impl Convolution {
    fn params<'a>(&self, constants: &'a Constants) -> Conv<'a> {
        let Form { input, weight, codes, .. } = self.form;
        // In the middle of the codes, as after a layer without an activation.
        let zero_point = (codes.0 + codes.1 + 1) / 2;
        Conv {
            batch: 1,
            window: self.window,
            in_channels: self.input,
            out_channels: self.output,
            groups: self.groups,
            input: Quant { elem: input, zero_point },
            input_codes: codes,
            weight: Quant { elem: weight, zero_point: if weight == ElemType::U8 { 128 } else { 0 } },
            weights: &constants.weights,
            bias: &constants.bias,
            multipliers: &constants.multipliers,
            shifts: &constants.shifts,
            rounding: Rounding::Once,
            output: Output { elem: input, zero_point, lo: input.min(), hi: input.max() },
        }
    }

    fn bind(&self, choice: Choice, wanted: &Kernel) -> Option<Bench<'_>> {
        let depth = self.window.taps() * self.input / self.groups;
        let constants = Constants {
            weights: any(self.form.weight, self.output * depth),
            bias: vec![100; self.output],
            multipliers: vec![1_500_000_000; self.output],
            shifts: vec![40; self.output],
        };
        let p = self.params(&constants);
        let op = if self.groups > 1 { KernelOp::Depthwise } else { KernelOp::Gemm };
        let bound = choice.convs(op, &p).find(|bound| is(bound.kernel(), wanted))?;
        let kernel = bound.kernel();
        let mut packed = vec![0; packed_len(kernel.layout, &p)];
        if !pack(kernel.layout, &p, &mut packed) {
            return None;
        }
        let rows = p.rows();
        let input = codes(p.input.elem, self.window.input_pixels() * self.input, self.form.codes);
        let (mut output, mut scratch) = (vec![0; rows * self.output], vec![0; (kernel.scratch)(&p)]);
        Bench::new(input.len() + packed.len() + output.len(), move || {
            bound.run(&self.params(&constants), &packed, &input, 0..rows, &mut output, &mut scratch);
        })
    }
}
