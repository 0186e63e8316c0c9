//! The errors of keys files, with texts that never repeat the file.

use std::borrow::Cow;
use std::fmt;

use crate::json_text::{NOT_UTF8, SYNTAX, TRUNCATED, TextDefect, TextDefectKind, UTF16};
use crate::names::{KeyNamesError, KeyNamesErrorKind};
use crate::watch::ContentError;

/// The reason why a keys file was rejected, with its position and a remedy.
///
/// Its text never repeats a value of the file, which may be a secret, and it has no `source()` that could.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyKeysError {
    kind: ProxyKeysErrorKind,
    /// The line and the column in the text, from 1.
    position: Option<(usize, usize)>,
    /// The defect and a remedy, with names of members that the format has.
    message: Cow<'static, str>,
}

/// The kind of a [`ProxyKeysError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProxyKeysErrorKind {
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
    /// The whole text, an id, a name or a pattern looks like a secret API key.
    Secret,
    /// A value has another JSON type than its member requires.
    WrongType,
    /// The format has no such member.
    UnknownMember,
    /// A member occurs twice in its object.
    DuplicateMember,
    /// A required member is absent.
    MissingMember,
    /// A text is blank, too long, or contains a control character.
    InvalidText,
    /// A value has the right type, but is not in the form or range of its member.
    InvalidValue,
    /// `has_more` is true: keys are missing in the list.
    Incomplete,
    /// An id belongs to two keys.
    DuplicateId,
    /// A digest occurs twice.
    DuplicateDigest,
    /// A key refers to a group that the file does not contain.
    UnknownGroup,
    /// A group refers to an upstream that the file does not contain, or to one of another provider.
    UnknownUpstream,
    /// A key with a dollar limit may call a model without a price.
    NoPrice,
    /// The real key of an upstream cannot be read.
    UpstreamKey,
}

impl ProxyKeysError {
    /// Creates an error without a position.
    pub(super) fn new(kind: ProxyKeysErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, position: None, message: message.into() }
    }

    /// Sets the line and the column, from 1.
    pub(super) fn at(self, position: (usize, usize)) -> Self {
        Self { position: Some(position), ..self }
    }

    /// The kind of the error.
    pub fn kind(&self) -> ProxyKeysErrorKind {
        self.kind
    }

    /// The line in the file, from 1. `None` if the error concerns the whole file.
    pub fn line(&self) -> Option<usize> {
        self.position.map(|(line, _)| line)
    }

    /// The column in that line, in characters, from 1: the start of the member or value with the error.
    pub fn column(&self) -> Option<usize> {
        self.position.map(|(_, column)| column)
    }
}

impl From<TextDefect> for ProxyKeysError {
    fn from(defect: TextDefect) -> Self {
        use ProxyKeysErrorKind as Kind;
        let (kind, message) = match defect.kind {
            TextDefectKind::Empty => {
                (Kind::Empty, "there is nothing here; write {\"data\": []} for a file without keys")
            }
            TextDefectKind::Utf16 => (Kind::Utf16, UTF16),
            TextDefectKind::NotUtf8 => (Kind::NotUtf8, NOT_UTF8),
            TextDefectKind::Truncated => (Kind::Truncated, TRUNCATED),
            TextDefectKind::Syntax => (Kind::Syntax, SYNTAX),
            TextDefectKind::Secret => (
                Kind::Secret,
                "this looks like an API key, not a keys file; remove it, and revoke the key if others could read it \
                 here",
            ),
        };
        Self { position: defect.position, ..Self::new(kind, message) }
    }
}

/// The error of an id or a name. Its text is that of the naming maps, without a position.
impl From<KeyNamesError> for ProxyKeysError {
    fn from(error: KeyNamesError) -> Self {
        let kind = match error.kind() {
            KeyNamesErrorKind::Secret => ProxyKeysErrorKind::Secret,
            KeyNamesErrorKind::DuplicateId => ProxyKeysErrorKind::DuplicateId,
            _ => ProxyKeysErrorKind::InvalidText,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<ProxyKeysError> for ContentError {
    fn from(error: ProxyKeysError) -> Self {
        Self { position: error.position, text: error.message.clone().into_owned(), source: error.into() }
    }
}

impl fmt::Display for ProxyKeysError {
    /// Writes the position in the text, if there is one, before the defect.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.position {
            write!(f, "line {line}, column {column}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for ProxyKeysError {}
