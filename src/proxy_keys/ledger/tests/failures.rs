//! A store that cannot write, and operations that wait together.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};

use jiff::Timestamp;

use super::{DEADLINE, Fixture, end_writer, key, key_owner, limit, request, tokens};
use crate::proxy_keys::keys::{Limits, Meter, Window};
use crate::proxy_keys::ledger::call::{OpenCall, UsageRow};
use crate::proxy_keys::ledger::counter::{Counter, CounterKey};
use crate::proxy_keys::ledger::memory::MemoryStore;
use crate::proxy_keys::ledger::store::{LedgerChanges, LedgerStore, StoreError, SumVisitor, UsageReader};
use crate::proxy_keys::ledger::{AdmissionError, LedgerStatus, Settlement};

/// A store that counts its commits, can fail, and can wait at the begin of a batch.
#[derive(Default)]
struct ControlledStore {
    inner: MemoryStore,
    control: Arc<Control>,
    /// Each batch takes one message before it begins, until the sender is dropped.
    gate: Option<Receiver<()>>,
}

#[derive(Default)]
pub(crate) struct Control {
    pub(crate) commit_count: AtomicUsize,
    pub(crate) fails_at_begin: AtomicBool,
    pub(crate) fails_at_read: AtomicBool,
    pub(crate) fails_at_commit: AtomicBool,
}

/// Returns an error if the flag is set.
fn check(flag: &AtomicBool) -> Result<(), StoreError> {
    if flag.load(Ordering::SeqCst) { Err(StoreError::new(&"no space left on device")) } else { Ok(()) }
}

impl LedgerStore for ControlledStore {
    fn begin(&mut self) -> Result<(), StoreError> {
        if let Some(gate) = &self.gate {
            let _ = gate.recv();
        }
        check(&self.control.fails_at_begin)?;
        self.inner.begin()
    }

    fn counter(&mut self, key: &CounterKey) -> Result<Counter, StoreError> {
        check(&self.control.fails_at_read)?;
        self.inner.counter(key)
    }

    fn commit(&mut self, changes: &LedgerChanges) -> Result<(), StoreError> {
        check(&self.control.fails_at_commit)?;
        self.control.commit_count.fetch_add(1, Ordering::SeqCst);
        self.inner.commit(changes)
    }

    fn cancel(&mut self) {
        self.inner.cancel();
    }

    fn open_calls(&mut self) -> Result<Vec<Arc<OpenCall>>, StoreError> {
        self.inner.open_calls()
    }

    fn last_id(&mut self) -> Result<u64, StoreError> {
        self.inner.last_id()
    }

    fn usage_rows(&mut self) -> Result<Vec<UsageRow>, StoreError> {
        self.inner.usage_rows()
    }

    fn delete_old_rows(&mut self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        check(&self.control.fails_at_commit)?;
        self.inner.delete_old_rows(before, limit)
    }
}

impl UsageReader for ControlledStore {
    fn visit_hours(&mut self, period: Range<i64>, visit: &mut SumVisitor<'_>) -> Result<(), StoreError> {
        check(&self.control.fails_at_read)?;
        self.inner.visit_hours(period, visit)
    }

    fn visit_calls(&mut self, period: Range<i64>, visit: &mut SumVisitor<'_>) -> Result<(), StoreError> {
        check(&self.control.fails_at_read)?;
        self.inner.visit_calls(period, visit)
    }

    fn rows_from(&mut self) -> Result<i64, StoreError> {
        check(&self.control.fails_at_read)?;
        self.inner.rows_from()
    }
}

/// Returns a ledger and the control of its store.
pub(crate) fn controlled() -> (Fixture, Arc<Control>) {
    let store = ControlledStore::default();
    let control = store.control.clone();
    (Fixture::with_store(Box::new(store), None), control)
}

/// Returns a ledger whose batches wait for messages of the sender.
pub(crate) fn gated() -> (Fixture, Arc<Control>, Sender<()>) {
    let (sender, receiver) = mpsc::channel();
    let store = ControlledStore { gate: Some(receiver), ..ControlledStore::default() };
    let control = store.control.clone();
    // The recovery is the first batch.
    sender.send(()).unwrap();
    (Fixture::with_store(Box::new(store), None), control, sender)
}

#[tokio::test]
async fn operations_that_wait_are_written_in_one_commit() {
    let (fixture, control, gate) = gated();
    let key = key("k", limit(Meter::Requests, Window::Ever, 20), None);
    // The first batch contains the first admission, and perhaps some of the others. The second contains the rest.
    let admissions: Vec<_> = (0..30).map(|_| fixture.ledger.admit(request(&key, tokens(1)))).collect();
    drop(gate);
    let mut reservations = Vec::new();
    for admission in admissions {
        if let Ok(reservation) = admission.await {
            reservations.push(reservation);
        }
    }
    assert_eq!(reservations.len(), 20);
    let commit_count = control.commit_count.load(Ordering::SeqCst);
    assert!(commit_count <= 2, "{commit_count} commits");
}

#[tokio::test]
async fn batch_of_refusals_needs_no_commit() {
    let (fixture, control) = controlled();
    let key = key("k", limit(Meter::Requests, Window::Ever, 1), None);
    assert!(fixture.call(&key, tokens(1)).await);
    let before = control.commit_count.load(Ordering::SeqCst);
    assert!(!fixture.call(&key, tokens(1)).await);
    assert_eq!(control.commit_count.load(Ordering::SeqCst), before);
}

