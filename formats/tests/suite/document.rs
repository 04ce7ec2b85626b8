//! `FORMAT.md` says what the code does: its tables, its numbers, its example.

use std::fmt::Write;
use std::mem::offset_of;

use dyadic_format::header::Header;
use dyadic_format::operator::{
    AddParams, ArgMaxParams, ChannelTableParams, ConcatParams, ConvParams, GatherParams, MeanParams,
    MulParams, PadParams, PoolParams, ResizeParams, SoftmaxParams, StridedCopyParams, TableFunction,
    TableParams,
};
use dyadic_format::records::{
    GoldenRecord, IntervalRecord, PackedRecord, ProvenanceRecord, RecipeRecord, ScaleRecord, TextRef,
};
use dyadic_format::section::{SectionKind, SectionRecord};
use dyadic_format::{ElemCode, ModelView, OpKind, OperatorRecord, Rule, Storage, TensorRecord};

use crate::models::tiny;
use crate::seal::file;

const DOCUMENT: &str = include_str!("../../FORMAT.md");

/// What stands under a heading of the third level, up to the next heading.
fn under(heading: &str) -> &'static str {
    let start = format!("### {heading}\n");
    let (_, rest) = DOCUMENT.split_once(&start).unwrap_or_else(|| panic!("no heading {heading}"));
    rest.split("\n#").next().unwrap_or(rest)
}

/// The rows of the first table under a heading, each cut into its cells.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let table = under(heading).lines().skip_while(|l| !l.starts_with("|---")).skip(1);
    let cells = |line: &str| line.trim_matches('|').split(" | ").map(|c| c.trim().to_string()).collect();
    table.take_while(|l| l.starts_with('|')).map(cells).collect()
}

fn size<T, F>(_: fn(&T) -> &F) -> usize {
    size_of::<F>()
}

/// Compares the fields of a record with its table; the list must cover the record without gaps.
macro_rules! check_fields {
    ($record:ident: $($field:ident),*) => {{
        let fields = [$((stringify!($field), offset_of!($record, $field), size(|r: &$record| &r.$field))),*];
        let mut end = 0;
        let rows = rows(concat!("`", stringify!($record), "`"));
        assert_eq!(rows.len(), fields.len(), stringify!($record));
        for ((name, offset, size), row) in fields.into_iter().zip(rows) {
            assert_eq!(offset, end, "{name}: a gap");
            end = offset + size;
            assert_eq!(row[..3], [offset.to_string(), size.to_string(), format!("`{name}`")]);
            assert!(row.len() == 4 && !row[3].is_empty(), "{name}: no constraint");
        }
        assert_eq!(end, size_of::<$record>(), stringify!($record));
    }};
}

#[test]
fn fields_of_records() {
    check_fields!(Header: magic, version, header_bytes, file_bytes, arena_bytes, section_count, table_crc, digest,
        reserved, header_crc);
    check_fields!(SectionRecord: kind, flags, offset, bytes, record_bytes, crc);
    check_fields!(TextRef: offset, bytes);
    check_fields!(ScaleRecord: mantissa, exponent, reserved);
    check_fields!(IntervalRecord: lo, hi);
    check_fields!(TensorRecord: name, elem, storage, rank, reserved, zero_point, dims, offset, bytes, scale_first,
        scale_count, lo, hi, codes, reserved2);
    check_fields!(OperatorRecord: name, kind, rule, operands_first, inputs, outputs, intervals_first,
        intervals_count, reserved, params);
    check_fields!(PackedRecord: operator, layout, offset, bytes);
    check_fields!(ProvenanceRecord: source_digest, source_bytes, tool, options, description);
    check_fields!(RecipeRecord: input, order, tables_first, channels);
    check_fields!(GoldenRecord: seed, output, reserved, digest);
}

#[test]
fn fields_of_parameters() {
    check_fields!(ConvParams: stride, dilation, pad, groups, constants_first, lo, hi, product);
    check_fields!(AddParams: multipliers, shifts, lo, hi);
    check_fields!(MulParams: multiplier, shift, lo, hi);
    check_fields!(PoolParams: kernel, stride, pad, constants_first, lo, hi);
    check_fields!(MeanParams: axes, multiplier, shift, lo, hi);
    check_fields!(PadParams: before, value);
    check_fields!(ConcatParams: axis);
    check_fields!(StridedCopyParams: start, strides);
    check_fields!(TableParams: table, function, lo, hi, argument, second_argument);
    check_fields!(GatherParams: axis, constants_first);
    check_fields!(ChannelTableParams: tables_first, constants_first, lo, hi);
    check_fields!(SoftmaxParams: multiplier, left_shift, diff_min, beta);
    check_fields!(ResizeParams: coordinates);
    check_fields!(ArgMaxParams: axis);
}

