//! The oracle: computes the expected output of a complete document with a naive recursive parser.

use std::ops::Range;

use super::{NAMES, PROJECTS, USERS};

/// A label with the section of the map for it.
pub struct Label {
    pub id: &'static str,
    pub name: &'static str,
    pub names: &'static [(&'static str, &'static str)],
}

/// The labels that the oracle knows. The map has no section for the last one.
pub const LABELS: [Label; 4] = [
    Label { id: "api_key_id", name: "api_key_name", names: NAMES },
    Label { id: "project_id", name: "project_name", names: PROJECTS },
    Label { id: "user_id", name: "user_name", names: USERS },
    Label { id: "workspace_id", name: "workspace_name", names: &[] },
];

/// The settings of the layer.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The value beside an unmatched id; `None` for no member.
    pub unmatched: Option<&'static str>,
    /// The value beside a key id that is null or not a string.
    pub null: Option<&'static str>,
    /// The value beside an id of another label that is null or not a string.
    pub other_null: Option<&'static str>,
    /// The longest undecided object, in bytes.
    pub window: usize,
    /// The keys: pairs of id and name.
    pub names: &'static [(&'static str, &'static str)],
    /// True for each of the [`LABELS`] that is active.
    pub active: [bool; 4],
    /// The names replace the ids.
    pub replaces_ids: bool,
    /// A native name stays.
    pub prefers_upstream: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            unmatched: Some("\"unknown\""),
            null: Some("null"),
            other_null: None,
            window: 2 * 1024 * 1024,
            names: NAMES,
            active: [true, false, false, false],
            replaces_ids: false,
            prefers_upstream: false,
        }
    }
}

/// The bytes that count against the limit for a number of pending edits.
pub fn edit_charge(edits: usize) -> usize {
    40 * edits
}

/// The number of different kinds of white space that are repeated around the inserted members of a label.
const MAX_GAPS: usize = 62;

/// Named, unmatched, not a string, skipped.
pub type Counts = [u64; 4];

/// True if the text is UTF-8 and valid by serde_json's grammar.
pub fn is_json(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok() && serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
}

/// Returns the amended document and the counts; a document that is not JSON is unchanged.
pub fn amend(text: &[u8], rules: Rules) -> (Vec<u8>, Counts) {
    if is_json(text) { amend_until(text, text.len(), rules) } else { (text.to_vec(), [0; 4]) }
}

/// Returns the output of a streamed body that is invalid or truncated at `end`. The bytes before `end` must be the
/// beginning of a document. Undecided objects and the bytes after `end` are unchanged.
pub fn amend_until(text: &[u8], end: usize, rules: Rules) -> (Vec<u8>, Counts) {
    NaiveParser::parse_until(text, end, rules).write()
}

/// The number of key ids and key names before `end`.
pub fn edits(text: &[u8], end: usize) -> usize {
    edits_with(text, end, Rules::default())
}

/// The number of ids and names of the active labels before `end`.
pub fn edits_with(text: &[u8], end: usize, rules: Rules) -> usize {
    NaiveParser::parse_until(text, end, rules).edits.len()
}

struct NaiveParser<'a> {
    text: &'a [u8],
    end: usize,
    rules: Rules,
    /// The offset of the next byte.
    at: usize,
    /// In the order of the ranges that they replace.
    edits: Vec<Edit>,
    /// The different kinds of white space so far of each label, each before a name, before a colon and after it.
    gaps: [Vec<[String; 3]>; 4],
    /// The edits before this offset are applied.
    settled: usize,
}

/// A range, its replacement if there is one, and the index of its counter.
#[derive(Default)]
struct Edit {
    range: Range<usize>,
    replacement: Option<String>,
    counter: Option<usize>,
}

/// The occurrences of the members of one label in an object, and the edits of the first one.
#[derive(Default)]
struct Occurrences {
    id_count: usize,
    name_count: usize,
    id: Option<Id>,
    native: Option<usize>,
}

struct Id {
    edit: usize,
    gaps: [String; 3],
    /// `None` if the text ends in the value.
    value: Option<Range<usize>>,
}

/// The methods that parse advance `at` and return `None` if the text ends too early.
impl<'a> NaiveParser<'a> {
    /// Parses the text before `end` and decides the edits.
    fn parse_until(text: &'a [u8], end: usize, rules: Rules) -> Self {
        let mut parser =
            Self { text, end, rules, at: 0, edits: Vec::new(), gaps: Default::default(), settled: end };
        let _ = parser.white_space().and_then(|_| parser.value());
        parser
    }

