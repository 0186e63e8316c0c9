//! Sends a request again if the upstream did not process it (RFC 9113 §8.7).
//!
//! | failure | request | retries |
//! |---|---|---|
//! | GOAWAY with NO_ERROR; never dispatched | any | until the call's deadline: two at once, later ones with back-off |
//! | RST_STREAM with REFUSED_STREAM | any | until the call's deadline, with back-off |
//! | the connection breaks before the response headers; GOAWAY with another code | GET, HEAD | one (RFC 9110 §9.2.2) |
//! | any other | any | none |
//!
//! The timeouts layer above drops the call at its deadline.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use std::{io, iter};

use h2::Reason;
use http::{Method, Request};
use tower::retry::Policy;

use super::failure::Failure;
use super::replay::ReplayBody;

/// Retries at once, before the first with back-off.
const IMMEDIATE: u32 = 2;

/// The first back-off. It doubles with each retry.
const MIN_BACKOFF: Duration = Duration::from_millis(10);

/// The number of times that the back-off doubles, up to 640 ms.
const MAX_DOUBLINGS: u32 = 6;

/// The retries of one request.
#[derive(Clone, Debug, Default)]
pub struct RetryPolicy {
    unprocessed: u32,
    broken: bool,
}

/// A failure after which a request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Retryable {
    /// No upstream has seen the request.
    Unsent,
    /// The upstream has seen the request and has too many streams.
    Refused,
    /// hyper dropped the request with its connection. It may have been sent.
    Dropped,
    /// The connection broke. The request may have been processed.
    Broken,
}

impl RetryPolicy {
    /// Returns the wait before the request is sent again, or `None` if it is not.
    fn wait(&mut self, failure: Retryable, is_safe: bool) -> Option<Duration> {
        match failure {
            Retryable::Unsent | Retryable::Refused => {}
            Retryable::Dropped if is_safe => {}
            Retryable::Broken if is_safe && !self.broken => {
                self.broken = true;
                return Some(Duration::ZERO);
            }
            Retryable::Dropped | Retryable::Broken => return None,
        }
        self.unprocessed += 1;
        let immediate = if failure == Retryable::Refused { 0 } else { IMMEDIATE };
        Some(match self.unprocessed.checked_sub(immediate + 1) {
            None => Duration::ZERO,
            Some(doublings) => MIN_BACKOFF * (1 << doublings.min(MAX_DOUBLINGS)),
        })
    }
}

impl<R> Policy<Request<ReplayBody>, R, Failure> for RetryPolicy {
    type Future = Pin<Box<dyn Future<Output = ()> + Send>>;

    fn retry(
        &mut self,
        request: &mut Request<ReplayBody>,
        result: &mut Result<R, Failure>,
    ) -> Option<Self::Future> {
        let failure = result.as_ref().err().and_then(classify)?;
        if !request.body().is_replayable() {
            return None;
        }
        let is_safe = matches!(*request.method(), Method::GET | Method::HEAD);
        let wait = self.wait(failure, is_safe)?;
        tracing::debug!("the request is sent again after {wait:?}: {failure:?}");
        Some(Box::pin(async move {
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
        }))
    }

    fn clone_request(&mut self, request: &Request<ReplayBody>) -> Option<Request<ReplayBody>> {
        let mut next = request.clone();
        *next.body_mut() = request.body().next_attempt();
        Some(next)
    }
}

fn classify(failure: &Failure) -> Option<Retryable> {
    let mut causes = iter::successors(failure.source(), |cause| (*cause).source());
    if matches!(failure, Failure::Unreachable(_)) {
        // Otherwise the protocol changed, or the pool gave up a connection for which this call waited.
        let has_failed = causes.any(|cause| cause.is::<io::Error>());
        return (!has_failed).then_some(Retryable::Unsent);
    }
    causes.find_map(|cause| {
        if let Some(error) = cause.downcast_ref() {
            classify_h2(error)
        } else if let Some(error) = cause.downcast_ref() {
            classify_hyper(error)
        } else {
            cause.is::<io::Error>().then_some(Retryable::Broken)
        }
    })
}

fn classify_hyper(error: &hyper::Error) -> Option<Retryable> {
    if error.is_canceled() {
        Some(Retryable::Unsent)
    } else if error.is_incomplete_message() || error.is_closed() || error.is_timeout() {
        Some(Retryable::Broken)
    } else {
        // Without content, the only error of this kind is a request that was dropped with its connection.
        error.is_user().then_some(Retryable::Dropped)
    }
}

fn classify_h2(error: &h2::Error) -> Option<Retryable> {
    let is_remote_go_away = error.is_go_away() && error.is_remote();
    match error.reason() {
        Some(Reason::NO_ERROR) if is_remote_go_away => Some(Retryable::Unsent),
        Some(Reason::REFUSED_STREAM) if error.is_reset() && error.is_remote() => Some(Retryable::Refused),
        _ => (is_remote_go_away || error.is_io()).then_some(Retryable::Broken),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(failure: Retryable, is_safe: bool) -> [Option<u128>; 5] {
        let mut policy = RetryPolicy::default();
        [(); 5].map(|()| policy.wait(failure, is_safe).map(|wait| wait.as_millis()))
    }

    #[test]
    fn unsent_request_waits_from_the_third_retry() {
        assert_eq!(waits(Retryable::Unsent, false), [0, 0, 10, 20, 40].map(Some));
    }

    #[test]
    fn refused_request_waits_from_the_first_retry() {
        assert_eq!(waits(Retryable::Refused, false), [10, 20, 40, 80, 160].map(Some));
    }

    #[test]
    fn broken_connection_is_retried_once_for_safe_methods() {
        assert_eq!(waits(Retryable::Broken, true), [Some(0), None, None, None, None]);
        assert_eq!(waits(Retryable::Broken, false), [None; 5]);
    }

    #[test]
    fn backoff_stops_growing_at_640_ms() {
        let mut policy = RetryPolicy { unprocessed: 1_000_000, broken: false };
        assert_eq!(policy.wait(Retryable::Refused, false), Some(Duration::from_millis(640)));
    }
}
