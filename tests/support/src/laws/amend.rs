//! The amender, and the bytes it is to leave alone: laws 1 to 4.

use bytes::Bytes;

use crate::cases::{NAMES, naive};
use crate::choices::{Choices, crumbs, cut};
use crate::{RULES, amend_by, documents};
use tower_api_key_name::_internal::rules::{Rules, Unmatched};
use tower_api_key_name::_internal::scan::{Fault, Learnt, MAX_DEPTH};
use tower_api_key_name::KeyNames;
use tower_api_key_name::outcome::Counts;

/// The engine answers what the oracle does, held and streamed, however the body is cut; the output is JSON exactly if
/// the input was; what earlier bodies taught changes nothing; twice is once.
pub fn hold(input: &[u8]) {
    let mut choices = Choices::new(input);
    let (rules, naive_rules) = rules(&mut choices);
    let cuts = choices.cuts(6);
    let body = documents::body(&mut choices);

    let names = names();
    let amended = |chunks: &[&[u8]], streams| Amended::of(chunks, &names, rules, streams);
    let held = amended(&cut(&body, &cuts), false);
    let streamed = amended(&cut(&body, &cuts), true);
    assert_eq!(held.fault, streamed.fault);
    is_judged_right(&body, held.fault);

    let (output, counts) = match held.fault {
        Some(_) => (body.clone(), [0; 4]),
        None => naive::amend_until(&body, body.len(), naive_rules),
    };
    held.is(&output, counts);
    let end = held.fault.map_or(body.len(), |fault| fault.offset() as usize);
    let (output, counts) = naive::amend_until(&body, end, naive_rules);
    streamed.is(&output, counts);
    assert_eq!(naive::is_json(&output), naive::is_json(&body), "{}", String::from_utf8_lossy(&output));

    let crumbs = crumbs(&body);
    assert_eq!(amended(&crumbs, false), held, "in crumbs");
    assert_eq!(amended(&crumbs, true), streamed, "in crumbs, streamed");

    let learnt = Learnt::default();
    for earlier in [&output, &body] {
        Amended::after(&learnt, &[earlier], &names, rules, false);
    }
    assert_eq!(Amended::after(&learnt, &cut(&body, &cuts), &names, rules, false), held, "after others");
    assert_eq!(Amended::after(&learnt, &crumbs, &names, rules, true), streamed, "after others, streamed");
    let cuts = cut(&body, &cuts);
    assert_eq!(Amended::after(&Learnt::disorder(), &cuts, &names, rules, false), held, "in no order");
    assert_eq!(
        Amended::after(&Learnt::disorder(), &cuts, &names, rules, true),
        streamed,
        "in no order, streamed"
    );
    twice_is_once(&body, &names, rules);
}

/// Where no object is left for its size.
fn twice_is_once(body: &[u8], names: &KeyNames, rules: Rules) {
    let rules = Rules { window: 1 << 20, ..rules };
    for streams in [false, true] {
        let once = Amended::of(&[body], names, rules, streams);
        let twice = Amended::of(&[&once.output], names, rules, streams);
        assert_eq!(String::from_utf8_lossy(&twice.output), String::from_utf8_lossy(&once.output), "twice");
    }
}

/// Law 2: a fault is found in what is no JSON, or nests too deep, and in nothing else.
pub(super) fn is_judged_right(body: &[u8], fault: Option<Fault>) {
    let right = match fault {
        None => naive::is_json(body) && depth(body) <= MAX_DEPTH,
        Some(Fault::NotJson { .. }) => !naive::is_json(body),
        Some(Fault::TooDeep { offset }) => {
            let (before, with) = (&body[..offset as usize], &body[..=offset as usize]);
            depth(before) == MAX_DEPTH && depth(with) == MAX_DEPTH + 1
        }
    };
    assert!(right, "{fault:?}: {}", String::from_utf8_lossy(body));
}

/// How deep the beginning of a document nests.
fn depth(text: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0, 0, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => depth += 1,
            b']' | b'}' if !in_text => depth -= 1,
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// Rules, and the same for the oracle.
pub(super) fn rules(choices: &mut Choices<'_>) -> (Rules, naive::Rules) {
    let (unmatched, text) = choices.of(&[
        (Unmatched::Unknown, Some("\"unknown\"")),
        (Unmatched::Null, Some("null")),
        (Unmatched::Omit, None),
    ]);
    let null_as_unmatched = choices.yes();
    let window = match choices.byte() {
        window @ 0..=199 => window.into(),
        // Some rows fit in, others do not.
        200..=219 => 8 << 10,
        _ => 1 << 20,
    };
    let null = if null_as_unmatched { text } else { Some("null") };
    let rules = Rules { unmatched, null_as_unmatched, window: window as u64, ..RULES };
    (rules, naive::Rules { unmatched: text, null, window, ..Default::default() })
}

/// The map that the oracle names with.
pub(super) fn names() -> KeyNames {
    KeyNames::new(NAMES.iter().copied()).unwrap_or_default()
}

/// What the engine made of a body.
#[derive(Debug, PartialEq)]
pub struct Amended {
    pub output: Vec<u8>,
    pub counts: [u64; 4],
    pub fault: Option<Fault>,
}

impl Amended {
    /// Of these chunks: writes what is settled after each where `streams`, else only at the end, and then nothing of
    /// a body with a fault.
    pub fn of(chunks: &[&[u8]], names: &KeyNames, rules: Rules, streams: bool) -> Self {
        Self::after(&Learnt::default(), chunks, names, rules, streams)
    }

    /// The same, after the bodies that taught this.
    pub fn after(learnt: &Learnt, chunks: &[&[u8]], names: &KeyNames, rules: Rules, streams: bool) -> Self {
        let mut output = Vec::new();
        let chunks = chunks.iter().map(|chunk| Bytes::copy_from_slice(chunk));
        let (counts, fault) = amend_by(rules, learnt, chunks, names, streams, |piece| {
            assert!(!piece.is_empty());
            output.extend_from_slice(&piece);
        });
        Self { output, counts: four(counts), fault }
    }

    fn is(&self, output: &[u8], counts: naive::Counts) {
        assert_eq!(String::from_utf8_lossy(&self.output), String::from_utf8_lossy(output));
        assert_eq!((&*self.output, self.counts), (output, counts));
    }
}

fn four(counts: Counts) -> naive::Counts {
    [counts.named, counts.unmatched, counts.not_a_string, counts.skipped]
}
