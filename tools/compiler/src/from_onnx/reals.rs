//! The network between its quantizers: operations on real numbers, and which integers stand for each of them.
//!
//! A *class* is a set of tensors that hold the same codes: what moves values (reshape, transpose, maximum pooling)
//! keeps the class of its input, so that a quantizer anywhere along such a chain gives all of it its scale. A clamp
//! that nothing but the chain reads narrows the codes of its class instead of being an operation.

use dyadic_kernels::ElemType;
use dyadic_kernels::params::Coordinates;

use super::constant::{Quantized, quantize};
use crate::import::onnx::DataType;
use crate::ir::{ConvKind, Function};

/// Place of a tensor in [`Reals::tensors`].
pub(super) type RealId = usize;

/// How codes stand for real numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Quant {
    /// Type that holds the codes; 4 bits are held in 8.
    pub elem: ElemType,
    /// Above 0 and finite.
    pub scale: f32,
    /// Within the type.
    pub zero_point: i32,
    /// Smallest and largest code.
    pub codes: (i32, i32),
}

impl Quant {
    /// The code of a real number.
    pub fn code(&self, real: f64) -> i32 {
        quantize(real, self.scale, self.zero_point, self.codes)
    }

    /// The codes where they are fewer than those of the type.
    pub fn narrow_codes(&self) -> Option<(i32, i32)> {
        (self.codes != (self.elem.min(), self.elem.max())).then_some(self.codes)
    }

    /// The same codes for numbers `gain` times as large; `None` where float32 has no such scale.
    pub fn relabelled(&self, gain: f64) -> Option<Quant> {
        let scale = (f64::from(self.scale) * gain) as f32;
        (scale > 0.0 && scale.is_finite()).then_some(Quant { scale, ..*self })
    }

    /// Whether both give the same real number to the same code; the range of codes may differ.
    pub fn reads_like(&self, other: &Quant) -> bool {
        self.elem == other.elem && self.scale == other.scale && self.zero_point == other.zero_point
    }
}

/// Tensors that hold the same codes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Class {
    /// Known once a quantizer was seen.
    pub quant: Option<Quant>,
    /// Real numbers that clamps leave, lowest and highest.
    pub clip: (f64, f64),
    /// Whether some tensor of the class is read more than once: a clamp must not narrow it for the other reader.
    pub shared: bool,
    /// Type of the codes that the caller feeds.
    pub fed: Option<DataType>,
}

/// A tensor of real numbers.
#[derive(Clone, Debug)]
pub(super) struct Real {
    /// Name in the source; that of the codes where the source names them.
    pub name: String,
    /// Extents, each at least 1.
    pub shape: Vec<usize>,
    /// Codes of a constant, row-major.
    pub codes: Option<Vec<i32>>,
    /// Whether the caller feeds it.
    pub fed: bool,
    class: usize,
    producer: Option<usize>,
}

/// An operation.
#[derive(Clone, Debug)]
pub(super) struct RealNode {
    /// Source nodes it stands for.
    pub sources: Vec<usize>,
    /// What it computes.
    pub op: RealOp,
    /// What it reads.
    pub inputs: Vec<RealId>,
    /// What it makes.
    pub output: RealId,
}

