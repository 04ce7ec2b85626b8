//! Files with wrong fields and right checksums, opened, lowered and run: refused somewhere, or the same bytes on every
//! instruction set; never a panic.

use dyadic_format::operator::{
    AddParams, ArgMaxParams, ConcatParams, MeanParams, MulParams, NoParams, PadParams, PoolParams,
    ResizeParams, SoftmaxParams, StridedCopyParams, TableParams,
};
use dyadic_format::tensor::MAX_RANK;
use dyadic_format::write::write;
use dyadic_format::{Contents, ElemCode, OpKind, Params, Rule, Storage};
use dyadic_kernels::ElemType::{self, S4, S8, S16, S32, U4, U8};
use dyadic_runtime::{Cpu, IsaKind, LoadError, Model, Options, Session};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::builder::Builder;
use super::bytes;
use super::refusals::{conv, one};

/// A small model of every kind of operator, most of them in 8 bits.
fn models() -> Vec<Contents> {
    let x: (ElemType, &[usize]) = (U8, &[1, 4, 4, 4]);
    let plain = |_: &mut _| {};
    let pool = PoolParams { kernel: [2, 2], stride: [2, 2], pad: [0, 0], constants_first: 0, lo: 0, hi: 255 };
    let y: (ElemType, &[usize]) = (U8, &[1, 2, 2, 4]);
    let add = AddParams { multipliers: [1 << 22, 1 << 21, 0], shifts: [23, 0, 0], lo: 0, hi: 255 };
    let mul = MulParams { multiplier: 1 << 30, shift: 36, lo: 0, hi: 255 };
    let mean = MeanParams { axes: 6, multiplier: 1 << 30, shift: 34, lo: 0, hi: 255 };
    let softmax = SoftmaxParams { multiplier: 1 << 30, left_shift: 20, diff_min: -255, beta: [1, 0] };
    let resize = ResizeParams { coordinates: 1 };
    let pad = PadParams { before: [0, 1, 1, 0, 0, 0, 0, 0], value: 0 };
    let strided = StridedCopyParams { start: 0, strides: [0, 4, 16, 1, 0, 0, 0, 0] };
    let table =
        TableParams { table: 0, function: 1, lo: 0, hi: 255, argument: [0; 2], second_argument: [0; 2] };
    let mut looked_up = one(Rule::Table, Params::Table(table), &[x], x);
    looked_up.contents.tables.push(std::array::from_fn(|i| i as u8 ^ 0x55));
    let concat = Params::Concat(ConcatParams { axis: 1 });
    let reshape = |elem| one(Rule::Move, Params::Reshape(NoParams {}), &[(elem, &[3, 3])], (elem, &[9]));
    let nearest = |elem| {
        let params = Params::ResizeNearest(resize);
        one(Rule::Nearest, params, &[(elem, &[3, 2, 2, 1])], (elem, &[3, 3, 3, 1]))
    };
    let all = [
        conv(plain, x.1, (S8, &[6, 3, 3, 4], 0), (U8, &[1, 2, 2, 6]), Params::Conv2d),
        conv(|p| p.groups = 2, x.1, (S4, &[6, 3, 3, 2], 0), (U8, &[1, 2, 2, 6]), Params::Conv2d),
        conv(|p| p.groups = 4, x.1, (U8, &[4, 3, 3, 1], 3), (S8, y.1), Params::DepthwiseConv2d),
        conv(plain, &[3, 8], (S8, &[5, 8], 0), (U8, &[3, 5]), Params::FullyConnected),
        one(Rule::AddJoint, Params::Add(add), &[x, x], x),
        one(Rule::AddJoint, Params::Sub(add), &[x, (U8, &[4])], x),
        one(Rule::MulOnce, Params::Mul(mul), &[x, (U8, &[4])], x),
        looked_up,
        one(Rule::RequantOnce, Params::Requantize(mul), &[(S16, &[7])], (U8, &[7])),
        one(Rule::AverageHalfAway, Params::AveragePool2d(pool), &[x], y),
        one(Rule::Max, Params::MaxPool2d(pool), &[x], y),
        one(Rule::MeanOnce, Params::Mean(mean), &[x], (U8, &[4])),
        one(Rule::Softmax, Params::Softmax(softmax), &[(U8, &[3, 9])], (U8, &[3, 9])),
        one(Rule::ArgMax, Params::ArgMax(ArgMaxParams { axis: 1 }), &[(S8, &[3, 9])], (S32, &[3])),
        one(Rule::Bilinear10, Params::ResizeBilinear(resize), &[x], (U8, &[1, 7, 5, 4])),
        nearest(U8),
        nearest(U4),
        one(Rule::Move, Params::Pad(pad), &[x], (U8, &[1, 6, 6, 4])),
        one(Rule::Move, concat, &[x, x], (U8, &[1, 8, 4, 4])),
        one(Rule::Move, Params::StridedCopy(strided), &[x], x),
        one(Rule::Move, Params::Tile(NoParams {}), &[x], (U8, &[2, 4, 8, 4])),
        reshape(S16),
        reshape(S4),
    ];
    all.into_iter().map(|builder: Builder| builder.contents).collect()
}

