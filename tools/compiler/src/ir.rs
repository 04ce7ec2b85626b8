//! The intermediate representation: a list of nodes in execution order over a list of tensors.
//!
//! Importers make it, passes rewrite it, [`crate::emit`] turns it into a file. Scales are float32 as the source gives
//! them; which multipliers follow from them is decided at the end, by the contract.

use dyadic_kernels::ElemType;
use dyadic_kernels::params::Coordinates;

/// Place of a tensor in [`Graph::tensors`].
pub type TensorId = usize;

/// A network.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// All tensors; some may no longer be used.
    pub tensors: Vec<Tensor>,
    /// All nodes, each after those that make its inputs.
    pub nodes: Vec<Node>,
    /// What the caller feeds.
    pub inputs: Vec<TensorId>,
    /// What the caller gets.
    pub outputs: Vec<TensorId>,
    /// What the source calls itself.
    pub description: String,
}

/// A tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Name in the source.
    pub name: String,
    /// Extents, outermost first, each at least 1.
    pub shape: Vec<usize>,
    /// Element type.
    pub elem: ElemType,
    /// Value that stands for real zero.
    pub zero_point: i32,
    /// No scale, one, or one per element of axis 0; finite and above 0.
    pub scales: Vec<f32>,
    /// Smallest and largest code that the quantizer of this tensor gives; `None` is the whole type. Every node that can
    /// clamp is clamped to it, so that codes of 4 bits lie one per byte and the proof sees their range.
    pub codes: Option<(i32, i32)>,
    /// Bytes of a constant.
    pub data: Option<Vec<u8>>,
}

impl Tensor {
    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Size in bytes.
    pub fn bytes(&self) -> usize {
        (self.elements() * self.elem.bits()).div_ceil(8)
    }

    /// The scale of a tensor that has one.
    pub fn scale(&self) -> f32 {
        self.scales.first().copied().unwrap_or(1.0)
    }

    /// The codes that its quantizer gives.
    pub fn code_range(&self) -> (i32, i32) {
        self.codes.unwrap_or((self.elem.min(), self.elem.max()))
    }

    /// Whether both give the same real value to the same code.
    pub fn same_reals(&self, other: &Tensor) -> bool {
        self.elem == other.elem && self.zero_point == other.zero_point && self.scales == other.scales
    }

    /// Whether both give the same real value to the same code, and the same codes.
    pub fn same_quantization(&self, other: &Tensor) -> bool {
        self.same_reals(other) && self.code_range() == other.code_range()
    }

    /// Whether every code of this tensor is the same real value and a code of `other`.
    pub fn fits(&self, other: &Tensor) -> bool {
        let ((lo, hi), (least, most)) = (self.code_range(), other.code_range());
        self.same_reals(other) && least <= lo && hi <= most
    }

    /// The extents of an NHWC tensor.
    pub fn nhwc(&self) -> Option<[usize; 4]> {
        self.shape.as_slice().try_into().ok()
    }
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Node {
    /// Source nodes it stands for, in their order.
    pub sources: Vec<String>,
    /// What it computes.
    pub op: Op,
    /// Input tensors.
    pub inputs: Vec<TensorId>,
    /// Output tensor.
    pub output: TensorId,
}

/// A fused activation, as a clamp on real values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// None.
    None,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `min(max(x, -1), 1)`.
    ReluN1To1,
}

/// What a convolution-like node computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConvKind {
    /// Convolution.
    Conv2d,
    /// One group per input channel.
    Depthwise,
    /// No window.
    FullyConnected,
}

/// Convolution-like node. Inputs: activation, weights (OHWI constant).
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    /// Which.
    pub kind: ConvKind,
    /// Vertical and horizontal stride.
    pub stride: [usize; 2],
    /// Vertical and horizontal dilation.
    pub dilation: [usize; 2],
    /// Padding above and to the left; below and to the right follows from the output extents.
    pub pad: [usize; 2],
    /// Groups.
    pub groups: usize,
    /// One per output channel.
    pub bias: Vec<i32>,
    /// Fused activation.
    pub activation: Activation,
    /// How TFLite evaluates the scale product of this node.
    pub single_product: bool,
}

/// Pooling node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pool {
    /// Window height and width.
    pub kernel: [usize; 2],
    /// Vertical and horizontal stride.
    pub stride: [usize; 2],
    /// Padding above and to the left.
    pub pad: [usize; 2],
    /// Fused activation.
    pub activation: Activation,
}

