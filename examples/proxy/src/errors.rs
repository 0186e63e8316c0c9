//! What the proxy itself has to say, in OpenAI's error form, so that the SDKs raise it as their own.
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{Either, Full};
use pin_project_lite::pin_project;
use tower::{BoxError, Layer, Service};
use tower_api_key_name::outcome::{Outcome, ResponseState, Skip};

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Why there is no answer of the upstream's to pass on.
#[derive(Debug)]
pub enum Failure {
    /// Our own Via came back.
    Loop,
    /// The target does not fit a URI.
    TooLong,
    /// The request's body is in a transfer coding.
    Coded,
    /// No head, or no more of a body, within the timeout.
    Silent,
    /// The call's deadline.
    Late,
    /// The client stopped sending its own body.
    ClientSilent,
    /// The client's body broke off or was no HTTP.
    ClientBroke,
    /// No connection.
    Unreachable(BoxError),
    /// It broke, or what came is no HTTP.
    Transport(BoxError),
    /// A body that broke while it was held.
    BrokeOff(BoxError),
    /// An answer that nobody asked for.
    Unusable,
}

#[derive(Clone)]
pub struct ErrorsLayer {
    timeout: Duration,
}

#[derive(Clone)]
pub struct Errors<S> {
    inner: S,
    timeout: Duration,
}

pin_project! {
    pub struct ErrorsFuture<F, B> {
        #[pin]
        state: State<F, B>,
        timeout: Duration,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, B> {
        Waiting { #[pin] answer: F },
        // The body failed while it was held: its error is at its end, after the frames that came.
        Draining { #[pin] body: B, id: Option<HeaderValue> },
    }
}

// === impl Failure ===

impl Failure {
    fn answer(&self, timeout: Duration) -> Response<Full<Bytes>> {
        let (status, code, message) = match self {
            Self::Loop => (
                StatusCode::LOOP_DETECTED, // RFC 5842 §7.2
                "loop_detected",
                "The upstream's address leads back to this proxy.",
            ),
            Self::TooLong => {
                (StatusCode::URI_TOO_LONG, "uri_too_long", "The request's target is too long to pass on.")
            }
            Self::Coded => (
                StatusCode::NOT_IMPLEMENTED, // RFC 9112 §6.1
                "transfer_coding_unsupported",
                "No transfer coding but chunked is understood.",
            ),
            Self::Silent => {
                let message = format!("The upstream was silent for {} s (--timeout).", timeout.as_secs_f64());
                return proxy_error(StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", &message);
            }
            Self::Late => (
                StatusCode::GATEWAY_TIMEOUT,
                "deadline_exceeded",
                "The call takes longer than one may (--deadline).",
            ),
            Self::ClientSilent => (
                StatusCode::REQUEST_TIMEOUT,
                "request_timeout",
                "The rest of the request's body did not come.",
            ),
            Self::ClientBroke => {
                (StatusCode::BAD_REQUEST, "request_broken", "The request's body broke off or is not HTTP.")
            }
            Self::Unreachable(_) => {
                (StatusCode::BAD_GATEWAY, "upstream_transport_error", "The upstream cannot be reached.")
            }
            Self::Transport(_) | Self::BrokeOff(_) => (
                StatusCode::BAD_GATEWAY,
                "upstream_transport_error",
                "The upstream's answer broke off or is not HTTP.",
            ),
            Self::Unusable => (
                StatusCode::BAD_GATEWAY,
                "upstream_transport_error",
                "The upstream's answer is none to this request.",
            ),
        };
        proxy_error(status, code, message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loop => "our own Via came back",
            Self::TooLong => "the target is too long",
            Self::Coded => "the request's body is in a transfer coding",
            Self::Silent => "the upstream is silent",
            Self::Late => "the call takes too long",
            Self::ClientSilent => "the client's body does not go on",
            Self::ClientBroke => "the client's body broke off",
            Self::Unreachable(_) => "no connection to the upstream",
            Self::Transport(_) => "no answer from the upstream",
            Self::BrokeOff(_) => "the upstream's body broke off",
            Self::Unusable => "an answer that nobody asked for",
        })
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Transport(e) | Self::Unreachable(e) | Self::BrokeOff(e) => Some(&**e),
            _ => None,
        }
    }
}

/// All four members are required by the SDKs' own models.
pub fn proxy_error(status: StatusCode, code: &'static str, message: &str) -> Response<Full<Bytes>> {
    let body = format!(
        r#"{{"error":{{"message":{},"type":"proxy_error","param":null,"code":"{code}"}}}}"#,
        serde_json::Value::from(message)
    );
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if status == StatusCode::LOOP_DETECTED {
        // The SDKs repeat a call on every 5xx but not on this word: repeating a loop makes more of it.
        response
            .headers_mut()
            .insert(HeaderName::from_static("x-should-retry"), HeaderValue::from_static("false"));
    }
    response
}

/// One call too many.
pub fn overloaded() -> Response<Full<Bytes>> {
    let mut response = proxy_error(
        StatusCode::SERVICE_UNAVAILABLE,
        "overloaded",
        "Too many calls are in flight (--max-in-flight); try again in a second.",
    );
    // The SDKs wait that long, and try again.
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// The causes, in a line. They come from hyper, rustls and the system, and repeat no header and no body.
struct Chain<'a>(&'a Failure);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(e) = cause {
            write!(f, ": {e}")?;
            cause = e.source();
        }
        Ok(())
    }
}

