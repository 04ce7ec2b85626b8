//! Golden vectors: what an independent script computed with unbounded integers, against the reference, every kernel
//! of the registry that this CPU runs, and the compiler's derivation of factors and tables. Equality throughout.
#![forbid(unsafe_code)]

mod factors;
mod layers;
mod movement;
mod pictures;
mod scalar;
mod vector;

use dyadic_kernels::isa::Cpu;
use dyadic_kernels::registry::Choice;

/// The choices of kernels to test: one per instruction set.
fn choices() -> impl Iterator<Item = Choice> {
    let cpu = Cpu::detect();
    dyadic_tests::isas().into_iter().map(move |isa| Choice { isa, cpu })
}

/// Every vector file belongs to a test here.
#[test]
fn every_file_is_tested() {
    let mut found: Vec<String> = std::fs::read_dir(vector::folder())
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".json").map(str::to_string))
        .collect();
    found.sort();
    let mut tested =
        [scalar::FILES, layers::FILES, factors::FILES, pictures::FILES, movement::FILES].concat();
    tested.sort_unstable();
    assert_eq!(found, tested);
}
