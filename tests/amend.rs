//! The amender without HTTP: the table of cases, the settings, the bounds and the output.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use bytes::Bytes;
use test_support::cases::{CASES, naive};
use test_support::default_rules;
use test_support::laws::amend::{Amended, snapshot};
use test_support::unstructured::split_at_offsets;
use tower_api_key_name::_internal;
use tower_api_key_name::_internal::rules::{Rules, Unmatched};
use tower_api_key_name::_internal::scan::{MAX_DEPTH, ScanError};
use tower_api_key_name::{KeyNames, SharedKeyNames};

fn buffered(chunks: &[&[u8]], rules: &Rules) -> Amended {
    Amended::of(chunks, &snapshot(), rules, false)
}

fn streamed(chunks: &[&[u8]], rules: &Rules) -> Amended {
    Amended::of(chunks, &snapshot(), rules, true)
}

fn single_bytes(body: &[u8]) -> Vec<&[u8]> {
    body.chunks(1).collect()
}

/// Returns the chunks of the output.
fn output(frames: &[Bytes], rules: &Rules) -> Vec<Bytes> {
    let mut chunks = Vec::new();
    let (_, error) = _internal::amend(rules, &snapshot(), &Arc::default(), frames.to_vec(), false, |chunk| {
        chunks.push(chunk);
    });
    assert_eq!(error, None);
    chunks
}

// === Cases ===

#[test]
fn cases_at_every_split_have_the_output_of_the_table() {
    for case in CASES {
        let body = case.input.as_bytes();
        let mut divisions = vec![vec![body], single_bytes(body)];
        divisions.extend((0..=body.len()).map(|at| split_at_offsets(body, &[at])));
        for chunks in divisions {
            let amended = buffered(&chunks, &default_rules());
            let text = String::from_utf8_lossy(&amended.output);
            assert_eq!(text, case.output, "{}: {chunks:?}", case.name);
            if amended.error.is_none() {
                assert_eq!(amended.counts, case.counts, "{}: {chunks:?}", case.name);
                assert_eq!(streamed(&chunks, &default_rules()), amended, "{}, streamed", case.name);
            }
        }
    }
}

#[test]
fn oracle_for_each_case_has_the_output_of_the_table() {
    for case in CASES {
        let (output, counts) = naive::amend(case.input.as_bytes(), naive::Rules::default());
        assert_eq!(String::from_utf8_lossy(&output), case.output, "{}", case.name);
        assert_eq!(counts, case.counts, "{}", case.name);
    }
}

// === Settings ===

