//! The memory plan and the order of execution: what may share bytes, and when a value is gone.

use dyadic_format::operator::{
    AddParams, ConcatParams, MulParams, NO_TABLE, NoParams, SoftmaxParams, TableFunction, TableParams,
};
use dyadic_format::{ElemCode, Params, Problem, Rule};

use crate::models::Builder;
use crate::seal::{file, problem};

/// A network whose tensors are s8 `[1, 16]` at these places in the arena; tensor 0 is the input, the last the output.
struct Net {
    builder: Builder,
}

impl Net {
    fn new(places: &[u64]) -> Net {
        let mut builder = Builder::default();
        for (i, &place) in places.iter().enumerate() {
            builder.tensor_at(&format!("t{i}"), ElemCode::S8, &[1, 16], place);
        }
        builder.contents.inputs.push(0);
        builder.contents.outputs.push(places.len() as u32 - 1);
        Net { builder }
    }

    fn op(mut self, rule: Rule, params: Params, inputs: &[u32], output: u32) -> Net {
        self.builder.operator("", rule, params, inputs, output, &[]);
        self
    }

    /// A table look-up.
    fn look_up(mut self, input: u32, output: u32) -> Net {
        self.builder.contents.tables = vec![[0; 256]];
        let function = TableFunction::Tanh as u32;
        let params =
            TableParams { table: 0, function, lo: -128, hi: 127, argument: [0; 2], second_argument: [0; 2] };
        self.op(Rule::Table, Params::Table(params), &[input], output)
    }

    fn reshape(self, input: u32, output: u32) -> Net {
        self.op(Rule::Move, Params::Reshape(NoParams {}), &[input], output)
    }

    fn add(self, first: u32, second: u32, output: u32) -> Net {
        let params = AddParams { multipliers: [1, 1, 0], shifts: [1, 0, 0], lo: -128, hi: 127 };
        self.op(Rule::AddJoint, Params::Add(params), &[first, second], output)
    }

    fn softmax(self, input: u32, output: u32) -> Net {
        let params = SoftmaxParams { multiplier: 1 << 30, left_shift: 0, diff_min: 0, beta: [1, 0] };
        self.op(Rule::Softmax, Params::Softmax(params), &[input], output)
    }

    /// Two halves of `[1, 16]` each into `[2, 16]` or `[1, 32]`: a new tensor at `place`.
    fn concat(mut self, halves: [u32; 2], axis: u32, place: u64, tables: [u32; 2]) -> Net {
        let shape = if axis == 0 { [2, 16] } else { [1, 32] };
        let output = self.builder.tensor_at("stack", ElemCode::S8, &shape, place);
        self.builder.contents.outputs = vec![output];
        let params = Params::Concat(ConcatParams { axis });
        self.builder.operator("", Rule::Move, params, &halves, output, &tables);
        self
    }

    fn also(mut self, change: fn(&mut dyadic_format::Contents)) -> Net {
        change(&mut self.builder.contents);
        self
    }

    fn problem(&self) -> Option<Problem> {
        problem(&file(&self.builder.contents))
    }

    #[track_caller]
    fn opens(self) {
        assert_eq!(self.problem(), None);
    }

    #[track_caller]
    fn refused(self, expected: Problem) {
        assert_eq!(self.problem(), Some(expected));
    }
}

#[test]
fn values_are_written_once_before_they_are_read() {
    Net::new(&[0, 64, 128]).softmax(0, 1).softmax(1, 2).opens();
    Net::new(&[0, 64, 128]).softmax(1, 2).softmax(0, 1).refused(Problem::NotWritten { tensor: 1 });
    Net::new(&[0, 64]).softmax(1, 1).refused(Problem::NotWritten { tensor: 1 });
    Net::new(&[0, 64]).softmax(0, 1).softmax(0, 1).refused(Problem::WrittenTwice { tensor: 1 });
    Net::new(&[0, 64, 128]).softmax(0, 1).softmax(1, 0).refused(Problem::WrittenTwice { tensor: 0 });
    Net::new(&[0, 64]).refused(Problem::NotWritten { tensor: 1 });
    // A reshape in place writes its tensor too.
    Net::new(&[0, 0]).reshape(0, 1).reshape(0, 1).refused(Problem::WrittenTwice { tensor: 1 });
}

