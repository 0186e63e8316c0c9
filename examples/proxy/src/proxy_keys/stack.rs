//! The stack of the main listener with `--keys`.
use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tower::{BoxError, Service, ServiceBuilder};
use tower_api_key_name::proxy_keys::{ProxyKeyLayer, ProxyKeys};

use super::revocation::with_revocation;
use super::usage::{LedgerUsageApi, with_usage};
use crate::coding;
use crate::metrics::Metrics;
use crate::settings::Roots;
use crate::stack::checks::with_request_checks;
use crate::stack::errors::with_error_responses;
use crate::stack::log::with_log;
use crate::stack::measure::{with_call_metrics, with_upstream_metrics};
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
    pub metrics: Metrics,
}

/// Builds the stack that serves calls with proxy keys, and their usage.
pub fn key_stack(
    layer: ProxyKeyLayer,
    usage_api: LedgerUsageApi,
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
    let CallSettings { connect_timeout, response_timeout, roots, cutting_keys, metrics } = settings;
    let Metrics { proxy_key_calls, upstream: upstream_metrics, .. } = metrics;
    ServiceBuilder::new()
        // Outermost: the log line has the response that the client receives, from any layer.
        .layer_fn(with_log)
        .layer_fn(move |inner| with_call_metrics(inner, proxy_key_calls.clone()))
        .layer_fn(with_request_checks)
        .layer_fn(move |inner| with_revocation(inner, cutting_keys.clone()))
        // Above the library's layer: a call that failed before its response headers is charged nothing.
        .layer_fn(with_error_responses)
        // Above the library's layer, which refuses the paths of the organization API.
        .layer_fn(move |inner| with_usage(inner, usage_api.clone()))
        .layer(layer)
        // Below the library's layer, which reads plain bytes.
        .layer_fn(coding::with_decoding)
        .layer_fn(move |inner| with_upstream_metrics(inner, upstream_metrics.clone(), "calls"))
        .layer_fn(move |inner| with_response_timeout(inner, response_timeout))
        .service(upstream::service_by_origin(connect_timeout, roots))
}
