//! The report and the progress of a run, which the providers share.
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;

use super::cost_page::CostPage;
use super::report::SpendReport;
use super::sums::Texts;

/// The progress of a run.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SpendProgress {
    pub days_done: u64,
    /// The number of days of all providers.
    pub days: u64,
    pub pages: u64,
    /// The number of rows, without those of pages that failed.
    pub rows: u64,
    pub retries: u64,
    /// The last retry.
    pub last_retry: Option<PageRetry>,
}

/// A retry of a page that is going to be sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PageRetry {
    /// The status of the error response. `None` without a complete response.
    pub status: Option<StatusCode>,
    /// The time until the retry.
    pub delay: Duration,
}

impl fmt::Display for PageRetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => write!(f, "{status}")?,
            None => f.write_str("no complete response")?,
        }
        write!(f, "; next attempt in {} s", self.delay.as_secs_f64().ceil())
    }
}

/// The state of a run. No lock is held across an await.
pub struct RunState<F> {
    report: Mutex<SpendReport>,
    progress: Mutex<SpendProgress>,
    on_progress: F,
}

impl<F: Fn(SpendProgress)> RunState<F> {
    /// Creates the state of a run over a number of days.
    pub fn new(report: SpendReport, days: u64, on_progress: F) -> Self {
        let progress = SpendProgress { days, ..SpendProgress::default() };
        Self { report: Mutex::new(report), progress: Mutex::new(progress), on_progress }
    }

    /// Calls a function with the texts of the report.
    pub fn with_texts<T>(&self, function: impl FnOnce(&mut Texts) -> T) -> T {
        function(lock(&self.report).texts_mut())
    }

    /// Adds the sums of a complete page.
    pub fn add_page(&self, page: CostPage) {
        lock(&self.report).add_page(page.sums);
    }

    /// Adds a sentence about costs that could not be read.
    pub fn add_missing_costs(&self, sentence: String) {
        lock(&self.report).missing_costs.push(sentence);
    }

    /// Changes the progress, and calls the callback with the new progress.
    pub fn update_progress(&self, change: impl FnOnce(&mut SpendProgress)) {
        let new_progress = {
            let mut progress = lock(&self.progress);
            change(&mut progress);
            *progress
        };
        (self.on_progress)(new_progress);
    }

    /// Returns the report, after the last provider.
    pub fn into_report(self) -> SpendReport {
        self.report.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
