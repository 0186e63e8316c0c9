//! The layers that count requests for the metrics.
use std::convert::Infallible;
use std::time::Instant;

use http::Request;
use tower::service_fn;

use crate::http_service::HttpService;
use crate::metrics::calls::{CallMetrics, provider_of_request};
use crate::metrics::upstream::{ApiLabels, UpstreamMetrics};
use crate::upstream::failure::Failure;

/// Returns a service that counts the requests to an upstream, with the time until their response headers. `api` is the kind
/// of the API. A request whose client disconnects before is not counted.
pub fn with_upstream_metrics<A, B>(
    mut inner: impl HttpService<A, B, Failure> + Sync,
    metrics: UpstreamMetrics,
    api: &'static str,
) -> impl HttpService<A, B, Failure> + Sync {
    service_fn(move |request: Request<A>| {
        let labels = ApiLabels { provider: provider_of_request(&request), api };
        let metrics = metrics.clone();
        let start = Instant::now();
        let future = inner.call(request);
        async move {
            let result = future.await;
            match &result {
                Ok(response) => metrics.record_response(labels, response.status(), start.elapsed()),
                Err(failure) => metrics.record_failure(labels, failure.reason()),
            }
            result
        }
    })
}

/// Returns a service that counts the responses to clients with proxy keys.
pub fn with_call_metrics<A, B>(
    mut inner: impl HttpService<A, B, Infallible>,
    metrics: CallMetrics,
) -> impl HttpService<A, B, Infallible> {
    service_fn(move |request: Request<A>| {
        let provider = provider_of_request(&request);
        let metrics = metrics.clone();
        let future = inner.call(request);
        async move {
            let response = future.await?;
            metrics.record(provider, response.status());
            Ok(response)
        }
    })
}
