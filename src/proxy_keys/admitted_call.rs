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
    /// The number of images that the request declares. `None` if the endpoint generates no images.
    pub(super) requested_images: Option<u64>,
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

    /// Returns the number of images of a call that ends in this way. Returns `None` if it is not known that there are any.
    ///
    /// The images of a response are not counted: their elements could be found only by a scan for all values of all
    /// responses, and a successful response contains the requested number.
    pub(super) fn image_count(&self, end: CallEnd<'_>) -> Option<u64> {
        match end {
            CallEnd::Body(meter) if meter.has_whole_result() => self.requested_images,
            CallEnd::Body(_) | CallEnd::NotCharged | CallEnd::NoHeaders => None,
        }
    }

    /// Returns the settlement of a response with a success status.
    fn settlement_of_body(&self, meter: &UsageMeter, usage: Option<&TokenUsage>) -> Settlement {
        let mut settlement = match usage {
            Some(usage) if meter.has_final_usage() => self.charge(usage.clone()),
            _ if self.lacks_usage => Settlement::default(),
            partial_usage => self.estimate(partial_usage, meter.event_count()),
        };
        settlement.model = meter.model().map(str::to_owned);
        settlement
    }

    /// Charges the usage of a whole response.
    fn charge(&self, usage: TokenUsage) -> Settlement {
        let cost = self.cost(&usage);
        Settlement {
            actual: Charge { tokens: total_tokens(&usage), picodollars: cost.picodollars },
            usage,
            has_unpriced_counter: cost.has_unpriced_counter,
            ..Settlement::default()
        }
    }

    /// Charges an estimate: of the input, the larger of the usage so far and of the estimate; of the output, the larger of the
    /// usage so far and of one token for each event.
    fn estimate(&self, usage_so_far: Option<&TokenUsage>, event_count: u64) -> Settlement {
        let mut usage = usage_so_far.cloned().unwrap_or_default();
        usage.input_tokens = usage.input_tokens.max(Some(self.input_estimate));
        usage.output_tokens = usage.output_tokens.max(Some(event_count));
        let mut settlement = self.charge(usage);
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
