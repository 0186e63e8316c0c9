//! The stack of the main listener with `--keys`.
use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Body;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use tower::{BoxError, Service, ServiceBuilder, service_fn};
use tower_api_key_name::proxy_keys::{ProxyKeyLayer, ProxyKeys};

use super::revocation::with_revocation;
use crate::coding;
use crate::http_service::HttpService;
use crate::settings::Roots;
use crate::stack::errors::{ErrorFormat, with_error_responses};
use crate::stack::log::with_log;
use crate::stack::route::{reject_host_count, reject_overload, without_body};
use crate::stack::timeouts::with_response_timeout;
use crate::upstream;

/// The limits of calls to the upstreams.
#[derive(Clone, Debug)]
pub struct CallSettings {
    pub connect_timeout: Duration,
    pub response_timeout: Duration,
    pub roots: Roots,
    /// The keys whose revocation cuts their open streams. `None`: no stream is cut.
    pub cutting_keys: Option<ProxyKeys>,
}

/// Builds the stack that serves calls with proxy keys.
pub fn key_stack(
    layer: ProxyKeyLayer,
    settings: CallSettings,
) -> impl Service<
    Request<Incoming>,
    Response = Response<impl Body<Data = Bytes, Error = BoxError> + Send + use<>>,
    Error = Infallible,
    Future: Send,
>
+ Clone
+ Send
+ Sync
+ 'static
+ use<> {
    let CallSettings { connect_timeout, response_timeout, roots, cutting_keys } = settings;
    ServiceBuilder::new()
        // Outermost: the log line has the response that the client receives, from any layer.
        .layer_fn(with_log)
        .layer_fn(with_request_checks)
        .layer_fn(move |inner| with_revocation(inner, cutting_keys.clone()))
        // Above the library's layer: a call that failed before its response headers is charged nothing.
        .layer_fn(with_error_responses)
        .layer(layer)
        // Below the library's layer, which reads plain bytes.
        .layer_fn(coding::with_decoding)
        .layer_fn(move |inner| with_response_timeout(inner, response_timeout))
        .service(upstream::service_by_origin(connect_timeout, roots))
}

/// Returns a service that rejects requests without exactly one Host header, and those beyond `--max-in-flight`.
fn with_request_checks<A, B: Send + 'static>(
    mut inner: impl HttpService<A, B, Infallible>,
) -> impl HttpService<A, Either<Full<Bytes>, B>, Infallible> {
    service_fn(move |request: Request<A>| {
        let is_head = *request.method() == Method::HEAD;
        let rejection = reject_host_count(&request)
            .or_else(|| reject_overload(&request, ErrorFormat::for_request(&request)));
        let local_or_called = match rejection {
            Some(response) => Either::Left(response),
            None => Either::Right(inner.call(request)),
        };
        async move {
            let response = match local_or_called {
                Either::Left(local_response) => local_response.map(Either::Left),
                Either::Right(future) => future.await?.map(Either::Right),
            };
            Ok(if is_head { without_body(response) } else { response })
        }
    })
}
