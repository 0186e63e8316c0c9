//! Properties of the ledger for random schedules of concurrent calls, reloads, clock changes and crashes.

use std::sync::Arc;

use jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;

use super::model::{Model, Verdict};
use super::{Fixture, group, group_owner, key, key_owner, limit, request};
use crate::proxy_keys::keys::{Group, Limit, Limits, Meter, ProxyKey, Window};
use crate::proxy_keys::ledger::batch::Batch;
use crate::proxy_keys::ledger::counter::{Amounts, Counter, CounterKey};
use crate::proxy_keys::ledger::{CallReservation, Charge, Settlement};

/// The keys `k0` and `k1` belong to the group `g`. The key `k2` has no group.
const KEYS: [(&str, bool); 3] = [("k0", true), ("k1", true), ("k2", false)];

/// A step of a schedule. An index selects one of the calls in flight, modulo their number.
#[derive(Clone, Debug)]
enum Step {
    /// Admissions that are queued together before any of them is awaited.
    Admit(Vec<(usize, Charge)>),
    Settle(usize, Charge),
    Drop(usize),
    AdvanceClock(i64),
    /// New limits of a key, and of the group.
    Reload(usize, Limits, Limits),
    /// The writer ends, and the ledger is opened again. A store in memory does not survive this.
    Crash,
}

fn charge() -> impl Strategy<Value = Charge> {
    (0..60_u64, 0..60_u64).prop_map(|(tokens, picodollars)| Charge { tokens, picodollars })
}

fn limits() -> impl Strategy<Value = Limits> {
    let meter = prop::sample::select(Meter::ALL.to_vec());
    let window = prop::sample::select(Window::ALL.to_vec());
    let amount = (meter, window, 1..200_u64).prop_map(|(meter, window, amount)| {
        // Requests are fewer than tokens.
        let amount = if meter == Meter::Requests { 1 + amount / 20 } else { amount };
        Limit { meter, window, amount }
    });
    (vec(amount, 0..4), prop::option::of(1..5_u64))
        .prop_map(|(amounts, parallel)| Limits { amounts, parallel })
}

fn step() -> impl Strategy<Value = Step> {
    let index = 0..8_usize;
    prop_oneof![
        6 => vec((0..KEYS.len(), charge()), 1..5).prop_map(Step::Admit),
        6 => (index.clone(), charge()).prop_map(|(index, actual)| Step::Settle(index, actual)),
        1 => index.prop_map(Step::Drop),
        2 => prop::sample::select(vec![-90, -1, 1, 20, 61, 3_601, 86_400, 31 * 86_400, 91 * 86_400]).prop_map(Step::AdvanceClock),
        1 => (0..KEYS.len(), limits(), limits()).prop_map(|(key, own, group)| Step::Reload(key, own, group)),
        1 => Just(Step::Crash),
    ]
}

/// A ledger and its model, which perform the same steps.
struct Comparison {
    fixture: Fixture,
    model: Model,
    group: Arc<Group>,
    keys: Vec<Arc<ProxyKey>>,
    /// The calls in flight, with their indexes in the model.
    in_flight: Vec<(usize, CallReservation)>,
    /// The counters of the last look, whose spent amounts never decrease.
    last_counters: Vec<(CounterKey, Counter)>,
    /// The latest instant of the clock.
    latest: Timestamp,
}

impl Comparison {
    fn new(fixture: Fixture, own: &[Limits], of_group: Limits) -> Self {
        let group = group("g", of_group);
        let mut keys = Vec::new();
        for ((id, has_group), limits) in KEYS.into_iter().zip(own) {
            keys.push(key(id, limits.clone(), has_group.then_some(&group)));
        }
        let latest = fixture.clock.now();
        Self {
            fixture,
            latest,
            model: Model::default(),
            group,
            keys,
            in_flight: Vec::new(),
            last_counters: Vec::new(),
        }
    }

    async fn perform(&mut self, step: Step) {
        match step {
            Step::Admit(calls) => self.admit(calls).await,
            Step::Settle(index, actual) => {
                if let Some((call, reservation)) = self.take(index) {
                    self.model.calls[call].actual = Some(actual);
                    reservation.settle(Settlement { actual, ..Settlement::default() }).await.unwrap();
                }
            }
            Step::Drop(index) => {
                if let Some((call, reservation)) = self.take(index) {
                    self.model.calls[call].actual = Some(self.model.calls[call].reserved);
                    drop(reservation);
                }
            }
            Step::AdvanceClock(seconds) => self.fixture.clock.advance(seconds),
            Step::Reload(index, own, of_group) => {
                self.group = group("g", of_group);
                for (position, (id, has_group)) in KEYS.into_iter().enumerate() {
                    let limits =
                        if position == index { own.clone() } else { self.keys[position].limits.clone() };
                    self.keys[position] = key(id, limits, has_group.then_some(&self.group));
                }
            }
            Step::Crash => {
                if self.fixture.restart().await {
                    for (call, _) in self.in_flight.drain(..) {
                        self.model.calls[call].actual = Some(self.model.calls[call].reserved);
                    }
                }
            }
        }
        self.compare_counters().await;
    }

