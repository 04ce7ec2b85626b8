//! `dyadic compile`.

use crate::{Folder, done, dyadic, networks, read_json, refused, sample};

const RECIPE: [&str; 5] = ["--rgb", "--mean", "0", "--std", "255"];

/// `dyadic compile SOURCE -o OUTPUT` and more.
fn compile<'a>(source: &'a str, output: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["compile", source, "-o", output], more].concat()
}

#[test]
fn the_sample_is_made_again_byte_for_byte() {
    let folder = Folder::new("compile_sample");
    let (source, output, report) =
        (sample("road_signs_int8.tflite"), folder.at("x.dyad"), folder.at("r.json"));
    let expected = std::fs::read(sample("road_signs.dyad")).unwrap();
    let text = std::fs::read_to_string(sample("labels.txt")).unwrap();
    // A byte order mark, Windows line ends and blank lines are no labels.
    let windows = folder.file("labels.txt", format!("\u{feff}{}\r\n\r\n", text.replace('\n', "\r\n")));
    std::fs::write(&output, "an older file").unwrap();
    for labels in [sample("labels.txt"), windows] {
        let targets = ["--target", "avx2", "--target", "avxvnni"];
        let more = [&RECIPE[..], &targets, &["--labels", &labels, "--report", &report]].concat();
        done(&compile(&source, &output, &more));
        assert!(std::fs::read(&output).unwrap() == expected, "{labels}");
    }
    let report = read_json(&report);
    assert_eq!(report["operators"].as_array().unwrap().len(), 28);
    assert_eq!(report["operators"][0]["sources"][0], "0:CONV_2D");
    // Nothing is left beside the file.
    let mut names: Vec<_> =
        std::fs::read_dir(folder.at("")).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["labels.txt", "r.json", "x.dyad"]);
}

#[test]
fn a_recipe_must_fit_the_network() {
    let folder = Folder::new("compile_recipe");
    let (source, output) = (sample("road_signs_int8.tflite"), folder.at("x.dyad"));
    for (more, words) in [
        (&["--mean", "nan"][..], &["--mean", "NaN", "finite"][..]),
        (&["--mean", "1,inf,2"], &["--mean", "inf"]),
        (&["--std", "0"], &["--std", "0"]),
        (&["--std", "nan"], &["--std", "NaN"]),
        (&["--std", "-inf"], &["--std", "-inf"]),
        (&["--std", "1,2"], &["2 values", "1 or 3"]),
        (&["--gray"], &["1 channel", "'image' takes 3", "--rgb"]),
    ] {
        refused(&compile(&source, &output, more), words);
        assert!(!std::path::Path::new(&output).exists(), "{more:?}");
    }
    done(&compile(&source, &output, &["--std", "-1,2,-3", "--mean", "-1"]));
    let flat = folder.file("flat.tflite", networks::relu("x", "y", 4));
    refused(&compile(&flat, &output, &["--rgb"]), &["four extents", "'x'"]);
}

#[test]
fn labels_must_be_as_many_as_classes() {
    let folder = Folder::new("compile_labels");
    let (source, output) = (sample("road_signs_int8.tflite"), folder.at("x.dyad"));
    let short = folder.file("short.txt", "one\ntwo\n");
    refused(&compile(&source, &output, &["--labels", &short]), &["2 labels", "22 of output 'Identity'"]);
    let empty = folder.file("empty.txt", "\n\n");
    refused(&compile(&source, &output, &["--labels", &empty]), &["empty.txt", "no label"]);
}

#[test]
fn the_source_is_not_overwritten() {
    let folder = Folder::new("compile_same");
    let source = folder.file("net.tflite", networks::sum());
    let before = std::fs::read(&source).unwrap();
    let detour = folder.at("../compile_same/net.tflite");
    for output in [&source, &detour] {
        refused(&compile(&source, output, &[]), &["net.tflite", "replace the source"]);
    }
    assert_eq!(std::fs::read(&source).unwrap(), before);
}

#[test]
fn what_cannot_be_written_is_an_error() {
    let folder = Folder::new("compile_unwritable");
    let source = folder.file("net.tflite", networks::sum());
    refused(&compile(&source, &folder.at("no/such/x.dyad"), &[]), &["x.dyad"]);
    // A failure to write a file is never taken for a reader that has seen enough.
    let said = dyadic(&compile(&source, &folder.at("x.dyad"), &["--report", &folder.at("")]));
    assert_eq!(said.code, Some(2), "{}", said.err);
}
