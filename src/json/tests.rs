//! The engine alone: the table of cases, and its bounds. The laws that hold for any bytes stand in `internal::laws`.

use std::ops::ControlFlow;

use bytes::Bytes;

use super::amend::Amender;
use super::lookout::{self, Lookout};
use super::place;
use super::rules::{Members, Rules, Unmatched};
use super::scan::{ScanError, MAX_DEPTH};
use super::splice::Unsent;
use crate::internal::cases::{CASES, NAMES, naive};
use crate::internal::choices::cut;
use crate::internal::laws::amend::Amended;
use crate::naming::settings::MEMBERS;
use crate::{Counts, KeyNames};

fn names() -> KeyNames {
    KeyNames::new(NAMES.iter().copied()).unwrap()
}

fn rules() -> Rules {
    Rules { members: MEMBERS, unmatched: Unmatched::Unknown, null_as_unmatched: false, window: 2 << 20 }
}

fn make(chunks: &[&[u8]], rules: Rules, streams: bool) -> Amended {
    Amended::of(chunks, &names(), rules, streams)
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
        assert_eq!(made.fault, Some(ScanError::TooDeep { offset: MAX_DEPTH as u64 }));
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

/// What is remembered of an object that was left says nothing of the one that stands in its place.
#[test]
fn an_object_that_was_left_is_forgotten_at_its_end() {
    let row = r#"{"api_key_id":"key_1","api_key_name":"old"}"#;
    let body = format!(r#"[{{"api_key_id":"key_1","pad":"{}"}},{row},{row}]"#, "x".repeat(40));
    let body = body.as_bytes();
    let (expected, counts) = naive::amend(body, naive::Rules { window: 25, ..Default::default() });
    assert_eq!(counts, [2, 0, 0, 1]);
    for first in 0..body.len() {
        for second in first..body.len() {
            let made = make(&cut(body, &[first, second]), Rules { window: 25, ..rules() }, true);
            assert_eq!(String::from_utf8_lossy(&made.output), String::from_utf8_lossy(&expected));
            assert_eq!(made.counts, counts);
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
            amender.settle(|edit| counts.add(edit.tally));
            assert_eq!((counts.named, counts.unmatched), (named, 1 - named));
        }
    }
}

#[test]
fn unmatched_ids_are_told_once_with_their_place() {
    let body = br#"{"data":[{"results":[{"api_key_id":"key_x"},{"api_key_id":"key_1"},{"api_key_id":"key_y"},{"api_key_id":"key_x"}]},{"odd name":{"api_key_id":"key_\u007a"}}]}"#;
    let mut amender = Amender::new(rules());
    amender.feed(body, &names());
    let (offsets, ids): (Vec<_>, Vec<_>) = amender.take_unmatched().unzip();
    assert_eq!(ids, ["key_x", "key_y", "key_z"]);
    assert!(body[..offsets[0] as usize].ends_with(b"\"key_x\""));
    let expected = ["$.data[0].results[0]", "$.data[0].results[2]", "$.data[1][?]"];
    assert_eq!(place::paths(std::iter::once(&body[..]), &offsets), expected);
    assert_eq!(place::paths(body.chunks(3), &offsets), expected);
    assert_eq!(amender.take_unmatched().len(), 0);
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
    let told: Vec<_> = amender.take_unmatched().map(|(_, id)| id.len()).collect();
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
fn edits_weigh_what_they_count_as() {
    use super::edit::{Edit, Edits, Lead, Tally, Text, WEIGHT};
    let mut edits = Edits::new("api_key_name");
    for at in 1..=100_000 {
        edits.push(Edit { at, cut: 0, lead: Lead::NONE, text: Text::Nothing, tally: Tally::Null });
        // But for the room that there is from the first.
        assert!(edits.weight() as u64 <= at * WEIGHT + 64 * WEIGHT, "{at}: {}", edits.weight());
    }
}

/// All that is held, fed and settled, as it goes out.
fn pieces(frames: &[Bytes], rules: Rules) -> Vec<Bytes> {
    let names = names();
    let (mut amender, mut unsent) = (Amender::new(rules), Unsent::default());
    for frame in frames {
        amender.feed(frame, &names);
        unsent.push(frame.clone());
    }
    amender.finish();
    amender.settle(|_| ());
    let pieces = std::iter::from_fn(|| unsent.next(&mut amender, &names)).collect();
    assert_eq!(amender.grown(0), 0, "all that was put and cut is accounted for");
    pieces
}

#[test]
fn pieces_are_bounded_wherever_the_rows_lie() {
    let row = r#"{"api_key_id":"key_1","n":1},{"api_key_id":"key_1","api_key_name":"other"}"#;
    let rows = vec![row; 900].join(",");
    for pad in 0..120 {
        // The end of the first frame does not fit the piece that its last edit is in.
        let first = format!("[{}{rows}{}", " ".repeat(pad), " ".repeat(70_000));
        let frames = [first.into(), Bytes::from(format!(",{row}]"))];
        let pieces = pieces(&frames, rules());
        assert!(pieces.len() > 2 && pieces.iter().all(|piece| piece.len() <= super::splice::MAX_PIECE));
        let (expected, _) = naive::amend(&frames.concat(), naive::Rules::default());
        assert_eq!(String::from_utf8_lossy(&pieces.concat()), String::from_utf8_lossy(&expected), "{pad}");
    }
}

#[test]
fn frames_in_which_nothing_changes_are_not_copied() {
    let omit = Rules { unmatched: Unmatched::Omit, ..rules() };
    let changed = Bytes::from(format!(r#"[{}{{"api_key_id":"key_1"}},"#, " ".repeat(2_000)));
    let ids = Bytes::from(r#"{"api_key_id":"nobody"},"#.repeat(10_000));
    let plain = Bytes::from(format!("{}1]", " ".repeat(100_000)));
    let out = pieces(&[changed, ids.clone(), plain.clone()], omit);
    assert_eq!(out.len(), 3);
    for (frame, piece) in [ids, plain].iter().zip(&out[1..]) {
        assert_eq!((frame.as_ptr(), frame.len()), (piece.as_ptr(), piece.len()));
    }
}

#[test]
fn short_frames_are_fed_together() {
    let text: Vec<u8> = (0..150_000_u32).map(|at| at as u8).collect();
    let batches = |sizes: &[usize], from: u64| {
        let (mut unsent, mut rest) = (Unsent::default(), &text[..]);
        for size in sizes {
            unsent.push(Bytes::copy_from_slice(rest.split_off(..*size).unwrap()));
        }
        let (mut lengths, mut seen) = (Vec::new(), Vec::new());
        unsent.batches(from, |batch| {
            lengths.push(batch.len());
            seen.extend_from_slice(batch);
            ControlFlow::Continue(())
        });
        let end = sizes.iter().sum();
        assert_eq!(seen, text[from as usize..end], "{sizes:?} from {from}");
        lengths
    };
    assert_eq!(batches(&[], 0), [0; 0]);
    assert_eq!(batches(&[1], 1), [0; 0]);
    assert_eq!(batches(&[1_500; 30], 0), [15_000; 3]);
    assert_eq!(batches(&[1_500; 30], 100), [14_900, 15_000, 15_000]);
    assert_eq!(batches(&[2_047, 2_048, 2_047, 1], 0), [2_047, 2_048, 2_048]);
    // What is too small to be kept as it came, and what is too large to be fed at once.
    assert_eq!(batches(&[1; 40_000], 0), [16_384, 16_384, 7_232]);
    assert_eq!(batches(&[1_500, 100_000, 1_500, 1_500], 0), [1_500, 32_768, 32_768, 32_768, 4_696]);
    assert_eq!(batches(&[100_000, 1_500], 99_000), [2_500]);

    let mut unsent = Unsent::default();
    (0..3).for_each(|_| unsent.push(Bytes::from_static(&[b' '; 5_000])));
    assert_eq!([0, 7_500, 7_501, 15_000].map(|fed| unsent.has_batch(fed)), [true, true, false, false]);
    let mut seen = 0;
    unsent.batches(0, |_| {
        seen += 1;
        ControlFlow::Break(())
    });
    assert_eq!(seen, 1, "no more was wanted");
    (0..20).for_each(|_| unsent.push(Bytes::from_static(&[b' '; 5_000])));
    assert_eq!([98_616, 98_617].map(|fed| unsent.has_batch(fed)), [true, false]);
}

#[test]
fn a_lookout_sees_across_seams() {
    for body in [&b"{\"api_key_id\":1}"[..], b"{\"\\u0061\":1}"] {
        for chunk in 1..body.len() {
            let mut lookout = Lookout::default();
            assert!(body.chunks(chunk).any(|chunk| lookout.spots(chunk, MEMBERS)), "{chunk}");
        }
    }
    let mut lookout = Lookout::default();
    let body = b"{\"api_key_name\":1,\"\\u1234\":\"api_key_\", \"id\":2}";
    assert!(!body.chunks(3).any(|chunk| lookout.spots(chunk, MEMBERS)));
}

/// Wherever in a block a text stands, beside others that begin or end as it does.
#[test]
fn a_lookout_sees_each_place() {
    let spots = |body: &[u8]| {
        let spots = Lookout::default().spots(body, MEMBERS);
        assert_eq!(lookout::is_in_by_memchr(body, b"api_key_id"), spots, "{}", String::from_utf8_lossy(body));
        spots
    };
    for before in 0..150 {
        for behind in [0, 1, 2, 70] {
            let [before, behind] =
                [before, behind].map(|many| "y_i\\u0".repeat(many / 6 + 1)[..many].to_owned());
            for (text, is_there) in [
                ("api_key_id", true),
                ("\\u00", true),
                ("api_key_ie", false),
                ("spi_key_id", false),
                ("\\u01", false),
                ("", false),
            ] {
                assert_eq!(spots(format!("{before} {text} {behind}").as_bytes()), is_there);
                assert_eq!(spots(format!("{before} {text}").as_bytes()), is_there);
            }
        }
    }
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
        r#"{"r":{"x":0,"a":1},"api_key_id":"key_1","s":[{"x":0,"a":1},"api_key_id":"key_1"]}"#.into(),
        r#"[{"x":0,"a":1},{"api_key_id":"key_1","s":{"x":0,"a":1},{"api_key_id":"key_1"}}]"#.into(),
        // Several containers end: another one stands in them, or around them.
        r#"{"r":{"s":[{"x":0,"a":1}]},"api_key_id":"key_1","t":{"s":{"x":0,"a":1}]},"api_key_id":"key_1"}"#.into(),
        r#"{"r":{"s":[{"x":0,"a":1}]},"api_key_id":"key_1","t":[{"s":[{"x":0,"a":1}]},"api_key_id":"key_1"]}"#
            .into(),
        r#"[{"s":[{"x":0,"a":1}]},{"api_key_id":"key_1","t":{"s":[{"x":0,"a":1}]},{"api_key_id":"key_1"}}]"#
            .into(),
        // Several begin.
        r#"{"x":0,"s":[{"a":1}],"r":{"x":0,"s":[{"a":1,"api_key_id":"key_1"}],"api_key_id":"key_1"}}"#.into(),
        r#"[[{"x":0,"s":[{"a":1},{"a":1}]},{"x":0,"s":[{"a":1},{"a":1}}],{"api_key_id":"key_1"}]"#.into(),
    ];
    // So deep that several containers cannot be asked for at once, and less.
    let row =
        r#"{"x":0,"s":[{"a":1,"api_key_id":"key_1"},{"a":1,"api_key_id":"key_1"}],"api_key_id":"key_1"}"#;
    let deep = [(r#"{"a":"#, "}"), (r#"{"x":0,"a":"#, "}"), (r#"{"x":0,"a":[{"y":1,"b":"#, "}]}")];
    let deep = deep.into_iter().flat_map(|(open, close)| {
        (10..90).map(move |depth| format!("{}{row}{}", open.repeat(depth), close.repeat(depth)))
    });
    for body in bodies.into_iter().chain(deep) {
        let whole = make(&[body.as_bytes()], rules(), true);
        assert_eq!(make(&single_bytes(body.as_bytes()), rules(), true), whole, "{body}");
        assert_eq!(whole.fault.is_none(), naive::is_json(body.as_bytes()), "{body}");
        if whole.fault.is_none() {
            let (output, counts) = naive::amend(body.as_bytes(), naive::Rules::default());
            assert_eq!((&whole.output, whole.counts), (&output, counts), "{body}");
        }
    }
}
