//! The layer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use super::key_share::KeyShares;
use super::keys::ProxyKeys;
use super::ledger::Ledger;
use super::metered_call::MeteredCall;
use super::service::ProxyKeyService;
use super::settings::ProxyKeySettings;
use super::upstream::Upstreams;
use crate::budget::Budget;

/// Accepts requests with proxy keys, and sends them to the inner service with the real key of an upstream.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let hyper_util_client = tower::service_fn(|_: http::Request<http_body_util::Full<bytes::Bytes>>| async {
/// #     Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Empty::<bytes::Bytes>::new()))
/// # });
/// use tower::ServiceBuilder;
/// use tower_api_key_name::proxy_keys::{Ledger, ProxyKeyLayer, ProxyKeys, Upstreams};
/// use tower_http::decompression::DecompressionLayer;
///
/// let keys = ProxyKeys::watch("keys.json")?; // the permitted keys, reloaded when the file changes
/// let ledger = Ledger::memory(); // or Ledger::open("ledger.sqlite") with the feature `sqlite`
/// let upstreams = Upstreams::from_env()?; // OPENAI_API_KEY, only for https://api.openai.com
/// let service = ServiceBuilder::new()
///     .layer(ProxyKeyLayer::new(keys, ledger, upstreams).on_usage(|call| println!("{call:?}")))
///     .layer(DecompressionLayer::new()) // below: the layer reads plain bytes
///     .service(hyper_util_client);
/// # let _ = service.map_request(|request: http::Request<http_body_util::Full<bytes::Bytes>>| request);
/// # Ok(())
/// # }
/// # use tower::ServiceExt;
/// ```
///
/// # Endpoints
///
/// | provider | metered | not metered |
/// |---|---|---|
/// | OpenAI | `POST` `/v1/chat/completions`, `/v1/completions`, `/v1/responses`, `/v1/responses/compact`, `/v1/embeddings`, `/v1/moderations`, `/v1/images/generations` | `GET /v1/models` |
/// | Anthropic | `POST /v1/messages` | `POST /v1/messages/count_tokens`, `GET /v1/models` |
///
/// All other endpoints are refused with 404.
///
/// # Requests
///
/// The method, path, query and headers of a request are checked before its body is polled, so a request with
/// `Expect: 100-continue` continues only with a valid key. The body is read whole, within [`max_request_body`](Self::max_request_body),
/// [`request_budget`](Self::request_budget) and [`upload_timeout`](Self::upload_timeout), and then checked. The upstream
/// receives the method, the exact path and query, the headers of an allow-list, exactly one credential, and the bytes of
/// the body. The one edit of a body requests the usage of a stream. Extensions, trailers and other headers of the client
/// are not sent on.
///
/// A refused request gets a response in the error form of the provider.
///
/// # Limits
///
/// A call to a metered endpoint is sent to the upstream only after the ledger has admitted it. For each limit of the key and
/// its group, the spent amount and the reservations of the calls in flight must be less than the limit. The limits and prices
/// are those of the keys file at the start of the call. The reservation of a call is an estimate: a token for 4 bytes of the
/// body (1,000 for a string that starts with `data:`), and the declared output, but at most the `reserve` of the key. The
/// money is the price of these tokens at the highest rate of the model.
///
/// | refusal | response |
/// |---|---|
/// | a limit is used up | 429 `insufficient_quota`, `x-should-retry: false`, and `Retry-After` until the next window |
/// | the calls in flight may use it up | 429 `rate_limit_exceeded`, `Retry-After: 1` |
/// | the ledger cannot be written | 503 `ledger_unavailable`, `Retry-After: 1` |
///
/// Each admitted call is settled exactly once, and the request counts in every case:
///
/// | end of the call | charge |
/// |---|---|
/// | the response contains its usage | the usage, at the prices of the requested model |
/// | moderations | no tokens |
/// | an error of the upstream or of the inner service, or a response that is replaced | no tokens |
/// | dropped before the response headers | the estimated input |
/// | a response without usage, or cut before it | the estimated input and a token for each event, or the input or output tokens so far if they are more |
///
/// The settlement is durable before the client can receive the end of a response: the chunk with the end of a JSON document
/// or of the terminal event of a stream (`[DONE]`, `response.completed`, `message_stop` …) is held until then. Each other
/// chunk of a stream passes at once, and each chunk of a JSON body when the next one arrives, because its end may be cut.
/// The rest of a response whose client disconnects is read for [`drain_timeout`](Self::drain_timeout).
///
/// # Responses
///
/// | status and body of the upstream | response to the client |
/// |---|---|
/// | 2xx, JSON or SSE | the same status; the body passes while it is metered |
/// | 2xx of the list of models | the same status; the list contains only the models of the proxy key |
/// | 2xx with another media type, or with a `Content-Encoding` | 502 `upstream_failed` |
/// | 3xx, which is never followed | 502 `upstream_failed` |
/// | 401, which concerns the real key | 502 `upstream_failed` |
/// | 402 or 403, which concern the real key | the same status, with a message of the layer |
/// | 429, which concerns the real key | 429 `rate_limit_exceeded`, and `Retry-After` of the upstream, but from 1 to 3,600 seconds |
/// | another 4xx or 5xx | the same status and body |
/// | another 4xx or 5xx whose body must not pass | the same status, with a message of the layer |
/// | another status | 502 `upstream_failed` |
///
/// The body of an error must not pass if it is compressed, cut or longer than 64 KiB, if it repeats 16 bytes of the real key,
/// if it may describe the account of the real key (it contains `org-`, `proj_`, `organization`, `billing`, `credit balance` or
/// `usage limit`, in any case), or if it escapes an ASCII character as `\u0061`.
///
/// The bytes of a metered body pass unchanged, with two exceptions. An event with nothing but usage is removed from a stream
/// whose client did not request it. The texts of errors are overwritten, because they may describe the account of the real key:
/// the strings at `message`, `error`, `error.message`, `response.error` and `response.error.message`. Their length stays.
///
/// A stream of events has no `Content-Length`. Headers pass if they are on an allow-list; those that describe the account of the
/// real key are not. Trailers do not pass. Put a decompressing layer below this one.
///
/// # Runtime
///
/// Reading a body, checking one longer than 256 KiB, and draining one require a Tokio runtime with its clock enabled.
///
/// `S: Clone` is required, because the inner service is called after the body was read and the call admitted: the service that
/// is ready is used for this call, and its clone for the next one. A concurrency limit of the inner service therefore counts
/// requests whose body is being read.
#[derive(Clone)]
#[must_use]
pub struct ProxyKeyLayer {
    settings: Arc<ProxyKeySettings>,
}

