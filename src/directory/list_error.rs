//! The reasons why a list, or the rest of one, cannot be read.

use std::fmt;
use std::time::Duration;

/// The reason why a list, or the rest of one, could not be read.
///
/// The text is our own: an API's error message can repeat a part of the key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListError {
    /// The API does not accept the admin key (401).
    Unauthorized,
    /// The admin key may not read this list (403).
    Forbidden,
    /// The API does not have this list (404).
    NotFound,
    /// The API responded with 429 or 5xx until the time for retries was over.
    #[non_exhaustive]
    Unavailable {
        /// The last status.
        status: u16,
        /// The delay that the API requested with the last response.
        retry_after: Option<Duration>,
    },
    /// The API responded with another status than 200.
    #[non_exhaustive]
    UnexpectedStatus {
        /// The status.
        status: u16,
    },
    /// The response has a content coding, although only `identity` was accepted.
    Encoded,
    /// The service, or the body of its response, failed.
    #[non_exhaustive]
    Transport {
        /// The error and its sources in one line, without the key.
        message: String,
    },
    /// The API did not send a complete response in time.
    #[non_exhaustive]
    Timeout {
        /// The time that was allowed.
        after: Duration,
    },
    /// A page is longer than the page limit.
    #[non_exhaustive]
    PageTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// The response is not a page of a list.
    NotAPage,
    /// There are more pages, but the cursor is absent or was used before.
    RepeatedCursor,
    /// The list has more pages than any real list.
    #[non_exhaustive]
    TooManyPages {
        /// The limit in pages.
        limit: usize,
    },
    /// The lists contain more keys than a map.
    #[non_exhaustive]
    TooManyKeys {
        /// The limit in keys.
        limit: usize,
    },
    /// The listing's deadline expired.
    DeadlineExceeded,
    /// The admin key could not be read.
    #[non_exhaustive]
    AdminKey {
        /// The text of the [`DirectoryError`](super::DirectoryError).
        message: String,
    },
}

impl ListError {
    /// True if the same request may succeed later.
    pub(super) fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Transport { .. } | Self::Timeout { .. })
    }

    /// True if the next listing would probably fail with the same error.
    pub(super) fn is_permanent(&self) -> bool {
        !self.is_transient() && !matches!(self, Self::DeadlineExceeded | Self::AdminKey { .. })
    }

    /// True if each further request of this listing would fail too.
    pub(super) fn ends_listing(&self) -> bool {
        matches!(
            self,
            Self::Unauthorized | Self::TooManyKeys { .. } | Self::DeadlineExceeded | Self::AdminKey { .. }
        )
    }

    /// The delay that the API requested.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unauthorized => f.write_str("the API does not accept the admin key (401)"),
            Self::Forbidden => f.write_str("the admin key may not read this (403)"),
            Self::NotFound => f.write_str("the API has no such list (404); check the base URL"),
            Self::Unavailable { status, retry_after: Some(delay) } => write!(
                f,
                "the API responded with {status} and requests a delay of {} s, more than the time left; try later",
                delay.as_secs()
            ),
            Self::Unavailable { status, retry_after: None } => {
                write!(f, "the API responded with {status} repeatedly; try later")
            }
            Self::UnexpectedStatus { status: status @ 300..400 } => write!(
                f,
                "the API redirects ({status}), which is not followed with a key; use the final base URL"
            ),
            Self::UnexpectedStatus { status } => write!(f, "the API responded with {status}"),
            Self::Encoded => f.write_str(
                "the response is compressed against the request's Accept-Encoding; add a decompressing layer below",
            ),
            Self::Transport { message } => write!(f, "the API cannot be reached: {message}"),
            Self::Timeout { after } => {
                write!(f, "no complete response within {} s", after.as_secs_f32())
            }
            Self::PageTooLong { limit } => {
                write!(f, "a page is longer than {limit} bytes; raise the page limit if that is right")
            }
            Self::NotAPage => f.write_str("the response is not a page of a list; check the base URL"),
            Self::RepeatedCursor => {
                f.write_str("the list repeats its cursor; the pages before that were kept")
            }
            Self::TooManyPages { limit } => {
                write!(f, "the list has more than {limit} pages; the pages before that were kept")
            }
            Self::TooManyKeys { limit } => write!(f, "there are more than {limit} keys, the limit of a map file"),
            Self::DeadlineExceeded => {
                f.write_str("the listing exceeded its deadline; allow more time or more concurrent requests")
            }
            Self::AdminKey { message } => f.write_str(message),
        }
    }
}

impl std::error::Error for ListError {}
