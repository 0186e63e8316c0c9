//! One page of costs: the request, and its retries with back-off.
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use http::header::ACCEPT_ENCODING;
use http::{HeaderValue, Request, StatusCode};
use http_body_util::BodyExt;
use tokio::time::{Instant, sleep};
use tower::{Service, ServiceExt};
use tower_api_key_name::outcome::{Outcome, ResponseState};

use super::cost_page::{CostPage, PageAccumulator};
use super::cost_upstream::{CostUpstream, SpendBody};
use super::fetch_error::{FetchError, hide_secrets};
use super::page::PageParser;
use super::periods::DayRange;
use super::query::SpendQuery;
use super::run_state::{PageRetry, RunState, SpendProgress};
use crate::stack::errors::FailureCauses;

/// The shortest delay before a retry, even for `Retry-After: 0`, and the base of the back-off.
const MIN_DELAY: Duration = Duration::from_millis(500);

/// The longest delay of the back-off, before jitter.
const MAX_BACKOFF: Duration = Duration::from_secs(20);

/// The longest time between the first failure of a page and its last retry, if no connection can be opened: the address is
/// probably wrong.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// The most responses to one page that may break off: the page is probably always cut at the same place.
const MAX_TRUNCATIONS: u32 = 5;

/// The number of rows after which the progress within a page is reported.
const ROWS_PER_REPORT: u64 = 10_000;

/// The length of an error response after which no more chunks are read.
const MAX_ERROR_LEN: usize = 64 * 1024;

/// Reads pages of costs of one provider.
pub struct CostFetcher<'a, F> {
    pub upstream: CostUpstream,
    pub query: &'a SpendQuery,
    pub state: &'a RunState<F>,
    /// The longest time between the first failure of a page and its last retry.
    pub retry_timeout: Duration,
}

impl<F: Fn(SpendProgress)> CostFetcher<'_, F> {
    /// Reads a page. Retries after a transient error, until the time for retries is over.
    pub async fn fetch(&mut self, target: &str, days: DayRange) -> Result<CostPage, FetchError> {
        let mut budget = RetryBudget::new(self.retry_timeout);
        loop {
            let error = match self.fetch_once(target, days).await {
                Ok(page) => return Ok(page),
                Err(error) => error,
            };
            let Some(delay) = budget.next_delay(&error) else { return Err(error) };
            self.state.update_progress(|progress| {
                progress.retries += 1;
                progress.last_retry = Some(PageRetry { status: error.status(), delay });
            });
            sleep(delay).await;
        }
    }

    /// Sends one request and parses its response.
    async fn fetch_once(&mut self, target: &str, days: DayRange) -> Result<CostPage, FetchError> {
        let request = self.build_request(target)?;
        let Ok(service) = self.upstream.service.ready().await;
        let Ok(response) = service.call(request).await;
        let (parts, body) = response.into_parts();
        if let Some(causes) = parts.extensions.get::<FailureCauses>() {
            return Err(FetchError::from_failure(parts.status, &parts.headers, causes));
        }
        if parts.status != StatusCode::OK {
            let error_body = read_error_body(body).await;
            let credentials = &self.upstream.headers;
            return Err(FetchError::from_response(parts.status, &parts.headers, &error_body, credentials));
        }
        let organization = match parts.headers.get(self.upstream.api.organization_header) {
            Some(value) => value.to_str().ok().map(str::to_owned),
            None => None,
        };
        let accumulator = PageAccumulator::new(self.upstream.api, organization, self.query, days);
        let page = self.read_page(body, PageParser::new(accumulator)).await?;
        let outcome = parts.extensions.get().and_then(ResponseState::outcome);
        if let Some(Outcome::Skipped { skip, .. }) = outcome
            && self.query.has_names()
        {
            return Err(FetchError::NotNamed(skip));
        }
        Ok(page)
    }

    /// Returns the request for a page. An error means that the target is too long.
    fn build_request<B: Default>(&self, target: &str) -> Result<Request<B>, FetchError> {
        let mut request = Request::new(B::default());
        *request.uri_mut() = target.parse().map_err(|_| FetchError::TargetTooLong)?;
        *request.headers_mut() = self.upstream.headers.clone();
        let headers = request.headers_mut();
        // Otherwise the stack would compress the response for this process.
        headers.remove(ACCEPT_ENCODING);
        if let Some(beta) = self.upstream.api.beta {
            headers.append("anthropic-beta", HeaderValue::from_static(beta));
        }
        Ok(request)
    }

    /// Reads a page from its body. The progress contains the rows that were parsed so far, but none of a page that failed.
    async fn read_page(&self, body: SpendBody, parser: PageParser<'_>) -> Result<CostPage, FetchError> {
        let mut reported_row_count = 0;
        let result = self.parse_body(body, parser, &mut reported_row_count).await;
        match &result {
            Ok(page) => self.state.update_progress(|progress| {
                progress.rows += page.row_count - reported_row_count;
                progress.pages += 1;
            }),
            Err(_) if reported_row_count > 0 => {
                self.state.update_progress(|progress| progress.rows -= reported_row_count);
            }
            Err(_) => {}
        }
        result
    }

    /// Parses a page while its body arrives. `reported_row_count` is the number of its rows in the progress.
    async fn parse_body(
        &self,
        mut body: SpendBody,
        mut parser: PageParser<'_>,
        reported_row_count: &mut u64,
    ) -> Result<CostPage, FetchError> {
        while let Some(result) = body.frame().await {
            let frame = result.map_err(|error| {
                FetchError::BodyFailed(hide_secrets(&error.to_string(), &self.upstream.headers))
            })?;
            // Trailers are ignored.
            let Ok(chunk) = frame.into_data() else { continue };
            self.state.with_texts(|texts| parser.push(&chunk, texts))?;
            let new_row_count = parser.row_count() - *reported_row_count;
            if new_row_count >= ROWS_PER_REPORT {
                *reported_row_count += new_row_count;
                self.state.update_progress(|progress| progress.rows += new_row_count);
            }
            // Yields from time to time, because a fast body would block the other tasks of this thread.
            tokio::task::coop::consume_budget().await;
        }
        self.state.with_texts(|texts| parser.finish(texts)).map_err(FetchError::Page)
    }
}

