//! The reasons why a list cannot be read.

use std::fmt;
use std::time::Duration;

use http::StatusCode;

/// The most pages of one list: 100,000 keys of one project, with 100 keys a page.
pub(super) const MAX_PAGES: usize = 1_000;

/// The most ids of one label. Their map is below the limit of a map file for almost any length of names.
pub(super) const MAX_IDS: usize = 250_000;

/// The reason why a list, or the rest of one, could not be read.
///
/// The text does not repeat an API's message, which can contain a part of the key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListError {
    /// The API responded with another status than 200. 429 and 5xx were retried.
    Status {
        /// The last status.
        status: StatusCode,
        /// The delay that the last response requested.
        retry_after: Option<Duration>,
    },
    /// The response has a content coding, although the request accepts only `identity`.
    Encoded,
    /// The service or a response body failed. Contains the error with its sources in one line, without the key.
    Transport(String),
    /// The API did not send a complete response within this time.
    Timeout(Duration),
    /// A page is longer than this limit in bytes.
    PageTooLong(usize),
    /// The response is not a page of a list.
    NotAPage,
    /// There are more pages, but the cursor is absent or was used before.
    RepeatedCursor,
    /// The list has more pages than any real list.
    TooManyPages,
    /// The lists contain more keys, or other ids of one kind, than a map file.
    TooManyKeys,
    /// The listing's deadline expired.
    DeadlineExceeded,
    /// The admin key could not be read. Contains the text of the [`DirectoryError`](super::DirectoryError).
    AdminKey(String),
}

impl ListError {
    pub(super) fn is_status(&self, expected: StatusCode) -> bool {
        matches!(self, Self::Status { status, .. } if *status == expected)
    }

    /// True if the same request may succeed later.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Status { status, .. } => {
                *status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
            }
            Self::Transport(_) | Self::Timeout(_) => true,
            _ => false,
        }
    }

    /// True if the next listing would probably fail with the same error.
    pub(super) fn is_permanent(&self) -> bool {
        !self.is_transient() && !matches!(self, Self::DeadlineExceeded | Self::AdminKey(_))
    }

    /// True if each further request of this listing would fail too.
    pub(super) fn ends_listing(&self) -> bool {
        matches!(self, Self::DeadlineExceeded | Self::AdminKey(_))
    }

    /// True if the requests for other lists of keys would fail too.
    pub(super) fn ends_lists_of_keys(&self) -> bool {
        self.is_status(StatusCode::UNAUTHORIZED) || matches!(self, Self::TooManyKeys)
    }

    /// The delay that the API requested.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        if let Self::Status { retry_after, .. } = self { *retry_after } else { None }
    }
}

impl fmt::Display for ListError {
    /// Writes the reason and, if there is one, the remedy.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { status, retry_after } => write_status(f, *status, *retry_after),
            Self::Encoded => f.write_str(
                "the response is compressed against the request's Accept-Encoding; add a decompressing layer below",
            ),
            Self::Transport(message) => write!(f, "the API cannot be reached: {message}"),
            Self::Timeout(after) => write!(f, "no complete response within {} s", after.as_secs_f32()),
            Self::PageTooLong(limit) => {
                write!(f, "a page is longer than {limit} bytes; raise the page limit if that is right")
            }
            Self::NotAPage => f.write_str("the response is not a page of a list; check the base URL"),
            Self::RepeatedCursor => f.write_str("the list repeats its cursor; the pages before that were kept"),
            Self::TooManyPages => {
                write!(f, "the list has more than {MAX_PAGES} pages; the pages before that were kept")
            }
            Self::TooManyKeys => write!(f, "there are more than {MAX_IDS} ids, the limit of a map file"),
            Self::DeadlineExceeded => {
                f.write_str("the listing exceeded its deadline; allow more time or more concurrent requests")
            }
            Self::AdminKey(message) => f.write_str(message),
        }
    }
}

/// Writes the text of a [`ListError::Status`]: the meaning of the status, and the remedy if there is one.
///
/// A delay that a 429 or 5xx requested was too long for a retry.
fn write_status(f: &mut fmt::Formatter<'_>, status: StatusCode, delay: Option<Duration>) -> fmt::Result {
    let code = status.as_u16();
    match (code, delay) {
        (401, _) => write!(f, "the API does not accept the admin key (401)"),
        (403, _) => write!(f, "the admin key may not read this (403)"),
        (404, _) => write!(f, "the API has no such list (404); check the base URL"),
        (300..=399, _) => {
            write!(f, "the API redirects ({code}), which is not followed with a key; use the final base URL")
        }
        (429 | 500.., Some(delay)) => {
            let seconds = delay.as_secs();
            write!(
                f,
                "the API responded with {code} and requests a delay of {seconds} s, which is too long; try later"
            )
        }
        (429 | 500.., None) => write!(f, "the API responded with {code} repeatedly; try later"),
        _ => write!(f, "the API responded with {code}"),
    }
}

impl std::error::Error for ListError {}
