//! The options tables of operators, decoded into [`Options`].

use dyadic_tflite_schema as schema;
use planus::{ReadAsRoot, Vector};

use super::elem::ElemType;
use super::error::{OperatorFault, TfliteError};
use super::opcode::OpCode;
use super::options::{
    Activation, AddOptions, Conv2dOptions, DepthwiseConv2dOptions, FullyConnectedOptions, MirrorPadMode,
    Options, Padding, Pool2dOptions, ResizeOptions, StridedSliceOptions, TransposeConvOptions, WeightsFormat,
};
use super::read::{OperatorPlace as Place, slice_at};

type Result<T> = std::result::Result<T, TfliteError>;
type Table<'a> = schema::OperatorRef<'a>;

/// A FlatBuffer whose root table has no fields: root at byte 8, its vtable (4 bytes long, of a table of 4 bytes) at
/// byte 4. Read as any table, it gives the schema's defaults.
const NO_FIELDS: &[u8] = &[8, 0, 0, 0, 4, 0, 4, 0, 4, 0, 0, 0];

/// The options table of the kind that the operator needs; defaults if it has none; a fault if it has another.
macro_rules! table {
    ($place:expr, $operator:expr, $kind:ident, $table:ident) => {
        match $operator.builtin_options()? {
            Some(schema::BuiltinOptionsRef::$kind(table)) => table,
            Some(_) => {
                return Err($place.fault(OperatorFault::WrongOptions { expected: stringify!($kind) }));
            }
            None => schema::$table::read_as_root(NO_FIELDS)?,
        }
    };
}

/// Decodes the options of one operator that takes `inputs` tensors and makes `outputs`.
pub(super) fn options(
    place: &Place<'_>,
    operator: &Table<'_>,
    bytes: &[u8],
    inputs: usize,
    outputs: usize,
) -> Result<Options> {
    match place.code {
        OpCode::Conv2d => conv_2d(place, operator),
        OpCode::DepthwiseConv2d => depthwise_conv_2d(place, operator),
        OpCode::TransposeConv => transpose_conv(place, operator),
        OpCode::AveragePool2d | OpCode::MaxPool2d => pool_2d(place, operator),
        OpCode::FullyConnected => fully_connected(place, operator),
        OpCode::Add => add(place, operator),
        OpCode::Sub => sub(place, operator),
        OpCode::Mul => mul(place, operator),
        OpCode::Mean | OpCode::Sum | OpCode::ReduceMax => reducer(place, operator),
        OpCode::MirrorPad => mirror_pad(place, operator),
        OpCode::Concatenation => concatenation(place, operator),
        OpCode::Reshape => reshape(place, operator),
        OpCode::Squeeze => squeeze(place, operator),
        OpCode::Split => split(place, operator, outputs),
        OpCode::SplitV => split_v(place, operator, outputs),
        OpCode::StridedSlice => strided_slice(place, operator),
        OpCode::Pack => pack(place, operator, inputs),
        OpCode::Unpack => unpack(place, operator, outputs),
        OpCode::LeakyRelu => leaky_relu(place, operator),
        OpCode::Gelu => gelu(place, operator),
        OpCode::Softmax => softmax(place, operator),
        OpCode::ResizeBilinear => resize_bilinear(place, operator),
        OpCode::ResizeNearestNeighbor => resize_nearest_neighbor(place, operator),
        OpCode::ArgMax => arg_max(place, operator),
        OpCode::ArgMin => arg_min(place, operator),
        OpCode::Gather => gather(place, operator),
        OpCode::Cast => cast(place, operator),
        OpCode::Pad
        | OpCode::PadV2
        | OpCode::ExpandDims
        | OpCode::Transpose
        | OpCode::Slice
        | OpCode::Tile
        | OpCode::Quantize
        | OpCode::Dequantize
        | OpCode::Logistic
        | OpCode::Tanh
        | OpCode::HardSwish
        | OpCode::Relu
        | OpCode::Relu6
        | OpCode::ReluN1To1
        | OpCode::Prelu
        | OpCode::Elu => Ok(Options::None),
        OpCode::Custom(_) => custom(place, operator, bytes),
        OpCode::Other(..) | OpCode::Unknown(_) => Ok(Options::Unread),
    }
}

