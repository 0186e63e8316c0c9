//! The memory of a listing: its result and a few pages.

use allocation_counter::measure;
use test_support::organization::{InjectedFailure, Organization};

use crate::{directory, missing};

/// The most bytes allocated during a listing, those of the organization's responses included.
fn peak(organization: &Organization) -> u64 {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let directory = directory(organization);
    measure(|| {
        runtime.block_on(directory.list());
    })
    .bytes_max
}

#[test]
fn listing_of_12000_keys_stays_below_8_mib() {
    let peak = peak(&Organization::new(250, 12_000));
    assert!(peak < 8 << 20, "{peak} bytes at most");
}

fn with_long_bodies() -> Organization {
    let organization = Organization::new(20, 200);
    for nth in 0..20 {
        let path = format!("/v1/organization/projects/proj_{nth:04}/api_keys");
        organization.state().always.insert(path, InjectedFailure::LongBody(1 << 30));
    }
    organization
}

#[test]
fn page_over_the_limit_is_not_buffered() {
    let baseline = peak(&Organization::new(20, 200));
    let peak = peak(&with_long_bodies());
    // Eight pages of 4 MiB at once; a growing buffer briefly exists twice.
    assert!(peak < baseline + (8 * 2 + 4) * (4 << 20), "{peak} bytes at most");
}

#[test]
fn page_over_the_limit_is_missing_with_the_limit() {
    let organization = with_long_bodies();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let listing = runtime.block_on(directory(&organization).page_limit(1 << 20).list());
    assert_eq!(listing.missing.len(), 20);
    let reason = "a page is longer than 1048576 bytes; raise the page limit if that is right";
    assert!(missing(&listing)[0].ends_with(reason), "{:?}", missing(&listing)[0]);
}
