//! The walks by runs against the reference.

use super::*;

const TYPES: [ElemType; 6] =
    [ElemType::U8, ElemType::S8, ElemType::U4, ElemType::S4, ElemType::S16, ElemType::S32];

fn bytes(elem: ElemType, count: usize) -> Vec<u8> {
    let length = elem.bytes(count).expect("a small tensor");
    (0..length).map(|i| (i as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
}

/// Every shape of up to three axes with extents 1 to 3.
fn shapes() -> Vec<Vec<usize>> {
    let mut all = vec![vec![]];
    for rank in 1..=3u32 {
        for code in 0..3usize.pow(rank) {
            all.push((0..rank).map(|axis| code / 3usize.pow(axis) % 3 + 1).collect());
        }
    }
    all
}

fn dims(extents: &[usize]) -> Dims {
    Dims::new(extents).expect("a small shape")
}

#[test]
fn pads_as_the_reference() {
    for elem in TYPES {
        for shape in shapes() {
            for (low, high) in [(0, 0), (1, 0), (0, 2), (2, 1)] {
                // Pad every axis but one, each in turn, so that whole runs occur at every depth.
                for spared in 0..=shape.len() {
                    let by = |axis: usize, n: usize| if axis == spared { 0 } else { n };
                    let large: Vec<usize> =
                        (0..shape.len()).map(|a| shape[a] + by(a, low) + by(a, high)).collect();
                    let before = core::array::from_fn(|a| if a < shape.len() { by(a, low) } else { 0 });
                    let (small, out) = (dims(&shape), dims(&large));
                    let input = bytes(elem, small.count());
                    let mut expected = vec![0; elem.bytes(out.count()).expect("a small tensor")];
                    let mut found = expected.clone();
                    reference::pad(elem, &small, &input, &before, elem.min() + 3, &out, &mut expected);
                    pad(elem, &small, &input, &before, elem.min() + 3, &out, &mut found);
                    assert_eq!(found, expected, "{elem:?} {shape:?} {large:?}");
                }
            }
        }
    }
}

#[test]
fn tiles_as_the_reference() {
    for elem in TYPES {
        for shape in shapes() {
            for times in [[1, 1, 1], [2, 1, 3], [1, 3, 1], [3, 2, 2]] {
                let large: Vec<usize> = shape.iter().zip(times).map(|(e, n)| e * n).collect();
                let (small, out) = (dims(&shape), dims(&large));
                let input = bytes(elem, small.count());
                let mut expected = vec![0; elem.bytes(out.count()).expect("a small tensor")];
                let mut found = expected.clone();
                reference::tile(elem, &small, &input, &out, &mut expected);
                tile(elem, &small, &input, &out, &mut found);
                assert_eq!(found, expected, "{elem:?} {shape:?} {times:?}");
            }
        }
    }
}

#[test]
fn copies_as_the_reference() {
    for elem in TYPES {
        for shape in shapes() {
            for code in 0..5isize.pow(shape.len() as u32) {
                let mut strides = [0; MAX_RANK];
                for (axis, stride) in strides.iter_mut().enumerate().take(shape.len()) {
                    // Negative, zero, dense and sparse strides.
                    *stride = [-3, 0, 1, 3, 9][(code / 5isize.pow(axis as u32) % 5) as usize];
                }
                let reach = |negative: bool| -> isize {
                    let axes = shape.iter().zip(strides).filter(|(_, s)| (*s < 0) == negative);
                    axes.map(|(&e, s)| (e as isize - 1) * s).sum()
                };
                let start = -reach(true) as usize;
                let input = bytes(elem, start + reach(false) as usize + 1);
                let out = dims(&shape);
                let mut expected = vec![0; elem.bytes(out.count()).expect("a small tensor")];
                let mut found = expected.clone();
                reference::copy_strided(elem, &input, start, &strides, &out, &mut expected);
                Strided::new(start, &strides, &out).run(elem, &input, &mut found);
                assert_eq!(found, expected, "{elem:?} {shape:?} {strides:?}");
            }
        }
    }
}

#[test]
fn a_transposition_of_planes_to_pixels_keeps_two_axes() {
    // NCHW 1x3x4x5 to NHWC: rows and columns are one walk.
    let mut strides = [0; MAX_RANK];
    strides[..4].copy_from_slice(&[60, 5, 1, 20]);
    let walk = Strided::new(0, &strides, &dims(&[1, 4, 5, 3]));
    assert_eq!((walk.rank, &walk.extents[..2], &walk.strides[..2]), (2, &[20, 3][..], &[1, 20][..]));
}

#[test]
fn nearest_as_the_reference() {
    use dyadic_kernels::params::Coordinates;
    for elem in TYPES {
        for coordinates in [Coordinates::Asymmetric, Coordinates::AlignCorners, Coordinates::HalfPixel] {
            for code in 0..4usize.pow(4) {
                let side = |i: u32| code / 4usize.pow(i) % 4 + 1;
                let (input, output) = ([side(0), side(1)], [side(2), side(3)]);
                // With one element per picture, an odd batch of nibbles ends inside a byte.
                for (batch, channels) in [(2, 3), (1, 1), (3, 1)] {
                    let p = Resize { batch, input, output, channels, elem, coordinates };
                    let source = bytes(elem, batch * channels * input[0] * input[1]);
                    let count = batch * channels * output[0] * output[1];
                    let length = elem.bytes(count).expect("a small tensor");
                    let (mut expected, mut found) = (vec![0; length], vec![0; length]);
                    reference::nearest(&p, &source, &mut expected);
                    let index = |o, size, out| reference::nearest_index(o, size, out, coordinates);
                    Nearest::new(&p, Default::default(), index).run(&source, &mut found);
                    assert_eq!(found, expected, "{p:?}");
                }
            }
        }
    }
}

#[test]
fn gathers_as_the_reference() {
    for elem in TYPES {
        for shape in [[1, 1, 1], [1, 3, 1], [2, 3, 5], [3, 4, 1], [1, 2, 7]] {
            let [outer, extent, inner] = shape;
            for count in 1..=5 {
                let indices: Vec<i32> = (0..count).map(|i| (i * 7 % extent) as i32).rev().collect();
                let length = elem.bytes(outer * count * inner).expect("a small tensor");
                let (mut expected, mut found) = (vec![0; length], vec![0; length]);
                let input = bytes(elem, shape.iter().product());
                reference::gather(elem, shape, &indices, &input, &mut expected);
                gather(elem, shape, &indices, &input, &mut found);
                assert_eq!(found, expected, "{elem:?} {shape:?} {indices:?}");
            }
        }
    }
}

#[test]
fn concatenates_as_the_reference() {
    let table: [u8; 256] = core::array::from_fn(|i| 255 - i as u8);
    for (outer, run, rest) in [(1, 4, 0), (3, 2, 1), (2, 5, 3), (4, 1, 2)] {
        for table in [None, Some(&table)] {
            let (input, pitch) = (bytes(ElemType::U8, outer * run), run + rest);
            for first in 0..=rest {
                let (mut expected, mut found) = (vec![7; outer * pitch], vec![7; outer * pitch]);
                reference::concat(&input, outer, run, table, &mut expected, first, pitch);
                concat(&input, run, table, &mut found, first, pitch);
                assert_eq!(found, expected, "{outer} {run} {rest} {first}");
            }
        }
    }
}