/// Number and name of the rows under a heading.
fn numbers(heading: &str) -> Vec<(u32, String)> {
    rows(heading).into_iter().map(|r| (r[0].parse().expect("a number"), r[1].clone())).collect()
}

#[test]
fn numbers_and_names() {
    let kinds: Vec<_> = OpKind::ALL.iter().map(|&k| (k as u32, k.name().to_string())).collect();
    assert_eq!(numbers("Operator kinds"), kinds);
    let rules: Vec<_> = Rule::ALL.iter().map(|&r| (r as u32, r.name().to_string())).collect();
    assert_eq!(numbers("Rules"), rules);
    let functions: Vec<_> = TableFunction::ALL.iter().map(|&f| (f as u32, f.name().to_string())).collect();
    assert_eq!(numbers("Table functions"), functions);
    for (number, name) in numbers("Storage") {
        assert_eq!(Storage::from_number(number as u8).map(|s| format!("{s:?}")), Some(name));
    }
    assert_eq!(Storage::from_number(numbers("Storage").len() as u8 + 1), None);
    let elems = rows("Element types");
    for row in &elems {
        let elem = ElemCode::from_number(row[0].parse().expect("a number")).expect("a type");
        assert_eq!((format!("{elem:?}"), elem.bits().to_string()), (row[1].clone(), row[2].clone()));
    }
    assert_eq!(ElemCode::from_number(elems.len() as u8 + 1), None);
}

#[test]
fn sections() {
    let rows = rows("Sections");
    assert_eq!(rows.len(), SectionKind::ALL.len());
    for (kind, row) in SectionKind::ALL.iter().zip(rows) {
        let must = if kind.must_understand() { "yes" } else { "no" };
        let (number, bytes) = ((*kind as u32).to_string(), kind.record_bytes().to_string());
        assert_eq!(row[..4], [number.as_str(), kind.name(), bytes.as_str(), must]);
    }
}

/// The rules of every kind, as an attempt with each rule shows them.
#[test]
#[cfg_attr(miri, ignore = "slow there, and nothing but what other tests do")]
fn rules_of_operators() {
    let contents = crate::models::mixed();
    for row in rows("Operator kinds") {
        let kind: u16 = row[0].parse().expect("a number");
        let index = contents.operators.iter().position(|op| op.kind == kind).expect("every kind is there");
        let listed: Vec<u16> = row[4].split(", ").map(|r| r.parse().expect("a rule")).collect();
        for &rule in Rule::ALL {
            let mut changed = contents.clone();
            changed.operators[index].rule = rule as u16;
            let refused = matches!(
                crate::seal::problem(&file(&changed)),
                Some(dyadic_format::Problem::Field { field: "rule", .. })
            );
            assert_eq!(refused, !listed.contains(&(rule as u16)), "{} {}", row[1], rule.name());
        }
    }
}

/// Bytes `start..end` of a file, 16 a line with their characters.
fn hex(text: &mut String, bytes: &[u8], start: usize, end: usize) {
    for (i, line) in bytes[start..end].chunks(16).enumerate() {
        let digits: Vec<String> = line.iter().map(|b| format!("{b:02x}")).collect();
        let printable = |&b: &u8| if (0x20..0x7f).contains(&b) { char::from(b) } else { '.' };
        let characters: String = line.iter().map(printable).collect();
        writeln!(text, "{:04x}  {:47}  {characters}", start + 16 * i, digits.join(" ")).expect("memory");
    }
}

fn dump(bytes: &[u8]) -> String {
    let view = ModelView::open(bytes).expect("valid");
    let mut text = String::from("Header\n");
    hex(&mut text, bytes, 0, 128);
    text.push_str("Section table\n");
    hex(&mut text, bytes, 128, 128 + 32 * view.sections().len());
    for section in view.sections() {
        let kind = SectionKind::from_number(section.kind).expect("a known section");
        let start = section.offset as usize;
        writeln!(text, "{} at {start:04x}, {} bytes", kind.name(), section.bytes).expect("memory");
        hex(&mut text, bytes, start, start + section.bytes as usize);
    }
    text
}

#[test]
fn the_worked_example_is_a_real_file() {
    let dump = dump(&file(&tiny()));
    let (_, example) = DOCUMENT.split_once("## 11. A worked example").expect("the example");
    let shown = example.split("```\n").nth(1).unwrap_or("");
    assert!(shown == dump, "the example of FORMAT.md should be:\n{dump}");
}
