//! What a walk holds: what it has learned, and a few pages.

use super::organization::{Fault, Organization};
use super::{directory, missing};
use allocation_counter::measure;

fn walked(organization: &Organization) -> u64 {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let directory = directory(organization);
    measure(|| {
        runtime.block_on(directory.walk());
    })
    .bytes_max
}

/// The organization itself is counted too, while it writes a page.
#[test]
fn a_walk_holds_what_it_has_learned_and_a_few_pages() {
    let most = walked(&Organization::new(250, 12_000));
    assert!(most < 8 << 20, "{most} bytes at most");
}

#[test]
fn a_page_that_is_too_long_is_not_held() {
    let quiet = walked(&Organization::new(20, 200));
    let organization = Organization::new(20, 200);
    for nth in 0..20 {
        let path = format!("/v1/organization/projects/proj_{nth:04}/api_keys");
        organization.lists().always.insert(path, Fault::Long(1 << 30));
    }
    let most = walked(&organization);
    // Eight at once, of 4 MiB each; a buffer that grows is held twice for a moment.
    assert!(most < quiet + (8 * 2 + 4) * (4 << 20), "{most} bytes at most");

    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let listing = runtime.block_on(directory(&organization).page_limit(1 << 20).walk());
    assert_eq!(listing.missing().len(), 20);
    assert!(
        missing(&listing)[0]
            .ends_with("a page is over 1048576 bytes long; raise the page limit if that is right")
    );
}
