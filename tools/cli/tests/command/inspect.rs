//! `dyadic inspect`.

use serde_json::{Value, json};

use crate::{Folder, done, dyadic, model, networks};

#[test]
fn json_holds_what_a_reader_needs() {
    let value: Value = serde_json::from_str(&done(&["inspect", &model(), "--json"])).unwrap();
    assert_eq!(value["schema"], "dyadic-inspect-1");
    assert_eq!(value["labels"].as_array().unwrap().len(), 22);
    assert_eq!(value["recipe"], json!([{ "input": 0, "order": "rgb", "channels": 3 }]));
    assert_eq!((&value["golden_records"], &value["source_bytes"]), (&json!(1), &json!(270_848)));
    assert!(value["tool"].as_str().unwrap().starts_with("dyadic "));
    assert_eq!(value["source_digest"].as_str().unwrap().len(), 64);
    let tensor =
        |name: &Value| value["tensors"].as_array().unwrap().iter().find(|t| t["name"] == *name).unwrap();
    assert_eq!(tensor(&value["inputs"][0])["zero_point"], -128);
    assert_eq!(tensor(&value["inputs"][0])["scales"], json!([f64::from(1f32 / 255.0)]));
    let layer = &value["layers"][0];
    assert_eq!(layer["sources"], json!(["0:CONV_2D"]));
    assert_eq!(layer["intervals"].as_array().unwrap().len(), 24);
}

#[test]
fn nothing_is_said_of_a_run_that_does_not_happen() {
    let folder = Folder::new("inspect_quiet");
    let output = folder.at("x.dyad");
    done(&["compile", &crate::sample("road_signs_int8.tflite"), "-o", &output, "--target", "reference"]);
    assert_eq!(dyadic(&["inspect", &output]).err, "");
    if dyadic(&["kernels"]).out.contains("this CPU runs those of avx2") {
        let said = dyadic(&["profile", &output, "--runs", "1"]);
        assert_eq!(said.err.matches("operator 0 (").count(), 1, "{}", said.err);
    }
}

#[test]
fn hostile_names_do_not_reach_the_terminal() {
    let folder = Folder::new("inspect_hostile");
    let (x, y) = ("in\u{1b}]0;title\u{7}<&\"", "out\u{1b}[2J\r\nok      (f)\u{202e}");
    let model = &folder.compiled("hostile", &networks::relu(x, y, 3));
    let input = folder.npy("x.npy", &[1, 3], &[1i8, 2, 3]);
    let svg = folder.at("plan.svg");
    let labels = folder.file("labels.txt", "a\u{1b}[31m\nb\nc\n");
    let source = folder.at("hostile.tflite");
    let labelled = folder.at("labelled.dyad");
    done(&["compile", &source, "-o", &labelled, "--labels", &labels]);
    for args in [
        &["inspect", model, "--svg", &svg][..],
        &["inspect", model, "--dot"],
        &["inspect", model, "--json"],
        &["run", model, "--input", &input],
        &["run", &labelled, "--input", &input, "--top", "3"],
        &["run", model, "--input", &format!("nosuch={input}")],
        &["run", model],
        &["profile", model, "--runs", "1"],
        &["verify", model],
        &["compile", &source, "-o", &folder.at("y.dyad"), "--cut-at", "in"],
        &["compile", &source, "-o", &folder.at("y.dyad"), "--rgb"],
    ] {
        let said = dyadic(args);
        for text in [&said.out, &said.err] {
            let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(!text.contains(steers), "{args:?}: {text:?}");
            // A line end inside a name must not start a line that looks like the command's own.
            assert!(!text.contains("\nok      (f)"), "{args:?}: {text:?}");
        }
    }
    let plan = std::fs::read_to_string(&svg).unwrap();
    assert!(plan.contains("&lt;&amp;") && plan.contains("\\u{1b}"), "{plan}");
    assert!(!plan.contains(|c: char| c.is_control() && c != '\n'), "{plan:?}");
}
