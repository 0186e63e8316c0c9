//! The response future: it reads the request body, waits for the admission and the response headers, and reads a body that is
//! not streamed.

use std::fmt;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::admitted_call::PendingSettlement;
use super::body::{MeteredBody, ProxyKeyBody};
use super::buffered::BufferedResponse;
use super::call::UpstreamCall;
use super::gate::{PermittedHead, Refusal};
use super::ledger::CallReservation;
use super::log::log_and_respond;
#[cfg(feature = "tracing")]
use super::log::log_not_admitted;
use super::meter::BodyForm;
use super::quota_refusal::refuse_admission;
use super::response::{BodyLength, ResponsePlan, permitted_headers, plan_response};
use super::send::{BodyCheck, CheckedRequest, PendingAdmission, PendingRequest};
use super::upload::RequestUpload;
use super::wire::usage_event::UsageEventRemover;

pin_project! {
    /// The response future of [`ProxyKeyService`](super::ProxyKeyService).
    ///
    /// It reads the request body, calls the inner service `S`, and waits for its response headers. If the request is
    /// refused before its body is read, it is ready at once.
    ///
    /// # Panics
    ///
    /// If it is polled after it has completed. The call of the service panics outside of a Tokio runtime with its clock, if the
    /// request has a body.
    #[must_use = "futures do nothing unless polled"]
    pub struct ProxyKeyFuture<S, A, F, B> {
        #[pin]
        state: CallState<S, A, F, B>,
    }
}

