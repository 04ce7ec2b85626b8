//! Shapes: of inputs, and of what operators make of them.

use std::collections::BTreeMap;

use super::attributes::Attributes;
use super::{Value, Walk, activation_type};
use crate::import::onnx::{DataType, Extent, Node, ValueInfo};
use crate::unsupported::{Lowered, Unsupported, refuse, refuse_with};

/// Shapes of inputs that the user gives. An extent that stays open is 1 in the first place (the batch) and an error
/// elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InputShapes {
    /// By name of the input.
    pub named: BTreeMap<String, Vec<usize>>,
    /// Batch of every input whose shape is not given by name.
    pub batch: Option<usize>,
}

/// A shape was given for an input that the network does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--input-shape {name}: the network has no input of that name; it has {}", .inputs.join(", "))]
pub struct ShapeError {
    /// The wanted name.
    pub name: String,
    /// Inputs of the network.
    pub inputs: Vec<String>,
}

impl InputShapes {
    /// Checks that every name is that of an input.
    ///
    /// # Errors
    /// The first one that is not.
    pub fn check(&self, inputs: &[ValueInfo]) -> Result<(), ShapeError> {
        match self.named.keys().find(|name| inputs.iter().all(|i| i.name != **name)) {
            Some(name) => Err(ShapeError {
                name: name.clone(),
                inputs: inputs.iter().map(|i| i.name.clone()).collect(),
            }),
            None => Ok(()),
        }
    }

    fn of(&self, input: &ValueInfo) -> Lowered<Vec<usize>> {
        let open = |reason: String| {
            refuse_with(reason, format!("give the shape with --input-shape {}=1,3,224,224", input.name))
        };
        let stated = input.shape.as_deref();
        if let Some(shape) = self.named.get(&input.name) {
            let fits = |(own, given): (&Extent, &usize)| match own {
                Extent::Fixed(extent) => extent == given,
                Extent::Symbol(_) => true,
            };
            let same = stated.is_none_or(|s| s.len() == shape.len() && s.iter().zip(shape).skip(1).all(fits));
            return if same {
                Ok(shape.clone())
            } else {
                open(format!("the shape {shape:?} does not fit {}", written(stated.unwrap_or(&[]))))
            };
        }
        let Some(stated) = stated else { return open("no shape is stated".to_string()) };
        let extent = |(axis, extent): (usize, &Extent)| match (extent, self.batch) {
            (_, Some(batch)) if axis == 0 => Some(batch),
            (Extent::Fixed(extent), _) if *extent > 0 => Some(*extent),
            (_, None) if axis == 0 => Some(1),
            _ => None,
        };
        match stated.iter().enumerate().map(extent).collect() {
            Some(shape) => Ok(shape),
            None => open(format!("the shape {} is open", written(stated))),
        }
    }
}

fn written(shape: &[Extent]) -> String {
    let extent = |e: &Extent| match e {
        Extent::Fixed(extent) => extent.to_string(),
        Extent::Symbol(name) if name.is_empty() => "?".to_string(),
        Extent::Symbol(name) => name.clone(),
    };
    format!("[{}]", shape.iter().map(extent).collect::<Vec<_>>().join(", "))
}

impl<'m> Walk<'m> {
    /// Makes the inputs that anything reads: codes, or real numbers that a quantizer has to follow.
    pub(super) fn inputs(&mut self, shapes: &InputShapes) {
        for input in &self.model.inputs {
            if !self.readers.contains_key(input.name.as_str()) {
                self.notes.push(format!("input '{}' left out: nothing reads it", input.name));
                continue;
            }
            match self.input(input, shapes) {
                Ok(value) => {
                    self.values.insert(&input.name, value);
                }
                Err(refusal) => {
                    self.values.insert(&input.name, Value::Refused);
                    self.problems.push(Unsupported {
                        position: None,
                        operator: "input".to_string(),
                        elem: input.elem.map_or_else(String::new, |e| e.to_string()),
                        tensor: input.name.clone(),
                        reason: refusal.reason,
                        remedy: refusal.remedy,
                    });
                }
            }
        }
    }

    fn input(&mut self, input: &'m ValueInfo, shapes: &InputShapes) -> Lowered<Value> {
        let shape = shapes.of(input)?;
        let count = shape.iter().try_fold(1usize, |n, &e| n.checked_mul(e).filter(|&n| n < 1 << 31));
        if shape.len() > dyadic_kernels::params::MAX_RANK || count.is_none() || shape.contains(&0) {
            return refuse(format!("a shape of {shape:?}, expected at most 8 axes and 2^31 - 1 elements"));
        }
        let real = self.reals.tensor(&input.name, shape, None);
        if self.readers.get(input.name.as_str()).is_some_and(|&count| count > 1) {
            self.reals.share(real);
        }
        self.inputs.push(real);
        self.reals.feed(real, None);
        match input.elem {
            Some(DataType::Float | DataType::Float16 | DataType::Double) => Ok(Value::Real(real)),
            Some(elem) if activation_type(elem).is_some() => {
                self.reals.feed(real, Some(elem));
                Ok(Value::Codes(real))
            }
            _ => refuse_with(
                "the type of this input has no integer form here",
                "give the network an input of FLOAT, UINT8, INT8, UINT4, INT4 or INT16",
            ),
        }
    }

