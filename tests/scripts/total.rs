//! The total limit of all buffered bytes.

use super::*;

const ROW: &str = r#"{"api_key_id":"key_1"}"#;
/// The charge for one edit.
const EDIT_CHARGE: usize = 40;
const NAMED: &str = r#"{"api_key_id":"key_1","api_key_name":"x"}"#;

/// Starts a call that buffers `text` and then stalls.
fn stalled(layer: &ApiKeyNameLayer, text: &'static str) -> Call {
    let script = Script::new(&[Event::Data, Event::Pending, Event::End], &[text.as_bytes()], true);
    let mut call = Call::new(layer, script, Polling::Regular);
    // One poll for the headers, and one for the first frame.
    call.max_polls = 2;
    assert!(call.run_headers().is_err());
    call
}

fn run_call(layer: &ApiKeyNameLayer, pieces: &[&'static [u8]]) -> CallResult {
    let events = [&vec![Event::Data; pieces.len()][..], &[Event::End]].concat();
    Call::new(layer, Script::new(&events, pieces, true), Polling::Regular).run()
}

#[test]
fn response_over_the_total_limit_is_streamed() {
    let layer = layer(1000).total_limit(100);
    let whole = run_call(&layer, &[ROW.as_bytes()]);
    assert_eq!((whole.length, &whole.bytes[..]), (Some(NAMED.len() as u64), NAMED.as_bytes()));

    // Clones, layers with other settings or names, and all services share the total limit.
    const OTHERS: &str = r#"["39 bytes of a response that stalls in"#;
    // They leave one byte less than the row needs.
    assert_eq!(OTHERS.len() + ROW.len() + EDIT_CHARGE, 101);
    let others = stalled(&layer.clone().suggest_names(true).names(SharedKeyNames::default()), OTHERS);
    let streamed = run_call(&layer, &[ROW.as_bytes()]);
    assert_eq!(streamed.state, Some(ResponseState::Streaming));
    assert_eq!((streamed.length, streamed.bytes), (None, whole.bytes.clone()));
    // A body that is one byte shorter is buffered.
    let fits = run_call(&layer, &[br#"{"api_key_id":"key_"}"#]);
    assert!(
        matches!(fits.state, Some(ResponseState::Final { outcome: Outcome::Amended { .. } })),
        "{fits:?}"
    );

    drop(others);
    assert_eq!(run_call(&layer, &[ROW.as_bytes()]), whole);
}

#[test]
fn bytes_held_are_those_of_all_responses_of_the_layer_and_its_clones() {
    assert_eq!(layer(1000).bytes_held(), None);
    let layer = layer(1000).total_limit(usize::MAX);
    let stalled_response = stalled(&layer.clone(), "[");
    assert_eq!(layer.bytes_held(), Some(1));
    drop(stalled_response);
    assert_eq!(layer.bytes_held(), Some(0));
}

#[test]
fn total_limits_of_two_layers_are_independent() {
    let layer = layer(1000).total_limit(22 + EDIT_CHARGE);
    let others = stalled(&layer, "[");
    assert_eq!(run_call(&layer, &[ROW.as_bytes()]).state, Some(ResponseState::Streaming));
    let another = layer.clone().total_limit(22 + EDIT_CHARGE);
    assert!(matches!(
        run_call(&another, &[ROW.as_bytes()]).state,
        Some(ResponseState::Final { outcome: Outcome::Amended { .. } })
    ));
    drop(others);
}

/// A streamed response is always granted the bytes of an unfinished object.
#[test]
fn bytes_held_by_a_streamed_response_count_toward_the_total_limit() {
    let named = layer(1000).total_limit(100);
    let text = concat!(r#"[{"api_key_id":"key_1","n":["#, "1234567890,1234567890,1234567890,1234567890");
    let events = [Event::Data, Event::Pending, Event::Error];
    let mut stream = Call::new(&named, Script::new(&events, &[text.as_bytes()], true), Polling::Regular);
    assert!(stream.run_headers().is_ok());
    assert_eq!(stream.result.state, Some(ResponseState::Streaming));
    let all = "[1234567890,1234567890,1234567890,1234567890,1234567890]";
    let streams =
        |text: &'static str| run_call(&named, &[text.as_bytes()]).state == Some(ResponseState::Streaming);
    assert!(streams("[1]"), "no bytes were sent yet");
    // The bytes before the id are sent, and the rest is held.
    stream.max_polls = 2;
    assert!(stream.run_body().is_err());
    assert_eq!(stream.result.bytes, br#"[{"api_key_id":"key_1""#);
    let free = 100 - EDIT_CHARGE - (text.len() - stream.result.bytes.len());
    assert!(!streams(&all[..free]) && streams(&all[..free + 1]));
    drop(stream);
    assert!(!streams(all));
}

/// Law 4 with each remaining budget.
#[test]
fn frames_of_a_body_do_not_change_the_result() {
    for text in [
        r#"[{"api_key_id":"key_1"},{"o":[1,2,3],"api_key_id":"key_x"},{"api_key_id":null}]"#,
        r#"[{"api_key_id":"key_1","api_key_name":"x"},!{"api_key_id":"key_1"},"and more"]"#,
        r#"[{"api_key_id":"key_1"},!{"api_key_id":"key_1"},"and more"]"#,
        r#"[1,2,!{"api_key_id":"key_1"},"and more"]"#,
        r#"{"nothing":"to name"}"#,
    ] {
        for limit in [1000, 30] {
            for left in 0..=text.len() + charge(text) {
                let layer = layer(limit).total_limit(left + 1);
                let others = stalled(&layer, "1");
                let whole = run_call(&layer, &[text.as_bytes()]);
                assert_eq!(
                    whole.state == Some(ResponseState::Streaming),
                    is_streamed(text, left.min(limit)),
                    "{left}: {text}"
                );
                for size in [1, 2, 3, 5, 8, 13, 21, 34, 55] {
                    let pieces: Vec<_> = text.as_bytes().chunks(size).collect();
                    assert_eq!(run_call(&layer, &pieces), whole, "{left} left, frames of {size}: {text}");
                }
                drop(others);
            }
        }
    }
}

/// The charge for the edits before a syntax error.
fn charge(text: &str) -> usize {
    let scanned = text.split('!').next().unwrap_or_default();
    scanned.matches(r#""api_key_"#).count() * EDIT_CHARGE
}

/// Returns true if a body is streamed: it is longer than permitted, and has no syntax error before that without edits.
fn is_streamed(text: &str, max: usize) -> bool {
    let error = text.find('!').unwrap_or(1 << 20);
    let has_edits = text.starts_with(r#"[{"api_key_id":"key_1"}"#);
    text.len() + charge(text) > max && (error + charge(text) >= max || has_edits)
}
