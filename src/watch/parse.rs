//! The parser of watched files.

use std::error::Error;
use std::path::Path;

use super::{WatchError, WatchErrorKind};

/// The settings with which the content of a watched file is parsed.
pub(crate) trait Parse: Clone + Send + 'static {
    /// The parsed content of one file.
    type Parsed: Send + Sync;

    /// The content in the plural, such as "key names", for messages and for the name of the thread.
    const WHAT: &'static str;

    /// Parses the whole content of a file. The error must not repeat the content, which may be a secret.
    fn parse(&self, content: &[u8]) -> Result<Self::Parsed, ContentError>;
}

/// The reason why the content of a file is invalid.
pub(crate) struct ContentError {
    /// The line and the column, from 1. `None` if the error concerns the whole content.
    pub(crate) position: Option<(usize, usize)>,
    /// The defect and a remedy, without the position.
    pub(crate) text: String,
    pub(crate) source: Box<dyn Error + Send + Sync>,
}

/// Parses the content of a file. An error begins with the path and the position, in the form that compilers use.
pub(crate) fn parse_file<P: Parse>(path: &Path, content: &[u8], parser: &P) -> Result<P::Parsed, WatchError> {
    parser.parse(content).map_err(|ContentError { position, text, source }| {
        let message = match position {
            Some((line, column)) => format!(":{line}:{column}: {text}"),
            None => format!(": {text}"),
        };
        WatchError::in_file(WatchErrorKind::InvalidContent, path, message).caused_by(source)
    })
}
