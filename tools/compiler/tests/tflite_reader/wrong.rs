//! Ways to be wrong: each row damages the tables of a sound file in one way and states the report word for word.

use dyadic_compiler::import::tflite::read;
use dyadic_tflite_schema as schema;
use planus::ReadAsRoot;

use crate::{small, small_bytes};

fn tables(bytes: &[u8]) -> schema::Model {
    schema::ModelRef::read_as_root(bytes).unwrap().try_into().unwrap()
}

fn bytes_of(model: &schema::Model) -> Vec<u8> {
    schema::finish(planus::Builder::new(), model)
}

fn graph(model: &mut schema::Model) -> &mut schema::SubGraph {
    &mut model.subgraphs.as_mut().unwrap()[0]
}

fn tensor(model: &mut schema::Model, index: usize) -> &mut schema::Tensor {
    &mut graph(model).tensors.as_mut().unwrap()[index]
}

fn quant(model: &mut schema::Model, index: usize) -> &mut schema::QuantizationParameters {
    tensor(model, index).quantization.as_mut().unwrap()
}

fn operator(model: &mut schema::Model, index: usize) -> &mut schema::Operator {
    &mut graph(model).operators.as_mut().unwrap()[index]
}

fn code(model: &mut schema::Model, index: usize) -> &mut schema::OperatorCode {
    &mut model.operator_codes.as_mut().unwrap()[index]
}

fn conv(model: &mut schema::Model) -> &mut schema::Conv2DOptions {
    match operator(model, 0).builtin_options.as_mut().unwrap() {
        schema::BuiltinOptions::Conv2DOptions(options) => options,
        other => panic!("{other:?}"),
    }
}

