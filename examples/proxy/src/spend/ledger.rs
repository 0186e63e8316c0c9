//! The costs in the ledger of proxy keys, which are read from the usage API in this process.
use std::future;
use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use jiff::Timestamp;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceBuilder, service_fn};
use tower_api_key_name::settings::Unmatched;
use tower_api_key_name::{ApiKeyNameLayer, SharedKeyNames};

use super::cost_api::ledger::COST_API;
use super::cost_upstream::{CostUpstream, SpendService};
use super::query::SpendQuery;
use super::report::SpendReport;
use super::run::run_with_retries;
use super::run_state::SpendProgress;
use crate::proxy_keys::usage::{LedgerUsageApi, with_usage};
use crate::stack::errors::{ErrorFormat, with_error_responses};
use crate::upstream::failure::Failure;

/// The longest time between the first failure of a page and its last retry. A file that cannot be read stays so.
const RETRY_TIMEOUT: Duration = Duration::from_secs(5);

/// The costs in a ledger, as far as the holder of a credential may read them.
#[derive(Clone)]
pub struct LedgerCosts {
    api: LedgerUsageApi,
    headers: HeaderMap,
}

impl LedgerCosts {
    /// Creates the costs that the holder of this operator token may read. Returns `None` for another credential.
    pub fn with_token(api: LedgerUsageApi, token: &str) -> Option<Self> {
        let mut credential = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
        credential.set_sensitive(true);
        let headers = HeaderMap::from_iter([(AUTHORIZATION, credential)]);
        if api.keys().is_operator(&headers) { Some(Self { api, headers }) } else { None }
    }

    /// Reads the costs of a query. Parts that cannot be read are listed in the report.
    pub async fn read_report(
        self,
        query: SpendQuery,
        now: Timestamp,
        on_progress: impl Fn(SpendProgress),
    ) -> SpendReport {
        let service = build_service(self.api);
        let upstream = CostUpstream { api: &COST_API, service, headers: self.headers };
        run_with_retries(query, vec![upstream], now, RETRY_TIMEOUT, on_progress).await
    }
}

/// Builds the stack of the usage API without a listener.
fn build_service(api: LedgerUsageApi) -> SpendService {
    // An id without a name must not look like a key that is called "unknown".
    let naming_layer = ApiKeyNameLayer::new(SharedKeyNames::default()).unmatched(Unmatched::Null);
    let named_api = api.with_naming_layer(naming_layer);
    let other_requests = service_fn(|_: Request<Option<Incoming>>| {
        let message = "This is no path of the usage API.";
        let response = ErrorFormat::OpenAi.response(StatusCode::NOT_FOUND, "not_found", message);
        future::ready(Ok::<_, Failure>(response.map(|body: Full<Bytes>| body.map_err(BoxError::from))))
    });
    let stack = ServiceBuilder::new()
        .map_response(|response: http::Response<_>| response.map(BodyExt::boxed_unsync))
        .layer_fn(with_error_responses)
        .layer_fn(move |inner| with_usage(inner, named_api.clone()))
        .service(other_requests);
    BoxCloneSyncService::new(stack)
}
