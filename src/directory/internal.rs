//! Access for property tests.

use super::api::Paging;
use super::cache::render;
use super::collector::Collector;
use super::listing::Listing;
use super::page::ListPage;
use crate::names::KEY_ID;

/// Returns the names in one page of keys, and the map file with them. `None` if the text is not a page.
pub fn read_page(json: &[u8]) -> Option<(Listing, String)> {
    let page = ListPage::parse(json, Paging::After).ok()?;
    let mut collector = Collector::new(true, &[KEY_ID]);
    for item in page.items {
        collector.add_item(KEY_ID, 0, item);
    }
    let listing = collector.finish(1, 0);
    let file = render(&listing.names);
    Some((listing, file))
}