impl ProxyKeyLayer {
    /// Creates a layer with the default settings. A group of `keys` may have upstreams of its own, which have precedence
    /// over `upstreams`. All layers of a process that
    /// use the same keys should use clones of one ledger.
    pub fn new(keys: ProxyKeys, ledger: Ledger, upstreams: Upstreams) -> Self {
        Self { settings: Arc::new(ProxyKeySettings::new(keys, ledger, upstreams)) }
    }

    /// Sets the length in bytes of the longest request body. Default: 32 MiB, which fits a long document with images.
    ///
    /// A longer body is refused with 413: before it is read if its `Content-Length` states it, and otherwise at the first
    /// byte over the limit.
    pub fn max_request_body(self, bytes: usize) -> Self {
        self.with(|settings| settings.max_request_body = bytes)
    }

    /// Sets the memory in bytes of all request bodies in flight of this layer, its clones and their services. Default:
    /// 256 MiB.
    ///
    /// A body counts from its first byte until the inner service drops it, with the capacity of its buffer: at least 8 KiB,
    /// and at most twice the bytes that arrived. Buffered responses are not counted. The bodies of one key may use a quarter
    /// of the budget, but at least [`max_request_body`](Self::max_request_body). If the budget or this part of it is full, a
    /// request is refused with 503 and `Retry-After: 1`.
    pub fn request_budget(self, bytes: usize) -> Self {
        self.with(|settings| {
            settings.budget = Arc::new(Budget::new(bytes as u64));
            settings.key_shares = Arc::new(KeyShares::of_budget(bytes as u64));
        })
    }

    /// Returns the memory in bytes of all request bodies in flight, of which [`request_budget`](Self::request_budget) is the
    /// limit.
    pub fn request_bytes_held(&self) -> u64 {
        self.settings.budget.reserved()
    }

    /// Sets the longest time from the call of the service to the end of the request body. Default: 60 seconds. A slower body is
    /// refused with 408.
    pub fn upload_timeout(self, timeout: Duration) -> Self {
        self.with(|settings| settings.upload_timeout = timeout)
    }

    /// Sets the longest time in which the rest of a response is read after its client has disconnected. Default: 5 seconds.
    ///
    /// The usage is at the end of a response, and the provider charges for all of it. After the timeout, an estimate is
    /// charged.
    pub fn drain_timeout(self, timeout: Duration) -> Self {
        self.with(|settings| settings.drain_timeout = timeout)
    }

    /// Sets a callback that receives the usage and the charge of each admitted call to a metered endpoint, exactly once:
    /// when its settlement is queued. Default: no callback. A request that the gate refuses before the upstream is called is
    /// not reported.
    ///
    /// The callback runs in the task that polls or drops the response body or future, or that drains the body. It must not
    /// block, and must not panic, because a panic during unwinding aborts the process.
    pub fn on_usage(self, callback: impl Fn(&MeteredCall) + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.on_usage = Some(Arc::new(callback)))
    }

    fn with(mut self, set: impl FnOnce(&mut ProxyKeySettings)) -> Self {
        set(Arc::make_mut(&mut self.settings));
        self
    }
}

impl<S> Layer<S> for ProxyKeyLayer {
    type Service = ProxyKeyService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ProxyKeyService::new(inner, self.settings.clone())
    }
}

impl fmt::Debug for ProxyKeyLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyKeyLayer")
            .field("upstreams", &self.settings.upstreams)
            .field("max_request_body", &self.settings.max_request_body)
            .field("upload_timeout", &self.settings.upload_timeout)
            .finish_non_exhaustive()
    }
}
