//! The usage of all proxy keys at the operator listener, for requests with the operator token.
use std::convert::Infallible;
use std::future;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Either, Full};
use tower::{BoxError, Service, ServiceBuilder, service_fn};
use tower_api_key_name::proxy_keys::ProxyKeys;

use super::credential_headers::{CREDENTIAL_HEADERS, X_API_KEY};
use super::usage::{LedgerUsageApi, with_usage};
use crate::coding;
use crate::http_service::HttpService;
use crate::stack::checks::with_request_checks;
use crate::stack::errors::{ErrorFormat, with_error_responses};
use crate::stack::log::with_log;
use crate::upstream::failure::Failure;

/// The body of a response to the holder of the operator token.
type OperatorBody = UnsyncBoxBody<Bytes, BoxError>;

/// Returns a service that serves requests with the operator token from the ledger. The inner service receives all other
/// requests, and never the token. Without a usage API there is no token.
pub fn with_operator_usage<A, B>(
    mut inner: impl HttpService<A, B, Infallible>,
    usage_api: Option<LedgerUsageApi>,
) -> impl HttpService<A, Either<OperatorBody, B>, Infallible>
where
    A: Send + 'static,
    B: Body<Data = Bytes, Error = BoxError> + Send + 'static,
{
    let mut operator_side = usage_api.map(|api| (api.keys().clone(), usage_stack(api)));
    service_fn(move |request: Request<A>| {
        let future = match &mut operator_side {
            Some((keys, usage_stack)) if has_operator_token(keys, request.headers()) => {
                Either::Left(usage_stack.call(request))
            }
            _ => Either::Right(inner.call(request)),
        };
        async move {
            match future {
                Either::Left(usage) => Ok(usage.await?.map(Either::Left)),
                Either::Right(other) => Ok(other.await?.map(Either::Right)),
            }
        }
    })
}

/// Builds the stack that serves the usage, and an error for all other requests.
fn usage_stack<A: Send + 'static>(api: LedgerUsageApi) -> impl HttpService<A, OperatorBody, Infallible> {
    let keys = api.keys().clone();
    let other_requests = service_fn(move |request: Request<A>| {
        let response = refuse(&keys, &request).map(|body| body.map_err(BoxError::from));
        future::ready(Ok::<_, Failure>(response))
    });
    ServiceBuilder::new()
        .map_response(|response: Response<_>| response.map(BodyExt::boxed_unsync))
        .layer_fn(with_log)
        .layer_fn(with_request_checks)
        .layer_fn(coding::with_compression)
        .layer_fn(with_error_responses)
        .layer_fn(move |inner| with_usage(inner, api.clone()))
        .service(other_requests)
}

/// Returns the error for a request with the operator token that is not served from the ledger.
fn refuse<A>(keys: &ProxyKeys, request: &Request<A>) -> Response<Full<Bytes>> {
    let form = ErrorFormat::for_path(request.uri().path());
    if keys.is_operator(request.headers()) {
        let message = "With the operator token, this address serves GET /v1/organization/costs and GET \
                       /v1/organization/usage/{completions, embeddings, moderations, images}. Other paths need a \
                       credential of the API.";
        return form.response(StatusCode::NOT_FOUND, "not_found", message);
    }
    let message = "The operator token must be the only credential of a request: Authorization: Bearer TOKEN.";
    form.response(StatusCode::UNAUTHORIZED, "invalid_api_key", message)
}

/// True if a credential of the request contains the operator token, also beside another credential or in another form than
/// the usage API accepts: the token must not be sent to a provider.
fn has_operator_token(keys: &ProxyKeys, headers: &HeaderMap) -> bool {
    let credentials = CREDENTIAL_HEADERS.into_iter().flat_map(|name| headers.get_all(name));
    for credential in credentials {
        // A token contains none of these bytes.
        for word in credential.as_bytes().split(|byte| matches!(byte, b' ' | b'\t' | b',')) {
            if is_operator_token(keys, word) {
                return true;
            }
        }
    }
    false
}

/// True if a word is the operator token.
fn is_operator_token(keys: &ProxyKeys, word: &[u8]) -> bool {
    let Ok(value) = HeaderValue::from_bytes(word) else { return false };
    let mut headers = HeaderMap::new();
    headers.insert(X_API_KEY, value);
    keys.is_operator(&headers)
}