pin_project! {
    #[project = CallStateProj]
    enum CallState<S, A, F, B> {
        // Reads the request body.
        Upload { #[pin] upload: RequestUpload<A>, request: Option<Box<PendingRequest<S>>> },
        // Waits for the check of the request body.
        Check { check: BodyCheck, request: Option<Box<PendingRequest<S>>> },
        // Waits for the admission by the ledger.
        Admission { admission: PendingAdmission, request: Option<Box<CheckedRequest<S>>> },
        // Waits for the response headers.
        Headers { #[pin] inner: F, call: Option<Box<UpstreamCall>> },
        // Reads a response body that passes only as a whole.
        Body { #[pin] body: B, response: Option<Box<BufferedResponse>> },
        // Waits for the settlement of a call, and then has a response without a stream.
        Settlement { settlement: PendingSettlement, response: Option<Box<Response<Bytes>>> },
        // Has a response without a stream.
        Ready { response: Option<Box<Response<Bytes>>> },
    }
}

const COMPLETED: &str = "polled after completion";

impl<S, A, F, B> CallState<S, A, F, B> {
    /// Creates the state that has this response.
    fn ready(response: Response<Bytes>) -> Self {
        Self::Ready { response: Some(Box::new(response)) }
    }

    /// Creates the state that has the response to a refused request.
    fn refused(refusal: &Refusal, head: &PermittedHead) -> Self {
        Self::ready(log_and_respond(refusal, head.endpoint.provider, Some(&head.key.id)))
    }

    /// Creates the state that has this response after the settlement, if there is one.
    fn settled(settlement: Option<PendingSettlement>, response: Response<Bytes>) -> Self {
        match settlement {
            Some(settlement) => Self::Settlement { settlement, response: Some(Box::new(response)) },
            None => Self::ready(response),
        }
    }
}

impl<S, A, B> ProxyKeyFuture<S, A, S::Future, B>
where
    S: Service<Request<Full<Bytes>>>,
{
    /// Creates a future that is ready with this response.
    pub(super) fn ready(response: Response<Bytes>) -> Self {
        Self { state: CallState::ready(response) }
    }

    /// Creates a future that reads the request body, and then calls the inner service.
    pub(super) fn upload(upload: RequestUpload<A>, request: PendingRequest<S>) -> Self {
        Self { state: CallState::Upload { upload, request: Some(Box::new(request)) } }
    }

    /// Calls the inner service for a request without a body.
    pub(super) fn without_body(request: PendingRequest<S>) -> Self {
        Self { state: start_call(request.with_body(None), None) }
    }
}

impl<S, A, B> Future for ProxyKeyFuture<S, A, S::Future, B>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>>,
    A: Body,
    B: Body + Send + 'static,
{
    type Output = Result<Response<ProxyKeyBody<B>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next_state = match state.as_mut().project() {
                CallStateProj::Upload { upload, request } => {
                    let uploaded = ready!(upload.poll_body(cx));
                    let request = request.take().expect(COMPLETED);
                    match uploaded {
                        Ok(body) => {
                            CallState::Check { check: request.check_body(body), request: Some(request) }
                        }
                        Err(refusal) => CallState::refused(&refusal, &request.head),
                    }
                }
                CallStateProj::Check { check, request } => {
                    let checked = ready!(check.poll(cx));
                    let request = *request.take().expect(COMPLETED);
                    match checked {
                        Ok(body) => admit_request(request.with_body(Some(body))),
                        Err(refusal) => CallState::refused(&refusal, &request.head),
                    }
                }
                CallStateProj::Admission { admission, request } => {
                    let admitted = ready!(admission.as_mut().poll(cx));
                    let request = *request.take().expect(COMPLETED);
                    match admitted {
                        Ok(reservation) => start_call(request, Some(reservation)),
                        Err(error) => {
                            #[cfg(feature = "tracing")]
                            log_not_admitted(request.head(), &error);
                            CallState::refused(&refuse_admission(&error), request.head())
                        }
                    }
                }
                CallStateProj::Headers { inner, call } => {
                    let result = ready!(inner.poll(cx));
                    let mut call = call.take().expect(COMPLETED);
                    let upstream_response = match result {
                        Ok(upstream_response) => upstream_response,
                        Err(error) => {
                            // The settlement is queued before any later admission, so it need not be awaited.
                            let _ = call.end_without_charge();
                            return Poll::Ready(Err(error));
                        }
                    };
                    match start_response(upstream_response, call) {
                        ControlFlow::Continue(next_state) => next_state,
                        ControlFlow::Break(response) => return Poll::Ready(Ok(response)),
                    }
                }
                CallStateProj::Body { body, response } => {
                    let buffered = response.as_mut().expect(COMPLETED);
                    let is_whole = ready!(buffered.poll_body(body, cx));
                    let mut buffered = response.take().expect(COMPLETED);
                    let settlement = buffered.call.end();
                    CallState::settled(settlement, buffered.finish(is_whole))
                }
                CallStateProj::Settlement { settlement, response } => {
                    // If it cannot be written, the ledger keeps it and admits no call meanwhile.
                    let _ = ready!(settlement.as_mut().poll(cx));
                    CallState::ready(*response.take().expect(COMPLETED))
                }
                CallStateProj::Ready { response } => {
                    let own_response = *response.take().expect(COMPLETED);
                    return Poll::Ready(Ok(own_response.map(ProxyKeyBody::whole)));
                }
            };
            state.set(next_state);
        }
    }
}

/// Queues the admission of the call. Returns the state that waits for it, or that of the call if the endpoint is not metered.
fn admit_request<S, A, B>(request: CheckedRequest<S>) -> CallState<S, A, S::Future, B>
where
    S: Service<Request<Full<Bytes>>>,
{
    match request.admit() {
        Some(admission) => CallState::Admission { admission, request: Some(Box::new(request)) },
        None => start_call(request, None),
    }
}

/// Calls the inner service. Returns the state that waits for the response headers, or that of a refusal.
fn start_call<S, A, B>(
    request: CheckedRequest<S>,
    reservation: Option<CallReservation>,
) -> CallState<S, A, S::Future, B>
where
    S: Service<Request<Full<Bytes>>>,
{
    let head = request.head().clone();
    match request.send(reservation) {
        Ok((inner, call)) => CallState::Headers { inner, call: Some(call) },
        Err(refusal) => CallState::refused(&refusal, &head),
    }
}

/// Starts the response to the client. Returns `Break` with the response if it can be sent now, and `Continue` with the next
/// state if its body is read first or if it is replaced.
fn start_response<S, A, F, B: Body + Send + 'static>(
    upstream_response: Response<B>,
    mut call: Box<UpstreamCall>,
) -> ControlFlow<Response<ProxyKeyBody<B>>, CallState<S, A, F, B>> {
    let (parts, body) = upstream_response.into_parts();
    call.status = Some(parts.status);
    match plan_response(&parts, call.head.endpoint.is_model_list()) {
        ResponsePlan::Stream(form) => ControlFlow::Break(stream_response(parts, body, call, form)),
        ResponsePlan::Replace(refusal) => {
            let response = log_and_respond(&refusal, call.provider(), Some(&call.head.key.id));
            ControlFlow::Continue(CallState::settled(call.end(), response))
        }
        ResponsePlan::Buffer(kind) => {
            let response = Some(Box::new(BufferedResponse::new(kind, parts, call)));
            ControlFlow::Continue(CallState::Body { body, response })
        }
    }
}

/// Creates a response whose body is metered while it passes.
fn stream_response<B: Body + Send + 'static>(
    parts: http::response::Parts,
    body: B,
    mut call: Box<UpstreamCall>,
    form: BodyForm,
) -> Response<ProxyKeyBody<B>> {
    call.start_meter(form);
    let removes_event = call.hides_usage_event && form == BodyForm::Events;
    let remover = if removes_event { Some(UsageEventRemover::new()) } else { None };
    // A client that knows the length of a stream could stop before the settlement.
    let length = if form == BodyForm::Events { BodyLength::Unknown } else { BodyLength::Unchanged };
    let headers = permitted_headers(&parts.headers, length);
    let mut response = Response::new(ProxyKeyBody::metered(MeteredBody::new(body, call, form, remover)));
    *response.status_mut() = parts.status;
    *response.headers_mut() = headers;
    response
}

impl<S, A, F, B> fmt::Debug for ProxyKeyFuture<S, A, F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyKeyFuture").finish_non_exhaustive()
    }
}
