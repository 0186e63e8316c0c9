//! The error of a request for costs, and the delay before its retry.
use std::time::{Duration, SystemTime};

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use tower_api_key_name::outcome::Skip;

use super::cost_page::PageError;
use crate::stack::errors::FailureCauses;

/// The longest part of an API's message that an error contains, in characters.
const MAX_MESSAGE_CHARS: usize = 300;

/// The limit of a requested delay. It is longer than any time for retries.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// The reason why a page cannot be read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FetchError {
    /// The API responded with another status than 200.
    #[error("{}: {message}", .status.as_u16())]
    Status {
        status: StatusCode,
        message: String,
        /// True if the same request may succeed later.
        is_transient: bool,
        /// The delay that the API requests.
        retry_after: Option<Duration>,
    },
    /// The stack received no valid response. Contains the failure with its causes.
    #[error("{text}")]
    NoResponse { text: String, is_transient: bool, is_unreachable: bool },
    #[error("the response ended early: {0}")]
    BodyFailed(String),
    /// The naming layer skipped the response, so that its ids have no names.
    #[error("the response is not JSON in a form that names can be added to ({0:?}); check the base URL")]
    NotNamed(Skip),
    #[error(transparent)]
    Page(#[from] PageError),
    #[error("the cursor of the page is too long for a request")]
    TargetTooLong,
}

impl FetchError {
    /// Returns the error of a response with another status than 200.
    pub fn from_response(
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
        request_headers: &HeaderMap,
    ) -> Self {
        Self::Status {
            status,
            message: error_message(status, body, request_headers),
            is_transient: may_succeed_later(status, headers),
            retry_after: parse_retry_after(headers, SystemTime::now()),
        }
    }

    /// Returns the error of a response that the stack made itself, because the upstream sent no valid one.
    pub fn from_failure(status: StatusCode, headers: &HeaderMap, causes: &FailureCauses) -> Self {
        Self::NoResponse {
            text: causes.text.clone(),
            is_transient: may_succeed_later(status, headers),
            is_unreachable: causes.is_unreachable,
        }
    }

    /// True if the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Status { is_transient, .. } | Self::NoResponse { is_transient, .. } => *is_transient,
            Self::BodyFailed(_) | Self::Page(PageError::Truncated) => true,
            Self::Page(_) | Self::NotNamed(_) | Self::TargetTooLong => false,
        }
    }

    /// Returns the delay that the API requests.
    pub fn retry_after(&self) -> Option<Duration> {
        if let Self::Status { retry_after, .. } = self { *retry_after } else { None }
    }

    /// True if no connection to the API could be opened.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::NoResponse { is_unreachable: true, .. })
    }

    /// True if a response with status 200 broke off.
    pub fn is_truncation(&self) -> bool {
        matches!(self, Self::BodyFailed(_) | Self::Page(PageError::Truncated))
    }

    /// Returns the status of an error response of the API.
    pub fn status(&self) -> Option<StatusCode> {
        if let Self::Status { status, .. } = self { Some(*status) } else { None }
    }
}

/// True if a request may succeed later, after an error response to it.
fn may_succeed_later(status: StatusCode, headers: &HeaderMap) -> bool {
    let is_final = headers.get("x-should-retry").is_some_and(|value| value == "false");
    let is_permanent = matches!(
        status,
        StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED | StatusCode::LOOP_DETECTED
    );
    let is_retryable = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
    is_retryable && !is_permanent && !is_final
}

/// The body of an error response. Both providers have these members.
#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorMember,
}

#[derive(Deserialize)]
struct ErrorMember {
    message: String,
}

/// Returns the message in the body of an error response. Without one, returns the standard text of the status.
fn error_message(status: StatusCode, body: &[u8], request_headers: &HeaderMap) -> String {
    let Ok(ErrorBody { error }) = serde_json::from_slice(body) else {
        return status.canonical_reason().unwrap_or("no message").to_owned();
    };
    // A remedy may follow the message in the same sentence.
    hide_secrets(error.message.trim_end_matches(['.', ' ']), request_headers)
}

/// Returns the beginning of a text in one line. Words that contain an API key are hidden.
///
/// The credentials are the sensitive headers of `request_headers`.
pub fn hide_secrets(text: &str, request_headers: &HeaderMap) -> String {
    let credentials = credential_words(request_headers);
    let mut words = Vec::new();
    for word in text.split_whitespace() {
        let has_credential = credentials.iter().any(|credential| contains_credential(word, credential));
        let is_secret = has_credential || looks_like_key(word);
        words.push(if is_secret { "(hidden)" } else { word });
    }
    let line = words.join(" ").replace(char::is_control, " ");
    line.chars().take(MAX_MESSAGE_CHARS).collect()
}

