//! One page of a list: retries with back-off, a pause that all requests share, and deadlines.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use http::{HeaderMap, Uri};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::api::Paging;
use super::client::ApiClient;
use super::list_error::ListError;
use super::page::ListPage;

/// The shortest delay before a retry, even for `Retry-After: 0`, and the base of the back-off.
const MIN_DELAY: Duration = Duration::from_millis(500);

/// The longest delay of the back-off, before jitter.
const MAX_DELAY: Duration = Duration::from_secs(20);

/// Limits of the requests of a listing.
#[derive(Clone)]
pub(super) struct FetchLimits {
    /// The longest time for one request, until the last byte of its response.
    pub(super) timeout: Duration,
    /// The longest time for one page, retries and delays included.
    pub(super) retry_timeout: Duration,
    /// The longest time for the listing.
    pub(super) deadline: Duration,
    /// The longest page, in bytes.
    pub(super) page_limit: usize,
}

/// Fetches the pages of one listing.
pub(super) struct PageFetcher<'a> {
    client: &'a ApiClient,
    limits: &'a FetchLimits,
    headers: HeaderMap,
    deadline: Instant,
    /// The end of the delay that the API requested last. Rate limits are per key, so all requests wait for it.
    paused_until: Mutex<Instant>,
    pub(super) request_count: AtomicUsize,
    pub(super) retry_count: AtomicUsize,
}

impl<'a> PageFetcher<'a> {
    /// Creates a fetcher whose deadline begins now.
    pub(super) fn new(client: &'a ApiClient, limits: &'a FetchLimits, headers: HeaderMap) -> Self {
        let now = Instant::now();
        Self {
            client,
            limits,
            headers,
            deadline: now + limits.deadline,
            paused_until: Mutex::new(now),
            request_count: AtomicUsize::new(0),
            retry_count: AtomicUsize::new(0),
        }
    }

    /// Fetches one page. Retries after a transient error, unless the delay would exceed the time for this page.
    pub(super) async fn fetch(&self, uri: &Uri, paging: Paging) -> Result<ListPage, ListError> {
        let give_up_at = self.deadline.min(Instant::now() + self.limits.retry_timeout);
        let mut backoff_delays = exponential_delays();
        loop {
            let result = self.send_once(uri, paging, give_up_at).await;
            let Err(error) = &result else { return result };
            let backoff_delay = backoff_delays.next().unwrap_or(MAX_DELAY);
            let requested_delay = error.retry_after();
            let delay = requested_delay.unwrap_or(backoff_delay).max(MIN_DELAY);
            if !error.is_transient() || Instant::now() + delay >= give_up_at {
                return result;
            }
            self.retry_count.fetch_add(1, Relaxed);
            if requested_delay.is_some() {
                self.pause_all(delay);
            }
            sleep(delay).await;
        }
    }

    /// Pauses all requests of the listing for this time, or until the end of a longer pause.
    fn pause_all(&self, delay: Duration) {
        let mut paused_until = self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        *paused_until = (*paused_until).max(Instant::now() + delay);
    }

    /// Sends one request after the pause, and parses its response. Returns an error if one of the deadlines expires.
    async fn send_once(&self, uri: &Uri, paging: Paging, give_up_at: Instant) -> Result<ListPage, ListError> {
        self.wait_for_pause(give_up_at).await?;
        self.request_count.fetch_add(1, Relaxed);
        let request = self.client.get(uri.clone(), self.headers.clone(), self.limits.page_limit);
        let request_deadline = give_up_at.min(Instant::now() + self.limits.timeout);
        match timeout_at(request_deadline, request).await {
            Ok(body) => ListPage::parse(&body?, paging),
            Err(_) if Instant::now() >= self.deadline => Err(ListError::DeadlineExceeded),
            Err(_) => Err(ListError::Timeout(self.limits.timeout)),
        }
    }

    /// Waits until the end of the pause, which other requests may extend meanwhile.
    ///
    /// Returns an error if the listing's deadline expires, or if the pause is longer than the time for this page.
    async fn wait_for_pause(&self, give_up_at: Instant) -> Result<(), ListError> {
        loop {
            let paused_until = *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            if now >= self.deadline {
                return Err(ListError::DeadlineExceeded);
            } else if now >= paused_until {
                return Ok(());
            } else if now >= give_up_at {
                return Err(ListError::Timeout(self.limits.retry_timeout));
            }
            sleep_until(paused_until.min(give_up_at)).await;
        }
    }
}

/// Returns the delays of the back-off, without end: from [`MIN_DELAY`], doubled each time up to [`MAX_DELAY`].
///
/// Jitter at most doubles a delay. It separates the retries of requests that failed together.
fn exponential_delays() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::new()
        .with_min_delay(MIN_DELAY)
        .with_max_delay(MAX_DELAY)
        .with_factor(2.0)
        .with_jitter()
        .without_max_times()
        .build()
}

#[cfg(test)]
mod tests;
