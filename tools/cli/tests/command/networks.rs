//! Small source networks with what real ones rarely have.

use dyadic_compiler::import::tflite::author::Author;
use dyadic_compiler::import::tflite::{Activation, AddOptions, ElemType, OpCode, Options, Quant};

const QUANT: fn() -> Option<Quant> = || Some(Quant::per_tensor(0.5, 0));

/// The class itself: ARG_MAX of five values.
pub fn arg_max() -> Vec<u8> {
    let mut author = Author::new();
    let x = author.activation("x", &[1, 5], ElemType::Int8, QUANT());
    let axis = author.constant_i32("axis", &[1], None, &[1]);
    let y = author.activation("y", &[1], ElemType::Int32, None);
    author.operator(OpCode::ArgMax, Options::ArgMinMax { output_type: ElemType::Int32 }, [x, axis], [y]);
    author.finish(&[x], &[y])
}

/// Two inputs, added.
pub fn sum() -> Vec<u8> {
    let mut author = Author::new();
    let [a, b, y] = ["a", "b", "y"].map(|name| author.activation(name, &[1, 4], ElemType::Int8, QUANT()));
    let options = AddOptions { activation: Activation::None, pot_scale_int16: false };
    author.operator(OpCode::Add, Options::Add(options), [a, b], [y]);
    author.finish(&[a, b], &[y])
}

/// RELU of `classes` values, with these names.
pub fn relu(input: &str, output: &str, classes: i32) -> Vec<u8> {
    let mut author = Author::new();
    let [x, y] = [input, output].map(|name| author.activation(name, &[1, classes], ElemType::Int8, QUANT()));
    author.operator(OpCode::Relu, Options::None, [x], [y]);
    author.finish(&[x], &[y])
}
