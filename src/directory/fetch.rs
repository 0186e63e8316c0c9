//! One page of a list, with retries, a shared pause and deadlines.

use super::client::ApiClient;
use super::list_error::ListError;
use super::page::ListPage;
use super::retry::retry;
use http::{HeaderMap, Uri};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout_at};

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
    requests: AtomicUsize,
    retries: AtomicUsize,
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
            requests: AtomicUsize::new(0),
            retries: AtomicUsize::new(0),
        }
    }

    /// The number of requests so far, retries included.
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Relaxed)
    }

    /// The number of retries so far.
    pub(super) fn retries(&self) -> usize {
        self.retries.load(Relaxed)
    }

    /// Fetches one page, and retries after transient errors.
    pub(super) async fn fetch(&self, uri: &Uri) -> Result<ListPage, ListError> {
        let give_up = self.deadline.min(Instant::now() + self.limits.retry_timeout);
        let on_retry = |error: &ListError| {
            self.retries.fetch_add(1, Relaxed);
            if let Some(delay) = error.retry_after() {
                let mut paused_until = self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
                *paused_until = (*paused_until).max(Instant::now() + delay);
            }
        };
        retry(|| self.attempt(uri, give_up), give_up, on_retry).await
    }

    async fn attempt(&self, uri: &Uri, give_up: Instant) -> Result<ListPage, ListError> {
        self.wait_for_pause(give_up).await?;
        self.requests.fetch_add(1, Relaxed);
        let body = self.client.get(uri.clone(), self.headers.clone(), self.limits.page_limit);
        match timeout_at(give_up.min(Instant::now() + self.limits.timeout), body).await {
            Ok(body) => ListPage::parse(&body?),
            Err(_) if Instant::now() >= self.deadline => Err(ListError::DeadlineExceeded),
            Err(_) => Err(ListError::Timeout { after: self.limits.timeout }),
        }
    }

    /// Waits until no delay is requested. Another request may extend the pause meanwhile.
    async fn wait_for_pause(&self, give_up: Instant) -> Result<(), ListError> {
        loop {
            let paused_until = *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            if now >= self.deadline {
                return Err(ListError::DeadlineExceeded);
            }
            if now >= paused_until {
                return Ok(());
            }
            if now >= give_up {
                return Err(ListError::Timeout { after: self.limits.retry_timeout });
            }
            sleep_until(paused_until.min(give_up)).await;
        }
    }
}
