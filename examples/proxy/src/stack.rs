//! The stack of Tower layers, from the client's side to the upstream's. Requests go down, responses go up.
pub mod errors;
pub mod log;
pub mod route;
pub mod scope;
pub mod timeouts;

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tower::{BoxError, Service, ServiceBuilder};
use tower_api_key_name::{ApiKeyNameLayer, SharedKeyNames};

use super::settings::ProxySettings;
use super::{coding, upstream};
use errors::with_error_responses;
use log::with_log;
use route::with_routes;
use timeouts::with_timeouts;

/// A service of the stack. It is always ready, so a layer calls the inner service without waiting.
pub trait HttpService<A, B, E>:
    Service<Request<A>, Response = Response<B>, Error = E, Future: Send + 'static> + Clone + Send + 'static
{
}

impl<S, A, B, E> HttpService<A, B, E> for S where
    S: Service<Request<A>, Response = Response<B>, Error = E, Future: Send + 'static>
        + Clone
        + Send
        + 'static
{
}

/// Builds the stack. An error means that the TLS configuration cannot be made.
pub fn stack(
    names: SharedKeyNames,
    settings: &ProxySettings,
) -> Result<
    impl Service<
        Request<Incoming>,
        Response = Response<impl Body<Data = Bytes, Error = BoxError> + Send + use<>>,
        Error = Infallible,
        Future: Send,
    >
    + Clone
    + Send
    + 'static
    + use<>,
    BoxError,
> {
    let mut naming =
        ApiKeyNameLayer::new(names.clone()).unmatched(settings.unmatched).on_outcome(log::store_outcome);
    if let Some(limit) = settings.limit {
        naming = naming.limit(limit);
    }
    if let Some(total_limit) = settings.total_limit {
        naming = naming.total_limit(total_limit);
    }

    let ProxySettings { timeout, deadline, .. } = *settings;
    Ok(ServiceBuilder::new()
        // Outermost: the log line has the response that the client receives, from any layer.
        .layer_fn(with_log)
        // Above all work: a path out of scope never reaches the upstream.
        .layer_fn(move |inner| with_routes(inner, names.clone()))
        // Above the naming layer, which removes Accept-Encoding. Compression reads that header first.
        .layer_fn(coding::with_compression)
        // Above the naming layer: a body that fails while it is buffered becomes a 502 or 504 (`Skip::BodyFailed`).
        .layer_fn(with_error_responses)
        // Names. Above the forwarding layer, which changes the path, because its scope is the client's path.
        .layer(naming)
        // Below the naming layer, which reads plain JSON. Requests gzip and brotli from the upstream.
        .map_request(coding::request_codings)
        .and_then(coding::decode)
        // Below the naming layer: while that buffers a body, layers above it do not see whether the upstream sends.
        .layer_fn(move |inner| with_timeouts(inner, timeout, deadline))
        // Changes the headers for the next hop, and sends requests again that the upstream did not process.
        .service(upstream::service(settings)?))
}