/// What a node computes. Axes are those of the source.
#[derive(Clone, Debug)]
pub(super) enum RealOp {
    /// Convolution or matrix product with constant weights.
    Conv(Box<RealConv>),
    /// Sum or difference, broadcast.
    Add {
        /// Negate the second input.
        subtract: bool,
    },
    /// Product, broadcast.
    Mul,
    /// Another quantization of the same numbers; the class of the output may be clamped.
    Rescale,
    /// The numbers times a factor above 0: the same codes under another scale.
    Relabel {
        /// Factor.
        gain: f64,
    },
    /// A function of one value.
    Function(Function),
    /// Leaky ReLU with one slope per element of axis 1.
    PRelu {
        /// Slopes below zero.
        slopes: Vec<f32>,
    },
    /// A window over the two axes behind the channels.
    MaxPool(Window),
    /// A window over the two axes behind the channels.
    AveragePool(Window),
    /// Mean over axes, which stay with extent 1.
    Mean {
        /// Axes, ascending.
        axes: Vec<usize>,
    },
    /// Constant padding.
    Pad {
        /// Elements before each axis.
        before: Vec<usize>,
        /// Fill value; lowest code for minus infinity.
        value: f64,
    },
    /// Concatenation.
    Concat {
        /// Axis.
        axis: usize,
    },
    /// Same elements, other shape.
    Reshape,
    /// Axis `i` of the output is axis `order[i]` of the input.
    Transpose {
        /// A permutation.
        order: Vec<usize>,
    },
    /// Elements `start[a] + i * step[a]` along every axis.
    Slice {
        /// First element.
        start: Vec<usize>,
        /// Distance, may be negative.
        step: Vec<isize>,
    },
    /// Elements at `indices` along an axis.
    Gather {
        /// Axis.
        axis: usize,
        /// Each below the extent.
        indices: Vec<i32>,
    },
    /// Repetition along every axis.
    Tile,
    /// Blocks of channels become pixels. A channel counts as (group, row in the block, column in the block, depth), or as
    /// (depth, row, column) where the depth comes first.
    DepthToSpace {
        /// Height and width of a block.
        block: [usize; 2],
        /// Groups of channels.
        groups: usize,
        /// Which of the two.
        depth_first: bool,
    },
    /// Bilinear resize of the two axes behind the channels.
    ResizeLinear(Coordinates),
    /// Softmax.
    Softmax {
        /// Axis.
        axis: usize,
    },
    /// Index of the largest value; the axis stays with extent 1.
    ArgMax {
        /// Axis.
        axis: usize,
    },
}

/// A window with its distances and what lies before the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// Height and width.
    pub kernel: [usize; 2],
    /// Vertical and horizontal stride.
    pub stride: [usize; 2],
    /// Vertical and horizontal dilation.
    pub dilation: [usize; 2],
    /// Padding above and to the left.
    pub pad: [usize; 2],
}

/// `gain[c] * (sum w * x + bias[c]) + offset[c]`.
#[derive(Clone, Debug)]
pub(super) struct RealConv {
    /// Which.
    pub kind: ConvKind,
    /// `[out, in / groups, height, width]`, or `[out, in]`.
    pub weights: Quantized,
    /// Name of the weights in the source.
    pub weights_name: String,
    /// Geometry; unused by a matrix product.
    pub window: Window,
    /// Groups.
    pub groups: usize,
    /// Bias as the source gives it.
    pub bias: Bias,
    /// One per output channel; from scales and normalisations that follow.
    pub gain: Vec<f64>,
    /// One per output channel; from additions and normalisations that follow.
    pub offset: Vec<f64>,
    /// Whether the bias is rounded down to steps of the accumulator, so that the sign of a sum is exact.
    pub bias_down: bool,
}

impl RealConv {
    /// The axis of the output that counts its channels.
    pub fn channel_axis(&self, rank: usize) -> usize {
        if self.kind == ConvKind::FullyConnected { rank.saturating_sub(1) } else { 1 }
    }
}

/// Bias of a convolution.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Bias {
    /// None.
    None,
    /// In steps of the accumulator.
    Accumulator(Vec<i32>),
    /// Codes with their scales, one or one per channel.
    Codes(Vec<i32>, Vec<f32>),
    /// Real numbers.
    Real(Vec<f64>),
}

/// All tensors, classes and nodes.
#[derive(Clone, Debug, Default)]
pub(super) struct Reals {
    /// Tensors.
    pub tensors: Vec<Real>,
    /// Nodes, each after those that make its inputs.
    pub nodes: Vec<RealNode>,
    classes: Vec<Class>,
}

impl Reals {
    /// A tensor of a class of its own.
    pub fn tensor(&mut self, name: &str, shape: Vec<usize>, quant: Option<Quant>) -> RealId {
        let class = self.classes.len();
        self.classes.push(Class {
            quant,
            clip: (f64::NEG_INFINITY, f64::INFINITY),
            shared: false,
            fed: None,
        });
        self.tensors.push(Real {
            name: name.to_string(),
            shape,
            codes: None,
            fed: false,
            class,
            producer: None,
        });
        self.tensors.len() - 1
    }

