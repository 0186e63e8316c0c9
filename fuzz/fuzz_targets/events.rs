#![no_main]
//! Runs the law `test_support::laws::events` on the input.

use libfuzzer_sys::fuzz_target;
use test_support::laws;
use tower_api_key_name::_internal::meter_body;
use tower_api_key_name::proxy_keys::BodyForm;

fuzz_target!(|input: &[u8]| laws::events::check(input, |provider, is_stream, chunks| {
    let form = if is_stream { BodyForm::Events } else { BodyForm::Json };
    meter_body(provider, form, chunks)
}));
