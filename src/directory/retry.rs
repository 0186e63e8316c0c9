//! Retries: after the delay that the API requests, or with exponential back-off and jitter.

use super::list_error::ListError;
use backon::{ExponentialBuilder, Retryable};
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, sleep};

/// The shortest delay, even for `Retry-After: 0`, and the base of the back-off.
const MIN_DELAY: Duration = Duration::from_millis(500);

/// The longest delay of the back-off, before jitter.
const MAX_DELAY: Duration = Duration::from_secs(20);

/// The longest requested delay that is distinguished: more than any deadline, and too short to overflow an instant.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// True if a request with this response may be sent again.
pub(super) fn is_retryable(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}

/// Calls `attempt` until it succeeds, fails permanently, or the next delay would end after `give_up`.
///
/// Calls `on_retry` with the error before each delay.
pub(super) async fn retry<T, F>(
    attempt: impl FnMut() -> F,
    give_up: Instant,
    mut on_retry: impl FnMut(&ListError),
) -> Result<T, ListError>
where
    F: Future<Output = Result<T, ListError>>,
{
    // Jitter adds up to the same delay again, so that requests that failed together do not return together.
    let backoff = ExponentialBuilder::new()
        .with_min_delay(MIN_DELAY)
        .with_max_delay(MAX_DELAY)
        .with_factor(2.0)
        .with_jitter()
        .without_max_times();
    attempt
        .retry(backoff)
        .sleep(sleep)
        .when(ListError::is_transient)
        .adjust(|error, backoff| {
            let delay = error.retry_after().map(|requested| requested.max(MIN_DELAY)).or(backoff)?;
            (Instant::now() + delay < give_up).then_some(delay)
        })
        .notify(|error, _| on_retry(error))
        .await
}

/// Returns the delay that a response requests: seconds or a date (RFC 9110 §10.2.3), or OpenAI's milliseconds.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let delay = match text("retry-after-ms").and_then(|text| text.parse().ok()) {
        Some(milliseconds) => Duration::from_millis(milliseconds),
        None => match text(RETRY_AFTER.as_str())? {
            // A number that is too long for `u64` is a long delay too.
            digits if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_or(MAX_RETRY_AFTER, Duration::from_secs)
            }
            // The delay of a date in the past is zero.
            date => httpdate::parse_http_date(date).ok()?.duration_since(now).unwrap_or_default(),
        },
    };
    Some(delay.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests;
