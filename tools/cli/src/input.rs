//! From files to input tensors and from output tensors to arrays.

use std::path::Path;

use dyadic_format::records::{ChannelOrder, RecipeRecord};
use dyadic_kernels::ElemType;
use dyadic_runtime::{Model, TensorInfo};

use crate::error::{Error, Result};
use crate::npy::{self, Array, Data};
use crate::picture::{self, Pixels};

/// Kinds of files that tensors come from, told apart by name.
enum Kind {
    Picture,
    Npy,
    Other(String),
}

fn kind(path: &Path) -> Kind {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("").to_ascii_lowercase();
    match extension.as_str() {
        "png" | "jpg" | "jpeg" => Kind::Picture,
        // What has no extension, such as a pipe, can be an .npy file.
        "npy" | "" => Kind::Npy,
        _ => Kind::Other(extension),
    }
}

/// The bytes of input `index` for one or more runs, read from a file.
pub fn load(path: &Path, model: &Model, index: usize, pixels: bool) -> Result<Vec<u8>> {
    let bytes = match kind(path) {
        Kind::Picture => from_pixels(model, index, picture::read(path)?),
        Kind::Npy => from_array(model, index, &npy::read(path)?, pixels),
        Kind::Other(other) => Err(format!("files of type .{other} are not read; give .npy, .png or .jpg")),
    };
    bytes.map_err(|e| Error::file(path, e))
}

/// The bytes of an array as input `index`.
pub fn from_array(
    model: &Model,
    index: usize,
    array: &Array,
    pixels: bool,
) -> std::result::Result<Vec<u8>, String> {
    let info = &model.inputs()[index];
    if pixels {
        return pixel_batches(model, index, array);
    }
    check_shape(info, &array.shape)?;
    match (&array.data, info.elem) {
        (Data::U8(v), ElemType::U8) => Ok(v.clone()),
        (Data::I8(v), ElemType::S8) => Ok(v.iter().map(|&x| x as u8).collect()),
        (Data::I16(v), ElemType::S16) => Ok(v.iter().flat_map(|x| x.to_le_bytes()).collect()),
        (Data::I32(v), ElemType::S32) => Ok(v.iter().flat_map(|x| x.to_le_bytes()).collect()),
        (Data::F32(v), _) => quantize(info, v.iter().map(|&x| f64::from(x))),
        (Data::F64(v), _) => quantize(info, v.iter().copied()),
        (data, elem) => Err(format!(
            "elements are {}, input '{}' takes {} (or float32, which is quantized; or uint8 pixels with --pixels)",
            data.type_name(),
            info.name,
            elem.name()
        )),
    }
}

/// The array's shape must be the input's, or have a first axis a whole number of times as long.
fn check_shape(info: &TensorInfo, shape: &[usize]) -> std::result::Result<(), String> {
    let batches = match (shape.split_first(), info.shape.split_first()) {
        (Some((&n, rest)), Some((&batch, expected))) => rest == expected && n > 0 && n.is_multiple_of(batch),
        (None, None) => true,
        _ => false,
    };
    if batches {
        return Ok(());
    }
    Err(format!("shape {shape:?}, expected {:?} (or a multiple along the first axis)", info.shape))
}

fn quantize(info: &TensorInfo, values: impl Iterator<Item = f64>) -> std::result::Result<Vec<u8>, String> {
    let Some(scale) = real_scale(info) else {
        return Err("the input has no scale to quantize floats with".into());
    };
    if info.elem.bits() < 8 {
        return Err(format!("floats for a {} input", info.elem.name()));
    }
    let mut bytes = Vec::new();
    for (index, value) in values.enumerate() {
        if value.is_nan() {
            return Err(format!("element {index} is not a number (NaN)"));
        }
        let code = (value / scale + f64::from(info.zero_point) + 0.5).floor();
        let code = code.clamp(info.elem.min().into(), info.elem.max().into()) as i32;
        let start = bytes.len();
        bytes.resize(start + info.elem.bits() / 8, 0);
        info.elem.store(&mut bytes[start..], 0, code);
    }
    Ok(bytes)
}

/// The scale as a real number.
pub fn real_scale(info: &TensorInfo) -> Option<f64> {
    info.scale.map(|(mantissa, exponent)| real(mantissa, exponent))
}

/// `mantissa * 2^exponent`, exactly.
pub fn real(mantissa: i32, exponent: i32) -> f64 {
    f64::from(mantissa) * 2f64.powi(exponent)
}

/// The recipe of input `index`.
fn recipe(model: &Model, index: usize) -> Option<(RecipeRecord, ChannelOrder)> {
    let view = model.view();
    let found = view.recipe().iter().find(|r| r.input as usize == index).copied();
    found.and_then(|r| ChannelOrder::from_number(r.order).map(|order| (r, order)))
}

