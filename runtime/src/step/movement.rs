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
mod tests;
