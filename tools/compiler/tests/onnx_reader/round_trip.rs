//! What was written is what is read.

use dyadic_compiler::import::onnx::{Attribute, DataType, Extent, Tensor, ValueInfo};
use dyadic_onnx_schema::attribute_proto::AttributeType;
use dyadic_onnx_schema::{AttributeProto, GraphProto, TensorProto, TypeProto, ValueInfoProto};

use crate::{attribute, graph, int, node, opset, pair, read_proto, small, tensor, text, value};

#[test]
fn a_small_model_reads_as_it_was_written() {
    let model = read_proto(&small()).unwrap();
    assert_eq!((model.ir_version, model.opset, model.producer.as_str()), (8, 13, "by hand 1"));
    assert!(model.domains.is_empty() && model.external.is_empty());
    let w = &model.constants["w"];
    assert_eq!((w.elem, w.shape.as_slice()), (DataType::Float, &[3, 2, 1, 1][..]));
    assert_eq!(w.data[..4], (-2.5f32).to_le_bytes());
    assert_eq!(model.constants["b"].data[4..8], (-2.0f32).to_le_bytes());
    let low = Tensor { elem: DataType::Int8, shape: vec![], data: vec![0x80] };
    assert_eq!(model.constants["low"], low);
    let extents = [Extent::Fixed(1), Extent::Fixed(2), Extent::Fixed(4), Extent::Symbol("N".to_owned())];
    let x = ValueInfo { name: "x".to_owned(), elem: Some(DataType::Float), shape: Some(extents.to_vec()) };
    assert_eq!(model.inputs, [x]);
    assert_eq!(model.outputs[0].shape, Some(vec![]));
    assert_eq!(model.values["y"].shape.as_ref().unwrap()[1], Extent::Fixed(3));
    let [conv, clip] = model.nodes.as_slice() else { panic!("{:?}", model.nodes) };
    assert_eq!((conv.index, conv.name.as_str(), conv.op.as_str()), (0, "conv", "Conv"));
    assert_eq!(conv.inputs, ["x", "w", "b"]);
    assert_eq!(conv.attributes["kernel_shape"], Attribute::Ints(vec![1, 1]));
    assert_eq!(conv.attributes["group"], Attribute::Int(1));
    assert_eq!(conv.attributes["auto_pad"], Attribute::String("NOTSET".to_owned()));
    assert_eq!((clip.index, &clip.inputs, &clip.outputs), (1, &strings(&["y", "low", ""]), &strings(&["z"])));
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|&text| text.to_owned()).collect()
}

/// The constant as read, among those of the small model.
fn read_tensor(proto: TensorProto) -> Tensor {
    let mut model = small();
    graph(&mut model).initializer.push(proto);
    read_proto(&model).unwrap().constants["t"].clone()
}

/// Every element type, by number: three elements raw, and the same typed.
#[test]
fn every_type_raw_and_typed() {
    let int32 = |values: &[i32]| TensorProto { int32_data: values.to_vec(), ..Default::default() };
    let uint64 = |values: &[u64]| TensorProto { uint64_data: values.to_vec(), ..Default::default() };
    let rows: Vec<(i32, DataType, TensorProto, Vec<u8>)> = vec![
        (
            1,
            DataType::Float,
            TensorProto { float_data: vec![1.5, -0.0, f32::MAX], ..Default::default() },
            [1.5f32, -0.0, f32::MAX].iter().flat_map(|x| x.to_le_bytes()).collect(),
        ),
        (2, DataType::Uint8, int32(&[0, 128, 255]), vec![0, 128, 255]),
        (3, DataType::Int8, int32(&[-128, -1, 127]), vec![0x80, 0xff, 0x7f]),
        (4, DataType::Uint16, int32(&[0, 1, 0xffff]), vec![0, 0, 1, 0, 0xff, 0xff]),
        (5, DataType::Int16, int32(&[-0x8000, -2, 0x7fff]), vec![0, 0x80, 0xfe, 0xff, 0xff, 0x7f]),
        (
            6,
            DataType::Int32,
            int32(&[i32::MIN, 7, -1]),
            [i32::MIN, 7, -1].iter().flat_map(|x| x.to_le_bytes()).collect(),
        ),
        (
            7,
            DataType::Int64,
            TensorProto { int64_data: vec![i64::MIN, 7, -1], ..Default::default() },
            [i64::MIN, 7, -1].iter().flat_map(|x| x.to_le_bytes()).collect(),
        ),
        (9, DataType::Bool, int32(&[0, 1, 1]), vec![0, 1, 1]),
        (10, DataType::Float16, int32(&[0x3c00, 0, 0xfbff]), vec![0, 0x3c, 0, 0, 0xff, 0xfb]),
        (
            11,
            DataType::Double,
            TensorProto { double_data: vec![0.1, -1e300, 0.0], ..Default::default() },
            [0.1f64, -1e300, 0.0].iter().flat_map(|x| x.to_le_bytes()).collect(),
        ),
        (
            12,
            DataType::Uint32,
            uint64(&[0, 5, 0xffff_ffff]),
            [0, 5, u32::MAX].iter().flat_map(|x| x.to_le_bytes()).collect(),
        ),
        (
            13,
            DataType::Uint64,
            uint64(&[0, 5, u64::MAX]),
            [0, 5, u64::MAX].iter().flat_map(|x| x.to_le_bytes()).collect(),
        ),
        // Elements 1, 15, 2, two a byte; the last half is unused.
        (21, DataType::Uint4, int32(&[0xf1, 0x02]), vec![0xf1, 0x02]),
        (22, DataType::Int4, int32(&[0xf1, 0x02]), vec![0xf1, 0x02]),
    ];
    for (number, elem, typed, data) in rows {
        let expected = Tensor { elem, shape: vec![3, 1], data: data.clone() };
        let raw = TensorProto { raw_data: Some(data), ..tensor("t", number, &[3, 1]) };
        assert_eq!(read_tensor(raw), expected, "raw {elem}");
        let typed = TensorProto { raw_data: Some(vec![]), ..merge(typed, tensor("t", number, &[3, 1])) };
        assert_eq!(read_tensor(typed), expected, "typed {elem}");
        let none = tensor("t", number, &[0, 7]);
        assert_eq!(read_tensor(none), Tensor { elem, shape: vec![0, 7], data: vec![] });
    }
}

