//! The rules of the ledger, on each store.

use std::sync::Arc;

use super::{Fixture, group, group_owner, key, key_owner, limit, request, tokens};
use crate::proxy_keys::TokenUsage;
use crate::proxy_keys::keys::{Limit, Limits, Meter, ProxyKey, Window};
use crate::proxy_keys::ledger::counter::{Amounts, Counter, CounterKey};
use crate::proxy_keys::ledger::counts::CountSums;
use crate::proxy_keys::ledger::{AdmissionError, Charge, Ledger, LimitKind, Settlement};

on_each_store! {
    limit_that_is_spent_refuses_until_the_next_window
    next_window_of_each_kind_admits_again
    clock_that_goes_back_counts_in_the_earlier_window
    group_limit_counts_the_calls_of_all_its_keys
    key_limit_is_named_before_the_limit_of_its_group
    key_and_group_with_the_same_id_have_separate_counters
    refusal_changes_no_counter
    reservation_that_reaches_a_limit_makes_the_key_busy
    call_larger_than_the_rest_of_a_limit_is_admitted
    settlement_over_the_limit_is_counted_in_full
    concurrent_calls_with_exact_reservations_end_at_the_limit
    parallel_limit_counts_the_calls_in_flight
    limit_that_is_added_later_counts_the_current_window
    limit_that_is_raised_keeps_the_spent_amount
    call_counts_in_the_windows_of_its_admission
    dropped_reservation_is_charged_as_an_estimate
    admission_whose_caller_has_gone_is_released
    settlement_whose_caller_has_gone_is_recorded
    usage_row_contains_the_result_of_the_call
    amounts_that_exceed_an_i64_are_capped
    deleted_rows_stay_in_the_sums_of_their_hours
    sums_of_all_hours_equal_the_counters
    rows_younger_than_the_period_are_kept
    counter_of_an_old_call_in_flight_is_kept_until_its_row_is_deleted
    old_rows_are_deleted_in_several_commits
    row_of_the_last_call_is_kept_for_its_id
}

/// A charge of each meter, so that a test can use any.
const UNIT: Charge = Charge { tokens: 1, picodollars: 1 };

async fn limit_that_is_spent_refuses_until_the_next_window(fixture: Fixture) {
    let seconds = [Some(15), Some(14 * 60 + 15), Some(36_855), Some(16 * 86_400 + 36_855), None];
    for meter in Meter::ALL {
        for (window, seconds) in Window::ALL.into_iter().zip(seconds) {
            let key = key(&format!("{}_{}", meter.as_str(), window.as_str()), limit(meter, window, 2), None);
            assert!(fixture.call(&key, UNIT).await && fixture.call(&key, UNIT).await, "{meter:?} {window:?}");
            match fixture.admit(&key, UNIT).await {
                Err(AdmissionError::Exhausted { limit, retry_after }) => {
                    assert_eq!(limit.owner, key_owner(&key.id));
                    assert_eq!(limit.kind, LimitKind::Amount(Limit { meter, window, amount: 2 }));
                    assert_eq!(retry_after, seconds, "{window:?}");
                }
                _ => panic!("{meter:?} {window:?} is not exhausted"),
            }
        }
    }
}

async fn next_window_of_each_kind_admits_again(fixture: Fixture) {
    let last_and_first_seconds = [
        (Window::Minute, "2026-07-15T13:45:59.999Z", "2026-07-15T13:46:00Z"),
        (Window::Hour, "2026-07-15T13:59:59Z", "2026-07-15T14:00:00Z"),
        (Window::Day, "2028-02-28T23:59:59Z", "2028-02-29T00:00:00Z"),
        (Window::Month, "2028-02-29T23:59:59Z", "2028-03-01T00:00:00Z"),
        (Window::Month, "2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z"),
    ];
    for (window, last, first) in last_and_first_seconds {
        let key = key(window.as_str(), limit(Meter::Tokens, window, 1), None);
        fixture.clock.set(last);
        assert!(fixture.call(&key, UNIT).await, "{window:?}");
        assert!(!fixture.call(&key, UNIT).await, "{window:?}");
        fixture.clock.set(first);
        assert!(fixture.call(&key, UNIT).await, "{window:?}");
    }
}

