//! What was written is what is read.

use std::collections::HashSet;

use dyadic_compiler::import::tflite::author::{Author, write};
use dyadic_compiler::import::tflite::{
    Activation, AddOptions, Conv2dOptions, DepthwiseConv2dOptions, ElemType, FullyConnectedOptions,
    MirrorPadMode, OpCode, Options, Padding, Pool2dOptions, Quant, QuantScheme, ResizeOptions,
    StridedSliceOptions, TransposeConvOptions, WeightsFormat, read,
};

use crate::{assert_sound, small, small_bytes};

#[test]
fn a_small_model_reads_as_it_was_written() {
    let mut expected = small().model;
    (expected.inputs, expected.outputs) = (vec![0], vec![5]);
    let model = read(&small_bytes()).unwrap();
    assert_eq!(model, expected);
    assert_sound(&model);
    assert_eq!(model.tensors[1].data.as_deref(), Some(&[1u8, 254, 3, 252, 127, 128][..]));
    assert_eq!(
        small().finish_with_data_behind(&[0], &[5]).len() % 16,
        8,
        "data ends after 8 bytes of `axes`"
    );
    assert_eq!(read(&small().finish_with_data_behind(&[0], &[5])).unwrap(), expected);
}

/// Options of every operator that has any, with values that are nowhere the default.
fn options_of(code: &OpCode) -> Options {
    let (padding, activation) = (Padding::Valid, Activation::Relu6);
    let (stride_h, stride_w, dilation_h, dilation_w, filter_h, filter_w) = (2, 3, 4, 5, 6, 7);
    let resize = ResizeOptions { align_corners: true, half_pixel_centers: false };
    let add = AddOptions { activation, pot_scale_int16: false };
    match code {
        OpCode::Conv2d => {
            Options::Conv2d(Conv2dOptions { padding, stride_h, stride_w, dilation_h, dilation_w, activation })
        }
        OpCode::DepthwiseConv2d => Options::DepthwiseConv2d(DepthwiseConv2dOptions {
            padding,
            stride_h,
            stride_w,
            dilation_h,
            dilation_w,
            depth_multiplier: -8,
            activation,
        }),
        OpCode::TransposeConv => {
            Options::TransposeConv(TransposeConvOptions { padding, stride_h, stride_w, activation })
        }
        OpCode::AveragePool2d | OpCode::MaxPool2d => {
            Options::Pool2d(Pool2dOptions { padding, stride_h, stride_w, filter_h, filter_w, activation })
        }
        OpCode::FullyConnected => Options::FullyConnected(FullyConnectedOptions {
            activation: Activation::Tanh,
            weights_format: WeightsFormat::Shuffled4x16Int8,
            keep_num_dims: true,
            asymmetric_quantize_inputs: true,
        }),
        OpCode::Add => Options::Add(add),
        OpCode::Sub => Options::Sub(add),
        OpCode::Mul => Options::Mul { activation: Activation::SignBit },
        OpCode::Mean | OpCode::Sum | OpCode::ReduceMax => Options::Reducer { keep_dims: true },
        OpCode::MirrorPad => Options::MirrorPad { mode: MirrorPadMode::Symmetric },
        OpCode::Concatenation => Options::Concatenation { axis: -1, activation: Activation::ReluN1To1 },
        OpCode::Reshape => Options::Reshape { new_shape: vec![-1, 7] },
        OpCode::Squeeze => Options::Squeeze { dims: vec![0, -1] },
        OpCode::Split => Options::Split { num_splits: 2 },
        OpCode::SplitV => Options::SplitV { num_splits: 2 },
        OpCode::StridedSlice => Options::StridedSlice(StridedSliceOptions {
            begin_mask: 1,
            end_mask: 2,
            ellipsis_mask: 3,
            new_axis_mask: 4,
            shrink_axis_mask: 5,
            offset: true,
        }),
        OpCode::Pack => Options::Pack { values_count: 2, axis: -2 },
        OpCode::Unpack => Options::Unpack { num: 2, axis: -3 },
        OpCode::LeakyRelu => Options::LeakyRelu { alpha: -0.1 },
        OpCode::Gelu => Options::Gelu { approximate: true },
        OpCode::Softmax => Options::Softmax { beta: 1.5 },
        OpCode::ResizeBilinear => Options::ResizeBilinear(resize),
        OpCode::ResizeNearestNeighbor => Options::ResizeNearestNeighbor(resize),
        OpCode::ArgMax | OpCode::ArgMin => Options::ArgMinMax { output_type: ElemType::Int64 },
        OpCode::Gather => Options::Gather { axis: 1, batch_dims: -1 },
        OpCode::Cast => Options::Cast { from: ElemType::UInt8, to: ElemType::Int16 },
        OpCode::Custom(_) => Options::Custom(vec![1, 2, 3]),
        OpCode::Other(..) | OpCode::Unknown(_) => Options::Unread,
        _ => Options::None,
    }
}

/// One operator of each kind: every known one, one custom, every code of one byte and some beyond.
fn kinds() -> Vec<OpCode> {
    let mut kinds = OpCode::all_known().to_vec();
    assert_eq!(kinds.len(), 46);
    kinds.push(OpCode::Custom("TFLite_Detection_PostProcess".to_owned()));
    let rest = (0..220).filter(|&code| code != 32).chain([1000, i32::MAX]);
    kinds.extend(rest.map(OpCode::from_builtin).filter(|kind| kind.arity().is_none()));
    kinds
}