    /// A tensor that holds codes of the class of another.
    pub fn alike(&mut self, name: &str, shape: Vec<usize>, other: RealId) -> RealId {
        let class = self.tensors[other].class;
        self.tensors.push(Real {
            name: name.to_string(),
            shape,
            codes: None,
            fed: false,
            class,
            producer: None,
        });
        self.tensors.len() - 1
    }

    /// Adds an operation.
    pub fn node(&mut self, source: usize, op: RealOp, inputs: Vec<RealId>, output: RealId) {
        self.tensors[output].producer = Some(self.nodes.len());
        self.nodes.push(RealNode { sources: vec![source], op, inputs, output });
    }

    /// The class of a tensor.
    pub fn class(&self, tensor: RealId) -> &Class {
        &self.classes[self.tensors[tensor].class]
    }

    /// The quantization of a tensor, if known.
    pub fn quant(&self, tensor: RealId) -> Option<Quant> {
        self.class(tensor).quant
    }

    /// Whether both tensors hold the same codes.
    pub fn same_class(&self, a: RealId, b: RealId) -> bool {
        self.tensors[a].class == self.tensors[b].class
    }

    /// Records that the caller feeds a tensor: codes of a type, or real numbers.
    pub fn feed(&mut self, tensor: RealId, codes: Option<DataType>) {
        self.tensors[tensor].fed = true;
        self.classes[self.tensors[tensor].class].fed = codes;
    }

    /// Marks the class of a tensor as read by several.
    pub fn share(&mut self, tensor: RealId) {
        let class = self.tensors[tensor].class;
        self.classes[class].shared = true;
    }

    /// Clamps what the class of a tensor holds.
    pub fn clip(&mut self, tensor: RealId, (lo, hi): (f64, f64)) {
        let class = self.tensors[tensor].class;
        let class = &mut self.classes[class];
        // A later clamp moves the limits of an earlier one: min(max(x, a), b) with b below a is b.
        class.clip = (class.clip.0.clamp(lo, hi), class.clip.1.clamp(lo, hi));
        class.quant = class.quant.map(|q| narrowed(q, class.clip));
    }

    /// Gives the class of a tensor its quantization.
    pub fn assign(&mut self, tensor: RealId, quant: Quant) {
        let class = self.tensors[tensor].class;
        let class = &mut self.classes[class];
        class.quant = Some(narrowed(quant, class.clip));
    }

    /// Narrows the codes of an assigned class.
    pub fn narrow(&mut self, tensor: RealId, codes: (i32, i32)) {
        let class = self.tensors[tensor].class;
        if let Some(quant) = &mut self.classes[class].quant {
            quant.codes = (quant.codes.0.clamp(codes.0, codes.1), quant.codes.1.clamp(codes.0, codes.1));
        }
    }

    /// The node that makes a tensor.
    pub fn producer(&mut self, tensor: RealId) -> Option<&mut RealNode> {
        self.tensors[tensor].producer.map(|index| &mut self.nodes[index])
    }

    /// The node that makes the codes of a tensor, behind everything that only moves them.
    pub fn maker(&mut self, tensor: RealId) -> Option<&mut RealNode> {
        let mut at = self.tensors[tensor].producer?;
        while let Some(&input) = self.nodes[at].inputs.first()
            && self.same_class(input, tensor)
        {
            at = self.tensors[input].producer?;
        }
        Some(&mut self.nodes[at])
    }

    /// Records that a source node became part of what makes a tensor.
    pub fn absorb(&mut self, source: usize, tensor: RealId) {
        if let Some(node) = self.producer(tensor) {
            node.sources.push(source);
        }
    }
}

/// The codes that a clamp on real numbers leaves.
fn narrowed(quant: Quant, (lo, hi): (f64, f64)) -> Quant {
    Quant { codes: (quant.code(lo), quant.code(hi)), ..quant }
}
