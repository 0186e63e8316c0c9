//! The laws, for the engine alone: the table of cases, and property tests against the oracle.

use bytes::Bytes;
use proptest::prelude::*;

use super::amend::{Amender, Members, Rules, Unmatched};
use super::lookout::{Lookout, Seam};
use super::place;
use super::scan::{Fault, MAX_DEPTH, Member, Scanner};
use super::splice::Unsent;
use crate::{Counts, KeyNames};

#[path = "../../tests/cases/mod.rs"]
mod cases;
use cases::{CASES, NAMES, naive};

mod bodies;
use bodies::bytes;

const MEMBERS: Members = Members::new("api_key_id", "api_key_name");

fn names() -> KeyNames {
    KeyNames::new(NAMES.iter().copied()).unwrap()
}

fn rules() -> Rules {
    Rules { members: MEMBERS, unmatched: Unmatched::Unknown, null_as_unmatched: false, window: 2 << 20 }
}

/// What an amender made of a body.
#[derive(Debug, PartialEq)]
struct Made {
    output: Vec<u8>,
    counts: [u64; 4],
    fault: Option<Fault>,
}

/// Feeds the chunks; writes what is settled after each where `streams`, else only at the end, and nothing
/// of a body with a fault.
fn make(chunks: &[&[u8]], rules: Rules, streams: bool) -> Made {
    let names = names();
    let (mut amender, mut unsent) = (Amender::new(rules), Unsent::default());
    let (mut output, mut counts) = (Vec::new(), Counts::default());
    let mut settle = |amender: &mut Amender, unsent: &mut Unsent, output: &mut Vec<u8>| {
        amender.settle(&names, |edit| counts.add(edit.tally));
        while let Some(piece) = unsent.next(amender, &names) {
            assert!(!piece.is_empty());
            output.extend_from_slice(&piece);
        }
    };
    for chunk in chunks {
        unsent.push(Bytes::copy_from_slice(chunk));
        amender.feed(chunk, &names);
        if streams {
            settle(&mut amender, &mut unsent, &mut output);
            assert!(amender.fault().is_some() || unsent.len() <= rules.window);
        }
    }
    amender.finish();
    let fault = amender.fault();
    if fault.is_some() && !streams {
        amender.abandon();
    }
    settle(&mut amender, &mut unsent, &mut output);
    assert_eq!(unsent.len(), 0);
    Made { output, counts: [counts.named, counts.unmatched, counts.null, counts.left], fault }
}

/// Cuts a body at these places, and at none twice.
fn cut<'a>(body: &'a [u8], places: &[usize]) -> Vec<&'a [u8]> {
    let mut places: Vec<_> = places.iter().map(|place| place % (body.len() + 1)).collect();
    places.extend([0, body.len()]);
    places.sort_unstable();
    places.windows(2).map(|w| &body[w[0]..w[1]]).collect()
}

fn single_bytes(body: &[u8]) -> Vec<&[u8]> {
    body.chunks(1).collect()
}

// === The table ===

#[test]
fn every_case_however_it_is_cut() {
    for case in CASES {
        let body = case.input.as_bytes();
        let mut cuts = vec![vec![body], single_bytes(body)];
        cuts.extend((0..=body.len()).map(|at| cut(body, &[at])));
        for chunks in cuts {
            let made = make(&chunks, rules(), false);
            let shown = String::from_utf8_lossy(&made.output);
            assert_eq!(shown, case.output, "{}: {chunks:?}", case.name);
            if made.fault.is_none() {
                assert_eq!(made.counts, case.counts, "{}: {chunks:?}", case.name);
                assert_eq!(make(&chunks, rules(), true), made, "{}, streamed", case.name);
            }
        }
    }
}

#[test]
fn the_oracle_agrees_with_the_table() {
    for case in CASES {
        let (output, counts) = naive::amend(case.input.as_bytes(), naive::Rules::default());
        assert_eq!(String::from_utf8_lossy(&output), case.output, "{}", case.name);
        assert_eq!(counts, case.counts, "{}", case.name);
    }
}