/// Values for a field of 32 bits that is now `old`.
fn values(old: i32) -> impl Iterator<Item = i32> {
    let near = [old.wrapping_add(1), old.wrapping_sub(1), old.wrapping_mul(2), old / 2];
    let far = [0, 1, 2, 3, 5, 64, 255, 4096, 1 << 16, 1 << 28, 1 << 30, i32::MAX, i32::MIN, -1, -2];
    near.into_iter().chain(far)
}

/// One field of the contents, by number: what a tensor is, what an operator does, what it names.
fn field(c: &mut Contents, number: usize) -> Option<&mut dyn Field> {
    const TENSOR: usize = MAX_RANK + 6;
    const OPERATOR: usize = 28;
    let (tensors, operators) = (c.tensors.len() * TENSOR, c.operators.len() * OPERATOR);
    if number < tensors {
        let t = &mut c.tensors[number / TENSOR];
        return Some(match number % TENSOR {
            0 => &mut t.elem,
            1 => &mut t.rank,
            2 => &mut t.zero_point,
            3 => &mut t.storage,
            4 => &mut t.lo,
            5 => &mut t.offset,
            axis => &mut t.dims[axis - 6],
        });
    }
    if number < tensors + operators {
        let op = &mut c.operators[(number - tensors) / OPERATOR];
        return Some(match (number - tensors) % OPERATOR {
            0 => &mut op.kind,
            1 => &mut op.rule,
            2 => &mut op.inputs,
            3 => &mut op.operands_first,
            word => &mut op.params[word - 4],
        });
    }
    let rest = number - tensors - operators;
    let lists = c.operands.iter_mut().chain(&mut c.inputs).chain(&mut c.outputs);
    lists
        .map(|word| word as &mut dyn Field)
        .chain(c.constants.iter_mut().map(|w| w as &mut dyn Field))
        .nth(rest)
}

/// A number of any width in a record.
trait Field {
    fn get(&self) -> i32;
    fn set(&mut self, value: i32);
}

macro_rules! fields {
    ($($number:ty)*) => {$(
        impl Field for $number {
            fn get(&self) -> i32 { *self as i32 }
            fn set(&mut self, value: i32) { *self = value as $number }
        }
    )*};
}
fields!(u8 u16 u32 u64 i32);

/// Makes sizes, places and constants follow from shapes and types again, so that a change gets past the format.
fn repair(c: &mut Contents) {
    let (old, mut arena) = (core::mem::take(&mut c.weights), 0);
    for i in 0..c.tensors.len() {
        let t = &mut c.tensors[i];
        let Some(elem) = ElemCode::from_number(t.elem) else { continue };
        let elements = t.shape().iter().fold(1u64, |n, &e| n.saturating_mul(e.into()));
        t.bytes = elements.saturating_mul(elem.bits()).div_ceil(8);
        let (min, max) = elem.range();
        (t.lo, t.hi) = (min, max);
        t.zero_point = if elem == ElemCode::S32 { 0 } else { t.zero_point.clamp(min, max) };
        if t.storage == Storage::Arena as u8 {
            t.offset = arena;
            arena = arena.saturating_add(t.bytes).min(1 << 41).next_multiple_of(64);
        } else if t.bytes < 1 << 16 && !old.is_empty() {
            let mut bytes: Vec<u8> = old.iter().copied().cycle().take(t.bytes as usize).collect();
            if let (4, 1, Some(last)) = (elem.bits(), elements % 2, bytes.last_mut()) {
                *last &= 0x0f;
            }
            let offset = c.weights(&bytes);
            c.tensors[i].offset = offset;
        }
    }
    c.arena_bytes = arena;
    let output = c.outputs.first().and_then(|&o| c.tensors.get(o as usize));
    let channels = output.and_then(|t| t.shape().last()).map_or(1, |&n| n.min(1 << 12) as usize);
    if matches!(OpKind::from_number(c.operators[0].kind), Some(kind) if (kind as u16) <= 3) {
        c.constants = [vec![5; channels], vec![1 << 30; channels], vec![40; channels]].concat();
    }
}

