#![no_main]
//! Runs the law `test_support::laws::keys` on the input.

use libfuzzer_sys::fuzz_target;
use test_support::laws::keys::{self, KeysFileDefect, ReadKeys};
use tower_api_key_name::proxy_keys::ProxyKeys;

fuzz_target!(|input: &[u8]| keys::check(input, |text| match ProxyKeys::from_json(text) {
    Ok(keys) => Ok(ReadKeys { names: keys.names().snapshot(), debug: format!("{keys:?}") }),
    Err(error) => {
        Err(KeysFileDefect { line: error.line(), column: error.column(), text: format!("{error} {error:?}") })
    }
}));
