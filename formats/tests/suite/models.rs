//! Two small models made by code.

use dyadic_format::operator::{
    AddParams, ArgMaxParams, ChannelTableParams, ConcatParams, ConvParams, GatherParams, MeanParams,
    MulParams, NO_TABLE, NoParams, PadParams, PoolParams, ResizeParams, ScaleProduct, SoftmaxParams,
    StridedCopyParams, TableFunction, TableParams,
};
use dyadic_format::records::{
    ChannelOrder, GoldenRecord, IntervalRecord, ProvenanceRecord, RecipeRecord, ScaleRecord,
};
use dyadic_format::{Contents, ElemCode, Params, Rule, Storage, TensorRecord};

/// Fills contents in the order that the format demands.
#[derive(Default)]
pub struct Builder {
    pub contents: Contents,
}

impl Builder {
    /// A tensor without a place; the range is that of the type.
    fn record(&mut self, name: &str, elem: ElemCode, shape: &[u32], zero_point: i32) -> TensorRecord {
        let mut dims = [1; 8];
        dims[..shape.len()].copy_from_slice(shape);
        let elements: u64 = shape.iter().map(|&e| u64::from(e)).product();
        let (lo, hi) = elem.range();
        let scale_first = self.contents.scales.len() as u32;
        let scale_count = u32::from(elem != ElemCode::S32);
        for _ in 0..scale_count {
            self.contents.scales.push(ScaleRecord { mantissa: 1, exponent: -7, reserved: 0 });
        }
        TensorRecord {
            name: self.contents.text(name),
            elem: elem as u8,
            storage: Storage::Arena as u8,
            rank: shape.len() as u8,
            reserved: 0,
            zero_point,
            dims,
            offset: 0,
            bytes: (elements * elem.bits()).div_ceil(8),
            scale_first,
            scale_count,
            lo,
            hi,
            codes: [0; 2],
            reserved2: [0; 2],
        }
    }

    fn push(&mut self, tensor: TensorRecord) -> u32 {
        self.contents.tensors.push(tensor);
        self.contents.tensors.len() as u32 - 1
    }

    /// A tensor behind everything that lies in the arena.
    pub fn tensor(&mut self, name: &str, elem: ElemCode, shape: &[u32]) -> u32 {
        let offset = self.contents.arena_bytes;
        self.tensor_at(name, elem, shape, offset)
    }

    /// A tensor at a place in the arena.
    pub fn tensor_at(&mut self, name: &str, elem: ElemCode, shape: &[u32], offset: u64) -> u32 {
        let tensor = TensorRecord { offset, ..self.record(name, elem, shape, 0) };
        let end = (offset + tensor.bytes).next_multiple_of(64);
        self.contents.arena_bytes = self.contents.arena_bytes.max(end);
        self.push(tensor)
    }

    pub fn constant(
        &mut self,
        name: &str,
        elem: ElemCode,
        shape: &[u32],
        zero_point: i32,
        bytes: &[u8],
    ) -> u32 {
        let offset = self.contents.weights(bytes);
        let storage = Storage::Constant as u8;
        let tensor = TensorRecord { offset, storage, ..self.record(name, elem, shape, zero_point) };
        assert_eq!(tensor.bytes, bytes.len() as u64);
        self.push(tensor)
    }

    /// An operator; `tables` follow the operands of a concatenation.
    pub fn operator(
        &mut self,
        name: &str,
        rule: Rule,
        params: Params,
        inputs: &[u32],
        output: u32,
        tables: &[u32],
    ) {
        self.contents.operator(name, rule, params, inputs, output, tables);
    }

    /// Intervals of the operator that was added last.
    pub fn intervals(&mut self, intervals: &[(i64, i64)]) {
        let records = intervals.iter().map(|&(lo, hi)| IntervalRecord { lo, hi });
        self.contents.intervals.extend(records);
        if let Some(last) = self.contents.operators.last_mut() {
            last.intervals_count = intervals.len() as u32;
        }
    }

