//! The layer and its settings.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{Response, Uri};
use tower_layer::Layer;

use super::settings::{ErrorForm, InsertNames, LayerSettings};
use crate::budget::Budget;
use crate::json::rules::{NamePosition, Prefer, Unmatched};
use crate::names::Labels;
use crate::outcome::{Outcome, Refusal, RequestContext};
use crate::{ApiKeyName, SharedKeyNames};

/// Inserts `api_key_name` beside every `api_key_id` in the responses of the inner service.
///
/// ```
/// use tower_api_key_name::settings::Unmatched;
/// use tower_api_key_name::{ApiKeyNameLayer, KeyNames, SharedKeyNames};
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
    settings: Arc<LayerSettings>,
}

impl ApiKeyNameLayer {
    /// Creates a layer with the default settings.
    pub fn new(names: SharedKeyNames) -> Self {
        Self { settings: Arc::new(LayerSettings::new(names)) }
    }

    /// Sets the maximum number of bytes of a body that are buffered before its headers go out. Default: 2 MiB, because a
    /// daily page of a large organization (31 days × 20 keys × 5 models) has about 1.9 MB.
    ///
    /// A longer body is amended while it is streamed. It has no `Content-Length`. If it turns out not to be JSON, its
    /// first part has been sent already. `limit(0)` streams from the first byte.
    ///
    /// The limit applies to decoded bytes. Pending edits count too, so a page with thousands of ids may be streamed a
    /// little below the limit. One response uses at most the limit, 512 KiB (1 MiB with more than eight
    /// labels), and one frame of the inner body.
    pub fn limit(self, bytes: usize) -> Self {
        self.with(|settings| settings.limit = bytes)
    }

    /// Sets the maximum number of bytes that all responses of this layer, its clones and their services buffer together.
    /// Default: no maximum, only the [`limit`](Self::limit) of each response.
    ///
    /// When the budget is exhausted, responses are [streamed](crate::outcome::ResponseState::Streaming) instead of
    /// buffered. They are never rejected and never wait. Bytes are returned to the budget when they go out, or when the
    /// response is dropped.
    ///
    /// A streamed response keeps the bytes of an unfinished object that contains an id, up to its limit. They count too,
    /// but are always granted, so that the load of other responses never decides whether a key gets its name.
    pub fn total_limit(self, bytes: usize) -> Self {
        self.with(|settings| settings.budget = Some(Arc::new(Budget::new(bytes as u64))))
    }

    /// Returns the bytes that all responses of this layer, its clones and their services hold. `None` without a
    /// [`total_limit`](Self::total_limit), because they are counted only for it. `usize::MAX` counts without a limit.
    pub fn bytes_held(&self) -> Option<u64> {
        Some(self.settings.budget.as_ref()?.reserved())
    }

    /// Replaces the handle. The layer shares the [`total_limit`](Self::total_limit) with the layer that it was cloned from,
    /// so that one limit can bound the responses of several APIs with names of their own.
    pub fn names(self, names: SharedKeyNames) -> Self {
        self.with(|settings| settings.names = names)
    }

    /// Sets the labels, such as that of `project_id` and `project_name`. Default: only that of the keys.
    ///
    /// The label of the keys applies to all responses in scope. The other labels apply only to usage and cost responses,
    /// whose paths contain `/usage`, `/costs`, `/usage_report`, `/cost_report` or `/analytics/`. Their names are in the
    /// [sections](crate::KeyNames::section) of the map.
    ///
    /// In queries, the dimension `project_name` is sent as `project_id`, and the filter `project_names` as `project_ids`.
    /// The parameter of a filter is the member of its label and `s`.
    ///
    /// ```
    /// # use tower_api_key_name::{ApiKeyNameLayer, SharedKeyNames, names::Labels};
    /// # let names = SharedKeyNames::default();
    /// let labels = Labels::default().with("project_id", "project_name")?;
    /// let layer = ApiKeyNameLayer::new(names).labels(labels);
    /// # Ok::<(), tower_api_key_name::names::LabelError>(())
    /// ```
    pub fn labels(self, labels: Labels) -> Self {
        self.with(|settings| {
            settings.rules.labels = labels;
            // Templates contain the labels of their members.
            settings.templates = Arc::default();
        })
    }

