//! A permitted request before the call to the inner service.
//!
//! A *request* comes from the client, and a *call* goes to the upstream.

mod body_check;
mod upstream_request;

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, request};
use http_body_util::Full;
use tower_service::Service;

pub(super) use self::body_check::{BodyCheck, PermittedBody};
use self::upstream_request::create_upstream_request;
use super::admitted_call::AdmittedCall;
use super::call::UpstreamCall;
use super::gate::{PermittedHead, Refusal};
use super::keys::Prices;
use super::ledger::{AdmissionError, AdmissionRequest, CallInfo, CallReservation};
use super::settings::ProxyKeySettings;
use super::upload::UploadedBody;
use super::upstream::Upstream;

/// An admission that is queued.
pub(super) type PendingAdmission =
    Pin<Box<dyn Future<Output = Result<CallReservation, AdmissionError>> + Send + Sync>>;

/// A request with a permitted head that is not sent yet, and the inner service that is ready for it.
pub(super) struct PendingRequest<S> {
    pub(super) inner: S,
    /// The request of the client without its body.
    pub(super) client_parts: request::Parts,
    pub(super) head: PermittedHead,
    /// The prices at the start of the request.
    pub(super) prices: Arc<Prices>,
    pub(super) upstream: Arc<Upstream>,
    pub(super) settings: Arc<ProxyKeySettings>,
}

/// A request whose body is permitted too.
pub(super) struct CheckedRequest<S> {
    request: PendingRequest<S>,
    /// `None` if the endpoint has no body.
    body: Option<PermittedBody>,
}

impl<S> PendingRequest<S> {
    /// Starts the check of the body.
    pub(super) fn check_body(&self, body: UploadedBody) -> BodyCheck {
        BodyCheck::start(&self.head, &self.prices, body)
    }

    /// Completes the request. `body` is `None` if the endpoint has none.
    pub(super) fn with_body(self, body: Option<PermittedBody>) -> CheckedRequest<S> {
        CheckedRequest { request: self, body }
    }
}

impl<S: Service<Request<Full<Bytes>>>> CheckedRequest<S> {
    /// Queues the admission of a call to a metered endpoint. Returns `None` for another endpoint.
    pub(super) fn admit(&self) -> Option<PendingAdmission> {
        let head = &self.request.head;
        let body = self.body.as_ref()?;
        if !head.endpoint.is_metered {
            return None;
        }
        let info = CallInfo {
            provider: head.endpoint.provider.as_str().into(),
            endpoint: head.endpoint.path.as_str().into(),
            model: body.model.clone(),
        };
        let request = AdmissionRequest { key: head.key.clone(), info, estimate: body.estimate.reserved };
        Some(Box::pin(self.request.settings.ledger.admit(request)))
    }

    /// Calls the inner service. `reservation` is that of a metered call. Returns the future of the response and the call, or
    /// a refusal if the request target is too long.
    pub(super) fn send(
        self,
        reservation: Option<CallReservation>,
    ) -> Result<(S::Future, Box<UpstreamCall>), Refusal> {
        let PendingRequest { mut inner, client_parts, head, prices, upstream, settings } = self.request;
        let mut bytes = Bytes::new();
        let mut streams = false;
        let mut hides_usage_event = false;
        let mut admitted = None;
        if let Some(body) = self.body {
            bytes = body.bytes;
            streams = body.streams;
            let requested_images =
                if head.endpoint.generates_images { Some(body.output_count) } else { None };
            hides_usage_event = body.hides_usage_event;
            admitted = reservation.map(|reservation| AdmittedCall {
                reservation,
                prices,
                model: body.model,
                input_estimate: body.estimate.input_tokens,
                lacks_usage: head.endpoint.lacks_usage,
                requested_images,
            });
        }
        // Read as late as possible: a key that was replaced during the upload may be invalid already.
        let real_key = upstream.real_key();
        let request = create_upstream_request(&client_parts, &head, &upstream, &real_key, bytes, streams);
        let mut call = UpstreamCall::new(settings, head, real_key, hides_usage_event, admitted);
        match request {
            Ok(request) => Ok((inner.call(request), Box::new(call))),
            Err(refusal) => {
                let _ = call.end_without_charge();
                Err(refusal)
            }
        }
    }

    /// The head of the request.
    pub(super) fn head(&self) -> &PermittedHead {
        &self.request.head
    }
}
