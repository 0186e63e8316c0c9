//! One page of a list: retries with back-off, a pause that all requests share, and deadlines.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use http::{HeaderMap, Uri};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

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
    pub(super) requests: AtomicUsize,
    pub(super) retries: AtomicUsize,
}

impl<'a> PageFetcher<'a> {
    /// Creates a fetcher whose deadline begins now.
    pub(super) fn new(client: &'a ApiClient, limits: &'a FetchLimits, headers: HeaderMap) -> Self {
        let now = Instant::now();
        let (deadline, paused_until) = (now + limits.deadline, Mutex::new(now));
        let (requests, retries) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { client, limits, headers, deadline, paused_until, requests, retries }
    }

    /// Fetches one page. Retries after transient errors, as long as the delay ends in time.
    pub(super) async fn fetch(&self, uri: &Uri) -> Result<ListPage, ListError> {
        let give_up = self.deadline.min(Instant::now() + self.limits.retry_timeout);
        // Jitter adds up to the same delay again, so that requests that failed together do not return together.
        let backoff = ExponentialBuilder::new()
            .with_min_delay(MIN_DELAY)
            .with_max_delay(MAX_DELAY)
            .with_factor(2.0)
            .with_jitter()
            .without_max_times();
        (|| self.attempt(uri, give_up))
            .retry(backoff)
            .sleep(sleep)
            .when(ListError::is_transient)
            .adjust(|error, backoff| {
                let delay = error.retry_after().map(|requested| requested.max(MIN_DELAY)).or(backoff)?;
                (Instant::now() + delay < give_up).then_some(delay)
            })
            .notify(|error, _| self.note_retry(error))
            .await
    }

    fn note_retry(&self, error: &ListError) {
        self.retries.fetch_add(1, Relaxed);
        if let Some(delay) = error.retry_after() {
            let mut paused_until = self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
            *paused_until = (*paused_until).max(Instant::now() + delay);
        }
    }

    async fn attempt(&self, uri: &Uri, give_up: Instant) -> Result<ListPage, ListError> {
        self.wait_for_pause(give_up).await?;
        self.requests.fetch_add(1, Relaxed);
        let body = self.client.get(uri.clone(), self.headers.clone(), self.limits.page_limit);
        match timeout_at(give_up.min(Instant::now() + self.limits.timeout), body).await {
            Ok(body) => ListPage::parse(&body?),
            Err(_) if Instant::now() >= self.deadline => Err(ListError::DeadlineExceeded),
            Err(_) => Err(ListError::Timeout(self.limits.timeout)),
        }
    }

    /// Waits until the end of the pause. Another request may extend the pause meanwhile.
    async fn wait_for_pause(&self, give_up: Instant) -> Result<(), ListError> {
        loop {
            let paused_until = *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            if now >= self.deadline {
                return Err(ListError::DeadlineExceeded);
            } else if now >= paused_until {
                return Ok(());
            } else if now >= give_up {
                return Err(ListError::Timeout(self.limits.retry_timeout));
            }
            sleep_until(paused_until.min(give_up)).await;
        }
    }
}

#[cfg(test)]
mod tests;
