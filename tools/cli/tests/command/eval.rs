//! `dyadic eval`.

use crate::{Folder, done, dyadic, model, networks, read_json, read_npy, refused, sample};

#[test]
fn the_sample_is_as_accurate_as_documented() {
    let folder = Folder::new("eval_sample");
    let (images, labels, json) = (sample("eval_x.npy"), sample("eval_y.npy"), folder.at("e.json"));
    let said = done(&["eval", &model(), "--images", &images, "--labels", &labels, "--json", &json]);
    let metrics = read_json(&sample("metrics.json"));
    let right = metrics["accuracy"]["int8_reference"]["right"].as_u64().unwrap();
    let result = read_json(&json);
    assert!((result["top1"].as_f64().unwrap() - right as f64 / 528.0).abs() < 1e-12, "{}", result["top1"]);
    assert!(said.starts_with(&format!("top-1 {:.4} ", right as f64 / 528.0)), "{said}");
    assert!(said.contains("worst class: speed limit 70 (21 of 24)"), "{said}");
    assert_eq!(result["worst_class"]["name"], "speed limit 70");
    assert_eq!(result["worst_class"]["recall"].as_f64(), Some(0.875));
    assert_eq!((&result["label_offset"], &result["images"]), (&0.into(), &528.into()));
    let inspected: serde_json::Value = serde_json::from_str(&done(&["inspect", &model(), "--json"])).unwrap();
    assert_eq!(result["digest"], inspected["digest"]);
    let classes = result["classes"].as_array().unwrap();
    let sum: u64 = classes.iter().map(|c| c["right"].as_u64().unwrap()).sum();
    assert_eq!((classes.len(), sum), (22, right));
}

#[test]
fn a_folder_of_pictures_is_scored() {
    let folder = Folder::new("eval_folder");
    std::fs::copy(sample("sample.png"), folder.at("a,b.png")).unwrap();
    let class = std::fs::read_to_string(sample("labels.txt")).unwrap();
    let class = class.lines().position(|l| l == "bicycles").unwrap();
    let json = folder.at("e.json");
    for (table, offset, top1) in [
        (format!("\u{feff}file,class\n\"a,b.png\",{class}\n"), "0", 1.0),
        (format!("class,file\n{},\"a,b.png\"\n", class + 1), "-1", 1.0),
        ("file,class\n\"a,b.png\",0\n".to_string(), "0", 0.0),
    ] {
        let labels = folder.file("labels.csv", table);
        done(&[
            "eval",
            &model(),
            "--images",
            &folder.at(""),
            "--labels",
            &labels,
            "--label-offset",
            offset,
            "--json",
            &json,
        ]);
        assert_eq!(read_json(&json)["top1"].as_f64(), Some(top1));
    }
    let labels = folder.file("labels.csv", "file,class\n\"a,b.png\",x7\n");
    let args = ["eval", &model(), "--images", &folder.at(""), "--labels", &labels];
    refused(&args, &["labels.csv", "line 2", "'x7'", "class"]);
}

#[test]
fn labels_of_every_integer_type_are_read() {
    let folder = Folder::new("eval_types");
    let labels = read_npy::<u8>(&sample("eval_y.npy")).1;
    let shape = [labels.len() as u64];
    let expected = done(&args(&sample("eval_y.npy")).each_ref().map(String::as_str));
    for file in [
        folder.npy("u16.npy", &shape, &labels.iter().map(|&l| u16::from(l)).collect::<Vec<_>>()),
        folder.npy("u32.npy", &shape, &labels.iter().map(|&l| u32::from(l)).collect::<Vec<_>>()),
        folder.npy("i64.npy", &shape, &labels.iter().map(|&l| i64::from(l)).collect::<Vec<_>>()),
    ] {
        assert_eq!(done(&args(&file).each_ref().map(String::as_str)), expected);
    }
}

fn args(labels: &str) -> [String; 8] {
    let words = ["eval", &model(), "--images", &sample("eval_x.npy"), "--labels", labels, "--limit", "44"];
    words.map(str::to_string)
}

