//! Checks of the graph: every value is made once, every name that is read is made, and in an order that works.

use std::collections::{HashMap, HashSet};

use super::error::{List, OnnxError};
use super::fault::{Held, NodeFault, ValueFault};
use super::model::{Node, OnnxModel};

type Result<T> = std::result::Result<T, OnnxError>;

/// How many nodes of a circle a report names.
const NAMED_IN_CYCLE: usize = 8;

/// A fault of a node, with its place.
pub(super) fn node_fault(node: &Node, fault: NodeFault) -> OnnxError {
    OnnxError::Node {
        index: node.index,
        name: node.name.clone(),
        op: node.op.clone(),
        fault: Box::new(fault),
    }
}

/// Checks all names, drops inputs that are constants, and sorts the nodes. Time and memory are linear in the file.
pub(super) fn check(model: &mut OnnxModel) -> Result<()> {
    let held = makers(model)?;
    for node in &model.nodes {
        for (slot, value) in node.inputs.iter().enumerate() {
            if !value.is_empty() && !held.contains_key(value.as_str()) {
                return Err(node_fault(node, NodeFault::NotMade { slot, value: value.clone() }));
            }
        }
    }
    if model.outputs.is_empty() {
        return Err(OnnxError::NoOutputs);
    }
    for (slot, output) in model.outputs.iter().enumerate() {
        if !held.contains_key(output.name.as_str()) {
            return Err(OnnxError::Value {
                list: List::Output,
                slot,
                name: output.name.clone(),
                fault: ValueFault::NotMade,
            });
        }
    }
    let order = order(&model.nodes, &held)?;
    sort(&mut model.nodes, &order);
    let constants = &model.constants;
    model.inputs.retain(|input| !constants.contains_key(&input.name));
    Ok(())
}

/// Who makes each value. Refuses values with two makers.
fn makers(model: &OnnxModel) -> Result<HashMap<&str, Held>> {
    let mut held: HashMap<&str, Held> =
        model.constants.keys().map(|name| (name.as_str(), Held::Initializer)).collect();
    let mut listed = HashSet::new();
    for (slot, input) in model.inputs.iter().enumerate() {
        if !listed.insert(input.name.as_str()) {
            let (name, fault) = (input.name.clone(), ValueFault::Twice);
            return Err(OnnxError::Value { list: List::Input, slot, name, fault });
        }
        held.entry(&input.name).or_insert(Held::GraphInput);
    }
    for node in &model.nodes {
        for (slot, value) in node.outputs.iter().enumerate().filter(|(_, value)| !value.is_empty()) {
            if let Some(held) = held.insert(value, Held::MadeBy(node.index)) {
                return Err(node_fault(node, NodeFault::MadeTwice { slot, value: value.clone(), held }));
            }
        }
    }
    Ok(held)
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    New,
    /// On the way to the node that is looked at.
    Open,
    Done,
}

/// Nodes in the order of the file, except that what a node reads is moved in front of it. A walk in depth with a stack
/// of its own: each input is looked at once.
fn order(nodes: &[Node], held: &HashMap<&str, Held>) -> Result<Vec<usize>> {
    let mut states = vec![State::New; nodes.len()];
    let mut order = Vec::with_capacity(nodes.len());
    let mut open: Vec<(usize, usize)> = Vec::new();
    for start in 0..nodes.len() {
        if states[start] == State::New {
            states[start] = State::Open;
            open.push((start, 0));
        }
        while let Some((node, slot)) = open.last_mut() {
            let Some(input) = nodes[*node].inputs.get(*slot) else {
                states[*node] = State::Done;
                order.push(*node);
                open.pop();
                continue;
            };
            *slot += 1;
            let Some(&Held::MadeBy(maker)) = held.get(input.as_str()) else { continue };
            match states[maker] {
                State::New => {
                    states[maker] = State::Open;
                    open.push((maker, 0));
                }
                State::Open => return Err(cycle(&nodes[maker], &open)),
                State::Done => {}
            }
        }
    }
    Ok(order)
}

fn cycle(node: &Node, open: &[(usize, usize)]) -> OnnxError {
    let others =
        open.iter().map(|(on_the_way, _)| *on_the_way).skip_while(|&index| index != node.index).skip(1);
    OnnxError::Cycle {
        index: node.index,
        name: node.name.clone(),
        op: node.op.clone(),
        others: others.take(NAMED_IN_CYCLE).collect(),
    }
}

fn sort(nodes: &mut Vec<Node>, order: &[usize]) {
    let mut taken: Vec<Option<Node>> = std::mem::take(nodes).into_iter().map(Some).collect();
    nodes.extend(order.iter().filter_map(|&index| taken[index].take()));
}
