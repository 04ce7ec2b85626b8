//! `dyadic run`.

use crate::{Folder, done, model, networks, read_json, read_npy, refused, sample};

/// The first pictures of the evaluation set.
fn pictures(count: usize) -> Vec<u8> {
    let (shape, data) = read_npy::<u8>(&sample("eval_x.npy"));
    assert_eq!(shape[1..], [48, 48, 3]);
    data[..count * 48 * 48 * 3].to_vec()
}

#[test]
fn the_sample_picture_is_recognised_under_every_instruction_set() {
    let (model, picture) = (&model(), &sample("sample.png"));
    let best = done(&["run", model, "--input", picture, "--top", "3"]);
    assert!(best.lines().count() == 3 && best.lines().next().unwrap().ends_with("bicycles"), "{best}");
    for isa in ["reference", "portable"] {
        assert_eq!(done(&["run", model, "--input", picture, "--top", "3", "--isa", isa]), best);
    }
    assert_eq!(done(&["run", model, "--input", picture, "--top", "3", "--threads", "2"]), best);
    let plain = done(&["run", model, "--input", &format!("image={picture}")]);
    assert_eq!(plain, "output 'Identity': s8 [1, 22]; see --output, --output-dir, --top\n");
}

#[test]
fn stacked_runs_give_stacked_outputs() {
    let folder = Folder::new("stacked");
    let (model, pixels) = (&model(), pictures(3));
    let stacked = folder.npy("x.npy", &[3, 48, 48, 3], &pixels);
    let output = folder.at("y.npy");
    let top = done(&["run", model, "--input", &stacked, "--pixels", "--output", &output, "--top", "1"]);
    let (shape, together) = read_npy::<i8>(&output);
    assert_eq!(shape, [3, 22]);
    let lines: Vec<&str> = top.lines().collect();
    assert_eq!(lines.len(), 6, "{top}");
    for run in 0..3 {
        let one = folder.npy("one.npy", &[1, 48, 48, 3], &pixels[run * 6912..][..6912]);
        let top = done(&["run", model, "--input", &one, "--pixels", "--output", &output, "--top", "1"]);
        assert_eq!(read_npy::<i8>(&output).1, together[run * 22..][..22]);
        assert_eq!(lines[2 * run], format!("run {run} of 3"));
        assert_eq!(lines[2 * run + 1], top.trim_end());
    }
}

#[test]
fn pixels_tensors_and_floats_meet_in_the_same_codes() {
    let folder = Folder::new("codes");
    let (model, output) = (&model(), folder.at("y.npy"));
    let pixels = pictures(1);
    let shape = [1, 48, 48, 3];
    let codes: Vec<i8> = pixels.iter().map(|&p| (p ^ 0x80) as i8).collect();
    let reals: Vec<f32> = pixels.iter().map(|&p| f32::from(p) / 255.0).collect();
    done(&["run", model, "--pixels", "--input", &folder.npy("u8.npy", &shape, &pixels), "--output", &output]);
    let expected = read_npy::<i8>(&output);
    for file in [folder.npy("s8.npy", &shape, &codes), folder.npy("f32.npy", &shape, &reals)] {
        done(&["run", model, "--input", &file, "--output", &output]);
        assert_eq!(read_npy::<i8>(&output), expected, "{file}");
    }
    done(&["run", model, "--input", &folder.at("s8.npy"), "--output", &output, "--dequantize"]);
    let real: Vec<f32> = expected.1.iter().map(|&c| (f32::from(c) + 128.0) / 256.0).collect();
    assert_eq!(read_npy::<f32>(&output), (vec![1, 22], real));
}

#[test]
fn layers_are_dumped_with_an_index() {
    let folder = Folder::new("dump");
    let (model, dir, outputs) = (&model(), folder.at("layers"), folder.at("out"));
    let input = folder.npy("x.npy", &[2, 48, 48, 3], &pictures(2));
    let said =
        done(&["run", model, "--pixels", "--input", &input, "--dump-layers", &dir, "--output-dir", &outputs]);
    assert!(said.contains("the layers of run 0 of 2"), "{said}");
    let index = read_json(&format!("{dir}/index.json"));
    let layers = index["layers"].as_array().unwrap();
    assert_eq!((index["schema"].as_str(), layers.len()), (Some("dyadic-layers-1"), 28));
    for (step, layer) in layers.iter().enumerate() {
        let (shape, _) = read_npy::<i8>(&format!("{dir}/{step}.npy"));
        assert_eq!(serde_json::json!(shape), layer["shape"]);
        assert!(layer["sources"].as_array().is_some_and(|s| !s.is_empty()), "{layer}");
        assert_eq!(layer["step"], step);
    }
    let last = read_npy::<i8>(&format!("{dir}/27.npy")).1;
    assert_eq!(last, read_npy::<i8>(&format!("{outputs}/0.npy")).1[..22]);
}

