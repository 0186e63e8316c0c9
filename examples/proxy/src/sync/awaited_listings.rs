//! The providers whose lists were not completely read yet, for `/ready`.
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use tower_api_key_name::names::Provider;

use crate::by_provider::ByProvider;

/// The providers of `--sync` until the first complete listing of their lists. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct AwaitedListings(Arc<ByProvider<AtomicBool>>);

impl AwaitedListings {
    /// True if the provider's lists are read, and no listing was complete yet.
    pub fn contains(&self, provider: Provider) -> bool {
        self.0.get(provider).load(Relaxed)
    }

    pub(super) fn insert(&self, provider: Provider) {
        self.0.get(provider).store(true, Relaxed);
    }

    pub(super) fn remove(&self, provider: Provider) {
        self.0.get(provider).store(false, Relaxed);
    }
}
