//! Data movement by contiguous runs: the same bytes as the reference, which moves single elements. Four-bit elements,
//! which share bytes, are left to the reference.

use alloc::vec::Vec;

use dyadic_kernels::ElemType;
use dyadic_kernels::params::{Dims, MAX_RANK, Resize};
use dyadic_kernels::reference;

/// Bytes of an element that has bytes of its own.
fn width(elem: ElemType) -> Option<usize> {
    (elem.bits() >= 8).then_some(elem.bits() / 8)
}

/// Counts through an index space, the last axis fastest.
struct Odometer<'a> {
    extents: &'a [usize],
    at: [usize; MAX_RANK],
}

impl<'a> Odometer<'a> {
    fn new(extents: &'a [usize]) -> Odometer<'a> {
        Odometer { extents, at: [0; MAX_RANK] }
    }

    /// `sum at[i] * strides[i]`.
    fn offset(&self, strides: &[isize]) -> isize {
        self.at.iter().zip(self.extents).zip(strides).map(|((&at, _), &stride)| at as isize * stride).sum()
    }

    fn advance(&mut self) {
        for (at, &extent) in self.at.iter_mut().zip(self.extents).rev() {
            *at += 1;
            if *at < extent {
                return;
            }
            *at = 0;
        }
    }
}

/// Strides as signed numbers.
fn signed(strides: [usize; MAX_RANK]) -> [isize; MAX_RANK] {
    strides.map(|stride| stride as isize)
}

/// See [`reference::concat`].
pub(super) fn concat(
    input: &[u8],
    run: usize,
    table: Option<&[u8; 256]>,
    output: &mut [u8],
    first: usize,
    pitch: usize,
) {
    for (source, target) in input.chunks_exact(run.max(1)).zip(output.chunks_exact_mut(pitch.max(1))) {
        let target = &mut target[first..first + run];
        match table {
            None => target.copy_from_slice(source),
            Some(table) => reference::table(table, Some(source), target),
        }
    }
}

/// See [`reference::pad`].
pub(super) fn pad(
    elem: ElemType,
    shape: &Dims,
    input: &[u8],
    before: &[usize; MAX_RANK],
    value: i32,
    out: &Dims,
    output: &mut [u8],
) {
    let Some(width) = width(elem) else {
        return reference::pad(elem, shape, input, before, value, out, output);
    };
    let bytes = value.to_le_bytes();
    output.chunks_exact_mut(width).for_each(|element| element.copy_from_slice(&bytes[..width]));
    // Input rows along the last axis that is padded, with all that lies behind it, are copied whole.
    let (small, large) = (shape.as_slice(), out.as_slice());
    let behind = (0..small.len()).rev().take_while(|&axis| small[axis] == large[axis]).count();
    let outer = small.len().saturating_sub(behind + 1);
    let run: usize = small[outer..].iter().product::<usize>() * width;
    let strides = signed(out.strides());
    let first: usize = before.iter().zip(out.strides()).take(small.len()).map(|(b, stride)| b * stride).sum();
    let mut at = Odometer::new(&small[..outer]);
    for source in input.chunks_exact(run) {
        let target = (first + at.offset(&strides) as usize) * width;
        output[target..target + run].copy_from_slice(source);
        at.advance();
    }
}

/// See [`reference::tile`].
pub(super) fn tile(elem: ElemType, shape: &Dims, input: &[u8], out: &Dims, output: &mut [u8]) {
    let (Some(width), Some((&row, outer))) = (width(elem), out.as_slice().split_last()) else {
        return reference::tile(elem, shape, input, out, output);
    };
    let small = shape.as_slice();
    let strides = shape.strides();
    let source_row = small[outer.len()] * width;
    let mut at = Odometer::new(outer);
    for target in output.chunks_exact_mut(row * width) {
        let start: usize = (0..outer.len()).map(|axis| at.at[axis] % small[axis] * strides[axis]).sum();
        let source = &input[start * width..][..source_row];
        target.chunks_exact_mut(source_row).for_each(|piece| piece.copy_from_slice(source));
        at.advance();
    }
}

/// See [`reference::gather`].
pub(super) fn gather(
    elem: ElemType,
    [outer, extent, inner]: [usize; 3],
    indices: &[i32],
    input: &[u8],
    output: &mut [u8],
) {
    let Some(width) = width(elem) else {
        return reference::gather(elem, [outer, extent, inner], indices, input, output);
    };
    let run = inner * width;
    let sources = input.chunks_exact(extent * run).take(outer);
    for (source, target) in sources.zip(output.chunks_exact_mut(indices.len() * run)) {
        for (target, &index) in target.chunks_exact_mut(run).zip(indices) {
            target.copy_from_slice(&source[index as usize * run..][..run]);
        }
    }
}

/// Nearest neighbour: which input row and column every output row and column takes, worked out at load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Nearest {
    elem: ElemType,
    batch: usize,
    /// Elements of a pixel, pixels of an input row, rows of an input picture.
    channels: usize,
    width: usize,
    height: usize,
    rows: Vec<u16>,
    columns: Vec<u16>,
}

