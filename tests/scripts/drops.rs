//! Clients that disconnect at each await: nothing is leaked, and the outcome is reported once.

use std::rc::Weak;
use std::sync::Mutex;

use tower_api_key_name::outcome::Skip;

use super::*;

const TEXT: &str = r#"[{"api_key_id":"key_1"},7]"#;
/// The charge for its edit.
const EDIT_CHARGE: usize = 40;
/// Documents of the same length with that charge, and one byte longer.
const SAME_LENGTH: &str =
    concat!(r#"{"n":[1.10,"key_1",78901]}"#, "                                        ");
const LONGER: &str = concat!(r#"{"n":[1.10,"key_1",78901]}"#, "                                         ");

fn is_buffered(layer: &ApiKeyNameLayer, text: &'static str) -> bool {
    let result = Call::new(layer, Script::whole(text.as_bytes()), Polling::Regular).run();
    result.state != Some(ResponseState::Streaming)
}

#[test]
fn response_dropped_at_any_await_is_released_and_reported_once() {
    for limit in [1000, 9, 0] {
        let reported = Arc::new(Mutex::new(Vec::new()));
        let writer = reported.clone();
        let outcomes = layer(limit).on_outcome(move |outcome, _| writer.lock().unwrap().push(*outcome));
        let layer = outcomes.total_limit(TEXT.len() + EDIT_CHARGE);
        // The same total limit, with a higher limit for each response.
        let buffering = layer.clone().limit(1000);
        for events in sequences() {
            let pieces = cuts(TEXT.as_bytes(), pieces(&events));
            for polling in [Polling::Regular, Polling::Irregular] {
                for max_polls in 0.. {
                    let script = Script::new(&events, &pieces[pieces.len() / 2], true);
                    let state: Weak<_> = Rc::downgrade(&script.state);
                    let mut call = Call::new(&layer, script, polling);
                    call.max_polls = max_polls;
                    let (without_headers, result) = match call.run_headers() {
                        Ok(()) => (false, call.run_body()),
                        disconnected => (true, disconnected),
                    };
                    let before = std::mem::take(&mut *reported.lock().unwrap());
                    drop(call);
                    assert_eq!(state.strong_count(), 0, "the inner body was leaked");
                    let after = std::mem::take(&mut *reported.lock().unwrap());
                    let what = format!("limit {limit}, {polling:?}, {events:?}, dropped after {max_polls}");
                    match (&before[..], &after[..]) {
                        // The inner service had not sent headers.
                        ([], []) => assert!(without_headers, "{what}"),
                        ([], [Outcome::Skipped { skip: Skip::Dropped, .. }]) => {}
                        // The whole body had arrived before the client disconnected.
                        ([], [_]) | ([_], []) => assert!(!without_headers, "{what}"),
                        both => panic!("{both:?}: {what}"),
                    }
                    if result.is_ok() {
                        break;
                    }
                    // The whole budget is free again.
                    assert!(is_buffered(&buffering, SAME_LENGTH), "{what}");
                    reported.lock().unwrap().clear();
                }
            }
        }
        assert!(!is_buffered(&buffering, LONGER));
        assert_eq!(
            (SAME_LENGTH.len(), LONGER.len()),
            (TEXT.len() + EDIT_CHARGE, TEXT.len() + EDIT_CHARGE + 1)
        );
        drop((layer, buffering));
        assert_eq!(Arc::strong_count(&reported), 1, "a response was leaked");
    }
}
