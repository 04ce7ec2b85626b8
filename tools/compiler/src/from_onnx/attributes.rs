//! Attributes of a node, typed.

use crate::import::onnx::{Attribute, Node, Tensor};
use crate::unsupported::{Lowered, refuse};

/// Reads of attributes; a value of another type is refused.
pub(super) trait Attributes {
    /// A number.
    fn int(&self, name: &str, default: i64) -> Lowered<i64>;
    /// A real number.
    fn float(&self, name: &str, default: f32) -> Lowered<f32>;
    /// A text.
    fn text<'a>(&'a self, name: &str, default: &'a str) -> Lowered<&'a str>;
    /// Numbers, `None` when absent.
    fn ints(&self, name: &str) -> Lowered<Option<&[i64]>>;
    /// A constant, `None` when absent.
    fn tensor(&self, name: &str) -> Lowered<Option<&Tensor>>;
    /// Numbers of at least 0, one per spatial axis.
    fn extents(&self, name: &str, count: usize, default: usize) -> Lowered<Vec<usize>>;
}

fn wrong<T>(name: &str, expected: &str) -> Lowered<T> {
    refuse(format!("attribute '{name}' is no {expected}"))
}

impl Attributes for Node {
    fn int(&self, name: &str, default: i64) -> Lowered<i64> {
        match self.attributes.get(name) {
            None => Ok(default),
            Some(Attribute::Int(value)) => Ok(*value),
            Some(_) => wrong(name, "number"),
        }
    }

    fn float(&self, name: &str, default: f32) -> Lowered<f32> {
        match self.attributes.get(name) {
            None => Ok(default),
            Some(Attribute::Float(value)) => Ok(*value),
            Some(_) => wrong(name, "real number"),
        }
    }

    fn text<'a>(&'a self, name: &str, default: &'a str) -> Lowered<&'a str> {
        match self.attributes.get(name) {
            None => Ok(default),
            Some(Attribute::String(value)) => Ok(value),
            Some(_) => wrong(name, "text"),
        }
    }

    fn ints(&self, name: &str) -> Lowered<Option<&[i64]>> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Ints(values)) => Ok(Some(values)),
            Some(_) => wrong(name, "list of numbers"),
        }
    }

    fn tensor(&self, name: &str) -> Lowered<Option<&Tensor>> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Tensor(value)) => Ok(Some(value)),
            Some(_) => wrong(name, "constant"),
        }
    }

    fn extents(&self, name: &str, count: usize, default: usize) -> Lowered<Vec<usize>> {
        let Some(values) = self.ints(name)? else { return Ok(vec![default; count]) };
        // Far above every real network, far below what sums of a few of them could overflow.
        let known = |&v: &i64| usize::try_from(v).ok().filter(|&v| v < 1 << 28);
        let extents: Option<Vec<usize>> = values.iter().map(known).collect();
        match extents.filter(|e| e.len() == count) {
            Some(extents) => Ok(extents),
            None => refuse(format!("attribute '{name}' is {values:?}, expected {count} numbers below 2^28")),
        }
    }
}