async fn clock_that_goes_back_counts_in_the_earlier_window(fixture: Fixture) {
    let key = key("k", limit(Meter::Requests, Window::Minute, 1), None);
    assert!(fixture.call(&key, UNIT).await);
    fixture.clock.advance(60);
    assert!(fixture.call(&key, UNIT).await);
    fixture.clock.advance(-60);
    assert!(!fixture.call(&key, UNIT).await);
    assert_eq!(fixture.counter(&key_owner("k"), Window::Minute).await.spent.requests, 1);
}

async fn group_limit_counts_the_calls_of_all_its_keys(fixture: Fixture) {
    let group = group("g", limit(Meter::Dollars, Window::Month, 2));
    let keys = ["a", "b", "c"].map(|id| key(id, Limits::default(), Some(&group)));
    assert!(fixture.call(&keys[0], UNIT).await && fixture.call(&keys[1], UNIT).await);
    let Err(AdmissionError::Exhausted { limit, .. }) = fixture.admit(&keys[2], UNIT).await else {
        panic!("the group has a limit of 2");
    };
    assert_eq!(limit.owner, group_owner("g"));
    assert_eq!(fixture.counter(&group_owner("g"), Window::Month).await.spent.picodollars, 2);
}

async fn key_limit_is_named_before_the_limit_of_its_group(fixture: Fixture) {
    let group = group("g", limit(Meter::Tokens, Window::Day, 1));
    let key = key("k", limit(Meter::Requests, Window::Hour, 1), Some(&group));
    assert!(fixture.call(&key, UNIT).await);
    let Err(AdmissionError::Exhausted { limit, .. }) = fixture.admit(&key, UNIT).await else {
        panic!("both limits are spent");
    };
    assert_eq!(limit.owner, key_owner("k"));
}

async fn key_and_group_with_the_same_id_have_separate_counters(fixture: Fixture) {
    let group = group("same", Limits::default());
    let with_group = key("member", Limits::default(), Some(&group));
    let named_like_the_group = key("same", limit(Meter::Requests, Window::Ever, 1), None);
    assert!(fixture.call(&with_group, UNIT).await);
    assert!(fixture.call(&named_like_the_group, UNIT).await);
}

async fn refusal_changes_no_counter(fixture: Fixture) {
    let group = group("g", limit(Meter::Requests, Window::Ever, 1));
    let key = key("k", Limits::default(), Some(&group));
    assert!(fixture.call(&key, UNIT).await);
    let before = fixture.counter(&key_owner("k"), Window::Minute).await;
    assert!(!fixture.call(&key, UNIT).await);
    assert_eq!(fixture.counter(&key_owner("k"), Window::Minute).await, before);
    assert_eq!(fixture.rows().await.len(), 1);
}

async fn reservation_that_reaches_a_limit_makes_the_key_busy(fixture: Fixture) {
    let key = key("k", limit(Meter::Tokens, Window::Day, 100), None);
    let reservation = fixture.admit(&key, tokens(100)).await.unwrap();
    let second = fixture.admit(&key, tokens(1)).await;
    assert!(matches!(second, Err(AdmissionError::Busy { .. })));
    reservation.settle(Settlement { actual: tokens(99), ..Settlement::default() }).await.unwrap();
    assert!(fixture.call(&key, tokens(1)).await);
}

async fn call_larger_than_the_rest_of_a_limit_is_admitted(fixture: Fixture) {
    let key = key("k", limit(Meter::Tokens, Window::Day, 100), None);
    assert!(fixture.call(&key, tokens(99)).await);
    assert!(fixture.admit(&key, tokens(1_000_000)).await.is_ok());
}

async fn settlement_over_the_limit_is_counted_in_full(fixture: Fixture) {
    let key = key("k", limit(Meter::Tokens, Window::Day, 100), None);
    assert!(fixture.call(&key, tokens(5_000)).await);
    assert_eq!(fixture.counter(&key_owner("k"), Window::Day).await.spent.tokens, 5_000);
    assert!(!fixture.call(&key, tokens(1)).await);
}

/// Makes calls whose charge is their reservation, until the key is exhausted. Repeats a call that is refused as busy.
async fn call_until_exhausted(ledger: Ledger, key: Arc<ProxyKey>, actual: Charge) {
    loop {
        match ledger.admit(request(&key, actual)).await {
            Ok(reservation) => {
                reservation.settle(Settlement { actual, ..Settlement::default() }).await.unwrap();
            }
            Err(AdmissionError::Busy { .. }) => {}
            Err(_) => return,
        }
    }
}