/// Heap bytes that decoded options hold.
pub(super) fn owned_bytes(options: &Options) -> usize {
    match options {
        Options::Reshape { new_shape: list } | Options::Squeeze { dims: list } => {
            size_of_val(list.as_slice())
        }
        Options::Custom(bytes) => bytes.len(),
        Options::Conv2d(_)
        | Options::DepthwiseConv2d(_)
        | Options::TransposeConv(_)
        | Options::Pool2d(_)
        | Options::FullyConnected(_)
        | Options::Add(_)
        | Options::Sub(_)
        | Options::Mul { .. }
        | Options::Reducer { .. }
        | Options::MirrorPad { .. }
        | Options::Concatenation { .. }
        | Options::Split { .. }
        | Options::SplitV { .. }
        | Options::StridedSlice(_)
        | Options::Pack { .. }
        | Options::Unpack { .. }
        | Options::LeakyRelu { .. }
        | Options::Gelu { .. }
        | Options::Softmax { .. }
        | Options::ResizeBilinear(_)
        | Options::ResizeNearestNeighbor(_)
        | Options::ArgMinMax { .. }
        | Options::Gather { .. }
        | Options::Cast { .. }
        | Options::None
        | Options::Unread => 0,
    }
}

fn conv_2d(place: &Place<'_>, operator: &Table<'_>) -> Result<Options> {
    let table = table!(place, operator, Conv2DOptions, Conv2DOptionsRef);
    Ok(Options::Conv2d(Conv2dOptions {
        padding: padding(place, table.padding()?)?,
        stride_h: positive(place, "stride_h", table.stride_h()?)?,
        stride_w: positive(place, "stride_w", table.stride_w()?)?,
        dilation_h: positive(place, "dilation_h_factor", table.dilation_h_factor()?)?,
        dilation_w: positive(place, "dilation_w_factor", table.dilation_w_factor()?)?,
        activation: activation(place, table.fused_activation_function()?)?,
    }))
}

fn depthwise_conv_2d(place: &Place<'_>, operator: &Table<'_>) -> Result<Options> {
    let table = table!(place, operator, DepthwiseConv2DOptions, DepthwiseConv2DOptionsRef);
    Ok(Options::DepthwiseConv2d(DepthwiseConv2dOptions {
        padding: padding(place, table.padding()?)?,
        stride_h: positive(place, "stride_h", table.stride_h()?)?,
        stride_w: positive(place, "stride_w", table.stride_w()?)?,
        dilation_h: positive(place, "dilation_h_factor", table.dilation_h_factor()?)?,
        dilation_w: positive(place, "dilation_w_factor", table.dilation_w_factor()?)?,
        depth_multiplier: table.depth_multiplier()?,
        activation: activation(place, table.fused_activation_function()?)?,
    }))
}

fn transpose_conv(place: &Place<'_>, operator: &Table<'_>) -> Result<Options> {
    let table = table!(place, operator, TransposeConvOptions, TransposeConvOptionsRef);
    Ok(Options::TransposeConv(TransposeConvOptions {
        padding: padding(place, table.padding()?)?,
        stride_h: positive(place, "stride_h", table.stride_h()?)?,
        stride_w: positive(place, "stride_w", table.stride_w()?)?,
        activation: activation(place, table.fused_activation_function()?)?,
    }))
}

fn pool_2d(place: &Place<'_>, operator: &Table<'_>) -> Result<Options> {
    let table = table!(place, operator, Pool2DOptions, Pool2DOptionsRef);
    Ok(Options::Pool2d(Pool2dOptions {
        padding: padding(place, table.padding()?)?,
        stride_h: positive(place, "stride_h", table.stride_h()?)?,
        stride_w: positive(place, "stride_w", table.stride_w()?)?,
        filter_h: positive(place, "filter_height", table.filter_height()?)?,
        filter_w: positive(place, "filter_width", table.filter_width()?)?,
        activation: activation(place, table.fused_activation_function()?)?,
    }))
}

fn fully_connected(place: &Place<'_>, operator: &Table<'_>) -> Result<Options> {
    let table = table!(place, operator, FullyConnectedOptions, FullyConnectedOptionsRef);
    let weights_format = match table.weights_format()? {
        0 => WeightsFormat::Default,
        1 => WeightsFormat::Shuffled4x16Int8,
        other => return Err(bad(place, "weights_format", other, "0 (DEFAULT) or 1 (SHUFFLED4x16INT8)")),
    };
    Ok(Options::FullyConnected(FullyConnectedOptions {
        activation: activation(place, table.fused_activation_function()?)?,
        weights_format,
        keep_num_dims: table.keep_num_dims()?,
        asymmetric_quantize_inputs: table.asymmetric_quantize_inputs()?,
    }))
}

fn add(place: &Place<'_>, operator: &Table<'_>) -> Result<Options> {
    let table = table!(place, operator, AddOptions, AddOptionsRef);
    let activation = activation(place, table.fused_activation_function()?)?;
    Ok(Options::Add(AddOptions { activation, pot_scale_int16: table.pot_scale_int16()? }))
}

