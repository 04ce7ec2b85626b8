//! From the intermediate representation to the contents of a file: rules and constants by contract, arena offsets
//! from the memory plan, ranges and intervals from the proof.

use std::collections::HashMap;

use dyadic_format::operator::{NO_TABLE, NoParams, TableFunction};
use dyadic_format::{Contents, Params, Rule, Storage, TensorRecord};

use crate::ir::{Graph, Node, Op, Tensor, TensorId};
use crate::memory_plan::MemoryPlan;
use crate::prove::{Overflow, prove};
use crate::quantize::Contract;
use crate::quantize::dyadic::{FactorError, frexp};
use crate::quantize::scale::to_record;
use crate::records::{Program, elem_code, interval};

mod convolution;
mod limits;
mod params;

pub use params::{arguments_to_words, table_function, table_of};

/// Why a graph cannot become a file.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EmitError {
    /// A node's scales have no dyadic form.
    #[error("{node}: {source}")]
    Factor {
        /// The node's sources.
        node: String,
        /// Which ratio.
        source: FactorError,
    },
    /// An accumulator may overflow.
    #[error("{node}: {source}")]
    Overflow {
        /// The node's sources.
        node: String,
        /// Where.
        source: Overflow,
    },
    /// A node cannot be written: its arithmetic under the contract, or its size.
    #[error("{node}: {reason}")]
    Contract {
        /// The node's sources.
        node: String,
        /// Why.
        reason: String,
    },
}

/// Fills tensors, operators and everything they refer to; labels, recipe, packed weights and provenance are added by
/// the caller.
///
/// # Errors
/// See [`EmitError`].
pub fn emit(graph: &Graph, plan: &MemoryPlan, contract: Contract) -> Result<Contents, EmitError> {
    let mut emitter = Emitter {
        graph,
        plan,
        contract,
        contents: Contents { arena_bytes: plan.arena_bytes as u64, ..Contents::default() },
        tensors: HashMap::new(),
        tables: HashMap::new(),
    };
    for &input in &graph.inputs {
        let number = emitter.tensor(input);
        emitter.contents.inputs.push(number);
    }
    for node in &graph.nodes {
        emitter.node(node)?;
    }
    for &output in &graph.outputs {
        let number = emitter.tensor(output);
        emitter.contents.outputs.push(number);
    }
    let mut contents = emitter.contents;
    store_proof(&mut contents, graph)?;
    Ok(contents)
}

fn store_proof(contents: &mut Contents, graph: &Graph) -> Result<(), EmitError> {
    let proof = prove(&Program::of_contents(contents))
        .map_err(|source| EmitError::Overflow { node: name(&graph.nodes[source.operator]), source })?;
    limits::check_codes(contents, &proof, graph)?;
    for (number, intervals) in proof.intervals.iter().enumerate() {
        check_left_shift(contents, number, intervals, &graph.nodes[number])?;
        check_product_shift(contents, number, &proof.ranges, graph)?;
    }
    for (tensor, &(lo, hi)) in contents.tensors.iter_mut().zip(&proof.ranges) {
        (tensor.lo, tensor.hi) = (lo, hi);
    }
    for (operator, intervals) in contents.operators.iter_mut().zip(&proof.intervals) {
        operator.intervals_first = contents.intervals.len() as u32;
        operator.intervals_count = intervals.len() as u32;
        contents.intervals.extend(intervals.iter().map(|&i| interval(i)));
    }
    Ok(())
}

/// The same for a product: TFLite shifts it left in 32 bits where the factor is above 1.
fn check_product_shift(
    contents: &Contents,
    number: usize,
    ranges: &[crate::prove::Range],
    graph: &Graph,
) -> Result<(), EmitError> {
    let (op, node) = (&contents.operators[number], &graph.nodes[number]);
    if op.rule != Rule::MulTwice as u16 {
        return Ok(());
    }
    let scale = |t: usize| graph.tensors[t].scale();
    let (_, left) = frexp(f64::from(scale(node.inputs[0]) * scale(node.inputs[1]) / scale(node.output)));
    let program = Program::of_contents(contents);
    let largest = |input: usize| {
        let (lo, hi) = ranges[program.operand(op, input)];
        let zero_point = i64::from(program.input(op, input).zero_point);
        (i64::from(lo) - zero_point).abs().max((i64::from(hi) - zero_point).abs())
    };
    let product = largest(0) * largest(1);
    // A shift of 31 and more has no result in TFLite to reproduce (the scale of a gate that training never opened): every
    // product but zero saturates.
    if !(1..31).contains(&left) || product << left <= i64::from(i32::MAX) {
        return Ok(());
    }
    let reason = format!(
        "products up to {product} times 2^{left} leave 32 bits, where TFLite wraps; compile with --rounding dyadic"
    );
    Err(EmitError::Contract { node: name(node), reason })
}

/// TFLite shifts the accumulator of a factor above 1 left in 32 bits; where that could wrap its result is an accident
/// that the rule does not reproduce.
fn check_left_shift(
    contents: &Contents,
    number: usize,
    intervals: &[crate::prove::Interval],
    node: &Node,
) -> Result<(), EmitError> {
    let op = &contents.operators[number];
    let program = Program::of_contents(contents);
    let Some((_, conv)) =
        crate::pack::convolution(&program, op).filter(|_| op.rule == Rule::RequantTwice as u16)
    else {
        return Ok(());
    };
    for (channel, (&(lo, hi), &shift)) in intervals.iter().zip(conv.shifts).enumerate() {
        let largest = lo.unsigned_abs().max(hi.unsigned_abs());
        let left = 31 - shift;
        if left > 0 && largest << left >= 1 << 31 {
            let reason = format!(
                "the factor of output channel {channel} is above 1 and its accumulator may reach {largest}, which \
                 TFLite shifts out of 32 bits; compile with the dyadic contract"
            );
            return Err(EmitError::Contract { node: name(node), reason });
        }
    }
    Ok(())
}

