//! The errors of maps, with texts that never repeat the input.

use std::fmt;

/// The reason why a map was rejected, with its position and a remedy.
///
/// Its text never repeats the input, and it has no `source()` that could: the input may contain a secret in the place
/// of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyNamesError {
    kind: KeyNamesErrorKind,
    /// The part with the defect, or the value in its place, for the text.
    subject: &'static str,
    /// The length of the part, for the text.
    bytes: usize,
    position: Position,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    WholeText,
    /// The number of a pair, from 1.
    Pair(usize),
    /// Line and column, from 1.
    At(usize, usize),
}

/// The subject of an error in an id.
pub(super) const ID: &str = "id";
/// The subject of an error in a name.
pub(super) const NAME: &str = "name";

// === impl KeyNamesError ===

impl KeyNamesError {
    pub(super) fn new(kind: KeyNamesErrorKind, subject: &'static str) -> Self {
        Self { kind, subject, bytes: 0, position: Position::WholeText }
    }

    pub(super) fn with_bytes(self, bytes: usize) -> Self {
        Self { bytes, ..self }
    }

    pub(super) fn at(self, position: Position) -> Self {
        Self { position, ..self }
    }

    /// True if the error is in the id of a pair.
    pub(super) fn is_in_id(&self) -> bool {
        self.subject == ID
    }

    /// The kind of the error.
    pub fn kind(&self) -> KeyNamesErrorKind {
        self.kind
    }

    /// The line in the JSON text, from 1. `None` if the error concerns the whole text, or there is no text.
    pub fn line(&self) -> Option<usize> {
        if let Position::At(line, _) = self.position { Some(line) } else { None }
    }

    /// The column in that line, in characters, from 1: the start of the id, name or token with the error.
    pub fn column(&self) -> Option<usize> {
        if let Position::At(_, column) = self.position { Some(column) } else { None }
    }

    /// Formats the error of a file, as compilers do: `names.json:3:7: …`.
    #[cfg(feature = "watch")]
    pub(super) fn in_file(&self, file: &str) -> String {
        match self.position {
            Position::At(line, column) => format!("{file}:{line}:{column}: {}", self.text()),
            Position::WholeText | Position::Pair(_) => format!("{file}: {}", self.text()),
        }
    }

    /// The defect and a remedy, without the position.
    fn text(&self) -> String {
        use KeyNamesErrorKind as Kind;
        let Self { subject, bytes, .. } = self;
        match self.kind {
            Kind::Empty => "there is nothing here; write {} for a map without names".into(),
            Kind::Utf16 => {
                "this is UTF-16; save it as UTF-8 (PowerShell's > writes UTF-16: use curl.exe -o)".into()
            }
            Kind::NotUtf8 => "this is not UTF-8; save it as UTF-8".into(),
            Kind::Truncated => {
                "the JSON ends too early; it may be half-written, or a quote or brace is missing".into()
            }
            Kind::Syntax => {
                "this is not JSON; look for a quote, comma, colon or brace that is missing or too many".into()
            }
            Kind::NotAMap => format!(
                "this is {subject}, not a map; write {{\"key_…\": \"name\"}}, or save the API's list of keys \
                 unchanged"
            ),
            Kind::ErrorResponse => "this is an error response of the API, not its list of keys; \
                 repeat the request until it succeeds, and save that response"
                .into(),
            Kind::NotAName => format!("a name is text in quotes, not {subject}; write \"key_…\": \"name\""),
            Kind::Blank => format!("this {subject} is empty or blank; fill it in, or remove the entry"),
            Kind::TooLong => format!("this {subject} is {bytes} bytes long; the limit is 256"),
            Kind::ControlCharacter => format!("this {subject} contains a control character; remove it"),
            Kind::Secret if subject.is_empty() => "this looks like an API key, not a map of \
                 names; remove it, and revoke the key if others could read it here"
                .into(),
            Kind::Secret => format!(
                "this {subject} looks like a secret API key; remove it, and revoke the key if others could read \
                 it here (an id, such as key_…, is no secret)"
            ),
            Kind::DuplicateId => "this id occurs twice in the map; remove one of the two".into(),
            Kind::TooLarge => "the ids and names of this map take more than 4 GiB".into(),
        }
    }
}

impl fmt::Display for KeyNamesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Position::WholeText => {}
            Position::Pair(number) => write!(f, "pair {number}: ")?,
            Position::At(line, column) => write!(f, "line {line}, column {column}: ")?,
        }
        f.write_str(&self.text())
    }
}

impl std::error::Error for KeyNamesError {}
