//! All pages of the costs of one provider.
use std::collections::HashSet;

use http::StatusCode;
use jiff::civil::Date;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::cost_page::CostPage;
use super::fetch::CostFetcher;
use super::fetch_error::FetchError;
use super::periods::{DayRange, next_day};
use super::run_state::SpendProgress;

/// The most pages of one range of days: 100 million rows of Anthropic's. A longer listing does not end.
const MAX_PAGES: usize = 100_000;

/// Reads the costs of one provider.
pub(super) struct ProviderReader<'a, F> {
    fetcher: CostFetcher<'a, F>,
    /// The number of complete pages.
    page_count: u64,
    /// The first day whose costs may be missing: the first day of the range if the buckets are not in order.
    first_missing_day: Date,
    /// The first day that is not yet in the progress.
    first_unreported_day: Date,
    /// The number of rows that lack a member by which the request groups.
    incomplete_rows: u64,
    /// The number of rows of days that were not requested.
    unrequested_rows: u64,
}

/// The reason why the costs of a provider cannot be read to their end.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("{error}{remedy}")]
    Request { error: FetchError, remedy: &'static str },
    /// The response is not a valid page.
    #[error("page {page}: {error}{remedy}")]
    InvalidPage { page: u64, error: FetchError, remedy: &'static str },
    #[error("page {page} has the cursor of an earlier page")]
    RepeatedCursor { page: u64 },
    #[error("there are more pages after page {page}")]
    TooManyPages { page: u64 },
}

impl<'a, F: Fn(SpendProgress)> ProviderReader<'a, F> {
    /// Creates a reader that has read no page.
    pub(super) fn new(fetcher: CostFetcher<'a, F>) -> Self {
        let first_day = fetcher.query.days.first;
        Self {
            fetcher,
            page_count: 0,
            first_missing_day: first_day,
            first_unreported_day: first_day,
            incomplete_rows: 0,
            unrequested_rows: 0,
        }
    }

    /// Reads all pages. A part that cannot be read is added to the missing costs of the report.
    pub(super) async fn read_all_ranges(mut self) {
        let api = self.fetcher.upstream.api;
        let days = self.fetcher.query.days;
        let ranges = match api.max_request_days {
            Some(max_days) => days.split(max_days),
            None => vec![days],
        };
        for range in ranges {
            self.first_missing_day = range.first;
            let Err(error) = self.read_range(range).await else { continue };
            let is_last = !error.concerns_the_range();
            let last_day = if is_last { days.last } else { range.last };
            // After the bucket of the last day, the days of further pages are unknown.
            let has_all_days = self.first_missing_day > range.last;
            let first_day = if has_all_days { range.first } else { self.first_missing_day };
            let costs = format!("costs from {first_day} to {last_day}");
            self.fetcher.state.add_missing_costs(format!("{}: {costs}: {error}", api.display_name));
            if is_last {
                break;
            }
        }
        self.add_sentences_about_rows();
    }

    /// Adds a sentence to the missing costs for each kind of rows that do not fit the request.
    fn add_sentences_about_rows(&self) {
        let name = self.fetcher.upstream.api.display_name;
        for (count, fault) in [
            (self.incomplete_rows, "the API did not group all rows as requested"),
            (self.unrequested_rows, "the API sent costs of days that were not requested; they are left out"),
        ] {
            if count > 0 {
                self.fetcher.state.add_missing_costs(format!("{name}: {fault} (rows: {count})"));
            }
        }
    }

    /// Reads the pages of a range of days.
    async fn read_range(&mut self, days: DayRange) -> Result<(), ReadError> {
        let first_target = (self.fetcher.upstream.api.first_page_target)(self.fetcher.query, days);
        let mut target = first_target.clone();
        let mut used_cursors = HashSet::new();
        loop {
            let page = match self.fetcher.fetch(&target, days).await {
                Ok(page) => page,
                Err(error) => return Err(self.read_error(error)),
            };
            let next_cursor = page.next_cursor.clone();
            if let Some(cursor) = &next_cursor
                && !used_cursors.insert(cursor.clone())
            {
                // The page is probably one that was added before.
                return Err(ReadError::RepeatedCursor { page: self.page_count + 1 });
            }
            self.add_page(page, days);
            let Some(cursor) = next_cursor else { break };
            if used_cursors.len() >= MAX_PAGES {
                return Err(ReadError::TooManyPages { page: self.page_count });
            }
            let encoded_cursor = utf8_percent_encode(&cursor, NON_ALPHANUMERIC);
            target = format!("{first_target}&page={encoded_cursor}");
        }
        self.report_days_before(next_day(days.last));
        Ok(())
    }

    /// Adds a page to the report, and its days to the progress.
    fn add_page(&mut self, page: CostPage, days: DayRange) {
        self.page_count += 1;
        self.incomplete_rows += page.incomplete_rows;
        self.unrequested_rows += page.unrequested_rows;
        for day in &page.days {
            self.record_day(*day, days);
        }
        self.fetcher.state.add_page(page);
    }

    /// Records a day of a page, which may not be the last page.
    fn record_day(&mut self, day: Date, days: DayRange) {
        if !days.contains(day) {
            return;
        }
        if !self.fetcher.upstream.api.has_buckets {
            // The next page may contain more rows of the day, and the order of the rows is not documented.
            self.report_days_before(day);
        } else if day == self.first_missing_day {
            // The bucket is complete, and all buckets before it were in order.
            self.first_missing_day = next_day(day);
            self.report_days_before(self.first_missing_day);
        } else {
            self.first_missing_day = days.first;
        }
    }

    /// Adds the days before this one to the progress.
    fn report_days_before(&mut self, day: Date) {
        let new_days = (day - self.first_unreported_day).get_days();
        if let Ok(day_count @ 1..) = u64::try_from(new_days) {
            self.first_unreported_day = day;
            self.fetcher.state.update_progress(|progress| progress.days_done += day_count);
        }
    }

    /// Returns the error of the page after the complete pages.
    fn read_error(&self, error: FetchError) -> ReadError {
        let remedy = self.remedy_for(&error);
        match error {
            FetchError::Page(_) => ReadError::InvalidPage { page: self.page_count + 1, error, remedy },
            _ => ReadError::Request { error, remedy },
        }
    }

    /// Returns the end of a sentence about an error with its remedy. Empty if there is none.
    fn remedy_for(&self, error: &FetchError) -> &'static str {
        let query = self.fetcher.query;
        let is_bad_request = error.status() == Some(StatusCode::BAD_REQUEST);
        if error.is_transient() {
            "; try later"
        } else if !is_bad_request || !query.is_by_key() || self.page_count > 0 {
            ""
        } else if query.is_focus() {
            // Some organizations have no costs by key.
            "; a FOCUS file needs costs by key, so group by project_name without it (--by project_name)"
        } else {
            "; group by project_name instead (--by project_name)"
        }
    }
}

impl ReadError {
    /// True if the API rejects one range of days, and may accept another one.
    fn concerns_the_range(&self) -> bool {
        match self {
            Self::Request { error, .. } => error.status() == Some(StatusCode::BAD_REQUEST),
            _ => false,
        }
    }
}
