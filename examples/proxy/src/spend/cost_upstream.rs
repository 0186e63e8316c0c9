//! The stack and the credential for requests to a provider's API of costs.
use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt};
use tower_api_key_name::directory::AdminKey;
use tower_api_key_name::names::{KeyNames, Provider};

use super::cost_api::CostApi;
use crate::by_provider::ByProvider;
use crate::settings::ProxySettings;
use crate::stack;

/// The body of a provider's response.
pub type SpendBody = UnsyncBoxBody<Bytes, BoxError>;

/// The stack of a provider, for requests of the proxy itself.
pub type SpendService = BoxCloneSyncService<Request<Option<Incoming>>, Response<SpendBody>, Infallible>;

/// The stack and the credential for requests to a provider's API of costs.
pub struct CostUpstream {
    pub api: &'static CostApi,
    /// The stack, with the labels of the query. An id without a name has the name null.
    pub service: SpendService,
    /// The credential, and the version of the API.
    pub headers: HeaderMap,
}

/// Builds the upstream of each of the providers whose key is given.
///
/// An error means that a key can no longer be read, or that TLS cannot be configured.
pub async fn build_upstreams(
    providers: &[Provider],
    keys: &ByProvider<Option<AdminKey>>,
    names: ByProvider<KeyNames>,
    settings: &ProxySettings,
) -> Result<Vec<CostUpstream>, BoxError> {
    let shared_names = ByProvider { openai: names.openai.into(), anthropic: names.anthropic.into() };
    let stacks = stack::provider_stacks(shared_names, settings)?;
    let mut upstreams = Vec::new();
    for provider in providers.iter().copied() {
        let Some(key) = keys.get(provider) else { continue };
        let headers = key.headers(provider).await?;
        let stack = stacks.get(provider).clone();
        let service =
            BoxCloneSyncService::new(stack.map_response(|response| response.map(BodyExt::boxed_unsync)));
        upstreams.push(CostUpstream { api: CostApi::of(provider), service, headers });
    }
    Ok(upstreams)
}