    fn byte(&self) -> Option<u8> {
        self.text[..self.end].get(self.at).copied()
    }

    fn white_space(&mut self) -> Option<String> {
        let from = self.at;
        while b" \n\r\t".contains(&self.byte()?) {
            self.at += 1;
        }
        Some(String::from_utf8(self.text[from..self.at].to_vec()).unwrap())
    }

    fn string(&mut self) -> Option<()> {
        self.at += 1;
        while self.byte()? != b'"' {
            self.at += if self.byte()? == b'\\' { 2 } else { 1 };
        }
        self.at += 1;
        Some(())
    }

    /// Parses a number or a literal. A number at the end of the text may continue.
    fn scalar(&mut self) -> Option<()> {
        let from = self.at;
        while self.byte().is_some_and(|byte| !b",]} \n\r\t".contains(&byte)) {
            self.at += 1;
        }
        let token = &self.text[from..self.at];
        let is_complete = self.at < self.text.len() || token[0].is_ascii_alphabetic();
        if is_complete && is_json(token) { Some(()) } else { None }
    }

    fn value(&mut self) -> Option<()> {
        match self.byte()? {
            b'"' => self.string(),
            b'{' => {
                // Not on the stack, which is short for a thousand objects.
                let mut labels: Vec<Occurrences> = LABELS.iter().map(|_| Occurrences::default()).collect();
                let end = self.object(&mut labels);
                self.decide(&labels, end.is_some());
                end
            }
            b'[' => loop {
                self.at += 1;
                self.white_space()?;
                if self.byte()? != b']' {
                    self.value()?;
                    self.white_space()?;
                }
                if self.byte()? == b']' {
                    self.at += 1;
                    return Some(());
                }
            },
            _ => self.scalar(),
        }
    }

    /// Returns the label of an active id or name member, and true for an id.
    fn active_member(&self, name: &str) -> Option<(usize, bool)> {
        let label = LABELS.iter().position(|label| label.id == name || label.name == name)?;
        let is_id = LABELS[label].id == name;
        // A native name beside a replaced id stays as it is.
        let is_used = self.rules.active[label] && (is_id || !self.rules.replaces_ids);
        if is_used { Some((label, is_id)) } else { None }
    }

    /// Parses an object. Notes its ids and names in `labels`, even if the text ends in it.
    fn object(&mut self, labels: &mut [Occurrences]) -> Option<()> {
        loop {
            self.at += 1;
            let before = self.white_space()?;
            if self.byte()? != b'}' {
                let name_start = self.at;
                self.string()?;
                let raw_name = &self.text[name_start..self.at];
                let name = serde_json::from_slice::<String>(raw_name).unwrap_or_default();
                let colon = self.white_space()?;
                self.at += 1;
                let after = self.white_space()?;
                let value_start = self.at;
                self.byte()?;
                match self.active_member(&name) {
                    Some((label, true)) => {
                        let gaps = self.repeated_gaps(label, [before, colon, after]);
                        self.id(&mut labels[label], gaps)?;
                    }
                    Some((label, false)) => {
                        labels[label].name_count += 1;
                        if labels[label].name_count == 1 {
                            let edit = self.push_edit(value_start..value_start);
                            labels[label].native = Some(edit);
                            self.value()?;
                            self.edits[edit].range.end = self.at;
                        } else {
                            self.value()?;
                        }
                    }
                    None => self.value()?,
                }
                self.white_space()?;
            }
            if self.byte()? == b'}' {
                self.at += 1;
                return Some(());
            }
        }
    }

    /// Parses the value of an id. The edit of the first one is at its end, or is the whole value if that is replaced.
    fn id(&mut self, occurrences: &mut Occurrences, gaps: [String; 3]) -> Option<()> {
        let start = self.at;
        occurrences.id_count += 1;
        if occurrences.id_count > 1 {
            return self.value();
        }
        if self.rules.replaces_ids {
            let edit = self.push_edit(start..start);
            occurrences.id = Some(Id { edit, gaps, value: None });
            self.value()?;
            self.edits[edit].range.end = self.at;
            occurrences.id.as_mut()?.value = Some(start..self.at);
        } else {
            self.value()?;
            let edit = self.push_edit(self.at..self.at);
            occurrences.id = Some(Id { edit, gaps, value: Some(start..self.at) });
        }
        Some(())
    }

