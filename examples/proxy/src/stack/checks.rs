//! The checks of the requests that this process serves itself.
use std::convert::Infallible;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{Either, Full};
use tower::service_fn;

use super::errors::ErrorFormat;
use super::route::{reject_host_count, reject_overload, without_body};
use crate::http_service::HttpService;

/// Returns a service that rejects requests without exactly one Host header, and those beyond `--max-in-flight`.
pub fn with_request_checks<A, B: Send + 'static>(
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
