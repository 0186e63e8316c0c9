//! A run: reads the names and the costs, and sends lines with its progress and its result.
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, interval};
use tower::BoxError;
use tower_api_key_name::SharedKeyNames;
use tower_api_key_name::directory::{AdminKey, ListingProgress};
use tower_api_key_name::names::Snapshot;

use super::line_body::LineSender;
use super::result;
use crate::by_provider::ByProvider;
use crate::settings::ProxySettings;
use crate::spend::{self, Dimension, LedgerCosts, SpendProgress, SpendQuery, SpendReport};

/// The time after which the progress is sent again if it has not changed: the write finds out that a client is gone, and an
/// intermediary does not close the connection.
const REPEAT_INTERVAL: Duration = Duration::from_secs(1);

/// The most rows by day of a result. A browser can hold about 500 MB of text, and a row of a FOCUS file has 400 bytes.
const MAX_ROWS: usize = 1_000_000;

/// The shortest time between two lines of progress.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// A run that can begin.
pub(super) struct PageRun {
    /// The query by day. For a FOCUS file, it has more dimensions than `by`.
    pub query: SpendQuery,
    /// The dimensions of the result.
    pub by: Vec<Dimension>,
    /// True if the result contains a FOCUS file.
    pub wants_focus_file: bool,
    pub source: RunSource,
}

/// The source of the costs of a run.
pub(super) enum RunSource {
    /// The APIs of the providers whose keys are given.
    Apis(ByProvider<Option<AdminKey>>),
    Ledger(LedgerCosts),
}

/// The progress of a run: first of the lists of names, and then of the costs.
#[derive(Clone, Copy, Serialize)]
#[serde(untagged)]
enum RunProgress {
    Names { lists: usize, lists_done: usize, keys: usize },
    Costs { days: u64, days_done: u64, pages: u64, rows: u64, retries: u64 },
}

/// Reads the report of a run, and sends the lines of the response. The last line is the result or an error.
pub(super) async fn send_lines(
    page_run: PageRun,
    names: ByProvider<SharedKeyNames>,
    settings: Arc<ProxySettings>,
    lines: LineSender,
) {
    let by = page_run.by.clone();
    let wants_focus_file = page_run.wants_focus_file;
    let report = match read_with_progress(page_run, names, settings, lines.clone()).await {
        Ok(report) => report,
        Err(error) => return lines.send(error_line(&error.to_string())).await,
    };
    if report.is_empty() && !report.has_all_costs() {
        return lines.send(error_line(&report.missing_costs.join("\n"))).await;
    }
    if report.row_count() > MAX_ROWS {
        let advice =
            "group by fewer dimensions, select fewer days, or use the subcommand spend with --output";
        let message =
            format!("The result has more than {MAX_ROWS} rows, which a browser cannot show: {advice}.");
        return lines.send(error_line(&message)).await;
    }
    // A result may have hundreds of thousands of rows. Writing them takes seconds, which would block a thread of the runtime.
    let mut writer = lines.into_writer();
    let write_line = move || result::write_result(&report, &by, wants_focus_file, &mut writer);
    if let Ok(Err(error)) = tokio::task::spawn_blocking(write_line).await {
        tracing::debug!("the result of a run was not sent: {error}");
    }
}

/// Reads the report. Sends the progress after each [`PROGRESS_INTERVAL`] in which it has changed, and otherwise after each
/// [`REPEAT_INTERVAL`].
async fn read_with_progress(
    page_run: PageRun,
    names: ByProvider<SharedKeyNames>,
    settings: Arc<ProxySettings>,
    lines: LineSender,
) -> Result<SpendReport, BoxError> {
    let no_progress = RunProgress::Names { lists: 0, lists_done: 0, keys: 0 };
    let (progress_sender, mut progress_receiver) = watch::channel(no_progress);
    let mut ticks = interval(PROGRESS_INTERVAL);
    let mut last_line_at = Instant::now();
    let mut report_future = pin!(read_report(page_run, names, settings, Arc::new(progress_sender)));
    loop {
        tokio::select! {
            result = &mut report_future => return result,
            _ = ticks.tick() => {
                let has_changed = progress_receiver.has_changed().unwrap_or_default();
                if has_changed || last_line_at.elapsed() >= REPEAT_INTERVAL {
                    last_line_at = Instant::now();
                    let progress = *progress_receiver.borrow_and_update();
                    lines.try_send(format!("{}\n", json!({ "progress": progress })));
                }
            }
        }
    }
}

/// Reads the costs, and the names that the proxy does not have. The keys are dropped with the future at the latest.
async fn read_report(
    page_run: PageRun,
    names: ByProvider<SharedKeyNames>,
    settings: Arc<ProxySettings>,
    progress: Arc<watch::Sender<RunProgress>>,
) -> Result<SpendReport, BoxError> {
    let PageRun { query, source, .. } = page_run;
    let now = Timestamp::now();
    let listing_progress = progress.clone();
    let on_progress = |costs: SpendProgress| {
        let SpendProgress { days_done, days, pages, rows, retries, .. } = costs;
        progress.send_replace(RunProgress::Costs { days, days_done, pages, rows, retries });
    };
    let keys = match source {
        RunSource::Ledger(costs) => return Ok(costs.read_report(query, now, on_progress).await),
        RunSource::Apis(keys) => keys,
    };
    let known = known_names(&names);
    let on_listing = move |_, listing: ListingProgress| {
        let ListingProgress { lists, done: lists_done, keys, .. } = listing;
        listing_progress.send_replace(RunProgress::Names { lists, lists_done, keys });
    };
    spend::read_report(query, keys, &known, &settings, now, on_listing, on_progress).await
}

/// Returns the names of the proxy for each provider, or `None` if there are none, so that the provider's lists are read.
fn known_names(names: &ByProvider<SharedKeyNames>) -> ByProvider<Option<Snapshot>> {
    let known = |provider_names: &SharedKeyNames| {
        let snapshot = provider_names.snapshot();
        if snapshot.is_empty() { None } else { Some(snapshot) }
    };
    ByProvider { openai: known(&names.openai), anthropic: known(&names.anthropic) }
}

/// Returns the last line of a run that has no result.
fn error_line(message: &str) -> String {
    format!("{}\n", json!({ "error": { "message": message } }))
}