    /// Queues admissions together, and compares each decision with that of the model.
    async fn admit(&mut self, calls: Vec<(usize, Charge)>) {
        let now = self.fixture.clock.now();
        let mut waiting = Vec::new();
        for (index, reserved) in &calls {
            waiting.push(self.fixture.ledger.admit(request(&self.keys[*index], *reserved)));
        }
        for (admission, (index, reserved)) in waiting.into_iter().zip(calls) {
            let expected = self.model.admit(&self.keys[index], reserved, now);
            match admission.await {
                Ok(reservation) => {
                    assert_eq!(Verdict::Admitted, expected);
                    self.in_flight.push((self.model.calls.len() - 1, reservation));
                }
                Err(error) => assert_eq!(Verdict::of_error(error), expected),
            }
        }
    }

    fn take(&mut self, index: usize) -> Option<(usize, CallReservation)> {
        if self.in_flight.is_empty() {
            return None;
        }
        Some(self.in_flight.swap_remove(index % self.in_flight.len()))
    }

    /// Compares all current counters with the model, and the earlier ones with their last values, unless they are so old
    /// that they may be deleted.
    async fn compare_counters(&mut self) {
        let now = self.fixture.clock.now();
        let owners = [key_owner("k0"), key_owner("k1"), key_owner("k2"), group_owner("g")];
        for owner in &owners {
            for window in Window::ALL {
                let expected = self.model.counter(owner, window, now);
                assert_eq!(self.fixture.counter(owner, window).await, expected, "{owner:?} {window:?}");
                self.last_counters.push((CounterKey::at(owner, window, now), expected));
            }
        }
        self.latest = self.latest.max(now);
        let oldest = self.latest.as_second() - 89 * 86_400;
        let mut last_counters = std::mem::take(&mut self.last_counters);
        last_counters
            .retain(|(key, _)| !matches!(key.window, Window::Minute | Window::Hour) || key.start > oldest);
        let check = move |store: &mut dyn super::LedgerStore| {
            for (key, last) in last_counters {
                let spent = store.counter(&key).unwrap().spent;
                let has_decreased =
                    Meter::ALL.iter().any(|meter| spent.of_meter(*meter) < last.spent.of_meter(*meter));
                assert!(!has_decreased, "{key:?} decreased from {last:?} to {spent:?}");
            }
        };
        self.fixture.ledger.read(check).await.unwrap();
    }

