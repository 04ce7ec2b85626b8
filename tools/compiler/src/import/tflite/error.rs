//! Every way in which bytes can fail to be a TFLite network, each with its place.

use super::elem::ElemType;

/// Why a `.tflite` file was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TfliteError {
    /// There are no bytes at all.
    #[error("the file is empty; expected a TFLite model")]
    Empty,
    /// The identifier `TFL3` is missing from bytes 4 to 7.
    #[error(
        "not a TFLite model: the file looks like {looks_like} (bytes 4..8 are {found:?}, expected \"TFL3\")"
    )]
    NotTflite {
        /// What the first bytes suggest, with an article.
        looks_like: &'static str,
        /// Bytes 4 to 7 as far as they exist, escaped.
        found: String,
    },
    /// The model states another schema version.
    #[error("the model states TFLite schema version {found}, expected 3")]
    SchemaVersion {
        /// The version in the file.
        found: u32,
    },
    /// A table, vector or string does not lie inside the file, or is not what it should be.
    #[error("the file is truncated or damaged: field `{field}` of the {table} table at byte {at}: {problem}")]
    Damaged {
        /// Table of the schema.
        table: &'static str,
        /// Its field.
        field: &'static str,
        /// Byte position of the table.
        at: usize,
        /// What is wrong with the field.
        problem: String,
    },
    /// A field without which there is no network is absent.
    #[error("the {table} table has no field `{field}`")]
    Missing {
        /// Table of the schema.
        table: &'static str,
        /// Its field.
        field: &'static str,
    },
    /// Tables that share bytes would unfold to far more than the file holds.
    #[error(
        "the file's {file} bytes unfold to more than {limit} bytes: tables of it are shared in a way that no writer does"
    )]
    Unfolds {
        /// Length of the file.
        file: usize,
        /// What a file of that length may unfold to.
        limit: usize,
    },
    /// A tensor is wrong.
    #[error("tensor {index} ({name:?}): {fault}")]
    Tensor {
        /// Its number in subgraph 0.
        index: usize,
        /// Its name.
        name: String,
        /// What is wrong with it.
        fault: TensorFault,
    },
    /// An operator is wrong.
    #[error("operator {index} ({op}): {fault}")]
    Operator {
        /// Its number in subgraph 0, which is its place in the order of execution.
        index: usize,
        /// Its kind, for example `CONV_2D`.
        op: String,
        /// What is wrong with it.
        fault: OperatorFault,
    },
    /// The graph's own list of inputs or outputs is wrong.
    #[error("graph {role} {slot}: {fault}")]
    Graph {
        /// Which list.
        role: Role,
        /// Place in the list.
        slot: usize,
        /// What is wrong with it.
        fault: GraphFault,
    },
    /// The graph makes nothing.
    #[error("the graph has no outputs")]
    NoOutputs,
}

/// Which of the two lists of an operator or a graph is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// What is taken.
    Input,
    /// What is made.
    Output,
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Input => "input",
            Self::Output => "output",
        })
    }
}

/// What can be wrong with a tensor.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorFault {
    /// A shape entry is negative.
    #[error("axis {axis} of the shape is {value}, expected 0 or more")]
    NegativeAxis {
        /// The axis.
        axis: usize,
        /// Its extent.
        value: i32,
    },
    /// The product of the shape is out of bounds.
    #[error("the shape {shape:?} has 2^31 elements or more")]
    TooLarge {
        /// The shape.
        shape: Vec<i32>,
    },
    /// The buffer number does not exist.
    #[error("data in buffer {buffer}, but the file has {count} buffers")]
    BufferIndex {
        /// Buffer number.
        buffer: u32,
        /// Number of buffers.
        count: usize,
    },
    /// Data stated to lie behind the FlatBuffer does not lie inside the file.
    #[error("data at bytes {offset}..{offset}+{size}, but the file has {file} bytes")]
    BufferRange {
        /// First byte.
        offset: u64,
        /// Number of bytes.
        size: u64,
        /// Length of the file.
        file: usize,
    },
    /// The data is in another file.
    #[error("the data is in another file (external buffer {id}); join them into one .tflite file")]
    ExternalData {
        /// Number of the external buffer.
        id: u32,
    },
    /// The data does not fill the shape.
    #[error("{found} bytes of data, but {elem} {shape:?} takes {expected}")]
    DataLength {
        /// Bytes found.
        found: u64,
        /// Bytes that type and shape ask for.
        expected: u64,
        /// Element type.
        elem: ElemType,
        /// Shape.
        shape: Vec<i32>,
    },
    /// A variable that comes with data.
    #[error("a variable tensor may not have data")]
    VariableWithData,
    /// Scales and zero points do not pair up.
    #[error("{scales} scales, but {zero_points} zero points")]
    ScaleCount {
        /// Number of scales.
        scales: usize,
        /// Number of zero points.
        zero_points: usize,
    },
    /// A scale is not a positive finite number.
    #[error("scale {channel} is {scale}, expected a finite number above 0")]
    Scale {
        /// Place of the scale.
        channel: usize,
        /// Its value, as text so that NaN compares equal to itself.
        scale: String,
    },
    /// A zero point is outside the element type.
    #[error("zero point {channel} is {zero_point}, outside {elem}")]
    ZeroPoint {
        /// Place of the zero point.
        channel: usize,
        /// Its value.
        zero_point: i64,
        /// Element type.
        elem: ElemType,
    },
    /// The axis that the scales run along does not exist.
    #[error("{scales} scales along axis {axis}, but the shape has {rank} axes")]
    QuantizedAxis {
        /// Number of scales.
        scales: usize,
        /// The axis.
        axis: i32,
        /// Number of axes.
        rank: usize,
    },
    /// The number of scales is neither 1 nor the extent of their axis.
    #[error("{scales} scales along axis {axis}, whose extent is {extent}")]
    ChannelCount {
        /// Number of scales.
        scales: usize,
        /// The axis.
        axis: usize,
        /// Its extent.
        extent: i32,
    },
}

