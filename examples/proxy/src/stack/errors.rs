//! Error responses in place of an upstream response that failed.
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Either, Full};
use tower::{BoxError, Service};
use tower_api_key_name::outcome::{Outcome, ResponseState, Skip};

pub use super::error_form::{ErrorForm, overloaded, proxy_error};

/// The reason why no upstream response can be sent.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure {
    /// The request contains the Via of this proxy.
    Loop,
    /// The request target does not fit into a URI.
    TooLong,
    /// The request content has a transfer coding other than chunked.
    Coded,
    /// The upstream sent no headers, or no more of a body, for this duration.
    UpstreamTimeout(Duration),
    /// The call reached its deadline.
    DeadlineExceeded,
    /// The client stopped sending the request content.
    RequestTimeout,
    /// The request content ended early or is not valid HTTP.
    ClientBroke,
    /// No connection to the upstream.
    Unreachable(BoxError),
    /// The connection failed, or the response is not valid HTTP.
    Transport(BoxError),
    /// The response body failed while it was buffered.
    BodyFailed(BoxError),
    /// The response does not fit the request.
    Unusable,
}

/// Makes a response of each [`Failure`].
#[derive(Clone)]
pub struct Errors<S> {
    inner: S,
}

// === impl Failure ===

impl Failure {
    /// Returns the status, and the code in the response's body.
    fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Loop => (StatusCode::LOOP_DETECTED, "loop_detected"), // RFC 5842 §7.2
            Self::TooLong => (StatusCode::URI_TOO_LONG, "uri_too_long"),
            Self::Coded => (StatusCode::NOT_IMPLEMENTED, "transfer_coding_unsupported"), // RFC 9112 §6.1
            Self::UpstreamTimeout(_) => (StatusCode::GATEWAY_TIMEOUT, "upstream_timeout"),
            Self::DeadlineExceeded => (StatusCode::GATEWAY_TIMEOUT, "deadline_exceeded"),
            Self::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, "request_timeout"),
            Self::ClientBroke => (StatusCode::BAD_REQUEST, "request_broken"),
            Self::Unreachable(_) | Self::Transport(_) | Self::BodyFailed(_) | Self::Unusable => {
                (StatusCode::BAD_GATEWAY, "upstream_transport_error")
            }
        }
    }

    /// Finds the timeout inside a body's error, which the decoder has boxed.
    fn from_body_error(error: BoxError) -> Self {
        let mut cause: Option<&(dyn Error + 'static)> = Some(&*error);
        while let Some(e) = cause {
            match e.downcast_ref() {
                Some(Self::UpstreamTimeout(timeout)) => return Self::UpstreamTimeout(*timeout),
                Some(Self::DeadlineExceeded) => return Self::DeadlineExceeded,
                _ => cause = e.source(),
            }
        }
        Self::BodyFailed(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loop => "The upstream's address leads back to this proxy",
            Self::TooLong => "The request target is too long to be forwarded",
            Self::Coded => "The only transfer coding supported is chunked",
            Self::UpstreamTimeout(timeout) => {
                return write!(f, "The upstream sent nothing for {} s (--timeout)", timeout.as_secs_f64());
            }
            Self::DeadlineExceeded => "The call did not end before its deadline (--deadline)",
            Self::RequestTimeout => "The rest of the request body did not arrive",
            Self::ClientBroke => "The request body ended early or is not valid HTTP",
            Self::Unreachable(_) => "The upstream cannot be reached",
            Self::Transport(_) | Self::BodyFailed(_) => {
                "The upstream's response ended early or is not valid HTTP"
            }
            Self::Unusable => "The upstream's response does not fit the request",
        })
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unreachable(e) | Self::Transport(e) | Self::BodyFailed(e) => Some(&**e),
            _ => None,
        }
    }
}

/// Returns an error and its sources in one line.
///
/// The sources come from hyper, rustls and the system; they contain no header and no body.
fn chain(failure: &Failure) -> String {
    let mut line = failure.to_string();
    let mut cause = failure.source();
    while let Some(e) = cause {
        line += &format!(": {e}");
        cause = e.source();
    }
    line
}

// === impl Errors ===

impl<S> Errors<S> {
    pub fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S, A, B> Service<Request<A>> for Errors<S>
where
    S: Service<Request<A>, Response = Response<B>, Error = Failure, Future: Send + 'static>,
    B: Body<Data = Bytes, Error = BoxError> + Send + 'static,
{
    type Response = Response<Either<Full<Bytes>, B>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // The client is always ready. Its failures come from the call.
        self.inner.poll_ready(cx).map(|_| Ok(()))
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let form = ErrorForm::for_path(request.uri().path());
        let response = self.inner.call(request);
        Box::pin(async move {
            let (failure, request_id) = match response.await {
                Ok(response) if !failed_while_buffered(&response) => return Ok(response.map(Either::Right)),
                Ok(mut response) => {
                    let request_id = response.headers_mut().remove(form.request_id_header());
                    (body_failure(response.into_body()).await, request_id)
                }
                Err(failure) => (failure, None),
            };
            tracing::warn!("{}", chain(&failure));
            let (status, code) = failure.status_and_code();
            let response = form.response(status, code, &format!("{failure}."), request_id);
            Ok(response.map(Either::Left))
        })
    }
}

fn failed_while_buffered<B>(response: &Response<B>) -> bool {
    matches!(
        response.extensions().get().and_then(ResponseState::outcome),
        Some(Outcome::Skipped { skip: Skip::BodyFailed, .. })
    )
}

/// Returns the failure of a body, which comes after its frames.
async fn body_failure<B: Body<Error = BoxError>>(body: B) -> Failure {
    let mut body = pin!(body);
    while let Some(frame) = body.frame().await {
        if let Err(e) = frame {
            return Failure::from_body_error(e);
        }
    }
    Failure::Unusable
}
