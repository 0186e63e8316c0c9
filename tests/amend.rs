//! The amender without HTTP: the table of cases, the settings, the bounds and the output.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use bytes::Bytes;
use test_support::cases::{CASES, naive};
use test_support::default_rules;
use test_support::laws::amend::{Amended, labels, snapshot};
use test_support::unstructured::split_at_offsets;
use tower_api_key_name::_internal;
use tower_api_key_name::_internal::rules::{NamePosition, Prefer, Rules, Unmatched};
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

// === Labels ===

/// The default rules with all labels of the oracle.
fn all_labels() -> Rules {
    default_rules().with_labels(labels(), 0..4)
}

/// Checks the output and the counts of a body at every division into two chunks and in single bytes, buffered and
/// streamed. A body without a change has the output `""`.
fn check_at_every_split(rules: &Rules, body: &str, expected: &str, counts: [u64; 4]) {
    let expected = if expected.is_empty() { body } else { expected };
    let mut divisions = vec![single_bytes(body.as_bytes())];
    divisions.extend((0..=body.len()).map(|at| split_at_offsets(body.as_bytes(), &[at])));
    for chunks in divisions {
        for streams in [false, true] {
            let amended = Amended::of(&chunks, &snapshot(), rules, streams);
            assert_eq!(String::from_utf8_lossy(&amended.output), expected, "{chunks:?}");
            assert_eq!((amended.counts, amended.error), (counts, None), "{body}");
        }
    }
}

