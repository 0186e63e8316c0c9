//! The number of responses in flight for one caller.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The greatest number of responses in flight for a key. An SDK loads the pages of a query one after the other.
const MAX_OF_KEY: usize = 4;

/// The greatest number of responses in flight for all operators together.
const MAX_OF_OPERATORS: usize = 16;

/// The caller of the usage API.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum UsageCaller {
    /// The holder of the operator token.
    Operator,
    /// A key, by its id.
    Key(Arc<str>),
}

/// The responses in flight of each caller. All queries share one thread, so a limit bounds how long one caller delays the others.
#[derive(Debug, Default)]
pub(super) struct UsageSlots {
    /// A caller without a response in flight is not in the map.
    in_flight: Mutex<HashMap<UsageCaller, usize>>,
}

/// One response in flight, until it is dropped.
#[derive(Debug)]
pub(super) struct UsageSlot {
    slots: Arc<UsageSlots>,
    caller: UsageCaller,
}

impl UsageSlots {
    /// Takes a slot of a caller. Returns `None` if all slots of the caller are taken.
    pub(super) fn take(self: &Arc<Self>, caller: UsageCaller) -> Option<UsageSlot> {
        let max = match caller {
            UsageCaller::Operator => MAX_OF_OPERATORS,
            UsageCaller::Key(_) => MAX_OF_KEY,
        };
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        let count = in_flight.entry(caller.clone()).or_insert(0);
        if *count >= max {
            return None;
        }
        *count += 1;
        Some(UsageSlot { slots: self.clone(), caller })
    }
}

impl UsageSlot {
    /// Returns the id of the caller's key, or `None` for an operator.
    pub(super) fn key_id(&self) -> Option<&str> {
        self.caller.key_id()
    }
}

impl UsageCaller {
    /// Returns the caller with the key of this id, or an operator without an id.
    pub(super) fn new(key_id: Option<Arc<str>>) -> Self {
        match key_id {
            Some(id) => Self::Key(id),
            None => Self::Operator,
        }
    }

    /// Returns the id of the caller's key, or `None` for an operator.
    pub(super) fn key_id(&self) -> Option<&str> {
        match self {
            Self::Operator => None,
            Self::Key(id) => Some(id),
        }
    }
}

impl Drop for UsageSlot {
    fn drop(&mut self) {
        let mut in_flight = self.slots.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(count) = in_flight.get_mut(&self.caller) else { return };
        *count -= 1;
        if *count == 0 {
            in_flight.remove(&self.caller);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str) -> UsageCaller {
        UsageCaller::Key(id.into())
    }

    #[test]
    fn slots_of_each_caller_are_limited() {
        let slots = Arc::new(UsageSlots::default());
        let taken: Vec<_> = (0..4).map(|_| slots.take(key("a")).unwrap()).collect();
        assert!(slots.take(key("a")).is_none());
        assert!(slots.take(key("b")).is_some());
        assert!(slots.take(UsageCaller::Operator).is_some());
        drop(taken);
        assert!(slots.take(key("a")).is_some());
    }

    #[test]
    fn operators_have_more_slots() {
        let slots = Arc::new(UsageSlots::default());
        let _taken: Vec<_> = (0..16).map(|_| slots.take(UsageCaller::Operator).unwrap()).collect();
        assert!(slots.take(UsageCaller::Operator).is_none());
    }

    #[test]
    fn caller_without_a_response_takes_no_memory() {
        let slots = Arc::new(UsageSlots::default());
        drop(slots.take(key("a")));
        assert!(slots.in_flight.lock().unwrap().is_empty());
    }
}