/// What can be wrong with an operator.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OperatorFault {
    /// The operator code number does not exist.
    #[error("operator code {code}, but the file has {count}")]
    CodeIndex {
        /// Number of the operator code.
        code: u32,
        /// How many there are.
        count: usize,
    },
    /// A tensor number does not exist.
    #[error("{role} {slot} is tensor {tensor}, but there are {count}")]
    TensorIndex {
        /// Input or output.
        role: Role,
        /// Place in the list.
        slot: usize,
        /// Tensor number.
        tensor: i32,
        /// Number of tensors.
        count: usize,
    },
    /// Too few or too many inputs or outputs.
    #[error("{found} {role}s, expected {expected}")]
    Count {
        /// Input or output.
        role: Role,
        /// How many there are.
        found: usize,
        /// How many there should be, in words.
        expected: String,
    },
    /// An input that cannot be left out is.
    #[error("input {slot} is left out, but the operator needs it")]
    InputLeftOut {
        /// Place in the list.
        slot: usize,
    },
    /// A tensor is used before anything made it.
    #[error("input {slot} is tensor {tensor} ({name:?}), which {maker}")]
    NotMade {
        /// Place in the list.
        slot: usize,
        /// Tensor number.
        tensor: usize,
        /// Tensor name.
        name: String,
        /// Who makes it, if anybody.
        maker: Maker,
    },
    /// An output that something else makes already.
    #[error("output {slot} is tensor {tensor} ({name:?}), which {held} already")]
    MadeTwice {
        /// Place in the list.
        slot: usize,
        /// Tensor number.
        tensor: usize,
        /// Tensor name.
        name: String,
        /// What the tensor is.
        held: Held,
    },
    /// The options are those of another operator.
    #[error("it carries the options of another operator, expected {expected}")]
    WrongOptions {
        /// Options expected, by the schema's name.
        expected: &'static str,
    },
    /// An option has an impossible value.
    #[error("option {field} is {value}, expected {expected}")]
    Option {
        /// Name of the field.
        field: &'static str,
        /// Its value.
        value: String,
        /// What is possible.
        expected: &'static str,
    },
    /// Options stated to lie behind the FlatBuffer do not lie inside the file.
    #[error("options at bytes {offset}..{offset}+{size}, but the file has {file} bytes")]
    OptionsRange {
        /// First byte.
        offset: u64,
        /// Number of bytes.
        size: u64,
        /// Length of the file.
        file: usize,
    },
}

/// Who makes a tensor that was used too early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    /// Nobody.
    Nobody,
    /// The operator of this number, which is the user itself or comes later.
    Operator(usize),
}

impl std::fmt::Display for Maker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nobody => {
                f.write_str("nothing makes: it is no graph input, no constant and no operator's output")
            }
            Self::Operator(index) => write!(f, "only operator {index} makes"),
        }
    }
}

/// What a tensor is that an operator tries to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// A constant.
    Constant,
    /// A graph input.
    GraphInput,
    /// The output of this operator.
    MadeBy(usize),
}

impl std::fmt::Display for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Constant => f.write_str("is a constant"),
            Self::GraphInput => f.write_str("is a graph input"),
            Self::MadeBy(index) => write!(f, "operator {index} makes"),
        }
    }
}

/// What can be wrong with an entry of the graph's inputs or outputs.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphFault {
    /// The tensor number does not exist.
    #[error("tensor {tensor}, but there are {count}")]
    TensorIndex {
        /// Tensor number.
        tensor: i32,
        /// Number of tensors.
        count: usize,
    },
    /// A graph input that has data.
    #[error("tensor {tensor} ({name:?}) is a constant")]
    Constant {
        /// Tensor number.
        tensor: usize,
        /// Tensor name.
        name: String,
    },
    /// A graph input that is listed before.
    #[error("tensor {tensor} ({name:?}) is listed twice")]
    Twice {
        /// Tensor number.
        tensor: usize,
        /// Tensor name.
        name: String,
    },
    /// A graph output that nothing makes.
    #[error("nothing makes tensor {tensor} ({name:?})")]
    NotMade {
        /// Tensor number.
        tensor: usize,
        /// Tensor name.
        name: String,
    },
}

impl From<planus::Error> for TfliteError {
    fn from(error: planus::Error) -> Self {
        let place = error.source_location;
        TfliteError::Damaged {
            table: place.type_,
            field: place.method,
            at: place.byte_offset,
            problem: error.error_kind.to_string(),
        }
    }
}
