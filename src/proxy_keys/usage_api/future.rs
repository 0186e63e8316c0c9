//! The response future: it waits for the inner service, or for the first bucket.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Response};
use http_body::Body;
use jiff::Timestamp;
use pin_project_lite::pin_project;

use super::body::UsageBody;
use super::bucket_reader::BucketError;
use super::page::UsagePage;
use crate::names::Provider;
use crate::proxy_keys::gate::{Refusal, RefusalKind};
use crate::proxy_keys::log::log_and_respond;

pin_project! {
    /// The response future of [`UsageService`](super::UsageService).
    ///
    /// It is the future `F` of the inner service, or waits for the first bucket of a usage response.
    ///
    /// # Panics
    ///
    /// If it is polled after it has completed.
    #[must_use = "futures do nothing unless polled"]
    pub struct UsageFuture<F> {
        #[pin]
        state: UsageFutureState<F>,
    }
}

pin_project! {
    #[project = UsageFutureStateProj]
    enum UsageFutureState<F> {
        // Waits for the inner service.
        Inner { #[pin] future: F },
        // Waits for the first bucket.
        Page { page: Option<Box<UsagePage>> },
        // Has the response to a refused request.
        Ready { response: Option<Box<Response<Bytes>>> },
    }
}

const COMPLETED: &str = "polled after completion";

impl<F> UsageFuture<F> {
    /// Creates the future of a request that the inner service receives.
    pub(super) fn inner(future: F) -> Self {
        Self { state: UsageFutureState::Inner { future } }
    }

    /// Creates the future of a usage response.
    pub(super) fn page(page: UsagePage) -> Self {
        Self { state: UsageFutureState::Page { page: Some(Box::new(page)) } }
    }

    /// Creates a future that is ready with the response to a refused request.
    pub(super) fn ready(response: Response<Bytes>) -> Self {
        Self { state: UsageFutureState::Ready { response: Some(Box::new(response)) } }
    }
}

impl<F, B, E> Future for UsageFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Output = Result<Response<UsageBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = match self.project().state.project() {
            UsageFutureStateProj::Inner { future } => ready!(future.poll(cx))?.map(UsageBody::inner),
            UsageFutureStateProj::Page { page } => {
                let first_chunk = ready!(page.as_mut().expect(COMPLETED).poll_chunk(cx));
                let page = page.take().expect(COMPLETED);
                match first_chunk {
                    Ok(chunk) => start_response(chunk, page),
                    Err(error) => {
                        let refusal = refuse_bucket(&error);
                        log_and_respond(&refusal, Provider::OpenAi, page.slot.key_id()).map(UsageBody::whole)
                    }
                }
            }
            UsageFutureStateProj::Ready { response } => {
                response.take().expect(COMPLETED).map(UsageBody::whole)
            }
        };
        Poll::Ready(Ok(response))
    }
}

/// Creates the response with this first chunk of a page. A page of one bucket has a length.
fn start_response<B>(first_chunk: Bytes, page: Box<UsagePage>) -> Response<UsageBody<B>> {
    let is_complete = page.has_ended();
    let length = first_chunk.len();
    let body = if is_complete { UsageBody::whole(first_chunk) } else { UsageBody::page(first_chunk, page) };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // Not cacheable: the next call changes the last bucket.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if is_complete {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    response
}

/// Returns the refusal of a request whose first bucket cannot be read.
fn refuse_bucket(error: &BucketError) -> Refusal {
    match error {
        BucketError::Store(_) => {
            let message = "The usage cannot be read at the moment. Repeat the request.";
            Refusal::new(RefusalKind::LedgerUnavailable, message).retry_after(1)
        }
        BucketError::MinutesDeleted { rows_from } => {
            let instant = Timestamp::from_second(*rows_from).unwrap_or(Timestamp::MAX);
            let message = format!(
                "The usage by minute exists from {rows_from} ({instant}). Use a later start_time, or bucket_width=1h."
            );
            Refusal::new(RefusalKind::InvalidValue, message).about("start_time")
        }
    }
}

impl<F> fmt::Debug for UsageFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsageFuture").finish_non_exhaustive()
    }
}
