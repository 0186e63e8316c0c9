//! Tests of the ledger on each store. `conformance` has one test for each rule and store, and `laws` the properties.

/// Makes a test of each function for each store.
macro_rules! on_each_store {
    ($($test:ident)*) => {
        mod memory {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::Fixture::memory()).await;
            })*
        }
        #[cfg(feature = "sqlite")]
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::Fixture::sqlite()).await;
            })*
        }
    };
}

mod conformance;
pub(crate) mod failures;
#[cfg(feature = "sqlite")]
mod file_queries;
#[cfg(feature = "sqlite")]
mod files;
mod laws;
mod model;
#[cfg(feature = "sqlite")]
mod readers;
#[cfg(all(unix, feature = "sqlite"))]
mod speed;
#[cfg(feature = "sqlite")]
mod upkeep_of_files;
mod usage_queries;
#[cfg(feature = "sqlite")]
mod usage_speed;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use super::call::UsageRow;
use super::counter::{Counter, CounterKey};
use super::memory::MemoryStore;
use super::store::{LedgerStore, StoreError, UsageReader};
use super::sums::{CallSums, SumKey};
use super::writer::{Clock, Writer};
use super::{AdmissionError, AdmissionRequest, CallInfo, CallReservation, Charge, Ledger, Owner, Settlement};
use crate::proxy_keys::Upstreams;
use crate::proxy_keys::keys::{Group, Limit, Limits, Meter, PatternList, ProxyKey, UsageScope, Window};

/// The longest wait for a condition, on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A clock that a test sets, in milliseconds.
#[derive(Clone)]
pub(crate) struct TestClock(Arc<AtomicI64>);

impl TestClock {
    pub(crate) fn at(instant: &str) -> Self {
        let clock = Self(Arc::new(AtomicI64::new(0)));
        clock.set(instant);
        clock
    }

    pub(crate) fn set(&self, instant: &str) {
        let instant: Timestamp = instant.parse().unwrap();
        self.0.store(instant.as_millisecond(), Ordering::SeqCst);
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.0.fetch_add(1_000 * seconds, Ordering::SeqCst);
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.load(Ordering::SeqCst)).unwrap()
    }

    pub(crate) fn boxed(&self) -> Clock {
        let clock = self.clone();
        Box::new(move || clock.now())
    }
}

/// A ledger with a clock of its own.
pub(crate) struct Fixture {
    pub(crate) ledger: Ledger,
    pub(crate) clock: TestClock,
    /// The directory of the file, if the ledger has one. It is removed at the end.
    directory: Option<tempfile::TempDir>,
}

impl Fixture {
    pub(crate) fn with_store(store: Box<dyn LedgerStore>, directory: Option<tempfile::TempDir>) -> Self {
        let clock = TestClock::at("2026-07-15T13:45:45Z");
        let writer = Writer::recover(store, clock.boxed()).unwrap();
        Self { ledger: Ledger::start(writer), clock, directory }
    }

    pub(crate) fn memory() -> Self {
        Self::with_store(Box::new(MemoryStore::default()), None)
    }

