//! Arbitrary bytes, with and without a header that fits them.

use proptest::prelude::*;

use crate::models::{mixed, tiny};
use crate::seal::{aligned, file, open_and_walk, reseal};

fn config() -> ProptestConfig {
    let cases = if cfg!(miri) { 8 } else { 2000 };
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn bytes_of_any_kind(bytes in prop::collection::vec(any::<u8>(), 0..1024)) {
        prop_assert!(!open_and_walk(&aligned(&bytes)));
    }

    #[test]
    fn a_header_and_anything(bytes in prop::collection::vec(any::<u8>(), 0..1024), entries in 0u32..20) {
        let mut made = b"DYADIC\r\n".to_vec();
        made.extend([1u32, 128].iter().flat_map(|w| w.to_le_bytes()));
        made.extend((128 + bytes.len() as u64).to_le_bytes());
        made.extend(64u64.to_le_bytes());
        made.extend(entries.to_le_bytes());
        made.resize(128, 0);
        made.extend(&bytes);
        reseal(&mut made);
        prop_assert!(!open_and_walk(&aligned(&made)));
    }

    #[test]
    fn runs_of_damage(start in 0usize..8192, run in prop::collection::vec(any::<u8>(), 1..200), big in any::<bool>()) {
        let mut bytes = file(&if big { mixed() } else { tiny() });
        let start = start % bytes.len();
        let end = bytes.len().min(start + run.len());
        let same = bytes[start..end] == run[..end - start];
        bytes[start..end].copy_from_slice(&run[..end - start]);
        prop_assert_eq!(open_and_walk(&bytes), same);
        reseal(&mut bytes);
        open_and_walk(&bytes);
    }
}