/// Returns the words of the sensitive headers, without `Bearer`.
fn credential_words(request_headers: &HeaderMap) -> Vec<&str> {
    let mut credentials = Vec::new();
    for value in request_headers.values() {
        if value.is_sensitive() {
            let words = value.to_str().unwrap_or_default().split_whitespace();
            credentials.extend(words.filter(|word| *word != "Bearer"));
        }
    }
    credentials
}

/// True if a word contains a credential. A short one can be a part of other words, so only punctuation may be around it.
fn contains_credential(word: &str, credential: &str) -> bool {
    let bare_word = word.trim_matches(|c: char| c.is_ascii_punctuation());
    bare_word == credential || (credential.len() >= 8 && word.contains(credential))
}

/// True if a word contains `sk-` at its start or after a character that is no letter or digit.
fn looks_like_key(word: &str) -> bool {
    let mut offsets = word.match_indices("sk-").map(|(offset, _)| offset);
    offsets.any(|offset| !word[..offset].ends_with(|c: char| c.is_ascii_alphanumeric()))
}

/// Returns the delay that a response requests, at most [`MAX_RETRY_AFTER`]. `None` if it requests no valid delay.
///
/// OpenAI sends milliseconds, besides the standard header.
fn parse_retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let header_text = |name: &str| Some(headers.get(name)?.to_str().ok()?.trim());
    if let Some(text) = header_text("retry-after-ms")
        && let Ok(milliseconds) = text.parse()
    {
        return Some(Duration::from_millis(milliseconds).min(MAX_RETRY_AFTER));
    }
    let delay = parse_seconds_or_date(header_text(RETRY_AFTER.as_str())?, now)?;
    Some(delay.min(MAX_RETRY_AFTER))
}

/// Returns the delay of a `Retry-After` header, which contains seconds or a date (RFC 9110 §10.2.3).
fn parse_seconds_or_date(text: &str, now: SystemTime) -> Option<Duration> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number {
        // A number that is too long for `u64` is a long delay too.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    // The delay of a date in the past is zero.
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::AUTHORIZATION;

    use super::*;

    fn message_of(text: &str) -> String {
        let mut request = HeaderMap::new();
        let mut credential = HeaderValue::from_static("Bearer gateway-secret-1");
        credential.set_sensitive(true);
        request.insert(AUTHORIZATION, credential);
        hide_secrets(text, &request)
    }

    #[test]
    fn short_credential_is_hidden_as_a_word_only() {
        let mut request = HeaderMap::new();
        let mut credential = HeaderValue::from_static("abc12");
        credential.set_sensitive(true);
        request.insert("x-api-key", credential);
        assert_eq!(hide_secrets("bad key \"abc12\". Not abc123", &request), "bad key (hidden) Not abc123");
    }

    #[test]
    fn words_with_keys_are_hidden() {
        let text = "Incorrect key: sk-admin-****1234. (sk-x) is not gateway-secret-1, see risk-free";
        assert_eq!(message_of(text), "Incorrect key: (hidden) (hidden) is not (hidden) see risk-free");
    }

    #[test]
    fn long_message_is_cut_and_has_one_line() {
        let text = format!("a\r\nb\t\u{7}c {}", "é".repeat(1_000));
        let message = message_of(&text);
        assert!(message.starts_with("a b  c é"), "{message}");
        assert_eq!(message.chars().count(), MAX_MESSAGE_CHARS);
    }

    #[test]
    fn delay_is_read_from_milliseconds_seconds_and_dates() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (name, text, milliseconds) in [
            ("retry-after", "2", Some(2_000)),
            ("retry-after", "0", Some(0)),
            ("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT", Some(10_000)),
            ("retry-after", "Sun, 06 Nov 1994 08:49:27 GMT", Some(0)),
            ("retry-after", "99999999999999999999999", Some(86_400_000)),
            ("retry-after", "soon", None),
            ("retry-after", "-1", None),
            ("retry-after-ms", "250", Some(250)),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(text));
            let delay = parse_retry_after(&headers, now).map(|delay| delay.as_millis());
            assert_eq!(delay, milliseconds, "{name}: {text}");
        }
    }
}
