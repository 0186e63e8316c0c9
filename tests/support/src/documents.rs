//! A generator of bodies: hostile JSON with many ids, and JSON with an error.
//!
//! Each byte of the input decides one step, so a mutated input mostly gives another page. Rows repeat, unchanged or
//! with one changed byte, because the scanner predicts a row from earlier ones.

use super::cases::naive::LABELS;
use super::cases::{CASES, naive};
use super::unstructured::Unstructured;

/// The length of a page before its closing brackets. Few are long enough for an object to exceed the window.
fn max_len(source: &mut Unstructured<'_>) -> usize {
    match source.byte() {
        0..=249 => source.choose(&[128, 256, 512, 512, 1 << 10, 1 << 10, 2 << 10, 4 << 10]),
        _ => 24 << 10,
    }
}

/// Returns the input bytes, a page, or a page with a changed, removed or inserted byte, or a truncated page.
pub(crate) fn body(source: &mut Unstructured<'_>) -> Vec<u8> {
    match source.byte() % 4 {
        0 => source.take_rest().to_vec(),
        1 | 2 => page(source),
        _ => damaged_page(source),
    }
}

/// Returns a page with one changed, removed or inserted byte, or a truncated page.
fn damaged_page(source: &mut Unstructured<'_>) -> Vec<u8> {
    let kind = source.byte();
    let number = source.number();
    let byte = source.byte();
    let mut text = page(source);
    let offset = number % text.len().max(1);
    match kind % 4 {
        0 => text.truncate(offset),
        1 => text.insert(offset, byte),
        _ if text.is_empty() => text.push(byte),
        2 => {
            text.remove(offset);
        }
        _ => text[offset] = byte,
    }
    text
}

