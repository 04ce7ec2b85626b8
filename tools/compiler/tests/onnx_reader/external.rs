//! Constants in other files.

use std::path::{Path, PathBuf};

use dyadic_compiler::import::onnx::{OnnxModel, read};
use dyadic_onnx_schema::attribute_proto::AttributeType;
use dyadic_onnx_schema::{AttributeProto, Message, ModelProto, StringStringEntryProto, TensorProto};

use crate::{assert_sound, attribute, graph, pair, small, tensor};

/// A folder of its own, `inside`, with a file `w.bin` of the bytes 0 to 99, in a folder with a file `secret`.
fn folder(name: &str) -> PathBuf {
    let outer = Path::new(env!("CARGO_TARGET_TMPDIR")).join("onnx_external").join(name);
    let _ = std::fs::remove_dir_all(&outer);
    let inside = outer.join("inside");
    std::fs::create_dir_all(inside.join("sub")).unwrap();
    std::fs::write(outer.join("secret"), [7; 100]).unwrap();
    std::fs::write(inside.join("w.bin"), bytes(0..100)).unwrap();
    std::fs::write(inside.join("sub/v.bin"), bytes(100..110)).unwrap();
    inside
}

fn bytes(range: std::ops::Range<u8>) -> Vec<u8> {
    range.collect()
}

fn outside(name: &str, data_type: i32, dims: &[i64], entries: &[(&str, &str)]) -> TensorProto {
    let external_data: Vec<StringStringEntryProto> =
        entries.iter().map(|(key, value)| pair(key, value)).collect();
    TensorProto { external_data, data_location: Some(1), ..tensor(name, data_type, dims) }
}

/// The small model with one more constant `t` of 100 bytes, or as the entries say.
fn with(entries: &[(&str, &str)]) -> ModelProto {
    let mut model = small();
    graph(&mut model).initializer.push(outside("t", 2, &[100], entries));
    model
}

fn read_in(model: &ModelProto, folder: Option<&Path>) -> Result<OnnxModel, String> {
    let read = read(&model.encode_to_vec(), folder).map_err(|error| error.to_string())?;
    assert_sound(&read);
    Ok(read)
}

/// The digest that the documentation describes, of (offset, bytes) pairs.
fn digest(parts: &[(u64, &[u8])]) -> [u8; 32] {
    let mut all = Vec::new();
    for (offset, bytes) in parts {
        all.extend(offset.to_le_bytes());
        all.extend((bytes.len() as u64).to_le_bytes());
        all.extend(*bytes);
    }
    blake3::hash(&all).into()
}

#[test]
fn whole_files_and_parts() {
    let folder = folder("parts");
    let mut model = with(&[("location", "w.bin")]);
    graph(&mut model).initializer.extend([
        outside("u", 3, &[2, 5], &[("length", "10"), ("location", "./w.bin"), ("offset", "90")]),
        outside("rest", 2, &[60], &[("location", "w.bin"), ("offset", "40"), ("checksum", "ignored")]),
        outside("v", 4, &[5], &[("location", "sub//v.bin"), ("offset", "0"), ("length", "10")]),
        outside("none", 1, &[0], &[("location", "w.bin"), ("offset", "100")]),
        outside("odd", 22, &[3], &[("location", "w.bin"), ("offset", "98"), ("length", "2")]),
    ]);
    let inner = outside("", 2, &[1], &[("location", "sub/v.bin"), ("offset", "9")]);
    let value = AttributeProto { t: Some(inner.into()), ..attribute("value", AttributeType::Tensor) };
    graph(&mut model).node[1].attribute.push(value);
    let read = read_in(&model, Some(&folder)).unwrap();
    let data = |name: &str| read.constants[name].data.clone();
    assert_eq!(data("t"), bytes(0..100));
    assert_eq!(data("u"), bytes(90..100));
    assert_eq!(data("rest"), bytes(40..100));
    assert_eq!(data("v"), bytes(100..110));
    assert_eq!(data("none"), []);
    assert_eq!(data("odd"), [98, 99 & 15]);
    let w = [(0, bytes(0..100)), (90, bytes(90..100)), (40, bytes(40..100)), (98, bytes(98..100))];
    let w: Vec<(u64, &[u8])> = w.iter().map(|(offset, bytes)| (*offset, bytes.as_slice())).collect();
    let v = digest(&[(0, &bytes(100..110)), (9, &[109])]);
    assert_eq!(read.external, [("sub/v.bin".to_owned(), v), ("w.bin".to_owned(), digest(&w))]);
}

