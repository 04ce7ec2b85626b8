//! `dyadic profile`.

use crate::{Folder, done, model, read_json, refused};

fn number(record: &csv::StringRecord, column: usize) -> f64 {
    record[column].parse().unwrap()
}

#[test]
fn the_rows_add_up_to_the_whole() {
    let folder = Folder::new("profile");
    let (table, json) = (folder.at("p.csv"), folder.at("p.json"));
    let said =
        done(&["profile", &model(), "--runs", "100", "--warmup", "2", "--csv", &table, "--json", &json]);
    let mut reader = csv::Reader::from_path(&table).unwrap();
    let header = reader.headers().unwrap().clone();
    let column = |name: &str| header.iter().position(|h| h == name).unwrap();
    let (mean, share, row) = (column("mean_ns"), column("share_of_mean"), column("row"));
    let records: Vec<_> = reader.records().map(Result::unwrap).collect();
    let sum = |column: usize, rows: &[&str]| -> f64 {
        records.iter().filter(|r| rows.contains(&&r[row])).map(|r| number(r, column)).sum()
    };
    let parts = ["layer", "dispatch", "input copy", "output copy"];
    let whole = sum(mean, &["whole run"]);
    // Every part is rounded to a nanosecond.
    assert!((sum(mean, &parts) - whole).abs() <= 32.0, "{} of {whole}", sum(mean, &parts));
    assert!((sum(share, &parts) - 1.0).abs() < 1e-4);
    assert!((sum(share, &["layers"]) - sum(share, &["layer"])).abs() < 1e-4);
    assert!(
        records.iter().filter(|r| &r[row] == "layer").all(|r| number(r, column("activation_bytes")) > 0.0)
    );
    assert_eq!(records.len(), 28 + 5);
    // 100 runs carry a p90 but no p99.
    let layer = &read_json(&json)["layers"][0]["ns"];
    assert!(layer["p90"].is_u64() && layer["p99"].is_null() && layer["p99.9"].is_null(), "{layer}");
    assert!(said.contains("n/a") && said.contains("share of the mean"), "{said}");
}

#[test]
fn the_head_says_what_was_measured_on_what() {
    let folder = Folder::new("profile_head");
    let json = folder.at("p.json");
    let said =
        done(&["profile", &model(), "--runs", "1000", "--warmup", "3", "--isa", "portable", "--json", &json]);
    let value = read_json(&json);
    let digest = &value["digest"].as_str().unwrap()[..16];
    let version = env!("CARGO_PKG_VERSION");
    for words in
        [digest, &format!("dyadic {version}"), "isa portable", "1 thread not pinned", "1000 runs after 3"]
    {
        assert!(said.contains(words), "'{words}': {said}");
    }
    assert_eq!((&value["warmup"], &value["runs"]), (&3.into(), &1000.into()));
    assert!(value["whole_ns"]["p99"].is_u64() && value["whole_ns"]["p99.9"].is_null(), "{value}");
    assert!(value["layers"][0]["sources"].is_array());
    refused(&["profile", &folder.at("missing.dyad")], &["missing.dyad"]);
    refused(&["profile", &model(), "--runs", "0"], &["--runs"]);
}