    /// Bias, multipliers and shifts of a convolution; returns where they begin.
    fn convolution_constants(&mut self, bias: &[i32]) -> u32 {
        let first = self.contents.constants.len() as u32;
        self.contents.constants.extend(bias);
        self.contents.constants.extend(bias.iter().map(|_| 1 << 30));
        self.contents.constants.extend(bias.iter().map(|_| 37));
        first
    }
}

fn conv(constants_first: u32, pad: u32, groups: u32) -> ConvParams {
    ConvParams {
        stride: [1, 1],
        dilation: [1, 1],
        pad: [pad, pad],
        groups,
        constants_first,
        lo: -128,
        hi: 127,
        product: ScaleProduct::Double as u32,
    }
}

fn pool(kernel: u32, stride: u32, constants_first: u32) -> PoolParams {
    PoolParams { kernel: [kernel; 2], stride: [stride; 2], pad: [0; 2], constants_first, lo: -128, hi: 127 }
}

/// One fully connected layer of two inputs and one output: the example of `FORMAT.md`.
pub fn tiny() -> Contents {
    let mut b = Builder::default();
    let input = b.tensor("in", ElemCode::S8, &[1, 2]);
    let weights = b.constant("w", ElemCode::S8, &[1, 2], 0, &[5, 0xfd]);
    let output = b.tensor("out", ElemCode::S8, &[1, 1]);
    (b.contents.tensors[weights as usize].lo, b.contents.tensors[weights as usize].hi) = (-3, 5);
    (b.contents.tensors[output as usize].lo, b.contents.tensors[output as usize].hi) = (-8, 8);
    let first = b.convolution_constants(&[3]);
    let params = Params::FullyConnected(conv(first, 0, 1));
    b.operator("fc", Rule::RequantOnce, params, &[input, weights], output, &[]);
    // 3 + 5*127 + 3*128 and 0 - 5*128 - 3*127.
    b.intervals(&[(-1021, 1022)]);
    b.contents.inputs.push(input);
    b.contents.outputs.push(output);
    b.contents
}

/// Every operator, every section but the signature, weights packed twice and packed only, tensors in place.
pub fn mixed() -> Contents {
    let mut b = Builder::default();
    let image = b.tensor("image", ElemCode::U8, &[1, 4, 4, 1]);
    b.contents.inputs.push(image);
    let sum = convolutions(&mut b, image);
    let stack = spatial(&mut b, sum);
    let copied = flat(&mut b, stack);
    head(&mut b, copied);
    metadata(&mut b);
    b.contents
}

fn convolutions(b: &mut Builder, image: u32) -> u32 {
    let weights = b.constant("cw", ElemCode::S4, &[2, 3, 3, 1], 0, &[0x87; 9]);
    let a = b.tensor("a", ElemCode::S8, &[1, 4, 4, 2]);
    let first = b.convolution_constants(&[100, -100]);
    b.operator("conv", Rule::RequantTwice, Params::Conv2d(conv(first, 1, 1)), &[image, weights], a, &[]);
    b.intervals(&[(-20000, 20000), (-30000, 30000)]);
    b.contents.packed(0, 1, &[1; 70]);
    b.contents.packed(0, 7, &[7; 3]);
    let weights = b.constant("dw", ElemCode::S8, &[2, 3, 3, 1], 0, &[0x80; 18]);
    let d = b.tensor("d", ElemCode::S8, &[1, 4, 4, 2]);
    let first = b.convolution_constants(&[0, 1]);
    let params = Params::DepthwiseConv2d(conv(first, 1, 2));
    b.operator("dw", Rule::RequantOnce, params, &[a, weights], d, &[]);
    b.contents.packed(1, 2, &[2; 64]);
    // In place of its input.
    let r = b.tensor_at("r", ElemCode::S8, &[1, 4, 4, 2], b.contents.tensors[d as usize].offset);
    b.contents.tables.push([1; 256]);
    let function = TableFunction::LeakyRelu as u32;
    let params =
        TableParams { table: 0, function, lo: -128, hi: 127, argument: [-3, -4], second_argument: [7, 127] };
    b.operator("leaky", Rule::Table, Params::Table(params), &[d], r, &[]);
    let s = b.tensor_at("s", ElemCode::S8, &[1, 4, 4, 2], b.contents.tensors[a as usize].offset);
    let params = AddParams { multipliers: [1 << 23, 1 << 22, 0], shifts: [24, 0, 0], lo: -128, hi: 127 };
    b.operator("add", Rule::AddJoint, Params::Add(params), &[a, r], s, &[]);
    s
}

