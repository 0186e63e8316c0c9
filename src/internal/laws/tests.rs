//! Each law, for bytes drawn at random.

use proptest::prelude::*;

/// Decisions enough for some rows.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..300)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn amend(input in bytes()) {
        super::amend::hold(&input);
    }

    #[test]
    fn layer(input in bytes()) {
        super::layer::hold(&input);
    }

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

    #[test]
    fn scan(input in bytes()) {
        super::scan::hold(&input);
    }
}
