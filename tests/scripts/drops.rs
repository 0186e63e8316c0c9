//! Whoever asked may go away at every await: nothing stays behind, and it is told once what became of the answer.

use std::rc::Weak;
use std::sync::Mutex;

use tower_api_key_name::outcome::Skip;

use super::*;

const TEXT: &str = r#"[{"api_key_id":"key_1"},7]"#;
/// As long, and one byte longer.
const AS_LONG: &str = r#"{"n":[1.10,"key_1",78901]}"#;
const LONGER: &str = r#"{"n":[1.10,"key_1",789012]}"#;

fn is_held(layer: &ApiKeyNameLayer, text: &'static str) -> bool {
    let seen = Asking::new(layer, Script::whole(text.as_bytes()), Polling::Fair).run();
    seen.outcome != Some(ResponseState::Streaming)
}

#[test]
fn at_every_await() {
    for limit in [1000, 9, 0] {
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = told.clone();
        let outcomes = layer(limit).on_outcome(move |outcome, _| tell.lock().unwrap().push(*outcome));
        let layer = outcomes.total_limit(TEXT.len());
        // The same total, whatever the limit.
        let holding = layer.clone().limit(1000);
        for events in sequences() {
            let pieces = cuts(TEXT.as_bytes(), pieces(&events));
            for polling in [Polling::Fair, Polling::Hostile] {
                for patience in 0.. {
                    let script = Script::new(&events, &pieces[pieces.len() / 2], true);
                    let stage: Weak<_> = Rc::downgrade(&script.stage);
                    let mut asking = Asking::new(&layer, script, polling);
                    asking.patience = patience;
                    let (headless, result) = match asking.head() {
                        Ok(()) => (false, asking.body()),
                        gone => (true, gone),
                    };
                    let before = std::mem::take(&mut *told.lock().unwrap());
                    drop(asking);
                    assert_eq!(stage.strong_count(), 0, "the body below is still there");
                    let after = std::mem::take(&mut *told.lock().unwrap());
                    let what = format!("limit {limit}, {polling:?}, {events:?}, dropped after {patience}");
                    match (&before[..], &after[..]) {
                        // There was no head yet, not even below.
                        ([], []) => assert!(headless, "{what}"),
                        ([], [Outcome::Skipped { skip: Skip::Dropped, .. }]) => {}
                        // All was there, but for the one who asks.
                        ([], [_]) | ([_], []) => assert!(!headless, "{what}"),
                        both => panic!("{both:?}: {what}"),
                    }
                    if result.is_ok() {
                        break;
                    }
                    // All is free again; had too much been given back, the count would be below zero: nothing is.
                    assert!(is_held(&holding, AS_LONG), "{what}");
                    told.lock().unwrap().clear();
                }
            }
        }
        assert!(!is_held(&holding, LONGER));
        assert_eq!((AS_LONG.len(), LONGER.len()), (TEXT.len(), TEXT.len() + 1));
        drop((layer, holding));
        assert_eq!(Arc::strong_count(&told), 1, "an answer was leaked");
    }
}