    /// Adds an edit without a replacement and returns its index.
    fn push_edit(&mut self, range: Range<usize>) -> usize {
        self.edits.push(Edit { range, ..Edit::default() });
        self.edits.len() - 1
    }

    /// Returns the white space that is repeated for an id of this label with these gaps.
    fn repeated_gaps(&mut self, label: usize, gaps: [String; 3]) -> [String; 3] {
        let known_gaps = &mut self.gaps[label];
        let is_known = known_gaps.contains(&gaps);
        let is_too_long = gaps.iter().any(|gap| gap.len() > 256);
        let is_full = known_gaps.len() == MAX_GAPS;
        if is_too_long || (is_full && !is_known) {
            return Default::default();
        }
        if !is_known && gaps.iter().any(|gap| !gap.is_empty()) {
            known_gaps.push(gaps.clone());
        }
        gaps
    }

    /// Decides the labels of an object that ends or is truncated here.
    fn decide(&mut self, labels: &[Occurrences], is_complete: bool) {
        for (label, occurrences) in labels.iter().enumerate() {
            self.decide_label(label, occurrences, is_complete);
        }
    }

    fn decide_label(&mut self, label: usize, occurrences: &Occurrences, is_complete: bool) {
        let Occurrences { id_count, name_count, id, native } = occurrences;
        let id_edit = id.as_ref().map(|id| id.edit);
        let Some(first_edit) = id_edit.into_iter().chain(*native).min() else { return };
        let start = self.edits[first_edit].range.start;
        let pending_bytes = self.at.min(self.end) - start + edit_charge(self.edits.len() - first_edit);
        let is_over_window = pending_bytes > self.rules.window;
        if !is_complete && !is_over_window {
            self.settled = self.settled.min(start);
        }
        let Some(Id { edit, gaps, value }) = id else { return };
        if is_over_window || *id_count > 1 || *name_count > 1 {
            self.edits[*edit].counter = Some(3);
            return;
        }
        let Some(value) = value else { return };
        let value = &self.text[value.clone()];
        let is_string = value[0] == b'"';
        let id = serde_json::from_slice::<String>(value).ok();
        let name = id.and_then(|id| self.name(label, &id));
        let counter = match name {
            Some(_) => 0,
            None if is_string => 1,
            None => 2,
        };
        self.edits[*edit].counter = Some(counter);
        let json = name.map(|name| serde_json::to_string(name).unwrap());
        if self.rules.replaces_ids {
            if name.is_some_and(|name| self.name(label, name).is_some()) {
                self.edits[*edit].counter = Some(3);
            } else {
                self.edits[*edit].replacement = json;
            }
            return;
        }
        let inserted = match &json {
            Some(json) => Some(json.as_str()),
            None if is_string => self.rules.unmatched,
            None if label == 0 => self.rules.null,
            None => self.rules.other_null,
        };
        match (native, inserted) {
            (Some(native), Some(inserted)) if counter == 0 && !self.rules.prefers_upstream => {
                self.edits[*native].replacement = Some(inserted.to_owned());
            }
            (None, Some(inserted)) => {
                let [before, colon, after] = gaps;
                let member = LABELS[label].name;
                self.edits[*edit].replacement =
                    Some(format!(",{before}\"{member}\"{colon}:{after}{inserted}"));
            }
            _ => {}
        }
    }

    /// The name of an id in the section of a label.
    fn name(&self, label: usize, id: &str) -> Option<&'static str> {
        let names = if label == 0 { self.rules.names } else { LABELS[label].names };
        names.iter().find(|(known, _)| *known == id).map(|(_, name)| *name)
    }

    /// Applies the settled edits. Edits within a replaced value are dropped with it.
    fn write(&self) -> (Vec<u8>, Counts) {
        let mut out = Vec::new();
        let mut counts = [0; 4];
        let mut at = 0;
        for edit in self.edits.iter().filter(|edit| edit.range.start < self.settled) {
            let Edit { range, replacement, counter } = edit;
            if range.start < at {
                continue;
            }
            if let Some(replacement) = replacement {
                out.extend_from_slice(&self.text[at..range.start]);
                out.extend_from_slice(replacement.as_bytes());
                at = range.end;
            }
            if let Some(counter) = counter {
                counts[*counter] += 1;
            }
        }
        out.extend_from_slice(&self.text[at..]);
        (out, counts)
    }
}
