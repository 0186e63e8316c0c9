use proptest::prelude::*;
use serde_json::Value;

use super::*;

const DELTA: &str = r#"{"choices":[{"delta":{"content":"a"}}],"usage":null}"#;
const USAGE: &str = r#"{"choices":[],"usage":{"prompt_tokens":1}}"#;

/// Returns the bytes that pass. `on_chunk` receives the number of bytes that passed after each chunk.
fn filter_chunks<'a>(chunks: impl IntoIterator<Item = &'a [u8]>, mut on_chunk: impl FnMut(usize)) -> Vec<u8> {
    let mut remover = UsageEventRemover::new();
    let mut output = VecDeque::new();
    let mut passed = Vec::new();
    for chunk in chunks {
        remover.push(Bytes::copy_from_slice(chunk), &mut output);
        assert!(output.iter().all(|bytes| !bytes.is_empty()));
        for bytes in output.drain(..) {
            passed.extend_from_slice(&bytes);
        }
        on_chunk(passed.len());
    }
    passed.extend_from_slice(&remover.finish());
    passed
}

/// Checks the bytes that pass of a stream in one chunk, byte by byte, and in every two chunks.
fn check(stream: &str, expected: &str) {
    let bytes = stream.as_bytes();
    let passed = |chunks: Vec<&[u8]>| String::from_utf8(filter_chunks(chunks, |_| ())).unwrap();
    assert_eq!(passed(vec![bytes]), expected, "{stream:?}");
    assert_eq!(passed(bytes.chunks(1).collect()), expected, "{stream:?} byte by byte");
    for at in 0..=bytes.len() {
        let (first, second) = bytes.split_at(at);
        assert_eq!(passed(vec![first, second]), expected, "{stream:?} split at {at}");
    }
}

#[test]
fn usage_event_is_removed_with_any_line_ends() {
    for end in ["\n", "\r", "\r\n"] {
        let delta = format!("data: {DELTA}{end}{end}");
        let usage = format!("data: {USAGE}{end}{end}");
        let done = format!("data: [DONE]{end}{end}");
        check(&format!("{delta}{usage}{done}"), &format!("{delta}{done}"));
        check(&format!("{usage}{delta}"), &delta);
        check(&format!("{delta}{usage}"), &delta);
    }
}

#[test]
fn usage_event_is_removed_with_its_other_fields() {
    let usage = r#"{"choices":[],"usage":"#;
    check(
        &format!("event: x\n: c\nid: 1\ndata: {usage}\ndata: {{}}}}\nretry: 1\n\ndata: 1\n\n"),
        "data: 1\n\n",
    );
}

#[test]
fn lines_before_the_usage_event_pass() {
    let stream = format!("\u{feff}: comment\n\ndata\n\nid: 7\n\n:\rdata: {USAGE}\n\n: end\n");
    check(&stream, "\u{feff}: comment\n\ndata\n\nid: 7\n\n:\r: end\n");
}

#[test]
fn second_usage_event_passes() {
    check(&format!("data: {USAGE}\n\ndata: {USAGE}\n\n"), &format!("data: {USAGE}\n\n"));
}

#[test]
fn stream_without_a_usage_event_passes() {
    for stream in [
        "".to_owned(),
        format!("data: {DELTA}\n\ndata: [DONE]\n\n"),
        "data: {\"choices\":[],\"prompt_filter_results\":[]}\n\n".to_owned(),
        format!("data: {USAGE}"),
        format!("data: {USAGE}\n"),
        format!("data: [DONE]\n\ndata: {USAGE}\n\n"),
        format!(": data: {USAGE}\n\nxdata: {USAGE}\n\n"),
    ] {
        check(&stream, &stream);
    }
}

#[test]
fn event_of_the_maximum_length_is_removed_and_a_longer_one_passes() {
    let usage_event = |len: usize| {
        let empty = format!("data: {USAGE}\n\n");
        format!("data: {}{USAGE}\n\n", " ".repeat(len - empty.len()))
    };
    for (event, passed_len) in [(usage_event(MAX_EVENT), 0), (usage_event(MAX_EVENT + 1), MAX_EVENT + 1)] {
        for chunk_len in [1, 1000, MAX_EVENT - 1, MAX_EVENT, MAX_EVENT + 1] {
            assert_eq!(
                filter_chunks(event.as_bytes().chunks(chunk_len), |_| ()).len(),
                passed_len,
                "{chunk_len}"
            );
        }
    }
}

