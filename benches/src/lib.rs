//! Layer shapes of real networks for the benchmarks in `benches/`.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

/// One convolution layer: a square picture, same padding.
#[derive(Clone, Copy, Debug)]
pub struct Layer {
    /// Name of the network and the layer's role.
    pub name: &'static str,
    /// Input height and width.
    pub side: usize,
    /// Input channels.
    pub input: usize,
    /// Output channels.
    pub output: usize,
    /// Window height and width.
    pub kernel: usize,
    /// Stride.
    pub stride: usize,
    /// One group per channel.
    pub depthwise: bool,
}

/// Layers that networks spend their time in.
pub const LAYERS: &[Layer] = &[
    layer("mobilenet_v2 stem", 224, 3, 32, 3, 2, false),
    layer("mobilenet_v2 expand", 56, 24, 144, 1, 1, false),
    layer("mobilenet_v2 project", 14, 576, 96, 1, 1, false),
    layer("mobilenet_v2 depthwise", 56, 144, 144, 3, 2, true),
    layer("mobilenet_v2 depthwise late", 14, 576, 576, 3, 1, true),
    layer("resnet50 3x3", 56, 64, 64, 3, 1, false),
    layer("resnet50 1x1 early", 56, 64, 256, 1, 1, false),
    layer("resnet50 stem", 224, 3, 64, 7, 2, false),
    layer("resnet50 1x1 late", 7, 2048, 512, 1, 1, false),
    layer("resnet50 3x3 late", 7, 512, 512, 3, 1, false),
];

const fn layer(
    name: &'static str,
    side: usize,
    input: usize,
    output: usize,
    kernel: usize,
    stride: usize,
    depthwise: bool,
) -> Layer {
    Layer { name, side, input, output, kernel, stride, depthwise }
}
