//! A generator of bodies: hostile JSON with many ids, and JSON with an error.
//!
//! A page is built from decisions, so that a mutation of the input mostly makes another page. Rows repeat, unchanged or
//! with one changed byte, because the scanner predicts a row from earlier ones.

use super::cases::{CASES, naive};
use super::choices::Choices;

/// The length of a page before its closing brackets. Few are long enough for an object to exceed the window.
fn longest(choices: &mut Choices<'_>) -> usize {
    match choices.byte() {
        0..=249 => choices.of(&[128, 256, 512, 512, 1 << 10, 1 << 10, 2 << 10, 4 << 10]),
        _ => 24 << 10,
    }
}

/// Returns the input bytes, a page, or a page with a changed, removed or inserted byte, or a truncated page.
pub(crate) fn body(choices: &mut Choices<'_>) -> Vec<u8> {
    match choices.byte() % 4 {
        0 => choices.rest().to_vec(),
        1 | 2 => page(choices),
        _ => {
            let (how, at, byte) = (choices.byte(), choices.number(), choices.byte());
            let mut text = page(choices);
            let at = at % text.len().max(1);
            match how % 4 {
                0 => text.truncate(at),
                1 => text.insert(at, byte),
                2 if !text.is_empty() => drop(text.remove(at)),
                _ => text.splice(at..text.len().min(at + 1), [byte]).for_each(drop),
            }
            text
        }
    }
}

/// Names of members: the two relevant ones, similar ones, and others.
const MEMBERS: &[&str] = &[
    "api_key_id",
    "api_key_id",
    "api_key_id",
    "api_key_name",
    "api_key_name",
    "api\\u005Fkey_id",
    "\\u0061\\u0070\\u0069\\u005f\\u006b\\u0065\\u0079\\u005F\\u0069\\u0064",
    "\\u0061pi_key_nam\\u0065",
    "api_key_ids",
    "xpi_key_id",
    "api_key_id\\ud800",
    "API_KEY_ID",
    "a",
    "b",
    "first",
    "count",
    "},{",
    "\\\"",
    "é",
    "x\\n",
    "",
];

const SCALARS: &[&str] = &[
    "\"key_1\"",
    "\"key_1\"",
    "\"key_a\"",
    "\"k\\u0065y_1\"",
    "\"key_ü\"",
    "\"key_\\u00fc\"",
    "\"key_b\"",
    "\"key_x\"",
    "null",
    "true",
    "false",
    "1",
    "0",
    "-0.10e+05",
    "12.50",
    "1e5",
    "-7",
    "1E-400",
    "123456789012345678901234567890.123456789012345678901234567890",
    "\"\"",
    "\"x\"",
    "\"checkout-production\"",
    "\"\\u0078\"",
    "\"\\ud800\"",
    "\"\\ud83d\\udddd\\\\\\\"\"",
    "\"\\uD83D\\uDD11\"",
    "\"a \\\"b\\\" \\u00e9 – 田中\"",
    "\"a text that is longer than what is looked at in one go, which is sixty-four bytes\"",
    "\"api_key_id\"",
    "[]",
    "{}",
    "[\"a\", 1,\"\\u0062\" ,null]",
];

/// Lengths near the bounds of the scanner: SIMD blocks, templates, member names, repeated white space, ids.
const LENGTHS: &[usize] = &[
    1, 2, 29, 30, 31, 32, 33, 57, 60, 61, 62, 63, 64, 65, 95, 96, 97, 126, 255, 256, 257, 300, 1535, 1536,
    1537,
];

/// An open container.
struct Open {
    object: bool,
    last: Option<Element>,
}

/// The offsets of an element with its white space and name, of its value, and of its end.
#[derive(Clone, Copy)]
struct Element {
    from: usize,
    value: usize,
    to: usize,
}

struct Page<'c, 'b> {
    choices: &'c mut Choices<'b>,
    text: Vec<u8>,
    longest: usize,
    open: Vec<Open>,
    whole: Vec<Element>,
    /// White space before a name or an element, before a colon, behind it, and before a bracket or comma.
    gaps: [Vec<u8>; 4],
}

fn page(choices: &mut Choices<'_>) -> Vec<u8> {
    let longest = longest(choices);
    let gaps = std::array::from_fn(|_| Vec::new());
    let mut page = Page { choices, text: Vec::new(), longest, open: Vec::new(), whole: Vec::new(), gaps };
    let object = page.choices.yes();
    page.begin(None, object);
    while !page.choices.is_over() && page.text.len() < longest {
        page.step();
    }
    while !page.open.is_empty() {
        page.close();
    }
    page.text
}

impl Page<'_, '_> {
    fn step(&mut self) {
        match self.choices.byte() % 32 {
            0..=2 if self.open.len() > 1 => self.close(),
            0..=6 => self.begin(None, true),
            7..=8 => self.begin(None, false),
            9..=18 => {
                let scalar = self.choices.of(SCALARS);
                self.element(None, scalar.as_bytes());
            }
            19..=20 => self.element(Some("api_key_id"), b"\"key_1\""),
            21..=24 => self.repeat(),
            25 => self.nearly_repeat(),
            26 => self.transplant(),
            27 => self.set_gap(),
            28 => {
                let text = self.choices.byte();
                let text = String::from_utf8_lossy(self.choices.take((text % 32).into()));
                let quoted = serde_json::Value::from(text.as_ref()).to_string();
                self.element(None, quoted.as_bytes());
            }
            29 => {
                let text = format!("\"{}\"", "x".repeat(self.choices.of(LENGTHS)));
                self.element(None, text.as_bytes());
            }
            30 => {
                let case = CASES[usize::from(self.choices.byte()) % CASES.len()].input.trim();
                if naive::is_json(case.as_bytes()) {
                    self.element(None, case.as_bytes());
                }
            }
            _ => match self.choices.byte() {
                0..=99 => self.rows(),
                _ => self.nest(),
            },
        }
    }

