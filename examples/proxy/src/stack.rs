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
use tower_http::decompression::DecompressionLayer;

use super::settings::ProxySettings;
use super::{coding, upstream};
use errors::Errors;
use log::Log;
use route::Route;
use timeouts::Timeouts;

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
        .layer_fn(Log)
        // Above all work: a path out of scope never reaches the upstream.
        .layer_fn(move |inner| Route { inner, names: names.clone() })
        // Above the naming layer, which removes Accept-Encoding. Compression reads that header first.
        .map_response(coding::finish_compression)
        .layer(coding::compression())
        // Above the naming layer: a body that fails while it is buffered becomes a 502 or 504 (`Skip::BodyFailed`).
        .layer_fn(Errors)
        // Names. Above the forwarding layer, which changes the path, because its scope is the client's path.
        .layer(naming)
        // Below the naming layer, which reads plain JSON. Requests gzip and brotli from the upstream.
        .map_response(coding::finish_decompression)
        .layer(DecompressionLayer::new())
        .map_response(coding::begin_decompression)
        // Below the naming layer: while that buffers a body, layers above it do not see whether the upstream sends.
        .layer_fn(move |inner| Timeouts { inner, timeout, deadline })
        // Changes the headers for the next hop, and sends requests again that the upstream did not process.
        .service(upstream::service(settings)?))
}