fn merge(data: TensorProto, head: TensorProto) -> TensorProto {
    TensorProto { name: head.name, data_type: head.data_type, dims: head.dims, ..data }
}

#[test]
fn the_unused_half_of_the_last_byte_is_cleared() {
    for number in [21, 22] {
        let dirty = TensorProto { raw_data: Some(vec![0xab, 0xcd]), ..tensor("t", number, &[3]) };
        assert_eq!(read_tensor(dirty).data, [0xab, 0x0d]);
        let full = TensorProto { raw_data: Some(vec![0xab, 0xcd]), ..tensor("t", number, &[4]) };
        assert_eq!(read_tensor(full).data, [0xab, 0xcd]);
    }
}

#[test]
fn types_that_are_not_known_come_without_data() {
    for (number, name) in [(8, "STRING"), (16, "BFLOAT16"), (14, "type 14"), (1000, "type 1000")] {
        let proto = TensorProto {
            raw_data: Some(vec![1; 4]),
            string_data: vec![b"a".to_vec()],
            ..tensor("t", number, &[2])
        };
        let read = read_tensor(proto);
        assert_eq!(read, Tensor { elem: DataType::Other(number), shape: vec![2], data: vec![] });
        assert_eq!(read.elem.to_string(), name);
    }
}

/// The attribute as read, on the small model's `Clip`.
fn read_attribute(mut proto: AttributeProto) -> Attribute {
    proto.name = Some("a".to_owned());
    let mut model = small();
    graph(&mut model).node[1].attribute.push(proto);
    read_proto(&model).unwrap().nodes[1].attributes["a"].clone()
}

