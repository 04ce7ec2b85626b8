//! `.npy` files: read with every size checked against the file, written in C order.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use npyz::{DType, NpyFile, Order, TypeChar, WriterBuilder};

use crate::error::{Error, Result};

/// Element types that are read.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    U8(Vec<u8>),
    I8(Vec<i8>),
    I16(Vec<i16>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    U16(Vec<u16>),
    U32(Vec<u32>),
    F32(Vec<f32>),
    F64(Vec<f64>),
}

/// A whole array in C order.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    pub shape: Vec<usize>,
    pub data: Data,
}

impl Data {
    pub fn type_name(&self) -> &'static str {
        match self {
            Data::U8(_) => "uint8",
            Data::I8(_) => "int8",
            Data::I16(_) => "int16",
            Data::I32(_) => "int32",
            Data::I64(_) => "int64",
            Data::U16(_) => "uint16",
            Data::U32(_) => "uint32",
            Data::F32(_) => "float32",
            Data::F64(_) => "float64",
        }
    }
}

impl Data {
    /// Some of the elements.
    pub fn range(&self, range: std::ops::Range<usize>) -> Data {
        match self {
            Data::U8(v) => Data::U8(v[range].to_vec()),
            Data::I8(v) => Data::I8(v[range].to_vec()),
            Data::I16(v) => Data::I16(v[range].to_vec()),
            Data::I32(v) => Data::I32(v[range].to_vec()),
            Data::I64(v) => Data::I64(v[range].to_vec()),
            Data::U16(v) => Data::U16(v[range].to_vec()),
            Data::U32(v) => Data::U32(v[range].to_vec()),
            Data::F32(v) => Data::F32(v[range].to_vec()),
            Data::F64(v) => Data::F64(v[range].to_vec()),
        }
    }
}

impl Array {
    /// The elements as integers; `None` for floats.
    pub fn integers(&self) -> Option<Vec<i64>> {
        match &self.data {
            Data::U8(v) => Some(v.iter().map(|&x| x.into()).collect()),
            Data::I8(v) => Some(v.iter().map(|&x| x.into()).collect()),
            Data::I16(v) => Some(v.iter().map(|&x| x.into()).collect()),
            Data::I32(v) => Some(v.iter().map(|&x| x.into()).collect()),
            Data::I64(v) => Some(v.clone()),
            Data::U16(v) => Some(v.iter().map(|&x| x.into()).collect()),
            Data::U32(v) => Some(v.iter().map(|&x| x.into()).collect()),
            Data::F32(_) | Data::F64(_) => None,
        }
    }
}

/// Reads a file.
pub fn read(path: &Path) -> Result<Array> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    parse(&bytes).map_err(|message| Error::file(path, message))
}

/// Parses the bytes of a file. The element count is checked against the length before anything is reserved.
pub fn parse(bytes: &[u8]) -> std::result::Result<Array, String> {
    if !bytes.starts_with(b"\x93NUMPY") {
        return Err("not an .npy file".to_string());
    }
    header_fits(bytes)?;
    let file = NpyFile::new(bytes).map_err(|_| "the .npy header is malformed")?;
    if file.order() != Order::C && file.shape().len() > 1 {
        return Err("Fortran order, expected C order (numpy.ascontiguousarray)".to_string());
    }
    let DType::Plain(plain) = file.dtype() else { return Err("structured elements".to_string()) };
    let shape: Vec<usize> = file
        .shape()
        .iter()
        .map(|&e| usize::try_from(e))
        .collect::<std::result::Result<_, _>>()
        .map_err(|_| "extents too large")?;
    let count = shape.iter().try_fold(1usize, |n, &e| n.checked_mul(e)).ok_or("extents too large")?;
    let width = plain.num_bytes().unwrap_or(0);
    if count.checked_mul(width).is_none_or(|size| size > bytes.len()) {
        return Err(format!("shape {shape:?} needs more bytes than the file has"));
    }
    let failed = |e: std::io::Error| format!("cut short: {e}");
    let data = match (plain.type_char(), width) {
        (TypeChar::Uint, 1) => Data::U8(file.into_vec().map_err(failed)?),
        (TypeChar::Uint, 2) => Data::U16(file.into_vec().map_err(failed)?),
        (TypeChar::Uint, 4) => Data::U32(file.into_vec().map_err(failed)?),
        (TypeChar::Int, 1) => Data::I8(file.into_vec().map_err(failed)?),
        (TypeChar::Int, 2) => Data::I16(file.into_vec().map_err(failed)?),
        (TypeChar::Int, 4) => Data::I32(file.into_vec().map_err(failed)?),
        (TypeChar::Int, 8) => Data::I64(file.into_vec().map_err(failed)?),
        (TypeChar::Float, 4) => Data::F32(file.into_vec().map_err(failed)?),
        (TypeChar::Float, 8) => Data::F64(file.into_vec().map_err(failed)?),
        (kind, _) => return Err(format!("elements of type {kind:?} with {width} bytes are not read")),
    };
    Ok(Array { shape, data })
}

