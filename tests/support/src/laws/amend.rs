//! Laws 1 to 4, for the amender.

use std::sync::Arc;

use bytes::Bytes;

use crate::cases::{NAMES, PROJECTS, USERS, naive};
use crate::documents;
use crate::unstructured::{Unstructured, smallest_chunks, split_at_offsets};
use tower_api_key_name::_internal;
use tower_api_key_name::_internal::LabelTemplates;
use tower_api_key_name::_internal::rules::{NamePosition, Prefer, Rules, Unmatched};
use tower_api_key_name::_internal::scan::{MAX_DEPTH, ScanError};
use tower_api_key_name::names::Labels;
use tower_api_key_name::outcome::Counts;
use tower_api_key_name::{KeyNames, SharedKeyNames, Snapshot};

/// Checks that the amender and the naive oracle have the same output, buffered and streamed, in any chunks.
///
/// The output is JSON exactly if the input is. Templates of earlier bodies change nothing. Amending the output again
/// changes nothing.
pub fn check(input: &[u8]) {
    let mut source = Unstructured::new(input);
    let (rules, naive_rules) = label_rules(&mut source);
    let offsets = source.offsets(6);
    let body = documents::body(&mut source);

    let snapshot = snapshot();
    let amended = |chunks: &[&[u8]], streams| Amended::of(chunks, &snapshot, &rules, streams);
    let chunks = split_at_offsets(&body, &offsets);
    let buffered = amended(&chunks, false);
    let streamed = amended(&chunks, true);
    assert_eq!(buffered.error, streamed.error);
    check_error(&body, buffered.error);

    match buffered.error {
        Some(_) => buffered.assert_is(&body, [0; 4]),
        None => {
            let (output, counts) = naive::amend_until(&body, body.len(), naive_rules);
            buffered.assert_is(&output, counts);
        }
    }
    let end = buffered.error.map_or(body.len(), |error| error.offset() as usize);
    let (output, counts) = naive::amend_until(&body, end, naive_rules);
    streamed.assert_is(&output, counts);
    assert_eq!(naive::is_json(&output), naive::is_json(&body), "{}", String::from_utf8_lossy(&output));

    let smallest = smallest_chunks(&body);
    assert_eq!(amended(&smallest, false), buffered, "in the smallest chunks");
    assert_eq!(amended(&smallest, true), streamed, "in the smallest chunks, streamed");

    let templates = Arc::default();
    // The bodies of one layer share the templates, even if other labels are active.
    let other_rules = rules.clone().with_labels(rules.labels.clone(), [0, 2]);
    for (earlier, rules) in [(&output, &rules), (&body, &other_rules), (&body, &rules)] {
        Amended::with(&templates, &[earlier], &snapshot, rules, false);
    }
    for (templates, name) in
        [(templates, "after other bodies"), (LabelTemplates::disabled().into(), "without templates")]
    {
        let with_templates = |chunks, streams| Amended::with(&templates, chunks, &snapshot, &rules, streams);
        assert_eq!(with_templates(&chunks, false), buffered, "{name}");
        assert_eq!(with_templates(&smallest, true), streamed, "{name}, streamed");
    }
    check_twice_is_once(&body, &snapshot, &rules);
}

/// Checks law 3 with a window that no object exceeds: the inserted names can push an object over a smaller one.
fn check_twice_is_once(body: &[u8], snapshot: &Snapshot, rules: &Rules) {
    let rules = &Rules { window: 1 << 20, ..rules.clone() };
    for streams in [false, true] {
        let once = Amended::of(&[body], snapshot, rules, streams);
        let twice = Amended::of(&[&once.output], snapshot, rules, streams);
        assert_eq!(String::from_utf8_lossy(&twice.output), String::from_utf8_lossy(&once.output), "twice");
    }
}

/// Checks law 2: there is an error exactly if the body is not JSON or is nested too deep.
pub(super) fn check_error(body: &[u8], error: Option<ScanError>) {
    let is_right = match error {
        None => naive::is_json(body) && depth(body) <= MAX_DEPTH,
        Some(ScanError::NotJson { .. }) => !naive::is_json(body),
        Some(ScanError::TooDeep { offset }) => {
            let (before, with) = (&body[..offset as usize], &body[..=offset as usize]);
            depth(before) == MAX_DEPTH && depth(with) == MAX_DEPTH + 1
        }
    };
    assert!(is_right, "{error:?}: {}", String::from_utf8_lossy(body));
}

