//! `ApiKeyNameLayer`: the settings, and the making of the service.
use std::fmt;
use std::sync::Arc;

use http::Uri;
use tower_layer::Layer;

use crate::naming::settings::{DEFAULT_LIMIT, Settings};
use crate::naming::total::Total;
use crate::outcome::{Outcome, RequestContext};
use crate::{ApiKeyName, SharedKeyNames, Unmatched};

/// Names the keys in the answers of the service below it.
///
/// Each setter takes the layer and gives it back changed; a setting that is not touched has the default that
/// stands with its setter.
///
/// ```
/// use tower_api_key_name::{ApiKeyNameLayer, KeyNames, SharedKeyNames, Unmatched};
///
/// let names = SharedKeyNames::new(KeyNames::new([("key_abc", "checkout-production")])?);
/// let layer = ApiKeyNameLayer::new(names)
///     .unmatched(Unmatched::Null)
///     .scope(|uri| uri.path().starts_with("/openai/v1/organization/"))
///     .on_outcome(|outcome, request| println!("{} {:?}", request.uri().path(), outcome.counts()));
/// # Ok::<(), tower_api_key_name::KeyNamesError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct ApiKeyNameLayer {
    settings: Arc<Settings>,
}

impl ApiKeyNameLayer {
    /// A layer that takes its names from `names`, with the default settings.
    pub fn new(names: SharedKeyNames) -> Self {
        Self {
            settings: Arc::new(Settings {
                names,
                learnt: Arc::default(),
                limit: DEFAULT_LIMIT,
                total: None,
                unmatched: Unmatched::default(),
                null_as_unmatched: false,
                honor_no_transform: false,
                suggest_names: false,
                scope: Arc::new(in_organization),
                on_outcome: None,
            }),
        }
    }

    /// The most bytes of one body that are held before its head goes out, inclusive. Default: 2 MiB; a daily page of a
    /// large organization (31 days × 20 keys × 5 models) has about 1.9 MB.
    ///
    /// A longer body is named from its first byte to its last too, but as it streams: it has no `Content-Length`, and
    /// if it turns out not to be JSON, its first part is gone already. `limit(0)` streams from the first byte.
    ///
    /// Bytes are counted as they come to this layer, decoded. Edits that wait are counted too once they weigh more than
    /// 224 KiB: a page of 2 MiB with more than 5,700 ids is streamed a little earlier. So one response in flight takes
    /// at most the limit, 512 KiB, and one frame of the body below; see [`docs::design`](crate::docs::design). A frame of
    /// 1 KiB or more counts as its length: where it is a slice of a larger buffer, that lives as long as the frame.
    pub fn limit(self, bytes: usize) -> Self {
        self.with(|settings| settings.limit = bytes)
    }

    /// The most bytes that are held together, inclusive, by all answers of all services that this layer and its
    /// clones make. Default: no bound but the [`limit`](Self::limit) of each.
    ///
    /// An answer for which nothing is left is not refused and does not wait: from the first byte that finds no room
    /// it is streamed, like one longer than the limit, and its outcome is [`ResponseState::Streaming`](crate::outcome::ResponseState::Streaming) too. Edits count
    /// as they do for the limit. Bytes are given back as they go out, or when the answer is dropped.
    ///
    /// What a stream keeps until an object closes counts here as well, but is never refused: whether a key is named
    /// does not depend on how busy others are. In the answers of the APIs that is less than a row; an upstream that
    /// never closes an object makes it up to the limit of each answer.
    pub fn total_limit(self, bytes: usize) -> Self {
        self.with(|settings| settings.total = Some(Arc::new(Total::new(bytes as u64))))
    }

    /// What stands beside an id that the map does not know. Default: the string `"unknown"`, so that a
    /// chart shows a row rather than a hole.
    pub fn unmatched(self, unmatched: Unmatched) -> Self {
        self.with(|settings| settings.unmatched = unmatched)
    }

    /// Whether an id that is null, or no string, gets the [`unmatched`](Self::unmatched) value too. Default:
    /// `false`, it gets null, for an ungrouped row and a key that nobody knows are different facts.
    pub fn null_as_unmatched(self, yes: bool) -> Self {
        self.with(|settings| settings.null_as_unmatched = yes)
    }

    /// Whether an answer with `Cache-Control: no-transform` is left alone. Default: `false`. RFC 9110 §7.7
    /// binds proxies; a gateway that acts for its own user, who asked for names, is none.
    pub fn honor_no_transform(self, yes: bool) -> Self {
        self.with(|settings| settings.honor_no_transform = yes)
    }

    /// Whether the answer to a request for a name that the map does not have ([`Refusal::UnknownName`] or
    /// [`Refusal::NamesIncomplete`]) says which names are like it, at most three. Default: `false`, because the layer
    /// answers before the API has checked who asks.
    ///
    /// Each name of the map is compared, which takes some milliseconds for 10,000.
    ///
    /// [`Refusal::UnknownName`]: crate::outcome::Refusal::UnknownName
    /// [`Refusal::NamesIncomplete`]: crate::outcome::Refusal::NamesIncomplete
    pub fn suggest_names(self, yes: bool) -> Self {
        self.with(|settings| settings.suggest_names = yes)
    }

    /// Which requests are in scope. Default: those whose path begins with `/v1/organization/` (OpenAI) or
    /// `/v1/organizations/` (Anthropic).
    ///
    /// It is asked with the URI that *this* service is called with: a router may have taken a prefix off, or
    /// left one on. With feature `tracing`, a path out of scope that holds such a segment is pointed out at
    /// debug level.
    pub fn scope(self, scope: impl Fn(&Uri) -> bool + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.scope = Arc::new(scope))
    }

    /// Sets a callback that receives the final outcome of each response in scope, when its body has ended or was
    /// dropped. Default: no callback.
    ///
    /// The [`RequestContext`] contains clones of the request's method, URI and extensions. They are made when the
    /// request arrives, only if there is a callback, and dropped after the response. An extension value whose drop has
    /// an effect earlier than that needs a cell from which it can be taken.
    ///
    /// The callback runs in the task that polls or drops the response body or future. It must not block, and must not
    /// panic, because a panic during unwinding aborts the process.
    pub fn on_outcome(self, callback: impl Fn(&Outcome, &RequestContext) + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.on_outcome = Some(Arc::new(callback)))
    }

    fn with(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        set(Arc::make_mut(&mut self.settings));
        self
    }
}

fn in_organization(uri: &Uri) -> bool {
    let path = uri.path();
    path.starts_with("/v1/organization/") || path.starts_with("/v1/organizations/")
}

impl<S> Layer<S> for ApiKeyNameLayer {
    type Service = ApiKeyName<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ApiKeyName::new(inner, self.settings.clone())
    }
}

impl fmt::Debug for ApiKeyNameLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeyNameLayer")
            .field("names", &self.settings.names)
            .field("limit", &self.settings.limit)
            .finish_non_exhaustive()
    }
}
