//! What the layer answers itself, in OpenAI's error form: a question by name that must not go on as it is.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Response, StatusCode};
use serde_json::Value;

use crate::names::{HIDDEN, looks_like_secret};
use crate::outcome::Refusal;
use crate::query::names::Fault;
use crate::{KeyNames, Snapshot};

/// How many names are suggested at most.
const MAX_SUGGESTIONS: usize = 3;

/// The longest name that others are compared with, in characters: each takes as many steps as both have, multiplied.
const MAX_COMPARED: usize = 64;

/// As long as a change of a watched file may take to be seen.
const RETRY_AFTER_SECONDS: u64 = 5;

/// The answer to a request that `fault` was found in, and what it is called.
///
/// Of what it knows it repeats nothing, only the name that was asked for: nobody has checked yet what the client may
/// see.
pub(crate) fn answer(
    fault: &Fault,
    method: &Method,
    names: &Snapshot,
    suggest: bool,
) -> (Refusal, Response<Bytes>) {
    let (refusal, status, mut message) = match fault {
        Fault::Form => (
            Refusal::Form,
            StatusCode::BAD_REQUEST,
            "Write api_key_names[]=a, api_key_names[0]=a or api_key_names=a,b.".to_owned(),
        ),
        Fault::Empty => (
            Refusal::EmptyName,
            StatusCode::BAD_REQUEST,
            "A name in api_key_names is empty. To ask for all keys, leave the parameter out.".to_owned(),
        ),
        Fault::Unknown { name, .. } if names.is_complete() => {
            (Refusal::UnknownName, StatusCode::BAD_REQUEST, format!("No API key is named {}.", quoted(name)))
        }
        Fault::Unknown { name, .. } => (
            Refusal::NamesIncomplete,
            StatusCode::SERVICE_UNAVAILABLE,
            format!(
                "No API key is named {} as far as is known, but not all names are known yet. Try again later, or \
                 ask by api_key_ids.",
                quoted(name)
            ),
        ),
        Fault::TooLong => (
            Refusal::UriTooLong,
            StatusCode::URI_TOO_LONG,
            "These names are of too many API keys for one request. Ask for fewer names at once.".to_owned(),
        ),
    };
    if let Fault::Unknown { name, commas } = fault {
        if *commas {
            message += " A list is written api_key_names=a,b or, where a name holds a comma, \
                        api_key_names[]=a&api_key_names[]=b.";
        }
        let near = if suggest { near(name, names) } else { Vec::new() };
        if !near.is_empty() {
            let near: Vec<_> = near.into_iter().map(quoted).collect();
            message += &format!(" Names like it: {}.", near.join(", "));
        }
    }
    (refusal, response(status, refusal.code(), &message, method))
}

/// All four members stand there, for the models of the SDKs require them.
fn response(status: StatusCode, code: &str, message: &str, method: &Method) -> Response<Bytes> {
    let kind = if status.is_server_error() { "server_error" } else { "invalid_request_error" };
    let message = Value::from(message);
    let body = format!(
        r#"{{"error":{{"message":{message},"type":"{kind}","param":"api_key_names","code":"{code}"}}}}"#
    );
    let length = HeaderValue::from(body.len());
    // RFC 9110 §9.3.2: to HEAD, the head that GET has, and no content.
    let body = if *method == Method::HEAD { Bytes::new() } else { body.into() };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, length);
    // The next map may know the name; and caches may keep a 414 (RFC 9110 §15.5.15).
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
    }
    response
}

/// In quotes, and cut where it is longer than any name is. What looks like a secret is not repeated.
fn quoted(name: &str) -> String {
    if looks_like_secret(name) {
        return HIDDEN.to_owned();
    }
    let mut ends = name.char_indices().map(|(at, character)| at + character.len_utf8());
    match ends.rfind(|end| *end <= KeyNames::MAX_NAME) {
        Some(end) if end < name.len() => format!("'{}…'", &name[..end]),
        _ => format!("'{name}'"),
    }
}

/// The names that are most like this one: a few letters differ, or it is a part of theirs. In any case of letters.
fn near<'a>(name: &str, names: &'a KeyNames) -> Vec<&'a str> {
    let asked = name.to_lowercase();
    let length = asked.chars().count();
    if length > MAX_COMPARED {
        return Vec::new();
    }
    let most = (length / 3).max(1);
    let distance = |other: &str| {
        let other = other.to_lowercase();
        let within = length > 2 && other.contains(&asked);
        let comparable = other.chars().count().abs_diff(length) <= most;
        let distance = comparable.then(|| strsim::osa_distance(&asked, &other)).filter(|d| *d <= most);
        distance.or(within.then_some(usize::MAX))
    };
    let found = names.iter().filter_map(|(_, other)| Some((distance(other)?, other)));
    // Each name once, the nearest first.
    let found: BTreeSet<_> = found.collect();
    found.into_iter().map(|(_, name)| name).take(MAX_SUGGESTIONS).collect()
}