#[tokio::test]
async fn admission_on_a_store_that_cannot_write_is_unavailable() {
    let (fixture, control) = controlled();
    let key = key("k", Limits::default(), None);
    for flag in [&control.fails_at_begin, &control.fails_at_read, &control.fails_at_commit] {
        flag.store(true, Ordering::SeqCst);
        let result = fixture.admit(&key, tokens(1)).await;
        assert!(matches!(result, Err(AdmissionError::Unavailable(_))));
        flag.store(false, Ordering::SeqCst);
    }
    assert_eq!(fixture.counter(&key_owner("k"), Window::Ever).await, Counter::default());
    assert!(fixture.call(&key, tokens(1)).await);
}

#[tokio::test]
async fn settlement_on_a_store_that_cannot_write_is_kept() {
    let (fixture, control) = controlled();
    let key = key("k", limit(Meter::Tokens, Window::Day, 100), None);
    let reservation = fixture.admit(&key, tokens(1)).await.unwrap();
    control.fails_at_commit.store(true, Ordering::SeqCst);
    let settled = reservation.settle(Settlement { actual: tokens(100), ..Settlement::default() }).await;
    assert!(settled.is_err());
    let refused = fixture.admit(&key, tokens(1)).await;
    assert!(matches!(refused, Err(AdmissionError::Unavailable(_))));
    control.fails_at_commit.store(false, Ordering::SeqCst);
    // The next admission already sees the charge.
    let refused = fixture.admit(&key, tokens(1)).await;
    assert!(matches!(refused, Err(AdmissionError::Exhausted { .. })));
    assert_eq!(fixture.rows().await.len(), 1);
    assert_eq!(fixture.counter(&key_owner("k"), Window::Day).await.reserved.tokens, 0);
}

#[tokio::test]
async fn settlement_that_is_kept_is_written_without_another_operation() {
    let (fixture, control) = controlled();
    let reservation = fixture.admit(&key("k", Limits::default(), None), tokens(1)).await.unwrap();
    control.fails_at_commit.store(true, Ordering::SeqCst);
    assert!(reservation.settle(Settlement::default()).await.is_err());
    let before = control.commit_count.load(Ordering::SeqCst);
    control.fails_at_commit.store(false, Ordering::SeqCst);
    let wait = async {
        while control.commit_count.load(Ordering::SeqCst) == before {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.expect("the writer tries again");
}

#[tokio::test]
async fn operation_after_the_end_of_the_writer_is_unavailable() {
    let (fixture, _control) = controlled();
    let key = key("k", Limits::default(), None);
    let reservation = fixture.admit(&key, tokens(1)).await.unwrap();
    end_writer(&fixture.ledger).await;
    assert!(reservation.settle(Settlement::default()).await.is_err());
    assert!(matches!(fixture.admit(&key, tokens(1)).await, Err(AdmissionError::Unavailable(_))));
}

/// Waits until the state of the ledger fulfils a condition. Fails after the deadline.
async fn wait_for_status(fixture: &Fixture, condition: impl Fn(LedgerStatus) -> bool) -> LedgerStatus {
    let wait = async {
        loop {
            let status = fixture.ledger.status();
            if condition(status) {
                return status;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.expect("the state changes")
}

#[tokio::test]
async fn status_counts_commits_and_calls_in_flight() {
    let (fixture, _control) = controlled();
    let key = key("k", limit(Meter::Requests, Window::Ever, 1), None);
    let reservation = fixture.admit(&key, tokens(1)).await.unwrap();
    let status = fixture.ledger.status();
    assert_eq!((status.is_writable, status.commits, status.calls_in_flight), (true, 1, 1));
    // A refusal needs no commit.
    assert!(fixture.admit(&key, tokens(1)).await.is_err());
    reservation.settle(Settlement::default()).await.unwrap();
    let status = fixture.ledger.status();
    assert_eq!((status.commits, status.failed_commits, status.calls_in_flight), (2, 0, 0));
}

#[tokio::test]
async fn ledger_that_cannot_write_is_not_writable_until_an_idle_retry_succeeds() {
    let (fixture, control) = controlled();
    control.fails_at_commit.store(true, Ordering::SeqCst);
    assert!(fixture.admit(&key("k", Limits::default(), None), tokens(1)).await.is_err());
    assert!(!fixture.ledger.status().is_writable);
    // A begin that succeeds does not show that the store can write.
    let failure_count = fixture.ledger.status().failed_commits;
    let status = wait_for_status(&fixture, |status| status.failed_commits > failure_count).await;
    assert!(!status.is_writable);
    control.fails_at_commit.store(false, Ordering::SeqCst);
    wait_for_status(&fixture, |status| status.is_writable).await;
}

#[tokio::test]
async fn write_that_fails_is_not_tried_again_before_the_next_operation() {
    let (fixture, control) = controlled();
    control.fails_at_begin.store(true, Ordering::SeqCst);
    let key = key("k", Limits::default(), None);
    for _ in 0..10 {
        assert!(fixture.admit(&key, tokens(1)).await.is_err());
    }
    // A busy machine may have some idle seconds between them.
    let status = fixture.ledger.status();
    assert!((10..15).contains(&status.failed_commits), "{status:?}");
}

#[tokio::test]
async fn ledger_without_a_writer_is_not_writable() {
    let (fixture, _control) = controlled();
    end_writer(&fixture.ledger).await;
    wait_for_status(&fixture, |status| !status.is_writable).await;
}