#[test]
fn without_a_folder() {
    let expected = "initializer 3 (\"t\"): data in the file \"w.bin\": the model was given without its folder; open it \
                    from a file, beside which this one lies";
    assert_eq!(read_in(&with(&[("location", "w.bin")]), None).unwrap_err(), expected);
}

/// Rows of entries and the report behind "data in the file ...: ".
#[test]
fn wrong_entries() {
    let folder = folder("wrong");
    let path =
        |problem: &str| format!("the path {problem}; expected a relative path below the model's folder");
    let number = |key: &str, value: &str| format!("`{key}` is \"{value}\", expected a decimal number");
    let rows: &[(&[(&str, &str)], String)] = &[
        (&[], "no `location` is stated".to_owned()),
        (&[("location", "")], path("is empty")),
        (&[("location", "/etc/passwd")], path("is absolute")),
        (&[("location", "//server/share")], path("is absolute")),
        (&[("location", "../secret")], path("leads upwards")),
        (&[("location", "sub/../w.bin")], path("leads upwards")),
        (&[("location", "sub/..")], path("leads upwards")),
        (&[("location", "sub\\v.bin")], path("has a backslash")),
        (&[("location", "C:w.bin")], path("names a drive")),
        (&[("location", "c:/w.bin")], path("names a drive")),
        (&[("location", "w\0.bin")], path("has a zero byte")),
        (&[("location", ".")], path("names no file")),
        (&[("location", "./")], path("names no file")),
        (&[("location", "sub")], "it is not a regular file".to_owned()),
        (&[("location", "w.bin"), ("location", "w.bin")], "`location` is stated twice".to_owned()),
        (&[("location", "w.bin"), ("offset", "")], number("offset", "")),
        (&[("location", "w.bin"), ("offset", "-1")], number("offset", "-1")),
        (&[("location", "w.bin"), ("offset", "+1")], number("offset", "+1")),
        (&[("location", "w.bin"), ("length", "1e2")], number("length", "1e2")),
        (
            &[("location", "w.bin"), ("length", "18446744073709551616")],
            number("length", "18446744073709551616"),
        ),
        (&[("location", "w.bin"), ("length", "101")], "data at bytes 0..0+101, but it has 100".to_owned()),
        (
            &[("location", "w.bin"), ("offset", "1"), ("length", "100")],
            "data at bytes 1..1+100, but it has 100".to_owned(),
        ),
        (&[("location", "w.bin"), ("offset", "101")], "data at bytes 101..101+0, but it has 100".to_owned()),
        (
            &[("location", "w.bin"), ("offset", "18446744073709551615"), ("length", "100")],
            "data at bytes 18446744073709551615..18446744073709551615+100, but it has 100".to_owned(),
        ),
    ];
    for (entries, expected) in rows {
        let location = entries.iter().find(|(key, _)| *key == "location").map_or("", |(_, value)| value);
        let expected = format!("initializer 3 (\"t\"): data in the file {location:?}: {expected}");
        assert_eq!(read_in(&with(entries), Some(&folder)).unwrap_err(), expected);
    }
}

#[test]
fn the_length_must_be_what_the_shape_takes() {
    let folder = folder("length");
    for (entries, found) in [
        (&[("location", "w.bin"), ("length", "99")][..], 99),
        (&[("location", "w.bin"), ("offset", "3")], 97),
        (&[("location", "sub/v.bin")], 10),
    ] {
        let expected = format!("initializer 3 (\"t\"): {found} bytes of data, but UINT8 [100] takes 100");
        assert_eq!(read_in(&with(entries), Some(&folder)).unwrap_err(), expected);
    }
}

#[test]
fn data_in_the_model_and_beside_it() {
    let mut model = with(&[("location", "w.bin")]);
    graph(&mut model).initializer[3].raw_data = Some(vec![0; 100]);
    let expected = "initializer 3 (\"t\"): data in both `external_data` and `raw_data`, expected one of them";
    assert_eq!(read_in(&model, Some(&folder("both"))).unwrap_err(), expected);
}