#[test]
fn inputs_that_hold_no_run_are_refused() {
    let folder = Folder::new("no_run");
    let model = &model();
    let empty = folder.npy::<u8>("empty.npy", &[0, 48, 48, 3], &[]);
    refused(&["run", model, "--input", &empty, "--pixels", "--top", "1"], &["empty.npy", "holds no picture"]);
    refused(&["run", model, "--input", &empty], &["empty.npy", "shape"]);
    let flat = folder.npy::<u8>("flat.npy", &[1, 0, 48, 3], &[]);
    refused(&["run", model, "--input", &flat, "--pixels"], &["holds no picture"]);
    let small = folder.npy("small.npy", &[1, 2, 2, 3], &[0i8; 12]);
    refused(&["run", model, "--input", &small], &["small.npy", "[1, 2, 2, 3]", "[1, 48, 48, 3]"]);
}

#[test]
fn what_is_no_input_is_named() {
    let folder = Folder::new("no_input");
    let model = &model();
    let mut reals = vec![0.5f32; 6912];
    reals[4711] = f32::NAN;
    let nan = folder.npy("nan.npy", &[1, 48, 48, 3], &reals);
    refused(&["run", model, "--input", &nan], &["nan.npy", "element 4711", "NaN"]);
    refused(&["run", model, "--input", "nosuch=ok.npy"], &["no input named nosuch", "image"]);
    refused(&["run", model, "--input", "image="], &["no file", "'image'"]);
    refused(&["run", model, "--input", "picture.bmp"], &["picture.bmp", ".bmp", ".png"]);
    refused(&["run", model, "--input", &folder.at("missing.npy")], &["missing.npy"]);
    refused(&["run", &folder.at(""), "--input", &nan], &["folder", ".dyad"]);
    refused(&["run", &sample("sample.png"), "--input", &nan], &["sample.png"]);
    let text = folder.file("text.npy", "no array");
    refused(&["run", model, "--input", &text], &["text.npy", "not an .npy file"]);
}

#[test]
fn a_malformed_header_is_not_echoed() {
    let folder = Folder::new("header");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(60_000u16.to_le_bytes());
    bytes.extend([b'\x1b'; 60_000]);
    let file = folder.file("header.npy", bytes);
    let said = crate::dyadic(&["run", &model(), "--input", &file]);
    assert!(said.code == Some(2) && said.err.len() < 300 && !said.err.contains('\x1b'), "{}", said.err);
    assert!(said.err.contains("header is malformed"), "{}", said.err);
}

#[test]
fn several_inputs_are_given_by_name_or_in_order() {
    let folder = Folder::new("two_inputs");
    let model = &folder.compiled("sum", &networks::sum());
    let a = folder.npy("a.npy", &[1, 4], &[1i8, 2, 3, 4]);
    let b = folder.npy("b.npy", &[1, 4], &[10i8, 20, 30, 40]);
    let output = folder.at("y.npy");
    done(&["run", model, "--input", &a, "--input", &b, "--output", &output]);
    assert_eq!(read_npy::<i8>(&output), (vec![1, 4], vec![11, 22, 33, 44]));
    done(&["run", model, "--input", &format!("b={b}"), "--input", &a, "--output", &output]);
    assert_eq!(read_npy::<i8>(&output).1, [11, 22, 33, 44]);
    refused(&["run", model, "--input", &a], &["input 'b' is missing"]);
    refused(&["run", model, "--input", &a, "--input", &b, "--input", &b], &["2 inputs"]);
    let twice = folder.npy("twice.npy", &[2, 4], &[0i8; 8]);
    refused(&["run", model, "--input", &twice, "--input", &b], &["different numbers of runs: [2, 1]"]);
}
