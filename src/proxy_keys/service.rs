//! The service.

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{Method, Request, Response, request};
use http_body::Body;
use http_body_util::Full;
use jiff::Timestamp;
use tower_service::Service;

use super::body::ProxyKeyBody;
use super::future::ProxyKeyFuture;
use super::gate::{self, PermittedHead, Refusal, RefusalKind};
use super::keys::Prices;
use super::log::log_and_respond;
use super::send::PendingRequest;
use super::settings::ProxyKeySettings;
use super::upload::{RequestUpload, long_body};
use super::upstream::Upstream;

/// Sends requests with proxy keys to `S`, with real keys. Created by [`ProxyKeyLayer`](super::ProxyKeyLayer).
#[derive(Clone)]
pub struct ProxyKeyService<S> {
    inner: S,
    settings: Arc<ProxyKeySettings>,
}

impl<S> ProxyKeyService<S> {
    pub(super) fn new(inner: S, settings: Arc<ProxyKeySettings>) -> Self {
        Self { inner, settings }
    }

    /// Returns a reference to the inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns a mutable reference to the inner service.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Returns the inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, A, B> Service<Request<A>> for ProxyKeyService<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone,
    A: Body,
    B: Body + Send + 'static,
{
    type Response = Response<ProxyKeyBody<B>>;
    type Error = S::Error;
    type Future = ProxyKeyFuture<S, A, S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    /// Reads the body of a permitted request and then calls the inner service. Responds in its place to another request,
    /// whose body is not polled.
    ///
    /// # Panics
    ///
    /// If the request has a body, and this is called outside of a Tokio runtime with its clock.
    fn call(&mut self, request: Request<A>) -> Self::Future {
        let (client_parts, body) = request.into_parts();
        let PermittedRequestHead { head, upstream, prices } = match self.permit(&client_parts, &body) {
            Ok(permitted) => permitted,
            Err(response) => return ProxyKeyFuture::ready(*response),
        };
        // The clone is not ready, so it is left for the next request.
        let clone = self.inner.clone();
        let inner = mem::replace(&mut self.inner, clone);
        let has_body = head.endpoint.has_body();
        let settings = self.settings.clone();
        let request = PendingRequest { inner, client_parts, head, prices, upstream, settings };
        if has_body {
            let upload = RequestUpload::new(body, &self.settings, request.head.key.clone());
            ProxyKeyFuture::upload(upload, request)
        } else {
            ProxyKeyFuture::without_body(request)
        }
    }
}

/// A request with a permitted head, and the state of the keys file that counts for it.
struct PermittedRequestHead {
    head: PermittedHead,
    upstream: Arc<Upstream>,
    prices: Arc<Prices>,
}

impl<S> ProxyKeyService<S> {
    /// Checks everything of a request but its body. Returns its head with the upstream of its key and the prices, or the
    /// response to a refused request.
    fn permit(
        &self,
        client_parts: &request::Parts,
        body: &impl Body,
    ) -> Result<PermittedRequestHead, Box<Response<Bytes>>> {
        let table = self.settings.keys.table();
        let authenticated = gate::authenticate(&client_parts.headers, &table, Timestamp::now());
        let key = authenticated.map_err(|refusal| Box::new(respond_to_head(&refusal, client_parts, None)))?;
        let checked = gate::check_head(client_parts, key.clone());
        let head =
            checked.map_err(|refusal| Box::new(respond_to_head(&refusal, client_parts, Some(&key.id))))?;
        let refuse = |refusal: Refusal| {
            Box::new(log_and_respond(&refusal, head.endpoint.provider, Some(&head.key.id)))
        };
        let upstream = self.find_upstream(&head).map_err(refuse)?;
        if head.endpoint.has_body() {
            check_stated_length(client_parts, body, self.settings.max_request_body).map_err(refuse)?;
        }
        Ok(PermittedRequestHead { head, upstream, prices: table.prices().clone() })
    }

    /// Returns the upstream of a key: that of its group, or else that of the layer. Returns a refusal if there is none.
    fn find_upstream(&self, head: &PermittedHead) -> Result<Arc<Upstream>, Refusal> {
        let provider = head.endpoint.provider;
        let of_group = head.key.group.as_ref().and_then(|group| group.upstreams.of_provider(provider));
        match of_group.or_else(|| self.settings.upstreams.of_provider(provider)) {
            Some(upstream) => Ok(upstream.clone()),
            None => {
                let message = "This service has no key for the provider of this path.";
                Err(Refusal::new(RefusalKind::UpstreamFailed, message))
            }
        }
    }
}

/// Creates the response to a request whose head is not permitted. A response to HEAD has no body (RFC 9110 §9.3.2).
///
/// `key_id` is `None` if the credential is not that of a proxy key.
fn respond_to_head(
    refusal: &Refusal,
    client_parts: &request::Parts,
    key_id: Option<&str>,
) -> Response<Bytes> {
    let response = log_and_respond(refusal, gate::provider_of_request(client_parts), key_id);
    if client_parts.method == Method::HEAD { response.map(|_| Bytes::new()) } else { response }
}

/// Returns a refusal if the length that a request states is over the limit. It is in its `Content-Length`, or in the
/// size hint of its body.
fn check_stated_length(
    client_parts: &request::Parts,
    body: &impl Body,
    max_len: usize,
) -> Result<(), Refusal> {
    let header = client_parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let length = header.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    if length.max(body.size_hint().lower()) > max_len as u64 { Err(long_body(max_len)) } else { Ok(()) }
}

impl<S: fmt::Debug> fmt::Debug for ProxyKeyService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyKeyService").field("inner", &self.inner).finish_non_exhaustive()
    }
}
