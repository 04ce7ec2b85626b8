//! Damage of every kind: the reader answers, in bounded time, and what it accepts keeps its promises. (How much it
//! allocates is measured in `onnx_memory`.)

use std::time::{Duration, Instant};

use dyadic_compiler::import::onnx::{OnnxError, read};
use dyadic_onnx_schema::attribute_proto::AttributeType;
use dyadic_onnx_schema::{AttributeProto, GraphProto, Message, ModelProto, TensorProto};
use proptest::prelude::*;

use crate::models::model_files;
use crate::{assert_sound, attribute, graph, node, read_proto, small, tensor, value};

/// Reads and, if the bytes are accepted, checks the promises.
fn probe(bytes: &[u8]) {
    match read(bytes, None) {
        Ok(model) => assert_sound(&model),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// The small model with one of everything rare.
fn rich() -> Vec<u8> {
    let mut model = small();
    let inner = AttributeProto {
        g: Some(graph(&mut model.clone()).clone().into()),
        ..attribute("body", AttributeType::Graph)
    };
    graph(&mut model).node[1].attribute.push(inner);
    let numbers = TensorProto { int64_data: vec![1, -1, 300], ..tensor("numbers", 7, &[3]) };
    let small_numbers = TensorProto { raw_data: Some(vec![0x21, 0x03]), ..tensor("int4", 22, &[3]) };
    graph(&mut model).initializer.extend([numbers, small_numbers]);
    model.encode_to_vec()
}

#[test]
fn every_truncation() {
    let bytes = rich();
    read(&bytes, None).unwrap();
    for length in 0..bytes.len() {
        probe(&bytes[..length]);
    }
    // The graph is written last but for the operator sets: what is cut inside it is refused.
    assert!(read(&bytes[..bytes.len() / 2], None).is_err());
}

#[test]
fn every_value_of_every_byte() {
    let original = rich();
    let mut bytes = original.clone();
    for at in 0..bytes.len() {
        for value in 0..=255 {
            bytes[at] = value;
            probe(&bytes);
        }
        bytes[at] = original[at];
    }
}

/// A small generator of our own, so that a failure can be repeated (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// One round of damage: flipped bits, numbers at the turns of arithmetic, stretches copied, put in or taken out.
fn damage(bytes: &mut Vec<u8>, original: &[u8], random: &mut Random) {
    let turns: [&[u8]; 6] = [
        &[0],
        &[0x7f],
        &[0xff, 0xff, 0xff, 0xff, 0x07],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
    ];
    for _ in 0..1 + random.below(4) {
        let at = random.below(bytes.len());
        let length = random.below(16).min(bytes.len() - at);
        let from = random.below(original.len() - 16);
        match random.below(5) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => {
                bytes.splice(at..at + 1, turns[random.below(6)].iter().copied());
            }
            2 => bytes[at..at + length].copy_from_slice(&original[from..from + length]),
            3 => {
                bytes.splice(at..at, original[from..from + length].iter().copied());
            }
            _ => {
                bytes.drain(at..at + length.min(bytes.len() - 1));
            }
        }
    }
}

#[test]
fn random_damage_of_a_small_file() {
    let original = rich();
    let mut random = Random(0x5eed);
    for _ in 0..100_000 {
        let mut bytes = original.clone();
        damage(&mut bytes, &original, &mut random);
        probe(&bytes);
    }
}

#[test]
fn random_damage_of_real_files() {
    let Some(files) = model_files() else { return };
    let mut random = Random(0xdada);
    for file in files {
        let original = std::fs::read(&file).unwrap();
        let started = Instant::now();
        for round in 0..30 {
            let mut bytes = original.clone();
            if round % 2 == 0 {
                bytes.truncate(random.below(bytes.len()) + 16);
            }
            damage(&mut bytes, &original, &mut random);
            probe(&bytes);
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{}", file.display());
    }
}

proptest! {
    /// Any bytes at all, alone and as the graph of a model.
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        probe(&bytes);
        let mut model = vec![0x08, 0x08, 0x42, 0x02, 0x10, 0x0d, 0x3a];
        prost_length(&mut model, bytes.len());
        model.extend(&bytes);
        probe(&model);
    }
}

fn prost_length(out: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

/// Two bytes each: empty nodes, tensors, inputs, outputs, stated values, sparse tensors.
#[test]
fn empty_messages_are_refused_before_they_are_made() {
    for tag in [0x0a, 0x2a, 0x5a, 0x62, 0x6a, 0x7a] {
        let body = [tag, 0].repeat(1 << 20);
        let mut bytes = vec![0x08, 0x08, 0x3a];
        prost_length(&mut bytes, body.len());
        bytes.extend(body);
        let (file, limit) = (bytes.len(), bytes.len() * 128 + (1 << 20));
        let started = Instant::now();
        assert_eq!(read(&bytes, None), Err(OnnxError::Unfolds { file, limit }), "tag {tag:x}");
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}

/// Nodes with a padding of unknown fields, so that they pass as large messages.
#[test]
fn counts_are_limited() {
    let mut node = vec![0x0a, 18, 0xfa, 0x07, 15];
    node.extend([0; 15]);
    let body = node.repeat((1 << 20) + 1);
    let mut bytes = vec![0x08, 0x08, 0x3a];
    prost_length(&mut bytes, body.len());
    bytes.extend(body);
    assert_eq!(read(&bytes, None), Err(OnnxError::TooMany { what: "NodeProto", limit: 1 << 20 }));
}

/// A model whose node has a graph, whose node has a graph, and so on.
fn nested(levels: usize) -> ModelProto {
    let mut inner = GraphProto::default();
    for _ in 0..levels {
        let body = AttributeProto { g: Some(inner.into()), ..attribute("body", AttributeType::Graph) };
        let mut holder = node("", "If", &[], &[]);
        holder.attribute.push(body);
        inner = GraphProto { node: vec![holder], ..Default::default() };
    }
    let mut model = small();
    graph(&mut model).node.extend(inner.node);
    model
}

#[test]
fn nesting_is_limited() {
    // The model and its graph are two levels, each graph below is three.
    assert!(read_proto(&nested(12)).is_ok());
    let report = read_proto(&nested(13)).unwrap_err();
    assert!(report.starts_with("messages are nested more than 40 deep at byte "), "{report}");
    let report = read_proto(&nested(1000)).unwrap_err();
    assert!(report.starts_with("messages are nested more than 40 deep at byte "), "{report}");
}

/// Long lists are walked once, not once for each other.
#[test]
fn long_lists_take_linear_time() {
    let mut model = small();
    let names: Vec<String> = (0..100_000).map(|index| format!("value{index}")).collect();
    graph(&mut model).input.extend(names.iter().map(|name| value(name, 1, &[None])));
    graph(&mut model).value_info.extend(names.iter().map(|name| value(name, 1, &[None])));
    graph(&mut model).output.extend(names.iter().map(|name| value(name, 1, &[None])));
    let inputs: Vec<&str> = names.iter().map(String::as_str).collect();
    graph(&mut model).node.push(node("", "Concat", &inputs, &["all"]));
    for name in &names {
        graph(&mut model).node.push(node(name, "Relu", &["all"], &[&format!("{name}r")]));
        graph(&mut model)
            .initializer
            .push(TensorProto { raw_data: Some(vec![1]), ..tensor(&format!("{name}c"), 2, &[1]) });
    }
    let bytes = model.encode_to_vec();
    let started = Instant::now();
    assert_sound(&read(&bytes, None).unwrap());
    assert!(started.elapsed() < Duration::from_secs(20));
}