#[test]
fn the_settings_of_the_three_states() {
    let body = br#"[{"api_key_id":"key_1"},{"api_key_id":"key_x"},{"api_key_id":null}]"#;
    let with = |unmatched, null_as_unmatched| {
        let made = make(&[body], Rules { unmatched, null_as_unmatched, ..rules() }, false);
        assert_eq!(made.counts, [1, 1, 1, 0]);
        String::from_utf8(made.output).unwrap()
    };
    let expect = |unmatched: &str, null: &str| {
        format!(
            r#"[{{"api_key_id":"key_1","api_key_name":"x"}},{{"api_key_id":"key_x"{unmatched}}},{{"api_key_id":null{null}}}]"#
        )
    };
    let (unknown, null) = (r#","api_key_name":"unknown""#, r#","api_key_name":null"#);
    assert_eq!(with(Unmatched::Unknown, false), expect(unknown, null));
    assert_eq!(with(Unmatched::Unknown, true), expect(unknown, unknown));
    assert_eq!(with(Unmatched::Null, false), expect(null, null));
    assert_eq!(with(Unmatched::Null, true), expect(null, null));
    assert_eq!(with(Unmatched::Omit, false), expect("", null));
    assert_eq!(with(Unmatched::Omit, true), expect("", ""));
}

#[test]
fn other_members_than_the_keys() {
    let rules = Rules { members: Members::new("user_id", "user_name"), ..rules() };
    let made = make(&[br#"{"user_id":"key_1","api_key_id":"key_1"}"#], rules, false);
    assert_eq!(made.output, br#"{"user_id":"key_1","user_name":"x","api_key_id":"key_1"}"#);
}

// === Bounds ===

#[test]
fn nesting_is_capped() {
    let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
    assert_eq!(make(&[&nested(MAX_DEPTH)], rules(), true).fault, None);
    let deeper = nested(MAX_DEPTH + 1);
    for chunks in [vec![&deeper[..]], single_bytes(&deeper)] {
        let made = make(&chunks, rules(), true);
        assert_eq!(made.fault, Some(Fault::TooDeep { offset: MAX_DEPTH as u64 }));
        assert_eq!(made.output, deeper);
    }
}

#[test]
fn an_object_undecided_for_longer_than_the_window_is_left() {
    let at = br#"{"api_key_id":"key_1""#.len();
    for (padding, named) in [(50, true), (51, true), (52, false), (1000, false)] {
        // The object closes `padding + 49` bytes after its id: 100 at 51.
        let inner = r#"{"api_key_id":"key_1"}"#;
        let body = format!(r#"{{"api_key_id":"key_1","pad":[{inner},"{}"]}}"#, "x".repeat(padding));
        let window = (at + 49 + 51 - at) as u64;
        assert_eq!(body.len() - at, padding + 35);
        let rules = Rules { window: window - 14, ..rules() };
        let expected = if named { [2, 0, 0, 0] } else { [1, 0, 0, 1] };
        for chunks in [vec![body.as_bytes()], single_bytes(body.as_bytes()), cut(body.as_bytes(), &[40])] {
            let made = make(&chunks, rules, true);
            assert_eq!(made.counts, expected, "{padding}");
            let oracle = naive::Rules { window: window as usize - 14, ..Default::default() };
            assert_eq!(made.output, naive::amend(body.as_bytes(), oracle).0);
        }
    }
}

#[test]
fn an_object_that_never_closes_does_not_hold_the_rest() {
    // One outer object with an id, around more rows than the window holds.
    let row = r#"{"api_key_id":"key_1","n":12345678901234567890}"#;
    let body = format!(r#"{{"api_key_id":"key_1","rows":[{}]}}"#, vec![row; 500].join(","));
    let rules = Rules { window: 1000, ..rules() };
    let made = make(&cut(body.as_bytes(), &[7, 99, 4000]), rules, true);
    assert_eq!(made.counts, [500, 0, 0, 1]);
    assert_eq!(made, make(&single_bytes(body.as_bytes()), rules, true));
}

#[test]
fn white_space_is_repeated_to_a_bound() {
    for (gap, repeated) in [(256, true), (257, false)] {
        let gap = " ".repeat(gap);
        let body = format!("{{\"api_key_id\"{gap}: \"key_1\"}}");
        let lead = if repeated { format!(",\"api_key_name\"{gap}: ") } else { ",\"api_key_name\":".into() };
        let expected = format!("{{\"api_key_id\"{gap}: \"key_1\"{lead}\"x\"}}");
        for chunks in [vec![body.as_bytes()], single_bytes(body.as_bytes())] {
            assert_eq!(String::from_utf8(make(&chunks, rules(), true).output).unwrap(), expected);
        }
    }
}

#[test]
fn ever_new_white_space_costs_no_more() {
    let rows: Vec<_> = (0..200).map(|n| format!("{{\"api_key_id\":{}\"key_1\"}}", " ".repeat(n))).collect();
    let body = format!("[{}]", rows.join(","));
    let made = String::from_utf8(make(&[body.as_bytes()], rules(), true).output).unwrap();
    let spaced = made.split("\"api_key_name\":").skip(1).filter(|rest| rest.starts_with(' ')).count();
    assert_eq!((made.matches("\"api_key_name\":").count(), spaced), (200, 62));
}

#[test]
fn an_id_is_looked_up_to_its_longest_escaped_form() {
    let long: String = "k".repeat(KeyNames::MAX_ID);
    let names = KeyNames::new([(long.as_str(), "long")]).unwrap();
    let escaped: String = long.bytes().map(|b| format!("\\u{b:04x}")).collect();
    for (id, named) in [(long.clone(), 1), (escaped.clone(), 1), (escaped + "k", 0), (long + "k", 0)] {
        let body = format!("{{\"api_key_id\":\"{id}\"}}");
        for chunks in [vec![body.as_bytes()], single_bytes(body.as_bytes())] {
            let mut amender = Amender::new(rules());
            chunks.iter().for_each(|chunk| amender.feed(chunk, &names));
            let mut counts = Counts::default();
            amender.settle(&names, |edit| counts.add(edit.tally));
            assert_eq!((counts.named, counts.unmatched), (named, 1 - named));
        }
    }
}

#[test]
fn unmatched_ids_are_told_once_with_their_place() {
    let body = br#"{"data":[{"results":[{"api_key_id":"key_x"},{"api_key_id":"key_1"},{"api_key_id":"key_y"},{"api_key_id":"key_x"}]},{"odd name":{"api_key_id":"key_\u007a"}}]}"#;
    let mut amender = Amender::new(rules());
    amender.feed(body, &names());
    let told = amender.take_unmatched();
    let (offsets, ids): (Vec<_>, Vec<_>) = told.iter().map(|(at, id)| (*at, &**id)).unzip();
    assert_eq!(ids, ["key_x", "key_y", "key_z"]);
    assert!(body[..offsets[0] as usize].ends_with(b"\"key_x\""));
    let expected = ["$.data[0].results[0]", "$.data[0].results[2]", "$.data[1][?]"];
    assert_eq!(place::paths(std::iter::once(&body[..]), &offsets), expected);
    assert_eq!(place::paths(body.chunks(3), &offsets), expected);
    assert!(amender.take_unmatched().is_empty());
}

#[test]
fn unmatched_ids_are_bounded() {
    let body: String =
        (0..1000).map(|n| format!("{{\"api_key_id\":\"x{n}\"}}")).collect::<Vec<_>>().join(",");
    let mut amender = Amender::new(rules());
    amender.feed(format!("[{body}]").as_bytes(), &names());
    assert_eq!(amender.take_unmatched().len(), super::amend::MAX_UNMATCHED);
}

#[test]
fn ids_too_long_for_any_map_are_not_kept() {
    let row = |n: usize, len: usize| format!("{{\"api_key_id\":\"{n:0len$}\"}}");
    let rows: Vec<_> =
        (0..300).map(|n| row(n, KeyNames::MAX_ID + 1)).chain([row(0, KeyNames::MAX_ID)]).collect();
    let mut amender = Amender::new(rules());
    amender.feed(format!("[{}]", rows.join(",")).as_bytes(), &names());
    let told: Vec<_> = amender.take_unmatched().iter().map(|(_, id)| id.len()).collect();
    assert_eq!(told, [KeyNames::MAX_ID]);
}

#[test]
fn a_place_is_told_in_a_bounded_line() {
    let name = "n".repeat(64);
    let body =
        format!("{}{{\"api_key_id\":\"x\"}}{}", format!("{{\"{name}\":").repeat(1000), "}".repeat(1000));
    let at = body.find("\"x\"").unwrap() as u64 + 3;
    let paths = place::paths(std::iter::once(body.as_bytes()), &[at]);
    assert_eq!(paths, [format!("${}…", format!(".{name}").repeat(16))]);
}

#[test]
fn the_edits_of_a_held_body_weigh_what_they_may() {
    use super::edit::{Edit, Edits, Lead, Tally, Text};
    for window in [0, 64 << 10, 2 << 20, 2 << 20 | 4321] {
        let mut edits = Edits::new("api_key_name");
        for at in 0..=super::amend::edits_allowed(window) {
            edits.push(Edit { at, cut: 0, lead: Lead::NONE, text: Text::Nothing, tally: Tally::Null });
        }
        let weight = edits.weight() as u64;
        assert!(weight <= (window / 2 + 4096) * 5 / 4 + 1024, "{window}: {weight}");
    }
}

#[test]
fn pieces_are_bounded_and_frames_without_edits_are_not_copied() {
    let names = names();
    let row = r#"{"api_key_id":"key_b","n":1},"#;
    let body = Bytes::from(format!("[{}1]", row.repeat(20_000)));
    let plain = Bytes::from(format!(" {}", " ".repeat(100_000)));
    let (mut amender, mut unsent) = (Amender::new(rules()), Unsent::default());
    for frame in [&body, &plain] {
        amender.feed(frame, &names);
        unsent.push(frame.clone());
    }
    amender.settle(&names, |_| ());
    let mut last = Bytes::new();
    while let Some(piece) = unsent.next(&mut amender, &names) {
        assert!(piece.len() <= super::splice::MAX_PIECE || piece.as_ptr() == plain.as_ptr());
        last = piece;
    }
    assert_eq!((last.as_ptr(), last.len()), (plain.as_ptr(), plain.len()));
}

#[test]
fn a_lookout_sees_across_seams() {
    for body in [&b"{\"api_key_id\":1}"[..], b"{\"\\u0061\":1}"] {
        for chunk in 1..body.len() {
            let (lookout, mut seam) = (Lookout::new(MEMBERS), Seam::default());
            assert!(body.chunks(chunk).any(|chunk| lookout.spots(chunk, &mut seam)), "{chunk}");
        }
    }
    let (lookout, mut seam) = (Lookout::new(MEMBERS), Seam::default());
    let body = b"{\"api_key_name\":1,\"\\u1234\":\"api_key_\", \"id\":2}";
    assert!(!body.chunks(3).any(|chunk| lookout.spots(chunk, &mut seam)));
}

/// Rows teach the scanner what stands between values. The same bytes elsewhere, or others of the same length
/// and end, may mean something else.
#[test]
fn what_was_learnt_is_believed_of_the_same_bytes_only() {
    let alike = r#"{"a":1,"xpi_key_id":"key_1"},{"a":1,"api_key_id":"key_1"}"#;
    let bodies = [
        format!("[{alike},{alike},{alike}]"),
        // A comma after an object: a name follows in an object, an object in an array.
        r#"{"r":{"a":1},"api_key_id":"key_1","s":[{"a":1},"api_key_id":"key_1"]}"#.into(),
        r#"[{"a":1},{"api_key_id":"key_1"},{"r":{"a":1},{"api_key_id":"key_1"}}]"#.into(),
        r#"[{"a":1},{"api_key_id":"key_1","r":{"a":1},"api_key_id":2},{"api_key_id":"key_1"}]"#.into(),
        r#"{"a":1,"b":{"a":2}},"b":{"a":3}}"#.into(),
    ];
    for body in bodies {
        let whole = make(&[body.as_bytes()], rules(), true);
        assert_eq!(make(&single_bytes(body.as_bytes()), rules(), true), whole, "{body}");
        assert_eq!(whole.fault.is_none(), naive::is_json(body.as_bytes()), "{body}");
        if whole.fault.is_none() {
            let (output, counts) = naive::amend(body.as_bytes(), naive::Rules::default());
            assert_eq!((&whole.output, whole.counts), (&output, counts), "{body}");
        }
    }
}

// === The laws ===

fn settings() -> impl Strategy<Value = (Rules, naive::Rules)> {
    let unmatched = prop::sample::select(vec![
        (Unmatched::Unknown, Some("\"unknown\"")),
        (Unmatched::Null, Some("null")),
        (Unmatched::Omit, None),
    ]);
    (unmatched, any::<bool>(), prop_oneof![Just(1_usize << 20), 0..200_usize]).prop_map(
        |((unmatched, text), null_as_unmatched, window)| {
            let null = if null_as_unmatched { text } else { Some("null") };
            (
                Rules { unmatched, null_as_unmatched, window: window as u64, ..rules() },
                naive::Rules { unmatched: text, null, window, ..naive::Rules::default() },
            )
        },
    )
}

fn places() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(any::<usize>(), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Laws 1 and 2: the engine answers what the oracle does, byte for byte.
    #[test]
    fn the_engine_is_the_oracle(body in bytes(), (rules, naive_rules) in settings(), places in places()) {
        let made = make(&cut(&body, &places), rules, false);
        let (output, counts) = naive::amend(&body, naive_rules);
        prop_assert_eq!(String::from_utf8_lossy(&made.output), String::from_utf8_lossy(&output));
        prop_assert_eq!(made.fault.is_none(), naive::is_json(&body));
        if made.fault.is_none() {
            prop_assert_eq!(made.counts, counts);
        }
    }

    /// Law 2: the output is JSON exactly if the input was, streamed as well.
    #[test]
    fn valid_exactly_if_it_was(body in bytes(), (rules, _) in settings()) {
        let made = make(&single_bytes(&body), rules, true);
        prop_assert_eq!(naive::is_json(&made.output), naive::is_json(&body));
    }

    /// Law 3: twice is once, where no object was left for its size.
    #[test]
    fn twice_is_once(body in bytes(), (rules, _) in settings()) {
        let rules = Rules { window: 1 << 20, ..rules };
        for streams in [false, true] {
            let once = make(&[&body], rules, streams);
            let twice = make(&[&once.output], rules, streams);
            prop_assert_eq!(String::from_utf8_lossy(&twice.output), String::from_utf8_lossy(&once.output));
        }
    }

    /// Law 4: the chunking of the input never changes the output, nor the counts, nor the fault.
    #[test]
    fn chunks_change_nothing(body in bytes(), (rules, _) in settings(), places in places()) {
        for streams in [false, true] {
            let whole = make(&[&body], rules, streams);
            prop_assert_eq!(&make(&cut(&body, &places), rules, streams), &whole);
            prop_assert_eq!(&make(&single_bytes(&body), rules, streams), &whole);
        }
    }

    /// A fault is told at the first byte that no JSON can have there, or at the end.
    #[test]
    fn faults_are_where_they_are(body in bytes()) {
        struct Deaf;
        impl super::scan::Sink for Deaf {
            fn wants(&mut self, _: &[u8], _: bool) -> Option<Member> { None }
            fn found(&mut self, _: Member, _: usize) {}
            fn begin(&mut self, _: u64, _: super::scan::Gaps<'_>) {}
            fn awaits(&self, _: usize) -> bool { false }
            fn end(&mut self, _: u64, _: super::scan::Value<'_>) {}
            fn close(&mut self, _: u64, _: usize) {}
        }
        let mut scanner = Scanner::new();
        let fed = scanner.feed(&body, &mut Deaf);
        let fault = fed.and_then(|()| scanner.finish()).err();
        prop_assert_eq!(fault.is_none(), naive::is_json(&body));
        if let Some(Fault::NotJson { offset }) = fault && (offset as usize) < body.len() {
            // A prefix of some JSON text: all of it is missing its end, or, where a character is missing
            // its end, it would be with another character in its place.
            // serde_json calls a sign at the end an invalid number: with a digit it is not.
            let at_end = |text: &[u8]| {
                serde_json::from_slice::<serde::de::IgnoredAny>(text).map_or_else(|e| e.is_eof(), |_| true)
            };
            let at_eof = |text: &[u8]| at_end(text) || at_end(&[text, b"0"].concat());
            let eof = |n: usize| match std::str::from_utf8(&body[..n]) {
                Ok(_) => at_eof(&body[..n]),
                Err(e) => e.error_len().is_none() && at_eof(&[&body[..e.valid_up_to()], "\u{80}".as_bytes()].concat()),
            };
            let offset = offset as usize;
            prop_assert!(eof(offset), "{offset}: {:?}", String::from_utf8_lossy(&body));
            // serde_json reads the four digits of an escape before it judges one, and takes NUL for the end.
            if body[offset] != 0 && body.len() >= offset + 4 {
                prop_assert!(!eof(offset + 4), "{offset}: {:?}", String::from_utf8_lossy(&body));
            }
        }
    }
}
