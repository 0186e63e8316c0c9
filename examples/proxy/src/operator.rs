//! The operator's paths: `/health`, `/ready`, `/metrics`, and the page `/spend` with its files.
//!
//! ```text
//! without --operator-listen:
//!   main listener ─────▶ with_operator ─┬─▶ OperatorPaths: /health and /ready with details, /metrics, /spend
//!                                       └─▶ stack: all other paths
//!
//! with --operator-listen:
//!   main listener ─────▶ with_operator ─┬─▶ OperatorPaths: /health without details, /ready without reasons
//!                                       └─▶ stack: all other paths
//!   operator listener ─▶ service ─────────▶ OperatorPaths: /health and /ready with details, /metrics, /spend,
//!                                           404 for all other paths
//!
//! with --operator-listen and --keys:
//!   main listener ─────▶ with_operator ─┬─▶ OperatorPaths: /health without details, /ready without reasons
//!                                       └─▶ proxy_keys: all other paths
//!   operator listener ─▶ with_operator ─┬─▶ OperatorPaths: /health and /ready with details, /metrics, /spend
//!                                       └─▶ operator_usage: the usage in the ledger, for the operator token
//!                                           └─▶ stack: all other paths
//! ```
pub mod flags;
mod health;
pub mod hosts;
mod metrics_path;
mod readiness;
mod spend_paths;

use std::convert::Infallible;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use tower::{BoxError, Service, service_fn};
use tower_api_key_name::SharedKeyNames;
use tower_api_key_name::proxy_keys::ProxyKeys;

use crate::by_provider::ByProvider;
use crate::http_service::HttpService;
use crate::spend_page::PageBody;
use crate::stack::errors::ErrorFormat;
use crate::stack::log::{LogBody, with_log};
use crate::stack::route::{reject_host_count, without_body};
pub use metrics_path::MetricsWithHosts;
pub use readiness::Readiness;
pub use spend_paths::PageWithHosts;
use spend_paths::insert_security_headers;

/// The operator's paths that one listener serves.
#[derive(Clone)]
pub struct OperatorPaths {
    /// The names whose state `/health` reports. `None`: `/health` reports only liveness.
    names: Option<ByProvider<SharedKeyNames>>,
    /// The proxy keys whose state `/health` reports beside that of the names.
    keys: Option<ProxyKeys>,
    /// `None`: `/ready` is not served.
    readiness: Option<Readiness>,
    /// `None`: `/metrics` is not served.
    metrics: Option<MetricsWithHosts>,
    /// `None`: `/spend` is not served.
    page: Option<PageWithHosts>,
}

impl OperatorPaths {
    /// Creates the paths with the details of `/health`, and `/spend` if there is a page. Other paths are added by the methods
    /// below.
    pub fn with_details(names: ByProvider<SharedKeyNames>, page: Option<PageWithHosts>) -> Self {
        Self { names: Some(names), keys: None, readiness: None, metrics: None, page }
    }

    /// Creates the paths of a main listener beside an operator listener: `/health` without details.
    pub fn liveness_only() -> Self {
        Self { names: None, keys: None, readiness: None, metrics: None, page: None }
    }

    /// Adds the state of proxy keys to the details of `/health`.
    pub fn with_proxy_keys(self, keys: ProxyKeys) -> Self {
        Self { keys: Some(keys), ..self }
    }

    /// Adds `/ready`. It has the reasons only if this listener has the details of `/health`.
    pub fn with_readiness(self, readiness: Readiness) -> Self {
        Self { readiness: Some(readiness), ..self }
    }

    /// Adds `/metrics`.
    pub fn with_metrics(self, metrics: MetricsWithHosts) -> Self {
        Self { metrics: Some(metrics), ..self }
    }

    /// True if this listener serves the path as one of the operator's.
    fn has_path(&self, path: &str) -> bool {
        match path {
            "/health" => true,
            "/ready" => self.readiness.is_some(),
            "/metrics" => self.metrics.is_some(),
            _ => self.page_of(path).is_some(),
        }
    }

    /// Returns the page if the path belongs to the page, and this listener serves it.
    fn page_of(&self, path: &str) -> Option<&PageWithHosts> {
        if path.starts_with("/spend") { self.page.as_ref() } else { None }
    }

    /// Returns the response to an operator's request, or a 404 for another path.
    async fn respond(self, request: Request<Incoming>) -> Result<Response<PageBody>, Infallible> {
        let is_head = *request.method() == Method::HEAD;
        let is_page = self.page_of(request.uri().path()).is_some();
        let mut response = match reject_host_count(&request) {
            Some(rejection) => rejection.map(Either::Left),
            None => self.respond_to_path(request).await,
        };
        if is_page {
            insert_security_headers(response.headers_mut());
        }
        Ok(if is_head { without_body(response) } else { response })
    }

    /// Returns the response of a path. The caller removes the body of a response to HEAD.
    async fn respond_to_path(&self, request: Request<Incoming>) -> Response<PageBody> {
        let path = request.uri().path();
        if matches!(path, "/health" | "/ready" | "/metrics") && self.has_path(path) {
            return self.respond_with_state(&request).map(Either::Left);
        }
        if let Some(page) = self.page_of(path) {
            return page.respond(request).await;
        }
        let message = "This address serves only the paths of operators. The APIs are at the main address.";
        ErrorFormat::OpenAi.response(StatusCode::NOT_FOUND, "not_found", message).map(Either::Left)
    }

    /// Returns the health, the readiness or the metrics of the process. `/ready` has
    /// its reasons where `/health` has its details.
    fn respond_with_state<A>(&self, request: &Request<A>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return ErrorFormat::OpenAi.method_not_allowed("GET, HEAD");
        }
        let path = request.uri().path();
        if path == "/ready"
            && let Some(readiness) = &self.readiness
        {
            return readiness.respond(self.names.is_some());
        }
        if path == "/metrics"
            && let Some(metrics) = &self.metrics
        {
            return metrics.respond(request);
        }
        self.respond_with_health()
    }

    /// Returns the health of the process, with the state of the names if this listener has them.
    fn respond_with_health(&self) -> Response<Full<Bytes>> {
        match &self.names {
            Some(names) => health::respond_with_details(names, self.keys.as_ref()),
            None => health::respond_with_liveness(),
        }
    }
}

/// Returns the service of the operator listener, which has only the operator's paths.
pub fn service(paths: OperatorPaths) -> impl HttpService<Incoming, LogBody<PageBody>, Infallible> {
    with_log(service_fn(move |request| paths.clone().respond(request)))
}

/// Returns the service of the main listener: these operator's paths, and the stack for all other requests.
pub fn with_operator<B>(
    mut stack: impl HttpService<Incoming, B, Infallible>,
    paths: OperatorPaths,
) -> impl HttpService<Incoming, Either<LogBody<PageBody>, B>, Infallible>
where
    B: Body<Data = Bytes, Error = BoxError> + Send + 'static,
{
    let mut operator_service = service(paths.clone());
    service_fn(move |request: Request<Incoming>| {
        let response_future = if paths.has_path(request.uri().path()) {
            Either::Left(operator_service.call(request))
        } else {
            Either::Right(stack.call(request))
        };
        async move {
            match response_future {
                Either::Left(future) => Ok(future.await?.map(Either::Left)),
                Either::Right(future) => Ok(future.await?.map(Either::Right)),
            }
        }
    })
}
