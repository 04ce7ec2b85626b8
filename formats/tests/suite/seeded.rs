//! The seeded inputs are those of the specification, on every machine.

use dyadic_format::seeded::Generator;
use dyadic_format::{ElemCode, TensorRecord};

use crate::models::mixed;

/// The generator in wider arithmetic: everything modulo 2^64.
fn reference(seed: u64, count: usize) -> Vec<u64> {
    let modulus = 1u128 << 64;
    let times = |a: u128, b: u128| (a * b) % modulus;
    (1..=count as u128)
        .map(|n| {
            let z = (u128::from(seed) + times(n, 0x9e3779b97f4a7c15)) % modulus;
            let z = times(z ^ (z / (1 << 30)), 0xbf58476d1ce4e5b9);
            let z = times(z ^ (z / (1 << 27)), 0x94d049bb133111eb);
            (z ^ (z / (1 << 31))) as u64
        })
        .collect()
}

#[test]
fn the_stream_is_that_of_the_specification() {
    for seed in [0, 1, 42, u64::MAX, 0x0123_4567_89ab_cdef] {
        let mut generator = Generator::new(seed);
        let drawn: Vec<u64> = (0..100).map(|_| generator.draw()).collect();
        assert_eq!(drawn, reference(seed, 100));
    }
    // Published values of SplitMix64 for seed 1234567.
    let mut generator = Generator::new(1234567);
    assert_eq!(
        [generator.draw(), generator.draw(), generator.draw()],
        [6457827717110365317, 3203168211198807973, 9817491932198370423]
    );
}

#[test]
fn values_stay_in_their_range() {
    let mut generator = Generator::new(5);
    let mut seen = [0; 256];
    for _ in 0..20_000 {
        seen[(generator.value(-128, 127) + 128) as usize] += 1;
    }
    assert!(seen.iter().all(|&n| n > 0));
    assert_eq!(generator.value(7, 7), 7);
    assert_eq!(generator.value(7, 6), 7);
    let mut twin = generator;
    let drawn = twin.draw() as u32;
    assert_eq!(generator.value(i32::MIN, i32::MAX), drawn.wrapping_add(1 << 31) as i32);
}

fn tensor(elem: ElemCode, shape: &[u32], (lo, hi): (i32, i32)) -> TensorRecord {
    let mut dims = [1; 8];
    dims[..shape.len()].copy_from_slice(shape);
    let elements: u64 = shape.iter().map(|&e| u64::from(e)).product();
    let bytes = (elements * elem.bits()).div_ceil(8);
    let (elem, rank) = (elem as u8, shape.len() as u8);
    TensorRecord { elem, rank, dims, bytes, lo, hi, ..mixed().tensors[0] }
}

#[test]
fn elements_are_stored_in_order() {
    let stream = reference(9, 6);
    let value = |i: usize, lo: i64, hi: i64| lo + (i128::from(stream[i]) % i128::from(hi - lo + 1)) as i64;
    let filled = |elem, lo, hi, count: usize| {
        let mut bytes = [0xee; 32];
        Generator::new(9).fill(&tensor(elem, &[count as u32], (lo, hi)), &mut bytes);
        bytes
    };
    let bytes = filled(ElemCode::S8, -100, 3, 6);
    assert!((0..6).all(|i| i64::from(bytes[i] as i8) == value(i, -100, 3)));
    assert_eq!(bytes[6..], [0xee; 26]);
    let bytes = filled(ElemCode::U8, 1, 255, 6);
    assert!((0..6).all(|i| i64::from(bytes[i]) == value(i, 1, 255)));
    let bytes = filled(ElemCode::S16, -32768, 32767, 6);
    assert!((0..6).all(|i| bytes[2 * i..2 * i + 2] == (value(i, -32768, 32767) as i16).to_le_bytes()));
    let bytes = filled(ElemCode::S32, i32::MIN, i32::MAX, 6);
    let (least, most) = (i32::MIN.into(), i32::MAX.into());
    assert!((0..6).all(|i| bytes[4 * i..4 * i + 4] == (value(i, least, most) as i32).to_le_bytes()));
    let bytes = filled(ElemCode::S4, -8, 7, 5);
    let nibble = |i: usize| value(i, -8, 7) as u8 & 15;
    assert_eq!(bytes[..4], [nibble(0) | nibble(1) << 4, nibble(2) | nibble(3) << 4, nibble(4), 0xee]);
    let bytes = filled(ElemCode::U4, 0, 15, 2);
    assert_eq!(bytes[0], value(0, 0, 15) as u8 | (value(1, 0, 15) as u8) << 4);
}

#[test]
fn one_generator_serves_all_inputs() {
    let t = tensor(ElemCode::U8, &[4], (0, 255));
    let (mut first, mut second, mut both) = ([0; 4], [0; 4], [0; 8]);
    let mut generator = Generator::new(11);
    generator.fill(&t, &mut first);
    generator.fill(&t, &mut second);
    Generator::new(11).fill(&tensor(ElemCode::U8, &[8], (0, 255)), &mut both);
    assert_eq!([first, second].concat(), both);
}

#[test]
fn odd_buffers_are_filled_as_far_as_they_go() {
    let t = tensor(ElemCode::S32, &[4], (0, 255));
    let mut bytes = [0xee; 7];
    Generator::new(1).fill(&t, &mut bytes);
    assert_eq!(bytes[4..], [0xee; 3]);
    Generator::new(1).fill(&TensorRecord { elem: 99, ..t }, &mut bytes);
    assert_eq!(bytes[4..], [0xee; 3]);
}
