//! The queries of usage, on each store and beside the writer of a file.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use jiff::Timestamp;

use super::{DEADLINE, Fixture, group, key, read_all_hours, request, tokens};
use crate::proxy_keys::keys::Limits;
use crate::proxy_keys::ledger::store::{LedgerStore, StoreError, UsageReader};
use crate::proxy_keys::ledger::sums::SumKey;
use crate::proxy_keys::ledger::{Settlement, UsageSource};
use crate::proxy_keys::{Ledger, TokenUsage};

on_each_store! {
    query_of_hours_visits_those_that_start_in_the_period
    query_of_calls_visits_those_admitted_in_the_period_in_order
    sums_of_a_call_contain_its_settlement
    sums_of_a_batch_contain_the_calls_of_each_key_and_group
    rows_are_complete_from_the_last_deletion_on
    first_second_of_the_rows_depends_on_no_row
    query_of_calls_lacks_deleted_rows
    query_after_the_end_of_its_thread_is_an_error
    query_that_fails_returns_its_error
    query_whose_future_is_dropped_does_not_run
}

/// Returns the starts and tokens of the visited sums.
type Visited = Vec<(i64, u64)>;

async fn visit_hours(source: &UsageSource, start: i64, end: i64) -> Visited {
    let query = move |reader: &mut dyn UsageReader| {
        let mut visited = Visited::new();
        reader.visit_hours(start..end, &mut |key, sums| visited.push((key.start, sums.amounts.tokens)))?;
        Ok(visited)
    };
    source.run(query).await.unwrap()
}

async fn visit_calls(source: &UsageSource, start: i64, end: i64) -> Visited {
    let query = move |reader: &mut dyn UsageReader| {
        let mut visited = Visited::new();
        reader.visit_calls(start..end, &mut |key, sums| visited.push((key.start, sums.amounts.tokens)))?;
        Ok(visited)
    };
    source.run(query).await.unwrap()
}

async fn query_of_hours_visits_those_that_start_in_the_period(fixture: Fixture) {
    let key = key("k", Limits::default(), None);
    let hour = fixture.clock.now().as_second() / 3_600 * 3_600;
    for count in [1, 2, 4] {
        assert!(fixture.call(&key, tokens(count)).await && fixture.call(&key, tokens(10 * count)).await);
        fixture.clock.advance(3_600);
    }
    let source = UsageSource::from(&fixture.ledger);
    assert_eq!(visit_hours(&source, hour, hour + 7_200).await, [(hour, 11), (hour + 3_600, 22)]);
    assert_eq!(visit_hours(&source, hour + 1, hour + 7_201).await, [(hour + 3_600, 22), (hour + 7_200, 44)]);
    assert_eq!(visit_hours(&source, hour, hour).await, []);
}

async fn query_of_calls_visits_those_admitted_in_the_period_in_order(fixture: Fixture) {
    let key = key("k", Limits::default(), None);
    let minute = fixture.clock.now().as_second() / 60 * 60;
    let first = fixture.admit(&key, tokens(9)).await.unwrap();
    for count in [1, 2] {
        fixture.clock.advance(15);
        assert!(fixture.call(&key, tokens(count)).await);
    }
    fixture.clock.advance(-20);
    assert!(fixture.call(&key, tokens(4)).await);
    // The call that was admitted first is settled last.
    first.settle(Settlement { actual: tokens(8), ..Settlement::default() }).await.unwrap();
    let source = UsageSource::from(&fixture.ledger);
    let all = [(minute, 8), (minute, 4), (minute + 60, 1), (minute + 60, 2)];
    assert_eq!(visit_calls(&source, minute, minute + 120).await, all);
    assert_eq!(visit_calls(&source, minute + 46, minute + 75).await, all[1..3]);
}

async fn sums_of_a_call_contain_its_settlement(fixture: Fixture) {
    let key = key("k", Limits::default(), Some(&group("g", Limits::default())));
    let usage = TokenUsage { input_tokens: Some(5), output_tokens: Some(0), ..TokenUsage::default() };
    let model = Some("gpt-5-mini-2025-08-07".to_owned());
    let settlement = Settlement {
        actual: tokens(5),
        model,
        usage: usage.clone(),
        is_estimated: true,
        has_unpriced_counter: true,
        ..Settlement::default()
    };
    fixture.admit(&key, tokens(9)).await.unwrap().settle(settlement).await.unwrap();
    let query = |reader: &mut dyn UsageReader| {
        let mut visited = Vec::new();
        reader.visit_calls(0..i64::MAX, &mut |key, sums| visited.push((key.clone(), sums.clone())))?;
        Ok(visited)
    };
    let calls = UsageSource::from(&fixture.ledger).run(query).await.unwrap();
    let hours = fixture.hours().await;
    let [(call, of_call)] = &calls[..] else { panic!("{calls:?}") };
    assert_eq!((&*call.key_id, &*call.group_id, &*call.model), ("k", "g", "gpt-5-mini-2025-08-07"));
    assert_eq!((of_call.amounts.requests, of_call.amounts.tokens), (1, 5));
    assert_eq!((of_call.estimated, of_call.unpriced), (1, 1));
    assert_eq!(of_call.counts, (&usage).into());
    let hour = SumKey { start: call.start / 3_600 * 3_600, ..call.clone() };
    assert_eq!(hours, [(hour, of_call.clone())]);
}