    fn comma(&mut self) {
        if self.open.last().is_some_and(|open| open.last.is_some()) {
            self.text.extend_from_slice(&self.gaps[3]);
            self.text.push(b',');
        }
    }

    /// Writes the comma, the white space and, in an object, the name before a value.
    fn lead(&mut self, name: Option<&str>) {
        self.comma();
        let from = self.text.len();
        let Some(Open { object, .. }) = self.open.last() else { return };
        self.text.extend_from_slice(&self.gaps[0]);
        if *object {
            let name = match name {
                Some(name) => name.to_owned(),
                None => match usize::from(self.choices.byte()) % (MEMBERS.len() + 2) {
                    nth if nth < MEMBERS.len() => MEMBERS[nth].to_owned(),
                    _ => "n".repeat(self.choices.of(LENGTHS)),
                },
            };
            self.text.push(b'"');
            self.text.extend_from_slice(name.as_bytes());
            self.text.push(b'"');
            self.text.extend_from_slice(&self.gaps[1]);
            self.text.push(b':');
            self.text.extend_from_slice(&self.gaps[2]);
        }
        self.begun(from, self.text.len());
    }

    fn begun(&mut self, from: usize, value: usize) {
        if let Some(open) = self.open.last_mut() {
            open.last = Some(Element { from, value, to: value });
        }
    }

    fn ended(&mut self) {
        if let Some(Open { last: Some(element), .. }) = self.open.last_mut() {
            element.to = self.text.len();
            self.whole.push(*element);
        }
    }

    fn element(&mut self, name: Option<&str>, value: &[u8]) {
        self.lead(name);
        self.text.extend_from_slice(value);
        self.ended();
    }

    fn begin(&mut self, name: Option<&str>, object: bool) {
        self.lead(name);
        self.text.push(if object { b'{' } else { b'[' });
        self.open.push(Open { object, last: None });
    }

    fn close(&mut self) {
        let Some(Open { object, last }) = self.open.pop() else { return };
        if last.is_some() {
            self.text.extend_from_slice(&self.gaps[3]);
        }
        self.text.push(if object { b'}' } else { b']' });
        self.ended();
    }

    /// Repeats the last element.
    fn repeat(&mut self) {
        for _ in 0..=self.choices.byte() % 24 {
            let Some(Open { last: Some(last), .. }) = self.open.last() else { return };
            self.again(*last, |_| {});
        }
    }

    /// Repeats the last element with one byte changed to a similar one.
    fn nearly_repeat(&mut self) {
        let Some(Open { last: Some(last), .. }) = self.open.last() else { return };
        let (last, at) = (*last, self.choices.number());
        self.again(last, |element| {
            let at = at % element.len();
            match &mut element[at] {
                byte @ (b'a'..=b'y' | b'1'..=b'8') => *byte += 1,
                byte @ b'{' => *byte = b'[',
                byte @ b'}' => *byte = b']',
                byte @ b',' => *byte = b':',
                _ => {}
            }
        });
    }

    /// Repeats an earlier element, possibly with a name in an array or without one in an object.
    fn transplant(&mut self) {
        let (nth, bare) = (self.choices.byte(), self.choices.yes());
        let Some(element) = self.whole.iter().rev().nth(usize::from(nth) % self.whole.len().max(1)) else {
            return;
        };
        let from = if bare { element.value } else { element.from };
        self.again(Element { from, ..*element }, |_| {});
    }

    fn again(&mut self, Element { from, value, to }: Element, change: impl FnOnce(&mut [u8])) {
        if self.text.len() + (to - from) > self.longest {
            return;
        }
        self.comma();
        let begin = self.text.len();
        self.text.extend_from_within(from..to);
        change(&mut self.text[begin..]);
        self.begun(begin, begin + (value - from));
        self.ended();
    }

    /// Sets the white space of one position from here on; mostly none, so that a page contains more than white space.
    fn set_gap(&mut self) {
        let which = usize::from(self.choices.byte()) % self.gaps.len();
        self.gaps[which] = match self.choices.byte() % 8 {
            0..=2 => Vec::new(),
            3 => b" ".to_vec(),
            4 => b"\n  ".to_vec(),
            5 => b"\t\r\n".to_vec(),
            6 => vec![b' '; self.choices.byte().into()],
            _ => vec![b'\n'; self.choices.of(LENGTHS)],
        };
    }

    /// Writes rows, about as many as the bound on different kinds of white space.
    fn rows(&mut self) {
        let count = self.choices.of(&[3, 60, 61, 62, 63, 127, 128, 129, 254, 255, 256, 257]);
        let (id, differ) = (self.choices.of(SCALARS), self.choices.yes());
        for nth in 0..count {
            self.begin(Some("row"), true);
            if differ {
                self.gaps[2] = vec![b' '; nth];
            }
            self.element(Some("api_key_id"), id.as_bytes());
            self.gaps[2].clear();
            self.close();
        }
    }

    /// Nests containers, up to about the maximum depth.
    fn nest(&mut self) {
        let depth = self.choices.of(&[2, 3, 4, 62, 126, 1021, 1022, 1023, 1024, 1025]);
        let object = self.choices.yes();
        while self.open.len() < depth && self.text.len() < self.longest.max(8 * depth) {
            self.begin(Some("d"), object);
        }
    }
}