fn sub(place: &Place<'_>, operator: &Table<'_>) -> Result<Options> {
    let table = table!(place, operator, SubOptions, SubOptionsRef);
    let activation = activation(place, table.fused_activation_function()?)?;
    Ok(Options::Sub(AddOptions { activation, pot_scale_int16: table.pot_scale_int16()? }))
}

fn mul(place: &Place<'_>, operator: &Table<'_>) -> Result<Options> {
    let table = table!(place, operator, MulOptions, MulOptionsRef);
    Ok(Options::Mul { activation: activation(place, table.fused_activation_function()?)? })
}

fn reducer(place: &Place<'_>, operator: &Table<'_>) -> Result<Options> {
    let table = table!(place, operator, ReducerOptions, ReducerOptionsRef);
    Ok(Options::Reducer { keep_dims: table.keep_dims()? })
}

fn mirror_pad(place: &Place<'_>, operator: &Table<'_>) -> Result<Options> {
    let table = table!(place, operator, MirrorPadOptions, MirrorPadOptionsRef);
    let mode = match table.mode()? {
        0 => MirrorPadMode::Reflect,
        1 => MirrorPadMode::Symmetric,
        other => return Err(bad(place, "mode", other, "0 (REFLECT) or 1 (SYMMETRIC)")),
    };
    Ok(Options::MirrorPad { mode })
}

fn concatenation(place: &Place<'_>, operator: &Table<'_>) -> Result<Options> {
    let table = table!(place, operator, ConcatenationOptions, ConcatenationOptionsRef);
    let activation = activation(place, table.fused_activation_function()?)?;
    Ok(Options::Concatenation { axis: table.axis()?, activation })
}

fn reshape(place: &Place<'_>, operator: &Table<'_>) -> Result<Options> {
    let table = table!(place, operator, ReshapeOptions, ReshapeOptionsRef);
    Ok(Options::Reshape { new_shape: list(table.new_shape()?) })
}

fn squeeze(place: &Place<'_>, operator: &Table<'_>) -> Result<Options> {
    let table = table!(place, operator, SqueezeOptions, SqueezeOptionsRef);
    Ok(Options::Squeeze { dims: list(table.squeeze_dims()?) })
}

fn split(place: &Place<'_>, operator: &Table<'_>, outputs: usize) -> Result<Options> {
    let table = table!(place, operator, SplitOptions, SplitOptionsRef);
    let expected = "the number of outputs";
    Ok(Options::Split { num_splits: count(place, "num_splits", table.num_splits()?, outputs, expected)? })
}

fn split_v(place: &Place<'_>, operator: &Table<'_>, outputs: usize) -> Result<Options> {
    let table = table!(place, operator, SplitVOptions, SplitVOptionsRef);
    let expected = "the number of outputs";
    Ok(Options::SplitV { num_splits: count(place, "num_splits", table.num_splits()?, outputs, expected)? })
}

fn strided_slice(place: &Place<'_>, operator: &Table<'_>) -> Result<Options> {
    let table = table!(place, operator, StridedSliceOptions, StridedSliceOptionsRef);
    Ok(Options::StridedSlice(StridedSliceOptions {
        begin_mask: table.begin_mask()?,
        end_mask: table.end_mask()?,
        ellipsis_mask: table.ellipsis_mask()?,
        new_axis_mask: table.new_axis_mask()?,
        shrink_axis_mask: table.shrink_axis_mask()?,
        offset: table.offset()?,
    }))
}

fn pack(place: &Place<'_>, operator: &Table<'_>, inputs: usize) -> Result<Options> {
    let table = table!(place, operator, PackOptions, PackOptionsRef);
    let expected = "the number of inputs";
    let values_count = count(place, "values_count", table.values_count()?, inputs, expected)?;
    Ok(Options::Pack { values_count, axis: table.axis()? })
}

fn unpack(place: &Place<'_>, operator: &Table<'_>, outputs: usize) -> Result<Options> {
    let table = table!(place, operator, UnpackOptions, UnpackOptionsRef);
    let num = count(place, "num", table.num()?, outputs, "the number of outputs")?;
    Ok(Options::Unpack { num, axis: table.axis()? })
}

fn leaky_relu(place: &Place<'_>, operator: &Table<'_>) -> Result<Options> {
    let table = table!(place, operator, LeakyReluOptions, LeakyReluOptionsRef);
    Ok(Options::LeakyRelu { alpha: finite(place, "alpha", table.alpha()?)? })
}

fn gelu(place: &Place<'_>, operator: &Table<'_>) -> Result<Options> {
    let table = table!(place, operator, GeluOptions, GeluOptionsRef);
    Ok(Options::Gelu { approximate: table.approximate()? })
}

fn softmax(place: &Place<'_>, operator: &Table<'_>) -> Result<Options> {
    let table = table!(place, operator, SoftmaxOptions, SoftmaxOptionsRef);
    Ok(Options::Softmax { beta: finite(place, "beta", table.beta()?)? })
}

