//! What an ONNX file says, checked and owned: nothing here refers to the protobuf any more, or borrows from it.

use std::collections::BTreeMap;
use std::fmt;

/// A network as the file states it. Names of values are unique per producer, every node reads values that exist, and
/// nodes stand after the nodes they read from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OnnxModel {
    /// Version of the file's structure, within [`super::IR_VERSIONS`].
    pub ir_version: i64,
    /// Version of the operator set `ai.onnx`, within [`super::OPSETS`].
    pub opset: i64,
    /// Operator sets of other domains, by name.
    pub domains: BTreeMap<String, i64>,
    /// Tool that wrote the file, with its version, for people.
    pub producer: String,
    /// Nodes in an order in which each stands after those that make its inputs.
    pub nodes: Vec<Node>,
    /// Constants by name, none with an empty one; also those that the file lists among the inputs too.
    pub constants: BTreeMap<String, Tensor>,
    /// What the caller feeds, without those that are constants; names are unique and not empty.
    pub inputs: Vec<ValueInfo>,
    /// What the caller gets: at least one value, each made by a node, fed, or constant. One may be there twice.
    pub outputs: Vec<ValueInfo>,
    /// Types and shapes that the file states for values in between. Nothing says that the graph has such a value, or
    /// that what is stated is true.
    pub values: BTreeMap<String, ValueInfo>,
    /// Files beside the model that constants lie in, ascending, by their paths below the model's folder (`/` between
    /// steps, no `.` steps). The digest is BLAKE3 of, for each tensor that lies there (initializers in the order of the
    /// file, then tensors in attributes in the order of nodes): offset and length as little-endian `u64`, then the bytes.
    pub external: Vec<(String, [u8; 32])>,
}

/// One node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// Position in the file, from 0.
    pub index: usize,
    /// Name, may be empty.
    pub name: String,
    /// Operator, for example `Conv`; not empty.
    pub op: String,
    /// Operator set, empty for `ai.onnx`, else one of [`OnnxModel::domains`].
    pub domain: String,
    /// Names of input values; empty where an optional one is left out.
    pub inputs: Vec<String>,
    /// Names of output values; empty where an optional one is left out.
    pub outputs: Vec<String>,
    /// Attributes by name, none with an empty one.
    pub attributes: BTreeMap<String, Attribute>,
}

/// Value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// A number.
    Int(i64),
    /// A real number.
    Float(f32),
    /// A text.
    String(String),
    /// Numbers.
    Ints(Vec<i64>),
    /// Real numbers.
    Floats(Vec<f32>),
    /// Texts.
    Strings(Vec<String>),
    /// A constant.
    Tensor(Tensor),
    /// Something that no supported operator has, in words with an article: a graph, a sparse tensor, a type.
    Other(&'static str),
}

/// Element types of ONNX that the reader knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataType {
    /// 32-bit real numbers.
    Float,
    /// 16-bit real numbers.
    Float16,
    /// 64-bit real numbers.
    Double,
    /// Truth values, one a byte.
    Bool,
    /// 8 bits, unsigned.
    Uint8,
    /// 8 bits.
    Int8,
    /// 16 bits, unsigned.
    Uint16,
    /// 16 bits.
    Int16,
    /// 32 bits, unsigned.
    Uint32,
    /// 32 bits.
    Int32,
    /// 64 bits, unsigned.
    Uint64,
    /// 64 bits.
    Int64,
    /// 4 bits, unsigned, two a byte, the first in the low half.
    Uint4,
    /// 4 bits, two a byte, the first in the low half.
    Int4,
    /// Any other type, by its number in the format, which is above 0 in a tensor. Such tensors come without data.
    Other(i32),
}

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Element type.
    pub elem: DataType,
    /// Extents; none for a scalar; at most [`super::MAX_RANK`]; an extent may be 0. The product of those that are not is
    /// below 2^31.
    pub shape: Vec<usize>,
    /// Little-endian elements, row-major, as many bytes as shape and type say (none for [`DataType::Other`]); truth
    /// values are 0 or 1; 4-bit elements two a byte, an unused last half is 0.
    pub data: Vec<u8>,
}

/// Type and shape of a value.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueInfo {
    /// Name.
    pub name: String,
    /// Element type, `None` where the file states none or the value is no tensor.
    pub elem: Option<DataType>,
    /// Extents, at most [`super::MAX_RANK`]; `None` where the file states no shape.
    pub shape: Option<Vec<Extent>>,
}

/// One extent of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extent {
    /// A number, 0 or more.
    Fixed(usize),
    /// A name that stands for any number, or nothing at all (an empty name).
    Symbol(String),
}

impl DataType {
    /// The type of that number in the format.
    pub const fn from_number(number: i32) -> DataType {
        match number {
            1 => DataType::Float,
            2 => DataType::Uint8,
            3 => DataType::Int8,
            4 => DataType::Uint16,
            5 => DataType::Int16,
            6 => DataType::Int32,
            7 => DataType::Int64,
            9 => DataType::Bool,
            10 => DataType::Float16,
            11 => DataType::Double,
            12 => DataType::Uint32,
            13 => DataType::Uint64,
            21 => DataType::Uint4,
            22 => DataType::Int4,
            other => DataType::Other(other),
        }
    }

    /// Bits of one element, `None` for types that are not known.
    pub const fn bits(self) -> Option<usize> {
        match self {
            DataType::Uint4 | DataType::Int4 => Some(4),
            DataType::Bool | DataType::Uint8 | DataType::Int8 => Some(8),
            DataType::Float16 | DataType::Uint16 | DataType::Int16 => Some(16),
            DataType::Float | DataType::Uint32 | DataType::Int32 => Some(32),
            DataType::Double | DataType::Uint64 | DataType::Int64 => Some(64),
            DataType::Other(_) => None,
        }
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DataType::Float => f.write_str("FLOAT"),
            DataType::Float16 => f.write_str("FLOAT16"),
            DataType::Double => f.write_str("DOUBLE"),
            DataType::Bool => f.write_str("BOOL"),
            DataType::Uint8 => f.write_str("UINT8"),
            DataType::Int8 => f.write_str("INT8"),
            DataType::Uint16 => f.write_str("UINT16"),
            DataType::Int16 => f.write_str("INT16"),
            DataType::Uint32 => f.write_str("UINT32"),
            DataType::Int32 => f.write_str("INT32"),
            DataType::Uint64 => f.write_str("UINT64"),
            DataType::Int64 => f.write_str("INT64"),
            DataType::Uint4 => f.write_str("UINT4"),
            DataType::Int4 => f.write_str("INT4"),
            DataType::Other(8) => f.write_str("STRING"),
            DataType::Other(16) => f.write_str("BFLOAT16"),
            DataType::Other(number) => write!(f, "type {number}"),
        }
    }
}

impl Tensor {
    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}