/// The retries that a page may still have.
struct RetryBudget<D> {
    backoff_delays: D,
    timeout: Duration,
    first_failure: Option<Instant>,
    truncation_count: u32,
}

impl RetryBudget<()> {
    fn new(timeout: Duration) -> RetryBudget<impl Iterator<Item = Duration>> {
        let backoff_delays = exponential_delays();
        RetryBudget { backoff_delays, timeout, first_failure: None, truncation_count: 0 }
    }
}

impl<D: Iterator<Item = Duration>> RetryBudget<D> {
    /// Returns the delay before the next attempt, or `None` if the error is permanent or the budget is used up.
    fn next_delay(&mut self, error: &FetchError) -> Option<Duration> {
        if !error.is_transient() {
            return None;
        }
        self.truncation_count += u32::from(error.is_truncation());
        if self.truncation_count > MAX_TRUNCATIONS {
            return None;
        }
        let backoff_delay = self.backoff_delays.next().unwrap_or(MAX_BACKOFF);
        let delay = error.retry_after().unwrap_or(backoff_delay).max(MIN_DELAY);
        let timeout = if error.is_unreachable() { self.timeout.min(CONNECT_TIMEOUT) } else { self.timeout };
        let now = Instant::now();
        let deadline = *self.first_failure.get_or_insert(now) + timeout;
        if now + delay > deadline { None } else { Some(delay) }
    }
}

/// Reads the body of an error response. Returns the bytes before an error, at most about [`MAX_ERROR_LEN`].
async fn read_error_body(mut body: SpendBody) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < MAX_ERROR_LEN
        && let Some(Ok(frame)) = body.frame().await
    {
        if let Ok(chunk) = frame.into_data() {
            bytes.extend_from_slice(&chunk);
        }
    }
    bytes
}

/// Returns the endless delays of the back-off: from [`MIN_DELAY`], doubled each time up to [`MAX_BACKOFF`], with jitter.
fn exponential_delays() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::new()
        .with_min_delay(MIN_DELAY)
        .with_max_delay(MAX_BACKOFF)
        .with_factor(2.0)
        .with_jitter()
        .without_max_times()
        .build()
}

#[cfg(test)]
mod tests;