#[test]
fn usage_event_behind_a_long_event_is_removed() {
    let long = format!("data: \"{}\"\n\n", "x".repeat(2 * MAX_EVENT));
    let stream = format!("{long}data: {USAGE}\n\n");
    for chunk_len in [1, 1000, stream.len()] {
        assert_eq!(filter_chunks(stream.as_bytes().chunks(chunk_len), |_| ()), long.as_bytes());
    }
}

#[test]
fn bytes_pass_at_the_end_of_their_event_or_comment() {
    let mut passed_lens = Vec::new();
    let chunks = [": com", "ment\n", "\n", "data: 1\n", "\n", "data: 2\r", "\n\r", "\ndata", "\n: c\n", "\n"];
    filter_chunks(chunks.map(str::as_bytes), |passed_len| passed_lens.push(passed_len));
    assert_eq!(passed_lens, [0, 10, 11, 11, 20, 20, 30, 31, 31, 41]);
}

#[test]
fn bytes_of_a_long_event_pass_as_they_arrive() {
    let mut passed_lens = Vec::new();
    let chunk = "x".repeat(40_000);
    let chunks = ["data: ", &chunk, &chunk, &chunk];
    filter_chunks(chunks.map(str::as_bytes), |passed_len| passed_lens.push(passed_len));
    assert_eq!(passed_lens, [0, 0, 80_006, 120_006]);
}

/// A range of bytes that a naive parser regards as the first usage event, with the whole end of its last line.
fn naive_usage_event(stream: &[u8]) -> Option<std::ops::Range<usize>> {
    let mut lines = Vec::new();
    let mut start = 0;
    while let Some(len) = stream[start..].iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
        let line_end = start + len;
        let end_len = if stream[line_end..].starts_with(b"\r\n") { 2 } else { 1 };
        lines.push((start, &stream[start..line_end], line_end + end_len));
        start = line_end + end_len;
    }
    let mut event_start = None;
    let mut data: Option<Vec<u8>> = None;
    for (line_start, line, line_end) in lines {
        if line.is_empty() {
            let event_data = data.take();
            let first = event_start.take();
            let Some(text) = event_data else { continue };
            if text.starts_with(b"[DONE]") {
                return None;
            }
            if is_naive_usage(&text) {
                return Some(first?..line_end);
            }
            continue;
        }
        if line.starts_with(b":") {
            continue;
        }
        event_start.get_or_insert(line_start);
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        if &line[..colon] == b"data" {
            let value = line.get(colon + 1..).unwrap_or_default();
            let value = value.strip_prefix(b" ").unwrap_or(value);
            match &mut data {
                Some(text) => text.extend_from_slice(&[b"\n", value].concat()),
                None => data = Some(value.to_vec()),
            }
        }
    }
    None
}

fn is_naive_usage(text: &[u8]) -> bool {
    let Ok(value) = serde_json::from_slice::<Value>(text) else { return false };
    value.is_object() && value["choices"] == serde_json::json!([]) && value["usage"].is_object()
}

/// Lines of streams, with any line ends.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let line = prop::sample::select(vec![
        "",
        "",
        "",
        "data: {\"choices\":[],\"usage\":{}}",
        "data:{\"usage\":{\"x\":1},\"choices\":[ ]}",
        "data: {\"choices\":[],",
        "data: \"usage\":{}}",
        "data: {\"choices\":[],\"usage\":null}",
        "data: {\"choices\":[1],\"usage\":{}}",
        "data: [DONE]",
        "data",
        "data: ",
        "event: x",
        ": comment",
        ":",
        "dat",
    ]);
    let end = prop::sample::select(vec!["\n", "\r", "\r\n", "\n\n", "\r\r", "\r\n\r\n", ""]);
    prop::collection::vec((line, end), 0..12).prop_map(|lines| {
        let mut stream = String::new();
        for (line, end) in lines {
            stream.push_str(line);
            stream.push_str(end);
        }
        stream.into_bytes()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn output_is_the_input_without_the_naive_usage_event(
        stream in stream(),
        chunk_len in 1..40usize,
        at in any::<prop::sample::Index>(),
    ) {
        let mut expected = stream.clone();
        if let Some(range) = naive_usage_event(&stream) {
            expected.drain(range);
        }
        let (first, second) = stream.split_at(at.index(stream.len() + 1));
        for chunks in [vec![&stream[..]], stream.chunks(chunk_len).collect(), vec![first, second]] {
            prop_assert_eq!(filter_chunks(chunks, |_| ()), &expected[..]);
        }
    }
}
