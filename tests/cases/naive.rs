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

/// Named, unmatched, null, left.
pub type Counts = [u64; 4];

/// JSON is what serde_json's grammar takes, in UTF-8.
pub fn is_json(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok() && serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
}

/// The document with its names, and the counts; as it came where it is not JSON.
pub fn amend(text: &[u8], rules: Rules) -> (Vec<u8>, Counts) {
    if !is_json(text) {
        return (text.to_vec(), [0; 4]);
    }
    let mut walk = Walk { text, rules, at: 0, out: Vec::new(), counts: [0; 4] };
    walk.white_space();
    walk.value();
    walk.white_space();
    (walk.out, walk.counts)
}

struct Walk<'a> {
    text: &'a [u8],
    rules: Rules,
    at: usize,
    out: Vec<u8>,
    counts: Counts,
}

/// A member as it stands in the text, and where its value stands in the output.
struct Member {
    name: Option<String>,
    gaps: [String; 3],
    value: Range<usize>,
    out: Range<usize>,
    counts: Counts,
}

impl Walk<'_> {
    fn take(&mut self, n: usize) {
        self.out.extend_from_slice(&self.text[self.at..self.at + n]);
        self.at += n;
    }

    fn white_space(&mut self) -> String {
        let from = self.at;
        while self.text.get(self.at).is_some_and(|b| b" \n\r\t".contains(b)) {
            self.take(1);
        }
        String::from_utf8(self.text[from..self.at].to_vec()).unwrap()
    }

    fn string(&mut self) {
        self.take(1);
        while self.text[self.at] != b'"' {
            self.take(if self.text[self.at] == b'\\' { 2 } else { 1 });
        }
        self.take(1);
    }

    fn value(&mut self) {
        match self.text[self.at] {
            b'"' => self.string(),
            b'{' => self.object(),
            b'[' => loop {
                self.take(1);
                self.white_space();
                if self.text[self.at] != b']' {
                    self.value();
                    self.white_space();
                }
                if self.text[self.at] == b']' {
                    return self.take(1);
                }
            },
            _ => {
                while self.text.get(self.at).is_some_and(|b| !b",]} \n\r\t".contains(b)) {
                    self.take(1);
                }
            }
        }
    }

    fn object(&mut self) {
        let mut members = Vec::new();
        loop {
            self.take(1);
            let before = self.white_space();
            if self.text[self.at] != b'}' {
                let from = self.at;
                self.string();
                let name = serde_json::from_slice(&self.text[from..self.at]).ok();
                let colon = self.white_space();
                self.take(1);
                let after = self.white_space();
                let (from, counts) = ((self.at, self.out.len()), self.counts);
                self.value();
                let (value, out) = (from.0..self.at, from.1..self.out.len());
                members.push(Member { name, gaps: [before, colon, after], value, out, counts });
                self.white_space();
            }
            if self.text[self.at] == b'}' {
                self.take(1);
                return self.decide(&members);
            }
        }
    }

    fn decide(&mut self, members: &[Member]) {
        let called = |name: &str| -> Vec<&Member> {
            members.iter().filter(|member| member.name.as_deref() == Some(name)).collect()
        };
        let (ids, natives) = (called("api_key_id"), called("api_key_name"));
        let Some(id) = ids.first() else { return };
        let first = natives.first().map_or(id.value.end, |native| native.value.start.min(id.value.end));
        if ids.len() > 1 || natives.len() > 1 || self.at - first > self.rules.window {
            self.counts[3] += 1;
            return;
        }
        let value = &self.text[id.value.clone()];
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
        self.counts[kind] += 1;
        match (natives.first(), put) {
            (Some(native), Some(put)) if kind == 0 => {
                let dropped = self.counts_within(native, members);
                self.counts.iter_mut().zip(dropped).for_each(|(count, dropped)| *count -= dropped);
                self.out.splice(native.out.clone(), put.bytes());
            }
            (None, Some(put)) => {
                let gaps = if id.gaps.iter().all(|gap| gap.len() <= 256) {
                    id.gaps.each_ref().map(String::as_str)
                } else {
                    [""; 3]
                };
                let [before, colon, after] = gaps;
                let member = format!(",{before}\"api_key_name\"{colon}:{after}{put}");
                self.out.splice(id.out.end..id.out.end, member.bytes());
            }
            _ => {}
        }
    }

    /// What was counted in a value that is replaced, and so went with it.
    fn counts_within(&self, native: &Member, members: &[Member]) -> Counts {
        let next = members.iter().find(|member| member.value.start > native.value.start);
        let mut after = next.map_or(self.counts, |next| next.counts);
        if next.is_none() {
            // The object's own id has just been counted.
            after[0] -= 1;
        }
        std::array::from_fn(|kind| after[kind] - native.counts[kind])
    }
}
