//! The stack, from the client's side to the upstream's: a request goes down it, an answer up.
mod error_form;
pub mod errors;
pub mod timeouts;
mod upload;

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tower::{BoxError, Service, ServiceBuilder};
use tower_api_key_name::{ApiKeyNameLayer, SharedKeyNames, Unmatched};

use super::base::Base;
use super::coding::CodingLayer;
use super::decoding::DecodingLayer;
use super::forward::ForwardLayer;
use super::log::{self, LogLayer};
use super::route::RouteLayer;
use super::upstream::{self, Roots};
use errors::Errors;
use timeouts::Timeouts;

/// What the stack is built from; the flags, or a test, make it.
#[derive(Clone, Debug)]
pub struct Settings {
    pub base: Base,
    pub timeout: Duration,
    pub deadline: Duration,
    pub limit: Option<usize>,
    pub total_limit: Option<usize>,
    pub unmatched: Unmatched,
    pub roots: Roots,
}

pub fn stack(
    names: SharedKeyNames,
    settings: &Settings,
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
    let mut naming = ApiKeyNameLayer::new(names.clone()).unmatched(settings.unmatched).on_outcome(log::note);
    if let Some(limit) = settings.limit {
        naming = naming.limit(limit);
    }
    if let Some(total_limit) = settings.total_limit {
        naming = naming.total_limit(total_limit);
    }

    let (timeout, deadline) = (settings.timeout, settings.deadline);
    Ok(ServiceBuilder::new()
        // One line a request, whatever answered it: outermost, so that it sees what the client sees.
        .layer(LogLayer)
        // Answers /health; refuses what is not ours before anything is asked of the upstream.
        .layer(RouteLayer::new(names))
        // Above the naming layer, which takes Accept-Encoding off: this one has to read it first.
        .layer(CodingLayer)
        // Failures become answers. Above the naming layer, for a body that fails while that layer still
        // holds it (`Skip::BodyFailed`) can still become a 502 or 504: no head is out.
        .layer_fn(Errors::new)
        // The names. Its scope is the path as the client wrote it; forward.rs rewrites it later.
        .layer(naming)
        // Below the naming layer, which reads plain JSON. Asks for what it can decode, gzip and brotli.
        .layer(DecodingLayer)
        // Below the naming layer: while that holds a body, nobody above sees its silence.
        .layer_fn(move |inner| Timeouts::new(inner, timeout, deadline))
        // The last that changes a head: what belongs to one connection goes, Via comes.
        .layer(ForwardLayer::new(&settings.base))
        .service(upstream::client(settings)?))
}
