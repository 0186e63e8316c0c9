//! The layer.

use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use super::service::{UsageService, UsageShared};
use super::slots::UsageSlots;
use crate::proxy_keys::keys::ProxyKeys;
use crate::proxy_keys::ledger::UsageSource;

/// Serves the usage in a ledger to the holders of proxy keys, in the form of OpenAI's usage API.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let hyper_util_client = tower::service_fn(|_: http::Request<http_body_util::Full<bytes::Bytes>>| async {
/// #     Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Empty::<bytes::Bytes>::new()))
/// # });
/// use tower::ServiceBuilder;
/// use tower_api_key_name::ApiKeyNameLayer;
/// use tower_api_key_name::proxy_keys::{Ledger, ProxyKeyLayer, ProxyKeys, Upstreams, UsageLayer};
///
/// let keys = ProxyKeys::watch("keys.json")?;
/// let ledger = Ledger::memory(); // or Ledger::open("ledger.sqlite") with the feature `sqlite`
/// let service = ServiceBuilder::new()
///     .layer(ApiKeyNameLayer::new(keys.names())) // names the rows, and accepts filters by name
///     .layer(UsageLayer::new(keys.clone(), &ledger))
///     .layer(ProxyKeyLayer::new(keys, ledger, Upstreams::from_env()?))
///     .service(hyper_util_client);
/// # let _ = service.map_request(|request: http::Request<http_body_util::Full<bytes::Bytes>>| request);
/// # Ok(())
/// # }
/// # use tower::ServiceExt;
/// ```
///
/// # Endpoints
///
/// | `GET` | calls | `group_by` | filters |
/// |---|---|---|---|
/// | `/v1/organization/usage/completions` | chat, completions, responses, Anthropic's messages | `project_id`, `api_key_id`, `model`, `batch` | `project_ids`, `api_key_ids`, `models`, `batch` |
/// | `/v1/organization/usage/embeddings` | embeddings | `project_id`, `api_key_id`, `model` | `project_ids`, `api_key_ids`, `models` |
/// | `/v1/organization/usage/moderations` | moderations | `project_id`, `api_key_id`, `model` | `project_ids`, `api_key_ids`, `models` |
/// | `/v1/organization/usage/images` | image generations | `project_id`, `api_key_id`, `model` | `project_ids`, `api_key_ids`, `models` |
/// | `/v1/organization/costs` | all | `project_id`, `api_key_id`, `line_item` | `project_ids`, `api_key_ids`, `line_items` |
///
/// The dimensions `user_id`, `service_tier`, `api_source`, `size` and `source` are accepted where OpenAI has them, and their
/// values are null. The filter `user_ids` selects no call.
///
/// Every other request reaches the inner service unchanged. So does a request whose credential is neither a valid proxy key nor
/// the [operator token](ProxyKeys::operator_token): [`ProxyKeyLayer`](crate::proxy_keys::ProxyKeyLayer) rejects it.
///
/// # Rows
///
/// A caller sees the rows of its `usage_scope` in the [keys file](ProxyKeys#format), and an operator sees all. A filter by an
/// invisible id gets the response to a filter by an id that does not exist.
///
/// - A call belongs to the bucket of its admission, and appears when it is settled. Each settled call is a request, also one
///   that the upstream has refused.
/// - `project_id` is the group of the key at the time of the call, and `line_item` is the model. Users, tiers, sources and sizes
///   are not in the ledger. No call belongs to a batch.
/// - `input_tokens` and `output_tokens` together equal the tokens that limits count. If the usage of a call is unknown, all its
///   tokens are `output_tokens`. The tokens of text and images, such as `input_text_tokens`, are absent if no response had them.
/// - `amount.value` is the exact sum of the charges in dollars, a number with up to 12 decimal places and at most 9,223,372.
///   Clients that parse it as a float round it.
///
/// # Buckets
///
/// `bucket_width` is `1d` (default). Usage also has `1h` and `1m`. Buckets are whole days, hours or minutes in UTC: `start_time` is
/// rounded down and `end_time` up. Without `end_time`, the last bucket is the current one. Buckets without calls are present.
/// `limit` and `page` are those of OpenAI: at most 31 days, 168 hours, 1,440 minutes, or 180 days of costs in a page.
///
/// Days and hours are kept for ever. Minutes are calculated from the rows of single calls, which the ledger deletes after some
/// time, and an earlier `start_time` is an error then.
///
/// # Errors
///
/// An unknown parameter, dimension or value is a 400 that names the parameter: to ignore a filter would widen the query. If a
/// key has 4 responses in flight, or operators have 16, the next one is a 429 with `Retry-After: 1`. If the ledger cannot be
/// read, the response is a 503 with `Retry-After: 1`.
///
/// A response is read from the ledger bucket by bucket while it is sent. If the ledger fails meanwhile, the body ends with an
/// error.
#[derive(Clone)]
#[must_use]
pub struct UsageLayer {
    shared: Arc<UsageShared>,
}

impl UsageLayer {
    /// Creates a layer that serves the usage in a ledger to the callers with these keys.
    pub fn new(keys: ProxyKeys, ledger: impl Into<UsageSource>) -> Self {
        let shared = UsageShared { keys, source: ledger.into(), slots: Arc::new(UsageSlots::default()) };
        Self { shared: Arc::new(shared) }
    }
}

impl<S> Layer<S> for UsageLayer {
    type Service = UsageService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        UsageService::new(inner, self.shared.clone())
    }
}

impl fmt::Debug for UsageLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsageLayer").field("keys", &self.shared.keys).finish_non_exhaustive()
    }
}
