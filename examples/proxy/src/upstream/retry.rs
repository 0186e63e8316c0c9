//! Sends a request again if the upstream did not process it (RFC 9113 §8.7).
//!
//! | failure | request | retries |
//! |---|---|---|
//! | GOAWAY with NO_ERROR; never dispatched | any | until the call's deadline: two at once, later ones with back-off |
//! | RST_STREAM with REFUSED_STREAM | any | until the call's deadline, with back-off |
//! | hyper drops the request with its connection | GET, HEAD | until the call's deadline: two at once, then back-off |
//! | the connection breaks before the response headers; GOAWAY with another code | GET, HEAD | one (RFC 9110 §9.2.2) |
//! | any other | any | none |
//!
//! The timeouts layer above drops the call at its deadline.

use std::error::Error;
use std::time::Duration;
use std::{io, iter};

use h2::Reason;
use http::{Method, Request};

use super::client::{UpstreamClients, UpstreamResult};
use super::failure::Failure;
use super::replay::ReplayBody;

/// The number of retries without a wait, before those with back-off.
const IMMEDIATE_RETRIES: u32 = 2;

/// The retries of one request.
#[derive(Debug, Default)]
struct Retries {
    retry_count: u32,
    /// True after the only retry for a broken connection, which is not in `retry_count`.
    has_retried_broken_connection: bool,
}

/// A failure after which a request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Retryable {
    /// The request was not dispatched, or a GOAWAY excludes it. The upstream has not processed it.
    NotProcessed,
    /// The upstream has too many streams. It has not processed the request.
    StreamRefused,
    /// hyper dropped the request with its connection. It may have been sent.
    DroppedByHyper,
    /// The connection broke after the request was sent. The upstream may have processed it.
    ConnectionBroken,
}

/// Sends a request until there is a response, or returns the first failure after which it must not be sent again.
pub async fn send_with_retries(
    clients: &UpstreamClients,
    request: &mut Request<ReplayBody>,
) -> UpstreamResult {
    let mut retries = Retries::default();
    loop {
        let failure = match clients.send(request.clone()).await {
            Ok(response) => return Ok(response),
            Err(failure) => failure,
        };
        let Some(wait) = retries.wait_before(request, &failure) else { return Err(failure) };
        *request.body_mut() = request.body().next_attempt();
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }
}

impl Retries {
    /// Counts a retry after a failure and returns the wait before it, or `None` if the failure is final.
    fn wait_before(&mut self, request: &Request<ReplayBody>, failure: &Failure) -> Option<Duration> {
        let retryable = classify(failure)?;
        if !request.body().is_replayable() {
            return None;
        }
        let is_safe = matches!(*request.method(), Method::GET | Method::HEAD);
        let wait = self.next_wait(retryable, is_safe)?;
        tracing::debug!("the request is sent again after {wait:?}: {retryable:?}");
        Some(wait)
    }

    /// Counts a retry and returns the wait before it, or `None` if the request must not be sent again.
    fn next_wait(&mut self, failure: Retryable, is_safe: bool) -> Option<Duration> {
        let immediate_retries = match failure {
            Retryable::NotProcessed => IMMEDIATE_RETRIES,
            Retryable::StreamRefused => 0,
            Retryable::DroppedByHyper if is_safe => IMMEDIATE_RETRIES,
            Retryable::ConnectionBroken if is_safe && !self.has_retried_broken_connection => {
                self.has_retried_broken_connection = true;
                return Some(Duration::ZERO);
            }
            Retryable::DroppedByHyper | Retryable::ConnectionBroken => return None,
        };
        self.retry_count += 1;
        if self.retry_count <= immediate_retries {
            return Some(Duration::ZERO);
        }
        // The back-off doubles with each retry, from 10 ms to 640 ms.
        let doublings = (self.retry_count - immediate_retries - 1).min(6);
        Some(Duration::from_millis(10) * 2_u32.pow(doublings))
    }
}

/// Returns the kind of a failure, or `None` if the request must not be sent again.
fn classify(failure: &Failure) -> Option<Retryable> {
    let mut causes = iter::successors(failure.source(), |cause| (*cause).source());
    if !matches!(failure, Failure::Unreachable(_)) {
        return causes.find_map(classify_cause);
    }
    // If no connection could be opened, there is an I/O error. Without one, either ALPN negotiated the other protocol,
    // or hyper's pool closed a connection for which this call waited.
    let has_io_error = causes.any(|cause| cause.is::<io::Error>());
    if has_io_error { None } else { Some(Retryable::NotProcessed) }
}

/// Classifies one cause of a failure. Returns `None` if the next cause must be classified.
fn classify_cause(cause: &(dyn Error + 'static)) -> Option<Retryable> {
    if let Some(error) = cause.downcast_ref::<h2::Error>() {
        return classify_h2(error);
    }
    if let Some(error) = cause.downcast_ref::<hyper::Error>() {
        return classify_hyper(error);
    }
    if cause.is::<io::Error>() { Some(Retryable::ConnectionBroken) } else { None }
}

/// Classifies an error of hyper by its kind. Returns `None` for other kinds, whose causes are classified next.
fn classify_hyper(error: &hyper::Error) -> Option<Retryable> {
    if error.is_canceled() {
        Some(Retryable::NotProcessed)
    } else if error.is_incomplete_message() || error.is_closed() || error.is_timeout() {
        Some(Retryable::ConnectionBroken)
    } else if error.is_user() {
        // Without content, the only error of this kind is a request that was dropped with its connection.
        Some(Retryable::DroppedByHyper)
    } else {
        None
    }
}

/// Classifies an HTTP/2 error (RFC 9113 §8.7). Returns `None` for an error after which no retry is allowed.
fn classify_h2(error: &h2::Error) -> Option<Retryable> {
    let is_remote_go_away = error.is_go_away() && error.is_remote();
    let is_remote_reset = error.is_reset() && error.is_remote();
    match error.reason() {
        Some(Reason::NO_ERROR) if is_remote_go_away => Some(Retryable::NotProcessed),
        Some(Reason::REFUSED_STREAM) if is_remote_reset => Some(Retryable::StreamRefused),
        _ if is_remote_go_away || error.is_io() => Some(Retryable::ConnectionBroken),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(failure: Retryable, is_safe: bool) -> [Option<u128>; 5] {
        let mut retries = Retries::default();
        [(); 5].map(|()| retries.next_wait(failure, is_safe).map(|wait| wait.as_millis()))
    }

    #[test]
    fn unprocessed_request_waits_from_the_third_retry() {
        assert_eq!(waits(Retryable::NotProcessed, false), [0, 0, 10, 20, 40].map(Some));
    }

    #[test]
    fn refused_request_waits_from_the_first_retry() {
        assert_eq!(waits(Retryable::StreamRefused, false), [10, 20, 40, 80, 160].map(Some));
    }

    #[test]
    fn broken_connection_is_retried_once_for_safe_methods() {
        assert_eq!(waits(Retryable::ConnectionBroken, true), [Some(0), None, None, None, None]);
        assert_eq!(waits(Retryable::ConnectionBroken, false), [None; 5]);
    }

    #[test]
    fn backoff_stops_growing_at_640_ms() {
        let mut retries = Retries { retry_count: 1_000_000, has_retried_broken_connection: false };
        assert_eq!(retries.next_wait(Retryable::StreamRefused, false), Some(Duration::from_millis(640)));
    }
}