#[test]
fn every_operator_and_every_option_survives() {
    let mut author = Author::new();
    let mut inputs = Vec::new();
    for code in kinds() {
        let (mut takes, mut makes) = (1, 1);
        if let Some(arity) = code.arity() {
            takes = if *arity.inputs.end() > 9 { 2 } else { *arity.inputs.start() };
            makes = if *arity.outputs.end() > 9 { 2 } else { *arity.outputs.start() };
        }
        let tensors = |author: &mut Author, count: usize, name: &str| -> Vec<usize> {
            (0..count)
                .map(|at| author.activation(&format!("{name}{at}"), &[1], ElemType::Int8, None))
                .collect()
        };
        let taken = tensors(&mut author, takes, "in");
        let made = tensors(&mut author, makes, "out");
        inputs.extend(&taken);
        let options = options_of(&code);
        let at = author.operator(code, options, taken, made);
        author.model.operators[at].version = at as i32;
    }
    author.model.outputs = vec![1];
    author.model.inputs = inputs;
    let model = read(&write(&author.model)).unwrap();
    assert_sound(&model);
    for (read, written) in model.operators.iter().zip(&author.model.operators) {
        assert_eq!(read, written);
    }
    assert_eq!(model, author.model);
}

#[test]
fn names_of_operators_are_the_schemas_and_unique() {
    let names: HashSet<String> = (0..210)
        .map(|code| OpCode::from_builtin(code).to_string())
        .filter(|n| n != "builtin operator 32")
        .collect();
    assert_eq!(names.len(), 209, "one name for every code of the schema but CUSTOM");
    for (code, name) in
        [(3, "CONV_2D"), (107, "GATHER_ND"), (150, "GELU"), (203, "DILATE"), (209, "STABLEHLO_CASE")]
    {
        assert_eq!(OpCode::from_builtin(code).to_string(), name);
        assert_eq!(OpCode::from_builtin(code).builtin_code(), code);
    }
    assert_eq!(OpCode::from_builtin(210), OpCode::Unknown(210));
    assert_eq!(OpCode::from_builtin(-1).to_string(), "builtin operator -1");
    assert_eq!(OpCode::Custom("Foo".to_owned()).to_string(), "CUSTOM:Foo");
}

/// Every code of an element type comes back, and data of every width is measured rightly.
#[test]
fn element_types() {
    for code in i8::MIN..=i8::MAX {
        let elem = ElemType::from_code(code);
        assert_eq!(elem.code(), code);
        assert_eq!(matches!(elem, ElemType::Unknown(_)), !(0..=22).contains(&code));
        let mut author = Author::new();
        let bytes = elem.byte_len(5).unwrap_or(3);
        author.constant("c", &[5], elem, None, vec![7; bytes as usize]);
        author.model.outputs = vec![0];
        assert_eq!(read(&write(&author.model)).unwrap(), author.model, "{elem}");
    }
    let widths = [ElemType::Int2, ElemType::Int4, ElemType::UInt4, ElemType::Int8, ElemType::Complex128];
    assert_eq!(widths.map(|elem| elem.byte_len(5).unwrap()), [2, 3, 3, 5, 80]);
}

#[test]
fn rare_fields_survive() {
    let mut author = small();
    author.model.description = "Грüße".to_owned();
    author.model.tensors[0].shape_signature = vec![-1, 4, 4, 2];
    author.model.tensors[0].has_rank = false;
    author.model.tensors[3].name = String::new();
    let variable = author.activation("state", &[2, 2], ElemType::Int16, Some(Quant::per_tensor(1e-30, -5)));
    author.model.tensors[variable].is_variable = true;
    let sparse = author.constant("sparse", &[100], ElemType::Int8, None, vec![1]);
    author.model.tensors[sparse].is_sparse = true;
    for scheme in
        [QuantScheme::Custom, QuantScheme::Blockwise, QuantScheme::MultiAxis, QuantScheme::Unknown(9)]
    {
        let index = author.activation("other scheme", &[1], ElemType::Int4, None);
        author.model.tensors[index].scheme = scheme;
        author.operator(OpCode::Custom("Make".to_owned()), Options::Custom(Vec::new()), [variable], [index]);
    }
    // Input 2, the bias, left out.
    let w = author.constant_i8("w2", &[3, 3], Some(Quant::per_tensor(0.1, 0)), &[0; 9]);
    let out = author.activation("out", &[1, 3], ElemType::Int8, Some(Quant::per_tensor(0.1, -128)));
    let options = options_of(&OpCode::FullyConnected);
    author.operator(OpCode::FullyConnected, options, [Some(5), Some(w), None], [out]);
    (author.model.inputs, author.model.outputs) = (vec![0], vec![out, 5, out]);
    let model = read(&write(&author.model)).unwrap();
    assert_sound(&model);
    assert_eq!(model, author.model);
}

/// An empty list has no data; it is a constant all the same.
#[test]
fn a_tensor_of_no_elements_that_nothing_makes_is_a_constant() {
    let mut author = small();
    let empty = author.activation("empty", &[0], ElemType::Int32, None);
    let fed = author.activation("fed", &[0, 3], ElemType::Int32, None);
    author.operator(OpCode::Custom("Use".to_owned()), Options::Custom(Vec::new()), [empty, fed], []);
    let model = read(&author.finish(&[0, fed], &[5])).unwrap();
    assert_eq!(model.tensors[empty].data.as_deref(), Some(&[][..]));
    assert_eq!(model.tensors[fed].data, None);
}
