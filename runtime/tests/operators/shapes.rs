//! Pooling, reductions, resizing and data movement against the reference.

use dyadic_format::operator::{
    ArgMaxParams, ConcatParams, MeanParams, NO_TABLE, NoParams, PadParams, PoolParams, ResizeParams,
    SoftmaxParams, StridedCopyParams,
};
use dyadic_format::{Params, Rule};
use dyadic_kernels::ElemType::{S8, S32, U4, U8};
use dyadic_kernels::geometry::Window;
use dyadic_kernels::params::*;
use dyadic_kernels::reference;
use dyadic_kernels::requant::Rounding;

use super::builder::Builder;
use super::{HALF, axis, bytes, check, end, quant};

#[test]
fn pooling() {
    let window = Window { y: axis(31, 15, 3, 2, 1, 0), x: axis(30, 16, 2, 2, 1, 1) };
    let (batch, channels) = (2, 19);
    let pool = |constants_first| PoolParams {
        kernel: [3, 2],
        stride: [2, 2],
        pad: [0, 1],
        constants_first,
        lo: -90,
        hi: 110,
    };
    let input = bytes(batch * 31 * 30 * channels, 11);
    let mut expected = vec![0; batch * 15 * 16 * channels];
    for rule in [Rule::AverageOnce, Rule::AverageHalfAway, Rule::Max] {
        let mut b = Builder::default();
        let from = b.input(S8, &[batch, 31, 30, channels], 4);
        let zero_point = if rule == Rule::AverageOnce { -6 } else { 4 };
        let to = b.tensor(S8, &[batch, 15, 16, channels], zero_point);
        let multipliers: Vec<i32> = (1..=6).map(|n| (1 << 30) + 1000 * n).collect();
        let shifts: Vec<i32> = (1..=6).map(|n| 30 + n).collect();
        let output = end(S8, zero_point, -90, 110);
        let params = match rule {
            Rule::Max => Params::MaxPool2d(pool(0)),
            Rule::AverageOnce => {
                let words: Vec<i32> = [&multipliers[..], &shifts[..]].concat();
                Params::AveragePool2d(pool(b.constants(&words)))
            }
            _ => Params::AveragePool2d(pool(0)),
        };
        b.operator(rule, params, &[from], to, &[]);
        b.output(to);
        let average = |rule| AveragePool { batch, window, channels, input: quant(S8, 4), rule, output };
        match rule {
            Rule::Max => {
                let max = MaxPool { batch, window, channels, elem: S8, lo: -90, hi: 110 };
                reference::max_pool(&max, &input, &mut expected);
            }
            Rule::AverageOnce => {
                let rule = AverageRule::Rescale { multipliers: &multipliers, shifts: &shifts };
                reference::average_pool(&average(rule), &input, &mut expected);
            }
            _ => reference::average_pool(&average(AverageRule::RawHalfAway), &input, &mut expected),
        }
        check(&b, &[&input], &expected);
    }
}

