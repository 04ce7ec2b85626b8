//! `verify` finds every kind of change in a file whose checksums are right again: weights by their certificates or
//! their packed copy, biases by certificates, factors and tables by their scales.

use dyadic_compiler::quantize::Contract;
use dyadic_compiler::records::Program;
use dyadic_compiler::{Options, compile, pack, verify};
use dyadic_format::write::{Contents, write};
use dyadic_format::{AlignedBytes, ModelView, OpKind, Params};
use dyadic_kernels::pack::pack as pack_weights;

fn sample(contract: Contract) -> Contents {
    let source = dyadic_tests::repository("tools/cli/sample/road_signs_int8.tflite");
    let options = Options { contract, ..Options::default() };
    compile(&std::fs::read(source).unwrap(), &options).unwrap().contents
}

/// What the checks (a), (b) and (c) say of a file. A file that does not even open is found, too.
fn findings(contents: &Contents) -> [Vec<String>; 3] {
    let file = AlignedBytes::copy_of(&write(contents)).unwrap();
    match ModelView::open(&file) {
        Ok(view) => [verify::certificates(&view), verify::packed(&view), verify::constants(&view)],
        Err(error) => std::array::from_fn(|_| vec![error.to_string()]),
    }
}

fn is_convolution(number: u16) -> bool {
    let kind = OpKind::from_number(number);
    matches!(kind, Some(OpKind::Conv2d | OpKind::DepthwiseConv2d | OpKind::FullyConnected))
}

/// Operators with weights: number, weights tensor, first of its constants, output channels.
fn convolutions(contents: &Contents) -> Vec<(usize, usize, usize, usize)> {
    let mut found = Vec::new();
    for (number, op) in contents.operators.iter().enumerate().filter(|(_, op)| is_convolution(op.kind)) {
        let kind = OpKind::from_number(op.kind).unwrap();
        let (Params::Conv2d(p) | Params::DepthwiseConv2d(p) | Params::FullyConnected(p)) =
            Params::from_words(kind, &op.params)
        else {
            continue;
        };
        let tensor = contents.operands[op.operands_first as usize + 1] as usize;
        let channels = contents.tensors[tensor].dims[0] as usize;
        found.push((number, tensor, p.constants_first as usize, channels));
    }
    found
}

#[test]
fn an_undamaged_file_passes() {
    for contract in [Contract::Dyadic, Contract::Tflite] {
        assert_eq!(findings(&sample(contract)), <[Vec<String>; 3]>::default());
    }
}

#[test]
fn a_changed_weight_contradicts_its_packed_copy() {
    let contents = sample(Contract::Dyadic);
    for (_, tensor, ..) in convolutions(&contents) {
        let record = contents.tensors[tensor];
        let (first, bytes) = (record.offset as usize, record.bytes as usize);
        for at in [0, bytes / 2, bytes - 1] {
            let mut damaged = contents.clone();
            damaged.weights[first + at] ^= 1;
            let [a, b, _] = findings(&damaged);
            assert!(!b.is_empty() && (!a.is_empty()), "tensor {tensor} byte {at}: {a:?} {b:?}");
        }
    }
}

#[test]
fn a_weight_changed_in_both_copies_contradicts_its_certificate() {
    let contents = sample(Contract::Dyadic);
    for (number, tensor, ..) in convolutions(&contents) {
        let record = contents.tensors[tensor];
        let at = record.offset as usize + record.bytes as usize / 3;
        let mut damaged = contents.clone();
        damaged.weights[at] ^= 4;
        repack(&mut damaged, number);
        let [a, b, _] = findings(&damaged);
        assert!(b.is_empty(), "{b:?}");
        assert!(!a.is_empty(), "operator {number}");
    }
}

/// Makes the packed weights of an operator again from the logical ones.
fn repack(contents: &mut Contents, number: usize) {
    let copy = contents.clone();
    let program = Program::of_contents(&copy);
    let (_, conv) = pack::convolution(&program, &copy.operators[number]).unwrap();
    for record in copy.packed_index.iter().filter(|p| p.operator as usize == number) {
        let target = &mut contents.packed[record.offset as usize..][..record.bytes as usize];
        assert!(pack_weights(pack::layout_of(record.layout).unwrap(), &conv, target));
    }
}

#[test]
fn changed_constants_contradict_certificates_or_scales() {
    for contract in [Contract::Dyadic, Contract::Tflite] {
        let contents = sample(contract);
        for (number, _, first, channels) in convolutions(&contents) {
            for at in [
                first,
                first + channels - 1,
                first + channels,
                first + 2 * channels,
                first + 3 * channels - 1,
            ] {
                let mut damaged = contents.clone();
                damaged.constants[at] ^= 1;
                let found = findings(&damaged);
                assert!(found.iter().any(|f| !f.is_empty()), "operator {number} constant {at}");
            }
        }
    }
}

#[test]
fn changed_parameters_contradict_scales() {
    for contract in [Contract::Dyadic, Contract::Tflite] {
        let contents = sample(contract);
        for number in 0..contents.operators.len() {
            let kind = OpKind::from_number(contents.operators[number].kind).unwrap();
            let words = match kind {
                OpKind::Add => 6,
                OpKind::Mean => 3,
                OpKind::Softmax => 3,
                _ => 0,
            };
            for word in 0..words {
                let mut damaged = contents.clone();
                // Reducing an axis of extent 1 as well is no change: bit 1 is an axis of the picture.
                damaged.operators[number].params[word] ^=
                    if kind == OpKind::Mean && word == 0 { 2 } else { 1 };
                let found = findings(&damaged);
                assert!(found.iter().any(|f| !f.is_empty()), "{kind:?} word {word}");
            }
        }
    }
}

/// A network of tables: every byte of every table is checked.
#[test]
fn every_changed_table_byte_contradicts_the_scales() {
    use dyadic_compiler::import::tflite::{self, ElemType, OpCode, Options as TfliteOptions, author};
    let bytes = tables_network();
    assert!(tflite::read(&bytes).is_ok());
    for contract in [Contract::Dyadic, Contract::Tflite] {
        let contents = compile(&bytes, &Options { contract, ..Options::default() }).unwrap().contents;
        assert!(contents.tables.len() >= 2);
        for table in 0..contents.tables.len() {
            for entry in 0..256 {
                let mut damaged = contents.clone();
                damaged.tables[table][entry] ^= 1;
                let found = findings(&damaged);
                assert!(!found[2].is_empty(), "table {table} entry {entry}");
            }
        }
    }

    fn tables_network() -> Vec<u8> {
        let mut file = author::Author::new();
        let quant = |scale, zero_point| Some(tflite::Quant::per_tensor(scale, zero_point));
        let x = file.activation("x", &[1, 64], ElemType::Int8, quant(0.05, 3));
        let y = file.activation("y", &[1, 64], ElemType::Int8, quant(1.0 / 256.0, -128));
        let z = file.activation("z", &[1, 64], ElemType::Int8, quant(0.004, -100));
        file.operator(OpCode::Logistic, TfliteOptions::None, [x], [y]);
        file.operator(OpCode::Quantize, TfliteOptions::None, [y], [z]);
        file.finish(&[x], &[z])
    }
}