#[test]
fn every_tensor_is_used() {
    Net::new(&[0, 64, 128]).softmax(0, 2).refused(Problem::Unused { tensor: 1 });
    let net = Net::new(&[0, 64]).softmax(0, 1);
    let mut unread = net.builder;
    unread.constant("c", ElemCode::S8, &[3], 0, &[1, 2, 3]);
    assert_eq!(problem(&file(&unread.contents)), Some(Problem::Unused { tensor: 2 }));
    // An input that nobody reads, an output that is an input, an output twice.
    Net::new(&[0, 64, 128]).softmax(0, 2).also(|c| c.inputs.push(1)).opens();
    Net::new(&[0]).opens();
    Net::new(&[0, 64]).softmax(0, 1).also(|c| c.outputs = vec![1, 1]).opens();
    Net::new(&[0, 64]).softmax(0, 1).also(|c| c.outputs = vec![1, 0]).opens();
}

#[test]
fn a_value_that_was_overwritten_is_gone() {
    // The third tensor takes the place of the first, which the last operator reads.
    let over = |place| Net::new(&[0, 64, place, 128]).softmax(0, 1).softmax(1, 2);
    over(0).softmax(2, 3).opens();
    over(0).add(0, 2, 3).refused(Problem::Overwritten { tensor: 0 });
    // One byte is enough, at either end.
    over(15).add(0, 2, 3).refused(Problem::Overwritten { tensor: 0 });
    over(16).add(0, 2, 3).opens();
    Net::new(&[64, 0, 49, 128])
        .softmax(0, 1)
        .softmax(1, 2)
        .add(0, 2, 3)
        .refused(Problem::Overwritten { tensor: 0 });
    Net::new(&[64, 0, 48, 128]).softmax(0, 1).softmax(1, 2).add(0, 2, 3).opens();
    // A model output must live to the end.
    Net::new(&[0, 64, 0]).softmax(0, 1).softmax(1, 2).also(|c| c.outputs.push(1)).opens();
    Net::new(&[0, 64, 0])
        .softmax(0, 1)
        .softmax(1, 2)
        .also(|c| c.outputs.push(0))
        .refused(Problem::Overwritten { tensor: 0 });
}

#[test]
fn only_element_wise_operators_work_in_place() {
    let in_place = |place| Net::new(&[64, place]);
    in_place(64).look_up(0, 1).opens();
    in_place(64).softmax(0, 1).refused(Problem::Overlap { tensor: 1, other: 0 });
    for place in [49, 60, 63, 65, 79] {
        in_place(place).look_up(0, 1).refused(Problem::Overlap { tensor: 1, other: 0 });
        in_place(place).add(0, 0, 1).refused(Problem::Overlap { tensor: 1, other: 0 });
        in_place(place).reshape(0, 1).refused(Problem::Overlap { tensor: 1, other: 0 });
    }
    for place in [48, 80] {
        in_place(place).look_up(0, 1).opens();
    }
    // Only the first input may be the one that is overwritten.
    Net::new(&[0, 64, 64]).softmax(0, 1).add(1, 0, 2).opens();
    Net::new(&[0, 64, 64]).softmax(0, 1).add(0, 1, 2).refused(Problem::Overlap { tensor: 2, other: 1 });
    in_place(64).add(0, 0, 1).refused(Problem::Overlap { tensor: 1, other: 0 });
    Net::new(&[0, 64, 64])
        .softmax(0, 1)
        .add(1, 0, 2)
        .also(|c| c.outputs.push(1))
        .refused(Problem::Overwritten { tensor: 1 });
    // Another shape is not element-wise, another type neither.
    in_place(64)
        .look_up(0, 1)
        .also(|c| (c.tensors[1].dims[0], c.tensors[1].dims[1]) = (4, 4))
        .refused(Problem::Overlap { tensor: 1, other: 0 });
    let mut wider = Builder::default();
    wider.tensor_at("a", ElemCode::S8, &[1, 16], 0);
    wider.tensor_at("b", ElemCode::S16, &[1, 8], 0);
    (wider.contents.inputs, wider.contents.outputs) = (vec![0], vec![1]);
    let params = MulParams { multiplier: 1 << 30, shift: 30, lo: 0, hi: 0 };
    wider.operator("", Rule::RequantOnce, Params::Requantize(params), &[0], 1, &[]);
    assert_eq!(problem(&file(&wider.contents)), Some(Problem::Overlap { tensor: 1, other: 0 }));
}

