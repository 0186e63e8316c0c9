//! The request to admit a call, and the reasons against it.

use std::fmt;
use std::sync::Arc;

use super::call::CallInfo;
use super::counter::{Charge, Owner};
use super::store::StoreError;
use crate::proxy_keys::keys::{Limit, ProxyKey};

/// A call that is to be admitted.
#[derive(Debug)]
pub(crate) struct AdmissionRequest {
    /// The key with its limits and those of its group, from the keys file of the start of the call.
    pub(crate) key: Arc<ProxyKey>,
    pub(crate) info: CallInfo,
    /// The charge to reserve.
    pub(crate) estimate: Charge,
}

/// The reason for which a call is not admitted. It changes no counter.
#[derive(Clone, Debug)]
pub(crate) enum AdmissionError {
    /// Settled calls have used up a limit.
    Exhausted {
        limit: FailedLimit,
        /// The seconds until the next window. `None` if no window follows.
        retry_after: Option<u64>,
    },
    /// The calls in flight may use up a limit.
    Busy { limit: FailedLimit },
    /// The ledger cannot be written.
    Unavailable(StoreError),
}

impl fmt::Display for AdmissionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AdmissionError::Exhausted { .. } => f.write_str("a limit is used up"),
            AdmissionError::Busy { .. } => f.write_str("the calls in flight may use up a limit"),
            AdmissionError::Unavailable(error) => write!(f, "the ledger cannot be written: {error}"),
        }
    }
}

/// The limit that does not permit a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FailedLimit {
    /// The key or group that has the limit.
    pub(crate) owner: Owner,
    pub(crate) kind: LimitKind,
}

/// The form of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LimitKind {
    /// An amount in a window.
    Amount(Limit),
    /// A number of calls in flight.
    Parallel(u64),
}
