//! `dyadic verify`.

use serde_json::{Value, json};

use crate::{Folder, Said, done, dyadic, model, networks, read_json, refused, sample};

/// The answer is no, and says so in these words.
#[track_caller]
fn denied(args: &[&str], words: &[&str]) -> Said {
    let said = dyadic(args);
    assert_eq!(said.code, Some(1), "{args:?}: {}{}", said.out, said.err);
    for word in words {
        assert!(said.out.contains(word), "{args:?}: '{word}' is not in: {}", said.out);
    }
    said
}

#[test]
fn the_sample_proves_itself_and_its_source() {
    let digest: Value = serde_json::from_str(&done(&["inspect", &model(), "--json"])).unwrap();
    let digest = digest["digest"].as_str().unwrap().to_uppercase();
    let source = sample("road_signs_int8.tflite");
    let said = done(&[
        "verify",
        &model(),
        "--inputs",
        "2",
        "--source",
        &source,
        "--expect",
        &digest,
        "--threads",
        "2",
    ]);
    for line in
        ["digest", "(a)", "(b) packed weights decode to", "(c)", "(d) portable", "self-test", "(e)", "(f)"]
    {
        assert!(said.contains(&format!("ok      {line}")), "{line}: {said}");
    }
    refused(&["verify", &model(), "--expect", "abc"], &["64 hexadecimal digits"]);
    denied(&["verify", &model(), "--expect", &"0".repeat(64)], &["FAILED  (f)", &digest.to_lowercase()]);
}

#[test]
fn one_instruction_set_is_compared_if_it_is_wanted() {
    let said = done(&["verify", &model(), "--isa", "portable"]);
    assert_eq!(said.matches("(d)").count(), 1, "{said}");
    assert!(said.contains("(d) portable"), "{said}");
    let foreign = if cfg!(target_arch = "x86_64") { "neon" } else { "avx2" };
    refused(&["verify", &model(), "--isa", foreign], &["road_signs.dyad", foreign]);
}

#[test]
fn another_source_is_named() {
    let folder = Folder::new("verify_source");
    let other = folder.file("other.tflite", networks::sum());
    denied(&["verify", &model(), "--source", &other], &["FAILED  (e)", "another source"]);
}

#[test]
fn packed_weights_without_logical_ones_are_called_so() {
    let folder = Folder::new("verify_board");
    let (source, output) = (sample("road_signs_int8.tflite"), folder.at("board.dyad"));
    done(&["compile", &source, "-o", &output, "--board"]);
    assert!(done(&["verify", &output]).contains("(b) packed weights: no logical copy to compare with"));
    done(&["compile", &source, "-o", &output, "--target", "reference"]);
    assert!(done(&["verify", &output]).contains("(b) packed weights: none stored"));
}

#[test]
fn names_with_separators_compile_again() {
    let folder = Folder::new("verify_cut");
    let (source, output) = (sample("road_signs_int8.tflite"), folder.at("cut.dyad"));
    let listed: Value = serde_json::from_str(&done(&["inspect", &model(), "--json"])).unwrap();
    let name = listed["layers"][0]["output"].as_str().unwrap();
    assert!(name.contains(';'), "{name}");
    done(&["compile", &source, "-o", &output, "--cut-at", name]);
    assert!(done(&["verify", &output, "--source", &source]).contains("ok      (e)"));
}

#[test]
fn digests_of_another_machine_are_compared() {
    let folder = Folder::new("verify_digests");
    let file = folder.at("d.json");
    done(&["verify", &model(), "--inputs", "2", "--digests", &file]);
    assert!(done(&["verify", &model(), "--against", &file]).contains("ok      (g)"));
    let whole = read_json(&file);
    let against = |value: &Value| folder.file("other.json", value.to_string());
    let mut other = whole.clone();
    other["digests"][1][5] = "0".repeat(64).into();
    denied(&["verify", &model(), "--against", &against(&other)], &["FAILED  (g)", "input 2: layer 5"]);
    let damages: [(&str, Value, &str); 5] = [
        ("schema", json!("other"), "--digests wrote"),
        ("model", json!("00"), "another model"),
        ("inputs", json!(3), "2 rows of digests for 3 inputs"),
        ("digests", json!([whole["digests"][0], null]), "damaged"),
        ("digests", json!([whole["digests"][0], ["0".repeat(64)]]), "number of layers"),
    ];
    for (key, value, words) in damages {
        let mut damaged = whole.clone();
        damaged[key] = value;
        let said = dyadic(&["verify", &model(), "--against", &against(&damaged)]);
        assert!(said.code == Some(2) && said.err.contains(words), "{key}: {:?} {}", said.code, said.err);
    }
}

#[test]
fn a_file_that_contradicts_itself_is_not_run() {
    let folder = Folder::new("verify_contradiction");
    let source = std::fs::read(sample("road_signs_int8.tflite")).unwrap();
    let options = dyadic_compiler::Options::default();
    let mut contents = dyadic_compiler::compile(&source, &options).unwrap().contents;
    contents.intervals[0].lo -= 1;
    let file = folder.file("wrong.dyad", dyadic_format::write::write(&contents));
    let said = denied(&["verify", &file], &["FAILED  (a)", "stored interval", "no check ran the network"]);
    assert!(!said.out.contains("(d)") && !said.out.contains("self-test"), "{}", said.out);
}