/// The header's own length must lie inside the file, so that nothing is reserved for a header that is not there.
fn header_fits(bytes: &[u8]) -> std::result::Result<(), String> {
    let length = match bytes.get(6) {
        Some(1) => bytes.get(8..10).map(|b| 10 + usize::from(u16::from_le_bytes([b[0], b[1]]))),
        Some(2 | 3) => bytes
            .get(8..12)
            .map(|b| 12usize.saturating_add(u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize)),
        _ => return Err("an .npy version that is not read".to_string()),
    };
    match length {
        Some(length) if length <= bytes.len() && length < 1 << 16 => Ok(()),
        _ => Err("the .npy header is cut short".to_string()),
    }
}

/// Writes an array.
pub fn write(path: &Path, array: &Array) -> Result<()> {
    let file = File::create(path).map_err(|e| Error::io(path, e))?;
    let mut out = BufWriter::new(file);
    let result = match &array.data {
        Data::U8(v) => write_data(&mut out, &array.shape, v),
        Data::I8(v) => write_data(&mut out, &array.shape, v),
        Data::I16(v) => write_data(&mut out, &array.shape, v),
        Data::I32(v) => write_data(&mut out, &array.shape, v),
        Data::I64(v) => write_data(&mut out, &array.shape, v),
        Data::U16(v) => write_data(&mut out, &array.shape, v),
        Data::U32(v) => write_data(&mut out, &array.shape, v),
        Data::F32(v) => write_data(&mut out, &array.shape, v),
        Data::F64(v) => write_data(&mut out, &array.shape, v),
    };
    result.and_then(|()| out.flush()).map_err(|e| Error::io(path, e))
}

fn write_data<T: npyz::AutoSerialize + Copy>(
    out: &mut impl Write,
    shape: &[usize],
    data: &[T],
) -> std::io::Result<()> {
    let shape: Vec<u64> = shape.iter().map(|&e| e as u64).collect();
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(out).begin_nd()?;
    writer.extend(data.iter().copied())?;
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut bytes = Vec::new();
        write_data(&mut bytes, &[2, 3], &[1u8, 2, 3, 4, 5, 6]).unwrap();
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        let array = parse(&sample()).unwrap();
        assert_eq!(array, Array { shape: vec![2, 3], data: Data::U8(vec![1, 2, 3, 4, 5, 6]) });
    }

    #[test]
    fn every_truncation_is_refused() {
        let bytes = sample();
        for length in 0..bytes.len() {
            assert!(parse(&bytes[..length]).is_err(), "{length} bytes");
        }
    }

    /// Damage may leave a readable file; it must never panic or reserve more than the file holds.
    #[test]
    fn every_changed_byte_is_read_or_refused() {
        let bytes = sample();
        for at in 0..bytes.len() {
            for value in [0, 1, b'9', b'(', b',', 0x7f, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] = value;
                if let Ok(array) = parse(&damaged) {
                    assert!(array.shape.iter().product::<usize>() <= bytes.len());
                }
            }
        }
    }

    #[test]
    fn lies_about_the_shape_are_refused() {
        for shape in ["(4294967296, 4294967296)", "(18446744073709551615,)", "(99999999,)", "(-1,)"] {
            let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}");
            let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
            bytes.extend((header.len() as u16).to_le_bytes());
            bytes.extend(header.as_bytes());
            assert!(parse(&bytes).is_err(), "{shape}");
        }
    }
}