#[test]
fn labels_of_one_object_get_their_names_in_any_order() {
    let members = [
        (r#""api_key_id":"key_1""#, r#","api_key_name":"x""#),
        (r#""project_id" : "proj_1""#, r#","project_name" : "storefront""#),
        (r#""user_id":"user_1""#, r#","user_name":"proj_1""#),
    ];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let ids = order.map(|index| members[index].0);
        let named = order.map(|index| [members[index].0, members[index].1].concat());
        let body = format!("[{{{},\"n\":1}}]", ids.join(","));
        check_at_every_split(
            &all_labels(),
            &body,
            &format!("[{{{},\"n\":1}}]", named.join(",")),
            [3, 0, 0, 0],
        );
    }
}

#[test]
fn same_id_of_two_labels_gets_the_name_of_each_section() {
    check_at_every_split(
        &all_labels(),
        r#"{"project_id":"key_1","api_key_id":"key_1"}"#,
        r#"{"project_id":"key_1","project_name":"a \"project\"","api_key_id":"key_1","api_key_name":"x"}"#,
        [2, 0, 0, 0],
    );
}

#[test]
fn label_without_a_section_has_only_unmatched_ids() {
    check_at_every_split(
        &all_labels(),
        r#"{"workspace_id":"key_1","user_id":"proj_1"}"#,
        r#"{"workspace_id":"key_1","workspace_name":"unknown","user_id":"proj_1","user_name":"unknown"}"#,
        [0, 2, 0, 0],
    );
}

#[test]
fn native_names_of_two_labels_are_replaced_on_either_side() {
    check_at_every_split(
        &all_labels(),
        r#"{"project_id":"proj_1","api_key_name":"a","api_key_id":"key_1","project_name":"storefront","user_name":"u"}"#,
        r#"{"project_id":"proj_1","api_key_name":"x","api_key_id":"key_1","project_name":"storefront","user_name":"u"}"#,
        [2, 0, 0, 0],
    );
    // The native names are kept for each label, in whatever order the labels began.
    check_at_every_split(
        &all_labels(),
        r#"{"api_key_id":"key_1","project_name":"old","api_key_name":"x","project_id":"proj_1"}"#,
        r#"{"api_key_id":"key_1","project_name":"storefront","api_key_name":"x","project_id":"proj_1"}"#,
        [2, 0, 0, 0],
    );
}

#[test]
fn native_name_equal_to_that_of_the_map_is_no_change_beside_another_label() {
    // The native name of the first label is kept after that of the second.
    let body =
        r#"{"api_key_id":"key_1","project_name":"storefront","api_key_name":"x","project_id":"proj_1"}"#;
    let mut amender = _internal::Amender::new(all_labels(), snapshot(), Arc::default());
    amender.push(Bytes::from(body));
    assert!(amender.scan_batch());
    amender.finish();
    assert_eq!((amender.counts().named, amender.is_changed()), (2, false));
}

#[test]
fn duplicate_of_one_label_does_not_skip_another_label() {
    check_at_every_split(
        &all_labels(),
        r#"{"project_id":"proj_1","api_key_id":"key_1","project_id":"proj_1"}"#,
        r#"{"project_id":"proj_1","api_key_id":"key_1","api_key_name":"x","project_id":"proj_1"}"#,
        [1, 0, 0, 1],
    );
}

#[test]
fn labels_in_the_value_of_an_id_are_named() {
    check_at_every_split(
        &all_labels(),
        r#"{"project_id":{"user_id":"user_1","project_id":"proj_1","api_key_id":null},"user_id":"user_3"}"#,
        r#"{"project_id":{"user_id":"user_1","user_name":"proj_1","project_id":"proj_1","project_name":"storefront","api_key_id":null,"api_key_name":null},"user_id":"user_3","user_name":"storefront"}"#,
        [3, 0, 2, 0],
    );
}

#[test]
fn label_that_is_not_active_is_neither_named_nor_counted() {
    let body = r#"{"api_key_id":{"user_id":"user_1","user_name":1},"user_id":"user_1","project_id":"proj_1","user_id":2}"#;
    check_at_every_split(
        &default_rules().with_labels(labels(), [1]),
        body,
        &body.replace(r#""proj_1""#, r#""proj_1","project_name":"storefront""#),
        [1, 0, 0, 0],
    );
    check_at_every_split(
        &default_rules().with_labels(labels(), [0]),
        body,
        &body.replace("},", r#"},"api_key_name":null,"#),
        [0, 0, 1, 0],
    );
}

#[test]
fn templates_of_a_body_with_other_labels_change_nothing() {
    let row = r#"{"api_key_id":"key_1","project_id":"proj_1","user_id":"user_1"}"#;
    let body = format!("[{}]", vec![row; 20].join(","));
    let templates = Arc::default();
    for active in [vec![0], vec![0, 1, 2], vec![1], vec![0, 1, 2]] {
        let rules = default_rules().with_labels(labels(), active);
        let alone = Amended::of(&[body.as_bytes()], &snapshot(), &rules, false);
        assert_eq!(Amended::with(&templates, &[body.as_bytes()], &snapshot(), &rules, false), alone);
    }
}

#[test]
fn null_of_another_label_than_keys_inserts_nothing_unless_set() {
    let body = r#"[{"project_id":null,"api_key_id":null},{"project_id":7,"project_name":null}]"#;
    let with = |insert_null, null_as_unmatched| Rules { insert_null, null_as_unmatched, ..all_labels() };
    let expected = |of_project: &str, of_key: &str| {
        format!(
            r#"[{{"project_id":null{of_project},"api_key_id":null,"api_key_name":{of_key}}},{{"project_id":7,"project_name":null}}]"#
        )
    };
    for (rules, expected) in [
        (with(false, false), expected("", "null")),
        (with(false, true), expected("", "\"unknown\"")),
        (with(true, false), expected(r#","project_name":null"#, "null")),
        (with(true, true), expected(r#","project_name":"unknown""#, "\"unknown\"")),
    ] {
        check_at_every_split(&rules, body, &expected, [0, 0, 3, 0]);
    }
}

#[test]
fn white_space_of_62_kinds_is_repeated_for_each_label() {
    let row = |len: usize| {
        let gap = " ".repeat(len);
        format!("{{\"api_key_id\":{gap}\"key_1\",\"project_id\":{gap}\"proj_1\"}}")
    };
    let rows: Vec<_> = (0..70).map(row).collect();
    let body = format!("[{}]", rows.join(","));
    let output = String::from_utf8(streamed(&[body.as_bytes()], &all_labels()).output).unwrap();
    for name in ["\"api_key_name\": ", "\"project_name\": "] {
        assert_eq!(output.matches(name).count(), 62, "{name}");
    }
}

#[test]
fn edits_of_another_label_count_against_the_window() {
    let inner = r#"{"project_id":"proj_1"}"#;
    let body = format!(r#"{{"api_key_id":"key_1","rows":[{inner},{inner}]}}"#);
    let id_end = r#"{"api_key_id":"key_1""#.len();
    let window = body.len() - id_end + 3 * 40;
    for (window, counts) in [(window, [3, 0, 0, 0]), (window - 1, [2, 0, 0, 1])] {
        let rules = naive::Rules { window, active: [true; 4], ..Default::default() };
        let (expected, _) = naive::amend(body.as_bytes(), rules);
        let rules = Rules { window: window as u64, ..all_labels() };
        let amended = streamed(&single_bytes(body.as_bytes()), &rules);
        assert_eq!(amended.counts, counts);
        assert_eq!(String::from_utf8_lossy(&amended.output), String::from_utf8_lossy(&expected));
    }
}

// === Position and preference ===

fn replacing() -> Rules {
    Rules { position: NamePosition::Replace, ..all_labels() }
}

#[test]
fn name_in_place_of_an_id_replaces_exactly_its_value() {
    let body =
        r#"[{"api_key_id" : "key_1" ,"project_id":"proj\u005f1","user_id":"user_1"},{"api_key_id":"key_b"}]"#;
    let expected = r#"[{"api_key_id" : "x" ,"project_id":"storefront","user_id":"proj_1"},{"api_key_id":"say \"hi\" \\ bye"}]"#;
    check_at_every_split(&replacing(), body, expected, [4, 0, 0, 0]);
}

#[test]
fn id_without_a_name_stays_in_its_place() {
    let body = r#"[{"api_key_id":"key_x"},{"api_key_id":null,"project_id":7},{"api_key_id":["key_1"]}]"#;
    for (insert_null, unmatched) in [(false, Unmatched::Unknown), (true, Unmatched::Null)] {
        let rules = Rules { insert_null, unmatched, null_as_unmatched: insert_null, ..replacing() };
        check_at_every_split(&rules, body, "", [0, 1, 3, 0]);
    }
}

#[test]
fn native_name_beside_a_replaced_id_stays() {
    let body = r#"{"api_key_name":"a","api_key_id":"key_1","api_key_name":"b"}"#;
    check_at_every_split(&replacing(), body, &body.replace("key_1", "x"), [1, 0, 0, 0]);
}

#[test]
fn name_that_is_an_id_does_not_take_the_place_of_another_id() {
    let body = r#"{"project_id":"proj_2","user_id":"user_1"}"#;
    check_at_every_split(&replacing(), body, &body.replace("user_1", "proj_1"), [1, 0, 0, 1]);
}

#[test]
fn id_that_occurs_twice_is_not_replaced() {
    let body = r#"{"api_key_id":"key_1","api_key_id":"key_1","project_id":"proj_1"}"#;
    check_at_every_split(&replacing(), body, &body.replace("proj_1", "storefront"), [1, 0, 0, 1]);
}

#[test]
fn ids_in_the_value_of_an_id_are_replaced() {
    let body = r#"{"api_key_id":{"api_key_id":"key_1","project_id":"proj_1"}}"#;
    let expected = r#"{"api_key_id":{"api_key_id":"x","project_id":"storefront"}}"#;
    check_at_every_split(&replacing(), body, expected, [2, 0, 1, 0]);
}

#[test]
fn output_before_an_id_that_may_be_replaced_is_settled() {
    let start = r#"[{"api_key_id":"key_1"},{"a":1,"api_key_id":"#;
    let mut amender = _internal::Amender::new(replacing(), snapshot(), Arc::default());
    amender.push(Bytes::from(format!("{start}\"key_1\"")));
    assert!(amender.scan_batch());
    let chunks: Vec<_> = std::iter::from_fn(|| amender.next_chunk()).collect();
    assert_eq!(chunks.concat(), start.replace("key_1", "x").as_bytes());
}

#[test]
fn upstream_name_is_preferred_for_each_label() {
    let body = r#"[{"api_key_name":"a","api_key_id":"key_1","project_id":"proj_1","user_id":"user_1","user_name":null},{"api_key_id":"key_1"}]"#;
    let expected = r#"[{"api_key_name":"a","api_key_id":"key_1","project_id":"proj_1","project_name":"storefront","user_id":"user_1","user_name":null},{"api_key_id":"key_1","api_key_name":"x"}]"#;
    check_at_every_split(&Rules { prefer: Prefer::Upstream, ..all_labels() }, body, expected, [4, 0, 0, 0]);
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
