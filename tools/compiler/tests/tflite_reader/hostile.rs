//! Damage of every kind: the reader answers, in bounded time and memory, and what it accepts keeps its promises.

use std::time::{Duration, Instant};

use dyadic_compiler::import::tflite::{ElemType, TfliteError, read};
use dyadic_tflite_schema as schema;

use crate::models::model_files;
use crate::{assert_sound, small, small_bytes};

/// Reads and, if the bytes are accepted, checks the promises.
fn probe(bytes: &[u8]) {
    match read(bytes) {
        Ok(model) => assert_sound(&model),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A cut file is refused, or nothing that matters was cut off.
fn probe_cut(bytes: &[u8], length: usize) {
    if let Ok(model) = read(&bytes[..length]) {
        assert_eq!(model, read(bytes).unwrap(), "cut to {length}");
    }
}

#[test]
fn every_truncation_of_a_small_file() {
    for bytes in [small_bytes(), small().finish_with_data_behind(&[0], &[5])] {
        (0..bytes.len()).for_each(|length| probe_cut(&bytes, length));
        assert!(read(&bytes[..bytes.len() - 1]).is_err() || read(&bytes[..bytes.len() / 2]).is_err());
    }
}

#[test]
fn every_value_of_every_byte_of_a_small_file() {
    for original in [small_bytes(), small().finish_with_data_behind(&[0], &[5])] {
        let mut bytes = original.clone();
        for at in 0..bytes.len() {
            for value in 0..=255 {
                bytes[at] = value;
                probe(&bytes);
            }
            bytes[at] = original[at];
        }
    }
}

/// Offsets, lengths and counts are 32-bit words; all of them get the values where arithmetic turns.
#[test]
fn every_word_of_a_small_file_at_the_extremes() {
    let original = small_bytes();
    let length = original.len() as u32;
    let values = [0, 1, 2, 3, 4, 0x7fff_ffff, 0x8000_0000, 0xffff_fffc, 0xffff_ffff, 1 << 16, 1 << 24];
    let near = [length - 5, length - 4, length - 1, length, length + 1, length / 2];
    let mut bytes = original.clone();
    for at in 0..bytes.len() - 3 {
        let near_here = near.map(|value| value.wrapping_sub(at as u32));
        for value in values.iter().chain(&near).chain(&near_here) {
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            probe(&bytes);
        }
        bytes[at..at + 4].copy_from_slice(&original[at..at + 4]);
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

/// One round of damage: a few bytes, words or copied stretches, most of them where the tables are dense.
fn damage(bytes: &mut [u8], original: &[u8], random: &mut Random) {
    for _ in 0..1 + random.below(4) {
        let at = random.below(bytes.len() - 16);
        match random.below(4) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at..at + 4].copy_from_slice(&(random.next() as u32).to_le_bytes()),
            2 => bytes[at..at + 4].copy_from_slice(&(random.below(original.len()) as u32).to_le_bytes()),
            _ => {
                let from = random.below(original.len() - 16);
                bytes[at..at + 16].copy_from_slice(&original[from..from + 16]);
            }
        }
    }
}

#[test]
fn random_damage_of_a_small_file() {
    let original = small_bytes();
    let mut random = Random(0x5eed);
    for _ in 0..100_000 {
        let mut bytes = original.clone();
        damage(&mut bytes, &original, &mut random);
        probe(&bytes);
    }
}

/// The same on real files, aimed at the tables (the long stretches of weights are skipped by taking the ends, which is
/// where writers put them).
#[test]
fn random_damage_of_real_files() {
    let Some(files) = model_files() else { return };
    let mut random = Random(0xdada);
    for file in files {
        let original = std::fs::read(&file).unwrap();
        let ends = original.len().min(40_000);
        for length in (0..original.len()).step_by(original.len() / 50 + 1) {
            probe_cut(&original, length);
        }
        let started = Instant::now();
        for round in 0..60 {
            let mut bytes = original.clone();
            let part = if round % 2 == 0 { 0..ends } else { original.len() - ends..original.len() };
            damage(&mut bytes[part.clone()], &original[part], &mut random);
            probe(&bytes);
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{}", file.display());
    }
}

/// Many entries that point to one large table: 200 KB that would unfold to gigabytes.
#[test]
fn shared_tables_are_not_unfolded() {
    let mut builder = planus::Builder::new();
    let tensor = schema::Tensor { shape: Some(vec![1; 10_000]), ..Default::default() };
    let tensor = planus::WriteAsOffset::prepare(&tensor, &mut builder);
    let tensors = builder.create_vector(vec![tensor; 40_000]);
    let none: Option<Vec<i32>> = None;
    let graph = schema::SubGraph::create(
        &mut builder,
        tensors,
        none.clone(),
        none,
        None::<Vec<schema::Operator>>,
        None::<&str>,
    );
    let graphs = builder.create_vector(vec![graph]);
    let codes = None::<Vec<schema::OperatorCode>>;
    let model =
        schema::Model::create(&mut builder, 3, codes, graphs, None::<&str>, None::<Vec<schema::Buffer>>);
    let bytes = schema::finish(builder, model);
    assert!((200_000..210_000).contains(&bytes.len()), "{}", bytes.len());
    let limit = bytes.len() * 16 + 4096;
    assert_eq!(read(&bytes), Err(TfliteError::Unfolds { file: bytes.len(), limit }));
}

/// Tensors that share one buffer share one copy, however many they are.
#[test]
fn shared_data_is_copied_once() {
    let mut author = small();
    let weights = author.model.tensors[1].clone();
    for _ in 0..100 {
        let index = author.activation("again", &weights.shape, weights.elem, weights.quant.clone());
        author.model.tensors[index].data = weights.data.clone();
    }
    let bytes = author.finish(&[0], &[5]);
    // The author writes one buffer for each; point all of them to the first.
    let mut tables: schema::Model = planus::ReadAsRoot::read_as_root(&bytes)
        .and_then(|root: schema::ModelRef<'_>| root.try_into())
        .unwrap();
    for tensor in &mut tables.subgraphs.as_mut().unwrap()[0].tensors.as_mut().unwrap()[6..] {
        tensor.buffer = 1;
    }
    let bytes = schema::finish(planus::Builder::new(), tables);
    let model = read(&bytes).unwrap();
    let first = model.tensors[1].data.clone().unwrap();
    for tensor in &model.tensors[6..] {
        assert!(std::sync::Arc::ptr_eq(tensor.data.as_ref().unwrap(), &first));
    }
}

/// Large lists are walked once, not once for each other.
#[test]
fn long_lists_take_linear_time() {
    let mut author = small();
    let inputs: Vec<usize> =
        (0..20_000).map(|_| author.activation("i", &[0], ElemType::Int8, None)).chain([0]).collect();
    for _ in 0..20_000 {
        author.activation("e", &[0], ElemType::Int8, None);
    }
    let started = Instant::now();
    assert_sound(&read(&author.finish(&inputs, &[5])).unwrap());
    assert!(started.elapsed() < Duration::from_secs(20));
}
