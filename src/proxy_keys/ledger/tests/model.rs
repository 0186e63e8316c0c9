//! A ledger that is exact, sequential and slow: it adds up all calls for each decision.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::proxy_keys::keys::{Limits, Meter, ProxyKey, Window};
use crate::proxy_keys::ledger::call::UsageRow;
use crate::proxy_keys::ledger::counter::{Amounts, Counter};
use crate::proxy_keys::ledger::sums::{CallSums, SumKey};
use crate::proxy_keys::ledger::{AdmissionError, Charge, LimitKind, Owner};

/// A call that was admitted.
pub(super) struct ModelCall {
    pub(super) key: String,
    pub(super) group: Option<String>,
    pub(super) admitted_at: Timestamp,
    pub(super) reserved: Charge,
    /// `None` while the call is in flight.
    pub(super) actual: Option<Charge>,
}

impl ModelCall {
    /// Returns the instant in milliseconds, the key and the charge of the call, which is settled.
    fn as_row(&self) -> (i64, &str, Charge) {
        let actual = self.actual.expect("the call is settled");
        (self.admitted_at.as_millisecond(), &self.key, actual)
    }
}

/// The decision about a call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Admitted,
    Exhausted(Owner, LimitKind),
    Busy(Owner, LimitKind),
    Unavailable,
}

impl Verdict {
    pub(super) fn of_error(error: AdmissionError) -> Self {
        match error {
            AdmissionError::Exhausted { limit, .. } => Verdict::Exhausted(limit.owner, limit.kind),
            AdmissionError::Busy { limit } => Verdict::Busy(limit.owner, limit.kind),
            AdmissionError::Unavailable(_) => Verdict::Unavailable,
        }
    }
}

/// All calls that were admitted.
#[derive(Default)]
pub(super) struct Model {
    pub(super) calls: Vec<ModelCall>,
}

/// Returns the name of a window: the start of the text of an instant, such as `2026-07` for a month.
fn window_name(window: Window, instant: Timestamp) -> String {
    let length = match window {
        Window::Minute => "2026-07-15T13:45".len(),
        Window::Hour => "2026-07-15T13".len(),
        Window::Day => "2026-07-15".len(),
        Window::Month => "2026-07".len(),
        Window::Ever => 0,
    };
    instant.to_string()[..length].to_owned()
}

impl Model {
    /// Adds up the calls of an owner in the window that contains an instant.
    pub(super) fn counter(&self, owner: &Owner, window: Window, instant: Timestamp) -> Counter {
        let mut counter = Counter::default();
        for call in &self.calls {
            let is_of_owner = match owner {
                Owner::Key(id) => call.key == **id,
                Owner::Group(id) => call.group.as_deref() == Some(&**id),
            };
            if !is_of_owner || window_name(window, call.admitted_at) != window_name(window, instant) {
                continue;
            }
            match call.actual {
                Some(actual) => counter.spent = counter.spent.plus(Amounts::of_call(actual)),
                None => counter.reserved = counter.reserved.plus(Amounts::of_call(call.reserved)),
            }
        }
        counter
    }

    /// Checks that each row is that of a call, once, and that no row is missing from a second on.
    pub(super) fn check_rows(&self, rows: &[UsageRow], rows_from: i64) {
        let mut expected: Vec<_> = self.calls.iter().map(ModelCall::as_row).collect();
        for row in rows {
            let row = (row.admitted_at.as_millisecond(), &*row.key_id, row.charge);
            let position = expected.iter().position(|call| *call == row);
            expected.swap_remove(position.expect("the row is that of a call without another row"));
        }
        for (admitted_at, key, _) in expected {
            assert!(admitted_at < 1_000 * rows_from, "the row of {key} at {admitted_at} ms is missing");
        }
    }

    /// Checks that the sums of the hours are those of all calls, which are settled.
    pub(super) fn check_hours(&self, hours: &[(SumKey, CallSums)]) {
        let mut expected: BTreeMap<(String, String, String), Amounts> = BTreeMap::new();
        for call in &self.calls {
            let hour = window_name(Window::Hour, call.admitted_at);
            let group = call.group.clone().unwrap_or_default();
            let sum = expected.entry((hour, call.key.clone(), group)).or_default();
            *sum = sum.plus(Amounts::of_call(call.actual.expect("the call is settled")));
        }
        let mut actual = BTreeMap::new();
        for (key, sums) in hours {
            let hour = window_name(Window::Hour, Timestamp::from_second(key.start).unwrap());
            actual.insert((hour, key.key_id.to_string(), key.group_id.to_string()), sums.amounts);
        }
        assert_eq!((actual.len(), actual), (hours.len(), expected));
    }

    fn check(&self, owner: Owner, limits: &Limits, now: Timestamp) -> Verdict {
        for limit in &limits.amounts {
            let counter = self.counter(&owner, limit.window, now);
            let (spent, reserved) = match limit.meter {
                Meter::Requests => (counter.spent.requests, counter.reserved.requests),
                Meter::Tokens => (counter.spent.tokens, counter.reserved.tokens),
                Meter::Dollars => (counter.spent.picodollars, counter.reserved.picodollars),
            };
            if spent + reserved >= limit.amount {
                let kind = LimitKind::Amount(*limit);
                let is_exhausted = spent >= limit.amount;
                return if is_exhausted {
                    Verdict::Exhausted(owner, kind)
                } else {
                    Verdict::Busy(owner, kind)
                };
            }
        }
        if let Some(parallel) = limits.parallel {
            let is_in_flight = |call: &&ModelCall| {
                let is_of_owner = match &owner {
                    Owner::Key(id) => call.key == **id,
                    Owner::Group(id) => call.group.as_deref() == Some(&**id),
                };
                is_of_owner && call.actual.is_none()
            };
            if self.calls.iter().filter(is_in_flight).count() as u64 >= parallel {
                return Verdict::Busy(owner, LimitKind::Parallel(parallel));
            }
        }
        Verdict::Admitted
    }

    /// Decides about a call, and adds it if it is admitted.
    pub(super) fn admit(&mut self, key: &ProxyKey, reserved: Charge, now: Timestamp) -> Verdict {
        let verdict = self.check(Owner::Key(key.id.as_str().into()), &key.limits, now);
        if verdict != Verdict::Admitted {
            return verdict;
        }
        if let Some(group) = &key.group {
            let verdict = self.check(Owner::Group(group.id.as_str().into()), &group.limits, now);
            if verdict != Verdict::Admitted {
                return verdict;
            }
        }
        let group = key.group.as_ref().map(|group| group.id.clone());
        self.calls.push(ModelCall { key: key.id.clone(), group, admitted_at: now, reserved, actual: None });
        Verdict::Admitted
    }
}