async fn concurrent_calls_with_exact_reservations_end_at_the_limit(fixture: Fixture) {
    let key = key("k", limit(Meter::Tokens, Window::Day, 100), None);
    let mut callers = Vec::new();
    for _ in 0..32 {
        callers.push(tokio::spawn(call_until_exhausted(fixture.ledger.clone(), key.clone(), tokens(5))));
    }
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(fixture.counter(&key_owner("k"), Window::Day).await.spent.tokens, 100);
}

async fn parallel_limit_counts_the_calls_in_flight(fixture: Fixture) {
    let key = key("k", Limits { amounts: Vec::new(), parallel: Some(2) }, None);
    let first = fixture.admit(&key, UNIT).await.unwrap();
    let second = fixture.admit(&key, UNIT).await.unwrap();
    let Err(AdmissionError::Busy { limit }) = fixture.admit(&key, UNIT).await else {
        panic!("two calls are in flight");
    };
    assert_eq!(limit.kind, LimitKind::Parallel(2));
    first.settle(Settlement::default()).await.unwrap();
    let third = fixture.admit(&key, UNIT).await;
    assert!(third.is_ok());
    drop((second, third));
}

async fn limit_that_is_added_later_counts_the_current_window(fixture: Fixture) {
    assert!(fixture.call(&key("k", Limits::default(), None), UNIT).await);
    for meter in Meter::ALL {
        for window in Window::ALL {
            let reloaded = key("k", limit(meter, window, 1), None);
            assert!(!fixture.call(&reloaded, UNIT).await, "{meter:?} {window:?}");
        }
    }
}

async fn limit_that_is_raised_keeps_the_spent_amount(fixture: Fixture) {
    assert!(fixture.call(&key("k", limit(Meter::Tokens, Window::Day, 10), None), tokens(10)).await);
    let raised = key("k", limit(Meter::Tokens, Window::Day, 11), None);
    assert!(fixture.call(&raised, tokens(1)).await);
    assert!(!fixture.call(&raised, tokens(1)).await);
}

async fn call_counts_in_the_windows_of_its_admission(fixture: Fixture) {
    let key = key("k", Limits::default(), None);
    let reservation = fixture.admit(&key, tokens(10)).await.unwrap();
    fixture.clock.advance(86_400);
    reservation.settle(Settlement { actual: tokens(7), ..Settlement::default() }).await.unwrap();
    assert_eq!(fixture.counter(&key_owner("k"), Window::Day).await.spent, Amounts::default());
    fixture.clock.advance(-86_400);
    assert_eq!(fixture.counter(&key_owner("k"), Window::Day).await.spent, Amounts::of_call(tokens(7)));
    let hours = fixture.hours().await;
    assert_eq!((hours.len(), hours[0].0.start), (1, Window::Hour.start_at(fixture.clock.now())));
}

async fn dropped_reservation_is_charged_as_an_estimate(fixture: Fixture) {
    let key = key("k", Limits::default(), None);
    drop(fixture.admit(&key, tokens(10)).await.unwrap());
    let rows = fixture.wait_for_rows(1).await;
    assert!(rows[0].is_estimated);
    assert_eq!(rows[0].charge, tokens(10));
    let counter = fixture.counter(&key_owner("k"), Window::Ever).await;
    assert_eq!((counter.spent, counter.reserved), (Amounts::of_call(tokens(10)), Amounts::default()));
}

async fn admission_whose_caller_has_gone_is_released(fixture: Fixture) {
    let key = key("k", Limits::default(), None);
    drop(fixture.ledger.admit(request(&key, tokens(10))));
    let rows = fixture.wait_for_rows(1).await;
    assert!(!rows[0].is_estimated);
    assert_eq!(rows[0].charge, Charge::default());
    let counter = fixture.counter(&key_owner("k"), Window::Ever).await;
    assert_eq!((counter.spent, counter.reserved), (Amounts::of_call(tokens(0)), Amounts::default()));
}

async fn settlement_whose_caller_has_gone_is_recorded(fixture: Fixture) {
    let reservation = fixture.admit(&key("k", Limits::default(), None), tokens(10)).await.unwrap();
    drop(reservation.settle(Settlement { actual: tokens(3), ..Settlement::default() }));
    assert_eq!(fixture.wait_for_rows(1).await[0].charge, tokens(3));
}

