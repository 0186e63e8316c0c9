//! Each law, for bytes drawn at random.

use proptest::prelude::*;
use test_support::laws;

/// Decisions enough for some rows.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..200)
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

// What takes many bodies apart in many ways.
proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn amend(input in bytes()) {
        laws::amend::hold(&input);
    }

    #[test]
    fn layer(input in bytes()) {
        laws::layer::hold(&input);
    }

    #[test]
    fn scan(input in bytes()) {
        laws::scan::hold(&input);
    }
}

proptest! {
    #![proptest_config(cases(5_000))]

    #[test]
    fn map(input in bytes()) {
        laws::map::hold(&input);
    }

    #[cfg(feature = "directory")]
    #[test]
    fn page(input in bytes()) {
        laws::page::hold(&input);
    }

    #[test]
    fn query(input in prop::collection::vec(any::<u8>(), 0..24)) {
        laws::query::hold(&input);
    }
}
