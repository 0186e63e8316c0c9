#![no_main]
//! Runs the law `test_support::laws::page` on the input.

use libfuzzer_sys::fuzz_target;
use test_support::laws::page::{self, ParsedPage};
use tower_api_key_name::_internal::read_page;

fuzz_target!(|input: &[u8]| page::check(input, |text| {
    let (listing, file) = read_page(text)?;
    Some(ParsedPage { keys: listing.keys(), names: listing.names, file })
}));