async fn usage_row_contains_the_result_of_the_call(fixture: Fixture) {
    let group = group("g", Limits::default());
    let key = key("k", Limits::default(), Some(&group));
    let admitted_at = fixture.clock.now();
    let reservation = fixture.admit(&key, tokens(10)).await.unwrap();
    let id = reservation.id().unwrap();
    fixture.clock.advance(3);
    let usage = TokenUsage { input_tokens: Some(5), cached_input_tokens: Some(0), ..TokenUsage::default() };
    let actual = Charge { tokens: 6, picodollars: 1_250_000 };
    let model = Some("gpt-5-mini-2025-08-07".to_owned());
    let settlement = Settlement {
        actual,
        model,
        usage: usage.clone(),
        status: Some(200),
        is_estimated: false,
        has_unpriced_counter: true,
    };
    reservation.settle(settlement).await.unwrap();

    let rows = fixture.rows().await;
    let [row] = &rows[..] else { panic!("{} rows", rows.len()) };
    assert_eq!((row.id, row.admitted_at, row.settled_at), (id, admitted_at, fixture.clock.now()));
    assert_eq!((&*row.key_id, row.group_id.as_deref()), ("k", Some("g")));
    assert_eq!((&*row.info.provider, &*row.info.endpoint), ("openai", "/v1/responses"));
    assert_eq!(row.info.model, "gpt-5-mini-2025-08-07");
    assert_eq!((row.status, row.charge, row.is_estimated), (Some(200), actual, false));
    assert!(row.has_unpriced_counter);
    assert_eq!(row.counts, CountSums::from(&usage));
}

async fn amounts_that_exceed_an_i64_are_capped(fixture: Fixture) {
    let key = key("k", limit(Meter::Tokens, Window::Ever, i64::MAX.unsigned_abs()), None);
    let largest = Charge { tokens: u64::MAX, picodollars: u64::MAX };
    let reservation = fixture.admit(&key, largest).await.unwrap();
    let other = fixture.admit(&key, tokens(7)).await.unwrap();
    reservation.settle(Settlement { actual: largest, ..Settlement::default() }).await.unwrap();
    let counter = fixture.counter(&key_owner("k"), Window::Ever).await;
    assert_eq!((counter.spent.tokens, counter.reserved.tokens), (i64::MAX.unsigned_abs(), 7));
    assert!(matches!(fixture.admit(&key, tokens(0)).await, Err(AdmissionError::Exhausted { .. })));
    other.settle(Settlement { actual: tokens(1), ..Settlement::default() }).await.unwrap();
    assert_eq!(fixture.rows().await[0].charge.tokens, i64::MAX.unsigned_abs());
}

async fn deleted_rows_stay_in_the_sums_of_their_hours(fixture: Fixture) {
    let key = key("k", Limits::default(), Some(&group("g", Limits::default())));
    let hour = fixture.clock.now().as_second() / 3_600 * 3_600;
    for input_tokens in [5, 6] {
        let reservation = fixture.admit(&key, tokens(10)).await.unwrap();
        let usage = TokenUsage { input_tokens: Some(input_tokens), ..TokenUsage::default() };
        let settlement =
            Settlement { actual: tokens(7), usage, has_unpriced_counter: true, ..Settlement::default() };
        reservation.settle(settlement).await.unwrap();
    }
    drop(fixture.admit(&key, tokens(10)).await.unwrap());
    fixture.wait_for_rows(3).await;
    fixture.clock.advance(3_600);
    assert!(fixture.call(&key, tokens(1)).await);
    fixture.delete_old_rows(&key).await;

    assert_eq!(fixture.rows().await.len(), 1);
    let hours = fixture.hours().await;
    let [(first_key, first), (second_key, second), _] = &hours[..] else { panic!("{hours:?}") };
    assert_eq!((first_key.start, second_key.start), (hour, hour + 3_600));
    assert_eq!((&*first_key.key_id, &*first_key.group_id), ("k", "g"));
    assert_eq!((&*first_key.provider, &*first_key.endpoint), ("openai", "/v1/responses"));
    assert_eq!(&*first_key.model, "gpt-5-mini");
    assert_eq!(first.amounts, Amounts { requests: 3, tokens: 24, picodollars: 0 });
    assert_eq!((first.estimated, first.unpriced), (1, 2));
    assert_eq!(first.counts.input_tokens, Some(11));
    assert_eq!(second.amounts, Amounts::of_call(tokens(1)));
}

