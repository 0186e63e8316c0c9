//! What can be wrong with a map, in our own words.

use std::fmt;

/// Why a map was refused: what is wrong, where, and what to do.
///
/// It never repeats what it read, and has no `source()` that could: what stands where a name
/// should may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyNamesError {
    place: Place,
    fault: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Whole,
    Pair(usize),
    Text { line: usize, column: usize },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Id,
    Name,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    Blank,
    TooLong { bytes: usize, longest: usize },
    Control,
    Secret,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Empty,
    Utf16,
    NotUtf8,
    WholeSecret,
    EndsEarly,
    NotJson,
    NotAMap { kind: &'static str },
    ErrorAnswer,
    NotAName { kind: &'static str },
    Label(Side, Flaw),
    Twice,
    TooMany,
}

impl Fault {
    pub(super) fn at(self, place: Place) -> KeyNamesError {
        KeyNamesError { place, fault: self }
    }
}

impl KeyNamesError {
    /// The line in the JSON text, from 1. `None` if the whole text is at fault, or there is none.
    pub fn line(&self) -> Option<usize> {
        match self.place {
            Place::Text { line, .. } => Some(line),
            Place::Whole | Place::Pair(_) => None,
        }
    }

    /// The column in that line, in characters, from 1: where the offending id, name or
    /// token begins.
    pub fn column(&self) -> Option<usize> {
        match self.place {
            Place::Text { column, .. } => Some(column),
            Place::Whole | Place::Pair(_) => None,
        }
    }

    /// As a compiler would say it: `names.json:3:7: what is wrong`.
    #[cfg(feature = "watch")]
    pub(crate) fn in_file(&self, file: &str) -> String {
        match self.place {
            Place::Text { line, column } => format!("{file}:{line}:{column}: {}", self.fault),
            Place::Whole | Place::Pair(_) => format!("{file}: {}", self.fault),
        }
    }
}

impl fmt::Display for KeyNamesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::Whole => {}
            Place::Pair(nth) => write!(f, "pair {nth}: ")?,
            Place::Text { line, column } => write!(f, "line {line}, column {column}: ")?,
        }
        self.fault.fmt(f)
    }
}

impl std::error::Error for KeyNamesError {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Empty => f.write_str("there is nothing here; write {} for a map without names"),
            Self::Utf16 => f.write_str(
                "this is UTF-16; save it as UTF-8 (PowerShell's > writes UTF-16: use curl.exe -o)",
            ),
            Self::NotUtf8 => f.write_str("this is not UTF-8; save it as UTF-8"),
            Self::WholeSecret => f.write_str(
                "this looks like an API key, not a map of names; remove it, and revoke the key \
                 if others could read it here",
            ),
            Self::EndsEarly => {
                f.write_str("the JSON ends too early; it may be half-written, or a quote or brace is missing")
            }
            Self::NotJson => f.write_str(
                "this is not JSON; look for a quote, comma, colon or brace that is missing or \
                 too many",
            ),
            Self::NotAMap { kind } => write!(
                f,
                "this is {kind}, not a map; write {{\"key_…\": \"name\"}}, or save the API's \
                 list of keys as it comes"
            ),
            Self::ErrorAnswer => f.write_str(
                "this is an error that the API answered, not its list of keys; make that call \
                 succeed and save its answer",
            ),
            Self::NotAName { kind } => {
                write!(f, "a name is text in quotes, not {kind}; write \"key_…\": \"name\"")
            }
            Self::Label(side, Flaw::Blank) => {
                write!(f, "this {side} is empty or blank; fill it in, or remove the entry")
            }
            Self::Label(side, Flaw::TooLong { bytes, longest }) => {
                write!(f, "this {side} is {bytes} bytes long; at most {longest} are taken")
            }
            Self::Label(side, Flaw::Control) => {
                write!(f, "this {side} holds a control character; remove that")
            }
            Self::Label(side, Flaw::Secret) => write!(
                f,
                "this {side} looks like a secret API key; remove it, and revoke the key if others \
                 could read it here (an id, such as key_…, is no secret)"
            ),
            Self::Twice => f.write_str("this id stands in the map twice; remove one of the two"),
            Self::TooMany => f.write_str("the ids and names of this map take more than 4 GiB"),
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Id => "id",
            Self::Name => "name",
        })
    }
}
