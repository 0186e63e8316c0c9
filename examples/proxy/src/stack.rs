//! The stack of Tower layers, from the client's side to the upstream's. Requests go down, responses go up.
pub mod checks;
pub mod errors;
pub mod log;
pub mod measure;
pub mod route;
pub mod scope;
pub mod timeouts;

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tower::{BoxError, Service, ServiceBuilder};
use tower_api_key_name::names::Provider;
use tower_api_key_name::settings::ErrorForm;
use tower_api_key_name::{ApiKeyNameLayer, SharedKeyNames};

use super::by_provider::ByProvider;
use super::settings::ProxySettings;
use super::{coding, upstream};
use errors::with_error_responses;
use log::with_log;
use measure::with_upstream_metrics;
use route::with_routes;
use timeouts::with_timeouts;

/// Builds the stack that serves clients. An error means that the TLS configuration cannot be made.
pub fn stack(
    names: ByProvider<SharedKeyNames>,
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
    let provider_stacks = provider_stacks(names, settings)?;
    Ok(ServiceBuilder::new()
        // Outermost: the log line has the response that the client receives, from any layer.
        .layer_fn(with_log)
        // Above all work: a path out of scope never reaches the upstream.
        .layer_fn(with_routes)
        // Each provider has its own names, base URL and connections.
        .service(provider_stacks))
}

/// Builds the stack of each provider, which also serves requests of the proxy itself: their body is `None`.
/// An error means that the TLS configuration cannot be made.
#[expect(clippy::type_complexity, reason = "the types of the layers have no shorter names")]
pub fn provider_stacks(
    names: ByProvider<SharedKeyNames>,
    settings: &ProxySettings,
) -> Result<
    ByProvider<
        impl Service<
            Request<Option<Incoming>>,
            Response = Response<impl Body<Data = Bytes, Error = BoxError> + Send + use<>>,
            Error = Infallible,
            Future: Send,
        >
        + Clone
        + Send
        + 'static
        + use<>,
    >,
    BoxError,
> {
    let ProxySettings { timeout, deadline, .. } = *settings;
    let naming_layer = naming_layer(settings).labels(settings.labels.clone());
    // The first stack is that of clients.
    let _ = settings.metrics.naming_layer.set(naming_layer.clone());
    ByProvider::try_new(|provider| {
        let upstream_metrics = settings.metrics.upstream.clone();
        let layers = ServiceBuilder::new()
            // Above the naming layer, which removes Accept-Encoding. Compression reads that header first.
            .layer_fn(coding::with_compression)
            // Below compression. The naming layer removes the hidden header, unless it leaves the request as it is.
            .map_request(coding::hide_accept_encoding)
            // Above the naming layer: a body that fails while it is buffered becomes a 502 or 504 (`Skip::BodyFailed`).
            .layer_fn(with_error_responses)
            // Names. Above the forwarding layer, which changes the path, because its scope is the client's path.
            .layer(naming_layer.clone().names(names.get(provider).clone()).error_form(error_form(provider)))
            // Below the naming layer, which reads plain JSON. Requests gzip and brotli from the upstream.
            .layer_fn(coding::with_decoding)
            // Above the timeouts, which are failures of the upstream.
            .layer_fn(move |inner| with_upstream_metrics(inner, upstream_metrics.clone(), "organization"))
            // Below the naming layer: while that buffers a body, layers above it do not see whether the upstream sends.
            .layer_fn(move |inner| with_timeouts(inner, timeout, deadline));
        // Changes the headers for the next hop, and sends requests again that the upstream did not process.
        Ok::<_, BoxError>(layers.service(upstream::service(&settings.upstream(provider))?))
    })
}

/// Returns the form of the errors of a provider's API.
fn error_form(provider: Provider) -> ErrorForm {
    match provider {
        Provider::Anthropic => ErrorForm::Anthropic,
        _ => ErrorForm::OpenAi,
    }
}

/// Returns the naming layer with these settings, without names, and with the label of keys only. Its clones share the total
/// limit.
pub fn naming_layer(settings: &ProxySettings) -> ApiKeyNameLayer {
    // Not all metrics, which refer to the layer.
    let responses = settings.metrics.responses.clone();
    let mut layer = ApiKeyNameLayer::new(SharedKeyNames::default())
        .insert_names(settings.insert_names)
        .name_position(settings.name_position)
        .prefer(settings.prefer)
        .unmatched(settings.unmatched)
        // Without a limit, the bytes are counted for the metrics.
        .total_limit(settings.total_limit.unwrap_or(usize::MAX))
        .on_outcome(move |outcome, request| {
            log::store_outcome(outcome, request);
            responses.record(outcome, request);
        });
    if let Some(limit) = settings.limit {
        layer = layer.limit(limit);
    }
    layer
}
