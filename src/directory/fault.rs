//! Why a page could not be had, in our own words: an API's own can repeat part of a key.

use super::api::Api;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// 401 or 403.
    Refused(u16),
    /// 404.
    Absent,
    /// 429, or 5xx.
    Busy {
        status: u16,
        retry_after: Option<Duration>,
    },
    /// Any other status.
    Status(u16),
    /// `Content-Encoding` says that something below should have decoded it.
    Encoded,
    /// The service's own error, or the body's.
    Transport(String),
    /// No whole answer within this time.
    Slow(Duration),
    TooLong {
        limit: usize,
    },
    NotAList,
    /// There is more, but nothing new to ask for it with.
    Repeats,
    /// More pages than any list has.
    Endless {
        pages: usize,
    },
    /// The walk found more keys than any map holds.
    TooMany {
        keys: usize,
    },
    /// The walk's time was over.
    Late,
    /// The admin key could not be read.
    Key(String),
}

impl Fault {
    /// Whether the same question may be answered later.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::Transport(_) | Self::Slow(_))
    }

    /// Whether the next walk would find just the same, as far as one can know.
    pub(super) fn is_lasting(&self) -> bool {
        !self.is_passing() && !matches!(self, Self::Late | Self::Key(_))
    }

    /// Whether every further request of this walk would be in vain.
    pub(super) fn ends_the_walk(&self) -> bool {
        matches!(self, Self::Refused(401) | Self::TooMany { .. } | Self::Late | Self::Key(_))
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    pub(super) fn words(&self, api: Api) -> String {
        match self {
            Self::Refused(401) => {
                format!("the API does not accept the admin key (401); it takes {}", api.right())
            }
            Self::Refused(status) => {
                format!("the admin key may not read this ({status}); it takes {}", api.right())
            }
            Self::Absent => "the API has no such list (404); check the base URL".into(),
            Self::Busy { status, retry_after: Some(wait) } => format!(
                "the API answered {status} and asks to wait for {} s, longer than there is time; try later",
                wait.as_secs()
            ),
            Self::Busy { status, retry_after: None } => {
                format!("the API answered {status} again and again; try later")
            }
            Self::Status(status @ 300..400) => {
                format!(
                    "the API redirects ({status}), which is not followed with a key; give the final base URL"
                )
            }
            Self::Status(status) => format!("the API answered {status}"),
            Self::Encoded => {
                "the answer is compressed though it was not asked to be; put a decompressing layer below"
                    .into()
            }
            Self::Transport(why) => format!("the API cannot be reached: {why}"),
            Self::Slow(time) => format!("no whole answer came within {} s", time.as_secs_f32()),
            Self::TooLong { limit } => {
                format!("a page is over {limit} bytes long; raise the page limit if that is right")
            }
            Self::NotAList => "the answer is no list page; check the base URL".into(),
            Self::Repeats => "the list repeats its cursor; what came before that was kept".into(),
            Self::Endless { pages } => {
                format!("the list has not ended after {pages} pages; what came until then was kept")
            }
            Self::TooMany { keys } => format!("there are over {keys} keys, more than a map file holds"),
            Self::Late => "the walk's time was over; allow more, or more requests at once".into(),
            Self::Key(why) => why.clone(),
        }
    }
}
