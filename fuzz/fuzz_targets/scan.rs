#![no_main]
//! Runs the law `test_support::laws::scan` on the input.

use libfuzzer_sys::fuzz_target;
use test_support::laws;

fuzz_target!(|input: &[u8]| laws::scan::check(input));