/// Positions are stored in 16 bits.
const _: () = assert!(Resize::MAX_EXTENT <= 1 << 16);

impl Nearest {
    /// `index(o, input, output)` is the input position of output position `o` along one axis; all extents are at most
    /// [`Resize::MAX_EXTENT`]. `tables` are empty lists with room for the rows and the columns of the output.
    pub(crate) fn new(
        p: &Resize,
        tables: [Vec<u16>; 2],
        index: impl Fn(usize, usize, usize) -> usize,
    ) -> Nearest {
        let [mut rows, mut columns] = tables;
        for (axis, table) in [&mut rows, &mut columns].into_iter().enumerate() {
            let (input, output) = (p.input[axis], p.output[axis]);
            table.extend((0..output).map(|o| index(o, input, output) as u16));
        }
        let [height, width] = p.input;
        Nearest { elem: p.elem, batch: p.batch, channels: p.channels, width, height, rows, columns }
    }

    /// See [`reference::nearest`].
    pub(super) fn run(&self, input: &[u8], output: &mut [u8]) {
        let Some(width) = width(self.elem) else { return self.run_elements(input, output) };
        let pixel = self.channels * width;
        let out_row = self.columns.len() * pixel;
        for (row, target) in output.chunks_exact_mut(out_row).enumerate() {
            let (picture, row) = (row / self.rows.len(), row % self.rows.len());
            let start = (picture * self.height + usize::from(self.rows[row])) * self.width * pixel;
            let source = &input[start..][..self.width * pixel];
            for (target, &column) in target.chunks_exact_mut(pixel).zip(&self.columns) {
                target.copy_from_slice(&source[usize::from(column) * pixel..][..pixel]);
            }
        }
    }

    /// Element by element, for those that share bytes.
    fn run_elements(&self, input: &[u8], output: &mut [u8]) {
        let mut index = 0;
        for picture in 0..self.batch {
            for row in self.rows.iter().map(|&row| usize::from(row)) {
                for column in self.columns.iter().map(|&column| usize::from(column)) {
                    let pixel = ((picture * self.height + row) * self.width + column) * self.channels;
                    for c in 0..self.channels {
                        self.elem.store(output, index, self.elem.load(input, pixel + c));
                        index += 1;
                    }
                }
            }
        }
    }
}

/// The strided copy `out[o] = in[start + sum o[i] * strides[i]]` with as few axes as possible: axes of extent 1 are
/// dropped, and neighbours that are one walk through memory become one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Strided {
    start: usize,
    rank: usize,
    extents: [usize; MAX_RANK],
    strides: [isize; MAX_RANK],
}

impl Strided {
    pub(crate) fn new(start: usize, strides: &[isize; MAX_RANK], out: &Dims) -> Strided {
        let mut walk = Strided { start, rank: 0, extents: [1; MAX_RANK], strides: [0; MAX_RANK] };
        for (&extent, &stride) in out.as_slice().iter().zip(strides).filter(|(extent, _)| **extent != 1) {
            if let Some(last) = walk.rank.checked_sub(1)
                && stride.checked_mul(extent as isize) == Some(walk.strides[last])
            {
                walk.extents[last] *= extent;
                walk.strides[last] = stride;
                continue;
            }
            (walk.extents[walk.rank], walk.strides[walk.rank]) = (extent, stride);
            walk.rank += 1;
        }
        walk
    }

    /// Copies elements of `WIDTH` bytes.
    fn copy<const WIDTH: usize>(&self, input: &[u8], output: &mut [u8]) {
        let (elements, _) = input.as_chunks::<WIDTH>();
        let (output, _) = output.as_chunks_mut::<WIDTH>();
        let Some(last) = self.rank.checked_sub(1) else {
            return output.copy_from_slice(&elements[self.start..][..1]);
        };
        let (row, stride) = (self.extents[last], self.strides[last]);
        let mut at = Odometer::new(&self.extents[..last]);
        for target in output.chunks_exact_mut(row) {
            let mut from = self.start.wrapping_add_signed(at.offset(&self.strides));
            if stride == 1 {
                target.copy_from_slice(&elements[from..from + row]);
            } else {
                for element in target {
                    *element = elements[from];
                    from = from.wrapping_add_signed(stride);
                }
            }
            at.advance();
        }
    }

    /// See [`reference::copy_strided`].
    pub(super) fn run(&self, elem: ElemType, input: &[u8], output: &mut [u8]) {
        match elem {
            ElemType::U8 | ElemType::S8 => self.copy::<1>(input, output),
            ElemType::S16 => self.copy::<2>(input, output),
            ElemType::S32 => self.copy::<4>(input, output),
            ElemType::U4 | ElemType::S4 => {
                if let Some(out) = Dims::new(&self.extents[..self.rank]) {
                    reference::copy_strided(elem, input, self.start, &self.strides, &out, output);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
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
}
