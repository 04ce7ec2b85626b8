//! The sources of the integer crates name no float type, hold no float literal and call no float intrinsic.
//!
//! A scan of tokens, because lints look at types: `2.5 as i32` holds no float type that a lint would see. `clippy.toml`
//! of each crate and the disassembly that `.ci/float_scan` reads are the other two nets.
#![forbid(unsafe_code)]

mod tokens;

use std::fs;
use std::path::{Path, PathBuf};

use tokens::{Kind, Token, tokens};

/// Folders in which no float may occur, and how many source files each holds at least: a moved folder is a failure,
/// not a pass. `runtime/capi` joins by itself once it is there.
const FOLDERS: [(&str, usize); 3] = [("kernels/src", 20), ("formats/src", 10), ("runtime/src", 10)];
const OPTIONAL: [&str; 1] = ["runtime/capi/src"];

/// Types, vector types included, and functions that return floats without saying so at the end of their name.
const NAMES: [&str; 10] =
    ["f16", "f32", "f64", "f128", "bf16", "__m128", "__m256", "__m512", "__m128d", "__m256d"];
/// Ends of intrinsics and conversions: packed and scalar, single, double and half.
const ENDS: [&str; 10] = ["_ps", "_pd", "_ss", "_sd", "_ph", "_sh", "_f16", "_f32", "_f64", "_f128"];
/// Vector types of aarch64.
const STARTS: [&str; 3] = ["float16x", "float32x", "float64x"];

fn is_float(token: &Token) -> bool {
    let text = token.text.as_str();
    match token.kind {
        Kind::Float => true,
        Kind::Integer => false,
        Kind::Identifier => {
            NAMES.contains(&text)
                || ENDS.iter().any(|end| text.ends_with(end))
                || STARTS.iter().any(|start| text.starts_with(start))
        }
    }
}

fn floats(source: &str) -> Vec<Token> {
    tokens(source).into_iter().filter(is_float).collect()
}

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|end| end == "rs") {
            into.push(path);
        }
    }
}

#[test]
fn integer_crates_hold_no_float() {
    let mut findings = Vec::new();
    for (folder, least) in FOLDERS.into_iter().chain(OPTIONAL.map(|folder| (folder, 0))) {
        let mut files = Vec::new();
        sources(&dyadic_tests::repository(folder), &mut files);
        assert!(files.len() >= least, "{folder}: {} source files, expected at least {least}", files.len());
        for file in files {
            let source = fs::read_to_string(&file).expect("a readable source file");
            for token in floats(&source) {
                let place = file.strip_prefix(dyadic_tests::repository("")).unwrap_or(&file).display();
                findings.push(format!("{place}:{}: {}", token.line, token.text));
            }
        }
    }
    assert!(findings.is_empty(), "floats in integer crates:\n{}", findings.join("\n"));
}

/// Every way to write a float that is known here is found, alone on its line.
#[test]
fn planted_floats_are_found() {
    let planted = [
        "let x = 1.0;",
        "let x = 2.;",
        "let x = 1e3;",
        "let x = 1E-3;",
        "let x = 1_0e+1_0;",
        "let x = 2.5e10;",
        "let x = 1f32;",
        "let x = 1_f64;",
        "let x = 1.5_f32;",
        "let x = 2.5 as i32;",
        "let x = 0..1.5;",
        "let x = t.0 + 1.5;",
        "fn f(x: f32) {}",
        "fn f(x: &[r#f64]) {}",
        "let x = f16::from_bits(0);",
        "let x = _mm256_add_ps(a, b);",
        "let x = _mm_cvtsi32_sd(a, b);",
        "let x = vaddq_f32(a, b);",
        "let x: __m256 = a;",
        "let x: float32x4_t = a;",
        "let x = time.as_secs_f64();",
        "let x = '\"'; let y = 1.0; let z = '\"';",
        "let x: &'a str = \"\"; let y = 1.0;",
        "/* a /* b */ c */ let y = 1.0;",
        "let x = r#\"\"\"#; let y = 1.0;",
        "let x = \"\\\"\"; let y = 1.0;",
        "let x = b'\\''; let y = 1.0;",
    ];
    for source in planted {
        let found = floats(&format!("\n{source}\n"));
        assert_eq!(found.len(), 1, "{source}: {found:?}");
        assert_eq!(found[0].line, 2, "{source}");
    }
}

/// What only looks like a float is left alone.
#[test]
fn integers_are_left_alone() {
    let innocent = [
        "for i in 1..2 {}",
        "for i in 0..=9 {}",
        "let x = tuple.0.1;",
        "let x = tuple . 0 . 1;",
        "let x = 1.max(2);",
        "let x = 0x1e3 + 0xf32 + 0b1;",
        "let x = 1_000u64 + 7usize;",
        "// 1.0 and f32",
        "/* 1.0 /* f32 */ 2.5 */ let x = 1;",
        "let x = \"1.0 f32 \\\" 2.5\";",
        "let x = r#\"1.0 \" f32\"#;",
        "let x = b\"1.0\"; let y = c\"2.0\"; let z = br\"3.0\";",
        "let x = '.'; let y = '\\''; let z = b'1';",
        "fn f<'f32>(x: &'f32 u8) {}",
        "'f64: loop { break 'f64; }",
        "let rescale_float = class; let less = press;",
        "let x = _mm256_madd_epi16(a, b);",
    ];
    for source in innocent {
        let found = floats(source);
        assert!(found.is_empty(), "{source}: {found:?}");
    }
}

#[test]
fn lines_are_counted_through_skipped_text() {
    let found = floats("/*\n\n*/ \"\n\" 'x' r\"\n\"\n1.0\n");
    assert_eq!(found.iter().map(|t| t.line).collect::<Vec<_>>(), [6]);
}
