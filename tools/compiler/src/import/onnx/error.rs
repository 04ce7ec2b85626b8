//! Every way in which bytes can fail to be an ONNX network, each with its place.

use super::fault::{NodeFault, TensorFault, ValueFault};

/// Why an `.onnx` file was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// There are no bytes at all.
    #[error("the file is empty; expected an ONNX model")]
    Empty,
    /// The bytes are no ONNX model and look like something else.
    #[error("not an ONNX model: the file looks like {looks_like}")]
    NotOnnx {
        /// What the first bytes suggest, with an article.
        looks_like: &'static str,
    },
    /// A field does not lie inside its message, or is not what it should be.
    #[error("the file is truncated or damaged: field `{field}` of {message} at byte {at}: {problem}")]
    Damaged {
        /// Message of the definition.
        message: &'static str,
        /// Its field.
        field: &'static str,
        /// Byte position of the field.
        at: usize,
        /// What is wrong with the field.
        problem: String,
    },
    /// The decoder refused the bytes, for example a text that is not UTF-8.
    #[error("the file is damaged: {problem}")]
    Undecodable {
        /// What the decoder says.
        problem: String,
    },
    /// Messages inside messages beyond what any network needs.
    #[error("messages are nested more than {limit} deep at byte {at}")]
    TooDeep {
        /// The limit.
        limit: usize,
        /// Byte position.
        at: usize,
    },
    /// More messages of a kind than are read.
    #[error("the file has more than {limit} messages {what}")]
    TooMany {
        /// Message of the definition.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// Empty messages would unfold to far more than the file holds.
    #[error("the file's {file} bytes unfold to more than {limit} bytes, as no tool writes them")]
    Unfolds {
        /// Length of the file.
        file: usize,
        /// What a file of that length may unfold to.
        limit: usize,
    },
    /// A field without which there is no network is absent.
    #[error("{message} has no field `{field}`")]
    Missing {
        /// Message of the definition.
        message: &'static str,
        /// Its field.
        field: &'static str,
    },
    /// The version of the file's structure is not known.
    #[error("the file has IR version {found}, expected {oldest} to {newest}")]
    IrVersion {
        /// The version in the file.
        found: i64,
        /// Oldest that is read.
        oldest: i64,
        /// Newest that is read.
        newest: i64,
    },
    /// The version of the operator set is not known.
    #[error("the file uses operator set {found} of ai.onnx, expected {oldest} to {newest}{}", advice(*found, *oldest))]
    Opset {
        /// The version in the file.
        found: i64,
        /// Oldest that is read.
        oldest: i64,
        /// Newest that is read.
        newest: i64,
    },
    /// No version of the operator set `ai.onnx` is stated.
    #[error("the file does not state the version of operator set ai.onnx")]
    OpsetMissing,
    /// Two versions of one operator set.
    #[error("the file states two versions of operator set {domain:?}: {first} and {second}")]
    OpsetTwice {
        /// Name of the set.
        domain: String,
        /// First version.
        first: i64,
        /// Second version.
        second: i64,
    },
    /// The file holds how to train the network.
    #[error(
        "the file holds {count} training graphs, which would change the constants; export it for inference"
    )]
    Training {
        /// How many.
        count: usize,
    },
    /// A constant in sparse form.
    #[error("initializer {name:?} is sparse; store it as a dense tensor")]
    Sparse {
        /// Its name.
        name: String,
    },
    /// A constant is wrong.
    #[error("initializer {index} ({name:?}): {fault}")]
    Initializer {
        /// Its place in the list.
        index: usize,
        /// Its name.
        name: String,
        /// What is wrong with it.
        fault: TensorFault,
    },
    /// A node is wrong.
    #[error("node {index} ({op}, {name:?}): {fault}")]
    Node {
        /// Its place in the file.
        index: usize,
        /// Its name, may be empty.
        name: String,
        /// Its operator, for example `Conv`.
        op: String,
        /// What is wrong with it.
        fault: Box<NodeFault>,
    },
    /// A graph input or output, or what the file states of a value, is wrong.
    #[error("graph {list} {slot} ({name:?}): {fault}")]
    Value {
        /// Which list.
        list: List,
        /// Place in the list.
        slot: usize,
        /// Name of the value.
        name: String,
        /// What is wrong with it.
        fault: ValueFault,
    },
    /// Nodes that wait for each other.
    #[error("node {index} ({op}, {name:?}) needs its own output{}", through(.others))]
    Cycle {
        /// Its place in the file.
        index: usize,
        /// Its name, may be empty.
        name: String,
        /// Its operator.
        op: String,
        /// Places of the other nodes of the circle, in the order of reading; cut after eight.
        others: Vec<usize>,
    },
    /// The graph makes nothing.
    #[error("the graph has no outputs")]
    NoOutputs,
}

fn advice(found: i64, oldest: i64) -> &'static str {
    if found < oldest { "; export it again for a newer one, or use ONNX's version converter" } else { "" }
}

fn through(others: &[usize]) -> String {
    let names: Vec<String> = others.iter().map(ToString::to_string).collect();
    if names.is_empty() { String::new() } else { format!(", through nodes {}", names.join(", ")) }
}

/// Which list of the graph is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// What the caller feeds.
    Input,
    /// What the caller gets.
    Output,
    /// What is stated of values in between.
    ValueInfo,
}

impl std::fmt::Display for List {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Input => "input",
            Self::Output => "output",
            Self::ValueInfo => "value_info",
        })
    }
}
