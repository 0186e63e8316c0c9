//! One listing at a time for all clones of a directory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use tokio::sync::Mutex;

use super::list::{ListConfig, read_lists};
use super::listing::Listing;

#[derive(Clone)]
pub(super) struct Lister {
    pub(super) config: ListConfig,
    shared: Arc<SharedListing>,
}

/// The last listing of all clones with the same API and naming.
#[derive(Default)]
struct SharedListing {
    /// The number of listings that have begun.
    begun_count: AtomicU64,
    /// The number of the last listing, from 1, and its result. Locked during a listing.
    last: Mutex<Option<(u64, Arc<Listing>)>>,
}

impl Lister {
    pub(super) fn new(config: ListConfig) -> Self {
        Self { config, shared: Arc::default() }
    }

    /// Lists all keys, or waits for a listing that began after this call and returns its result.
    ///
    /// A listing that began before this call is not enough: it may have passed the page that contains a new key.
    pub(super) async fn list(&self) -> Arc<Listing> {
        let begun_before_call = self.shared.begun_count.load(SeqCst);
        // Waits for the end of the listing in progress, and for earlier callers.
        let mut last = self.shared.last.lock().await;
        if let Some((number, listing)) = &*last
            && *number > begun_before_call
        {
            return listing.clone();
        }
        let number = 1 + self.shared.begun_count.fetch_add(1, SeqCst);
        let listing = Arc::new(read_lists(&self.config).await);
        *last = Some((number, listing.clone()));
        listing
    }
}
