//! The usage of proxy keys in the shapes of OpenAI's organization API, with the names of the keys file.
//!
//! ```text
//! request ─▶ with_usage ─┬─▶ ApiKeyName ─▶ UsageService (the library) ─▶ ledger
//!                        └─▶ inner service: without a valid credential, and for other paths
//! ```
use bytes::Bytes;
use http::Request;
use http_body::Body;
use http_body_util::Either;
use tower::{BoxError, Service, ServiceBuilder, service_fn};
use tower_api_key_name::proxy_keys::{ProxyKeys, UsageBody, UsageLayer, UsageSource};
use tower_api_key_name::{ApiKeyNameLayer, ResponseBody};

use crate::http_service::HttpService;
use crate::stack::scope::is_in_scope;
use crate::upstream::failure::Failure;

/// The usage in a ledger, and the keys whose callers may read it. Clones share the limits on responses in flight.
#[derive(Clone)]
pub struct LedgerUsageApi {
    keys: ProxyKeys,
    usage_layer: UsageLayer,
    naming_layer: ApiKeyNameLayer,
}

/// The body of a usage response, or of the inner service.
pub type NamedUsageBody<B> = Either<ResponseBody<UsageBody<B>>, B>;

impl LedgerUsageApi {
    /// Serves the usage in a ledger to callers with these keys, as far as the scope of each key permits. With an operator token,
    /// the handle of the keys also accepts its holder, who may read all usage.
    ///
    /// `naming_layer` has the settings of the names. The names are those of the keys.
    pub fn new(keys: ProxyKeys, ledger: impl Into<UsageSource>, naming_layer: ApiKeyNameLayer) -> Self {
        let usage_layer = UsageLayer::new(keys.clone(), ledger);
        Self { naming_layer: naming_layer.names(keys.names()), usage_layer, keys }
    }

    /// Replaces the settings of the names.
    pub fn with_naming_layer(self, naming_layer: ApiKeyNameLayer) -> Self {
        Self { naming_layer: naming_layer.names(self.keys.names()), ..self }
    }

    /// The keys, with the operator token if there is one.
    pub fn keys(&self) -> &ProxyKeys {
        &self.keys
    }

    /// True if the caller of a request may read some usage.
    fn accepts<A>(&self, request: &Request<A>) -> bool {
        self.keys.accepts(request.headers()) || self.keys.is_operator(request.headers())
    }
}

/// Returns a service that serves the usage to callers who may read some of it. The inner service receives other requests.
pub fn with_usage<A, B>(
    mut inner: impl HttpService<A, B, Failure>,
    api: LedgerUsageApi,
) -> impl HttpService<A, NamedUsageBody<B>, Failure>
where
    B: Body<Data = Bytes, Error = BoxError> + Send + 'static,
{
    let mut usage_service = ServiceBuilder::new()
        .layer(api.naming_layer.clone())
        .layer(api.usage_layer.clone())
        .service(inner.clone());
    service_fn(move |request: Request<A>| {
        // The naming layer would refuse a filter by name before the gate refuses the credential.
        let is_for_caller = is_in_scope(request.uri().path()) && api.accepts(&request);
        let future = if is_for_caller {
            Either::Left(usage_service.call(request))
        } else {
            Either::Right(inner.call(request))
        };
        async move {
            match future {
                Either::Left(usage) => Ok(usage.await?.map(Either::Left)),
                Either::Right(other) => Ok(other.await?.map(Either::Right)),
            }
        }
    })
}
