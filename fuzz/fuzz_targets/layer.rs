#![no_main]
//! Runs the law `test_support::laws::layer` on the input.

use libfuzzer_sys::fuzz_target;
use test_support::laws;

fuzz_target!(|input: &[u8]| laws::layer::check(input));
