//! The response future. It waits for the response headers, and then buffers the body until the headers can go out.

use std::fmt;
use std::future::Future;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Method, Response, response};
use http_body::Body;
use pin_project_lite::pin_project;

use super::body::AmendedBody;
use super::name_sent::API_KEY_NAME_SENT;
use super::report::Report;
use super::response_headers;
use crate::ResponseBody;
use crate::outcome::{Counts, Outcome, Refusal, ResponseState, Skip};

pin_project! {
    /// The response future of [`ApiKeyName`](crate::ApiKeyName).
    ///
    /// Out of scope it completes with the inner future. In scope it also waits until the response body has ended or
    /// is longer than the limit. If the layer rejects the request, it is ready at once.
    ///
    /// # Panics
    ///
    /// If it is polled after it has completed.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, B: Body> {
        #[pin]
        state: FutureState<F, B>,
    }
}

pin_project! {
    #[project = FutureStateProj]
    enum FutureState<F, B: Body> {
        // The request is out of scope.
        PassThrough { #[pin] inner: F },
        // Waits for the headers of a response in scope.
        Headers { #[pin] inner: F, report: Option<Box<Report>> },
        // Buffers the body. The inner future was dropped, with all that it held, such as a permit.
        Body { buffered: Option<Buffered<B>> },
        // The layer rejected the request.
        Refused { response: Option<Box<Response<ResponseBody<B>>>> },
    }
}

const COMPLETED: &str = "polled after completion";

struct Buffered<B: Body> {
    parts: response::Parts,
    body: Pin<Box<AmendedBody<B>>>,
}

impl<F, B: Body> ResponseFuture<F, B> {
    pub(crate) fn pass_through(inner: F) -> Self {
        Self { state: FutureState::PassThrough { inner } }
    }

    pub(crate) fn amend(inner: F, report: Box<Report>) -> Self {
        Self { state: FutureState::Headers { inner, report: Some(report) } }
    }

    /// Creates a future that is ready with the response to a rejected request.
    pub(crate) fn refuse(refusal: Refusal, mut response: Response<Bytes>, mut report: Box<Report>) -> Self {
        let outcome = Outcome::Refused { refusal };
        response.extensions_mut().insert(ResponseState::from(outcome));
        report.set_outcome(outcome);
        let own_response = response.map(|data| ResponseBody::own(data, report));
        Self { state: FutureState::Refused { response: Some(Box::new(own_response)) } }
    }
}

impl<F, B, E> Future for ResponseFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
{
    type Output = Result<Response<ResponseBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                FutureStateProj::PassThrough { inner } => {
                    let response = ready!(inner.poll(cx))?;
                    return Poll::Ready(Ok(response.map(|body| ResponseBody::pass(body, None))));
                }
                FutureStateProj::Headers { inner, report } => {
                    let response = ready!(inner.poll(cx))?;
                    match start_body(response, report.take().expect(COMPLETED)) {
                        ControlFlow::Continue(buffered) => {
                            state.set(FutureState::Body { buffered: Some(buffered) })
                        }
                        ControlFlow::Break(response) => return Poll::Ready(Ok(response)),
                    }
                }
                FutureStateProj::Body { buffered } => {
                    if let Some(buffered) = buffered {
                        ready!(buffered.body.as_mut().poll_decided(cx));
                    }
                    let Buffered { mut parts, mut body } = buffered.take().expect(COMPLETED);
                    body.as_mut().decide(&mut parts);
                    return Poll::Ready(Ok(Response::from_parts(parts, ResponseBody::amended(body))));
                }
                FutureStateProj::Refused { response } => {
                    return Poll::Ready(Ok(*response.take().expect(COMPLETED)));
                }
            }
        }
    }
}

/// Starts to buffer the body of a response, and returns `Continue` with the buffer. Returns `Break` with the final
/// response if its body must not be amended, or if the method is `HEAD`.
fn start_body<B: Body>(
    response: Response<B>,
    mut report: Box<Report>,
) -> ControlFlow<Response<ResponseBody<B>>, Buffered<B>> {
    let (mut parts, body) = response.into_parts();
    if let Some(name_sent) = report.name_sent.take() {
        parts.headers.insert(&API_KEY_NAME_SENT, name_sent);
    }
    let method = &report.request.method;
    let is_head = *method == Method::HEAD;
    let skip_reason = response_headers::skip_reason(method, &parts, report.settings.honor_no_transform);
    let may_be_amended = skip_reason.is_none();
    if may_be_amended && !is_head {
        // The outcome if the response is dropped before it is decided.
        report.set_outcome(Outcome::Skipped { skip: Skip::Dropped, counts: Counts::default() });
        return ControlFlow::Continue(Buffered { parts, body: Box::pin(AmendedBody::new(body, report)) });
    }
    let skip = skip_reason.unwrap_or(Skip::NoBody);
    let outcome = Outcome::Skipped { skip, counts: Counts::default() };
    parts.extensions.insert(ResponseState::from(outcome));
    report.set_outcome(outcome);
    let response_body = if may_be_amended {
        // RFC 9110 §9.3.2: a response to HEAD has the headers of one to GET, whose body would be amended.
        response_headers::amend(&mut parts.headers, None);
        ResponseBody::unmeasured(body, report)
    } else {
        ResponseBody::pass(body, Some(report))
    };
    ControlFlow::Break(Response::from_parts(parts, response_body))
}

impl<F, B: Body> fmt::Debug for ResponseFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