#[test]
fn labels_that_are_no_class_are_refused() {
    let folder = Folder::new("eval_labels");
    let mut labels: Vec<i64> = read_npy::<u8>(&sample("eval_y.npy")).1.iter().map(|&l| l.into()).collect();
    let shape = [labels.len() as u64];
    let refuse = |labels: &[i64], extra: &[&str], words: &[&str]| {
        let file = folder.npy("y.npy", &shape, labels);
        let (model, images) = (model(), sample("eval_x.npy"));
        let mut args = vec!["eval", &model, "--images", &images, "--labels", &file];
        args.extend(extra);
        refused(&args, words);
    };
    refuse(&labels, &["--label-offset", "9223372036854775807"], &["row 0", "label 0 ", "--label-offset"]);
    labels[7] = 22;
    refuse(&labels, &[], &["row 7", "label 22 ", "0 to 21", "--label-offset"]);
    labels[7] = -1;
    refuse(&labels, &[], &["row 7", "label -1 "]);
    let short = folder.npy("short.npy", &[2], &[0u8, 1]);
    refused(
        &["eval", &model(), "--images", &sample("eval_x.npy"), "--labels", &short],
        &["2 labels for 528"],
    );
    let floats = folder.npy("floats.npy", &[1], &[0f32]);
    refused(&["eval", &model(), "--images", &sample("eval_x.npy"), "--labels", &floats], &["integers"]);
}

#[test]
fn mixed_forms_are_refused_with_both_allowed_ones() {
    let (x, y) = (sample("eval_x.npy"), sample("eval_y.npy"));
    let words = ["an .npy of pictures with an .npy of labels", "a folder of pictures with a .csv"];
    for (images, labels) in [(x.as_str(), "labels.csv"), (&sample(""), &y), (&sample("sample.png"), &y)] {
        refused(&["eval", &model(), "--images", images, "--labels", labels], &words);
    }
}

#[test]
fn an_output_that_is_the_class_is_no_ranking() {
    let folder = Folder::new("eval_arg_max");
    let model = folder.compiled("arg_max", &networks::arg_max());
    let images = folder.npy("x.npy", &[3, 5], &[0i8, 9, 0, 0, 0, 0, 0, 0, 0, 9, 9, 0, 0, 0, 0]);
    let labels = folder.npy("y.npy", &[3], &[1u8, 4, 1]);
    let json = folder.at("e.json");
    let said = done(&["eval", &model, "--images", &images, "--labels", &labels, "--json", &json]);
    assert!(said.starts_with("top-1 0.6667  top-5 n/a  of 3\n"), "{said}");
    let result = read_json(&json);
    assert_eq!(result["predictions"], serde_json::json!([1, 4, 0]));
    assert_eq!(result["top5"], serde_json::Value::Null);
    let beyond = folder.npy("beyond.npy", &[3], &[1u8, 5, 1]);
    refused(&["eval", &model, "--images", &images, "--labels", &beyond], &["row 1", "label 5 ", "0 to 4"]);
}

#[test]
fn networks_that_classify_no_picture_are_refused() {
    let folder = Folder::new("eval_two");
    let model = folder.compiled("sum", &networks::sum());
    let (images, labels) = (folder.npy("x.npy", &[1, 4], &[0i8; 4]), folder.npy("y.npy", &[1], &[0u8]));
    refused(&["eval", &model, "--images", &images, "--labels", &labels], &["2 inputs", "one"]);
}

#[test]
fn of_many_classes_the_worst_are_listed() {
    let folder = Folder::new("eval_many");
    let model = folder.compiled("relu", &networks::relu("x", "y", 70));
    let mut values = vec![0i8; 70 * 70];
    (0..70).for_each(|i| values[i * 70 + i] = 1);
    values[33 * 70 + 33] = 0;
    let images = folder.npy("x.npy", &[70, 70], &values);
    let labels = folder.npy("y.npy", &[70], &(0..70).collect::<Vec<u8>>());
    let said = dyadic(&["eval", &model, "--images", &images, "--labels", &labels]).out;
    assert!(said.contains("16 worst of 70 classes; --json"), "{said}");
    assert!(said.ends_with("worst class: 33 (0 of 1)\n") && said.lines().count() == 20, "{said}");
}