/// A function of one value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Function {
    /// Another scale and zero point.
    Rescale,
    /// From whole numbers (scale 1, zero point 0) to codes.
    Quantize,
    /// Clamp on real values, with a rescale.
    Clamp(Activation),
    /// Logistic sigmoid.
    Logistic,
    /// Hyperbolic tangent.
    Tanh,
    /// `x * relu6(x + 3) / 6`.
    HardSwish,
    /// `x` above zero, `alpha * x` below.
    LeakyRelu {
        /// Slope below zero.
        alpha: f32,
    },
    /// `x` above zero, `alpha * (exp(x) - 1)` below. Contract `dyadic` only, as those that follow.
    Elu {
        /// Depth below zero.
        alpha: f32,
    },
    /// `x / 2 * (1 + erf(x / sqrt 2))`.
    Gelu,
    /// `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))`.
    GeluTanh,
    /// `max(0, min(1, alpha * x + beta))`.
    HardSigmoid {
        /// Slope.
        alpha: f32,
        /// Value at zero.
        beta: f32,
    },
    /// `x / (1 + exp(-alpha * x))`.
    Swish {
        /// Steepness.
        alpha: f32,
    },
    /// `magnitude` where `x` is at least 0, its negative below.
    Sign {
        /// Above 0.
        magnitude: f32,
    },
}

/// What a node computes.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Convolution, depthwise convolution, fully connected.
    Conv(Conv),
    /// Two inputs, broadcast.
    Add {
        /// Fused activation.
        activation: Activation,
        /// Negate the second input.
        subtract: bool,
    },
    /// Two inputs, broadcast.
    Mul {
        /// Fused activation.
        activation: Activation,
    },
    /// Average of the taps on the picture.
    AveragePool(Pool),
    /// Maximum of the taps on the picture.
    MaxPool(Pool),
    /// Mean over axes.
    Mean {
        /// Axes, ascending.
        axes: Vec<usize>,
    },
    /// Constant padding.
    Pad {
        /// Elements before each axis.
        before: Vec<usize>,
        /// Fill value.
        value: i32,
    },
    /// Concatenation; each input is rescaled to the output's quantization.
    Concat {
        /// Axis.
        axis: usize,
    },
    /// Same elements, other shape.
    Reshape,
    /// `out[o] = in[start + sum o[i] * strides[i]]`.
    StridedCopy {
        /// First element.
        start: usize,
        /// Stride per output axis, in elements.
        strides: Vec<isize>,
    },
    /// Repetition along every axis.
    Tile,
    /// `out[.., i, ..] = in[.., indices[i], ..]`.
    Gather {
        /// Axis.
        axis: usize,
        /// One position of the input for every position of the output along the axis, which keeps its place.
        indices: Vec<i32>,
    },
    /// Leaky ReLU with a slope for every channel of the last axis; 8 bits in and out, contract `dyadic`.
    PRelu {
        /// One per channel, finite.
        slopes: Vec<f32>,
    },
    /// A function of one 8-bit value.
    Unary(Function),
    /// Softmax over the last axis.
    Softmax {
        /// Factor of the exponent.
        beta: f32,
    },
    /// Bilinear resize.
    ResizeBilinear(Coordinates),
    /// Nearest-neighbour resize.
    ResizeNearest(Coordinates),
    /// Index of the largest value.
    ArgMax {
        /// Axis.
        axis: usize,
    },
}

impl Graph {
    /// Adds a tensor.
    pub fn add(&mut self, tensor: Tensor) -> TensorId {
        self.tensors.push(tensor);
        self.tensors.len() - 1
    }

    /// The node that makes a tensor.
    pub fn producer(&self, tensor: TensorId) -> Option<usize> {
        self.nodes.iter().position(|n| n.output == tensor)
    }

    /// The nodes that read a tensor.
    pub fn consumers(&self, tensor: TensorId) -> impl Iterator<Item = usize> + '_ {
        self.nodes.iter().enumerate().filter(move |(_, n)| n.inputs.contains(&tensor)).map(|(i, _)| i)
    }

    /// Whether `tensor` is read by exactly one node and not given to the caller.
    pub fn has_one_reader(&self, tensor: TensorId) -> bool {
        self.consumers(tensor).count() == 1 && !self.outputs.contains(&tensor)
    }
}