#[test]
fn missing_files_and_folders() {
    let folder = folder("missing");
    let report = read_in(&with(&[("location", "gone.bin")]), Some(&folder)).unwrap_err();
    assert!(report.starts_with("initializer 3 (\"t\"): data in the file \"gone.bin\": "), "{report}");
    let report = read_in(&with(&[("location", "w.bin")]), Some(&folder.join("gone"))).unwrap_err();
    assert!(report.starts_with("initializer 3 (\"t\"): data in the file \"w.bin\": "), "{report}");
}

/// A small model must not take a large file again and again.
#[test]
fn a_file_may_be_taken_four_times() {
    let folder = folder("often");
    let mut model = with(&[("location", "w.bin")]);
    for index in 0..4 {
        assert!(read_in(&model, Some(&folder)).is_ok());
        // Other spellings of the same path count for the same file.
        let location = format!("{}w.bin", "./".repeat(index));
        let again = outside(&format!("t{index}"), 2, &[100], &[("location", &location)]);
        graph(&mut model).initializer.push(again);
    }
    let expected = "initializer 7 (\"t3\"): data in the file \"./././w.bin\": tensors take more than 4 times its 100 \
                    bytes";
    assert_eq!(read_in(&model, Some(&folder)).unwrap_err(), expected);
}

/// The folder of a model that was named without one.
#[test]
fn the_empty_folder_is_the_current_one() {
    // Tests of a package run in its folder.
    let length = std::fs::metadata("Cargo.toml").unwrap().len();
    let mut model = small();
    let manifest = outside("t", 2, &[length as i64], &[("location", "Cargo.toml")]);
    graph(&mut model).initializer.push(manifest);
    let read = read_in(&model, Some(Path::new(""))).unwrap();
    assert_eq!(read.constants["t"].data, std::fs::read("Cargo.toml").unwrap());
}

#[cfg(unix)]
mod links {
    use std::os::unix::fs::symlink;

    use super::{Path, folder, read_in, with};

    const ESCAPES: &str = "a link leads out of the model's folder";

    fn report(folder: &Path, location: &str) -> String {
        let prefix = format!("initializer 3 (\"t\"): data in the file {location:?}: ");
        let report = read_in(&with(&[("location", location)]), Some(folder)).unwrap_err();
        report.strip_prefix(&prefix).expect(&report).to_owned()
    }

    #[test]
    fn links_that_lead_out() {
        let folder = folder("links_out");
        symlink("../secret", folder.join("relative")).unwrap();
        symlink(folder.parent().unwrap().join("secret"), folder.join("absolute")).unwrap();
        symlink("..", folder.join("up")).unwrap();
        symlink("relative", folder.join("twice")).unwrap();
        for location in ["relative", "absolute", "up/secret", "twice"] {
            assert_eq!(report(&folder, location), ESCAPES);
        }
        // A folder whose name begins with that of the model's.
        let other = folder.parent().unwrap().join("inside2");
        std::fs::create_dir_all(&other).unwrap();
        std::fs::write(other.join("w.bin"), [0; 100]).unwrap();
        symlink("../inside2/w.bin", folder.join("beside")).unwrap();
        assert_eq!(report(&folder, "beside"), ESCAPES);
    }

    #[test]
    fn links_that_stay_inside() {
        let folder = folder("links_in");
        symlink("w.bin", folder.join("same")).unwrap();
        let read = read_in(&with(&[("location", "same")]), Some(&folder)).unwrap();
        assert_eq!((read.constants["t"].data.len(), read.external[0].0.as_str()), (100, "same"));
        // The model's folder itself may be reached through a link.
        let link = folder.parent().unwrap().join("link");
        symlink(&folder, &link).unwrap();
        assert!(read_in(&with(&[("location", "w.bin")]), Some(&link)).is_ok());
    }

    #[test]
    fn devices_and_circles_of_links() {
        let folder = folder("devices");
        symlink("/dev/zero", folder.join("zero")).unwrap();
        assert_eq!(report(&folder, "zero"), ESCAPES);
        symlink("circle", folder.join("circle")).unwrap();
        assert!(!report(&folder, "circle").is_empty());
        let socket = folder.join("socket");
        // Paths of sockets are short on some systems; what cannot be made is not tested.
        if std::os::unix::net::UnixListener::bind(&socket).is_ok() {
            assert_eq!(report(&folder, "socket"), "it is not a regular file");
        }
        assert_eq!(report(Path::new("/dev"), "zero"), "it is not a regular file");
    }
}
