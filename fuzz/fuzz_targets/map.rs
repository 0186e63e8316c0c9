#![no_main]
//! See the law's own words.

use libfuzzer_sys::fuzz_target;
use test_support::laws;

fuzz_target!(|input: &[u8]| laws::map::hold(input));