#[test]
fn unmatched_setting_changes_the_values_without_a_name() {
    let body = br#"[{"api_key_id":"key_1"},{"api_key_id":"key_x"},{"api_key_id":null}]"#;
    let (unknown, null) = (r#","api_key_name":"unknown""#, r#","api_key_name":null"#);
    for (unmatched, null_as_unmatched, of_unmatched, of_null) in [
        (Unmatched::Unknown, false, unknown, null),
        (Unmatched::Unknown, true, unknown, unknown),
        (Unmatched::Null, false, null, null),
        (Unmatched::Null, true, null, null),
        (Unmatched::Omit, false, "", null),
        (Unmatched::Omit, true, "", ""),
    ] {
        let amended = buffered(&[body], &Rules { unmatched, null_as_unmatched, ..default_rules() });
        assert_eq!(amended.counts, [1, 1, 1, 0]);
        let expected = format!(
            r#"[{{"api_key_id":"key_1","api_key_name":"x"}},{{"api_key_id":"key_x"{of_unmatched}}},{{"api_key_id":null{of_null}}}]"#
        );
        assert_eq!(String::from_utf8(amended.output).unwrap(), expected, "{unmatched:?} {null_as_unmatched}");
    }
}

// === Bounds ===

#[test]
fn nesting_beyond_the_cap_is_an_error_at_its_bracket() {
    let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
    assert_eq!(streamed(&[&nested(MAX_DEPTH)], &default_rules()).error, None);
    let deeper = nested(MAX_DEPTH + 1);
    for chunks in [vec![&deeper[..]], single_bytes(&deeper)] {
        let amended = streamed(&chunks, &default_rules());
        assert_eq!(amended.error, Some(ScanError::TooDeep { offset: MAX_DEPTH as u64 }));
        assert_eq!(amended.output, deeper);
    }
}

#[test]
fn object_undecided_for_more_than_the_window_is_skipped() {
    let inner = r#"{"api_key_id":"key_1"}"#;
    let id_end = inner.len() - 1;
    for (padding, counts) in
        [(50, [2, 0, 0, 0]), (51, [2, 0, 0, 0]), (52, [1, 0, 0, 1]), (1000, [1, 0, 0, 1])]
    {
        let body = format!(r#"{{"api_key_id":"key_1","pad":[{inner},"{}"]}}"#, "x".repeat(padding));
        // The bytes after the outer id, and two edits: exactly the window if the padding is 51 bytes.
        assert_eq!(body.len() - id_end, padding + 35);
        let window = 51 + 35 + 2 * 40;
        let (expected, _) = naive::amend(body.as_bytes(), naive::Rules { window, ..Default::default() });
        for chunks in
            [vec![body.as_bytes()], single_bytes(body.as_bytes()), split_at_offsets(body.as_bytes(), &[40])]
        {
            let amended = streamed(&chunks, &Rules { window: window as u64, ..default_rules() });
            assert_eq!(amended.counts, counts, "{padding}");
            assert_eq!(String::from_utf8_lossy(&amended.output), String::from_utf8_lossy(&expected));
        }
    }
}

#[test]
fn object_after_a_skipped_one_is_amended() {
    let row = r#"{"api_key_id":"key_1","api_key_name":"old"}"#;
    let body = format!(r#"[{{"api_key_id":"key_1","pad":"{}"}},{row},{row}]"#, "x".repeat(140));
    let (body, window) = (body.as_bytes(), 110);
    let (expected, counts) = naive::amend(body, naive::Rules { window, ..Default::default() });
    assert_eq!(counts, [2, 0, 0, 1]);
    for first in (0..body.len()).step_by(3) {
        for second in (first..body.len()).step_by(2) {
            let amended = streamed(
                &split_at_offsets(body, &[first, second]),
                &Rules { window: window as u64, ..default_rules() },
            );
            assert_eq!(String::from_utf8_lossy(&amended.output), String::from_utf8_lossy(&expected));
            assert_eq!(amended.counts, counts);
        }
    }
}

#[test]
fn rows_in_an_object_longer_than_the_window_are_amended() {
    let row = r#"{"api_key_id":"key_1","n":12345678901234567890}"#;
    let body = format!(r#"{{"api_key_id":"key_1","rows":[{}]}}"#, vec![row; 500].join(","));
    let rules = Rules { window: 1000, ..default_rules() };
    let amended = streamed(&split_at_offsets(body.as_bytes(), &[7, 99, 4000]), &rules);
    assert_eq!(amended.counts, [500, 0, 0, 1]);
    assert_eq!(amended, streamed(&single_bytes(body.as_bytes()), &rules));
}

#[test]
fn white_space_longer_than_256_bytes_is_not_repeated() {
    for (len, is_repeated) in [(256, true), (257, false)] {
        let gap = " ".repeat(len);
        let body = format!("{{\"api_key_id\"{gap}: \"key_1\"}}");
        let member =
            if is_repeated { format!(",\"api_key_name\"{gap}: ") } else { ",\"api_key_name\":".into() };
        let expected = format!("{{\"api_key_id\"{gap}: \"key_1\"{member}\"x\"}}");
        for chunks in [vec![body.as_bytes()], single_bytes(body.as_bytes())] {
            assert_eq!(String::from_utf8(streamed(&chunks, &default_rules()).output).unwrap(), expected);
        }
    }
}

#[test]
fn white_space_of_more_than_62_kinds_is_not_repeated() {
    let rows: Vec<_> =
        (0..200).map(|len| format!("{{\"api_key_id\":{}\"key_1\"}}", " ".repeat(len))).collect();
    let body = format!("[{}]", rows.join(","));
    let output = String::from_utf8(streamed(&[body.as_bytes()], &default_rules()).output).unwrap();
    let inserted: Vec<_> = output.split("\"api_key_name\":").skip(1).collect();
    assert_eq!(inserted.len(), 200);
    assert_eq!(inserted.iter().filter(|rest| rest.starts_with(' ')).count(), 62);
}

#[test]
fn id_of_the_longest_escaped_form_is_named() {
    let long = "k".repeat(256);
    let names = SharedKeyNames::new(KeyNames::new([(long.as_str(), "long")]).unwrap()).snapshot();
    let escaped: String = long.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
    for (id, named) in [(long.clone(), 1), (escaped.clone(), 1), (escaped + "k", 0), (long + "k", 0)] {
        let body = format!("{{\"api_key_id\":\"{id}\"}}");
        for chunks in [vec![body.as_bytes()], single_bytes(body.as_bytes())] {
            let amended = Amended::of(&chunks, &names, &default_rules(), false);
            assert_eq!(amended.counts, [named, 1 - named, 0, 0]);
        }
    }
}

// === Output ===

#[test]
fn output_chunks_wherever_the_rows_lie_have_at_most_64_kib() {
    let row = r#"{"api_key_id":"key_1","n":1},{"api_key_id":"key_1","api_key_name":"other"}"#;
    let rows = vec![row; 900].join(",");
    for pad in 0..120 {
        // The end of the first frame does not fit into the chunk of its last edit.
        let first = format!("[{}{rows}{}", " ".repeat(pad), " ".repeat(70_000));
        let frames = [first.into(), Bytes::from(format!(",{row}]"))];
        let chunks = output(&frames, &default_rules());
        assert!(chunks.len() > 2 && chunks.iter().all(|chunk| chunk.len() <= 64 * 1024));
        let (expected, _) = naive::amend(&frames.concat(), naive::Rules::default());
        assert_eq!(String::from_utf8_lossy(&chunks.concat()), String::from_utf8_lossy(&expected), "{pad}");
    }
}

#[test]
fn frames_without_a_change_are_not_copied() {
    let omit = Rules { unmatched: Unmatched::Omit, ..default_rules() };
    let changed = Bytes::from(format!(r#"[{}{{"api_key_id":"key_1"}},"#, " ".repeat(2_000)));
    let unmatched = Bytes::from(r#"{"api_key_id":"nobody"},"#.repeat(10_000));
    let plain = Bytes::from(format!("{}1]", " ".repeat(100_000)));
    let chunks = output(&[changed, unmatched.clone(), plain.clone()], &omit);
    assert_eq!(chunks.len(), 3);
    for (frame, chunk) in [unmatched, plain].iter().zip(&chunks[1..]) {
        assert_eq!((frame.as_ptr(), frame.len()), (chunk.as_ptr(), chunk.len()));
    }
}