/// Every type of attribute, announced and not.
#[test]
fn every_attribute() {
    use AttributeType as T;
    let empty = AttributeProto::default;
    let other = Attribute::Other;
    let constant = TensorProto { int64_data: vec![9], ..tensor("", 7, &[1]) };
    let owned = Tensor { elem: DataType::Int64, shape: vec![1], data: 9i64.to_le_bytes().to_vec() };
    let texts = || vec![b"p".to_vec(), b"q".to_vec()];
    let rows: Vec<(T, AttributeProto, Attribute)> = vec![
        (T::Float, AttributeProto { f: Some(0.5), ..empty() }, Attribute::Float(0.5)),
        (T::Int, AttributeProto { i: Some(-3), ..empty() }, Attribute::Int(-3)),
        (
            T::String,
            AttributeProto { s: Some(b"ok".to_vec()), ..empty() },
            Attribute::String("ok".to_owned()),
        ),
        (T::String, AttributeProto { s: Some(vec![0xff]), ..empty() }, other("a text that is not UTF-8")),
        (T::Tensor, AttributeProto { t: Some(constant.clone().into()), ..empty() }, Attribute::Tensor(owned)),
        (T::Graph, AttributeProto { g: Some(GraphProto::default().into()), ..empty() }, other("a graph")),
        (
            T::SparseTensor,
            AttributeProto { sparse_tensor: Some(Box::default()), ..empty() },
            other("a sparse tensor"),
        ),
        (T::TypeProto, AttributeProto { tp: Some(Box::default()), ..empty() }, other("a type")),
        (T::Floats, AttributeProto { floats: vec![1.0, 2.0], ..empty() }, Attribute::Floats(vec![1.0, 2.0])),
        (T::Ints, AttributeProto { ints: vec![1, -2], ..empty() }, Attribute::Ints(vec![1, -2])),
        (
            T::Strings,
            AttributeProto { strings: texts(), ..empty() },
            Attribute::Strings(strings(&["p", "q"])),
        ),
        (
            T::Strings,
            AttributeProto { strings: vec![vec![0xff]], ..empty() },
            other("texts that are not UTF-8"),
        ),
        (T::Tensors, AttributeProto { tensors: vec![constant], ..empty() }, other("tensors")),
        (T::Graphs, AttributeProto { graphs: vec![GraphProto::default()], ..empty() }, other("graphs")),
        (
            T::SparseTensors,
            AttributeProto { sparse_tensors: vec![Default::default()], ..empty() },
            other("sparse tensors"),
        ),
        (
            T::TypeProtos,
            AttributeProto { type_protos: vec![TypeProto::default()], ..empty() },
            other("types"),
        ),
    ];
    for (kind, proto, expected) in rows {
        assert_eq!(read_attribute(proto.clone()), expected, "not announced");
        for unset in [None, Some(0)] {
            assert_eq!(read_attribute(AttributeProto { r#type: unset, ..proto.clone() }), expected);
        }
        assert_eq!(read_attribute(AttributeProto { r#type: Some(kind as i32), ..proto }), expected);
    }
    let unknown = AttributeProto { r#type: Some(99), ..empty() };
    assert_eq!(read_attribute(unknown), other("a value of an unknown type"));
}

#[test]
fn a_zero_and_an_empty_list_need_not_be_written() {
    assert_eq!(read_attribute(attribute("", AttributeType::Int)), Attribute::Int(0));
    assert_eq!(read_attribute(attribute("", AttributeType::Float)), Attribute::Float(0.0));
    assert_eq!(read_attribute(attribute("", AttributeType::String)), Attribute::String(String::new()));
    assert_eq!(read_attribute(attribute("", AttributeType::Ints)), Attribute::Ints(vec![]));
    assert_eq!(read_attribute(attribute("", AttributeType::Floats)), Attribute::Floats(vec![]));
    assert_eq!(read_attribute(attribute("", AttributeType::Strings)), Attribute::Strings(vec![]));
}

#[test]
fn the_versions_at_the_ends() {
    for (ir_version, version) in [(3, 11), (14, 28)] {
        let mut model = small();
        (model.ir_version, model.opset_import) = (Some(ir_version), vec![opset("ai.onnx", version)]);
        let read = read_proto(&model).unwrap();
        assert_eq!((read.ir_version, read.opset), (ir_version, version));
    }
}

#[test]
fn domains_are_recorded_and_ai_onnx_has_two_spellings() {
    let mut model = small();
    model.opset_import = vec![opset("com.microsoft", 1), opset("ai.onnx", 17), opset("", 17)];
    graph(&mut model).node[0].domain = Some("ai.onnx".to_owned());
    graph(&mut model).node[1].domain = Some("com.microsoft".to_owned());
    let read = read_proto(&model).unwrap();
    assert_eq!(read.opset, 17);
    assert_eq!(read.domains.into_iter().collect::<Vec<_>>(), [("com.microsoft".to_owned(), 1)]);
    assert_eq!((read.nodes[0].domain.as_str(), read.nodes[1].domain.as_str()), ("", "com.microsoft"));
}

/// Files of IR version 3 list constants among the inputs.
#[test]
fn an_input_with_an_initializer_is_a_constant() {
    let mut model = small();
    graph(&mut model).input.insert(0, value("w", 1, &[Some(3), Some(2), Some(1), Some(1)]));
    graph(&mut model).input.push(value("b", 1, &[Some(3)]));
    let read = read_proto(&model).unwrap();
    assert_eq!(read.inputs.iter().map(|input| input.name.as_str()).collect::<Vec<_>>(), ["x"]);
    assert!(read.constants.contains_key("w") && read.constants.contains_key("b"));
}

#[test]
fn rare_but_allowed() {
    let mut model = small();
    // Names that are awkward to print, outputs that are inputs, constants or named twice, outputs left out.
    let odd = "a\n\u{1b}[31m\0\"";
    let graph_of = graph(&mut model);
    graph_of.node.push(node(odd, "Split", &["z"], &["", odd, ""]));
    let untyped = ValueInfoProto { name: Some(odd.to_owned()), ..Default::default() };
    graph_of.output.extend([untyped, value("x", 1, &[]), value("w", 1, &[]), value("z", 1, &[])]);
    graph_of.value_info.push(graph_of.value_info[0].clone());
    graph_of.value_info.push(value("nowhere", 0, &[None]));
    graph_of.value_info.last_mut().unwrap().metadata_props = vec![pair("k", "v")];
    // A function that nobody calls, and one of the same name elsewhere.
    model.functions = vec![dyadic_onnx_schema::FunctionProto {
        name: Some("Conv".to_owned()),
        domain: Some("mine".to_owned()),
        ..Default::default()
    }];
    model.graph.as_mut().unwrap().node[1].attribute = vec![int("same", 1), text("Same", "")];
    let read = read_proto(&model).unwrap();
    assert_eq!(read.nodes[2].outputs, ["", odd, ""]);
    assert_eq!(read.outputs.len(), 5);
    assert_eq!((read.outputs[1].elem, &read.outputs[1].shape), (None, &None));
    assert_eq!((read.values["nowhere"].elem, read.values.len()), (None, 2));
}