    #[cfg(feature = "sqlite")]
    pub(crate) fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger.sqlite");
        let store = super::sqlite::SqliteStore::open(&path).unwrap();
        let mut fixture = Self::with_store(Box::new(store), Some(directory));
        fixture.ledger = fixture.ledger.with_file(&path);
        fixture
    }

    /// Ends the writer as a crash does, and opens the file again. Returns false if the ledger has no file.
    pub(crate) async fn restart(&mut self) -> bool {
        let Some(directory) = &self.directory else { return false };
        let path = directory.path().join("ledger.sqlite");
        end_writer(&self.ledger).await;
        self.ledger = open(&path, &self.clock);
        true
    }

    /// Admits a call that reserves this charge.
    pub(crate) async fn admit(
        &self,
        key: &Arc<ProxyKey>,
        reserved: Charge,
    ) -> Result<CallReservation, AdmissionError> {
        self.ledger.admit(request(key, reserved)).await
    }

    /// Admits and settles a call without a reservation of tokens. Returns false if it is refused.
    pub(crate) async fn call(&self, key: &Arc<ProxyKey>, actual: Charge) -> bool {
        match self.admit(key, Charge::default()).await {
            Ok(reservation) => {
                reservation.settle(Settlement { actual, ..Settlement::default() }).await.unwrap();
                true
            }
            Err(_) => false,
        }
    }

    /// Moves the clock past the time for which rows are kept, and makes a call, after which the writer deletes old rows.
    pub(crate) async fn delete_old_rows(&self, key: &Arc<ProxyKey>) {
        self.clock.advance(91 * 86_400);
        assert!(self.call(key, Charge { tokens: 1, picodollars: 1 }).await);
    }

    /// Returns the counter of the current window.
    pub(crate) async fn counter(&self, owner: &Owner, window: Window) -> Counter {
        let key = CounterKey::at(owner, window, self.clock.now());
        self.ledger.read(move |store| store.counter(&key).unwrap()).await.unwrap()
    }

    /// Returns the sums of all hours, in their order.
    pub(crate) async fn hours(&self) -> Vec<(SumKey, CallSums)> {
        self.ledger.usage.run(read_all_hours).await.unwrap()
    }

    pub(crate) async fn rows(&self) -> Vec<UsageRow> {
        self.ledger.read(|store| store.usage_rows().unwrap()).await.unwrap()
    }

    /// Waits until the ledger contains this number of rows. Fails after the deadline.
    pub(crate) async fn wait_for_rows(&self, count: usize) -> Vec<UsageRow> {
        let wait = async {
            loop {
                let rows = self.rows().await;
                if rows.len() >= count {
                    return rows;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, wait).await.expect("the rows are written")
    }
}

/// Reads the sums of all hours, in their order.
pub(crate) fn read_all_hours(reader: &mut dyn UsageReader) -> Result<Vec<(SumKey, CallSums)>, StoreError> {
    let mut hours = Vec::new();
    reader.visit_hours(0..i64::MAX, &mut |key, sums| hours.push((key.clone(), sums.clone())))?;
    Ok(hours)
}

/// Ends the thread of a ledger as a crash does: reservations that are dropped later have no effect.
pub(crate) async fn end_writer(ledger: &Ledger) {
    // `resume_unwind` prints no message.
    let crash = ledger.read(|_| std::panic::resume_unwind(Box::new("crash")));
    let result: Result<(), _> = crash.await;
    assert!(result.is_err());
}

/// Opens a file as soon as its former writer has ended. Fails after the deadline.
#[cfg(feature = "sqlite")]
pub(crate) fn open_store(path: &std::path::Path) -> super::sqlite::SqliteStore {
    let deadline = std::time::Instant::now() + DEADLINE;
    loop {
        match super::sqlite::SqliteStore::open(path) {
            Ok(store) => return store,
            Err(error) => assert!(std::time::Instant::now() < deadline, "{error}"),
        }
        std::thread::yield_now();
    }
}

/// Opens a ledger as soon as its former writer has ended.
#[cfg(feature = "sqlite")]
pub(crate) fn open(path: &std::path::Path, clock: &TestClock) -> Ledger {
    Ledger::start(Writer::recover(Box::new(open_store(path)), clock.boxed()).unwrap())
}

/// Without the feature, no ledger has a file.
#[cfg(not(feature = "sqlite"))]
fn open(_path: &std::path::Path, _clock: &TestClock) -> Ledger {
    Ledger::memory()
}

pub(crate) fn request(key: &Arc<ProxyKey>, estimate: Charge) -> AdmissionRequest {
    let info = CallInfo {
        provider: "openai".into(),
        endpoint: "/v1/responses".into(),
        model: "gpt-5-mini".to_owned(),
    };
    AdmissionRequest { key: key.clone(), info, estimate }
}

pub(crate) fn tokens(tokens: u64) -> Charge {
    Charge { tokens, picodollars: 0 }
}

pub(crate) fn limit(meter: Meter, window: Window, amount: u64) -> Limits {
    Limits { amounts: vec![Limit { meter, window, amount }], parallel: None }
}

pub(crate) fn group(id: &str, limits: Limits) -> Arc<Group> {
    Arc::new(Group { id: id.to_owned(), limits, upstreams: Upstreams::default() })
}

pub(crate) fn key(id: &str, limits: Limits, group: Option<&Arc<Group>>) -> Arc<ProxyKey> {
    Arc::new(ProxyKey {
        id: id.to_owned(),
        name: id.to_owned(),
        group: group.cloned(),
        models: PatternList::All,
        hosted_tools: PatternList::All,
        limits,
        reserve: 0,
        created_at: None,
        expires_at: None,
        usage_scope: UsageScope::Own,
    })
}

pub(crate) fn key_owner(id: &str) -> Owner {
    Owner::Key(id.into())
}

pub(crate) fn group_owner(id: &str) -> Owner {
    Owner::Group(id.into())
}
