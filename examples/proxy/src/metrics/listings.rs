//! The listings of `--sync`.
use std::sync::atomic::AtomicU64;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ListingLabels {
    provider: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ProviderLabels {
    provider: &'static str,
}

/// A time in seconds since 1970.
pub(super) type TimeGauge = Gauge<f64, AtomicU64>;

/// The number of listings, and the time of the last complete one.
#[derive(Clone, Debug, Default)]
pub struct ListingMetrics {
    listings: Family<ListingLabels, Counter>,
    last_complete: Family<ProviderLabels, TimeGauge>,
    cache_failures: Family<ProviderLabels, Counter>,
}

impl ListingMetrics {
    /// Creates the counters of a provider whose lists are read. Their value is 0 until the end of a listing.
    pub fn begin(&self, provider: &'static str) {
        for result in ["complete", "incomplete"] {
            drop(self.listings.get_or_create(&ListingLabels { provider, result }));
        }
        drop(self.cache_failures.get_or_create(&ProviderLabels { provider }));
    }

    /// Counts a listing that has ended.
    pub fn record_listing(&self, provider: &'static str, is_complete: bool) {
        let result = if is_complete { "complete" } else { "incomplete" };
        self.listings.get_or_create(&ListingLabels { provider, result }).inc();
        if is_complete {
            self.last_complete
                .get_or_create(&ProviderLabels { provider })
                .set(seconds_since_1970(SystemTime::now()));
        }
    }

    /// Counts a listing whose names could not be saved.
    pub fn record_cache_failure(&self, provider: &'static str) {
        self.cache_failures.get_or_create(&ProviderLabels { provider }).inc();
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("listings", "Listings of --sync by result", self.listings.clone());
        registry.register(
            "last_listing_timestamp_seconds",
            "Time of the last complete listing of --sync",
            self.last_complete.clone(),
        );
        registry.register(
            "listing_cache_failures",
            "Listings of --sync whose names could not be saved",
            self.cache_failures.clone(),
        );
    }
}

/// Returns a time as seconds since 1970, or 0 for an earlier time.
pub(super) fn seconds_since_1970(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
