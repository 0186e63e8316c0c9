//! The operator's paths: `/health`, and the page `/spend` with its files.
//!
//! ```text
//! main listener ─────▶ with_operator ─┬─▶ Operator ─▶ health, spend
//!                                     └─▶ stack (the APIs)
//! operator listener ─▶ service ─────────▶ Operator ─▶ health, spend
//! ```
//!
//! Without `--operator-listen` the main listener serves them. With it, the operator listener does, and the main listener
//! has only the liveness of `/health`.
pub mod flags;
mod health;
pub mod hosts;
mod spend;

use std::convert::Infallible;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use tower::{BoxError, Service, service_fn};
use tower_api_key_name::SharedKeyNames;

use crate::by_provider::ByProvider;
use crate::http_service::HttpService;
use crate::spend_page::PageBody;
use crate::stack::errors::ErrorFormat;
use crate::stack::log::{LogBody, with_log};
use crate::stack::route::{reject_host_count, without_body};
use hosts::PageHosts;

/// The operator's paths that one listener serves.
#[derive(Clone)]
pub struct Operator {
    /// The names whose state `/health` reports. `None`: `/health` reports only liveness.
    names: Option<ByProvider<SharedKeyNames>>,
    /// `None`: `/spend` is not served.
    page_hosts: Option<PageHosts>,
}

impl Operator {
    /// Serves all paths of operators, and the page only with `page_hosts`.
    pub fn new(names: ByProvider<SharedKeyNames>, page_hosts: Option<PageHosts>) -> Self {
        Self { names: Some(names), page_hosts }
    }

    /// Serves only liveness, on a main listener beside an operator listener.
    pub fn liveness() -> Self {
        Self { names: None, page_hosts: None }
    }

    /// True if this path is one of the operator's.
    fn has_path(&self, path: &str) -> bool {
        path == "/health" || self.page_hosts.is_some() && path.starts_with("/spend")
    }

    /// Returns the response to an operator's request, or a 404 for another path.
    async fn respond(self, request: Request<Incoming>) -> Result<Response<PageBody>, Infallible> {
        let is_head = *request.method() == Method::HEAD;
        let response = match reject_host_count(&request) {
            Some(rejection) => rejection.map(Either::Left),
            None => self.respond_to_path(request).await,
        };
        Ok(if is_head { without_body(response) } else { response })
    }

    /// Returns the response of a path. A response to HEAD has a body here.
    async fn respond_to_path(&self, request: Request<Incoming>) -> Response<PageBody> {
        let path = request.uri().path();
        if path == "/health" {
            return self.respond_with_health(request.method()).map(Either::Left);
        }
        match &self.page_hosts {
            Some(hosts) if path.starts_with("/spend") => spend::respond(request, hosts).await,
            _ => {
                let message =
                    "This address serves only the paths of operators. The APIs are at the main address.";
                ErrorFormat::OpenAi.response(StatusCode::NOT_FOUND, "not_found", message).map(Either::Left)
            }
        }
    }

    /// Returns the health of the process, with the state of the names if this listener has them.
    fn respond_with_health(&self, method: &Method) -> Response<Full<Bytes>> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return ErrorFormat::OpenAi.method_not_allowed("GET, HEAD");
        }
        match &self.names {
            Some(names) => health::details(names),
            None => health::liveness(),
        }
    }
}

/// Returns the service of the operator listener.
pub fn service(operator: Operator) -> impl HttpService<Incoming, LogBody<PageBody>, Infallible> {
    with_log(service_fn(move |request| operator.clone().respond(request)))
}

/// Returns the service of the main listener: the operator's paths that it has, and the stack for all other requests.
pub fn with_operator<B>(
    mut stack: impl HttpService<Incoming, B, Infallible>,
    operator: Operator,
) -> impl HttpService<Incoming, Either<LogBody<PageBody>, B>, Infallible>
where
    B: Body<Data = Bytes, Error = BoxError> + Send + 'static,
{
    let mut operator_service = service(operator.clone());
    service_fn(move |request: Request<Incoming>| {
        let response_future = if operator.has_path(request.uri().path()) {
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
