//! `--cut-revoked`: ends the open streams of keys that are revoked or expire.
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::{BoxError, service_fn};
use tower_api_key_name::proxy_keys::ProxyKeys;

use super::credential_headers::CREDENTIAL_HEADERS;
use crate::http_service::HttpService;

/// The pause between two checks of a stream's key. An expiry is no event that could be awaited.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);

pin_project! {
    /// A response body that fails when the key of its request is revoked.
    pub struct RevocableBody<B> {
        #[pin]
        inner: B,
        // Completes when the key is revoked. `None`: the body is never cut.
        revoked: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    }
}

/// Returns a service whose responses are cut when their key is revoked. Without keys, no response is cut.
pub fn with_revocation<A, B>(
    mut inner: impl HttpService<A, B, Infallible>,
    keys: Option<ProxyKeys>,
) -> impl HttpService<A, RevocableBody<B>, Infallible> {
    service_fn(move |request: Request<A>| {
        let revoked = keys.clone().and_then(|keys| revocation(keys, request.headers()));
        let future = inner.call(request);
        async move { Ok(future.await?.map(|inner| RevocableBody { inner, revoked })) }
    })
}

/// Returns a future that completes when the key of these headers is no longer accepted, or `None` if it is not accepted now.
fn revocation(keys: ProxyKeys, headers: &HeaderMap) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
    if !keys.accepts(headers) {
        return None;
    }
    let mut credential = HeaderMap::new();
    for name in CREDENTIAL_HEADERS {
        for value in headers.get_all(&name) {
            credential.append(name.clone(), value.clone());
        }
    }
    Some(Box::pin(async move {
        while keys.accepts(&credential) {
            tokio::time::sleep(CHECK_INTERVAL).await;
        }
    }))
}

impl<B: Body<Data = Bytes, Error = BoxError>> Body for RevocableBody<B> {
    type Data = Bytes;
    type Error = BoxError;

    /// Returns the next frame, or an error if the key is revoked.
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        // First, because a body that is always ready must be cut too.
        if let Some(revoked) = this.revoked
            && revoked.as_mut().poll(cx).is_ready()
        {
            *this.revoked = None;
            return Poll::Ready(Some(Err("the key of the call was revoked or has expired".into())));
        }
        this.inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
