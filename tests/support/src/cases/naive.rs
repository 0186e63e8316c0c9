//! The oracle: computes the expected output of a complete document with a naive recursive parser.

use std::ops::Range;

use super::NAMES;

/// The settings of the layer.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The value beside an unmatched id; `None` for no member.
    pub unmatched: Option<&'static str>,
    /// The value beside an id that is null or not a string.
    pub null: Option<&'static str>,
    /// The longest undecided object, in bytes.
    pub window: usize,
    /// The map: pairs of id and name.
    pub names: &'static [(&'static str, &'static str)],
}

impl Default for Rules {
    fn default() -> Self {
        Self { unmatched: Some("\"unknown\""), null: Some("null"), window: 2 * 1024 * 1024, names: NAMES }
    }
}

/// The bytes that count against the limit for a number of pending edits.
pub fn edit_charge(edits: usize) -> usize {
    40 * edits
}

/// The number of different kinds of white space that are repeated around inserted members.
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

/// The number of id and name members before `end`.
pub fn edits(text: &[u8], end: usize) -> usize {
    NaiveParser::parse_until(text, end, Rules::default()).edits.len()
}

struct NaiveParser<'a> {
    text: &'a [u8],
    end: usize,
    rules: Rules,
    /// The offset of the next byte.
    at: usize,
    /// In the order of the ranges that they replace.
    edits: Vec<Edit>,
    /// The different kinds of white space so far, each before a name, before a colon and after it.
    gaps: Vec<[String; 3]>,
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

/// The occurrences of each member in an object, and the edits of the first one.
#[derive(Default)]
struct Object {
    id_count: usize,
    name_count: usize,
    id: Option<Id>,
    native: Option<usize>,
}

struct Id {
    edit: usize,
    gaps: [String; 3],
    value: Range<usize>,
}

/// The methods that parse advance `at` and return `None` if the text ends too early.
impl<'a> NaiveParser<'a> {
    /// Parses the text before `end` and decides the edits.
    fn parse_until(text: &'a [u8], end: usize, rules: Rules) -> Self {
        let mut parser = Self { text, end, rules, at: 0, edits: Vec::new(), gaps: Vec::new(), settled: end };
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
                let mut object = Object::default();
                let end = self.object(&mut object);
                self.decide(&object, end.is_some());
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

    /// Parses an object. Notes its ids and names in `object`, even if the text ends in it.
    fn object(&mut self, object: &mut Object) -> Option<()> {
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
                match name.as_str() {
                    "api_key_id" => {
                        let gaps = self.repeated_gaps([before, colon, after]);
                        object.id_count += 1;
                        self.value()?;
                        if object.id_count == 1 {
                            let edit = self.push_edit(self.at..self.at);
                            object.id = Some(Id { edit, gaps, value: value_start..self.at });
                        }
                    }
                    "api_key_name" => {
                        object.name_count += 1;
                        if object.name_count == 1 {
                            let edit = self.push_edit(value_start..value_start);
                            object.native = Some(edit);
                            self.value()?;
                            self.edits[edit].range.end = self.at;
                        } else {
                            self.value()?;
                        }
                    }
                    _ => self.value()?,
                }
                self.white_space()?;
            }
            if self.byte()? == b'}' {
                self.at += 1;
                return Some(());
            }
        }
    }

    /// Adds an edit without a replacement and returns its index.
    fn push_edit(&mut self, range: Range<usize>) -> usize {
        self.edits.push(Edit { range, ..Edit::default() });
        self.edits.len() - 1
    }

    /// Returns the white space that is repeated for an id with these gaps.
    fn repeated_gaps(&mut self, gaps: [String; 3]) -> [String; 3] {
        let is_known = self.gaps.contains(&gaps);
        let is_too_long = gaps.iter().any(|gap| gap.len() > 256);
        let is_full = self.gaps.len() == MAX_GAPS;
        if is_too_long || (is_full && !is_known) {
            return Default::default();
        }
        if !is_known && gaps.iter().any(|gap| !gap.is_empty()) {
            self.gaps.push(gaps.clone());
        }
        gaps
    }

    /// Decides an object that ends or is truncated here.
    fn decide(&mut self, object: &Object, is_complete: bool) {
        let Object { id_count, name_count, id, native } = object;
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
        let value = &self.text[value.clone()];
        let name = if value[0] == b'"' {
            let text = serde_json::from_slice::<String>(value).ok();
            let known = self.rules.names.iter().find(|(id, _)| text.as_deref() == Some(*id));
            known.map(|(_, name)| serde_json::to_string(name).unwrap())
        } else {
            None
        };
        let (counter, inserted) = match &name {
            Some(name) => (0, Some(name.as_str())),
            None if value[0] == b'"' => (1, self.rules.unmatched),
            None => (2, self.rules.null),
        };
        self.edits[*edit].counter = Some(counter);
        match (native, inserted) {
            (Some(native), Some(inserted)) if counter == 0 => {
                self.edits[*native].replacement = Some(inserted.to_owned());
            }
            (None, Some(inserted)) => {
                let [before, colon, after] = gaps;
                self.edits[*edit].replacement =
                    Some(format!(",{before}\"api_key_name\"{colon}:{after}{inserted}"));
            }
            _ => {}
        }
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
