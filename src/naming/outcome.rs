//! The result of the layer's work on one response, and its state when the headers go out.

use std::fmt;

use http::{Extensions, Method, StatusCode, Uri};

pub use super::name_sent::API_KEY_NAME_SENT;
pub use crate::json::counts::Counts;
use crate::json::scan::ScanError;

/// The reason why a response in scope was left unchanged, wholly or from some byte on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Skip {
    /// The response has no body: the method is `HEAD` or `CONNECT`, or the status 1xx, 204, 205 or 304.
    NoBody,
    /// A part of a representation: the status is 206, or there is a `Content-Range`.
    Partial,
    /// The media type is neither `application/json` nor `*/*+json`.
    MediaType,
    /// The response has a `Content-Encoding`: no layer below this one decompresses it.
    ContentEncoding,
    /// The response has `Cache-Control: no-transform`, and the layer is set to
    /// [honor it](crate::ApiKeyNameLayer::honor_no_transform).
    NoTransform,
    /// The body is not JSON (RFC 8259) in UTF-8.
    NotJson {
        /// Offset of the first invalid byte, or the length of a truncated body.
        offset: u64,
    },
    /// Arrays and objects are nested deeper than 1,024.
    TooDeep {
        /// Offset of the first bracket beyond that depth, from the start of the body.
        offset: u64,
    },
    /// The body ended with an error, which was passed on.
    BodyFailed,
    /// The body was dropped before its end, usually because the client disconnected.
    Dropped,
}

/// The reason why the layer rejected a request in scope instead of calling the inner service.
///
/// A filter by name that cannot be translated is never dropped, because that would widen the query. See
/// [`refusal_response`](crate::ApiKeyNameLayer::refusal_response) for the form of the response.
///
/// The error codes below are those for names of keys. The response to a filter of another
/// [label](crate::ApiKeyNameLayer::labels) contains its name member: `unknown_project_name`, `project_names_incomplete`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// 400 `unknown_api_key_name`: no key of the provider that the path belongs to has one of the requested names.
    UnknownName,
    /// 400 `empty_api_key_name`: one of the names is empty.
    EmptyName,
    /// 400 `invalid_parameter`: the parameter has no known list form (`api_key_names[x]`), or its name is misspelled
    /// (`apiKeyNames`, `api_key_name`).
    InvalidParameter,
    /// 503 `api_key_names_incomplete`, with `Retry-After: 5`: one of the names is not in the map, and the map may be
    /// incomplete. No map was loaded yet, or it [is partial](crate::KeyNames::is_partial), or it has no
    /// [section](crate::KeyNames::section) of the label, or a `Directory` has not fetched all names yet.
    NamesIncomplete,
    /// 414 `uri_too_long`: with ids in place of names, the URI would be longer than `http::Uri` permits (65,534 bytes).
    UriTooLong,
}

/// The final result of one response in scope, as [`on_outcome`](crate::ApiKeyNameLayer::on_outcome) receives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The bytes of the body were changed.
    Amended {
        /// The ids in the body.
        counts: Counts,
    },
    /// The body needed no change. A body that cannot contain an id is not parsed.
    Unchanged {
        /// The ids in the body.
        counts: Counts,
    },
    /// The body was left unchanged, or, if it was streamed, its rest from some byte on.
    Skipped {
        /// The reason.
        skip: Skip,
        /// The ids before that byte.
        counts: Counts,
    },
    /// The layer rejected the request, and the inner service was not called.
    Refused {
        /// The reason.
        refusal: Refusal,
    },
}

/// The state of a response in scope when its headers go out. It is an extension of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResponseState {
    /// The result is known already.
    Final {
        /// The result.
        outcome: Outcome,
    },
    /// The body is longer than the [limit](crate::ApiKeyNameLayer::limit), or than the rest of the
    /// [total limit](crate::ApiKeyNameLayer::total_limit), and is amended while it is streamed.
    Streaming,
}

