//! The state of names, keys, ledger and memory, which is read at each scrape.
use std::sync::atomic::Ordering::Relaxed;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tower_api_key_name::proxy_keys::{Ledger, ProxyKeyLayer, ProxyKeys};
use tower_api_key_name::{SharedKeyNames, Status};

use super::Metrics;
use super::listings::{TimeGauge, seconds_since_1970};
use crate::by_provider::ByProvider;

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct MapLabels {
    map: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct MemoryLabels {
    kind: &'static str,
}

/// The parts of the proxy whose state is exported.
#[derive(Clone)]
pub struct MetricSources {
    pub names: ByProvider<SharedKeyNames>,
    /// `None` without `--keys`.
    pub proxy_keys: Option<ProxyKeyState>,
}

/// The parts of the service with proxy keys whose state is exported.
#[derive(Clone)]
pub struct ProxyKeyState {
    pub keys: ProxyKeys,
    pub ledger: Ledger,
    /// The layer whose request bodies hold memory.
    pub layer: ProxyKeyLayer,
}

/// The gauges of a map of names, or of a keys file.
#[derive(Default)]
struct MapGauges {
    entries: Family<MapLabels, Gauge>,
    generation: Family<MapLabels, Gauge>,
    changed: Family<MapLabels, TimeGauge>,
    reload_failed: Family<MapLabels, Gauge>,
}

/// The counters and gauges of the ledger.
#[derive(Default)]
struct LedgerMetrics {
    commits: Counter,
    commit_failures: Counter,
    is_writable: Gauge,
    calls_in_flight: Gauge,
}

/// The gauges of the state.
pub(super) struct StateMetrics {
    sources: MetricSources,
    metrics: Metrics,
    maps: MapGauges,
    bytes_held: Family<MemoryLabels, Gauge>,
    calls_in_flight: Gauge,
    ledger: LedgerMetrics,
}

impl StateMetrics {
    pub(super) fn new(sources: MetricSources, metrics: Metrics) -> Self {
        Self {
            sources,
            metrics,
            maps: MapGauges::default(),
            bytes_held: Family::default(),
            calls_in_flight: Gauge::default(),
            ledger: LedgerMetrics::default(),
        }
    }

    /// Registers the gauges. Those of the ledger exist only with proxy keys.
    pub(super) fn register(&self, registry: &mut Registry) {
        self.maps.register(registry);
        registry.register(
            "bytes_held",
            "Memory of buffered responses, and of request bodies with proxy keys",
            self.bytes_held.clone(),
        );
        registry.register(
            "calls_in_flight",
            "Calls in flight at the main address",
            self.calls_in_flight.clone(),
        );
        if self.sources.proxy_keys.is_some() {
            self.ledger.register(registry);
        }
    }

    /// Sets all gauges to the current state.
    pub(super) fn refresh(&self) {
        for (provider, names) in self.sources.names.iter() {
            self.maps.set(provider.as_str(), &names.status());
        }
        let response_bytes = self.metrics.naming_layer.get().and_then(|layer| layer.bytes_held());
        self.set_bytes_held("responses", response_bytes.unwrap_or_default());
        self.calls_in_flight.set(to_gauge(self.metrics.calls_in_flight.load(Relaxed) as u64));
        if let Some(state) = &self.sources.proxy_keys {
            self.maps.set("proxy_keys", &state.keys.status());
            self.set_bytes_held("request_bodies", state.layer.request_bytes_held());
            self.ledger.set(&state.ledger);
        }
    }

    fn set_bytes_held(&self, kind: &'static str, bytes: u64) {
        self.bytes_held.get_or_create(&MemoryLabels { kind }).set(to_gauge(bytes));
    }
}

impl MapGauges {
    fn register(&self, registry: &mut Registry) {
        registry.register("map_entries", "Ids with a name, or proxy keys", self.entries.clone());
        registry.register(
            "map_generation",
            "Generation of the names or keys in use",
            self.generation.clone(),
        );
        registry.register(
            "map_changed_timestamp_seconds",
            "Time at which the names or keys in use were loaded",
            self.changed.clone(),
        );
        registry.register(
            "map_reload_failed",
            "1 if the last reload of a file failed, so the last valid names or keys stay in use",
            self.reload_failed.clone(),
        );
    }

    fn set(&self, map: &'static str, status: &Status) {
        let labels = MapLabels { map };
        self.entries.get_or_create(&labels).set(to_gauge(status.entries as u64));
        self.generation.get_or_create(&labels).set(to_gauge(status.generation));
        self.changed.get_or_create(&labels).set(seconds_since_1970(status.changed_at));
        self.reload_failed.get_or_create(&labels).set(i64::from(status.last_error.is_some()));
    }
}

impl LedgerMetrics {
    fn register(&self, registry: &mut Registry) {
        registry.register("ledger_commits", "Commits of the ledger", self.commits.clone());
        registry.register(
            "ledger_commit_failures",
            "Failed commits of the ledger",
            self.commit_failures.clone(),
        );
        registry.register(
            "ledger_writable",
            "0 if the last write failed or the writer has ended",
            self.is_writable.clone(),
        );
        registry.register(
            "ledger_calls_in_flight",
            "Calls that are admitted and not settled",
            self.calls_in_flight.clone(),
        );
    }

    fn set(&self, ledger: &Ledger) {
        let status = ledger.status();
        self.commits.inner().store(status.commits, Relaxed);
        self.commit_failures.inner().store(status.failed_commits, Relaxed);
        self.is_writable.set(i64::from(status.is_writable));
        self.calls_in_flight.set(to_gauge(status.calls_in_flight));
    }
}

fn to_gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
