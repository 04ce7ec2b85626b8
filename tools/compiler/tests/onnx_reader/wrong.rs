//! Ways to be wrong: each row damages a sound model in one way and states the report word for word.

use dyadic_compiler::import::onnx::read;
use dyadic_onnx_schema::attribute_proto::AttributeType;
use dyadic_onnx_schema::{
    AttributeProto, FunctionProto, Message, ModelProto, SparseTensorProto, TensorProto, TrainingInfoProto,
    tensor_proto,
};

use crate::{attribute, graph, int, node, opset, read_proto, small, tensor, value};

type Row = (fn(&mut ModelProto), &'static str);

fn check(rows: &[Row]) {
    assert!(read_proto(&small()).is_ok());
    for (damage, expected) in rows {
        let mut model = small();
        damage(&mut model);
        assert_eq!(read_proto(&model).err().as_deref(), Some(*expected));
    }
}

#[test]
fn wrong_models() {
    check(&[
        (|m| m.graph = None, "ModelProto has no field `graph`"),
        (|m| m.ir_version = None, "ModelProto has no field `ir_version`"),
        (|m| m.ir_version = Some(2), "the file has IR version 2, expected 3 to 14"),
        (|m| m.ir_version = Some(15), "the file has IR version 15, expected 3 to 14"),
        (|m| m.ir_version = Some(i64::MIN), "the file has IR version -9223372036854775808, expected 3 to 14"),
        (
            |m| m.opset_import = vec![opset("", 10)],
            "the file uses operator set 10 of ai.onnx, expected 11 to 28; export it again for a newer one, or use \
             ONNX's version converter",
        ),
        (
            |m| m.opset_import = vec![opset("ai.onnx", 29)],
            "the file uses operator set 29 of ai.onnx, expected 11 to 28",
        ),
        (|m| m.opset_import.clear(), "the file does not state the version of operator set ai.onnx"),
        (
            |m| m.opset_import = vec![opset("ai.onnx.ml", 3)],
            "the file does not state the version of operator set ai.onnx",
        ),
        (
            |m| m.opset_import.push(opset("ai.onnx", 14)),
            "the file states two versions of operator set \"\": 13 and 14",
        ),
        (
            |m| m.training_info = vec![TrainingInfoProto::default()],
            "the file holds 1 training graphs, which would change the constants; export it for inference",
        ),
        (
            |m| {
                let values = Some(tensor("s", 1, &[1]));
                graph(m).sparse_initializer = vec![SparseTensorProto { values, ..Default::default() }];
            },
            "initializer \"s\" is sparse; store it as a dense tensor",
        ),
        (
            |m| {
                m.opset_import.push(opset("mine", 1));
                graph(m).node[1].domain = Some("mine".to_owned());
                let (name, domain) = (Some("Clip".to_owned()), Some("mine".to_owned()));
                m.functions = vec![FunctionProto { name, domain, ..Default::default() }];
            },
            "node 1 (Clip, \"\"): it calls the function \"mine.Clip\" that the file defines; inline the functions \
             first (onnx.inliner)",
        ),
    ]);
}

fn low(model: &mut ModelProto) -> &mut TensorProto {
    &mut graph(model).initializer[2]
}

#[test]
fn wrong_tensors() {
    check(&[
        (|m| low(m).name = None, "initializer 2 (\"\"): it has no name"),
        (
            |m| low(m).name = Some("b".to_owned()),
            "initializer 2 (\"b\"): another initializer has the same name",
        ),
        (
            |m| low(m).data_type = None,
            "initializer 2 (\"low\"): data_type is 0, expected a type of the format",
        ),
        (
            |m| low(m).data_type = Some(-1),
            "initializer 2 (\"low\"): data_type is -1, expected a type of the format",
        ),
        (
            |m| low(m).dims = vec![1, -1],
            "initializer 2 (\"low\"): axis 1 of the shape is -1, expected 0 or more",
        ),
        (|m| low(m).dims = vec![1; 65], "initializer 2 (\"low\"): 65 axes, expected at most 64"),
        (
            |m| low(m).dims = vec![1 << 16, 1 << 15],
            "initializer 2 (\"low\"): the shape [65536, 32768] has 2^31 elements or more",
        ),
        (
            |m| low(m).dims = vec![0, i64::MAX, 3],
            "initializer 2 (\"low\"): the shape [0, 9223372036854775807, 3] has 2^31 elements or more",
        ),
        (
            |m| low(m).segment = Some(tensor_proto::Segment::default()),
            "initializer 2 (\"low\"): it is a segment of a larger tensor; join the segments",
        ),
        (
            |m| low(m).raw_data = Some(vec![0]),
            "initializer 2 (\"low\"): data in both `raw_data` and `int32_data`, expected one of them",
        ),
        (
            |m| low(m).uint64_data = vec![0],
            "initializer 2 (\"low\"): data in both `int32_data` and `uint64_data`, expected one of them",
        ),
        (
            |m| low(m).data_type = Some(7),
            "initializer 2 (\"low\"): INT64 data in `int32_data`, expected `int64_data` or `raw_data`",
        ),
        (
            |m| (low(m).int32_data, low(m).float_data) = (vec![], vec![1.0]),
            "initializer 2 (\"low\"): INT8 data in `float_data`, expected `int32_data` or `raw_data`",
        ),
        (
            |m| (low(m).int32_data, low(m).string_data) = (vec![], vec![vec![]]),
            "initializer 2 (\"low\"): INT8 data in `string_data`, expected `int32_data` or `raw_data`",
        ),
        (|m| low(m).int32_data.clear(), "initializer 2 (\"low\"): 0 bytes of data, but INT8 [] takes 1"),
        (|m| low(m).int32_data.push(0), "initializer 2 (\"low\"): 2 bytes of data, but INT8 [] takes 1"),
        (|m| low(m).dims = vec![0], "initializer 2 (\"low\"): 1 bytes of data, but INT8 [0] takes 0"),
        (
            |m| graph(m).initializer[0].raw_data.as_mut().unwrap().truncate(23),
            "initializer 0 (\"w\"): 23 bytes of data, but FLOAT [3, 2, 1, 1] takes 24",
        ),
        (
            |m| low(m).data_location = Some(2),
            "initializer 2 (\"low\"): data_location is 2, expected 0 (in this file) or 1 (in another file)",
        ),
    ]);
}

/// One beyond each end of each type that has ends in its field.
#[test]
fn elements_outside_their_type() {
    let rows: [(i32, &str, &[i32]); 8] = [
        (2, "UINT8", &[-1, 256]),
        (3, "INT8", &[-129, 128]),
        (4, "UINT16", &[-1, 65536]),
        (5, "INT16", &[-32769, 32768]),
        (9, "BOOL", &[-1, 2]),
        (10, "FLOAT16", &[-1, 65536]),
        (21, "UINT4", &[-1, 256]),
        (22, "INT4", &[-1, 256]),
    ];
    for (number, name, values) in rows {
        for &value in values {
            let mut model = small();
            (low(&mut model).data_type, low(&mut model).int32_data) = (Some(number), vec![value]);
            let expected = format!("initializer 2 (\"low\"): element 0 is {value}, outside {name}");
            assert_eq!(read_proto(&model).unwrap_err(), expected);
        }
    }
    check(&[
        (
            |m| *low(m) = TensorProto { uint64_data: vec![1, 1 << 32], ..tensor("low", 12, &[2]) },
            "initializer 2 (\"low\"): element 1 is 4294967296, outside UINT32",
        ),
        (
            |m| *low(m) = TensorProto { raw_data: Some(vec![1, 0, 2]), ..tensor("low", 9, &[3]) },
            "initializer 2 (\"low\"): element 2 is 2, outside BOOL",
        ),
    ]);
}

#[test]
fn wrong_values() {
    check(&[
        (|m| graph(m).output.clear(), "the graph has no outputs"),
        (|m| graph(m).input[0].name = None, "graph input 0 (\"\"): it has no name"),
        (|m| graph(m).output[0].name = None, "graph output 0 (\"\"): it has no name"),
        (|m| graph(m).value_info[0].name = None, "graph value_info 0 (\"\"): it has no name"),
        (|m| graph(m).input.push(value("x", 1, &[])), "graph input 1 (\"x\"): it is listed twice"),
        (|m| graph(m).output.push(value("q", 1, &[])), "graph output 1 (\"q\"): nothing makes it"),
        (|m| graph(m).value_info.push(value("y", 2, &[])), "graph value_info 1 (\"y\"): it is listed twice"),
        (
            |m| graph(m).input[0] = value("x", 1, &[None, Some(-1)]),
            "graph input 0 (\"x\"): axis 1 of the shape is -1, expected 0 or more (or a symbol for any number)",
        ),
        (
            |m| graph(m).output[0] = value("z", 1, &[None; 65]),
            "graph output 0 (\"z\"): 65 axes, expected at most 64",
        ),
    ]);
}

#[test]
fn wrong_nodes() {
    check(&[
        (|m| graph(m).node[0].op_type = None, "node 0 (, \"conv\"): no op_type is stated"),
        (
            |m| graph(m).node[1].domain = Some("com.microsoft".to_owned()),
            "node 1 (Clip, \"\"): operator set \"com.microsoft\" is not among those that the file states a version of",
        ),
        (
            |m| graph(m).node[1].input[1] = "lo".to_owned(),
            "node 1 (Clip, \"\"): input 1 (\"lo\") is made by nothing: it is no graph input, no initializer and no \
             node's output",
        ),
        (
            |m| graph(m).node[1].output.push("low".to_owned()),
            "node 1 (Clip, \"\"): output 1 (\"low\") is an initializer already",
        ),
        (
            |m| graph(m).node[1].output.push("x".to_owned()),
            "node 1 (Clip, \"\"): output 1 (\"x\") is a graph input already",
        ),
        (
            |m| graph(m).node[1].output.push("y".to_owned()),
            "node 1 (Clip, \"\"): output 1 (\"y\") is made by node 0 already",
        ),
        (
            |m| graph(m).node[1].output.push("z".to_owned()),
            "node 1 (Clip, \"\"): output 1 (\"z\") is made by node 1 already",
        ),
        (
            |m| graph(m).node.push(node("", "Relu", &["y"], &["z"])),
            "node 2 (Relu, \"\"): output 0 (\"z\") is made by node 1 already",
        ),
    ]);
}

fn add(model: &mut ModelProto, attribute: AttributeProto) {
    graph(model).node[1].attribute.push(attribute);
}

#[test]
fn wrong_attributes() {
    check(&[
        (|m| add(m, int("", 1)), "node 1 (Clip, \"\"): attribute \"\": it has no name"),
        (
            |m| [1, 1].iter().for_each(|&i| add(m, int("axis", i))),
            "node 1 (Clip, \"\"): attribute \"axis\": it is stated twice",
        ),
        (
            |m| add(m, AttributeProto { ref_attr_name: Some("outer".to_owned()), ..int("axis", 1) }),
            "node 1 (Clip, \"\"): attribute \"axis\": it refers to attribute \"outer\" of a function, but the node is \
             in none",
        ),
        (
            |m| add(m, AttributeProto { r#type: None, i: None, ..int("axis", 1) }),
            "node 1 (Clip, \"\"): attribute \"axis\": it has no value of its type (none stated)",
        ),
        (
            |m| add(m, attribute("value", AttributeType::Tensor)),
            "node 1 (Clip, \"\"): attribute \"value\": it has no value of its type (TENSOR)",
        ),
        (
            |m| add(m, AttributeProto { f: Some(1.0), ..int("axis", 1) }),
            "node 1 (Clip, \"\"): attribute \"axis\": it has a value in field `f`, but is of type INT",
        ),
        (
            |m| add(m, AttributeProto { r#type: None, f: Some(1.0), ..int("axis", 1) }),
            "node 1 (Clip, \"\"): attribute \"axis\": it has a value in field `i`, but is of type FLOAT",
        ),
        (
            |m| {
                let t = TensorProto { raw_data: Some(vec![0; 7]), ..tensor("", 7, &[1]) };
                add(m, AttributeProto { t: Some(t.into()), ..attribute("value", AttributeType::Tensor) });
            },
            "node 1 (Clip, \"\"): attribute \"value\": 7 bytes of data, but INT64 [1] takes 8",
        ),
    ]);
}

/// Bytes that are no model at all.
#[test]
fn foreign_files() {
    let looks = |kind: &str| format!("not an ONNX model: the file looks like {kind}");
    let rows: [(&[u8], String); 12] = [
        (b"", "the file is empty; expected an ONNX model".to_owned()),
        (b"<!DOCTYPE html><html>", looks("an HTML page (a download that went wrong?)")),
        (b"\n<html lang=en>", looks("an HTML page (a download that went wrong?)")),
        (
            b"version https://git-lfs.github.com/spec/v1",
            looks("a Git LFS pointer (fetch the real file with `git lfs pull`)"),
        ),
        (b"PK\x03\x04....", looks("a ZIP archive or a PyTorch checkpoint (unpack it, or export it to ONNX)")),
        (b"\x1f\x8b\x08\0", looks("a gzip file (unpack it first)")),
        (b"\x89HDF\r\n\x1a\n", looks("an HDF5 file, as Keras writes them (export it to ONNX first)")),
        (b"\x93NUMPY\x01\0", looks("an .npy array")),
        (b"\x1c\0\0\0TFL3\0\0\0\0", looks("a TFLite model (give it the ending .tflite)")),
        (
            b"\x1c\0\0\0ORTM\0\0\0\0",
            looks("an ONNX Runtime model (.ort); give the .onnx file it was made of"),
        ),
        (b"ir_version: 8\ngraph {\n", looks("text")),
        (
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            "the file is truncated or damaged: field `(tag)` of ModelProto at byte 0: a number of over 10 bytes"
                .to_owned(),
        ),
    ];
    for (bytes, expected) in rows {
        assert_eq!(read(bytes, None).unwrap_err().to_string(), expected);
    }
    // A producer whose name makes bytes 4 to 8 look like TFLite's.
    let model = ModelProto { producer_name: Some("TFL3".to_owned()), ..small() }.encode_to_vec();
    assert_eq!(model[4..8], *b"TFL3");
    assert!(read(&model, None).is_ok());
}

/// Bytes behind the end of a sound model, each damaged on the wire in one way.
#[test]
fn damage_on_the_wire() {
    let sound = small().encode_to_vec();
    let damaged = |field: &str, problem: &str| {
        let at = sound.len();
        format!("the file is truncated or damaged: field `{field}` of ModelProto at byte {at}: {problem}")
    };
    let rows: [(&[u8], String); 11] = [
        (&[0x80], damaged("(tag)", "a number is cut off")),
        (&[0x00, 0x00], damaged("(tag)", "field number 0")),
        (&[0x80, 0x80, 0x80, 0x80, 0x80, 0x01], damaged("(tag)", "field number 4294967296")),
        (&[0x08], damaged("ir_version", "a number is cut off")),
        (&[0x0a, 0x00], damaged("ir_version", "wire type 2 does not fit the field")),
        (&[0x10, 0x00], damaged("producer_name", "wire type 0 does not fit the field")),
        (&[0x12, 0x05, b'a'], damaged("producer_name", "5 bytes, but 1 are left")),
        (
            &[0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            damaged("graph", "18446744073709551615 bytes, but 0 are left"),
        ),
        (&[0xf3, 0x07], damaged("(unknown)", "wire type 3, which ONNX does not use")),
        (&[0xf1, 0x07, 0, 0, 0], damaged("(unknown)", "8 bytes, but 3 are left")),
        (&[0xf5, 0x07, 0, 0, 0], damaged("(unknown)", "4 bytes, but 3 are left")),
    ];
    for (tail, expected) in rows {
        let bytes = [sound.as_slice(), tail].concat();
        assert_eq!(read(&bytes, None).unwrap_err().to_string(), expected, "{tail:x?}");
    }
    // Fields that are not known are stepped over, whatever they hold.
    let unknown = [0xf0, 0x07, 0x01, 0xf1, 0x07, 0, 0, 0, 0, 0, 0, 0, 0, 0xf2, 0x07, 0x01, 0xff];
    assert_eq!(read(&[sound.as_slice(), &unknown].concat(), None), read(&sound, None));
    // A text that is not UTF-8 passes the walk and fails in the decoder.
    let report = read(&[sound.as_slice(), &[0x12, 0x01, 0xff]].concat(), None).unwrap_err().to_string();
    assert!(report.starts_with("the file is damaged: ") && report.contains("producer_name"), "{report}");
}