async fn sums_of_all_hours_equal_the_counters(fixture: Fixture) {
    let key = key("k", Limits::default(), None);
    for _ in 0..4 {
        fixture.delete_old_rows(&key).await;
        assert!(fixture.call(&key, UNIT).await);
    }
    let mut sum = Amounts::default();
    let hours = fixture.hours().await;
    assert_eq!((hours.len(), fixture.rows().await.len()), (4, 2));
    for (_, sums) in hours {
        sum = sum.plus(sums.amounts);
    }
    assert_eq!(sum, fixture.counter(&key_owner("k"), Window::Ever).await.spent);
    assert_eq!(sum.requests, 8);
}

async fn rows_younger_than_the_period_are_kept(fixture: Fixture) {
    let key = key("k", Limits::default(), None);
    assert!(fixture.call(&key, UNIT).await);
    let minute = CounterKey::at(&key_owner("k"), Window::Minute, fixture.clock.now());
    // The call was made 45 minutes after the start of its hour.
    fixture.clock.advance(90 * 86_400);
    assert!(fixture.call(&key, UNIT).await);
    assert_eq!(fixture.rows().await.len(), 2);
    fixture.clock.advance(3_600);
    assert!(fixture.call(&key, UNIT).await);
    assert_eq!(fixture.rows().await.len(), 2);
    let counter = fixture.ledger.read(move |store| store.counter(&minute).unwrap()).await.unwrap();
    assert_eq!(counter.spent, Amounts::default(), "the counter of the minute is deleted");
    assert_eq!(fixture.counter(&key_owner("k"), Window::Ever).await.spent.requests, 3);
}

async fn counter_of_an_old_call_in_flight_is_kept_until_its_row_is_deleted(fixture: Fixture) {
    let key = key("k", Limits::default(), None);
    let minute = CounterKey::at(&key_owner("k"), Window::Minute, fixture.clock.now());
    let reservation = fixture.admit(&key, tokens(10)).await.unwrap();
    assert!(fixture.call(&key, tokens(1)).await);
    fixture.delete_old_rows(&key).await;
    let read = |key: CounterKey| fixture.ledger.read(move |store| store.counter(&key).unwrap());
    let counter = read(minute.clone()).await.unwrap();
    assert_eq!((counter.spent.tokens, counter.reserved.tokens), (1, 10));

    reservation.settle(Settlement { actual: tokens(7), ..Settlement::default() }).await.unwrap();
    fixture.clock.advance(120);
    assert!(fixture.call(&key, tokens(1)).await);
    assert_eq!(read(minute).await.unwrap(), Counter::default());
    let ever = fixture.counter(&key_owner("k"), Window::Ever).await;
    assert_eq!((ever.spent.requests, ever.reserved), (4, Amounts::default()));
}

async fn old_rows_are_deleted_in_several_commits(fixture: Fixture) {
    let key = key("k", Limits::default(), None);
    let mut admissions = Vec::new();
    for _ in 0..600 {
        admissions.push(fixture.ledger.admit(request(&key, tokens(1))));
    }
    for admission in admissions {
        drop(admission.await.unwrap());
    }
    fixture.wait_for_rows(600).await;
    fixture.delete_old_rows(&key).await;
    let mut row_counts = vec![fixture.rows().await.len()];
    for _ in 0..2 {
        fixture.clock.advance(1);
        assert!(fixture.call(&key, UNIT).await);
        row_counts.push(fixture.rows().await.len());
    }
    assert_eq!(row_counts, [601 - 256, 602 - 2 * 256, 3]);
    assert_eq!(fixture.hours().await[0].1.amounts.requests, 600);
}

async fn row_of_the_last_call_is_kept_for_its_id(mut fixture: Fixture) {
    let key = key("k", Limits::default(), None);
    assert!(fixture.call(&key, UNIT).await && fixture.call(&key, UNIT).await);
    let last_id = fixture.rows().await[1].id;
    fixture.clock.advance(91 * 86_400);
    // The upkeep follows the first of these queries.
    fixture.rows().await;
    let rows = fixture.rows().await;
    assert_eq!((rows.len(), rows[0].id), (1, last_id));
    fixture.restart().await;
    assert!(fixture.call(&key, UNIT).await);
    assert!(fixture.rows().await.iter().any(|row| row.id > last_id));
}
