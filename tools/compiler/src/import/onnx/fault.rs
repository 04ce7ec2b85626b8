//! What can be wrong with a constant, a node or a value: the inner half of an [`OnnxError`](super::OnnxError).

use super::model::DataType;

/// What can be wrong with a constant.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorFault {
    /// An initializer without a name.
    #[error("it has no name")]
    NoName,
    /// A name that another initializer has.
    #[error("another initializer has the same name")]
    Twice,
    /// No element type.
    #[error("data_type is {found}, expected a type of the format")]
    NoType {
        /// Number in the file.
        found: i32,
    },
    /// An extent is negative.
    #[error("axis {axis} of the shape is {value}, expected 0 or more")]
    NegativeAxis {
        /// The axis.
        axis: usize,
        /// Its extent.
        value: i64,
    },
    /// Too many axes.
    #[error("{found} axes, expected at most {limit}")]
    Rank {
        /// How many there are.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// The product of the shape is out of bounds.
    #[error("the shape {shape:?} has 2^31 elements or more")]
    TooLarge {
        /// The shape.
        shape: Vec<i64>,
    },
    /// Part of a tensor that is split over several.
    #[error("it is a segment of a larger tensor; join the segments")]
    Segment,
    /// Data in two fields.
    #[error("data in both `{first}` and `{second}`, expected one of them")]
    TwoFields {
        /// One field.
        first: &'static str,
        /// Another.
        second: &'static str,
    },
    /// Data in a field for other types.
    #[error("{elem} data in `{found}`, expected `{expected}` or `raw_data`")]
    WrongField {
        /// Element type.
        elem: DataType,
        /// Field with the data.
        found: &'static str,
        /// Field for that type.
        expected: &'static str,
    },
    /// The data does not fill the shape.
    #[error("{found} bytes of data, but {elem} {shape:?} takes {expected}")]
    DataLength {
        /// Bytes found.
        found: u64,
        /// Bytes that type and shape ask for.
        expected: u64,
        /// Element type.
        elem: DataType,
        /// Shape.
        shape: Vec<usize>,
    },
    /// An element is outside its type.
    #[error("element {at} is {value}, outside {elem}")]
    OutOfRange {
        /// Place of the number in its field.
        at: usize,
        /// Its value.
        value: i64,
        /// Element type.
        elem: DataType,
    },
    /// The field `data_location` has a value that is not known.
    #[error("data_location is {found}, expected 0 (in this file) or 1 (in another file)")]
    Location {
        /// Number in the file.
        found: i32,
    },
    /// The data is in another file, and that goes wrong.
    #[error("data in the file {location:?}: {fault}")]
    External {
        /// The file as the model names it.
        location: String,
        /// What is wrong.
        fault: ExternalFault,
    },
}

/// What can be wrong with data in another file.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ExternalFault {
    /// It is not known where the model lies.
    #[error("the model was given without its folder; open it from a file, beside which this one lies")]
    NoFolder,
    /// No file is named.
    #[error("no `location` is stated")]
    NoLocation,
    /// A key is there twice.
    #[error("`{key}` is stated twice")]
    KeyTwice {
        /// The key.
        key: &'static str,
    },
    /// A position or length is no number.
    #[error("`{key}` is {value:?}, expected a decimal number")]
    NoNumber {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
    },
    /// The path is not one that may be opened.
    #[error("the path {problem}; expected a relative path below the model's folder")]
    Path {
        /// What it does.
        problem: &'static str,
    },
    /// A link leads out of the model's folder.
    #[error("a link leads out of the model's folder")]
    Escapes,
    /// Something that has no length, for example a folder or a device.
    #[error("it is not a regular file")]
    NotRegular,
    /// The system refuses.
    #[error("{0}")]
    Io(String),
    /// The data does not lie inside the file.
    #[error("data at bytes {offset}..{offset}+{length}, but it has {file}")]
    Range {
        /// First byte.
        offset: u64,
        /// Number of bytes.
        length: u64,
        /// Length of the file.
        file: u64,
    },
    /// Tensors take the same bytes again and again.
    #[error("tensors take more than {limit} times its {file} bytes")]
    Overused {
        /// How often the file's length may be taken.
        limit: u64,
        /// Length of the file.
        file: u64,
    },
}

/// What can be wrong with a node.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeFault {
    /// No operator is named.
    #[error("no op_type is stated")]
    NoOperator,
    /// The operator set is not among the imported ones.
    #[error("operator set {domain:?} is not among those that the file states a version of")]
    Domain {
        /// The operator set.
        domain: String,
    },
    /// The operator is a function that the file itself defines.
    #[error(
        "it calls the function {function:?} that the file defines; inline the functions first (onnx.inliner)"
    )]
    Function {
        /// Name, with the domain in front.
        function: String,
    },
    /// An input that nothing makes.
    #[error(
        "input {slot} ({value:?}) is made by nothing: it is no graph input, no initializer and no node's output"
    )]
    NotMade {
        /// Place in the list.
        slot: usize,
        /// Name of the value.
        value: String,
    },
    /// An output that something else makes already.
    #[error("output {slot} ({value:?}) {held} already")]
    MadeTwice {
        /// Place in the list.
        slot: usize,
        /// Name of the value.
        value: String,
        /// What the value is.
        held: Held,
    },
    /// An attribute is wrong.
    #[error("attribute {attribute:?}: {fault}")]
    Attribute {
        /// Its name.
        attribute: String,
        /// What is wrong with it.
        fault: AttributeFault,
    },
}

/// What a value is that a node tries to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// A constant.
    Initializer,
    /// A graph input.
    GraphInput,
    /// The output of the node at this place in the file.
    MadeBy(usize),
}

impl std::fmt::Display for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Initializer => f.write_str("is an initializer"),
            Self::GraphInput => f.write_str("is a graph input"),
            Self::MadeBy(index) => write!(f, "is made by node {index}"),
        }
    }
}

/// What can be wrong with an attribute.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AttributeFault {
    /// No name.
    #[error("it has no name")]
    NoName,
    /// A name that another attribute of the node has.
    #[error("it is stated twice")]
    Twice,
    /// A reference to an attribute of a function.
    #[error("it refers to attribute {reference:?} of a function, but the node is in none")]
    Reference {
        /// Name of the other attribute.
        reference: String,
    },
    /// No value at all, or not the one that the type announces.
    #[error("it has no value of its type ({expected})")]
    NoValue {
        /// Name of the type.
        expected: &'static str,
    },
    /// Another value than the one that the type announces.
    #[error("it has a value in field `{found}`, but is of type {expected}")]
    WrongField {
        /// Field with a value.
        found: &'static str,
        /// Name of the type.
        expected: &'static str,
    },
    /// A constant that is wrong.
    #[error(transparent)]
    Tensor(TensorFault),
}

/// What can be wrong with a graph input or output, or with what is stated of a value.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueFault {
    /// No name.
    #[error("it has no name")]
    NoName,
    /// A name that stands in the list before (in `value_info`: with something else stated).
    #[error("it is listed twice")]
    Twice,
    /// A graph output that nothing makes.
    #[error("nothing makes it")]
    NotMade,
    /// An extent is negative.
    #[error("axis {axis} of the shape is {value}, expected 0 or more (or a symbol for any number)")]
    NegativeAxis {
        /// The axis.
        axis: usize,
        /// Its extent.
        value: i64,
    },
    /// Too many axes.
    #[error("{found} axes, expected at most {limit}")]
    Rank {
        /// How many there are.
        found: usize,
        /// The limit.
        limit: usize,
    },
}
