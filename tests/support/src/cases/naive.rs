//! The oracle: what the engine should answer, found the slow and plain way, on a whole document in memory.

use std::ops::Range;

use super::NAMES;

/// What the layer is set to.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// What stands beside an unmatched id; `None` for no member.
    pub unmatched: Option<&'static str>,
    /// What stands beside an id that is null or no string.
    pub null: Option<&'static str>,
    /// How long an object may stay undecided for, in bytes.
    pub window: usize,
    /// The map: ids, each with its name.
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

/// How many different kinds of white space are repeated around inserted members.
const MAX_LEADS: usize = 62;

/// Named, unmatched, null, left.
pub type Counts = [u64; 4];

/// JSON is what serde_json's grammar takes, in UTF-8.
pub fn is_json(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok() && serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
}

/// The document with its names, and the counts; as it came where it is not JSON.
pub fn amend(text: &[u8], rules: Rules) -> (Vec<u8>, Counts) {
    if is_json(text) { amend_until(text, text.len(), rules) } else { (text.to_vec(), [0; 4]) }
}

/// What goes out of a body that streams, and is found to be no JSON at `end`, or breaks off there: up to `end` it
/// begins some document. What is undecided there stays as it came, and all that follows.
pub fn amend_until(text: &[u8], end: usize, rules: Rules) -> (Vec<u8>, Counts) {
    Walk::through(text, end, rules).write()
}

/// How many ids and names a text holds up to there that may be worth an edit.
pub fn edits(text: &[u8], end: usize) -> usize {
    Walk::through(text, end, Rules::default()).edits.len()
}

struct Walk<'a> {
    text: &'a [u8],
    end: usize,
    rules: Rules,
    at: usize,
    /// In the order of what they replace.
    edits: Vec<Edit>,
    leads: Vec<[String; 3]>,
    settled: usize,
}

/// What is put in place of a range, if anything, and how that counts.
#[derive(Default)]
struct Edit {
    place: Range<usize>,
    put: Option<String>,
    kind: Option<usize>,
}

/// An object: how often it holds each member, and which edits are of the first.
#[derive(Default)]
struct Object {
    ids: usize,
    natives: usize,
    id: Option<Id>,
    native: Option<usize>,
}

struct Id {
    edit: usize,
    gaps: [String; 3],
    value: Range<usize>,
}

/// `None`: the text ends here.
impl<'a> Walk<'a> {
    fn through(text: &'a [u8], end: usize, rules: Rules) -> Self {
        let mut walk = Self { text, end, rules, at: 0, edits: Vec::new(), leads: Vec::new(), settled: end };
        let _ = walk.white_space().and_then(|_| walk.value());
        walk
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

    /// A number or a literal. At the end of the text, a number may go on.
    fn bare(&mut self) -> Option<()> {
        let from = self.at;
        while self.byte().is_some_and(|byte| !b",]} \n\r\t".contains(&byte)) {
            self.at += 1;
        }
        let bare = &self.text[from..self.at];
        let is_whole = self.at < self.text.len() || bare[0].is_ascii_alphabetic();
        (is_whole && is_json(bare)).then_some(())
    }

    fn value(&mut self) -> Option<()> {
        match self.byte()? {
            b'"' => self.string(),
            b'{' => {
                let mut object = Object::default();
                let whole = self.object(&mut object);
                self.decide(&object, whole.is_some());
                whole
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
            _ => self.bare(),
        }
    }

    fn object(&mut self, object: &mut Object) -> Option<()> {
        loop {
            self.at += 1;
            let before = self.white_space()?;
            if self.byte()? != b'}' {
                let from = self.at;
                self.string()?;
                let name = serde_json::from_slice::<String>(&self.text[from..self.at]).unwrap_or_default();
                let colon = self.white_space()?;
                self.at += 1;
                let after = self.white_space()?;
                let from = self.at;
                self.byte()?;
                match name.as_str() {
                    "api_key_id" => {
                        let gaps = self.lead([before, colon, after]);
                        object.ids += 1;
                        self.value()?;
                        if object.ids == 1 {
                            let edit = self.edit(self.at..self.at);
                            object.id = Some(Id { edit, gaps, value: from..self.at });
                        }
                    }
                    "api_key_name" => {
                        object.natives += 1;
                        if object.natives == 1 {
                            let edit = self.edit(from..from);
                            object.native = Some(edit);
                            self.value()?;
                            self.edits[edit].place.end = self.at;
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

    fn edit(&mut self, place: Range<usize>) -> usize {
        self.edits.push(Edit { place, ..Edit::default() });
        self.edits.len() - 1
    }

    /// The white space that is repeated where this stands around an id.
    fn lead(&mut self, gaps: [String; 3]) -> [String; 3] {
        let is_known = self.leads.contains(&gaps);
        if gaps.iter().any(|gap| gap.len() > 256) || !is_known && self.leads.len() == MAX_LEADS {
            return Default::default();
        }
        if !is_known && gaps.iter().any(|gap| !gap.is_empty()) {
            self.leads.push(gaps.clone());
        }
        gaps
    }

    /// Decides an object that ends here, or breaks off.
    fn decide(&mut self, object: &Object, whole: bool) {
        let Object { ids, natives, id, native } = object;
        let Some(first) = [id.as_ref().map(|id| id.edit), *native].into_iter().flatten().min() else {
            return;
        };
        let at = self.edits[first].place.start;
        let waits = self.at.min(self.end) - at + edit_charge(self.edits.len() - first);
        let overdue = waits > self.rules.window;
        if !whole && !overdue {
            self.settled = self.settled.min(at);
        }
        let Some(Id { edit, gaps, value }) = id else { return };
        if overdue || *ids > 1 || *natives > 1 {
            self.edits[*edit].kind = Some(3);
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
        let (kind, put) = match &name {
            Some(name) => (0, Some(name.as_str())),
            None if value[0] == b'"' => (1, self.rules.unmatched),
            None => (2, self.rules.null),
        };
        self.edits[*edit].kind = Some(kind);
        match (native, put) {
            (Some(native), Some(put)) if kind == 0 => self.edits[*native].put = Some(put.to_owned()),
            (None, Some(put)) => {
                let [before, colon, after] = gaps;
                self.edits[*edit].put = Some(format!(",{before}\"api_key_name\"{colon}:{after}{put}"));
            }
            _ => {}
        }
    }

    /// What is settled, and the rest as it came. What stands in a value that is replaced goes with it.
    fn write(&self) -> (Vec<u8>, Counts) {
        let (mut out, mut counts, mut at) = (Vec::new(), [0; 4], 0);
        for Edit { place, put, kind } in self.edits.iter().filter(|edit| edit.place.start < self.settled) {
            if place.start < at {
                continue;
            }
            if let Some(put) = put {
                out.extend_from_slice(&self.text[at..place.start]);
                out.extend_from_slice(put.as_bytes());
                at = place.end;
            }
            if let Some(kind) = kind {
                counts[*kind] += 1;
            }
        }
        out.extend_from_slice(&self.text[at..]);
        (out, counts)
    }
}