#[test]
fn a_reshape_in_place_keeps_its_input() {
    let both = |net: Net| net.add(0, 1, 2);
    both(Net::new(&[0, 0, 64]).reshape(0, 1)).opens();
    both(Net::new(&[0, 0, 0]).reshape(0, 1)).refused(Problem::Overlap { tensor: 2, other: 1 });
    // A look-up in place does not.
    both(Net::new(&[0, 0, 64]).look_up(0, 1)).refused(Problem::Overwritten { tensor: 0 });
    // What overwrites one name overwrites the other.
    let net = Net::new(&[0, 0, 0, 64]).reshape(0, 1).look_up(1, 2);
    net.add(0, 2, 3).refused(Problem::Overwritten { tensor: 0 });
}

#[test]
fn branches_may_lie_where_they_are_copied_to() {
    let halves = |places: [u64; 2]| Net::new(&[0, places[0], places[1]]).softmax(0, 1).softmax(0, 2);
    let plain = [NO_TABLE, NO_TABLE];
    for axis in [0, 1] {
        halves([64, 80]).concat([1, 2], axis, 64, plain).opens();
        halves([64, 192]).concat([1, 2], axis, 64, plain).opens();
        halves([192, 80]).concat([1, 2], axis, 64, plain).opens();
        halves([128, 192]).concat([1, 2], axis, 64, plain).opens();
        halves([80, 64]).concat([1, 2], axis, 64, plain).refused(Problem::Overlap { tensor: 3, other: 1 });
        halves([192, 81]).concat([1, 2], axis, 64, plain).refused(Problem::Overlap { tensor: 3, other: 2 });
        halves([192, 95]).concat([1, 2], axis, 64, plain).refused(Problem::Overlap { tensor: 3, other: 2 });
        halves([192, 96]).concat([1, 2], axis, 64, plain).opens();
        // The second branch would be read again after the first was written over it.
        halves([64, 80]).concat([2, 1], axis, 64, plain).refused(Problem::Overlap { tensor: 3, other: 2 });
    }
    // A branch that is rescaled is not in place.
    let net = halves([64, 80]).also(|c| c.tables.push([0; 256]));
    net.concat([1, 2], 0, 64, [NO_TABLE, 0]).refused(Problem::Overlap { tensor: 3, other: 2 });
    // Nor are branches whose rows interleave.
    let mut net = halves([64, 80]).concat([1, 2], 1, 64, plain);
    (net.builder.contents.tensors[3].dims[0], net.builder.contents.tensors[3].dims[1]) = (2, 16);
    net.refused(Problem::Overlap { tensor: 3, other: 1 });
    // A branch is gone once the whole is written.
    halves([64, 80])
        .concat([1, 2], 0, 64, plain)
        .also(|c| c.outputs.push(1))
        .refused(Problem::Overwritten { tensor: 1 });
}

#[test]
fn model_inputs_lie_apart() {
    let two = |place| Net::new(&[0, place, 64]).add(0, 1, 2).also(|c| c.inputs.push(1));
    two(16).opens();
    two(15).refused(Problem::Overlap { tensor: 1, other: 0 });
    two(0).refused(Problem::Overlap { tensor: 1, other: 0 });
    Net::new(&[0, 64])
        .softmax(0, 1)
        .also(|c| c.inputs.push(0))
        .refused(Problem::Overlap { tensor: 0, other: 0 });
}

#[test]
fn the_arena_has_the_size_of_the_plan() {
    for (size, opens) in [(79, false), (80, false), (127, false), (128, true), (129, false), (192, false)] {
        let mut net = Net::new(&[0, 64]).softmax(0, 1);
        net.builder.contents.arena_bytes = size;
        assert_eq!(net.problem().is_none(), opens, "{size}");
    }
}

#[test]
fn the_work_is_bounded() {
    // Many operators over the same bytes: every write takes away what it touches, once.
    let mut net = Net::new(&[0; 1]);
    let count = if cfg!(miri) { 50 } else { 20_000u32 };
    for i in 1..=count {
        // Two places by turns, each overlapping four others by a byte or more.
        let place = u64::from(i % 2) * 64 + u64::from(i % 5);
        net.builder.tensor_at("", ElemCode::S8, &[1, 16], place);
        net = net.softmax(i - 1, i);
    }
    net.builder.contents.outputs = vec![count];
    net.opens();
}
