//! Where in a document a byte stands: `$.data[0].results[3]`. A separate walk, after the fact, over a
//! document that is known to be valid; the scanner keeps no such thing.

use std::fmt::Write;

/// A name longer than this is not repeated in a path.
const MAX_SHOWN: usize = 64;

/// How many steps of a path are shown: enough for any answer of the APIs. Hostile documents nest a thousand
/// deep, with an id that nobody knows in each of many rows; a log line has a bound all the same.
const MAX_STEPS: usize = 16;

enum Step {
    Index(u64),
    Name(Vec<u8>),
}

/// The paths of the objects in which the bytes before each of `offsets` stand. The offsets ascend.
pub(crate) fn paths<'a>(document: impl Iterator<Item = &'a [u8]>, offsets: &[u64]) -> Vec<String> {
    let mut paths = Vec::with_capacity(offsets.len());
    let mut steps: Vec<Step> = Vec::new();
    let (mut in_text, mut escaped, mut naming) = (false, false, false);
    for (at, &byte) in (1_u64..).zip(document.flatten()) {
        if in_text {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_text = false,
                _ => {}
            }
            if let (true, true, Some(Step::Name(name))) = (in_text, naming, steps.last_mut())
                && name.len() <= MAX_SHOWN
            {
                name.push(byte);
            }
        } else {
            match byte {
                b'"' => in_text = true,
                b'[' => steps.push(Step::Index(0)),
                b'{' => {
                    steps.push(Step::Name(Vec::new()));
                    naming = true;
                }
                b']' | b'}' => drop(steps.pop()),
                b':' => naming = false,
                b',' => match steps.last_mut() {
                    Some(Step::Index(index)) => *index += 1,
                    Some(Step::Name(name)) => {
                        name.clear();
                        naming = true;
                    }
                    None => {}
                },
                _ => {}
            }
        }
        while offsets.get(paths.len()) == Some(&at) {
            paths.push(path(&steps));
        }
        if paths.len() == offsets.len() {
            break;
        }
    }
    paths
}

/// The path of the innermost container.
fn path(steps: &[Step]) -> String {
    let mut path = String::from("$");
    let steps = &steps[..steps.len().saturating_sub(1)];
    for step in steps.iter().take(MAX_STEPS) {
        // Writing to a string does not fail.
        let _ = match step {
            Step::Index(index) => write!(path, "[{index}]"),
            Step::Name(name) => match str::from_utf8(name) {
                Ok(name) if is_plain(name) => write!(path, ".{name}"),
                // A name of any other kind is data: a path is for a log, which sees none.
                _ => write!(path, "[?]"),
            },
        };
    }
    if steps.len() > MAX_STEPS {
        path.push('…');
    }
    path
}

fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_SHOWN
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