fn resize_bilinear(place: &Place<'_>, operator: &Table<'_>) -> Result<Options> {
    let table = table!(place, operator, ResizeBilinearOptions, ResizeBilinearOptionsRef);
    let (align_corners, half_pixel_centers) = (table.align_corners()?, table.half_pixel_centers()?);
    Ok(Options::ResizeBilinear(ResizeOptions { align_corners, half_pixel_centers }))
}

fn resize_nearest_neighbor(place: &Place<'_>, operator: &Table<'_>) -> Result<Options> {
    let table = table!(place, operator, ResizeNearestNeighborOptions, ResizeNearestNeighborOptionsRef);
    let (align_corners, half_pixel_centers) = (table.align_corners()?, table.half_pixel_centers()?);
    Ok(Options::ResizeNearestNeighbor(ResizeOptions { align_corners, half_pixel_centers }))
}

fn arg_max(place: &Place<'_>, operator: &Table<'_>) -> Result<Options> {
    let table = table!(place, operator, ArgMaxOptions, ArgMaxOptionsRef);
    Ok(Options::ArgMinMax { output_type: ElemType::from_code(table.output_type()?) })
}

fn arg_min(place: &Place<'_>, operator: &Table<'_>) -> Result<Options> {
    let table = table!(place, operator, ArgMinOptions, ArgMinOptionsRef);
    Ok(Options::ArgMinMax { output_type: ElemType::from_code(table.output_type()?) })
}

fn gather(place: &Place<'_>, operator: &Table<'_>) -> Result<Options> {
    let table = table!(place, operator, GatherOptions, GatherOptionsRef);
    Ok(Options::Gather { axis: table.axis()?, batch_dims: table.batch_dims()? })
}

fn cast(place: &Place<'_>, operator: &Table<'_>) -> Result<Options> {
    let table = table!(place, operator, CastOptions, CastOptionsRef);
    let (from, to) = (table.in_data_type()?, table.out_data_type()?);
    Ok(Options::Cast { from: ElemType::from_code(from), to: ElemType::from_code(to) })
}

/// The bytes lie in the table, or (large files) behind the FlatBuffer.
fn custom(place: &Place<'_>, operator: &Table<'_>, bytes: &[u8]) -> Result<Options> {
    if let Some(options) = operator.custom_options()? {
        return Ok(Options::Custom(options.to_vec()));
    }
    let (offset, size) = (operator.large_custom_options_offset()?, operator.large_custom_options_size()?);
    if offset <= 1 || size == 0 {
        return Ok(Options::Custom(Vec::new()));
    }
    match slice_at(bytes, offset, size) {
        Some((_, options)) => Ok(Options::Custom(options.to_vec())),
        None => Err(place.fault(OperatorFault::OptionsRange { offset, size, file: bytes.len() })),
    }
}

fn bad(place: &Place<'_>, field: &'static str, value: impl ToString, expected: &'static str) -> TfliteError {
    place.fault(OperatorFault::Option { field, value: value.to_string(), expected })
}

fn list(values: Option<Vector<'_, i32>>) -> Vec<i32> {
    values.map_or_else(Vec::new, |values| values.iter().collect())
}

fn positive(place: &Place<'_>, field: &'static str, value: i32) -> Result<usize> {
    let number = usize::try_from(value).ok().filter(|&number| number > 0);
    number.ok_or_else(|| bad(place, field, value, "1 or more"))
}

fn finite(place: &Place<'_>, field: &'static str, value: f32) -> Result<f32> {
    if value.is_finite() { Ok(value) } else { Err(bad(place, field, value, "a finite number")) }
}

/// A count that the lists of the operator repeat.
fn count(
    place: &Place<'_>,
    field: &'static str,
    value: i32,
    actual: usize,
    expected: &'static str,
) -> Result<usize> {
    let number = usize::try_from(value).ok().filter(|&number| number == actual);
    number.ok_or_else(|| bad(place, field, value, expected))
}

fn padding(place: &Place<'_>, code: i8) -> Result<Padding> {
    match code {
        0 => Ok(Padding::Same),
        1 => Ok(Padding::Valid),
        other => Err(bad(place, "padding", other, "0 (SAME) or 1 (VALID)")),
    }
}

fn activation(place: &Place<'_>, code: i8) -> Result<Activation> {
    match code {
        0 => Ok(Activation::None),
        1 => Ok(Activation::Relu),
        2 => Ok(Activation::ReluN1To1),
        3 => Ok(Activation::Relu6),
        4 => Ok(Activation::Tanh),
        5 => Ok(Activation::SignBit),
        other => Err(bad(place, "fused_activation_function", other, "0 to 5")),
    }
}