    /// Drops the calls in flight, and compares the rows and the sums of the hours with the calls and the counters.
    async fn finish(mut self) {
        for (call, reservation) in self.in_flight.drain(..) {
            self.model.calls[call].actual = Some(self.model.calls[call].reserved);
            drop(reservation);
        }
        self.compare_counters().await;
        let open_calls = self.fixture.ledger.read(|store| store.open_calls().unwrap()).await.unwrap();
        assert!(open_calls.is_empty());
        let rows = self.fixture.rows().await;
        let rows_from = self.fixture.ledger.usage.run(|reader| reader.rows_from()).await.unwrap();
        self.model.check_rows(&rows, rows_from);
        let hours = self.fixture.hours().await;
        self.model.check_hours(&hours);
        let mut of_group = Amounts::default();
        let mut of_hours = Amounts::default();
        for (hour, sums) in &hours {
            if !hour.group_id.is_empty() {
                of_hours = of_hours.plus(sums.amounts);
            }
        }
        for id in ["k0", "k1"] {
            let counter = self.fixture.counter(&key_owner(id), Window::Ever).await;
            assert_eq!(counter.reserved, Amounts::default());
            of_group = of_group.plus(counter.spent);
        }
        let counter = self.fixture.counter(&group_owner("g"), Window::Ever).await;
        assert_eq!(counter, Counter { spent: of_hours, reserved: Amounts::default() });
        assert_eq!(of_group, of_hours);
    }
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

async fn compare(fixture: Fixture, own: Vec<Limits>, of_group: Limits, steps: Vec<Step>) {
    let mut comparison = Comparison::new(fixture, &own, of_group);
    for step in steps {
        comparison.perform(step).await;
    }
    comparison.finish().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Laws 3 (once), 4 (conservation), 5 (bound, by the equality with an exact ledger) and 6 (spent never decreases).
    #[test]
    fn memory_ledger_equals_the_model(own in vec(limits(), 3), of_group in limits(), steps in vec(step(), 1..40)) {
        run(compare(Fixture::memory(), own, of_group, steps));
    }

    /// The same, with crashes.
    #[cfg(feature = "sqlite")]
    #[test]
    fn sqlite_ledger_equals_the_model(own in vec(limits(), 3), of_group in limits(), steps in vec(step(), 1..40)) {
        run(compare(Fixture::sqlite(), own, of_group, steps));
    }

    /// Law 5: a window ends below the limit, plus its last call, plus the overrun of the calls in flight.
    #[test]
    fn window_ends_within_the_bound(
        limit_amount in 1..200_u64,
        calls in vec((charge(), charge(), 0..6_usize), 1..40),
    ) {
        run(check_bound(limit_amount, calls));
    }

    /// Law 6: more or lower limits admit no call that was refused.
    #[test]
    fn stricter_limits_admit_no_more(
        calls in vec((0..KEYS.len(), charge(), charge(), any::<bool>()), 0..20),
        own in limits(),
        lower in vec(0..200_u64, 4),
        more in limits(),
    ) {
        run(check_monotone(calls, own, lower, more));
    }

    /// Law 4 for amounts near the largest: a sum never wraps.
    #[test]
    fn amounts_never_wrap(a in any::<u64>(), b in any::<u64>()) {
        let a = Amounts::of_call(Charge { tokens: a, picodollars: b }.storable());
        let sum = a.plus(a);
        prop_assert!(sum.tokens >= a.tokens && sum.tokens <= i64::MAX.unsigned_abs());
    }
}

/// Admits calls and settles one of those in flight after each, by the index of each call. The last number of a call is the
/// greatest number of calls that remain in flight.
async fn check_bound(amount: u64, calls: Vec<(Charge, Charge, usize)>) {
    let fixture = Fixture::memory();
    let key = key("k", limit(Meter::Tokens, Window::Day, amount), None);
    let mut in_flight = Vec::new();
    let mut overrun = 0;
    let mut last_call = 0;
    for (reserved, actual, keep) in calls {
        if let Ok(reservation) = fixture.admit(&key, reserved).await {
            overrun = 0;
            for (_, reserved, actual) in &in_flight {
                let (reserved, actual): (&Charge, &Charge) = (reserved, actual);
                overrun += actual.tokens.saturating_sub(reserved.tokens);
            }
            last_call = actual.tokens;
            in_flight.push((reservation, reserved, actual));
        }
        while in_flight.len() > keep {
            let (reservation, _, actual) = in_flight.remove(0);
            reservation.settle(Settlement { actual, ..Settlement::default() }).await.unwrap();
        }
    }
    for (reservation, _, actual) in in_flight {
        reservation.settle(Settlement { actual, ..Settlement::default() }).await.unwrap();
    }
    let spent = fixture.counter(&key_owner("k"), Window::Day).await.spent.tokens;
    assert!(spent < amount + last_call + overrun, "{spent} of {amount}, last {last_call}, overrun {overrun}");
}

/// Performs calls without limits, and compares the decisions under two sets of limits in the same state.
async fn check_monotone(
    calls: Vec<(usize, Charge, Charge, bool)>,
    own: Limits,
    lower: Vec<u64>,
    more: Limits,
) {
    let fixture = Fixture::memory();
    let mut in_flight = Vec::new();
    for (index, reserved, actual, settles) in calls {
        let key = key(KEYS[index].0, Limits::default(), None);
        let reservation = fixture.admit(&key, reserved).await.unwrap();
        if settles {
            reservation.settle(Settlement { actual, ..Settlement::default() }).await.unwrap();
        } else {
            in_flight.push(reservation);
        }
    }
    let mut stricter = own.clone();
    for (limit, difference) in stricter.amounts.iter_mut().zip(lower) {
        limit.amount = limit.amount.saturating_sub(difference).max(1);
    }
    stricter.amounts.extend(more.amounts);
    stricter.parallel = match (own.parallel, more.parallel) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    let is_admitted = is_permitted(&fixture, own).await;
    let is_admitted_by_stricter = is_permitted(&fixture, stricter).await;
    assert!(is_admitted || !is_admitted_by_stricter);
}

/// Decides about a call of `k0` without a change of the ledger.
async fn is_permitted(fixture: &Fixture, limits: Limits) -> bool {
    let now = fixture.clock.now();
    let request = request(&key("k0", limits, None), Charge::default());
    let decide = move |store: &mut dyn super::LedgerStore| {
        let mut batch = Batch::begin(store, now).unwrap();
        let is_permitted = batch.admit(u64::MAX, &request).unwrap().is_ok();
        batch.cancel();
        is_permitted
    };
    fixture.ledger.read(decide).await.unwrap()
}
