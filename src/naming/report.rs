//! The outcome of one response, which is reported once.

use std::sync::Arc;

use http::HeaderValue;

use crate::Snapshot;
use crate::names::LabelSet;
#[cfg(feature = "tracing")]
use crate::naming::events;
use crate::naming::settings::LayerSettings;
use crate::outcome::{Outcome, RequestContext};

/// Reports the outcome of one response when it is sent or dropped.
pub(crate) struct Report {
    pub(crate) settings: Arc<LayerSettings>,
    /// The map that is used for the whole response.
    pub(crate) names: Snapshot,
    pub(crate) request: RequestContext,
    /// The labels that are named in the response.
    pub(crate) active: LabelSet,
    /// The value of the header [`API_KEY_NAME_SENT`](super::name_sent::API_KEY_NAME_SENT). `None` if the query contained
    /// no name.
    pub(crate) name_sent: Option<HeaderValue>,
    outcome: Option<Outcome>,
}

impl Report {
    /// Creates the report of the response to `request`, as the client sent it, without an outcome.
    pub(crate) fn new<B>(
        settings: &Arc<LayerSettings>,
        names: Snapshot,
        active: LabelSet,
        request: &http::Request<B>,
    ) -> Self {
        // Only the callbacks can access the extensions.
        let has_callback = settings.on_outcome.is_some() || settings.refusal_response.is_some();
        let extensions = if has_callback { request.extensions().clone() } else { Default::default() };
        let context =
            RequestContext { method: request.method().clone(), uri: request.uri().clone(), extensions };
        Self { settings: settings.clone(), names, request: context, active, name_sent: None, outcome: None }
    }

    /// Sets the outcome to report. A later call replaces it.
    pub(crate) fn set_outcome(&mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
    }

    /// Passes the outcome to the callback and logs it, unless there is none or it was reported already.
    pub(crate) fn send(&mut self) {
        let Some(outcome) = self.outcome.take() else { return };
        if let Some(callback) = &self.settings.on_outcome {
            callback(&outcome, &self.request);
        }
        #[cfg(feature = "tracing")]
        events::response(&self.request, &self.names, &outcome);
    }

    /// Records ids that the map does not contain, and logs those that are new in this generation, with the offset after
    /// each and its JSON path in `body`, which is the whole body if it is buffered.
    #[cfg_attr(not(feature = "tracing"), allow(unused_variables))]
    pub(crate) fn record_unmatched<'a>(
        &self,
        mut ids: Vec<(u64, Box<str>)>,
        body: Option<impl Iterator<Item = &'a [u8]>>,
    ) {
        // `note_unmatched` records the id, and returns true if it is new.
        ids.retain(|(_, id)| self.settings.names.note_unmatched(self.names.generation(), id));
        #[cfg(feature = "tracing")]
        events::unmatched(&self.request, &self.names, &ids, body);
    }
}

/// A response that is dropped early is reported too.
impl Drop for Report {
    fn drop(&mut self) {
        self.send();
    }
}
