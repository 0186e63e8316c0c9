//! One call in the ledger, from its admission to its usage row.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;

use super::counter::{Charge, CounterKey, Owner};
use super::counts::CountSums;
use crate::proxy_keys::TokenUsage;
use crate::proxy_keys::keys::Window;

/// The description of a call in its usage row. It contains nothing that a client may keep secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CallInfo {
    /// The provider, such as `openai`.
    pub(crate) provider: Cow<'static, str>,
    /// The path of the endpoint, such as `/v1/responses`.
    pub(crate) endpoint: Cow<'static, str>,
    /// The model in the request, until the response contains one.
    pub(crate) model: String,
}

/// An admitted call that is not settled.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OpenCall {
    pub(crate) id: u64,
    /// The instant that decides the windows of the call.
    pub(crate) admitted_at: Timestamp,
    pub(crate) key_id: Arc<str>,
    pub(crate) group_id: Option<Arc<str>>,
    pub(crate) info: CallInfo,
    pub(crate) reserved: Charge,
}

impl OpenCall {
    /// Returns the identities of all counters of the call: each window of its key, then of its group.
    pub(crate) fn counter_keys(&self) -> Vec<CounterKey> {
        let mut owners = vec![Owner::Key(self.key_id.clone())];
        if let Some(group_id) = &self.group_id {
            owners.push(Owner::Group(group_id.clone()));
        }
        let mut keys = Vec::with_capacity(owners.len() * Window::ALL.len());
        for owner in &owners {
            for window in Window::ALL {
                keys.push(CounterKey::at(owner, window, self.admitted_at));
            }
        }
        keys
    }
}

/// The final result of a call.
#[derive(Debug, Default)]
pub(crate) struct Settlement {
    pub(crate) actual: Charge,
    /// The model in the response.
    pub(crate) model: Option<String>,
    /// The counts that the response contains. If the charge is an estimate, the input and output tokens are those of the
    /// charge, unless the end of the call is unknown.
    pub(crate) usage: TokenUsage,
    /// The status of the response, if there was one.
    pub(crate) status: Option<u16>,
    /// True if the charge is not that of a complete response.
    pub(crate) is_estimated: bool,
    /// True if the charge contains a counter without a price.
    pub(crate) has_unpriced_counter: bool,
}

impl Settlement {
    /// Returns the settlement of a call whose end is unknown: its reservation.
    pub(crate) fn of_unknown_end(call: &OpenCall) -> Self {
        Self { actual: call.reserved, is_estimated: true, ..Self::default() }
    }
}

/// The record of a settled call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UsageRow {
    /// The id of the call, which no other row of the ledger has.
    pub(crate) id: u64,
    pub(crate) admitted_at: Timestamp,
    pub(crate) settled_at: Timestamp,
    pub(crate) key_id: Arc<str>,
    pub(crate) group_id: Option<Arc<str>>,
    pub(crate) info: CallInfo,
    pub(crate) status: Option<u16>,
    pub(crate) charge: Charge,
    pub(crate) is_estimated: bool,
    pub(crate) has_unpriced_counter: bool,
    pub(crate) counts: CountSums,
}

impl UsageRow {
    /// Returns the row of a call that is settled at this instant.
    pub(crate) fn new(call: &OpenCall, settlement: &Settlement, settled_at: Timestamp) -> Self {
        let mut info = call.info.clone();
        if let Some(model) = &settlement.model {
            info.model.clone_from(model);
        }
        Self {
            id: call.id,
            admitted_at: call.admitted_at,
            settled_at,
            key_id: call.key_id.clone(),
            group_id: call.group_id.clone(),
            info,
            status: settlement.status,
            charge: settlement.actual.storable(),
            is_estimated: settlement.is_estimated,
            has_unpriced_counter: settlement.has_unpriced_counter,
            counts: CountSums::from(&settlement.usage),
        }
    }
}
