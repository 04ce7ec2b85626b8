//! What a `.tflite` file holds, checked and owned.

use std::sync::Arc;

use super::elem::ElemType;
use super::opcode::OpCode;
use super::options::Options;

/// Subgraph 0 of a `.tflite` file.
#[derive(Debug, Clone, PartialEq)]
pub struct TfliteModel {
    /// Free text of the converter, often empty.
    pub description: String,
    /// Schema version, always 3.
    pub version: u32,
    /// How many subgraphs the file has. Only the first is read; the others are bodies of control-flow operators,
    /// which stand here as [`OpCode::Other`], or are not used.
    pub subgraph_count: usize,
    /// Every tensor; operators name them by place.
    pub tensors: Vec<Tensor>,
    /// Every operator, in an order in which each finds its inputs made.
    pub operators: Vec<Operator>,
    /// Tensors that the caller feeds; no constant among them, none twice.
    pub inputs: Vec<usize>,
    /// Tensors that the caller gets; at least one, each is made, fed, constant or a variable.
    pub outputs: Vec<usize>,
}

/// One tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Its place in [`TfliteModel::tensors`].
    pub index: usize,
    /// Its name, not necessarily unique, empty if the file gives none.
    pub name: String,
    /// Extents, all 0 or more, with a product below 2^31.
    pub shape: Vec<i32>,
    /// The shape with -1 where an extent is open; empty where the file says nothing.
    pub shape_signature: Vec<i32>,
    /// Whether an empty `shape` is known to mean a scalar. Older writers never set it.
    pub has_rank: bool,
    /// Element type.
    pub elem: ElemType,
    /// Scales and zero points; integer types only.
    pub quant: Option<Quant>,
    /// How the real values are coded.
    pub scheme: QuantScheme,
    /// The value of a constant, little-endian, as long as type and shape say (except for sparse tensors and types
    /// without a fixed width). Tensors of one buffer share it. A tensor of no elements that nothing makes is a
    /// constant of 0 bytes.
    pub data: Option<Arc<[u8]>>,
    /// Keeps its value from run to run, starting at the zero point.
    pub is_variable: bool,
    /// The data is stored in a sparse form, which is not read.
    pub is_sparse: bool,
}

impl Tensor {
    /// Number of elements.
    pub fn elements(&self) -> usize {
        // The reader proved the product to be below 2^31.
        self.shape.iter().map(|&extent| usize::try_from(extent).unwrap_or(0)).product()
    }
}

/// Affine quantization: real = scale * (q - zero point).
#[derive(Debug, Clone, PartialEq)]
pub struct Quant {
    /// One scale, or one for each index along `axis`; finite and above 0.
    pub scales: Vec<f32>,
    /// As many zero points, inside the element type.
    pub zero_points: Vec<i64>,
    /// The axis that several scales run along (the file's `quantized_dimension`); 0 with one scale.
    pub axis: usize,
}

impl Quant {
    /// One scale and zero point for the whole tensor.
    pub fn per_tensor(scale: f32, zero_point: i64) -> Self {
        Self { scales: vec![scale], zero_points: vec![zero_point], axis: 0 }
    }

    /// One scale for each index along `axis`, zero points 0.
    pub fn per_channel(scales: Vec<f32>, axis: usize) -> Self {
        let zero_points = vec![0; scales.len()];
        Self { scales, zero_points, axis }
    }
}

/// How a tensor's real values are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuantScheme {
    /// By [`Tensor::quant`], or not at all.
    Affine,
    /// By a custom scheme, which makes `quant` void.
    Custom,
    /// By blocks, which makes `quant` void.
    Blockwise,
    /// Along several axes, which makes `quant` void.
    MultiAxis,
    /// By a scheme that the schema known here does not define.
    Unknown(u8),
}

/// One operator.
#[derive(Debug, Clone, PartialEq)]
pub struct Operator {
    /// Its place in [`TfliteModel::operators`].
    pub index: usize,
    /// Its kind.
    pub code: OpCode,
    /// Version of the kind that the writer asked for.
    pub version: i32,
    /// Tensors taken; `None` is an optional one left out. As many as [`OpCode::arity`] allows, and the needed ones
    /// are there.
    pub inputs: Vec<Option<usize>>,
    /// Tensors made, as many as [`OpCode::arity`] allows.
    pub outputs: Vec<usize>,
    /// Its parameters; the variant that belongs to `code`.
    pub options: Options,
}
