//! Each law, for bytes drawn at random.

use proptest::prelude::*;

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
        super::amend::hold(&input);
    }

    #[test]
    fn layer(input in bytes()) {
        super::layer::hold(&input);
    }

    #[test]
    fn scan(input in bytes()) {
        super::scan::hold(&input);
    }
}

proptest! {
    #![proptest_config(cases(5_000))]

    #[test]
    fn map(input in bytes()) {
        super::map::hold(&input);
    }

    #[cfg(feature = "directory")]
    #[test]
    fn page(input in bytes()) {
        super::page::hold(&input);
    }

    #[test]
    fn query(input in prop::collection::vec(any::<u8>(), 0..24)) {
        super::query::hold(&input);
    }
}
