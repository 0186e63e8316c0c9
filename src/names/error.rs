//! The errors of maps, with texts that never repeat the input.

use std::fmt;

/// The reason why a map was rejected, with its position and a remedy.
///
/// Its text never repeats the input, and it has no `source()` that could: the input may contain a
/// secret in the place of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyNamesError {
    position: Position,
    defect: Defect,
}

/// The kind of a [`KeyNamesError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyNamesErrorKind {
    /// The text is empty or blank.
    Empty,
    /// The text is UTF-16.
    Utf16,
    /// The text is not UTF-8.
    NotUtf8,
    /// The JSON ends too early. The text may be half-written.
    Truncated,
    /// The text is not JSON.
    Syntax,
    /// The JSON value is not an object.
    NotAMap,
    /// The text is an error response of the API.
    ErrorResponse,
    /// The value of an id is not a string.
    NotAName,
    /// An id or a name is empty or blank.
    Blank,
    /// An id or a name is longer than 256 bytes.
    TooLong,
    /// An id or a name contains a control character.
    ControlCharacter,
    /// An id, a name or the whole text looks like a secret API key.
    Secret,
    /// An id occurs twice.
    DuplicateId,
    /// The ids and names take more than 4 GiB.
    TooLarge,
}

/// The place of a defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    WholeText,
    /// The number of a pair, from 1.
    Pair(usize),
    /// Line and column, from 1.
    At {
        line: usize,
        column: usize,
    },
}

/// The half of a pair that a defect is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    Id,
    Name,
}

/// A defect of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Defect {
    Empty,
    Utf16,
    NotUtf8,
    OnlyASecret,
    Truncated,
    Syntax,
    NotAMap { found: &'static str },
    ErrorResponse,
    NotAName { found: &'static str },
    Blank(Half),
    TooLong { half: Half, bytes: usize, limit: usize },
    ControlCharacter(Half),
    Secret(Half),
    DuplicateId,
    TooLarge,
}

// === impl KeyNamesError ===

impl KeyNamesError {
    /// The kind of the error.
    pub fn kind(&self) -> KeyNamesErrorKind {
        match self.defect {
            Defect::Empty => KeyNamesErrorKind::Empty,
            Defect::Utf16 => KeyNamesErrorKind::Utf16,
            Defect::NotUtf8 => KeyNamesErrorKind::NotUtf8,
            Defect::Truncated => KeyNamesErrorKind::Truncated,
            Defect::Syntax => KeyNamesErrorKind::Syntax,
            Defect::NotAMap { .. } => KeyNamesErrorKind::NotAMap,
            Defect::ErrorResponse => KeyNamesErrorKind::ErrorResponse,
            Defect::NotAName { .. } => KeyNamesErrorKind::NotAName,
            Defect::Blank(_) => KeyNamesErrorKind::Blank,
            Defect::TooLong { .. } => KeyNamesErrorKind::TooLong,
            Defect::ControlCharacter(_) => KeyNamesErrorKind::ControlCharacter,
            Defect::Secret(_) | Defect::OnlyASecret => KeyNamesErrorKind::Secret,
            Defect::DuplicateId => KeyNamesErrorKind::DuplicateId,
            Defect::TooLarge => KeyNamesErrorKind::TooLarge,
        }
    }

    /// The line in the JSON text, from 1. `None` if the defect concerns the whole text, or there is no text.
    pub fn line(&self) -> Option<usize> {
        match self.position {
            Position::At { line, .. } => Some(line),
            Position::WholeText | Position::Pair(_) => None,
        }
    }

    /// The column in that line, in characters, from 1: the start of the id, name or token with the defect.
    pub fn column(&self) -> Option<usize> {
        match self.position {
            Position::At { column, .. } => Some(column),
            Position::WholeText | Position::Pair(_) => None,
        }
    }

    /// Formats the error of a file, as compilers do: `names.json:3:7: …`.
    #[cfg(feature = "watch")]
    pub(crate) fn in_file(&self, file: &str) -> String {
        match self.position {
            Position::At { line, column } => format!("{file}:{line}:{column}: {}", self.defect),
            Position::WholeText | Position::Pair(_) => format!("{file}: {}", self.defect),
        }
    }
}

impl fmt::Display for KeyNamesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Position::WholeText => {}
            Position::Pair(number) => write!(f, "pair {number}: ")?,
            Position::At { line, column } => write!(f, "line {line}, column {column}: ")?,
        }
        self.defect.fmt(f)
    }
}

impl std::error::Error for KeyNamesError {}

// === impl Defect ===

impl Defect {
    pub(super) fn at(self, position: Position) -> KeyNamesError {
        KeyNamesError { position, defect: self }
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Empty => f.write_str("there is nothing here; write {} for a map without names"),
            Self::Utf16 => f.write_str(
                "this is UTF-16; save it as UTF-8 (PowerShell's > writes UTF-16: use curl.exe -o)",
            ),
            Self::NotUtf8 => f.write_str("this is not UTF-8; save it as UTF-8"),
            Self::OnlyASecret => f.write_str(
                "this looks like an API key, not a map of names; remove it, and revoke the key \
                 if others could read it here",
            ),
            Self::Truncated => {
                f.write_str("the JSON ends too early; it may be half-written, or a quote or brace is missing")
            }
            Self::Syntax => f.write_str(
                "this is not JSON; look for a quote, comma, colon or brace that is missing or too many",
            ),
            Self::NotAMap { found } => write!(
                f,
                "this is {found}, not a map; write {{\"key_…\": \"name\"}}, or save the API's \
                 list of keys unchanged"
            ),
            Self::ErrorResponse => f.write_str(
                "this is an error response of the API, not its list of keys; repeat the request until \
                 it succeeds, and save that response",
            ),
            Self::NotAName { found } => {
                write!(f, "a name is text in quotes, not {found}; write \"key_…\": \"name\"")
            }
            Self::Blank(half) => {
                write!(f, "this {half} is empty or blank; fill it in, or remove the entry")
            }
            Self::TooLong { half, bytes, limit } => {
                write!(f, "this {half} is {bytes} bytes long; the limit is {limit}")
            }
            Self::ControlCharacter(half) => {
                write!(f, "this {half} contains a control character; remove it")
            }
            Self::Secret(half) => write!(
                f,
                "this {half} looks like a secret API key; remove it, and revoke the key if others \
                 could read it here (an id, such as key_…, is no secret)"
            ),
            Self::DuplicateId => f.write_str("this id occurs twice in the map; remove one of the two"),
            Self::TooLarge => f.write_str("the ids and names of this map take more than 4 GiB"),
        }
    }
}

impl fmt::Display for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Id => "id",
            Self::Name => "name",
        })
    }
}
