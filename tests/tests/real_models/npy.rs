//! Integer `.npy` arrays and tensor bytes, both as plain values.

use std::fs;
use std::path::Path;

use dyadic_runtime::{ElemType, TensorInfo};
use npyz::{NpyFile, TypeChar};

/// The values of an integer array in C order.
pub fn integers(path: &Path) -> Vec<i64> {
    let bytes = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let file = NpyFile::new(&bytes[..]).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let npyz::DType::Plain(plain) = file.dtype() else { panic!("{}: structured", path.display()) };
    assert_eq!(file.order(), npyz::Order::C, "{}", path.display());
    macro_rules! read {
        ($elem:ty) => {
            file.into_vec::<$elem>().expect("a whole array").into_iter().map(i64::from).collect()
        };
    }
    match (plain.type_char(), plain.num_bytes()) {
        (TypeChar::Uint, Some(1)) => read!(u8),
        (TypeChar::Int, Some(1)) => read!(i8),
        (TypeChar::Int, Some(2)) => read!(i16),
        (TypeChar::Int, Some(4)) => read!(i32),
        (TypeChar::Int, Some(8)) => read!(i64),
        (kind, width) => panic!("{}: {kind:?} of {width:?} bytes is no integer type", path.display()),
    }
}

/// The bytes of an input tensor that hold these values.
pub fn encode(info: &TensorInfo, values: &[i64]) -> Vec<u8> {
    match info.elem {
        ElemType::U8 => values.iter().map(|&v| u8::try_from(v).expect("a u8 input")).collect(),
        ElemType::S8 => {
            values.iter().map(|&v| i8::try_from(v).expect("an s8 input").cast_unsigned()).collect()
        }
        ElemType::U4 | ElemType::S4 | ElemType::S16 | ElemType::S32 => {
            panic!("input '{}' is {}", info.name, info.elem.name())
        }
    }
}

/// The values that the bytes of a tensor hold.
pub fn decode(info: &TensorInfo, bytes: &[u8]) -> Vec<i64> {
    match info.elem {
        ElemType::U8 => bytes.iter().map(|&b| b.into()).collect(),
        ElemType::S8 => bytes.iter().map(|&b| b.cast_signed().into()).collect(),
        ElemType::S16 => bytes.as_chunks().0.iter().map(|&c| i16::from_le_bytes(c).into()).collect(),
        ElemType::S32 => bytes.as_chunks().0.iter().map(|&c| i32::from_le_bytes(c).into()).collect(),
        ElemType::U4 | ElemType::S4 => panic!("tensor '{}' is {}", info.name, info.elem.name()),
    }
}

/// Fails with the count and the first place when values differ.
pub fn assert_equal(what: &str, found: &[i64], expected: &[i64]) {
    assert_eq!(found.len(), expected.len(), "{what}: number of elements");
    let differing: Vec<usize> = (0..found.len()).filter(|&i| found[i] != expected[i]).collect();
    if let Some(&first) = differing.first() {
        let (got, want) = (found[first], expected[first]);
        let (count, of) = (differing.len(), found.len());
        panic!("{what}: {count} of {of} elements differ; element {first} is {got}, expected {want}");
    }
}
