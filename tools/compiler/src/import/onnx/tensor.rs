//! Constants: one little-endian form for all the ways in which a file may store them.

use dyadic_onnx_schema::TensorProto;

use super::external::External;
use super::fault::TensorFault;
use super::model::{DataType, Tensor};

type Result<T> = std::result::Result<T, TensorFault>;

/// Axes of a tensor or a value, at most.
pub const MAX_RANK: usize = 64;

/// Tensors of this many elements or more are refused, also where an extent of 0 leaves none of them.
const MAX_ELEMENTS: u64 = 1 << 31;

/// A constant, checked, with its bytes wherever they are.
pub(super) fn tensor(proto: TensorProto, external: &mut External<'_>) -> Result<Tensor> {
    let number = proto.data_type.unwrap_or(0);
    if number <= 0 {
        return Err(TensorFault::NoType { found: number });
    }
    if proto.segment.is_some() {
        return Err(TensorFault::Segment);
    }
    let shape = shape(&proto.dims)?;
    let elem = DataType::from_number(number);
    let outside = match proto.data_location.unwrap_or(0) {
        0 => false,
        1 => true,
        found => return Err(TensorFault::Location { found }),
    };
    let Some(bits) = elem.bits() else {
        return Ok(Tensor { elem, shape, data: Vec::new() });
    };
    // Below 2^31 elements of at most 64 bits.
    let elements: u64 = shape.iter().map(|&extent| extent as u64).product();
    let wanted = Wanted { elem, bytes: (elements * bits as u64).div_ceil(8), shape: &shape };
    let field = field_with_data(&proto, outside)?;
    let mut data = if outside {
        external.take(&proto.external_data, &wanted)?
    } else if field == Some("raw_data") || field.is_none() {
        let raw = proto.raw_data.unwrap_or_default();
        wanted.check(raw.len() as u64)?;
        raw
    } else {
        typed(&proto, &wanted, field.unwrap_or_default())?
    };
    normalize(&mut data, elem, elements)?;
    Ok(Tensor { elem, shape, data })
}

/// What a tensor's data must be.
pub(super) struct Wanted<'a> {
    elem: DataType,
    pub(super) bytes: u64,
    shape: &'a [usize],
}

impl Wanted<'_> {
    /// Refuses data of another length.
    pub(super) fn check(&self, found: u64) -> Result<()> {
        if found == self.bytes {
            return Ok(());
        }
        let Wanted { elem, bytes, shape } = *self;
        Err(TensorFault::DataLength { found, expected: bytes, elem, shape: shape.to_vec() })
    }
}

fn shape(dims: &[i64]) -> Result<Vec<usize>> {
    if dims.len() > MAX_RANK {
        return Err(TensorFault::Rank { found: dims.len(), limit: MAX_RANK });
    }
    let too_large = || TensorFault::TooLarge { shape: dims.to_vec() };
    let mut shape = Vec::with_capacity(dims.len());
    let mut elements = 1u64;
    for (axis, &value) in dims.iter().enumerate() {
        let extent = u64::try_from(value).map_err(|_| TensorFault::NegativeAxis { axis, value })?;
        // An extent of 0 does not excuse the others: products of them must not overflow in any order.
        elements = elements.checked_mul(extent.max(1)).filter(|&n| n < MAX_ELEMENTS).ok_or_else(too_large)?;
        shape.push(usize::try_from(extent).map_err(|_| too_large())?);
    }
    Ok(shape)
}

/// The one field that holds data, if any does.
fn field_with_data(proto: &TensorProto, outside: bool) -> Result<Option<&'static str>> {
    let fields = [
        ("external_data", outside),
        ("raw_data", proto.raw_data.as_ref().is_some_and(|data| !data.is_empty())),
        ("float_data", !proto.float_data.is_empty()),
        ("int32_data", !proto.int32_data.is_empty()),
        ("string_data", !proto.string_data.is_empty()),
        ("int64_data", !proto.int64_data.is_empty()),
        ("double_data", !proto.double_data.is_empty()),
        ("uint64_data", !proto.uint64_data.is_empty()),
    ];
    let mut held = fields.iter().filter(|(_, holds)| *holds).map(|(name, _)| *name);
    match (held.next(), held.next()) {
        (Some(first), Some(second)) => Err(TensorFault::TwoFields { first, second }),
        (first, _) => Ok(first),
    }
}

fn typed(proto: &TensorProto, wanted: &Wanted<'_>, found: &'static str) -> Result<Vec<u8>> {
    let elem = wanted.elem;
    let expected = match elem {
        DataType::Float => "float_data",
        DataType::Double => "double_data",
        DataType::Int64 => "int64_data",
        DataType::Uint32 | DataType::Uint64 => "uint64_data",
        _ => "int32_data",
    };
    if found != expected {
        return Err(TensorFault::WrongField { elem, found, expected });
    }
    // A number of the field is one element, or two of 4 bits.
    let width = elem.bits().map_or(1, |bits| bits.div_ceil(8));
    let numbers = match expected {
        "float_data" => proto.float_data.len(),
        "double_data" => proto.double_data.len(),
        "int64_data" => proto.int64_data.len(),
        "uint64_data" => proto.uint64_data.len(),
        _ => proto.int32_data.len(),
    };
    wanted.check(numbers as u64 * width as u64)?;
    let mut data = Vec::with_capacity(numbers * width);
    match expected {
        "float_data" => proto.float_data.iter().for_each(|x| data.extend(x.to_le_bytes())),
        "double_data" => proto.double_data.iter().for_each(|x| data.extend(x.to_le_bytes())),
        "int64_data" => proto.int64_data.iter().for_each(|x| data.extend(x.to_le_bytes())),
        "uint64_data" => {
            let most = if elem == DataType::Uint32 { u64::from(u32::MAX) } else { u64::MAX };
            for (at, &value) in proto.uint64_data.iter().enumerate() {
                if value > most {
                    return Err(TensorFault::OutOfRange { at, value: value.cast_signed(), elem });
                }
                data.extend(&value.to_le_bytes()[..width]);
            }
        }
        _ => {
            let range = range_in_int32(elem);
            for (at, &value) in proto.int32_data.iter().enumerate() {
                if !range.contains(&value) {
                    return Err(TensorFault::OutOfRange { at, value: i64::from(value), elem });
                }
                data.extend(&value.to_le_bytes()[..width]);
            }
        }
    }
    Ok(data)
}

/// What a number of `int32_data` may be: the element's value, the bits of a 16-bit real number, or two 4-bit elements.
fn range_in_int32(elem: DataType) -> std::ops::RangeInclusive<i32> {
    match elem {
        DataType::Int8 => -0x80..=0x7f,
        DataType::Uint8 | DataType::Uint4 | DataType::Int4 => 0..=0xff,
        DataType::Int16 => -0x8000..=0x7fff,
        DataType::Uint16 | DataType::Float16 => 0..=0xffff,
        DataType::Bool => 0..=1,
        _ => i32::MIN..=i32::MAX,
    }
}

/// Truth values are 0 or 1; the unused half of the last byte of 4-bit elements is 0.
fn normalize(data: &mut [u8], elem: DataType, elements: u64) -> Result<()> {
    match elem {
        DataType::Bool => match data.iter().position(|&byte| byte > 1) {
            Some(at) => Err(TensorFault::OutOfRange { at, value: i64::from(data[at]), elem }),
            None => Ok(()),
        },
        DataType::Uint4 | DataType::Int4 if elements % 2 == 1 => {
            if let Some(last) = data.last_mut() {
                *last &= 0x0f;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}
