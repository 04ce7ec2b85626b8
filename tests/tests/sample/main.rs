//! The sample network: the shipped file is what the public compiler makes of the shipped source, and it is as accurate
//! as its documentation says.

use std::path::PathBuf;

use dyadic_compiler::options::{Order, Recipe};
use dyadic_compiler::quantize::Contract;
use dyadic_compiler::{Options, compile};
use dyadic_format::write::{Contents, write};
use dyadic_runtime::{IsaKind, Model, Session};

fn sample(name: &str) -> PathBuf {
    dyadic_tests::repository("tools/cli/sample").join(name)
}

fn compiled(contract: Contract) -> Contents {
    let labels = std::fs::read_to_string(sample("labels.txt")).unwrap();
    let options = Options {
        contract,
        labels: labels.lines().map(str::to_string).collect(),
        recipe: Some(Recipe { order: Order::Rgb, mean: vec![0.0], std: vec![255.0] }),
        targets: vec![IsaKind::Avx2, IsaKind::AvxVnni],
        ..Options::default()
    };
    compile(&std::fs::read(sample("road_signs_int8.tflite")).unwrap(), &options).unwrap().contents
}

/// The bytes of the file, with the records that `dyadic compile` adds.
fn with_self_test(mut contents: Contents) -> Vec<u8> {
    contents.golden = Model::copy_of(&write(&contents)).unwrap().golden_records().unwrap();
    write(&contents)
}

#[test]
fn the_shipped_file_is_what_the_compiler_makes() {
    let shipped = std::fs::read(sample("road_signs.dyad")).unwrap();
    let made = with_self_test(compiled(Contract::Dyadic));
    let differs = made.iter().zip(&shipped).position(|(a, b)| a != b);
    assert!(
        made == shipped,
        "tools/cli/sample/road_signs.dyad is stale (first difference {differs:?}); the README beside it says how to make it again"
    );
}

/// Right answers over the evaluation set.
fn right_answers(contract: Contract, isa: IsaKind) -> usize {
    let model = Model::copy_of(&write(&compiled(contract))).unwrap();
    let options = dyadic_runtime::Options { isa: Some(isa), ..Default::default() };
    let mut session = Session::new(model, &options).unwrap();
    let read = |name: &str| -> Vec<u8> {
        npyz::NpyFile::new(&std::fs::read(sample(name)).unwrap()[..]).unwrap().into_vec().unwrap()
    };
    let (pictures, labels) = (read("eval_x.npy"), read("eval_y.npy"));
    let size = session.input_mut(0).len();
    let mut right = 0;
    for (picture, &label) in pictures.chunks_exact(size).zip(&labels) {
        // The input is s8 with scale 1/255 and the pixel 0 at -128.
        session.input_mut(0).iter_mut().zip(picture).for_each(|(x, &p)| *x = p ^ 0x80);
        session.run().unwrap();
        let scores = session.output(0);
        let best = (0..scores.len()).max_by_key(|&i| (scores[i] as i8, std::cmp::Reverse(i))).unwrap();
        right += usize::from(best == usize::from(label));
    }
    right
}

#[test]
fn accuracy_under_both_contracts_is_that_of_the_reference_kernels() {
    let metrics: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(sample("metrics.json")).unwrap()).unwrap();
    let expected = metrics["accuracy"]["int8_reference"]["right"].as_u64().unwrap();
    // The scalar reference takes a minute; it is compared with the others elsewhere, layer by layer.
    for isa in dyadic_tests::isas().into_iter().filter(|&isa| isa != IsaKind::Reference) {
        assert_eq!(right_answers(Contract::Tflite, isa) as u64, expected);
        // The other contract rounds differently; on this set it happens to decide every picture alike.
        assert_eq!(right_answers(Contract::Dyadic, isa) as u64, expected);
    }
}

/// Opens a copy of the shipped file with one bit changed.
fn opens_with_flipped(file: &mut dyadic_format::AlignedBytes, byte: usize, bit: usize) -> bool {
    file[byte] ^= 1 << bit;
    let opened = dyadic_format::ModelView::open(file).is_ok();
    file[byte] ^= 1 << bit;
    opened
}

#[test]
fn a_damaged_sample_is_refused() {
    let shipped = std::fs::read(sample("road_signs.dyad")).unwrap();
    let mut file = dyadic_format::AlignedBytes::copy_of(&shipped).unwrap();
    assert!(dyadic_format::ModelView::open(&file).is_ok());
    let table = 128 + 32 * 32;
    for byte in 0..table.min(file.len()) {
        for bit in 0..8 {
            assert!(!opens_with_flipped(&mut file, byte, bit), "byte {byte} bit {bit}");
        }
    }
    // The payload by a stride that meets every alignment.
    for byte in (table..file.len()).step_by(127) {
        assert!(!opens_with_flipped(&mut file, byte, byte % 8), "byte {byte}");
    }
    for length in (0..table).chain((table..shipped.len()).step_by(1021)) {
        let cut = dyadic_format::AlignedBytes::copy_of(&shipped[..length]).unwrap();
        assert!(dyadic_format::ModelView::open(&cut).is_err(), "{length} bytes");
    }
}
