//! A run: reads the names and the costs, and sends lines with its progress and its result.
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::interval;
use tower::BoxError;
use tower_api_key_name::SharedKeyNames;
use tower_api_key_name::directory::ListingProgress;
use tower_api_key_name::names::Snapshot;

use super::line_body::LineSender;
use super::result;
use super::run_request::RunRequest;
use crate::by_provider::ByProvider;
use crate::settings::ProxySettings;
use crate::spend::{self, SpendProgress, SpendReport};

/// The shortest time between two lines of progress.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// The progress of a run: first of the lists of names, and then of the costs.
#[derive(Clone, Copy, Serialize)]
#[serde(untagged)]
enum RunProgress {
    Names { lists: usize, lists_done: usize, keys: usize },
    Costs { days: u64, days_done: u64, pages: u64, rows: u64, retries: u64 },
}

/// Reads the report of a request, and sends the lines of the response. The last line is the result or an error.
pub(super) async fn send_lines(
    request: RunRequest,
    names: ByProvider<SharedKeyNames>,
    settings: Arc<ProxySettings>,
    lines: LineSender,
) {
    let by = request.by.clone();
    let wants_focus_file = request.wants_focus_file;
    let report = match read_with_progress(request, names, settings, lines.clone()).await {
        Ok(report) => report,
        Err(error) => return lines.send(error_line(&error.to_string())).await,
    };
    if report.is_empty() && !report.has_all_costs() {
        return lines.send(error_line(&report.missing_costs.join("\n"))).await;
    }
    // A result may have millions of rows. Writing them takes seconds, which would block a thread of the runtime.
    let mut writer = lines.into_writer();
    let write_line = move || result::write_result(&report, &by, wants_focus_file, &mut writer);
    if let Ok(Err(error)) = tokio::task::spawn_blocking(write_line).await {
        tracing::debug!("the result of a run was not sent: {error}");
    }
}

/// Reads the report. Sends a line after each [`PROGRESS_INTERVAL`] in which the progress has changed.
async fn read_with_progress(
    request: RunRequest,
    names: ByProvider<SharedKeyNames>,
    settings: Arc<ProxySettings>,
    lines: LineSender,
) -> Result<SpendReport, BoxError> {
    let no_progress = RunProgress::Names { lists: 0, lists_done: 0, keys: 0 };
    let (progress_sender, mut progress_receiver) = watch::channel(no_progress);
    let mut ticks = interval(PROGRESS_INTERVAL);
    let mut report_future = pin!(read_report(request, names, settings, Arc::new(progress_sender)));
    loop {
        tokio::select! {
            result = &mut report_future => return result,
            _ = ticks.tick() => send_changed_progress(&mut progress_receiver, &lines),
        }
    }
}

/// Sends a line with the progress if it has changed since the last line.
fn send_changed_progress(progress_receiver: &mut watch::Receiver<RunProgress>, lines: &LineSender) {
    if progress_receiver.has_changed().unwrap_or_default() {
        let progress = *progress_receiver.borrow_and_update();
        lines.try_send(format!("{}\n", json!({ "progress": progress })));
    }
}

/// Reads the costs, and the names that the proxy does not have. The keys are dropped before the costs are read.
async fn read_report(
    request: RunRequest,
    names: ByProvider<SharedKeyNames>,
    settings: Arc<ProxySettings>,
    progress: Arc<watch::Sender<RunProgress>>,
) -> Result<SpendReport, BoxError> {
    let RunRequest { query, keys, .. } = request;
    let known = known_names(&names);
    let listing_progress = progress.clone();
    let on_listing = move |_, listing: ListingProgress| {
        let ListingProgress { lists, done: lists_done, keys, .. } = listing;
        listing_progress.send_replace(RunProgress::Names { lists, lists_done, keys });
    };
    let on_progress = |costs: SpendProgress| {
        let SpendProgress { days_done, days, pages, rows, retries, .. } = costs;
        progress.send_replace(RunProgress::Costs { days, days_done, pages, rows, retries });
    };
    spend::read_report(query, keys, &known, &settings, Timestamp::now(), on_listing, on_progress).await
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