fn spatial(b: &mut Builder, sum: u32) -> u32 {
    let m = b.tensor("m", ElemCode::S8, &[1, 2, 2, 2]);
    b.operator("max", Rule::Max, Params::MaxPool2d(pool(2, 2, 0)), &[sum], m, &[]);
    let v = b.tensor("v", ElemCode::S8, &[1, 3, 3, 2]);
    let first = b.contents.constants.len() as u32;
    b.contents.constants.extend([1 << 30, 1 << 30, 0x5555_5555, 1 << 30, 30, 31, 32, 32]);
    b.operator("avg", Rule::AverageOnce, Params::AveragePool2d(pool(2, 1, first)), &[sum], v, &[]);
    let start = b.contents.arena_bytes;
    let n = b.tensor("n", ElemCode::S8, &[1, 4, 4, 2]);
    let stack = b.tensor_at("stack", ElemCode::S8, &[1, 8, 4, 2], start);
    let l = b.tensor("l", ElemCode::S8, &[1, 4, 4, 2]);
    let resize = |coordinates| ResizeParams { coordinates };
    b.operator("near", Rule::Nearest, Params::ResizeNearest(resize(1)), &[m], n, &[]);
    b.operator("lin", Rule::Bilinear10, Params::ResizeBilinear(resize(3)), &[m], l, &[]);
    let params = Params::Concat(ConcatParams { axis: 1 });
    // The first branch lies in place, the second is rescaled into it.
    b.operator("concat", Rule::Move, params, &[n, l], stack, &[NO_TABLE, 0]);
    b.contents.outputs.push(v);
    stack
}

fn flat(b: &mut Builder, stack: u32) -> u32 {
    let mean = b.tensor("mean", ElemCode::S8, &[1, 2]);
    let params = MeanParams { axes: 0b110, multiplier: 1 << 30, shift: 36, lo: -128, hi: 127 };
    b.operator("mean", Rule::MeanOnce, Params::Mean(params), &[stack], mean, &[]);
    let product = b.tensor("product", ElemCode::S8, &[1, 2]);
    let params = MulParams { multiplier: 1 << 30, shift: 62, lo: 0, hi: 127 };
    b.operator("mul", Rule::MulTwice, Params::Mul(params), &[mean, mean], product, &[]);
    let offset = b.contents.tensors[product as usize].offset;
    let difference = b.tensor_at("difference", ElemCode::S8, &[1, 2], offset);
    let params = AddParams { multipliers: [1 << 30, 0, 0], shifts: [16, 62, 0], lo: -128, hi: 127 };
    b.operator("sub", Rule::AddSeparate, Params::Sub(params), &[product, mean], difference, &[]);
    let padded = b.tensor("padded", ElemCode::S8, &[1, 4]);
    let params = PadParams { before: [0, 1, 0, 0, 0, 0, 0, 0], value: -5 };
    b.operator("pad", Rule::Move, Params::Pad(params), &[difference], padded, &[]);
    let offset = b.contents.tensors[padded as usize].offset;
    let square = b.tensor_at("square", ElemCode::S8, &[2, 2], offset);
    b.operator("reshape", Rule::Move, Params::Reshape(NoParams {}), &[padded], square, &[]);
    let copied = b.tensor("copied", ElemCode::S8, &[2, 2]);
    let params = StridedCopyParams { start: 2, strides: [1, -2, 0, 0, 0, 0, 0, 0] };
    b.operator("copy", Rule::Move, Params::StridedCopy(params), &[square], copied, &[]);
    let tiled = b.tensor("tiled", ElemCode::S8, &[2, 4]);
    // A reshape in place leaves its input readable under both numbers.
    b.operator("tile", Rule::Move, Params::Tile(NoParams {}), &[padded], tiled, &[]);
    let wide = b.tensor("wide", ElemCode::S16, &[2, 4]);
    let params = MulParams { multiplier: 0x7fff_ffff, shift: 16, lo: -32768, hi: 32767 };
    b.operator("wide", Rule::RequantOnceAway, Params::Requantize(params), &[tiled], wide, &[]);
    b.contents.outputs.push(wide);
    copied
}

