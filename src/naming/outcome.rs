//! What became of one response.

use crate::json::edit::Tally;

/// How many ids stood in one response body, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Counts {
    /// Ids that the map knows. Each has its name beside it.
    pub named: u64,
    /// Ids that are strings and that the map does not know.
    pub unmatched: u64,
    /// Ids that are null, or no string at all.
    pub null: u64,
    /// Ids in objects left as they came: they hold a member twice, or are undecided for longer than the
    /// limit.
    pub left: u64,
}

/// Why a response in scope was left alone, wholly or from some byte on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Skip {
    /// The answer has no body: it came to `HEAD` or `CONNECT`, or is a 1xx, 204, 205 or 304.
    NoBody,
    /// A part of a representation: 206, or a `Content-Range`.
    Partial,
    /// Neither `application/json` nor `*/*+json`.
    MediaType,
    /// It came with a `Content-Encoding`: no decompressing layer stands below this one.
    ContentEncoding,
    /// `Cache-Control: no-transform`, where the layer was told to honor it.
    NoTransform,
    /// Not JSON (RFC 8259) in UTF-8.
    NotJson {
        /// The first byte that no JSON text could have there, in bytes from the start of the body.
        offset: u64,
    },
    /// Arrays and objects nest deeper than 1,024.
    TooDeep {
        /// The bracket that was one too many, in bytes from the start of the body.
        offset: u64,
    },
    /// The body ended in an error, which was passed on.
    BodyFailed,
    /// The body was dropped before its end: the client went away.
    Dropped,
}

/// Why a request in scope was answered by the layer itself. The inner service is not called: without its filter the
/// question would be another one, and cost more.
///
/// The body is `{"error":{"message":…,"type":…,"param":"api_key_names","code":…}}`, OpenAI's error form, under
/// `/v1/organizations/` too. It comes with `Cache-Control: no-store`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// 400 `unknown_api_key_name`: no key has one of the names that were asked for.
    UnknownName,
    /// 400 `empty_api_key_name`: one of the names is empty.
    EmptyName,
    /// 400 `invalid_parameter`: the parameter has none of the forms of a list (`api_key_names[x]`), or is nearly this one
    /// (`apiKeyNames`, `api_key_name`).
    Form,
    /// 503 `api_key_names_incomplete`, with `Retry-After: 5`: one of the names is not in the map, which may not be all
    /// there is. No name has come yet, or [it is a part](crate::KeyNames::is_partial), or a `Directory` has not fetched
    /// all names yet.
    NamesIncomplete,
    /// 414 `uri_too_long`: with ids for names, the URI would be longer than 65,534 bytes, which is the most that `http::Uri` takes.
    UriTooLong,
}

/// What became of one response in scope. The response has it as an extension, as far as it is known when the head goes
/// out; [`on_outcome`](crate::ApiKeyNameLayer::on_outcome) is told what it came to in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// Bytes were changed.
    Amended(Counts),
    /// Nothing had to change. A body that holds no id at all may not have been parsed to find that out.
    Unchanged(Counts),
    /// Longer than the limit, or than what others left of the
    /// [total](crate::ApiKeyNameLayer::total_limit): the head is out, and the body is amended as it comes. Never final.
    Streaming,
    /// Left alone; in a body longer than the limit, from some byte on: the counts are of what went before.
    Skipped(Skip, Counts),
    /// The layer answered itself, and the inner service was not called.
    Refused(Refusal),
}

impl Skip {
    /// A word for it, made for the label of a metric: `not_json`, without the offset.
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

impl Refusal {
    /// The `code` of the answer: `unknown_api_key_name`.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::UnknownName => "unknown_api_key_name",
            Refusal::EmptyName => "empty_api_key_name",
            Refusal::Form => "invalid_parameter",
            Refusal::NamesIncomplete => "api_key_names_incomplete",
            Refusal::UriTooLong => "uri_too_long",
        }
    }
}

impl Outcome {
    /// The ids counted so far.
    pub fn counts(&self) -> Counts {
        match self {
            Outcome::Amended(counts) | Outcome::Unchanged(counts) | Outcome::Skipped(_, counts) => *counts,
            Outcome::Streaming | Outcome::Refused(_) => Counts::default(),
        }
    }
}

impl Counts {
    #[doc(hidden)]
    pub fn add(&mut self, tally: Tally) {
        match tally {
            Tally::Nothing => {}
            Tally::Named => self.named += 1,
            Tally::Unmatched => self.unmatched += 1,
            Tally::Null => self.null += 1,
            Tally::Left => self.left += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Labels of metrics outlive versions of this crate.
    #[test]
    fn words_are_what_debug_says_in_lower_case() {
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