/// The request that an [`Outcome`] belongs to.
#[derive(Clone)]
#[non_exhaustive]
pub struct RequestContext {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) extensions: Extensions,
}

impl Skip {
    /// Returns a constant word for the label of a metric, such as `not_json`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Skip::NoBody => "no_body",
            Skip::Partial => "partial",
            Skip::MediaType => "media_type",
            Skip::ContentEncoding => "content_encoding",
            Skip::NoTransform => "no_transform",
            Skip::NotJson { .. } => "not_json",
            Skip::TooDeep { .. } => "too_deep",
            Skip::BodyFailed => "body_failed",
            Skip::Dropped => "dropped",
        }
    }
}

impl From<ScanError> for Skip {
    fn from(error: ScanError) -> Self {
        match error {
            ScanError::NotJson { offset } => Skip::NotJson { offset },
            ScanError::TooDeep { offset } => Skip::TooDeep { offset },
        }
    }
}

impl Refusal {
    /// Returns the status of the response.
    pub fn status(&self) -> StatusCode {
        match self {
            Refusal::UnknownName | Refusal::EmptyName | Refusal::InvalidParameter => StatusCode::BAD_REQUEST,
            Refusal::NamesIncomplete => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::UriTooLong => StatusCode::URI_TOO_LONG,
        }
    }

    /// Returns the error code for names of keys, such as `unknown_api_key_name`.
    ///
    /// It is also a constant word for the label of a metric. In the response to a filter of another label, the code
    /// contains the name member of that label, such as `unknown_project_name`.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::UnknownName => "unknown_api_key_name",
            Refusal::EmptyName => "empty_api_key_name",
            Refusal::InvalidParameter => "invalid_parameter",
            Refusal::NamesIncomplete => "api_key_names_incomplete",
            Refusal::UriTooLong => "uri_too_long",
        }
    }
}

impl Outcome {
    /// Returns the numbers of ids; all are zero if the request was refused.
    pub fn counts(&self) -> Counts {
        match self {
            Outcome::Amended { counts } | Outcome::Unchanged { counts } | Outcome::Skipped { counts, .. } => {
                *counts
            }
            Outcome::Refused { .. } => Counts::default(),
        }
    }

    /// Returns a constant word for the label of a metric, such as `amended`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Outcome::Amended { .. } => "amended",
            Outcome::Unchanged { .. } => "unchanged",
            Outcome::Skipped { .. } => "skipped",
            Outcome::Refused { .. } => "refused",
        }
    }
}

impl ResponseState {
    /// Returns the final result, or `None` if the body is still being streamed.
    pub fn outcome(&self) -> Option<Outcome> {
        match self {
            ResponseState::Final { outcome } => Some(*outcome),
            ResponseState::Streaming => None,
        }
    }
}

impl From<Outcome> for ResponseState {
    fn from(outcome: Outcome) -> Self {
        ResponseState::Final { outcome }
    }
}

/// Omits the URI and the extensions, because they may contain secrets.
impl fmt::Debug for RequestContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestContext").field("method", &self.method).finish_non_exhaustive()
    }
}

impl RequestContext {
    /// Returns the request's method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Returns the request's URI as the layer received it. The query may contain ids and names.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Returns the extensions that the request had when the layer received it.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Dashboards use the labels, so a new version must not change them.
    #[test]
    fn skip_label_equals_its_debug_name_in_lower_case() {
        for skip in [
            Skip::NoBody,
            Skip::Partial,
            Skip::MediaType,
            Skip::ContentEncoding,
            Skip::NoTransform,
            Skip::NotJson { offset: 3 },
            Skip::TooDeep { offset: 3 },
            Skip::BodyFailed,
            Skip::Dropped,
        ] {
            let name = format!("{skip:?}");
            let name = name.split(' ').next().unwrap_or_default();
            assert_eq!(skip.as_str().replace('_', ""), name.to_lowercase());
        }
    }
}