    /// The shape that Reshape, Flatten, Squeeze or Unsqueeze makes of `shape`.
    pub(super) fn target_shape(&self, node: &Node, shape: &[usize]) -> Lowered<Vec<usize>> {
        let list = self.whole(node, 1)?;
        target(node, shape, list.as_deref(), self.model.opset)
    }
}

/// Refuses shapes that no tensor of a network can have.
pub(super) fn possible(shape: &[usize]) -> Lowered {
    let count = shape.iter().try_fold(1usize, |n, &e| n.checked_mul(e).filter(|&n| n < 1 << 31));
    if shape.len() > dyadic_kernels::params::MAX_RANK || count.is_none_or(|n| n == 0) {
        return refuse(format!("a tensor of shape {shape:?}, expected 1 to 2^31 - 1 elements and 8 axes"));
    }
    Ok(())
}

/// An axis that may count from the end.
pub(super) fn axis(value: i64, rank: usize) -> Lowered<usize> {
    let wrapped = if value < 0 { value.saturating_add(rank as i64) } else { value };
    match usize::try_from(wrapped) {
        Ok(axis) if axis < rank => Ok(axis),
        _ => refuse(format!("axis {value} of a tensor with {rank} axes")),
    }
}

/// Different axes, ascending.
pub(super) fn axes(values: &[i64], rank: usize) -> Lowered<Vec<usize>> {
    let mut axes = values.iter().map(|&v| axis(v, rank)).collect::<Lowered<Vec<_>>>()?;
    axes.sort_unstable();
    if axes.windows(2).any(|w| w[0] == w[1]) {
        return refuse(format!("axes {values:?} name one twice"));
    }
    Ok(axes)
}

/// Numbers as extents.
pub(super) fn extents(values: &[i64]) -> Lowered<Vec<usize>> {
    match values.iter().map(|&v| usize::try_from(v).ok().filter(|&v| v < 1 << 31)).collect() {
        Some(extents) => Ok(extents),
        None => refuse(format!("a shape of {values:?}")),
    }
}

/// The shape that both broadcast to, as NumPy does.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Lowered<Vec<usize>> {
    let rank = a.len().max(b.len());
    let extent =
        |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |own| shape[own]);
    let both = |axis| match (extent(a, axis), extent(b, axis)) {
        (x, y) if x == y || y == 1 => Some(x),
        (1, y) => Some(y),
        _ => None,
    };
    match (0..rank).map(both).collect() {
        Some(shape) => Ok(shape),
        None => refuse(format!("shapes {a:?} and {b:?} do not broadcast")),
    }
}

/// Whether a constant of shape `own` has one element per element of `axis` of a tensor that it is broadcast to.
pub(super) fn along_channels(own: &[usize], shape: &[usize], axis: usize) -> bool {
    let Some(lead) = shape.len().checked_sub(own.len()) else { return false };
    let one = |a: usize| a + lead == axis || own[a] == 1;
    (0..own.len()).all(one) && shape.get(axis).copied() == Some(own.iter().product())
}

/// Indices that may count from the end.
pub(super) fn indices(values: &[i64], extent: usize) -> Lowered<Vec<i32>> {
    let index = |&v: &i64| {
        let v = if v < 0 { v.saturating_add(extent as i64) } else { v };
        i32::try_from(v).ok().filter(|&v| v >= 0 && (v as usize) < extent)
    };
    match values.iter().map(index).collect() {
        Some(indices) => Ok(indices),
        None => refuse(format!("indices beyond the extent {extent}")),
    }
}

/// A range along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slice {
    /// First element.
    pub start: usize,
    /// Distance.
    pub step: isize,
    /// How many.
    pub count: usize,
}