#[test]
fn means_softmax_and_argmax() {
    let input = bytes(2 * 7 * 5 * 33, 12);
    for axes in [0b0110, 0b1000, 0b0001, 0b0101] {
        let shape = [2, 7, 5, 33];
        let kept: usize = (0..4).filter(|a| axes & 1 << a == 0).map(|a| shape[a]).product();
        let mut b = Builder::default();
        let from = b.input(U8, &shape, 128);
        let to = b.tensor(U8, &[kept], 120);
        let params = MeanParams { axes, multiplier: HALF.multiplier, shift: 36, lo: 0, hi: 255 };
        b.operator(Rule::MeanOnce, Params::Mean(params), &[from], to, &[]);
        b.output(to);
        let mean = Mean {
            shape: Dims::new(&shape).expect("small"),
            axes: std::array::from_fn(|a| axes & 1 << a != 0),
            input: quant(U8, 128),
            scale: HALF,
            rounding: Rounding::Once,
            output: end(U8, 120, 0, 255),
        };
        let mut expected = vec![0; kept];
        reference::mean(&mean, &input, &mut expected);
        check(&b, &[&input], &expected);
    }

    let mut b = Builder::default();
    let from = b.input(U8, &[70, 33], 3);
    let to = b.tensor(S8, &[70, 33], -128);
    let params = SoftmaxParams { multiplier: 1 << 30, left_shift: 22, diff_min: -255, beta: [1, 0] };
    b.operator(Rule::Softmax, Params::Softmax(params), &[from], to, &[]);
    b.output(to);
    let softmax =
        Softmax { depth: 33, elem: U8, output: S8, multiplier: 1 << 30, left_shift: 22, diff_min: -255 };
    let mut expected = vec![0; 2310];
    reference::softmax(&softmax, &input, &mut expected);
    check(&b, &[&input], &expected);

    for (axis, outer, depth, inner) in [(2, 14, 5, 33), (3, 70, 33, 1), (0, 1, 2, 1155)] {
        let mut b = Builder::default();
        let from = b.input(U8, &[2, 7, 5, 33], 0);
        let to = b.tensor(S32, &[outer * inner], 0);
        b.operator(Rule::ArgMax, Params::ArgMax(ArgMaxParams { axis }), &[from], to, &[]);
        b.output(to);
        let mut expected = vec![0; 4 * outer * inner];
        reference::argmax(U8, outer, depth, inner, &input, &mut expected);
        check(&b, &[&input], &expected);
    }
}

#[test]
fn resizing() {
    let input = bytes(2 * 9 * 7 * 21, 13);
    for rule in
        [Rule::Bilinear10, Rule::BilinearRational, Rule::BilinearSingle, Rule::Nearest, Rule::NearestSingle]
    {
        let all = [Coordinates::Asymmetric, Coordinates::AlignCorners, Coordinates::HalfPixel];
        for (number, coordinates) in (1..).zip(all) {
            let mut b = Builder::default();
            let from = b.input(U8, &[2, 9, 7, 21], 0);
            let to = b.tensor(U8, &[2, 33, 20, 21], 0);
            let params = ResizeParams { coordinates: number };
            let nearest = matches!(rule, Rule::Nearest | Rule::NearestSingle);
            let params = if nearest { Params::ResizeNearest(params) } else { Params::ResizeBilinear(params) };
            b.operator(rule, params, &[from], to, &[]);
            b.output(to);
            let p = Resize { batch: 2, input: [9, 7], output: [33, 20], channels: 21, elem: U8, coordinates };
            let mut expected = vec![0; 2 * 33 * 20 * 21];
            match rule {
                Rule::Bilinear10 => reference::bilinear_10bit(&p, &input, &mut expected),
                Rule::BilinearRational => reference::bilinear_rational(&p, &input, &mut expected),
                Rule::BilinearSingle => reference::bilinear_single(&p, &input, &mut expected),
                Rule::Nearest => reference::nearest(&p, &input, &mut expected),
                _ => reference::nearest_single(&p, &input, &mut expected),
            }
            check(&b, &[&input], &expected);
        }
    }
}

/// Single nibbles: the padding nibble of an odd batch is no picture.
#[test]
fn resizing_single_nibbles() {
    for (batch, input, output) in [(1, &[0x7][..], &[0x77][..]), (3, &[0x21, 0x3], &[0x11, 0x22, 0x33])] {
        let mut b = Builder::default();
        let from = b.input(U4, &[batch, 1, 1, 1], 0);
        let to = b.tensor(U4, &[batch, 1, 2, 1], 0);
        let params = Params::ResizeNearest(ResizeParams { coordinates: 1 });
        b.operator(Rule::Nearest, params, &[from], to, &[]);
        b.output(to);
        check(&b, &[input], output);
    }
}

/// What a caller leaves behind an odd count of nibbles does not reach the output, copied or in place.
#[test]
fn the_nibble_behind_the_last_is_zero() {
    for in_place in [false, true] {
        let mut b = Builder::default();
        let from = b.input(U4, &[3], 0);
        let to = if in_place { b.tensor_at(0, U4, &[3, 1], 0) } else { b.tensor(U4, &[3, 1], 0) };
        b.operator(Rule::Move, Params::Reshape(NoParams {}), &[from], to, &[]);
        b.output(to);
        check(&b, &[&[0x21, 0xf3]], &[0x21, 0x03]);
    }
}

