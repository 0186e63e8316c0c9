//! Property tests: each law of `test_support::laws` for random bytes.

use proptest::prelude::*;
use test_support::laws;
#[cfg(feature = "proxy-keys")]
use tower_api_key_name::{
    _internal::{check_request, meter_body},
    proxy_keys::{BodyForm, ProxyKeys},
};

/// Enough decisions for some rows.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..200)
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

// These laws cut many bodies into chunks in many ways.
proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn law_of_amending_holds(input in bytes()) {
        laws::amend::check(&input);
    }

    #[cfg(feature = "proxy-keys")]
    #[test]
    fn law_of_metering_holds(input in prop::collection::vec(any::<u8>(), 0..600)) {
        laws::events::check(&input, |provider, is_stream, chunks| {
            let form = if is_stream { BodyForm::Events } else { BodyForm::Json };
            meter_body(provider, form, chunks)
        });
    }

    #[cfg(feature = "proxy-keys")]
    #[test]
    fn law_of_the_gate_holds(input in prop::collection::vec(any::<u8>(), 0..400)) {
        laws::gate::check(&input, check_request);
    }

    #[test]
    fn law_of_the_layer_holds(input in bytes()) {
        laws::layer::check(&input);
    }

    #[test]
    fn law_of_scanning_holds(input in bytes()) {
        laws::scan::check(&input);
    }
}

proptest! {
    #![proptest_config(cases(5_000))]

    #[cfg(feature = "proxy-keys")]
    #[test]
    fn law_of_keys_files_holds(input in prop::collection::vec(any::<u8>(), 0..300)) {
        laws::keys::check(&input, parse_keys);
    }

    #[test]
    fn law_of_maps_holds(input in bytes()) {
        laws::map::check(&input);
    }

    #[cfg(feature = "directory")]
    #[test]
    fn law_of_pages_holds(input in bytes()) {
        laws::page::check(&input, parse_page);
    }

    #[test]
    fn law_of_queries_holds(input in prop::collection::vec(any::<u8>(), 0..24)) {
        laws::query::check(&input);
    }
}

#[cfg(feature = "directory")]
fn parse_page(text: &[u8]) -> Option<laws::page::ParsedPage> {
    let (listing, file) = tower_api_key_name::_internal::read_page(text)?;
    Some(laws::page::ParsedPage { keys: listing.keys(), names: listing.names, file })
}

#[cfg(feature = "proxy-keys")]
fn parse_keys(text: &[u8]) -> Result<laws::keys::ReadKeys, laws::keys::KeysFileDefect> {
    match ProxyKeys::from_json(text) {
        Ok(keys) => Ok(laws::keys::ReadKeys { names: keys.names().snapshot(), debug: format!("{keys:?}") }),
        Err(error) => Err(laws::keys::KeysFileDefect {
            line: error.line(),
            column: error.column(),
            text: format!("{error} {error:?}"),
        }),
    }
}
