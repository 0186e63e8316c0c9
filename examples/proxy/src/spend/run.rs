//! A run: reads the names and the costs that a query selects.
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use tower::BoxError;
use tower_api_key_name::directory::{AdminKey, ListingProgress};
use tower_api_key_name::names::{LabelError, Provider, Snapshot};
use tower_api_key_name::settings::{InsertNames, NamePosition, Unmatched};

use super::cost_upstream::{CostUpstream, build_upstreams};
use super::fetch::CostFetcher;
use super::names::{SpendNames, read_names};
use super::periods::first_provisional_day;
use super::provider_reader::ProviderReader;
use super::query::SpendQuery;
use super::report::SpendReport;
use super::run_state::{RunState, SpendProgress};
use crate::by_provider::ByProvider;
use crate::metrics::Metrics;
use crate::settings::ProxySettings;

/// The longest time between the first failure of a page and its last retry.
const RETRY_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Reads the costs of each provider of a query whose key is given, with names.
///
/// The names are those of `known_names`. If they are absent, or lack a section that the query needs, the provider's lists
/// are read before the costs. Parts that cannot be read are listed in the report. An error means that a key can no longer
/// be read, that a list has invalid names, or that TLS cannot be configured. Dropping the future ends the requests.
pub async fn read_report(
    query: SpendQuery,
    keys: ByProvider<Option<AdminKey>>,
    known_names: &ByProvider<Option<Snapshot>>,
    settings: &ProxySettings,
    now: Timestamp,
    on_listing: impl Fn(Provider, ListingProgress) + Clone + Send + Sync + 'static,
    on_progress: impl Fn(SpendProgress),
) -> Result<SpendReport, BoxError> {
    let spend_settings = spend_settings(&query, settings)?;
    let SpendNames { names, missing, notes } =
        read_names(&query, &keys, known_names, &spend_settings, on_listing).await?;
    let upstreams = build_upstreams(&query.providers, &keys, names, &spend_settings).await?;
    drop(keys);
    let mut report = run(query, upstreams, now, on_progress).await;
    report.missing_names = missing;
    report.name_notes = notes;
    Ok(report)
}

/// Returns the settings of the stack for a query.
fn spend_settings(query: &SpendQuery, settings: &ProxySettings) -> Result<ProxySettings, LabelError> {
    Ok(ProxySettings {
        labels: query.labels()?,
        insert_names: InsertNames::Always,
        name_position: NamePosition::Beside,
        // An id without a name must not look like a key that is called "unknown".
        unmatched: Unmatched::Null,
        // The metrics are those of requests of clients.
        metrics: Metrics::default(),
        ..settings.clone()
    })
}

/// Reads all pages of the costs of each provider, concurrently.
///
/// A part that cannot be read is added to the missing costs of the report. Dropping the future ends the requests.
pub async fn run(
    query: SpendQuery,
    upstreams: Vec<CostUpstream>,
    now: Timestamp,
    on_progress: impl Fn(SpendProgress),
) -> SpendReport {
    run_with_retries(query, upstreams, now, RETRY_TIMEOUT, on_progress).await
}

/// Runs a query like [`run`], with `retry_timeout` in place of the default of 5 minutes.
pub async fn run_with_retries(
    query: SpendQuery,
    upstreams: Vec<CostUpstream>,
    now: Timestamp,
    retry_timeout: Duration,
    on_progress: impl Fn(SpendProgress),
) -> SpendReport {
    let days = query.days.count() * upstreams.len() as u64;
    let report = SpendReport::new(query.clone(), first_provisional_day(now));
    let state = RunState::new(report, days, on_progress);
    // The first report contains the number of days.
    state.update_progress(|_| {});
    let mut readers = Vec::new();
    for upstream in upstreams {
        let fetcher = CostFetcher { upstream, query: &query, state: &state, retry_timeout };
        readers.push(ProviderReader::new(fetcher).read_all_ranges());
    }
    join_all(readers).await;
    state.into_report()
}