/// The deepest nesting in the beginning of a document.
pub(super) fn depth(text: &[u8]) -> usize {
    let mut depth = 0;
    let mut deepest = 0;
    let mut in_string = false;
    let mut is_escaped = false;
    for byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = in_string,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth -= 1,
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// Draws rules, in the form of the amender and in that of the oracle.
pub(super) fn rules(source: &mut Unstructured<'_>) -> (Rules, naive::Rules) {
    let (unmatched, text) = source.choose(&[
        (Unmatched::Unknown, Some("\"unknown\"")),
        (Unmatched::Null, Some("null")),
        (Unmatched::Omit, None),
    ]);
    let null_as_unmatched = source.boolean();
    let window = match source.byte() {
        window @ 0..=199 => window.into(),
        // Larger than some rows and smaller than others.
        200..=219 => 8 << 10,
        _ => 1 << 20,
    };
    let null = if null_as_unmatched { text } else { Some("null") };
    let rules = Rules { unmatched, null_as_unmatched, ..Rules::new(window as u64) };
    (rules, naive::Rules { unmatched: text, null, window, ..Default::default() })
}

/// Draws rules with several labels, of which any can be active, and with any position and preference. Half of them are
/// those of a layer with the label for keys only.
pub(super) fn label_rules(source: &mut Unstructured<'_>) -> (Rules, naive::Rules) {
    let (rules, naive_rules) = rules(source);
    let choices = source.number();
    let is_set = |bit: u32| choices >> bit & 1 == 1;
    if !is_set(0) {
        return (rules, naive_rules);
    }
    let insert_null = is_set(1);
    let (position, replaces_ids) = match choices >> 2 & 3 {
        0 => (NamePosition::Replace, true),
        _ => (NamePosition::Beside, false),
    };
    let prefer = if is_set(4) { Prefer::Upstream } else { Prefer::Map };
    // All labels in half of the cases.
    let active = [8, 9, 10, 11].map(|bit| is_set(5) || is_set(bit));
    let indexes = (0..4).filter(|index| active[usize::from(*index)]);
    let rules = Rules { insert_null, position, prefer, ..rules }.with_labels(labels(), indexes);
    let other_null = if insert_null { naive_rules.null } else { None };
    let prefers_upstream = is_set(4);
    (rules, naive::Rules { other_null, active, replaces_ids, prefers_upstream, ..naive_rules })
}

/// The labels of the oracle.
pub fn labels() -> Labels {
    let mut labels = Labels::default();
    for label in &naive::LABELS[1..] {
        labels = labels.with(label.id, label.name).unwrap();
    }
    labels
}

/// The oracle's map, with a section for each label but the last.
pub fn names() -> KeyNames {
    let keys = KeyNames::new(NAMES.iter().copied()).unwrap_or_default();
    let projects = keys.with_section("project_id", PROJECTS.iter().copied()).unwrap_or_default();
    projects.with_section("user_id", USERS.iter().copied()).unwrap_or_default()
}

/// A snapshot of the oracle's map.
pub fn snapshot() -> Snapshot {
    SharedKeyNames::new(names()).snapshot()
}

/// The output of the amender for one body.
#[derive(Debug, PartialEq)]
pub struct Amended {
    pub output: Vec<u8>,
    /// Named, unmatched, not a string, skipped.
    pub counts: [u64; 4],
    pub error: Option<ScanError>,
}

impl Amended {
    /// Amends a body in these chunks. If `streams`, the output is taken after each chunk, and otherwise at the end.
    pub fn of(chunks: &[&[u8]], snapshot: &Snapshot, rules: &Rules, streams: bool) -> Self {
        Self::with(&Arc::default(), chunks, snapshot, rules, streams)
    }

    /// Amends a body with the templates of earlier bodies, and adds its own to them.
    pub fn with(
        templates: &Arc<LabelTemplates>,
        chunks: &[&[u8]],
        snapshot: &Snapshot,
        rules: &Rules,
        streams: bool,
    ) -> Self {
        let mut output = Vec::new();
        let chunks = chunks.iter().map(|chunk| Bytes::copy_from_slice(chunk));
        let (counts, error) = _internal::amend(rules, snapshot, templates, chunks, streams, |chunk| {
            assert!(!chunk.is_empty());
            output.extend_from_slice(&chunk);
        });
        let Counts { named, unmatched, not_a_string, skipped, .. } = counts;
        Self { output, counts: [named, unmatched, not_a_string, skipped], error }
    }

    fn assert_is(&self, output: &[u8], counts: naive::Counts) {
        assert_eq!(String::from_utf8_lossy(&self.output), String::from_utf8_lossy(output));
        assert_eq!((&*self.output, self.counts), (output, counts));
    }
}
