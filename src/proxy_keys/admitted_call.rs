//! The charge of a call that the ledger has admitted.

use std::pin::Pin;
use std::sync::Arc;

use http::StatusCode;

use super::keys::{Cost, Prices};
use super::ledger::{CallReservation, Charge, Settlement, StoreError};
use super::meter::UsageMeter;
use super::token_usage::TokenUsage;

/// A settlement that is queued. The future is ready when it is durable, or when the ledger has failed to write it. In that
/// case the ledger keeps the settlement, and admits no call before it is written.
pub(super) type PendingSettlement = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + Sync>>;

/// The part of a response that decides the charge of its call.
#[derive(Clone, Copy, Debug)]
pub(super) enum CallEnd<'a> {
    /// There is nothing to charge: the inner service failed, the upstream sent an error, or its response is replaced.
    NotCharged,
    /// The call was dropped before the response headers, so the provider may have processed the request.
    NoHeaders,
    /// The body that the meter has read so far.
    Body(&'a UsageMeter),
}

/// The data for the settlement of a call.
pub(super) struct AdmittedCall {
    pub(super) reservation: CallReservation,
    /// The prices at the start of the call.
    pub(super) prices: Arc<Prices>,
    /// The model of the request, whose prices count.
    pub(super) model: String,
    pub(super) input_estimate: u64,
    /// True if the responses of the endpoint never contain usage, and cost no tokens.
    pub(super) lacks_usage: bool,
}

impl AdmittedCall {
    /// Returns the settlement of the call after this end. `usage` is that in the body, if there is one.
    pub(super) fn settlement(
        &self,
        end: CallEnd<'_>,
        usage: Option<&TokenUsage>,
        status: Option<StatusCode>,
    ) -> Settlement {
        let mut settlement = match end {
            CallEnd::NotCharged => Settlement::default(),
            CallEnd::NoHeaders => self.estimate(None, 0),
            CallEnd::Body(meter) => self.settlement_of_body(meter, usage),
        };
        settlement.status = status.map(|status| status.as_u16());
        settlement
    }

    /// Returns the settlement of a response with a success status.
    fn settlement_of_body(&self, meter: &UsageMeter, usage: Option<&TokenUsage>) -> Settlement {
        let mut settlement = match usage {
            Some(usage) if meter.has_final_usage() => self.charge(usage),
            _ if self.lacks_usage => Settlement::default(),
            partial_usage => self.estimate(partial_usage, meter.event_count()),
        };
        settlement.model = meter.model().map(str::to_owned);
        settlement.usage = usage.cloned().unwrap_or_default();
        settlement
    }

    /// Charges the usage of a whole response.
    fn charge(&self, usage: &TokenUsage) -> Settlement {
        let cost = self.cost(usage);
        Settlement {
            actual: Charge { tokens: total_tokens(usage), picodollars: cost.picodollars },
            has_unpriced_counter: cost.has_unpriced_counter,
            ..Settlement::default()
        }
    }

    /// Charges an estimate: the larger of the usage so far, and of the estimated input with one output token for each
    /// event.
    fn estimate(&self, usage_so_far: Option<&TokenUsage>, event_count: u64) -> Settlement {
        let estimated_usage = TokenUsage {
            input_tokens: Some(self.input_estimate),
            output_tokens: Some(event_count),
            ..TokenUsage::default()
        };
        let mut settlement = self.charge(&estimated_usage);
        if let Some(usage) = usage_so_far {
            let sent = self.charge(usage);
            settlement.actual.tokens = settlement.actual.tokens.max(sent.actual.tokens);
            settlement.actual.picodollars = settlement.actual.picodollars.max(sent.actual.picodollars);
            settlement.has_unpriced_counter |= sent.has_unpriced_counter;
        }
        settlement.is_estimated = true;
        settlement
    }

    /// Returns the cost at the prices of the requested model. Without prices it is 0, and marked.
    fn cost(&self, usage: &TokenUsage) -> Cost {
        match self.prices.find(&self.model) {
            Some(prices) => prices.cost(usage),
            None => Cost { picodollars: 0, has_unpriced_counter: true },
        }
    }
}

/// Returns all input and output tokens.
fn total_tokens(usage: &TokenUsage) -> u64 {
    usage.input_tokens.unwrap_or(0).saturating_add(usage.output_tokens.unwrap_or(0))
}