/// Pixels through the recipe. A network without one takes pixels as they are if its input is u8, or s8 with the pixel
/// 0 at -128, which is what converters make of networks that take 0 to 255.
pub fn from_pixels(model: &Model, index: usize, pixels: Pixels) -> std::result::Result<Vec<u8>, String> {
    let info = &model.inputs()[index];
    let (height, width, channels, planar) = picture_shape(info)?;
    let recipe = recipe(model, index);
    let order = match &recipe {
        Some((_, order)) => *order,
        None if channels == 1 => ChannelOrder::Gray,
        None => ChannelOrder::Rgb,
    };
    let pixels = pixels.ordered(order).resized(height, width);
    if pixels.channels != channels {
        return Err(format!(
            "pictures of {} channels, input '{}' takes {channels}",
            pixels.channels, info.name
        ));
    }
    let view = model.view();
    let code = |c: usize, value: u8| match &recipe {
        Some((r, _)) => Ok(view.tables()[r.tables_first as usize + c][usize::from(value)]),
        None if info.elem == ElemType::U8 => Ok(value),
        None if info.elem == ElemType::S8 => Ok(value ^ 0x80),
        None => Err(format!("input '{}' has no recipe; compile with --mean and --std", info.name)),
    };
    let mut bytes = vec![0; pixels.data.len()];
    for (i, &value) in pixels.data.iter().enumerate() {
        let (pixel, c) = (i / channels, i % channels);
        let at = if planar { c * height * width + pixel } else { i };
        bytes[at] = code(c, value)?;
    }
    Ok(bytes)
}

/// Height, width, channels, and whether channels come before the picture.
fn picture_shape(info: &TensorInfo) -> std::result::Result<(usize, usize, usize, bool), String> {
    match info.shape[..] {
        [1, c @ (1 | 3), h, w] if w != 1 && w != 3 => Ok((h, w, c, true)),
        [1, h, w, c] if info.elem.bits() == 8 => Ok((h, w, c, false)),
        _ => Err(format!("input '{}' of shape {:?} takes no pictures", info.name, info.shape)),
    }
}

/// A uint8 NHWC (or HWC) array of pictures.
fn pixel_batches(model: &Model, index: usize, array: &Array) -> std::result::Result<Vec<u8>, String> {
    let Data::U8(data) = &array.data else {
        return Err(format!("--pixels takes uint8, the file holds {}", array.data.type_name()));
    };
    let (count, height, width, channels) = match array.shape[..] {
        [n, h, w, c @ (1 | 3)] => (n, h, w, c),
        [h, w, c @ (1 | 3)] => (1, h, w, c),
        _ => return Err(format!("shape {:?}, expected [N, height, width, 1 or 3]", array.shape)),
    };
    if count == 0 || height == 0 || width == 0 {
        return Err(format!("shape {:?} holds no picture", array.shape));
    }
    let mut bytes = Vec::new();
    for picture in data.chunks_exact(height * width * channels) {
        let pixels = Pixels { height, width, channels, data: picture.to_vec() };
        bytes.extend(from_pixels(model, index, pixels)?);
    }
    Ok(bytes)
}

/// The bytes of a tensor as an array of its own type; indices become int64.
pub fn to_array(info: &TensorInfo, shape: Vec<usize>, bytes: &[u8]) -> Array {
    let data = match info.elem {
        ElemType::U8 => Data::U8(bytes.to_vec()),
        ElemType::S8 => Data::I8(bytes.iter().map(|&b| b as i8).collect()),
        ElemType::S16 => Data::I16(bytes.as_chunks::<2>().0.iter().map(|b| i16::from_le_bytes(*b)).collect()),
        ElemType::S32 if info.scale.is_none() => {
            Data::I64(bytes.as_chunks::<4>().0.iter().map(|b| i32::from_le_bytes(*b).into()).collect())
        }
        ElemType::S32 => Data::I32(bytes.as_chunks::<4>().0.iter().map(|b| i32::from_le_bytes(*b)).collect()),
        ElemType::U4 | ElemType::S4 => {
            let count = shape.iter().product();
            Data::I8((0..count).map(|i| info.elem.load(bytes, i) as i8).collect())
        }
    };
    Array { shape, data }
}

/// Real values of a tensor.
pub fn dequantize(info: &TensorInfo, shape: Vec<usize>, bytes: &[u8]) -> Array {
    let scale = real_scale(info).unwrap_or(1.0);
    let count: usize = shape.iter().product();
    let real = |i: usize| (f64::from(info.elem.load(bytes, i) - info.zero_point) * scale) as f32;
    Array { shape, data: Data::F32((0..count).map(real).collect()) }
}
