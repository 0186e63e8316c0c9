//! The settings of a layer. They are shared by one pointer, because a service is often cloned for each request.

use std::sync::Arc;
use std::time::Duration;

use super::key_share::KeyShares;
use super::keys::ProxyKeys;
use super::ledger::Ledger;
use super::metered_call::MeteredCall;
use super::upstream::Upstreams;
use crate::budget::Budget;

const MIB: u64 = 1024 * 1024;

pub(super) type OnUsage = Arc<dyn Fn(&MeteredCall) + Send + Sync>;

#[derive(Clone)]
pub(super) struct ProxyKeySettings {
    pub(super) keys: ProxyKeys,
    pub(super) ledger: Ledger,
    pub(super) upstreams: Upstreams,
    /// The length of the longest request body.
    pub(super) max_request_body: usize,
    /// The memory of all request bodies in flight.
    pub(super) budget: Arc<Budget>,
    /// The part of the budget that each key holds.
    pub(super) key_shares: Arc<KeyShares>,
    /// The longest time from the call of the service to the end of the request body.
    pub(super) upload_timeout: Duration,
    /// The longest time in which a response is read after its client has gone.
    pub(super) drain_timeout: Duration,
    pub(super) on_usage: Option<OnUsage>,
}

impl ProxyKeySettings {
    /// The default settings. The setters of [`ProxyKeyLayer`](super::ProxyKeyLayer) give the reasons.
    pub(super) fn new(keys: ProxyKeys, ledger: Ledger, upstreams: Upstreams) -> Self {
        Self {
            keys,
            ledger,
            upstreams,
            max_request_body: 32 * MIB as usize,
            budget: Arc::new(Budget::new(256 * MIB)),
            key_shares: Arc::new(KeyShares::of_budget(256 * MIB)),
            upload_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(5),
            on_usage: None,
        }
    }
}