#[test]
fn movement() {
    let input = bytes(2 * 3 * 4, 14);
    let shape = Dims::new(&[2, 3, 4]).expect("small");
    let one = |params: Params, extents: &[usize], expected: &[u8]| {
        let mut b = Builder::default();
        let from = b.input(U8, &[2, 3, 4], 9);
        let to = b.tensor(U8, extents, 9);
        b.operator(Rule::Move, params, &[from], to, &[]);
        b.output(to);
        check(&b, &[&input], expected);
    };
    let out = |extents: &[usize]| Dims::new(extents).expect("small");

    one(Params::Reshape(NoParams {}), &[6, 4], &input);

    let mut before = [0; 8];
    before[1] = 2;
    let mut expected = vec![0; 2 * 6 * 4];
    let large = out(&[2, 6, 4]);
    reference::pad(U8, &shape, &input, &before.map(|b| b as usize), 9, &large, &mut expected);
    one(Params::Pad(PadParams { before, value: 9 }), &[2, 6, 4], &expected);

    let mut expected = vec![0; 4 * 3 * 8];
    reference::tile(U8, &shape, &input, &out(&[4, 3, 8]), &mut expected);
    one(Params::Tile(NoParams {}), &[4, 3, 8], &expected);

    // Reversed and transposed.
    let mut strides = [0; 8];
    strides[..3].copy_from_slice(&[1, -4, 12]);
    let mut expected = vec![0; 24];
    let signed = strides.map(|s| s as isize);
    reference::copy_strided(U8, &input, 8, &signed, &out(&[4, 3, 2]), &mut expected);
    one(Params::StridedCopy(StridedCopyParams { start: 8, strides }), &[4, 3, 2], &expected);
}

/// One branch lies in its place, one is copied, one goes through a table.
#[test]
fn concatenation() {
    let table: [u8; 256] = std::array::from_fn(|i| 255 - i as u8);
    let inputs = [bytes(6, 15), bytes(9, 16), bytes(3, 17)];
    let mut b = Builder::default();
    b.contents.tables.push(table);
    let first = b.input(U8, &[2, 3], 0);
    let second = b.input(U8, &[3, 3], 0);
    let third = b.input(U8, &[1, 3], 7);
    let to = b.tensor(U8, &[6, 3], 0);
    let start = b.contents.tensors[to as usize].offset;
    let moved = b.tensor_at(start, U8, &[2, 3], 0);
    // The first branch is moved into its place by an operator before.
    b.operator(Rule::Move, Params::Reshape(NoParams {}), &[first], moved, &[]);
    let params = Params::Concat(ConcatParams { axis: 0 });
    b.operator(Rule::Move, params, &[moved, second, third], to, &[NO_TABLE, NO_TABLE, 0]);
    b.output(to);
    let mapped: Vec<u8> = inputs[2].iter().map(|&i| table[usize::from(i)]).collect();
    let expected = [&inputs[0][..], &inputs[1], &mapped].concat();
    check(&b, &[&inputs[0], &inputs[1], &inputs[2]], &expected);
}

#[test]
fn a_reshape_in_place_keeps_both_names() {
    let mut b = Builder::default();
    let from = b.input(U8, &[2, 3], 0);
    let same = b.tensor_at(0, U8, &[6], 0);
    let to = b.tensor(U8, &[12], 0);
    b.operator(Rule::Move, Params::Reshape(NoParams {}), &[from], same, &[]);
    let params = Params::Concat(ConcatParams { axis: 0 });
    b.operator(Rule::Move, params, &[same, same], to, &[NO_TABLE, NO_TABLE]);
    b.output(to);
    let input = bytes(6, 18);
    check(&b, &[&input], &[&input[..], &input].concat());
}