type Row = (fn(&mut schema::Model), &'static str);

fn check(rows: &[Row]) {
    for (damage, expected) in rows {
        let mut model = tables(&small_bytes());
        damage(&mut model);
        let bytes = bytes_of(&model);
        match read(&bytes) {
            Ok(_) => panic!("accepted, expected: {expected}"),
            Err(error) => {
                assert_eq!(error.to_string(), expected.replace("LENGTH", &bytes.len().to_string()));
            }
        }
    }
}

#[test]
fn the_undamaged_tables_are_accepted() {
    assert_eq!(read(&bytes_of(&tables(&small_bytes()))).unwrap(), read(&small_bytes()).unwrap());
}

#[test]
fn wrong_models() {
    check(&[
        (|m| m.version = 2, "the model states TFLite schema version 2, expected 3"),
        (|m| m.subgraphs = None, "the Model table has no field `subgraphs`"),
        (|m| m.subgraphs = Some(vec![]), "the Model table has no field `subgraphs`"),
        (|m| graph(m).outputs = None, "the graph has no outputs"),
        (|m| graph(m).tensors = None, "operator 0 (CONV_2D): input 0 is tensor 0, but there are 0"),
        (|m| graph(m).operators = None, "graph output 0: nothing makes tensor 5 (\"z\")"),
        (|m| graph(m).inputs = Some(vec![6]), "graph input 0: tensor 6, but there are 6"),
        (|m| graph(m).inputs = Some(vec![0, -1]), "graph input 1: tensor -1, but there are 6"),
        (|m| graph(m).inputs = Some(vec![0, 0]), "graph input 1: tensor 0 (\"x\") is listed twice"),
        (|m| graph(m).inputs = Some(vec![0, 1]), "graph input 1: tensor 1 (\"w\") is a constant"),
        (|m| graph(m).outputs = Some(vec![5, 6]), "graph output 1: tensor 6, but there are 6"),
        (|m| graph(m).outputs = Some(vec![i32::MIN]), "graph output 0: tensor -2147483648, but there are 6"),
    ]);
}

#[test]
fn wrong_tensors() {
    check(&[
        (
            |m| tensor(m, 3).shape = Some(vec![1, -4, 4, 3]),
            "tensor 3 (\"y\"): axis 1 of the shape is -4, expected 0 or more",
        ),
        (
            |m| tensor(m, 3).shape = Some(vec![65536, 32768]),
            "tensor 3 (\"y\"): the shape [65536, 32768] has 2^31 elements or more",
        ),
        (
            |m| tensor(m, 3).shape = Some(vec![i32::MAX, i32::MAX, i32::MAX, 0]),
            "tensor 3 (\"y\"): the shape [2147483647, 2147483647, 2147483647, 0] has 2^31 elements or more",
        ),
        (|m| tensor(m, 1).buffer = 4, "tensor 1 (\"w\"): data in buffer 4, but the file has 4 buffers"),
        (|m| m.buffers = None, "tensor 1 (\"w\"): data in buffer 1, but the file has 0 buffers"),
        (
            |m| m.buffers.as_mut().unwrap()[1].data = Some(vec![0; 5]),
            "tensor 1 (\"w\"): 5 bytes of data, but INT8 [3, 1, 1, 2] takes 6",
        ),
        (|m| tensor(m, 1).type_ = 17, "tensor 1 (\"w\"): 6 bytes of data, but INT4 [3, 1, 1, 2] takes 3"),
        (|m| tensor(m, 2).type_ = 4, "tensor 2 (\"b\"): 12 bytes of data, but INT64 [3] takes 24"),
        (|m| tensor(m, 1).is_variable = true, "tensor 1 (\"w\"): a variable tensor may not have data"),
        (
            |m| tensor(m, 1).external_buffer = 7,
            "tensor 1 (\"w\"): the data is in another file (external buffer 7); join them into one .tflite file",
        ),
        (
            |m| m.buffers.as_mut().unwrap()[1] = schema::Buffer { data: None, offset: u64::MAX, size: 6 },
            "tensor 1 (\"w\"): data at bytes 18446744073709551615..18446744073709551615+6, but the file has LENGTH bytes",
        ),
        (
            |m| m.buffers.as_mut().unwrap()[1] = schema::Buffer { data: None, offset: 500, size: 1000 },
            "tensor 1 (\"w\"): data at bytes 500..500+1000, but the file has LENGTH bytes",
        ),
    ]);
}

#[test]
fn wrong_quantization() {
    check(&[
        (|m| quant(m, 0).scale = Some(vec![0.5; 2]), "tensor 0 (\"x\"): 2 scales, but 1 zero points"),
        (|m| quant(m, 0).zero_point = None, "tensor 0 (\"x\"): 1 scales, but 0 zero points"),
        (
            |m| quant(m, 0).scale = Some(vec![0.0]),
            "tensor 0 (\"x\"): scale 0 is 0, expected a finite number above 0",
        ),
        (
            |m| quant(m, 1).scale = Some(vec![1.0, 1.0, -1.5]),
            "tensor 1 (\"w\"): scale 2 is -1.5, expected a finite number above 0",
        ),
        (
            |m| quant(m, 1).scale = Some(vec![1.0, f32::NAN, 1.0]),
            "tensor 1 (\"w\"): scale 1 is NaN, expected a finite number above 0",
        ),
        (
            |m| quant(m, 1).scale = Some(vec![f32::INFINITY, 1.0, 1.0]),
            "tensor 1 (\"w\"): scale 0 is inf, expected a finite number above 0",
        ),
        (|m| quant(m, 0).zero_point = Some(vec![128]), "tensor 0 (\"x\"): zero point 0 is 128, outside INT8"),
        (
            |m| quant(m, 0).zero_point = Some(vec![i64::MIN]),
            "tensor 0 (\"x\"): zero point 0 is -9223372036854775808, outside INT8",
        ),
        (
            |m| quant(m, 1).quantized_dimension = 4,
            "tensor 1 (\"w\"): 3 scales along axis 4, but the shape has 4 axes",
        ),
        (
            |m| quant(m, 1).quantized_dimension = -1,
            "tensor 1 (\"w\"): 3 scales along axis -1, but the shape has 4 axes",
        ),
        (
            |m| quant(m, 1).quantized_dimension = 3,
            "tensor 1 (\"w\"): 3 scales along axis 3, whose extent is 2",
        ),
    ]);
}

#[test]
fn wrong_operators() {
    check(&[
        (
            |m| operator(m, 1).opcode_index = 2,
            "operator 1 (of unknown kind): operator code 2, but the file has 2",
        ),
        (|m| m.operator_codes = None, "operator 0 (of unknown kind): operator code 0, but the file has 0"),
        (
            |m| operator(m, 0).inputs = Some(vec![0, 1, 6]),
            "operator 0 (CONV_2D): input 2 is tensor 6, but there are 6",
        ),
        (
            |m| operator(m, 0).inputs = Some(vec![0, -2, 2]),
            "operator 0 (CONV_2D): input 1 is tensor -2, but there are 6",
        ),
        (
            |m| operator(m, 0).outputs = Some(vec![-1]),
            "operator 0 (CONV_2D): output 0 is tensor -1, but there are 6",
        ),
        (|m| operator(m, 0).inputs = Some(vec![0]), "operator 0 (CONV_2D): 1 inputs, expected 2 to 3"),
        (|m| operator(m, 1).inputs = Some(vec![3]), "operator 1 (MEAN): 1 inputs, expected 2"),
        (|m| operator(m, 1).outputs = None, "operator 1 (MEAN): 0 outputs, expected 1"),
        (
            |m| {
                code(m, 1).builtin_code = 2;
                code(m, 1).deprecated_builtin_code = 2;
                operator(m, 1).inputs = None;
            },
            "operator 1 (CONCATENATION): 0 inputs, expected 1 or more",
        ),
        (
            |m| operator(m, 0).inputs = Some(vec![0, -1]),
            "operator 0 (CONV_2D): input 1 is left out, but the operator needs it",
        ),
        (
            |m| graph(m).operators.as_mut().unwrap().swap(0, 1),
            "operator 0 (MEAN): input 0 is tensor 3 (\"y\"), which only operator 1 makes",
        ),
        (
            |m| operator(m, 0).inputs = Some(vec![3, 1, 2]),
            "operator 0 (CONV_2D): input 0 is tensor 3 (\"y\"), which only operator 0 makes",
        ),
        (
            |m| graph(m).inputs = None,
            "operator 0 (CONV_2D): input 0 is tensor 0 (\"x\"), which nothing makes: it is no graph input, no \
             constant and no operator's output",
        ),
        (
            |m| operator(m, 0).outputs = Some(vec![4]),
            "operator 0 (CONV_2D): output 0 is tensor 4 (\"axes\"), which is a constant already",
        ),
        (
            |m| operator(m, 0).outputs = Some(vec![0]),
            "operator 0 (CONV_2D): output 0 is tensor 0 (\"x\"), which is a graph input already",
        ),
        (
            |m| operator(m, 1).outputs = Some(vec![3]),
            "operator 1 (MEAN): output 0 is tensor 3 (\"y\"), which operator 0 makes already",
        ),
    ]);
}

#[test]
fn wrong_options() {
    check(&[
        (
            |m| operator(m, 0).builtin_options = operator(m, 1).builtin_options.clone(),
            "operator 0 (CONV_2D): it carries the options of another operator, expected Conv2DOptions",
        ),
        (
            |m| operator(m, 0).builtin_options = None,
            "operator 0 (CONV_2D): option stride_h is 0, expected 1 or more",
        ),
        (
            |m| conv(m).padding = 2,
            "operator 0 (CONV_2D): option padding is 2, expected 0 (SAME) or 1 (VALID)",
        ),
        (|m| conv(m).stride_h = 0, "operator 0 (CONV_2D): option stride_h is 0, expected 1 or more"),
        (
            |m| conv(m).stride_w = i32::MIN,
            "operator 0 (CONV_2D): option stride_w is -2147483648, expected 1 or more",
        ),
        (
            |m| conv(m).dilation_h_factor = 0,
            "operator 0 (CONV_2D): option dilation_h_factor is 0, expected 1 or more",
        ),
        (
            |m| conv(m).fused_activation_function = 6,
            "operator 0 (CONV_2D): option fused_activation_function is 6, expected 0 to 5",
        ),
        (
            |m| {
                *code(m, 1) = schema::OperatorCode { builtin_code: 83, ..Default::default() };
                let options = Box::new(schema::PackOptions { values_count: 3, axis: 0 });
                operator(m, 1).builtin_options = Some(schema::BuiltinOptions::PackOptions(options));
            },
            "operator 1 (PACK): option values_count is 3, expected the number of inputs",
        ),
        (
            |m| {
                *code(m, 1) = schema::OperatorCode { builtin_code: 25, ..Default::default() };
                operator(m, 1).inputs = Some(vec![3]);
                let options = Box::new(schema::SoftmaxOptions { beta: f32::NAN });
                operator(m, 1).builtin_options = Some(schema::BuiltinOptions::SoftmaxOptions(options));
            },
            "operator 1 (SOFTMAX): option beta is NaN, expected a finite number",
        ),
        (
            |m| {
                let name = Some("Mine".to_owned());
                *code(m, 1) =
                    schema::OperatorCode { builtin_code: 32, custom_code: name, ..Default::default() };
                operator(m, 1).large_custom_options_offset = 1 << 40;
                operator(m, 1).large_custom_options_size = 1;
            },
            "operator 1 (CUSTOM:Mine): options at bytes 1099511627776..1099511627776+1, but the file has LENGTH bytes",
        ),
    ]);
}

/// Things that are unusual and yet no fault.
#[test]
fn unusual_but_sound() {
    let rows: &[fn(&mut schema::Model)] = &[
        |m| m.subgraphs.as_mut().unwrap().push(schema::SubGraph::default()),
        |m| quant(m, 0).quantized_dimension = 9, // one scale: the axis means nothing
        |m| code(m, 0).deprecated_builtin_code = 0, // a writer that fills the new field only
        |m| code(m, 0).builtin_code = 0,         // a writer that fills the old field only
        |m| operator(m, 1).builtin_options = None,
        |m| tensor(m, 5).type_ = 99,
        |m| (tensor(m, 0).type_, quant(m, 0).scale) = (0, Some(vec![0.0])), // a float tensor has no scales to judge
    ];
    for (row, change) in rows.iter().enumerate() {
        let mut model = tables(&small_bytes());
        change(&mut model);
        assert!(read(&bytes_of(&model)).is_ok(), "row {row}");
    }
    let mut model = tables(&small_bytes());
    model.subgraphs.as_mut().unwrap().push(schema::SubGraph::default());
    assert_eq!(read(&bytes_of(&model)).unwrap().subgraph_count, 2);
    assert_eq!(small().model.subgraph_count, 1);
}

#[test]
fn files_of_another_kind() {
    let html = b"\n <!DOCTYPE html><html><body>404</body></html>".as_slice();
    let rows: &[(&[u8], &str)] = &[
        (html, "an HTML page (a download that went wrong?)"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "a Git LFS pointer (fetch the real file with `git lfs pull`)",
        ),
        (b"PK\x03\x04\x14\0\0\0\x08\0", "a ZIP archive (unpack it first)"),
        (b"\x89HDF\r\n\x1a\n\0\0", "an HDF5 file, as Keras writes them (convert it to TFLite first)"),
        (b"\x08\x08\x12\x07pytorch\x1a\x05", "an ONNX model"),
        (b"\x08\x09:\x90\x01\n\x06\0", "an ONNX model"),
        (b"name,label\n1,2\n", "text"),
        (b"\x1c\0\0\0TFL", "a file cut off after a few bytes"),
        (b"\x1c\0\0\0TFL2\0\0\0\0", "some other binary file"),
    ];
    for (bytes, kind) in rows {
        let error = read(bytes).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("not a TFLite model: the file looks like {kind} (bytes 4..8")),
            "{error}"
        );
        assert!(error.ends_with("expected \"TFL3\")"), "{error}");
    }
    assert_eq!(read(b"").unwrap_err().to_string(), "the file is empty; expected a TFLite model");
    let error = read(b"\x1c\0\0\0TFL3").unwrap_err().to_string();
    assert!(error.starts_with("the file is truncated or damaged: field `"), "{error}");
}