fn head(b: &mut Builder, copied: u32) {
    let weights = b.constant("fw", ElemCode::U8, &[3, 2], 7, &[1, 2, 3, 4, 5, 255]);
    let logits = b.tensor("logits", ElemCode::S8, &[2, 3]);
    let first = b.convolution_constants(&[i32::MIN, 0, i32::MAX]);
    let params = Params::FullyConnected(conv(first, 0, 1));
    b.operator("fc", Rule::RequantOnceAway, params, &[copied, weights], logits, &[]);
    b.intervals(&[(i32::MIN.into(), 0), (-5, 5), (0, i32::MAX.into())]);
    let likely = b.tensor("likely", ElemCode::S8, &[2, 3]);
    let params = SoftmaxParams { multiplier: 1 << 30, left_shift: 23, diff_min: -248, beta: [1, 0] };
    b.operator("softmax", Rule::Softmax, Params::Softmax(params), &[logits], likely, &[]);
    let best = b.tensor("best", ElemCode::S32, &[2]);
    b.operator("best", Rule::ArgMax, Params::ArgMax(ArgMaxParams { axis: 1 }), &[likely], best, &[]);
    let picked = b.tensor("picked", ElemCode::S8, &[2, 1]);
    let constants_first = b.contents.constants.len() as u32;
    b.contents.constants.push(2);
    let params = GatherParams { axis: 1, constants_first };
    b.operator("pick", Rule::Move, Params::Gather(params), &[likely], picked, &[]);
    // In place, through the table of another.
    let slopes = b.tensor_at("slopes", ElemCode::S8, &[2, 1], b.contents.tensors[picked as usize].offset);
    let params =
        ChannelTableParams { tables_first: 0, constants_first: constants_first + 1, lo: -128, hi: 127 };
    b.contents.constants.extend([-5, -149]);
    b.operator("prelu", Rule::Table, Params::ChannelTable(params), &[picked], slopes, &[]);
    b.contents.tensors[slopes as usize].codes = [-8, 7];
    b.contents.outputs.extend([likely, best]);
}

fn metadata(b: &mut Builder) {
    let c = &mut b.contents;
    c.leave_out_packed_weights();
    // The fully connected layer keeps its logical weights beside the packed ones.
    c.packed(17, 1, &[0x11; 6]);
    c.tables.push([3; 256]);
    c.recipe.push(RecipeRecord { input: 0, order: ChannelOrder::Gray as u32, tables_first: 1, channels: 1 });
    c.labels = vec![c.text("stop"), c.text("give way · Vorfahrt gewähren"), c.text("")];
    let (tool, options, description) =
        (c.text("dyadic 0.1.0"), c.text("rounding=dyadic"), c.text("made by code"));
    c.provenance =
        Some(ProvenanceRecord { source_digest: [9; 32], source_bytes: 77, tool, options, description });
    for output in 0..2 {
        c.golden.push(GoldenRecord { seed: 1, output, reserved: 0, digest: [output as u8; 32] });
    }
}