/// A node by its sources.
pub fn name(node: &Node) -> String {
    node.sources.join(",")
}

/// Most bytes of a text in a file.
const MAX_TEXT: usize = (1 << 16) - 1;

/// As much of a text as a file holds: names are for people, and nobody reads 65,535 bytes of one.
pub(crate) fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
}

struct Emitter<'a> {
    graph: &'a Graph,
    plan: &'a MemoryPlan,
    contract: Contract,
    contents: Contents,
    /// Numbers of the tensors that were written.
    tensors: HashMap<TensorId, u32>,
    /// Numbers of the tables that were written.
    tables: HashMap<[u8; 256], u32>,
}

impl<'a> Emitter<'a> {
    fn ir(&self, id: TensorId) -> &'a Tensor {
        &self.graph.tensors[id]
    }

    /// Number of a tensor in the file; written at first use.
    fn tensor(&mut self, id: TensorId) -> u32 {
        if let Some(&number) = self.tensors.get(&id) {
            return number;
        }
        let tensor = self.ir(id);
        let (storage, offset) = match (&tensor.data, self.plan.offsets[id]) {
            (Some(data), _) => (Storage::Constant, self.contents.weights(data)),
            (None, offset) => (Storage::Arena, offset.unwrap_or(0) as u64),
        };
        let mut dims = [1; 8];
        for (dim, &extent) in dims.iter_mut().zip(&tensor.shape) {
            *dim = extent as u32;
        }
        let record = TensorRecord {
            name: self.contents.text(shortened(&tensor.name)),
            elem: elem_code(tensor.elem) as u8,
            storage: storage as u8,
            rank: tensor.shape.len() as u8,
            reserved: 0,
            zero_point: tensor.zero_point,
            dims,
            offset,
            bytes: tensor.bytes() as u64,
            scale_first: self.contents.scales.len() as u32,
            scale_count: tensor.scales.len() as u32,
            lo: tensor.elem.min(),
            hi: tensor.elem.max(),
            codes: tensor.codes.map_or([0; 2], |(lo, hi)| [lo, hi]),
            reserved2: [0; 2],
        };
        self.contents.scales.extend(tensor.scales.iter().map(|&s| to_record(s)));
        self.contents.tensors.push(record);
        let number = self.contents.tensors.len() as u32 - 1;
        self.tensors.insert(id, number);
        number
    }

    /// Number of a table in the file; equal tables are stored once.
    fn table(&mut self, table: [u8; 256]) -> u32 {
        let next = self.contents.tables.len() as u32;
        let number = *self.tables.entry(table).or_insert(next);
        if number == next {
            self.contents.tables.push(table);
        }
        number
    }

    fn node(&mut self, node: &Node) -> Result<(), EmitError> {
        let failed = |source| EmitError::Factor { node: name(node), source };
        if node.inputs.len() > usize::from(u16::MAX) {
            let reason = format!("{} inputs where a record counts at most {}", node.inputs.len(), u16::MAX);
            return Err(EmitError::Contract { node: name(node), reason });
        }
        self.check_limits(node)?;
        let (rule, params, tables) = match &node.op {
            Op::Conv(conv) => {
                let (rule, params) = self.convolution(node, conv).map_err(failed)?;
                (rule, params, Vec::new())
            }
            Op::Concat { axis } => {
                let tables = self.concat_tables(node).map_err(failed)?;
                let axis = *axis as u32;
                (Rule::Move, Params::Concat(dyadic_format::operator::ConcatParams { axis }), tables)
            }
            _ => {
                let (rule, params) = self.params(node).map_err(failed)?;
                (rule, params, Vec::new())
            }
        };
        let inputs: Vec<u32> = node.inputs.iter().map(|&t| self.tensor(t)).collect();
        let output = self.tensor(node.output);
        self.contents.operator(shortened(&name(node)), rule, params, &inputs, output, &tables);
        Ok(())
    }

    /// Table numbers of the branches of a concatenation.
    fn concat_tables(&mut self, node: &Node) -> Result<Vec<u32>, FactorError> {
        let to = self.ir(node.output);
        let function = concat_function(self.contract);
        let mut numbers = Vec::with_capacity(node.inputs.len());
        for &input in &node.inputs {
            let from = self.ir(input);
            let number = if from.fits(to) || to.scales.is_empty() {
                NO_TABLE
            } else {
                let table =
                    crate::quantize::table::build(function, [0.0; 2], side(from), side(to), to.code_range())?;
                self.table(table)
            };
            numbers.push(number);
        }
        Ok(numbers)
    }
}

/// How a concatenation rescales a branch.
pub fn concat_function(contract: Contract) -> TableFunction {
    match contract {
        Contract::Dyadic => TableFunction::RescaleOnce,
        Contract::Tflite => TableFunction::RescaleFloat,
    }
}

/// One side of a table.
fn side(tensor: &Tensor) -> crate::quantize::table::Side {
    let Tensor { elem, zero_point, .. } = *tensor;
    crate::quantize::table::Side { elem, scale: tensor.scale(), zero_point }
}

/// The clamp of an activation on an output tensor, within the codes of its quantizer.
fn clamp(activation: crate::ir::Activation, to: &Tensor) -> (i32, i32) {
    let (lo, hi) = crate::quantize::factors::clamp(activation, to.elem, to.scale(), to.zero_point);
    crate::quantize::factors::within((lo, hi), to.code_range())
}

/// An empty parameter block.
const NONE: NoParams = NoParams {};
