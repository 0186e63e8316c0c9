//! Who is told what became of one response.

use std::sync::Arc;

#[cfg(feature = "tracing")]
use tracing::level_filters::LevelFilter;

use crate::Snapshot;
use crate::json::edit::Settled;
#[cfg(feature = "tracing")]
use crate::json::edit::Text;
#[cfg(feature = "tracing")]
use crate::names::mask;
use crate::naming::settings::Settings;
use crate::outcome::{Outcome, RequestContext};

/// Tells what became of one response, once.
pub(crate) struct Report {
    settings: Arc<Settings>,
    snapshot: Snapshot,
    request: RequestContext,
    outcome: Option<Outcome>,
}

impl Report {
    pub(crate) fn new<B>(settings: &Arc<Settings>, request: &http::Request<B>) -> Self {
        let extensions = settings.on_outcome.as_ref().map(|_| request.extensions().clone());
        let request = RequestContext {
            method: request.method().clone(),
            uri: request.uri().clone(),
            extensions: extensions.unwrap_or_default(),
        };
        Self { settings: settings.clone(), snapshot: settings.names.snapshot(), request, outcome: None }
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The one map that this response is named with.
    pub(crate) fn names(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Says what became of the response as far as is known; the last word counts.
    pub(crate) fn set(&mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
    }

    /// Notes ids that the map does not know, and warns of those that are new in this generation. `held` is the whole
    /// body, where it is held.
    pub(crate) fn note_unmatched<'i, 'a>(
        &self,
        ids: impl Iterator<Item = (u64, &'i str)>,
        held: Option<impl Iterator<Item = &'a [u8]>>,
    ) {
        let is_new = |id: &str| self.settings.names.note_unmatched(self.snapshot.generation(), id);
        let fresh: Vec<_> = ids.filter(|(_, id)| is_new(id)).collect();
        #[cfg(feature = "tracing")]
        self.warn_unmatched(&fresh, held);
        #[cfg(not(feature = "tracing"))]
        drop((fresh, held));
    }

    #[cfg(feature = "tracing")]
    fn warn_unmatched<'a>(&self, ids: &[(u64, &str)], held: Option<impl Iterator<Item = &'a [u8]>>) {
        if ids.is_empty() || !tracing::enabled!(tracing::Level::WARN) {
            return;
        }
        let offsets: Vec<_> = ids.iter().map(|(at, _)| *at).collect();
        let paths = held.map(|held| crate::json::place::paths(held, &offsets)).unwrap_or_default();
        for (nth, (offset, id)) in ids.iter().enumerate() {
            tracing::warn!(
                id,
                generation = self.snapshot.generation(),
                path = mask(self.request.uri.path()),
                offset,
                at = paths.get(nth),
                "no name for this key id"
            );
        }
    }

    /// Traces an id that was named.
    #[inline(always)]
    pub(crate) fn trace_named(&self, _edit: &Settled) {
        #[cfg(feature = "tracing")]
        if LevelFilter::current() == LevelFilter::TRACE {
            self.trace(_edit);
        }
    }

    #[cfg(feature = "tracing")]
    #[cold]
    fn trace(&self, edit: &Settled) {
        if let Text::Name(found) = edit.text
            && tracing::enabled!(tracing::Level::TRACE)
        {
            let (id, name) = self.snapshot.entry(found);
            tracing::trace!(id, name, offset = edit.at, "named");
        }
    }

    /// Tells, the first time.
    pub(crate) fn tell(&mut self) {
        let Some(outcome) = self.outcome.take() else { return };
        if let Some(callback) = &self.settings.on_outcome {
            callback(&outcome, &self.request);
        }
        #[cfg(feature = "tracing")]
        self.event(outcome);
    }

    #[cfg(feature = "tracing")]
    fn event(&self, outcome: Outcome) {
        let crate::outcome::Counts { named, unmatched, not_a_string, skipped } = outcome.counts();
        let reason: Option<&dyn std::fmt::Debug> = match &outcome {
            Outcome::Amended { .. } | Outcome::Unchanged { .. } => None,
            Outcome::Skipped { skip, .. } => Some(skip),
            Outcome::Refused { refusal } => Some(refusal),
        };
        tracing::debug!(
            method = %self.request.method,
            path = mask(self.request.uri.path()),
            generation = self.snapshot.generation(),
            outcome = outcome.as_str(),
            reason = reason.map(tracing::field::debug),
            named,
            unmatched,
            not_a_string,
            skipped,
            "response"
        );
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        self.tell();
    }
}
