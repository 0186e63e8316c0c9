//! The bytes, trailers, errors and outcomes that the laws require.

use std::sync::Mutex;

use tower_api_key_name::outcome::{Counts, Skip};

use super::*;

const NAMED: &str = r#"[{"api_key_id":"key_1"},7]"#;
const NOT_JSON: &str = r#"[{"api_key_id":"key_1"},]"#;
const NO_ID: &str = r#"{"n":[1.10,"key_1"]}"#;
const EARLY_ERROR: &str = r#"[1,!{"api_key_id":1}]"#;

/// A document, and its bytes and outcome if it is buffered to its end, and if it is streamed.
struct Case {
    text: &'static str,
    buffered: (&'static str, Outcome),
    streamed: (&'static str, Outcome),
    /// The syntax error is before the first edit, so the body is not buffered any longer.
    has_early_error: bool,
}

fn cases() -> [Case; 4] {
    let none = Counts::default();
    let mut one = none;
    one.named = 1;
    let amended = r#"[{"api_key_id":"key_1","api_key_name":"x"},7]"#;
    let begun = r#"[{"api_key_id":"key_1","api_key_name":"x"},]"#;
    let fault = |offset, counts| Outcome::Skipped { skip: Skip::NotJson { offset }, counts };
    let case =
        |text, buffered, streamed| Case { text, buffered, streamed, has_early_error: text == EARLY_ERROR };
    [
        case(NAMED, (amended, Outcome::Amended { counts: one }), (amended, Outcome::Amended { counts: one })),
        case(NOT_JSON, (NOT_JSON, fault(24, none)), (begun, fault(24, one))),
        case(
            NO_ID,
            (NO_ID, Outcome::Unchanged { counts: none }),
            (NO_ID, Outcome::Unchanged { counts: none }),
        ),
        case(EARLY_ERROR, (EARLY_ERROR, fault(3, none)), (EARLY_ERROR, fault(3, none))),
    ]
}

/// Returns the expected result and outcome.
fn expected(case: &Case, limit: usize, events: &[Event]) -> (CallResult, Outcome) {
    let none = Counts::default();
    let end = events.last().unwrap();
    let is_empty = pieces(events) == 0;
    let buffered = is_empty || limit > case.text.len();
    let streams = !(buffered || case.has_early_error && limit > 3);
    let (text, mut reported) = match () {
        () if is_empty => ("", Outcome::Unchanged { counts: none }),
        () if streams => case.streamed,
        () => case.buffered,
    };
    let mut result = CallResult {
        state: Some(if streams { ResponseState::Streaming } else { reported.into() }),
        ..CallResult::default()
    };
    let changed = matches!(reported, Outcome::Amended { .. });
    result.bytes = text.into();
    match end {
        Event::Error if is_empty || buffered && !case.has_early_error => {
            reported = Outcome::Skipped { skip: Skip::BodyFailed, counts: none };
            result.state = Some(reported.into());
            result.bytes = if is_empty { Vec::new() } else { case.text.into() };
        }
        Event::Error if streams => {
            reported = Outcome::Skipped { skip: Skip::BodyFailed, counts: reported.counts() }
        }
        Event::End if buffered && changed => result.length = Some(text.len() as u64),
        _ => {}
    }
    if *end == Event::Error {
        result.error = Some("reset");
    }
    if *end == Event::Trailers {
        let mut trailers = trailers();
        if changed || streams {
            trailers.remove("repr-digest");
        }
        result.trailers = Some(trailers);
    }
    (result, reported)
}

/// Runs all sequences over all documents, split at each offset, with both ways of polling. Every other body has hints.
fn run_scripts(limit: usize) {
    let reported = Arc::new(Mutex::new(Vec::new()));
    let writer = reported.clone();
    let layer = layer(limit).on_outcome(move |outcome, _| writer.lock().unwrap().push(*outcome));
    let (sequences, mut run) = (sequences(), 0);
    for case in &cases() {
        for events in &sequences {
            let (result, outcome) = expected(case, limit, events);
            for (index, pieces) in cuts(case.text.as_bytes(), pieces(events)).iter().enumerate() {
                for polling in [Polling::Regular, Polling::Irregular] {
                    let has_hints = (index % 2 == 0) == (polling == Polling::Regular);
                    let case_name = || format!("limit {limit}, {polling:?}, {events:?}, {pieces:?}");
                    let script = Script::new(events, pieces, has_hints);
                    assert_eq!(Call::new(&layer, script, polling).run(), result, "{}", case_name());
                    assert_eq!(std::mem::take(&mut *reported.lock().unwrap()), [outcome], "{}", case_name());
                    run += 1;
                }
            }
        }
    }
    println!("limit {limit}: {run} scripts");
    // All parts of a response hold the settings.
    drop(layer);
    assert_eq!(Arc::strong_count(&reported), 1, "a response was leaked");
}

#[test]
fn bodies_within_the_limit_follow_the_laws() {
    run_scripts(1000);
}

#[test]
fn bodies_streamed_from_the_tenth_byte_follow_the_laws() {
    run_scripts(9);
}

#[test]
fn bodies_streamed_from_the_first_byte_follow_the_laws() {
    run_scripts(0);
}
