//! The progress of the subcommand on standard error: a bar on a terminal, or a line for each tenth and for each retry.
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressStyle};
use tower_api_key_name::directory::ListingProgress;
use tower_api_key_name::names::Provider;

use crate::output::print_error_line;
use crate::spend::{PageRetry, SpendProgress};

/// The reporter of the progress, first of the names and then of the costs. Clones share one bar.
#[derive(Clone)]
pub(super) struct ProgressReporter {
    bar: ProgressBar,
    /// The progress of the last report.
    reported: Arc<Mutex<ReportedProgress>>,
}

/// The part of the progress that decides whether a line is printed.
#[derive(Clone, Copy, Default)]
struct ReportedProgress {
    tenths: u64,
    retries: u64,
}

/// One report of the progress.
struct ProgressUpdate {
    done: u64,
    total: u64,
    retries: u64,
    message: String,
    /// The reason of the last retry, if it is known.
    last_retry: Option<PageRetry>,
}

impl ProgressReporter {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::no_length();
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, reported: Arc::default() }
    }

    /// Reports the number of lists that were read.
    pub(super) fn show_listing(&self, provider: Provider, listing: ListingProgress) {
        let ListingProgress { lists, done, keys, retries, .. } = listing;
        let retry_text = retry_suffix(retries as u64);
        self.show(ProgressUpdate {
            done: done as u64,
            total: lists as u64,
            retries: retries as u64,
            message: format!("lists of {}, {keys} keys{retry_text}", provider.as_str()),
            last_retry: None,
        });
    }

    /// Reports the number of days whose costs were read.
    pub(super) fn show_costs(&self, costs: SpendProgress) {
        let SpendProgress { days_done, days, pages, rows, retries, last_retry } = costs;
        let message = format!("days, {pages} pages, {rows} rows{}", retry_suffix(retries));
        self.show(ProgressUpdate { done: days_done, total: days, retries, message, last_retry });
    }

    /// Removes the bar from the terminal.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Updates the bar on a terminal. Without a terminal, prints a line for each new tenth and for each retry.
    fn show(&self, update: ProgressUpdate) {
        let ProgressUpdate { done, total, retries, mut message, last_retry } = update;
        let tenths = (done * 10).checked_div(total).unwrap_or_default();
        let old = self.replace_reported(ReportedProgress { tenths, retries });
        let is_new_retry = retries > old.retries;
        if let Some(retry) = last_retry
            && is_new_retry
        {
            message.push_str(&format!(" ({retry})"));
        }
        // The costs begin at zero again after the lists.
        let is_new_tenth = tenths != old.tenths && tenths > 0;
        if !self.bar.is_hidden() {
            self.bar.set_length(total);
            self.bar.set_position(done);
            self.bar.set_message(message);
        } else if is_new_tenth || is_new_retry {
            print_error_line(&format!("{done} of {total} {message}"));
        }
    }

    /// Stores the new progress, and returns the one before.
    fn replace_reported(&self, new: ReportedProgress) -> ReportedProgress {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *reported, new)
    }
}

/// Returns the number of retries as the end of a message, or nothing if there were none.
fn retry_suffix(count: u64) -> String {
    match count {
        0 => String::new(),
        1 => ", 1 retry".to_owned(),
        _ => format!(", {count} retries"),
    }
}
