//! Checks of the graph: every number names a tensor, every tensor is made once, and before it is used.

use std::sync::Arc;

use super::error::{GraphFault, Held, Maker, OperatorFault, Role, TfliteError};
use super::model::{Operator, Tensor, TfliteModel};
use super::read::OperatorPlace;

type Result<T> = std::result::Result<T, TfliteError>;

/// The graph's own inputs or outputs.
pub(super) fn tensor_list(role: Role, list: &[i32], count: usize) -> Result<Vec<usize>> {
    let check = |(slot, &tensor): (usize, &i32)| {
        let fault = || TfliteError::Graph { role, slot, fault: GraphFault::TensorIndex { tensor, count } };
        tensor_number(tensor, count).ok_or_else(fault)
    };
    list.iter().enumerate().map(check).collect()
}

/// The inputs and outputs of one operator, and that it has as many as its kind needs.
pub(super) fn operator_lists(
    place: &OperatorPlace<'_>,
    inputs: &[i32],
    outputs: &[i32],
    count: usize,
) -> Result<(Vec<Option<usize>>, Vec<usize>)> {
    let number = |role: Role, slot: usize, tensor: i32| {
        let fault = || place.fault(OperatorFault::TensorIndex { role, slot, tensor, count });
        tensor_number(tensor, count).ok_or_else(fault)
    };
    let input = |(slot, &tensor): (usize, &i32)| match tensor {
        -1 => Ok(None),
        tensor => number(Role::Input, slot, tensor).map(Some),
    };
    let inputs: Vec<Option<usize>> = inputs.iter().enumerate().map(input).collect::<Result<_>>()?;
    let output = |(slot, &tensor): (usize, &i32)| number(Role::Output, slot, tensor);
    let outputs: Vec<usize> = outputs.iter().enumerate().map(output).collect::<Result<_>>()?;
    check_arity(place, &inputs, outputs.len())?;
    Ok((inputs, outputs))
}

fn tensor_number(tensor: i32, count: usize) -> Option<usize> {
    usize::try_from(tensor).ok().filter(|&tensor| tensor < count)
}

fn check_arity(place: &OperatorPlace<'_>, inputs: &[Option<usize>], outputs: usize) -> Result<()> {
    let Some(arity) = place.code.arity() else {
        return Ok(());
    };
    for (role, found, range) in
        [(Role::Input, inputs.len(), &arity.inputs), (Role::Output, outputs, &arity.outputs)]
    {
        if !range.contains(&found) {
            let expected = match (*range.start(), *range.end()) {
                (low, high) if low == high => low.to_string(),
                (low, usize::MAX) => format!("{low} or more"),
                (low, high) => format!("{low} to {high}"),
            };
            return Err(place.fault(OperatorFault::Count { role, found, expected }));
        }
    }
    // Where any number of inputs is allowed, every one of them is needed.
    let needed = if *arity.inputs.end() == usize::MAX { inputs.len() } else { *arity.inputs.start() };
    match inputs.iter().take(needed).position(Option::is_none) {
        Some(slot) => Err(place.fault(OperatorFault::InputLeftOut { slot })),
        None => Ok(()),
    }
}

/// What a tensor is at one moment of the walk through the operators.
#[derive(Clone, Copy)]
enum State {
    /// Without a value so far.
    Unmade,
    Constant,
    GraphInput,
    Variable,
    MadeBy(usize),
}

/// Walks the operators in order. Tensors without elements that nothing makes become constants of 0 bytes on the way:
/// writers give an empty list (for example of axes) no data at all.
pub(super) fn check(model: &mut TfliteModel) -> Result<()> {
    let makers = makers(model);
    let mut states: Vec<State> = model.tensors.iter().map(initial_state).collect();
    feed_inputs(model, &mut states)?;
    for ((tensor, state), maker) in model.tensors.iter_mut().zip(&mut states).zip(&makers) {
        if matches!(state, State::Unmade) && maker.is_none() && tensor.elements() == 0 {
            tensor.data = Some(Arc::from([]));
            *state = State::Constant;
        }
    }
    for operator in &model.operators {
        step(operator, &model.tensors, &makers, &mut states)?;
    }
    if model.outputs.is_empty() {
        return Err(TfliteError::NoOutputs);
    }
    for (slot, &tensor) in model.outputs.iter().enumerate() {
        if matches!(states[tensor], State::Unmade) {
            let fault = GraphFault::NotMade { tensor, name: model.tensors[tensor].name.clone() };
            return Err(TfliteError::Graph { role: Role::Output, slot, fault });
        }
    }
    Ok(())
}

/// The first operator that makes each tensor.
fn makers(model: &TfliteModel) -> Vec<Option<usize>> {
    let mut makers = vec![None; model.tensors.len()];
    for operator in &model.operators {
        for &tensor in &operator.outputs {
            makers[tensor].get_or_insert(operator.index);
        }
    }
    makers
}

fn initial_state(tensor: &Tensor) -> State {
    if tensor.data.is_some() {
        State::Constant
    } else if tensor.is_variable {
        State::Variable
    } else {
        State::Unmade
    }
}

fn feed_inputs(model: &TfliteModel, states: &mut [State]) -> Result<()> {
    for (slot, &tensor) in model.inputs.iter().enumerate() {
        let name = || model.tensors[tensor].name.clone();
        let fault = match states[tensor] {
            State::Constant => GraphFault::Constant { tensor, name: name() },
            State::GraphInput => GraphFault::Twice { tensor, name: name() },
            State::Unmade | State::Variable | State::MadeBy(_) => {
                states[tensor] = State::GraphInput;
                continue;
            }
        };
        return Err(TfliteError::Graph { role: Role::Input, slot, fault });
    }
    Ok(())
}

/// One operator: its inputs must have values, its outputs must be free.
fn step(
    operator: &Operator,
    tensors: &[Tensor],
    makers: &[Option<usize>],
    states: &mut [State],
) -> Result<()> {
    let place = OperatorPlace { index: operator.index, code: &operator.code };
    for (slot, &input) in operator.inputs.iter().enumerate() {
        let Some(tensor) = input.filter(|&tensor| matches!(states[tensor], State::Unmade)) else {
            continue;
        };
        let maker = makers[tensor].map_or(Maker::Nobody, Maker::Operator);
        let name = tensors[tensor].name.clone();
        return Err(place.fault(OperatorFault::NotMade { slot, tensor, name, maker }));
    }
    for (slot, &tensor) in operator.outputs.iter().enumerate() {
        let held = match states[tensor] {
            State::Constant => Held::Constant,
            State::GraphInput => Held::GraphInput,
            State::MadeBy(index) => Held::MadeBy(index),
            State::Unmade | State::Variable => {
                states[tensor] = State::MadeBy(operator.index);
                continue;
            }
        };
        let name = tensors[tensor].name.clone();
        return Err(place.fault(OperatorFault::MadeTwice { slot, tensor, name, held }));
    }
    Ok(())
}