/// The ranges of a Slice node along all axes; starts, ends, axes and steps as inputs, or as attributes of old files.
pub(super) fn slices(node: &Node, shape: &[usize], inputs: [Option<Vec<i64>>; 4]) -> Lowered<Vec<Slice>> {
    let [starts, ends, axis_list, steps] = inputs;
    let attribute = |name| node.ints(name).map(|v| v.map(<[i64]>::to_vec));
    let starts = starts.map_or_else(|| attribute("starts"), |v| Ok(Some(v)))?.unwrap_or_default();
    let ends = ends.map_or_else(|| attribute("ends"), |v| Ok(Some(v)))?.unwrap_or_default();
    let axis_list = axis_list.map_or_else(|| attribute("axes"), |v| Ok(Some(v)))?;
    let axis_list = axis_list.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
    let counts = [starts.len(), ends.len(), axis_list.len(), steps.len()];
    if counts.iter().any(|&c| c != counts[0]) {
        return refuse(format!("starts, ends, axes and steps of different lengths {counts:?}"));
    }
    let mut slices: Vec<Slice> = shape.iter().map(|&count| Slice { start: 0, step: 1, count }).collect();
    for i in 0..starts.len() {
        let axis = axis(axis_list[i], shape.len())?;
        slices[axis] = slice(starts[i], ends[i], steps[i], shape[axis])?;
    }
    Ok(slices)
}

fn slice(start: i64, end: i64, step: i64, extent: usize) -> Lowered<Slice> {
    let extent = extent as i64;
    let from_end = |v: i64| if v < 0 { v.saturating_add(extent) } else { v };
    let (start, end, count) = match step {
        0 => return refuse("a slice with step 0"),
        1.. => {
            let (start, end) = (from_end(start).clamp(0, extent), from_end(end).clamp(0, extent));
            // Both lie within the extent, and the step is at least 1.
            (start, end, (end - start).max(0) as u64)
        }
        _ => {
            let (start, end) = (from_end(start).clamp(-1, extent - 1), from_end(end).clamp(-1, extent - 1));
            (start, end, (start - end).max(0) as u64)
        }
    };
    let count = count.div_ceil(step.unsigned_abs());
    if count == 0 {
        return refuse(format!("a slice from {start} to {end} by {step} is empty"));
    }
    // A single element needs no step, however large the stated one.
    let step = if count == 1 { 1 } else { step as isize };
    Ok(Slice { start: start as usize, step, count: count as usize })
}

/// The shape that Reshape, Flatten, Squeeze or Unsqueeze makes of `shape`; `list` is their second input.
pub(super) fn target(node: &Node, shape: &[usize], list: Option<&[i64]>, opset: i64) -> Lowered<Vec<usize>> {
    let attribute = if opset < 13 { node.ints("axes")? } else { None };
    let list = list.or(attribute);
    match node.op.as_str() {
        "Flatten" => {
            // The axis may also stand behind the last one.
            let axis = match node.int("axis", 1)? {
                a if a == shape.len() as i64 => shape.len(),
                a => axis(a, shape.len())?,
            };
            Ok(vec![shape[..axis].iter().product(), shape[axis..].iter().product()])
        }
        "Squeeze" => {
            let gone = match list {
                Some(list) => axes(list, shape.len())?,
                None => (0..shape.len()).filter(|&a| shape[a] == 1).collect(),
            };
            if let Some(axis) = gone.iter().find(|&&a| shape[a] != 1) {
                return refuse(format!("axis {axis} of {shape:?} is not 1"));
            }
            Ok((0..shape.len()).filter(|a| !gone.contains(a)).map(|a| shape[a]).collect())
        }
        "Unsqueeze" => {
            let list = list.unwrap_or(&[]);
            let added = axes(list, shape.len() + list.len())?;
            let mut result = shape.to_vec();
            added.iter().for_each(|&axis| result.insert(axis, 1));
            Ok(result)
        }
        _ => reshaped(shape, list.unwrap_or(&[]), node.int("allowzero", 0)? != 0),
    }
}

fn reshaped(shape: &[usize], target: &[i64], allow_zero: bool) -> Lowered<Vec<usize>> {
    let wrong = || refuse(format!("{shape:?} has another number of elements than {target:?}"));
    let mut result = Vec::with_capacity(target.len());
    let mut open = None;
    for (axis, &extent) in target.iter().enumerate() {
        match extent {
            -1 if open.is_none() => {
                open = Some(axis);
                result.push(1);
            }
            0 if !allow_zero => match shape.get(axis) {
                Some(&own) => result.push(own),
                None => return wrong(),
            },
            _ => match usize::try_from(extent) {
                Ok(extent) => result.push(extent),
                Err(_) => return wrong(),
            },
        }
    }
    let count: usize = shape.iter().product();
    let known = result.iter().try_fold(1usize, |n, &e| n.checked_mul(e));
    let Some(known) = known.filter(|&k| k > 0) else {
        return if count == 0 && open.is_none() { Ok(result) } else { wrong() };
    };
    if let Some(axis) = open {
        result[axis] = count / known;
    }
    if result.iter().product::<usize>() == count { Ok(result) } else { wrong() }
}