/// Names of members: those of the labels, similar ones, and others.
const MEMBERS: &[&str] = &[
    "api_key_id",
    "api_key_id",
    "api_key_id",
    "api_key_name",
    "api_key_name",
    "api\\u005Fkey_id",
    "\\u0061\\u0070\\u0069\\u005f\\u006b\\u0065\\u0079\\u005F\\u0069\\u0064",
    "\\u0061pi_key_nam\\u0065",
    "project_id",
    "project_name",
    "user_id",
    "user_name",
    "workspace_id",
    "workspace_name",
    "proj\\u0065ct_id",
    "user\\u005fname",
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
    "\"proj_1\"",
    "\"proj_2\"",
    "\"user_1\"",
    "\"user_\\u00fc\"",
    "\"storefront\"",
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
    "\"a text that is longer than one block of a SIMD search, which has sixty-four bytes\"",
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

/// An open container and its last element.
struct OpenContainer {
    is_object: bool,
    last: Option<Element>,
}

/// The offsets of an element: its start with white space and name, its value, and its end.
#[derive(Clone, Copy)]
struct Element {
    start: usize,
    value_start: usize,
    end: usize,
}

struct PageGenerator<'s, 'b> {
    source: &'s mut Unstructured<'b>,
    text: Vec<u8>,
    max_len: usize,
    open: Vec<OpenContainer>,
    finished: Vec<Element>,
    /// White space before a name or an element, before a colon, behind it, and before a bracket or comma.
    gaps: [Vec<u8>; 4],
}

fn page(source: &mut Unstructured<'_>) -> Vec<u8> {
    let max_len = max_len(source);
    let gaps = std::array::from_fn(|_| Vec::new());
    let mut page =
        PageGenerator { source, text: Vec::new(), max_len, open: Vec::new(), finished: Vec::new(), gaps };
    let is_object = page.source.boolean();
    page.open_container(None, is_object);
    while !page.source.is_empty() && page.text.len() < max_len {
        page.write_step();
    }
    while !page.open.is_empty() {
        page.close_container();
    }
    page.text
}

impl PageGenerator<'_, '_> {
    /// Writes the start or the end of a container, or some elements.
    fn write_step(&mut self) {
        match self.source.byte() % 32 {
            0..=2 if self.open.len() > 1 => self.close_container(),
            0..=6 => self.open_container(None, true),
            7..=8 => self.open_container(None, false),
            9..=18 => {
                let scalar = self.source.choose(SCALARS);
                self.write_element(None, scalar.as_bytes());
            }
            19 => self.write_element(Some("api_key_id"), b"\"key_1\""),
            20 => self.write_labels(),
            21..=24 => self.repeat_last(),
            25 => self.repeat_with_changed_byte(),
            26 => self.repeat_earlier(),
            27 => self.set_gap(),
            28 => {
                let len = self.source.byte() % 32;
                let text = String::from_utf8_lossy(self.source.bytes(len.into()));
                let quoted = serde_json::Value::from(text.as_ref()).to_string();
                self.write_element(None, quoted.as_bytes());
            }
            29 => {
                let quoted = format!("\"{}\"", "x".repeat(self.source.choose(LENGTHS)));
                self.write_element(None, quoted.as_bytes());
            }
            30 => {
                let case = CASES[usize::from(self.source.byte()) % CASES.len()].input.trim();
                if naive::is_json(case.as_bytes()) {
                    self.write_element(None, case.as_bytes());
                }
            }
            _ => match self.source.byte() {
                0..=99 => self.write_rows(),
                _ => self.open_nested(),
            },
        }
    }

    /// Writes a comma if the open container has an element.
    fn write_comma(&mut self) {
        if self.open.last().is_some_and(|open| open.last.is_some()) {
            self.text.extend_from_slice(&self.gaps[3]);
            self.text.push(b',');
        }
    }

    /// Writes the comma, the white space and, in an object, the name before a value. Without `name`, draws a name.
    fn write_prefix(&mut self, name: Option<&str>) {
        self.write_comma();
        let start = self.text.len();
        let Some(OpenContainer { is_object, .. }) = self.open.last() else { return };
        self.text.extend_from_slice(&self.gaps[0]);
        if *is_object {
            let name = match name {
                Some(name) => name.to_owned(),
                None => match usize::from(self.source.byte()) % (MEMBERS.len() + 2) {
                    nth if nth < MEMBERS.len() => MEMBERS[nth].to_owned(),
                    _ => "n".repeat(self.source.choose(LENGTHS)),
                },
            };
            self.text.push(b'"');
            self.text.extend_from_slice(name.as_bytes());
            self.text.push(b'"');
            self.text.extend_from_slice(&self.gaps[1]);
            self.text.push(b':');
            self.text.extend_from_slice(&self.gaps[2]);
        }
        self.start_element(start, self.text.len());
    }

    fn start_element(&mut self, start: usize, value_start: usize) {
        if let Some(open) = self.open.last_mut() {
            open.last = Some(Element { start, value_start, end: value_start });
        }
    }

    fn end_element(&mut self) {
        if let Some(OpenContainer { last: Some(element), .. }) = self.open.last_mut() {
            element.end = self.text.len();
            self.finished.push(*element);
        }
    }

    fn write_element(&mut self, name: Option<&str>, value: &[u8]) {
        self.write_prefix(name);
        self.text.extend_from_slice(value);
        self.end_element();
    }

    fn open_container(&mut self, name: Option<&str>, is_object: bool) {
        self.write_prefix(name);
        self.text.push(if is_object { b'{' } else { b'[' });
        self.open.push(OpenContainer { is_object, last: None });
    }

    fn close_container(&mut self) {
        let Some(OpenContainer { is_object, last }) = self.open.pop() else { return };
        if last.is_some() {
            self.text.extend_from_slice(&self.gaps[3]);
        }
        self.text.push(if is_object { b'}' } else { b']' });
        self.end_element();
    }

    /// Repeats the last element up to 24 times.
    fn repeat_last(&mut self) {
        for _ in 0..=self.source.byte() % 24 {
            let Some(OpenContainer { last: Some(last), .. }) = self.open.last() else { return };
            self.copy_element(*last, |_| {});
        }
    }

    /// Repeats the last element with one byte changed to a similar one.
    fn repeat_with_changed_byte(&mut self) {
        let Some(OpenContainer { last: Some(last), .. }) = self.open.last() else { return };
        let last = *last;
        let number = self.source.number();
        self.copy_element(last, |element| {
            let offset = number % element.len();
            match &mut element[offset] {
                byte @ (b'a'..=b'y' | b'1'..=b'8') => *byte += 1,
                byte @ b'{' => *byte = b'[',
                byte @ b'}' => *byte = b']',
                byte @ b',' => *byte = b':',
                _ => {}
            }
        });
    }

    /// Repeats an earlier element, possibly with a name in an array or without one in an object.
    fn repeat_earlier(&mut self) {
        let nth = usize::from(self.source.byte());
        let is_without_name = self.source.boolean();
        let earlier = self.finished.iter().rev().nth(nth % self.finished.len().max(1));
        let Some(mut element) = earlier.copied() else { return };
        if is_without_name {
            element.start = element.value_start;
        }
        self.copy_element(element, |_| {});
    }

    /// Appends a copy of an element, which `change` changes. Does nothing if the page would be too long.
    fn copy_element(&mut self, element: Element, change: impl FnOnce(&mut [u8])) {
        let Element { start, value_start, end } = element;
        if self.text.len() + (end - start) > self.max_len {
            return;
        }
        self.write_comma();
        let copy_start = self.text.len();
        self.text.extend_from_within(start..end);
        change(&mut self.text[copy_start..]);
        self.start_element(copy_start, copy_start + (value_start - start));
        self.end_element();
    }

    /// Writes ids and names of several labels, in any order. Some of them can occur twice.
    fn write_labels(&mut self) {
        for _ in 0..=self.source.byte() % 6 {
            let label = &LABELS[usize::from(self.source.byte()) % LABELS.len()];
            let choice = self.source.byte();
            let (first_id, first_name) = label.names.first().copied().unwrap_or(("ws_1", "x"));
            let (member, text) = match choice % 8 {
                0..=3 => (label.id, first_id),
                4 => (label.id, self.source.choose(&["proj_2", "key_1", "user_1"])),
                5 => (label.name, first_name),
                _ => (label.name, "native"),
            };
            let value = if choice < 32 { "null".to_owned() } else { format!("\"{text}\"") };
            self.write_element(Some(member), value.as_bytes());
        }
    }

    /// Sets the white space of one position from here on; mostly none, so that a page contains more than white space.
    fn set_gap(&mut self) {
        let index = usize::from(self.source.byte()) % self.gaps.len();
        self.gaps[index] = match self.source.byte() % 8 {
            0..=2 => Vec::new(),
            3 => b" ".to_vec(),
            4 => b"\n  ".to_vec(),
            5 => b"\t\r\n".to_vec(),
            6 => vec![b' '; self.source.byte().into()],
            _ => vec![b'\n'; self.source.choose(LENGTHS)],
        };
    }

    /// Writes rows, about as many as the bound on different kinds of white space.
    fn write_rows(&mut self) {
        let count = self.source.choose(&[3, 60, 61, 62, 63, 127, 128, 129, 254, 255, 256, 257]);
        let id = self.source.choose(SCALARS);
        let second_id = self.source.choose(&[None, None, Some("project_id"), Some("user_id")]);
        let differ_in_white_space = self.source.boolean();
        for nth in 0..count {
            self.open_container(Some("row"), true);
            if differ_in_white_space {
                self.gaps[2] = vec![b' '; nth];
            }
            self.write_element(Some("api_key_id"), id.as_bytes());
            if let Some(member) = second_id {
                self.write_element(Some(member), id.as_bytes());
            }
            self.gaps[2].clear();
            self.close_container();
        }
    }

    /// Nests containers, up to about the maximum depth.
    fn open_nested(&mut self) {
        let depth = self.source.choose(&[2, 3, 4, 62, 126, 1021, 1022, 1023, 1024, 1025]);
        let is_object = self.source.boolean();
        while self.open.len() < depth && self.text.len() < self.max_len.max(8 * depth) {
            self.open_container(Some("d"), is_object);
        }
    }
}
