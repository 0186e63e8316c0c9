//! The checks of a request body.
//!
//! The scanner of `json/` reads the body, and not a parser of another crate: the verdict must not depend on how a parser
//! treats members that occur twice, or names with escapes.

mod declared_output;
mod elements;
mod members;
mod model;
mod sink;

use std::borrow::Cow;

pub(crate) use self::declared_output::DeclaredOutput;
use self::sink::BodySink;
use super::endpoints::Endpoint;
use super::usage_option::BodyEdit;
use super::{Refusal, RefusalKind};
use crate::json::scan::{ScanError, Scanner};
use crate::proxy_keys::keys::ProxyKey;

/// The deepest nesting of arrays and objects: 128, so that the provider's and the client's parsers accept a body and a response
/// that repeats it.
const MAX_DEPTH: usize = 128;

/// A permitted request body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CheckedBody {
    /// The requested model, which the key may call.
    pub(crate) model: String,
    /// True if the response is a stream of events.
    pub(crate) streams: bool,
    /// The edit with which a stream contains its usage.
    pub(crate) edit: Option<BodyEdit>,
    /// True if the client did not request the event with the usage.
    pub(crate) hides_usage_event: bool,
    /// The declared amount of output.
    pub(crate) output: DeclaredOutput,
}

/// Checks a body that consists of these chunks. More than one chunk only in tests: their ends change nothing in the result.
///
/// A syntax error takes precedence. Otherwise the first refusal in the body is reported, and a number that is not accepted
/// last.
pub(super) fn check_chunks(
    endpoint: &'static Endpoint,
    key: &ProxyKey,
    chunks: &[&[u8]],
) -> Result<CheckedBody, Refusal> {
    let mut scanner = Scanner::without_templates();
    let mut sink = BodySink::new(endpoint, key);
    let mut result = Ok(());
    for chunk in chunks {
        result = scanner.feed(chunk, &mut sink);
        if result.is_err() {
            break;
        }
    }
    match result.and_then(|()| scanner.finish()) {
        Err(ScanError::NotJson { offset }) => {
            Err(refuse(format!("The body is not JSON: see the byte at the offset {offset}.")))
        }
        // The sink has refused a body that is nested too deeply.
        Err(ScanError::TooDeep { .. }) | Ok(()) => sink.finish(chunks),
    }
}

/// Creates the refusal of a body.
fn refuse(message: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal::new(RefusalKind::InvalidRequest, message)
}

#[cfg(test)]
mod tests;
