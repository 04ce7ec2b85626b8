//! What the kernels are timed on: a fixed list of layers of real networks, at 224x224 and batch 1 unless stated.

use dyadic_kernels::ElemType;
use dyadic_kernels::geometry::{Axis, Window};
use dyadic_kernels::params::{
    Add, AddRule, ArgMax, Coordinates, Dims, MAX_RANK, MaxPool, Mean, Output, Quant, Requantize, Resize,
    Softmax,
};
use dyadic_kernels::registry::KernelOp;
use dyadic_kernels::requant::{Dyadic, Rounding};

use super::work::{Convolution, Form, Task, Work};

/// `(layer, height and width of the input, input channels, output channels, kernel, stride)`.
type Layer = (&'static str, usize, usize, usize, usize, usize);

/// Matrix products: rows x columns x depth are output pixels, output channels, products per output.
const DENSE: &[Layer] = &[
    ("resnet50 stem 7x7", 224, 3, 64, 7, 2),               // 12544x64x147
    ("resnet50 3x3", 56, 64, 64, 3, 1),                    // 3136x64x576
    ("resnet50 3x3", 28, 128, 128, 3, 1),                  // 784x128x1152
    ("resnet50 3x3", 14, 256, 256, 3, 1),                  // 196x256x2304
    ("resnet50 3x3", 7, 512, 512, 3, 1),                   // 49x512x4608
    ("resnet50 1x1", 56, 64, 256, 1, 1),                   // 3136x256x64
    ("resnet50 1x1", 28, 512, 128, 1, 1),                  // 784x128x512
    ("resnet50 1x1", 14, 256, 1024, 1, 1),                 // 196x1024x256
    ("resnet50 1x1", 7, 2048, 512, 1, 1),                  // 49x512x2048
    ("mobilenet_v2 stem 3x3", 224, 3, 32, 3, 2),           // 12544x32x27
    ("mobilenet_v2 expand", 56, 24, 144, 1, 1),            // 3136x144x24
    ("mobilenet_v2 expand", 14, 64, 384, 1, 1),            // 196x384x64
    ("mobilenet_v2 project", 28, 192, 32, 1, 1),           // 784x32x192
    ("mobilenet_v2 project", 14, 576, 96, 1, 1),           // 196x96x576
    ("mobilenet_v2 project", 7, 960, 160, 1, 1),           // 49x160x960
    ("mobilenet_v2 last 1x1", 7, 320, 1280, 1, 1),         // 49x1280x320
    ("mobilenet_v2 fully connected", 1, 1280, 1000, 1, 1), // 1x1000x1280
    ("resnet50 fully connected", 1, 2048, 1000, 1, 1),     // 1x1000x2048
];

/// Depthwise: 3x3 of MobileNetV2 and 5x5 of MobileNetV3.
const DEPTHWISE: &[Layer] = &[
    ("mobilenet_v2 3x3 s1", 112, 32, 32, 3, 1),
    ("mobilenet_v2 3x3 s2", 112, 96, 96, 3, 2),
    ("mobilenet_v2 3x3 s1", 56, 144, 144, 3, 1),
    ("mobilenet_v2 3x3 s2", 56, 144, 144, 3, 2),
    ("mobilenet_v2 3x3 s1", 28, 192, 192, 3, 1),
    ("mobilenet_v2 3x3 s1", 14, 576, 576, 3, 1),
    ("mobilenet_v2 3x3 s2", 14, 576, 576, 3, 2),
    ("mobilenet_v2 3x3 s1", 7, 960, 960, 3, 1),
    ("mobilenet_v3 5x5 s1", 28, 120, 120, 5, 1),
    ("mobilenet_v3 5x5 s2", 14, 672, 672, 5, 2),
    ("mobilenet_v3 5x5 s1", 7, 960, 960, 5, 1),
];

/// Types of activations and weights. Where both have 4 bits, activations are bytes that hold codes of 4; `u7` is what a ReLU
/// leaves of s8 with zero point 0.
const FORMS: [Form; 5] = [
    Form { name: "s8 s8", input: ElemType::S8, weight: ElemType::S8, codes: (-128, 127) },
    Form { name: "u8 u8", input: ElemType::U8, weight: ElemType::U8, codes: (0, 255) },
    Form { name: "W4A8", input: ElemType::S8, weight: ElemType::S4, codes: (-128, 127) },
    Form { name: "W4A4", input: ElemType::S8, weight: ElemType::S4, codes: (-8, 7) },
    Form { name: "u7 s8", input: ElemType::S8, weight: ElemType::S8, codes: (0, 127) },
];

/// A factor of about 1/3.
const THIRD: Dyadic = Dyadic { multiplier: 1_431_655_765, shift: 32 };

/// The whole list, in the order in which it is printed.
pub fn all() -> Vec<Work> {
    let dense = DENSE.iter().flat_map(|layer| FORMS.map(|form| convolution(layer, form, false)));
    // Depthwise kernels have no use for narrow activations.
    let depthwise = DEPTHWISE.iter().flat_map(|layer| [0, 1, 2].map(|i| convolution(layer, FORMS[i], true)));
    dense.chain(depthwise).chain(element_wise()).chain(windows()).chain(others()).collect()
}

fn axis(input: usize, kernel: usize, stride: usize) -> Axis {
    Axis { input, output: input.div_ceil(stride), kernel, stride, dilation: 1, pad: (kernel - 1) / 2 }
}

fn square(side: usize, kernel: usize, stride: usize) -> Window {
    Window { y: axis(side, kernel, stride), x: axis(side, kernel, stride) }
}

fn convolution(layer: &Layer, form: Form, depthwise: bool) -> Work {
    let &(name, side, input, output, kernel, stride) = layer;
    let window = square(side, kernel, stride);
    let groups = if depthwise { input } else { 1 };
    let (rows, depth) = (window.output_pixels(), window.taps() * input / groups);
    let shape = match depthwise {
        true => format!("{side}x{side}x{input}"),
        false => format!("{rows}x{output}x{depth}"),
    };
    let macs = (rows * output * depth) as u64;
    let task = Task::Conv(Convolution { window, input, output, groups, form });
    Work { layer: name, shape, types: form.name, macs, task }
}

fn quant(elem: ElemType) -> Quant {
    Quant { elem, zero_point: 0 }
}

fn output(elem: ElemType) -> Output {
    Output { elem, zero_point: 0, lo: elem.min(), hi: elem.max() }
}

fn work(layer: &'static str, extents: &[usize], types: &'static str, task: Task) -> Work {
    Work { layer, shape: crate::text::extents(extents), types, macs: 0, task }
}

/// Sums, tables and other scales.
fn element_wise() -> Vec<Work> {
    use ElemType::{S8, S16, S32};
    let add = |elem| Add {
        first: quant(elem),
        second: quant(elem),
        subtract: false,
        rule: AddRule::Joint { m1: 1 << 23, m2: 6_000_000, shift: 24 },
        output: output(elem),
    };
    let requantize =
        |from, to| Requantize { from: quant(from), scale: THIRD, rounding: Rounding::Once, to: output(to) };
    let (large, small) = ([56, 56, 256], [14, 14, 96]);
    let count = |extents: [usize; 3]| extents.iter().product();
    vec![
        work("resnet50 sum", &large, "s8", Task::Add(add(S8), count(large))),
        work("mobilenet_v2 sum", &small, "s8", Task::Add(add(S8), count(small))),
        work("resnet50 stream sum", &large, "s16", Task::Add(add(S16), count(large))),
        work("resnet50 rescale", &large, "s8 to s8", Task::Requantize(requantize(S8, S8), count(large))),
        work("resnet50 stream end", &large, "s16 to s8", Task::Requantize(requantize(S16, S8), count(large))),
        work("logits", &[1000], "s32 to s16", Task::Requantize(requantize(S32, S16), 1000)),
        work("mobilenet_v3 hard swish", &[112, 112, 16], "s8", Task::Table(112 * 112 * 16)),
        work("PReLU", &[56, 56, 64], "s8", Task::ChannelTable { pixels: 56 * 56, channels: 64 }),
    ]
}

/// Pooling and mean.
fn windows() -> Vec<Work> {
    let max = |elem: ElemType| {
        let (lo, hi) = (elem.min(), elem.max());
        Task::MaxPool(MaxPool { batch: 1, window: square(112, 3, 2), channels: 64, elem, lo, hi })
    };
    let mut axes = [false; MAX_RANK];
    axes[1..3].fill(true);
    let mean = Dims::new(&[1, 7, 7, 2048]).map(|shape| Mean {
        shape,
        axes,
        input: quant(ElemType::S8),
        // One 49th.
        scale: Dyadic { multiplier: 1_402_438_301, shift: 36 },
        rounding: Rounding::Once,
        output: output(ElemType::S8),
    });
    let mut list = vec![
        work("resnet50 max pool 3x3 s2", &[112, 112, 64], "s8", max(ElemType::S8)),
        work("resnet50 max pool 3x3 s2", &[112, 112, 64], "s16", max(ElemType::S16)),
        work(
            "inception average pool 3x3 s1",
            &[28, 28, 192],
            "s8",
            Task::AveragePool { window: square(28, 3, 1), channels: 192 },
        ),
    ];
    list.extend(mean.map(|p| work("resnet50 mean", &[7, 7, 2048], "s8", Task::Mean(p))));
    list
}

/// Resizes, softmax and the largest class: DeepLab at 513x513 and a classifier's end.
fn others() -> Vec<Work> {
    let resize = |op, elem| {
        let (input, output, coordinates) = ([65, 65], [513, 513], Coordinates::AlignCorners);
        Task::Resize(op, Resize { batch: 1, input, output, channels: 21, elem, coordinates })
    };
    let softmax = Softmax {
        depth: 1000,
        elem: ElemType::S8,
        output: ElemType::S8,
        multiplier: 1 << 30,
        left_shift: 23,
        diff_min: Softmax::least_difference(23),
    };
    let argmax = ArgMax { elem: ElemType::S8, outer: 513 * 513, depth: 21, inner: 1 };
    let (scaled, classes) = ([513, 513, 21], "deeplab resize");
    vec![
        work(classes, &scaled, "s8", resize(KernelOp::Bilinear10, ElemType::S8)),
        work(classes, &scaled, "s8", resize(KernelOp::BilinearRational, ElemType::S8)),
        work(classes, &scaled, "u8", resize(KernelOp::BilinearSingle, ElemType::U8)),
        work("deeplab classes", &scaled, "s8", Task::ArgMax(argmax)),
        work("classifier softmax", &[1000], "s8", Task::Softmax(softmax)),
    ]
}