/// How far a file came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reached {
    Open,
    Lowering,
    Run,
}

fn attempt(contents: &Contents) -> Reached {
    let Ok(model) = Model::copy_of(&write(contents)) else { return Reached::Open };
    let cpu = Cpu::detect();
    let mut expected: Option<Vec<Vec<u8>>> = None;
    for isa in IsaKind::ALL.into_iter().filter(|&isa| cpu.has(isa)) {
        let options = Options { isa: Some(isa), memory_limit: 1 << 20, ..Options::default() };
        let mut session = match Session::new(model.clone(), &options) {
            Ok(session) => session,
            // Kernels differ in the scratch and the packed weights they need.
            Err(LoadError::Memory { .. }) => continue,
            Err(error) => {
                assert!(expected.is_none(), "{}: {error}, but another takes it", isa.name());
                continue;
            }
        };
        let inputs: Vec<Vec<u8>> = model.inputs().iter().map(|i| bytes(i.bytes, 7)).collect();
        let mut outputs: Vec<Vec<u8>> = model.outputs().iter().map(|o| vec![0; o.bytes]).collect();
        let inputs: Vec<&[u8]> = inputs.iter().map(|i| &i[..]).collect();
        let mut slots: Vec<&mut [u8]> = outputs.iter_mut().map(|o| &mut o[..]).collect();
        session.run_with(&inputs, &mut slots).unwrap_or_else(|e| panic!("{e}"));
        let expected = expected.get_or_insert_with(|| outputs.clone());
        assert_eq!(*expected, outputs, "{}", isa.name());
    }
    if expected.is_some() { Reached::Run } else { Reached::Lowering }
}

#[test]
fn every_field_with_every_hostile_value() {
    let mut counts = [0; 3];
    for (number, contents) in models().iter().enumerate() {
        assert_eq!(attempt(contents), Reached::Run, "model {number}");
        for place in 0.. {
            let mut old = contents.clone();
            let Some(old) = field(&mut old, place).map(|f| f.get()) else { break };
            for value in values(old) {
                let mut changed = contents.clone();
                field(&mut changed, place).expect("a field").set(value);
                counts[attempt(&changed) as usize] += 1;
                repair(&mut changed);
                counts[attempt(&changed) as usize] += 1;
            }
        }
    }
    let all: usize = counts.iter().sum();
    assert!(
        counts[1] > all / 100 && counts[2] > all / 100,
        "too few get past the format: {counts:?} of {all}"
    );
}

#[test]
fn shapes_and_types_at_random() {
    let models = models();
    let mut runner =
        TestRunner::new(Config { cases: 20_000, failure_persistence: None, ..Config::default() });
    let reached = std::cell::RefCell::new([0; 3]);
    let change = (any::<prop::sample::Index>(), prop_oneof![1..9i32, 1..70i32, any::<i32>()]);
    let strategy = (0..models.len(), prop::collection::vec(change, 1..4));
    let run = runner.run(&strategy, |(model, changes)| {
        let mut contents = models[model].clone();
        let count = (0..).take_while(|&place| field(&mut contents, place).is_some()).count();
        for (place, value) in changes {
            field(&mut contents, place.index(count)).expect("a field").set(value);
        }
        repair(&mut contents);
        reached.borrow_mut()[attempt(&contents) as usize] += 1;
        Ok(())
    });
    run.unwrap_or_else(|e| panic!("{e}"));
    let counts = reached.into_inner();
    assert!(counts[1] > 200 && counts[2] > 200, "too few get past the format: {counts:?}");
}