    /// Sets the requests whose responses get names. Default: [`InsertNames::Always`].
    ///
    /// With [`InsertNames::Requested`], only the labels whose name the request groups or filters by are inserted. A
    /// request without such a name is out of scope: it keeps its headers, its response passes unbuffered, and no outcome
    /// is reported. A filter that cannot be translated is rejected in any case.
    pub fn insert_names(self, insert_names: InsertNames) -> Self {
        self.with(|settings| settings.insert_names = insert_names)
    }

    /// Sets the position of the name. Default: [`NamePosition::Beside`].
    ///
    /// With [`NamePosition::Replace`], the value of the id member becomes the name, in usage and cost responses only. An
    /// id without a name, null, and a name that is itself an id of the map change nothing, and no member is inserted. In
    /// requests, names are accepted where ids are expected: `api_key_ids[]=checkout`. An id of the map has precedence over
    /// an equal name, and an unknown value stays as it is. Requests for other paths are out of scope.
    pub fn name_position(self, position: NamePosition) -> Self {
        self.with(|settings| settings.rules.position = position)
    }

    /// Sets the name that is used if a response contains a native name. Default: [`Prefer::Map`].
    pub fn prefer(self, prefer: Prefer) -> Self {
        self.with(|settings| settings.rules.prefer = prefer)
    }

    /// Sets the value for an id that the map does not contain. Default: the string `"unknown"`, so that charts show a
    /// row instead of a hole.
    pub fn unmatched(self, unmatched: Unmatched) -> Self {
        self.with(|settings| settings.rules.unmatched = unmatched)
    }

    /// Sets whether an id that is null or not a string gets the [`unmatched`](Self::unmatched) value. Default: `false`,
    /// it gets null, because an ungrouped row is not the same as an unknown key.
    pub fn null_as_unmatched(self, enabled: bool) -> Self {
        self.with(|settings| settings.rules.null_as_unmatched = enabled)
    }

    /// Sets whether an id of another label than the keys gets a name if it is null or not a string. Default: `false`. A
    /// dimension that is not grouped is null, so each row would get a null name for each label.
    pub fn insert_null(self, enabled: bool) -> Self {
        self.with(|settings| settings.rules.insert_null = enabled)
    }

    /// Sets the form of the error responses that the layer sends itself. Default: Anthropic's if the path contains the
    /// segment `organizations`, and otherwise OpenAI's.
    pub fn error_form(self, form: ErrorForm) -> Self {
        self.with(|settings| settings.error_form = Some(form))
    }

    /// Sets whether a response with `Cache-Control: no-transform` is left unchanged. Default: `false`. RFC 9110 §7.7
    /// binds proxies, and a gateway that acts for its own user is not a proxy in that sense.
    pub fn honor_no_transform(self, enabled: bool) -> Self {
        self.with(|settings| settings.honor_no_transform = enabled)
    }

    /// Sets whether the response to an unknown name ([`Refusal::UnknownName`], [`Refusal::NamesIncomplete`]) contains up
    /// to three similar names. Default: `false`, because the layer responds before the API has authenticated the client.
    ///
    /// Only names of the requested label are suggested, and of keys only those that the provider may own. A request with an
    /// unknown name compares all names of the label, which takes some milliseconds for 10,000 names.
    pub fn suggest_names(self, enabled: bool) -> Self {
        self.with(|settings| settings.suggest_names = enabled)
    }

    /// Sets the predicate for requests in scope. Default: the path begins with `/v1/organization/` (OpenAI) or
    /// `/v1/organizations/` (Anthropic).
    ///
    /// The predicate receives the URI as this service does: a router may have removed a prefix or left one. With the
    /// feature `tracing`, a path out of scope with one of these segments causes a debug event.
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

    /// Sets a function that creates the response to a rejected request, from the reason and a message for the user.
    /// Default: the [error form](Self::error_form) of the API that the path belongs to, with [`Refusal::status`] and
    /// `Cache-Control: no-store`.
    ///
    /// The layer sets the `Content-Length`, and removes the body if the method is `HEAD`. The message may contain the
    /// requested name, and similar names if [`suggest_names`](Self::suggest_names) is enabled.
    pub fn refusal_response(
        self,
        response: impl Fn(Refusal, &str, &RequestContext) -> Response<Bytes> + Send + Sync + 'static,
    ) -> Self {
        self.with(|settings| settings.refusal_response = Some(Arc::new(response)))
    }

    fn with(mut self, set: impl FnOnce(&mut LayerSettings)) -> Self {
        set(Arc::make_mut(&mut self.settings));
        self
    }
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
