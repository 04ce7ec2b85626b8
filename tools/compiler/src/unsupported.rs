//! What importers give, and how they say which operators of a network have no integer form.

use std::fmt;

use crate::ir::Graph;

/// What lowering gives: the graph and what the user should know about it.
#[derive(Clone, Debug, Default)]
pub struct Import {
    /// The network.
    pub graph: Graph,
    /// Remarks, for example that a float boundary was removed.
    pub notes: Vec<String>,
    /// Every node of the source, in its order.
    pub sources: Vec<SourceNode>,
}

/// A node of the source network and what it became where no step stands for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceNode {
    /// Position in the source's list.
    pub position: usize,
    /// Operator.
    pub operator: String,
    /// What steps that stand for it list it as.
    pub label: String,
    /// Where it went if no step lists it.
    pub fate: Fate,
}

/// What became of a node that no step stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was computed when compiling.
    Constant,
    /// It changes no code: another name, scale or order of axes of what it reads.
    Unchanged,
    /// No output needs it, or another node stands for it and its neighbours.
    LeftOut,
}

impl Fate {
    /// Name in a report.
    pub const fn name(self) -> &'static str {
        match self {
            Fate::Constant => "constant",
            Fate::Unchanged => "unchanged",
            Fate::LeftOut => "left_out",
        }
    }
}

/// An operator or tensor that cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// Position in the source's list of operators; `None` for a fault of the graph itself.
    pub position: Option<usize>,
    /// Name of the operator.
    pub operator: String,
    /// Element type of its first output.
    pub elem: String,
    /// Name of its first output tensor.
    pub tensor: String,
    /// Why.
    pub reason: String,
    /// What the user can do.
    pub remedy: String,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some(position) => write!(f, "operator {position} ")?,
            None => write!(f, "network ")?,
        }
        write!(
            f,
            "{} {} '{}': {}\n    remedy: {}",
            self.operator, self.elem, self.tensor, self.reason, self.remedy
        )
    }
}

/// Why one operator was refused: the reason and the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: String,
    /// What the user can do.
    pub remedy: String,
}

/// What lowering one operator gives.
pub(crate) type Lowered<T = ()> = Result<T, Refusal>;

/// A refusal with the usual remedy.
pub(crate) fn refuse<T>(reason: impl Into<String>) -> Lowered<T> {
    refuse_with(
        reason,
        "cut the network before this operator with --cut-at, or replace it in the source network",
    )
}

/// A refusal.
pub(crate) fn refuse_with<T>(reason: impl Into<String>, remedy: impl Into<String>) -> Lowered<T> {
    Err(Refusal { reason: reason.into(), remedy: remedy.into() })
}

/// A tensor to cut at that the network does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--cut-at {name}: the network makes no tensor of that name{}", hint(.similar))]
pub struct CutError {
    /// The wanted name.
    pub name: String,
    /// Names of the network that contain it.
    pub similar: Vec<String>,
}

fn hint(similar: &[String]) -> String {
    if similar.is_empty() { String::new() } else { format!("; it has {}", similar.join(", ")) }
}
