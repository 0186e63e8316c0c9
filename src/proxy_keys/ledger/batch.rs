//! One batch of operations on the counters: the rules of admission and settlement.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use jiff::Timestamp;

use super::admission::{AdmissionError, AdmissionRequest, FailedLimit, LimitKind};
use super::call::{OpenCall, Settlement, UsageRow};
use super::counter::{Amounts, Counter, CounterKey, Owner};
use super::store::{LedgerChanges, LedgerStore, StoreError};
use crate::proxy_keys::keys::{Limits, ProxyKey, Window};

/// A batch that is applied in memory and then written in one commit.
///
/// A counter is read from the store at its first use in the batch, and is forgotten after the batch. Each operation sees
/// the changes of the earlier ones.
pub(crate) struct Batch<'a> {
    store: &'a mut dyn LedgerStore,
    /// The clock of the store at the start of the batch.
    now: Timestamp,
    /// The counters that the batch has used, and the calls.
    changes: LedgerChanges,
}

impl<'a> Batch<'a> {
    /// Begins a batch. Fails if the store cannot write.
    pub(crate) fn begin(store: &'a mut dyn LedgerStore, now: Timestamp) -> Result<Self, StoreError> {
        store.begin()?;
        Ok(Self { store, now, changes: LedgerChanges::default() })
    }

    /// Checks all limits of the key and its group. If the call may proceed, adds its reservation to all counters and
    /// returns the call with this id. Otherwise changes nothing and returns the refusal.
    pub(crate) fn admit(
        &mut self,
        id: u64,
        request: &AdmissionRequest,
    ) -> Result<Result<Arc<OpenCall>, AdmissionError>, StoreError> {
        let key = &request.key;
        if let Some(refusal) = self.find_refusal(key)? {
            return Ok(Err(refusal));
        }
        let key_id = key.id.as_str().into();
        let group_id = key.group.as_ref().map(|group| group.id.as_str().into());
        let reserved = request.estimate.capped();
        let call =
            OpenCall { id, admitted_at: self.now, key_id, group_id, info: request.info.clone(), reserved };
        for counter_key in call.counter_keys() {
            let counter = self.counter(counter_key)?;
            counter.reserved = counter.reserved.plus(Amounts::of_call(reserved));
        }
        let call = Arc::new(call);
        self.changes.admitted.push(call.clone());
        Ok(Ok(call))
    }

    /// Replaces the reservation of a call by its actual charge in all counters, and adds its usage row.
    pub(crate) fn settle(&mut self, call: &OpenCall, settlement: &Settlement) -> Result<(), StoreError> {
        for counter_key in call.counter_keys() {
            let counter = self.counter(counter_key)?;
            counter.reserved = counter.reserved.minus(Amounts::of_call(call.reserved));
            counter.spent = counter.spent.plus(Amounts::of_call(settlement.actual));
        }
        self.changes.settled.push(UsageRow::new(call, settlement, self.now));
        Ok(())
    }

    /// Writes the changes durably in one commit. Returns false for a batch without changes, which needs no commit.
    pub(crate) fn commit(self) -> Result<bool, StoreError> {
        if self.changes.is_empty() {
            self.store.cancel();
            return Ok(false);
        }
        self.store.commit(&self.changes)?;
        Ok(true)
    }

    /// Ends the batch without changes.
    pub(crate) fn cancel(self) {
        self.store.cancel();
    }

    /// Returns the refusal by the first limit that permits no call, of the key and then of its group. Returns `None` if all
    /// limits permit a call.
    fn find_refusal(&mut self, key: &ProxyKey) -> Result<Option<AdmissionError>, StoreError> {
        let refusal = self.find_refusal_by(&Owner::Key(key.id.as_str().into()), &key.limits)?;
        let Some(group) = &key.group else { return Ok(refusal) };
        if refusal.is_some() {
            return Ok(refusal);
        }
        self.find_refusal_by(&Owner::Group(group.id.as_str().into()), &group.limits)
    }

    /// Returns the refusal by the first limit of one owner that permits no call, or `None` if all its limits permit one.
    fn find_refusal_by(
        &mut self,
        owner: &Owner,
        limits: &Limits,
    ) -> Result<Option<AdmissionError>, StoreError> {
        for limit in &limits.amounts {
            let counter = *self.counter(CounterKey::at(owner, limit.window, self.now))?;
            let spent = counter.spent.of_meter(limit.meter);
            let reserved = counter.reserved.of_meter(limit.meter);
            let failed = FailedLimit { owner: owner.clone(), kind: LimitKind::Amount(*limit) };
            if spent >= limit.amount {
                let retry_after = limit.window.seconds_to_next(self.now);
                return Ok(Some(AdmissionError::Exhausted { limit: failed, retry_after }));
            }
            if spent.saturating_add(reserved) >= limit.amount {
                return Ok(Some(AdmissionError::Busy { limit: failed }));
            }
        }
        if let Some(parallel) = limits.parallel {
            // Each call in flight reserves one request in the window `ever`.
            let counter = self.counter(CounterKey::at(owner, Window::Ever, self.now))?;
            let in_flight = counter.reserved.requests;
            if in_flight >= parallel {
                let limit = FailedLimit { owner: owner.clone(), kind: LimitKind::Parallel(parallel) };
                return Ok(Some(AdmissionError::Busy { limit }));
            }
        }
        Ok(None)
    }

    /// Returns a counter of the batch. Reads it from the store, unless the batch has used it before.
    fn counter(&mut self, key: CounterKey) -> Result<&mut Counter, StoreError> {
        match self.changes.counters.entry(key) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let counter = self.store.counter(entry.key())?;
                Ok(entry.insert(counter))
            }
        }
    }
}
