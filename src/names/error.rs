//! The errors of maps, with texts that never repeat the input.

use std::fmt;

use crate::json_text::{NOT_UTF8, SYNTAX, TRUNCATED, TextDefect, TextDefectKind, UTF16};

/// The reason why a map was rejected, with its position and a remedy.
///
/// Its text never repeats the input, and it has no `source()` that could: the input may contain a secret in the place
/// of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyNamesError {
    pub(super) kind: KeyNamesErrorKind,
    /// The part with the defect, such as [`ID`], or the kind of the unexpected value.
    pub(super) subject: &'static str,
    /// The length of a part that is too long.
    pub(super) bytes: usize,
    /// The number of the pair, from 1, if there is no text.
    pub(super) pair: Option<usize>,
    /// The line and the column in the text, from 1.
    pub(super) position: Option<(usize, usize)>,
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
    /// A section belongs to no label, or to no provider.
    UnknownSection,
    /// A section occurs twice.
    DuplicateSection,
    /// The map contains both names and sections.
    MixedSections,
    /// The ids and names take more than 4 GiB.
    TooLarge,
}

// The subjects of errors in an id and in a name.
pub(super) const ID: &str = "id";
pub(super) const NAME: &str = "name";

impl KeyNamesError {
    pub(super) fn new(kind: KeyNamesErrorKind, subject: &'static str) -> Self {
        Self { kind, subject, bytes: 0, pair: None, position: None }
    }

    pub(super) fn at(self, position: (usize, usize)) -> Self {
        Self { position: Some(position), ..self }
    }

    /// The kind of the error.
    pub fn kind(&self) -> KeyNamesErrorKind {
        self.kind
    }

    /// The line in the JSON text, from 1. `None` if the error concerns the whole text, or there is no text.
    pub fn line(&self) -> Option<usize> {
        self.position.map(|(line, _)| line)
    }

    /// The column in that line, in characters, from 1: the start of the id, name or token with the error.
    pub fn column(&self) -> Option<usize> {
        self.position.map(|(_, column)| column)
    }

    /// The defect and a remedy, without the position.
    pub(super) fn text(&self) -> String {
        use KeyNamesErrorKind as Kind;
        let Self { subject, bytes, .. } = self;
        let text = match self.kind {
            Kind::Empty => "there is nothing here; write {} for a map without names",
            Kind::Utf16 => UTF16,
            Kind::NotUtf8 => NOT_UTF8,
            Kind::Truncated => TRUNCATED,
            Kind::Syntax => SYNTAX,
            Kind::NotAMap => &format!(
                "this is {subject}, not a map; write {{\"key_…\": \"name\"}}, or save the API's list of keys \
                 unchanged"
            ),
            Kind::ErrorResponse => {
                "this is an error response of the API, not its list of keys; repeat the request until it succeeds, \
                 and save that response"
            }
            Kind::NotAName => &format!("a name is text in quotes, not {subject}; write \"key_…\": \"name\""),
            Kind::Blank => &format!("this {subject} is empty or blank; fill it in, or remove the entry"),
            Kind::TooLong => &format!("this {subject} is {bytes} bytes long; the limit is 256"),
            Kind::ControlCharacter => &format!("this {subject} contains a control character; remove it"),
            Kind::Secret if subject.is_empty() => {
                "this looks like an API key, not a map of names; remove it, and revoke the key if others could read \
                 it here"
            }
            Kind::Secret => &format!(
                "this {subject} looks like a secret API key; remove it, and revoke the key if others could read \
                 it here (an id, such as key_…, is no secret)"
            ),
            Kind::DuplicateId => "this id occurs twice in the map; remove one of the two",
            Kind::UnknownSection if *subject == "provider" => {
                "this is not the section of a provider; the sections beside it are openai and anthropic"
            }
            Kind::UnknownSection => {
                "this section belongs to no label; the sections are api_key_id, project_id, user_id, workspace_id, \
                 service_account_id, and the id members of your own labels (a name is text: write \"key_…\": \"name\")"
            }
            Kind::DuplicateSection => "this section occurs twice; merge the two",
            Kind::MixedSections => {
                "this map mixes names and sections; write either {\"key_…\": \"name\"} or {\"api_key_id\": {\"key_…\": \
                 \"name\"}, \"project_id\": {\"proj_…\": \"name\"}}"
            }
            Kind::TooLarge => "the ids and names of this map take more than 4 GiB",
        };
        text.to_owned()
    }
}

impl From<TextDefect> for KeyNamesError {
    fn from(defect: TextDefect) -> Self {
        let kind = match defect.kind {
            TextDefectKind::Empty => KeyNamesErrorKind::Empty,
            TextDefectKind::Utf16 => KeyNamesErrorKind::Utf16,
            TextDefectKind::NotUtf8 => KeyNamesErrorKind::NotUtf8,
            TextDefectKind::Truncated => KeyNamesErrorKind::Truncated,
            TextDefectKind::Syntax => KeyNamesErrorKind::Syntax,
            TextDefectKind::Secret => KeyNamesErrorKind::Secret,
        };
        Self { position: defect.position, ..Self::new(kind, "") }
    }
}

impl fmt::Display for KeyNamesError {
    /// Writes the number of the pair or the position in the text, if there is one, before the defect.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(number) = self.pair {
            write!(f, "pair {number}: ")?;
        }
        if let Some((line, column)) = self.position {
            write!(f, "line {line}, column {column}: ")?;
        }
        f.write_str(&self.text())
    }
}

impl std::error::Error for KeyNamesError {}
