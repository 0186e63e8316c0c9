//! `ResponseFuture`: waits for the head, and for as much of the body as it takes to know what to say in it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Method, Response, response};
use http_body::Body;
use pin_project_lite::pin_project;

use super::body::Amended;
use super::head;
use crate::ResponseBody;
use crate::naming::report::Report;
use crate::outcome::{Counts, Outcome, Refusal, ResponseState, Skip};

pin_project! {
    /// The future of [`ApiKeyName`](crate::ApiKeyName).
    ///
    /// Out of scope it is the inner future. In scope it goes on until the body of the answer has ended or
    /// is longer than the limit. Where the layer answers itself, it is ready at once.
    ///
    /// # Panics
    ///
    /// If it is polled after it was ready.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, B: Body> {
        #[pin]
        stage: Stage<F, B>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<F, B: Body> {
        // The answer passes as it comes.
        Pass { #[pin] inner: F },
        // The answer will be looked at.
        Head { #[pin] inner: F, request: Option<Request> },
        // The body is held. The inner future is gone, and with it what it held, such as a permit.
        Hold { held: Option<Held<B>> },
        // The answer is the layer's own.
        Refused { answer: Option<Box<Response<ResponseBody<B>>>> },
    }
}

/// Why a future has nothing more to give.
const ONCE: &str = "polled after it was ready";

struct Request {
    method: Method,
    report: Box<Report>,
}

struct Held<B: Body> {
    head: response::Parts,
    body: Pin<Box<Amended<B>>>,
}

impl<F, B: Body> ResponseFuture<F, B> {
    pub(crate) fn pass(inner: F) -> Self {
        Self { stage: Stage::Pass { inner } }
    }

    pub(crate) fn amend(inner: F, method: Method, report: Box<Report>) -> Self {
        Self { stage: Stage::Head { inner, request: Some(Request { method, report }) } }
    }

    pub(crate) fn refuse((refusal, mut answer): (Refusal, Response<Bytes>), mut report: Box<Report>) -> Self {
        let outcome = Outcome::Refused { refusal };
        answer.extensions_mut().insert(ResponseState::from(outcome));
        report.set(outcome);
        let answer = answer.map(|data| ResponseBody::own(data, report));
        Self { stage: Stage::Refused { answer: Some(Box::new(answer)) } }
    }
}

impl<F, B, E> Future for ResponseFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
{
    type Output = Result<Response<ResponseBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut stage = self.project().stage;
        loop {
            match stage.as_mut().project() {
                StageProj::Pass { inner } => {
                    let response = ready!(inner.poll(cx))?;
                    return Poll::Ready(Ok(response.map(ResponseBody::pass)));
                }
                StageProj::Head { inner, request } => {
                    let response = ready!(inner.poll(cx))?;
                    let request = request.take().expect(ONCE);
                    match begin(request, response) {
                        Ok(held) => stage.set(Stage::Hold { held: Some(held) }),
                        Err(response) => return Poll::Ready(Ok(response)),
                    }
                }
                StageProj::Refused { answer } => {
                    return Poll::Ready(Ok(*answer.take().expect(ONCE)));
                }
                StageProj::Hold { held } => {
                    if let Some(held) = held {
                        ready!(held.body.as_mut().poll_decided(cx));
                    }
                    let Held { mut head, mut body } = held.take().expect(ONCE);
                    body.as_mut().decide(&mut head);
                    return Poll::Ready(Ok(Response::from_parts(head, ResponseBody::amended(body))));
                }
            }
        }
    }
}

/// Holds what may be amended; the rest goes on at once, and says why.
fn begin<B: Body>(request: Request, response: Response<B>) -> Result<Held<B>, Response<ResponseBody<B>>> {
    let Request { method, mut report } = request;
    let (mut head, body) = response.into_parts();
    let skip = head::skip(&method, &head, report.settings().honor_no_transform);
    if skip.is_none() && method != Method::HEAD {
        report.set(Outcome::Skipped { skip: Skip::Dropped, counts: Counts::default() });
        return Ok(Held { head, body: Box::pin(Amended::new(body, report)) });
    }
    let outcome = Outcome::Skipped { skip: skip.unwrap_or(Skip::NoBody), counts: Counts::default() };
    head.extensions.insert(ResponseState::from(outcome));
    report.set(outcome);
    let body = if skip.is_none() {
        head::amend_response(&mut head.headers, None);
        ResponseBody::unmeasured(body, report)
    } else {
        ResponseBody::skipped(body, report)
    };
    Err(Response::from_parts(head, body))
}

impl<F, B: Body> fmt::Debug for ResponseFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
