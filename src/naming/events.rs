//! The events of the feature `tracing`. They contain no query, no header and nothing that looks like a secret.

use std::fmt::Debug;

use tracing::{Level, debug, enabled, trace, warn};

use crate::Snapshot;
use crate::json::json_path;
use crate::outcome::{Counts, Outcome, RequestContext};
use crate::secret::mask;

/// Logs the outcome of a response.
pub(crate) fn response(request: &RequestContext, names: &Snapshot, outcome: &Outcome) {
    let Counts { named, unmatched, not_a_string, skipped } = outcome.counts();
    let reason: Option<&dyn Debug> = match outcome {
        Outcome::Amended { .. } | Outcome::Unchanged { .. } => None,
        Outcome::Skipped { skip, .. } => Some(skip),
        Outcome::Refused { refusal } => Some(refusal),
    };
    debug!(
        method = %request.method,
        path = mask(request.uri.path()),
        generation = names.generation(),
        outcome = outcome.as_str(),
        reason = reason.map(tracing::field::debug),
        named,
        unmatched,
        not_a_string,
        skipped,
        "response"
    );
}

/// Logs ids without a name, with the offset after each and, if the body is buffered, their JSON paths.
pub(crate) fn unmatched<'a>(
    request: &RequestContext,
    names: &Snapshot,
    ids: &[(u64, Box<str>)],
    body: Option<impl Iterator<Item = &'a [u8]>>,
) {
    if ids.is_empty() || !enabled!(Level::WARN) {
        return;
    }
    let offsets: Vec<_> = ids.iter().map(|(at, _)| *at).collect();
    let paths = body.map(|body| json_path::paths(body, &offsets)).unwrap_or_default();
    for (index, (offset, id)) in ids.iter().enumerate() {
        warn!(
            id = &**id,
            generation = names.generation(),
            path = mask(request.uri.path()),
            offset,
            at = paths.get(index),
            "no name for this id"
        );
    }
}

/// Logs the names that were inserted or replaced: the offset, the id and the name of each.
pub(crate) fn named<'a>(named: impl Iterator<Item = (u64, &'a str, &'a str)>) {
    if enabled!(Level::TRACE) {
        for (offset, id, name) in named {
            trace!(id, name, offset, "named");
        }
    }
}

/// Logs a path that is out of scope but looks like an organization endpoint. A prefix before the API's path, or one
/// that a router removed, disables the layer without an error.
pub(crate) fn out_of_scope(path: &str) {
    if path.split('/').any(|segment| matches!(segment, "organization" | "organizations")) {
        debug!(path = mask(path), "out of scope: its ids get no names; see ApiKeyNameLayer::scope");
    }
}
