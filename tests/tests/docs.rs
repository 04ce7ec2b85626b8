//! `kernels/ARITHMETIC.md` names every rule of the file format and every vector file.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use dyadic_format::Rule;

fn root() -> PathBuf {
    dyadic_tests::repository("")
}

fn arithmetic() -> String {
    std::fs::read_to_string(root().join("kernels/ARITHMETIC.md")).unwrap()
}

/// One heading per rule, with its number and name, and no other.
#[test]
fn every_rule_has_a_heading() {
    let text = arithmetic();
    let mut headings: Vec<&str> = text.lines().filter(|line| line.starts_with("### ")).collect();
    headings.sort_unstable();
    let mut expected: Vec<String> =
        Rule::ALL.iter().map(|&rule| format!("### Rule {}: {}", rule as u16, rule.name())).collect();
    expected.sort_unstable();
    assert_eq!(headings, expected);
}

#[test]
fn every_vector_file_is_named() {
    let text = arithmetic();
    let folder = root().join("tests/vectors");
    let names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".json").map(str::to_string))
        .collect();
    assert!(names.len() > 20);
    for name in names {
        assert!(text.contains(&format!("`{name}`")), "{name} is not mentioned");
    }
}
