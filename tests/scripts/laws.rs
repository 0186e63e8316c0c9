//! Bytes, trailers, errors and the one end are as the laws say.

use std::sync::Mutex;

use tower_api_key_name::outcome::{Counts, Skip};

use super::*;

const NAMED: &str = r#"[{"api_key_id":"key_1"},7]"#;
const NOT_JSON: &str = r#"[{"api_key_id":"key_1"},]"#;
const NO_ID: &str = r#"{"n":[1.10,"key_1"]}"#;
const HOPELESS: &str = r#"[1,!{"api_key_id":1}]"#;

/// What becomes of a document that is held to its end, and of one that is streamed from its first byte, or from its
/// tenth: its bytes, and the outcome that is told where the body ends well.
struct Case {
    text: &'static str,
    held: (&'static str, Outcome),
    streamed: (&'static str, Outcome),
    /// It goes on at once, and as it came, where not streamed before the fault.
    is_hopeless: bool,
}

fn cases() -> [Case; 4] {
    let none = Counts::default();
    let mut one = none;
    one.named = 1;
    let amended = r#"[{"api_key_id":"key_1","api_key_name":"x"},7]"#;
    let begun = r#"[{"api_key_id":"key_1","api_key_name":"x"},]"#;
    let fault = |offset, counts| Outcome::Skipped { skip: Skip::NotJson { offset }, counts };
    let case = |text, held, streamed| Case { text, held, streamed, is_hopeless: text == HOPELESS };
    [
        case(NAMED, (amended, Outcome::Amended { counts: one }), (amended, Outcome::Amended { counts: one })),
        case(NOT_JSON, (NOT_JSON, fault(24, none)), (begun, fault(24, one))),
        case(
            NO_ID,
            (NO_ID, Outcome::Unchanged { counts: none }),
            (NO_ID, Outcome::Unchanged { counts: none }),
        ),
        case(HOPELESS, (HOPELESS, fault(3, none)), (HOPELESS, fault(3, none))),
    ]
}

/// What has to be seen, and told.
fn expected(case: &Case, limit: usize, events: &[Event]) -> (Seen, Outcome) {
    let none = Counts::default();
    let end = events.last().unwrap();
    let is_empty = pieces(events) == 0;
    let held = is_empty || limit > case.text.len();
    let streams = !(held || case.is_hopeless && limit > 3);
    let (text, mut told) = match () {
        () if is_empty => ("", Outcome::Unchanged { counts: none }),
        () if streams => case.streamed,
        () => case.held,
    };
    let mut seen = Seen {
        outcome: Some(if streams { ResponseState::Streaming } else { told.into() }),
        ..Seen::default()
    };
    let changed = matches!(told, Outcome::Amended { .. });
    seen.bytes = text.into();
    match end {
        Event::Error if is_empty || held && !case.is_hopeless => {
            told = Outcome::Skipped { skip: Skip::BodyFailed, counts: none };
            seen.outcome = Some(told.into());
            seen.bytes = if is_empty { Vec::new() } else { case.text.into() };
        }
        Event::Error if streams => told = Outcome::Skipped { skip: Skip::BodyFailed, counts: told.counts() },
        Event::End if held && changed => seen.length = Some(text.len() as u64),
        _ => {}
    }
    if *end == Event::Error {
        seen.error = Some("reset");
    }
    if *end == Event::Trailers {
        let mut trailers = trailers();
        if changed || streams {
            trailers.remove("repr-digest");
        }
        seen.trailers = Some(trailers);
    }
    (seen, told)
}

/// Every sequence, over every document, cut at every place, polled fairly and not; every other body says what it
/// knows of itself.
fn every_script(limit: usize) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = told.clone();
    let layer = layer(limit).on_outcome(move |outcome, _| tell.lock().unwrap().push(*outcome));
    let (sequences, mut run) = (sequences(), 0);
    for case in &cases() {
        for events in &sequences {
            let (seen, outcome) = expected(case, limit, events);
            for (nth, pieces) in cuts(case.text.as_bytes(), pieces(events)).iter().enumerate() {
                for polling in [Polling::Fair, Polling::Hostile] {
                    let honest = (nth % 2 == 0) == (polling == Polling::Fair);
                    let what = || format!("limit {limit}, {polling:?}, {events:?}, {pieces:?}");
                    let script = Script::new(events, pieces, honest);
                    assert_eq!(Asking::new(&layer, script, polling).run(), seen, "{}", what());
                    assert_eq!(std::mem::take(&mut *told.lock().unwrap()), [outcome], "{}", what());
                    run += 1;
                }
            }
        }
    }
    println!("limit {limit}: {run} scripts");
    // Whatever belongs to an answer holds the settings too.
    drop(layer);
    assert_eq!(Arc::strong_count(&told), 1, "an answer was leaked");
}

#[test]
fn held() {
    every_script(1000);
}

#[test]
fn streamed_from_the_tenth_byte() {
    every_script(9);
}

#[test]
fn streamed_from_the_first_byte() {
    every_script(0);
}
