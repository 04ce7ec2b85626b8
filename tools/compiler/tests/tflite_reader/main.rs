//! The TFLite reader: what it reads, what it refuses, and that no bytes make it fall over.
#![forbid(unsafe_code)]

mod hostile;
mod models;
mod round_trip;
mod wrong;

use dyadic_compiler::import::tflite::author::Author;
use dyadic_compiler::import::tflite::{
    Activation, Conv2dOptions, ElemType, OpCode, Options, Padding, Quant, TfliteModel,
};

/// A convolution (1x1, 2 channels to 3, per channel) and the mean of its output over height and width.
///
/// Tensors: 0 `x`, 1 `w`, 2 `b`, 3 `y`, 4 `axes`, 5 `z`. Operators: 0 CONV_2D, 1 MEAN.
fn small() -> Author {
    let mut author = Author::new();
    let act = Some(Quant::per_tensor(0.5, 3));
    let channels = |scale: f32| Some(Quant::per_channel(vec![scale, scale * 2.0, scale * 3.0], 0));
    let x = author.activation("x", &[1, 4, 4, 2], ElemType::Int8, act.clone());
    let w = author.constant_i8("w", &[3, 1, 1, 2], channels(0.25), &[1, -2, 3, -4, 127, -128]);
    let b = author.constant_i32("b", &[3], channels(0.125), &[-7, 0, 1 << 20]);
    let y = author.activation("y", &[1, 4, 4, 3], ElemType::Int8, act.clone());
    let axes = author.constant_i32("axes", &[2], None, &[1, 2]);
    let z = author.activation("z", &[1, 3], ElemType::Int8, act);
    let conv = Conv2dOptions {
        padding: Padding::Valid,
        stride_h: 1,
        stride_w: 1,
        dilation_h: 1,
        dilation_w: 1,
        activation: Activation::Relu6,
    };
    author.operator(OpCode::Conv2d, Options::Conv2d(conv), [x, w, b], [y]);
    author.operator(OpCode::Mean, Options::Reducer { keep_dims: false }, [y, axes], [z]);
    author
}

fn small_bytes() -> Vec<u8> {
    small().finish(&[0], &[5])
}

/// Recomputes, without the reader's code, what a model that was read promises.
fn assert_sound(model: &TfliteModel) {
    assert_eq!(model.version, 3);
    let mut has_value = vec![false; model.tensors.len()];
    for (index, tensor) in model.tensors.iter().enumerate() {
        assert_eq!(tensor.index, index);
        let elements: i64 = tensor.shape.iter().map(|&extent| i64::from(extent)).product();
        assert!(tensor.shape.iter().all(|&extent| extent >= 0) && elements < 1 << 31);
        assert_eq!(tensor.elements() as i64, elements);
        if let (Some(data), Some(bits), false) = (&tensor.data, tensor.elem.bits(), tensor.is_sparse) {
            assert_eq!(data.len() as i64, (elements * i64::from(bits) + 7) / 8);
        }
        if let Some(quant) = &tensor.quant {
            assert_eq!(quant.scales.len(), quant.zero_points.len());
            assert!(quant.scales.iter().all(|&scale| scale > 0.0 && scale < f32::INFINITY));
            let extent = tensor.shape.get(quant.axis).map(|&extent| extent as usize);
            assert!(quant.scales.len() == 1 || extent == Some(quant.scales.len()));
        }
        has_value[index] = tensor.data.is_some() || tensor.is_variable;
    }
    for &input in &model.inputs {
        assert!(model.tensors[input].data.is_none());
        has_value[input] = true;
    }
    let mut made = vec![false; model.tensors.len()];
    for (index, operator) in model.operators.iter().enumerate() {
        assert_eq!(operator.index, index);
        assert!(operator.inputs.iter().flatten().all(|&input| has_value[input]));
        for &output in &operator.outputs {
            assert!(!made[output] && model.tensors[output].data.is_none());
            made[output] = true;
            has_value[output] = true;
        }
        if let Some(arity) = operator.code.arity() {
            assert!(arity.inputs.contains(&operator.inputs.len()));
            assert!(arity.outputs.contains(&operator.outputs.len()));
            assert!(operator.inputs[..*arity.inputs.start()].iter().all(Option::is_some));
        }
    }
    assert!(!model.outputs.is_empty() && model.outputs.iter().all(|&output| has_value[output]));
}
