//! The failures of a call to the upstream.
use std::time::Duration;

use tower::BoxError;

/// The reason why no upstream response can be sent. Its text is the message of the error response.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The request contains the Via of this proxy.
    #[error("The upstream's address leads back to this proxy")]
    Loop,
    #[error("The request target is too long to be forwarded")]
    TargetTooLong,
    #[error("The only transfer coding supported is chunked")]
    UnsupportedCoding,
    /// The upstream sent no headers, or no more of a body, for this duration, which is that of the flag.
    #[error("The upstream sent nothing for {} s ({})", .0.as_secs_f64(), .1)]
    UpstreamTimeout(Duration, &'static str),
    #[error("The call did not end before its deadline (--deadline)")]
    DeadlineExceeded,
    #[error("The rest of the request body did not arrive")]
    RequestTimeout,
    #[error("The request body ended early or is not valid HTTP")]
    BrokenRequest,
    #[error("The upstream cannot be reached")]
    Unreachable(#[source] BoxError),
    #[error("The upstream's response ended early or is not valid HTTP")]
    Transport(#[source] BoxError),
    /// The response body failed while the naming layer buffered it.
    #[error("The upstream's response ended early or is not valid HTTP")]
    BodyFailed(#[source] BoxError),
    #[error("The upstream's response does not fit the request")]
    InvalidResponse,
}

impl Failure {
    /// Returns a constant word for the label of a metric.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Loop => "loop",
            Self::TargetTooLong => "target_too_long",
            Self::UnsupportedCoding => "unsupported_coding",
            Self::UpstreamTimeout(..) => "timeout",
            Self::DeadlineExceeded => "deadline",
            Self::RequestTimeout => "request_timeout",
            Self::BrokenRequest => "broken_request",
            Self::Unreachable(_) => "unreachable",
            Self::Transport(_) | Self::BodyFailed(_) => "broken_response",
            Self::InvalidResponse => "invalid_response",
        }
    }
}