/// A body's error is boxed on its way up through the decoder; what it was is still inside.
fn of_body(e: BoxError) -> Failure {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&*e);
    while let Some(e) = cause {
        match e.downcast_ref() {
            Some(Failure::Silent) => return Failure::Silent,
            Some(Failure::Late) => return Failure::Late,
            _ => {}
        }
        cause = e.source();
    }
    Failure::BrokeOff(e)
}

// === impl ErrorsLayer, Errors ===

impl ErrorsLayer {
    pub fn new(timeout: Duration) -> Self {
        Self { timeout }
    }
}

impl<S> Layer<S> for ErrorsLayer {
    type Service = Errors<S>;

    fn layer(&self, inner: S) -> Errors<S> {
        Errors { inner, timeout: self.timeout }
    }
}

impl<S, A, B> Service<Request<A>> for Errors<S>
where
    S: Service<Request<A>, Response = Response<B>, Error = Failure>,
    B: Body<Data = Bytes, Error = BoxError>,
{
    type Response = Response<Either<Full<Bytes>, B>>;
    type Error = Infallible;
    type Future = ErrorsFuture<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // The pool takes any number of calls; it has no readiness to fail.
        self.inner.poll_ready(cx).map(|_| Ok(()))
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        ErrorsFuture { state: State::Waiting { answer: self.inner.call(request) }, timeout: self.timeout }
    }
}

// === impl ErrorsFuture ===

impl<F, B> Future for ErrorsFuture<F, B>
where
    F: Future<Output = Result<Response<B>, Failure>>,
    B: Body<Data = Bytes, Error = BoxError>,
{
    type Output = Result<Response<Either<Full<Bytes>, B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let (failure, id) = loop {
            match this.state.as_mut().project() {
                StateProj::Waiting { answer } => match ready!(answer.poll(cx)) {
                    Ok(response) if !failed_while_held(&response) => {
                        return Poll::Ready(Ok(response.map(Either::Right)));
                    }
                    Ok(mut response) => {
                        let id = response.headers_mut().remove(&REQUEST_ID);
                        let body = response.into_body();
                        this.state.set(State::Draining { body, id });
                    }
                    Err(failure) => break (failure, None),
                },
                StateProj::Draining { mut body, id } => match ready!(body.as_mut().poll_frame(cx)) {
                    Some(Ok(_)) => {}
                    Some(Err(e)) => break (of_body(e), id.take()),
                    None => break (Failure::Unusable, id.take()),
                },
            }
        };
        tracing::warn!("{}", Chain(&failure));
        let mut response = failure.answer(*this.timeout);
        if let Some(id) = id {
            // So that the upstream's own support can find the call.
            response.headers_mut().insert(REQUEST_ID.clone(), id);
        }
        Poll::Ready(Ok(response.map(Either::Left)))
    }
}

fn failed_while_held<B>(response: &Response<B>) -> bool {
    matches!(
        response.extensions().get().and_then(ResponseState::outcome),
        Some(Outcome::Skipped { skip: Skip::BodyFailed, .. })
    )
}
