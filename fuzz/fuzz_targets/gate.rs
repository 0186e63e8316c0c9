#![no_main]
//! Runs the law `test_support::laws::gate` on the input.

use libfuzzer_sys::fuzz_target;
use test_support::laws;
use tower_api_key_name::_internal::check_request;

fuzz_target!(|input: &[u8]| laws::gate::check(input, check_request));
