//! The JSON path of an offset, such as `$.data[0].results[3]`, for log lines.
//!
//! It is found by a second scan of a valid document, so that the first scan does not have to keep it.

use std::fmt::Write;

/// The longest member name in a path.
const MAX_NAME_LEN: usize = 64;

/// The most steps of a path. A document of another shape could have a thousand, and each log line must be short.
const MAX_STEPS: usize = 16;

/// A step into a container.
enum Step {
    Index(u64),
    Name(Vec<u8>),
}

/// A scan up to the current byte.
#[derive(Default)]
struct PathScanner {
    /// One step for each open container.
    steps: Vec<Step>,
    in_string: bool,
    is_escaped: bool,
    /// True if the next string is a name, when the innermost container is an object.
    is_before_colon: bool,
}

/// Returns a path for each of the ascending `offsets`: that of the innermost open container before the offset.
pub(crate) fn paths<'a>(document: impl Iterator<Item = &'a [u8]>, offsets: &[u64]) -> Vec<String> {
    let mut paths = Vec::with_capacity(offsets.len());
    let mut scanner = PathScanner::default();
    let mut bytes = document.flatten();
    let mut scanned_len = 0;
    for offset in offsets {
        let unscanned_len = (offset - scanned_len) as usize;
        for byte in bytes.by_ref().take(unscanned_len) {
            scanner.scan_byte(*byte);
        }
        scanned_len = *offset;
        paths.push(scanner.path());
    }
    paths
}

impl PathScanner {
    /// Updates the steps for the next byte of the document.
    fn scan_byte(&mut self, byte: u8) {
        if self.in_string {
            self.scan_string_byte(byte);
            return;
        }
        match byte {
            b'"' => self.in_string = true,
            b'[' => self.steps.push(Step::Index(0)),
            b'{' => {
                self.steps.push(Step::Name(Vec::new()));
                self.is_before_colon = true;
            }
            b']' | b'}' => {
                self.steps.pop();
            }
            b':' => self.is_before_colon = false,
            b',' => {
                self.is_before_colon = true;
                match self.steps.last_mut() {
                    Some(Step::Index(index)) => *index += 1,
                    Some(Step::Name(name)) => name.clear(),
                    None => {}
                }
            }
            _ => {}
        }
    }

    /// Finds the end of the string, and appends the byte to the step if the string is a name.
    fn scan_string_byte(&mut self, byte: u8) {
        self.in_string = self.is_escaped || byte != b'"';
        self.is_escaped = !self.is_escaped && byte == b'\\';
        let is_in_name = self.in_string && self.is_before_colon;
        if is_in_name && let Some(Step::Name(name)) = self.steps.last_mut() {
            // One byte more than the maximum is enough to find out that the name is too long.
            if name.len() <= MAX_NAME_LEN {
                name.push(byte);
            }
        }
    }

    /// Returns the path of the innermost container, such as `$.data[0]`. A name that is not plain is shown as `[?]`, and
    /// steps after the first [`MAX_STEPS`] as `…`.
    fn path(&self) -> String {
        let mut path = String::from("$");
        // The last step leads from the innermost container to a value in it.
        let step_count = self.steps.len().saturating_sub(1);
        for step in self.steps.iter().take(step_count.min(MAX_STEPS)) {
            // Writing to a string does not fail.
            let _ = match step {
                Step::Index(index) => write!(path, "[{index}]"),
                Step::Name(name) if is_plain(name) => write!(path, ".{}", name.escape_ascii()),
                // A name that is not plain may be data, which a log must not contain.
                Step::Name(_) => write!(path, "[?]"),
            };
        }
        if step_count > MAX_STEPS {
            path.push('…');
        }
        path
    }
}

/// True if a name consists of at most [`MAX_NAME_LEN`] letters, digits and underscores.
fn is_plain(name: &[u8]) -> bool {
    let is_word_byte = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    (1..=MAX_NAME_LEN).contains(&name.len()) && name.iter().all(is_word_byte)
}

#[cfg(test)]
mod tests {
    use super::paths;

    #[test]
    fn path_of_each_offset_leads_to_its_object() {
        let body = br#"{"data":[{"x":[{"id":"a"},{"id":"b"}]},{"odd name":{"id":"c\"}"}}],"id":"d"}"#;
        let offset = |text: &str| {
            let body = std::str::from_utf8(body).unwrap();
            (body.find(text).unwrap() + text.len()) as u64
        };
        let offsets = ["\"a\"", "\"b\"", "\"c\\\"}\"", "\"d\""].map(offset);
        let expected = ["$.data[0].x[0]", "$.data[0].x[1]", "$.data[1][?]", "$"];
        assert_eq!(paths([&body[..]].into_iter(), &offsets), expected);
        assert_eq!(paths(body.chunks(3), &offsets), expected);
    }

    #[test]
    fn path_of_a_deep_object_is_cut() {
        let name = "n".repeat(64);
        let body = format!("{}{{\"id\":\"x\"", format!("{{\"{name}\":").repeat(1000));
        let expected = format!("${}…", format!(".{name}").repeat(16));
        assert_eq!(paths([body.as_bytes()].into_iter(), &[body.len() as u64]), [expected]);
    }

    #[test]
    fn path_of_a_long_name_leaves_it_out() {
        let body = format!("{{\"{}\":{{\"id\":1", "n".repeat(65));
        assert_eq!(paths([body.as_bytes()].into_iter(), &[body.len() as u64]), ["$[?]"]);
    }
}
