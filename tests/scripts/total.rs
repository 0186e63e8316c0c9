//! The bound on what all answers hold together.

use super::*;

const ROW: &str = r#"{"api_key_id":"key_1"}"#;
const NAMED: &str = r#"{"api_key_id":"key_1","api_key_name":"x"}"#;

/// An answer of which so many bytes have come, and are held; no more come.
fn holding(layer: &ApiKeyNameLayer, text: &'static str) -> Asking {
    let script = Script::new(&[Event::Data, Event::Pending, Event::End], &[text.as_bytes()], true);
    let mut asking = Asking::new(layer, script, Polling::Fair);
    // For the head, and for the first frame.
    asking.patience = 2;
    assert!(asking.head().is_err());
    asking
}

fn ask(layer: &ApiKeyNameLayer, pieces: &[&'static [u8]]) -> Seen {
    let events = [&vec![Event::Data; pieces.len()][..], &[Event::End]].concat();
    Asking::new(layer, Script::new(&events, pieces, true), Polling::Fair).run()
}

#[test]
fn past_it_an_answer_streams_at_once() {
    let layer = layer(1000).total_limit(100);
    let whole = ask(&layer, &[ROW.as_bytes()]);
    assert_eq!((whole.length, &whole.bytes[..]), (Some(NAMED.len() as u64), NAMED.as_bytes()));

    // Clones, and layers with other settings, share it; so do all services.
    const OTHERS: &str = r#"["79 bytes, which leaves 21, and no end of it is in sight; not for a good while"#;
    assert_eq!(OTHERS.len(), 79);
    let others = holding(&layer.clone().suggest_names(true), OTHERS);
    let streamed = ask(&layer, &[ROW.as_bytes()]);
    assert_eq!(streamed.outcome, Some(ResponseState::Streaming));
    assert_eq!((streamed.length, streamed.bytes), (None, whole.bytes.clone()));
    // One byte less fits.
    let fits = ask(&layer, &[br#"{"api_key_id":"key_"}"#]);
    assert!(
        matches!(fits.outcome, Some(ResponseState::Final { outcome: Outcome::Amended { .. } })),
        "{fits:?}"
    );

    drop(others);
    assert_eq!(ask(&layer, &[ROW.as_bytes()]), whole);
}

#[test]
fn another_total_is_another() {
    let layer = layer(1000).total_limit(22);
    let others = holding(&layer, "[");
    assert_eq!(ask(&layer, &[ROW.as_bytes()]).outcome, Some(ResponseState::Streaming));
    let another = layer.clone().total_limit(22);
    assert!(matches!(
        ask(&another, &[ROW.as_bytes()]).outcome,
        Some(ResponseState::Final { outcome: Outcome::Amended { .. } })
    ));
    drop(others);
}

/// A stream does not ask, but what it keeps until an object closes is not there for others.
#[test]
fn what_a_stream_keeps_counts() {
    let named = layer(1000).total_limit(60);
    let text = concat!(r#"[{"api_key_id":"key_1","n":["#, "1234567890,1234567890,1234567890,1234567890");
    let events = [Event::Data, Event::Pending, Event::Error];
    let mut stream = Asking::new(&named, Script::new(&events, &[text.as_bytes()], true), Polling::Fair);
    assert!(stream.head().is_ok());
    assert_eq!(stream.seen.outcome, Some(ResponseState::Streaming));
    let all = "[1234567890,1234567890,1234567890,1234567890,1234567890]";
    let streams =
        |text: &'static str| ask(&named, &[text.as_bytes()]).outcome == Some(ResponseState::Streaming);
    assert!(streams("[1]"), "nothing went out yet");
    // What stands before the id goes out; the rest waits.
    stream.patience = 2;
    assert!(stream.body().is_err());
    assert_eq!(stream.seen.bytes, br#"[{"api_key_id":"key_1""#);
    let free = 60 - (text.len() - stream.seen.bytes.len());
    assert!(!streams(&all[..free]) && streams(&all[..free + 1]));
    drop(stream);
    assert!(!streams(all));
}

/// Law 4. What others hold decides how far an answer is held; with as much left for it, frames decide nothing.
#[test]
fn how_a_body_is_cut_changes_nothing() {
    for text in [
        r#"[{"api_key_id":"key_1"},{"o":[1,2,3],"api_key_id":"key_x"},{"api_key_id":null}]"#,
        r#"[{"api_key_id":"key_1","api_key_name":"x"},!{"api_key_id":"key_1"},"and more"]"#,
        r#"[{"api_key_id":"key_1"},!{"api_key_id":"key_1"},"and more"]"#,
        r#"[1,2,!{"api_key_id":"key_1"},"and more"]"#,
        r#"{"nothing":"to name"}"#,
    ] {
        for limit in [1000, 30] {
            for left in 0..=text.len() {
                let layer = layer(limit).total_limit(left + 1);
                let others = holding(&layer, "1");
                let whole = ask(&layer, &[text.as_bytes()]);
                assert_eq!(
                    whole.outcome == Some(ResponseState::Streaming),
                    is_streamed(text, left.min(limit)),
                    "{left}: {text}"
                );
                for size in 1..text.len() {
                    let pieces: Vec<_> = text.as_bytes().chunks(size).collect();
                    assert_eq!(ask(&layer, &pieces), whole, "{left} left, frames of {size}: {text}");
                }
                drop(others);
            }
        }
    }
}

/// A body longer than what it may hold is streamed, where it has not turned out hopeless before.
fn is_streamed(text: &str, most: usize) -> bool {
    let fault = text.find('!').unwrap_or(usize::MAX);
    let has_edits = text.starts_with(r#"[{"api_key_id":"key_1"}"#);
    text.len() > most && (fault >= most || has_edits)
}
