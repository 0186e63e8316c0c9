//! One call to the upstream, which is settled and reported once.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;

use super::admitted_call::{AdmittedCall, CallEnd, PendingSettlement};
use super::gate::PermittedHead;
use super::ledger::Settlement;
#[cfg(feature = "tracing")]
use super::log::log_call;
use super::meter::{BodyForm, UsageMeter};
use super::metered_call::MeteredCall;
use super::settings::ProxyKeySettings;
use super::token_usage::TokenUsage;
use super::upstream::RealKey;
use crate::names::Provider;

/// A call to the upstream, until its response has ended.
pub(super) struct UpstreamCall {
    pub(super) settings: Arc<ProxyKeySettings>,
    pub(super) head: PermittedHead,
    /// The real key that was sent.
    pub(super) real_key: RealKey,
    /// True if the client did not request the usage event that the gate requested.
    pub(super) hides_usage_event: bool,
    pub(super) status: Option<StatusCode>,
    /// The admission by the ledger. `None` if the endpoint is not metered, and after the settlement.
    admitted: Option<AdmittedCall>,
    /// The meter of a response with a success status. It also finds the texts of errors, so it reads all endpoints.
    meter: Option<UsageMeter>,
    has_ended: bool,
}

impl UpstreamCall {
    pub(super) fn new(
        settings: Arc<ProxyKeySettings>,
        head: PermittedHead,
        real_key: RealKey,
        hides_usage_event: bool,
        admitted: Option<AdmittedCall>,
    ) -> Self {
        Self {
            settings,
            head,
            real_key,
            hides_usage_event,
            status: None,
            admitted,
            meter: None,
            has_ended: false,
        }
    }

    /// The provider whose API is called.
    pub(super) fn provider(&self) -> Provider {
        self.head.endpoint.provider
    }

    /// Starts to meter a response body of this form.
    pub(super) fn start_meter(&mut self, form: BodyForm) {
        self.meter = Some(UsageMeter::new(self.provider(), form));
    }

    /// Meters the next chunk of the response body.
    pub(super) fn meter_chunk(&mut self, chunk: &[u8]) {
        if let Some(meter) = &mut self.meter {
            meter.feed(chunk);
        }
    }

    /// Returns the chunk that was metered last, without the texts of its errors.
    pub(super) fn hide_error_texts(&self, chunk: Bytes) -> Bytes {
        match &self.meter {
            Some(meter) => meter.hide_error_texts(chunk),
            None => chunk,
        }
    }

    /// True if the call is not settled. False if the endpoint is not metered.
    pub(super) fn is_open(&self) -> bool {
        self.admitted.is_some()
    }

    /// True if the metered chunks contain the end of the response.
    pub(super) fn has_metered_end(&self) -> bool {
        self.meter.as_ref().is_some_and(UsageMeter::has_ended)
    }

    /// Ends the call, unless it has ended. Returns the queued settlement, or `None` if there is none.
    ///
    /// A response with a success status is charged by its meter. If there is no response, the estimated input is charged.
    pub(super) fn end(&mut self) -> Option<PendingSettlement> {
        let meter = self.meter.take();
        let end = match (&meter, self.status) {
            (Some(meter), _) => CallEnd::Body(meter),
            (None, Some(_)) => CallEnd::NotCharged,
            (None, None) => CallEnd::NoHeaders,
        };
        let settlement = self.end_with(end);
        // Errors may follow the end of the call.
        self.meter = meter;
        settlement
    }

    /// Ends the call without a charge of tokens, unless it has ended. The request counts. Returns the queued settlement.
    pub(super) fn end_without_charge(&mut self) -> Option<PendingSettlement> {
        self.end_with(CallEnd::NotCharged)
    }

    /// Queues the settlement of the call, and reports the call.
    fn end_with(&mut self, end: CallEnd<'_>) -> Option<PendingSettlement> {
        if self.has_ended {
            return None;
        }
        self.has_ended = true;
        let mut usage = usage_of(end);
        #[cfg(feature = "tracing")]
        log_call(&self.head, self.status, usage.as_ref());
        let admitted = self.admitted.take()?;
        if let Some(images) = admitted.image_count(end) {
            usage.get_or_insert_default().images = Some(images);
        }
        let settlement = admitted.settlement(end, usage.as_ref(), self.status);
        let callback = self.settings.on_usage.as_ref();
        let report = callback.map(|callback| (callback, self.metered_call(&settlement, usage)));
        let pending: PendingSettlement = Box::pin(admitted.reservation.settle(settlement));
        if let Some((callback, metered_call)) = report {
            callback(&metered_call);
        }
        Some(pending)
    }

    /// Returns the report of the call.
    fn metered_call(&self, settlement: &Settlement, usage: Option<TokenUsage>) -> MeteredCall {
        MeteredCall {
            key_id: self.head.key.id.clone(),
            group_id: self.head.key.group.as_ref().map(|group| group.id.clone()),
            provider: self.provider(),
            status: self.status,
            model: settlement.model.clone(),
            usage,
            tokens: settlement.actual.tokens,
            picodollars: settlement.actual.picodollars,
            is_estimated: settlement.is_estimated,
        }
    }
}

/// Returns the usage in the body that has ended, if there is one.
fn usage_of(end: CallEnd<'_>) -> Option<TokenUsage> {
    match end {
        CallEnd::Body(meter) => meter.usage(),
        CallEnd::NotCharged | CallEnd::NoHeaders => None,
    }
}

/// Ends a call that is dropped early. Its settlement is queued, and not awaited.
impl Drop for UpstreamCall {
    fn drop(&mut self) {
        let _ = self.end();
    }
}