async fn sums_of_a_batch_contain_the_calls_of_each_key_and_group(fixture: Fixture) {
    let groups = ["g", "h"].map(|id| group(id, Limits::default()));
    let keys = [
        key("a", Limits::default(), Some(&groups[0])),
        key("a", Limits::default(), Some(&groups[1])),
        key("b", Limits::default(), None),
    ];
    let mut admissions = Vec::new();
    for count in 0..30 {
        admissions.push(fixture.ledger.admit(request(&keys[count % 3], tokens(1 << (count % 3)))));
    }
    for admission in admissions {
        drop(admission.await.unwrap());
    }
    fixture.wait_for_rows(30).await;
    let mut sums = Vec::new();
    for (key, of_calls) in fixture.hours().await {
        sums.push((key.key_id.to_string(), key.group_id.to_string(), of_calls.amounts.tokens));
    }
    let expected = [("a", "g", 10), ("a", "h", 20), ("b", "", 40)];
    assert_eq!(sums, expected.map(|(key, group, tokens)| (key.to_owned(), group.to_owned(), tokens)));
}

async fn rows_from(fixture: &Fixture) -> i64 {
    UsageSource::from(&fixture.ledger).run(|reader| reader.rows_from()).await.unwrap()
}

async fn rows_are_complete_from_the_last_deletion_on(mut fixture: Fixture) {
    let key = key("k", Limits::default(), None);
    let hour = fixture.clock.now().as_second() / 3_600 * 3_600;
    assert!(fixture.call(&key, tokens(1)).await);
    assert_eq!(rows_from(&fixture).await, 0);
    fixture.clock.advance(3_600);
    assert!(fixture.call(&key, tokens(1)).await);
    fixture.delete_old_rows(&key).await;
    // Rows are kept for 90 days, and the deletion is 91 days after the second call.
    let kept = hour + 3_600 + 86_400;
    assert_eq!(rows_from(&fixture).await, kept);
    // A call whose hour is deleted already may leave a row, which is deleted too.
    fixture.clock.advance(-91 * 86_400 - 3_600);
    assert!(fixture.call(&key, tokens(1)).await);
    fixture.clock.advance(3_600);
    fixture.delete_old_rows(&key).await;
    assert_eq!(fixture.rows().await.len(), 2);
    assert_eq!(rows_from(&fixture).await, kept);
    if fixture.restart().await {
        assert_eq!(rows_from(&fixture).await, kept);
    }
}

async fn first_second_of_the_rows_depends_on_no_row(fixture: Fixture) {
    for (before, expected) in [(7_200, 7_200), (10_800, 10_800), (3_600, 10_800)] {
        let instant = Timestamp::from_second(before).unwrap();
        let delete = move |store: &mut dyn LedgerStore| store.delete_old_rows(instant, 10).unwrap();
        assert_eq!(fixture.ledger.read(delete).await.unwrap(), 0);
        assert_eq!(rows_from(&fixture).await, expected);
    }
}

async fn query_of_calls_lacks_deleted_rows(fixture: Fixture) {
    let key = key("k", Limits::default(), None);
    assert!(fixture.call(&key, tokens(7)).await);
    fixture.delete_old_rows(&key).await;
    let source = UsageSource::from(&fixture.ledger);
    let kept = visit_calls(&source, 0, i64::MAX).await;
    assert_eq!(kept, [(fixture.clock.now().as_second() / 60 * 60, 1)]);
    assert_eq!(visit_hours(&source, 0, i64::MAX).await.len(), 2);
}

async fn query_after_the_end_of_its_thread_is_an_error(fixture: Fixture) {
    let source = UsageSource::from(fixture.ledger);
    let crash = source.run(|_| -> Result<(), StoreError> { std::panic::resume_unwind(Box::new("crash")) });
    assert!(crash.await.is_err());
    let error = source.run(read_all_hours).await.unwrap_err();
    assert_eq!(error.to_string(), "the thread that reads the ledger has ended");
}

async fn query_that_fails_returns_its_error(fixture: Fixture) {
    let source = UsageSource::from(&fixture.ledger);
    let failed = source.run(|_| Err::<(), _>(StoreError::new(&"no such hour"))).await;
    assert_eq!(failed.unwrap_err().to_string(), "no such hour");
    assert!(source.run(read_all_hours).await.is_ok());
}

async fn query_whose_future_is_dropped_does_not_run(fixture: Fixture) {
    let source = UsageSource::from(&fixture.ledger);
    let (end, ended) = mpsc::channel();
    let first = source.run(move |_| {
        ended.recv_timeout(DEADLINE).unwrap();
        Ok(())
    });
    let runs = Arc::new(AtomicBool::new(false));
    let has_run = runs.clone();
    drop(source.run(move |_| {
        runs.store(true, Ordering::SeqCst);
        Ok(())
    }));
    end.send(()).unwrap();
    first.await.unwrap();
    assert!(source.run(read_all_hours).await.is_ok());
    assert!(!has_run.load(Ordering::SeqCst));
}

#[tokio::test]
async fn source_of_a_ledger_in_memory_keeps_its_writer() {
    let ledger = Ledger::memory();
    let admission = ledger.admit(request(&key("k", Limits::default(), None), tokens(5)));
    drop(admission.await.unwrap());
    let source = UsageSource::from(ledger);
    assert_eq!(source.run(read_all_hours).await.unwrap().len(), 1);
}
