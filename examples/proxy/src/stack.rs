//! The stack of Tower layers, from the client's side to the upstream's. Requests go down, responses go up.
//!
//! `log` writes the access log. `route` rejects paths and methods that are not forwarded, with `scope` for the paths, and
//! responds to `/health` with `health`.
pub mod health;
pub mod log;
pub mod route;
pub mod scope;

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tower::{BoxError, Service, ServiceBuilder};
use tower_api_key_name::{ApiKeyNameLayer, SharedKeyNames};

use super::coding::CodingLayer;
use super::decoding::DecodingLayer;
use super::errors::ErrorsLayer;
use super::forward::ForwardLayer;
use super::settings::ProxySettings;
use super::timeouts::TimeoutsLayer;
use super::upstream;
use log::Log;
use route::Route;

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

    Ok(ServiceBuilder::new()
        // Outermost: the log line has the response that the client receives, from any layer.
        .layer_fn(Log::new)
        // Above all work: a path out of scope never reaches the upstream.
        .layer_fn(move |inner| Route::new(inner, names.clone()))
        // Above the naming layer, which removes Accept-Encoding. Compression reads that header first.
        .layer(CodingLayer)
        // Above the naming layer: while that buffers a body, no headers are out, and a failure of the body can still
        // become a 502 or 504 (`Skip::BodyFailed`).
        .layer(ErrorsLayer::new(settings.timeout))
        // Names. Above the forwarding layer, which changes the path, because its scope is the client's path.
        .layer(naming)
        // Below the naming layer, which reads plain JSON. Requests gzip and brotli from the upstream.
        .layer(DecodingLayer)
        // Below the naming layer: while that buffers a body, layers above it do not see whether the upstream sends.
        .layer(TimeoutsLayer::new(settings.timeout, settings.deadline))
        // Last to change headers: removes those of one connection, adds Via.
        .layer(ForwardLayer::new(&settings.base))
        .service(upstream::client(settings)?))
}
