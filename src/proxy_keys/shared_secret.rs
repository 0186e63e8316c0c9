//! A secret that can be replaced while the program runs.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::api_key::{ApiKeyError, KeyNoun, read_secret_file};
use crate::watch::{self, ContentError, Parse, StopOnDrop, WatchError, WatchedFile};

/// A secret in memory, or in a file that is read again when it changes. All clones share it.
pub(super) struct SharedSecret<T> {
    secret: Arc<ArcSwap<T>>,
    /// Keeps the watcher of the secret's file alive. It is stopped when the last clone is dropped.
    _watcher: Option<Arc<StopOnDrop>>,
}

/// The parser of a kind of secret.
pub(super) struct SecretParser<T> {
    /// The name of the kind in messages, behind the article "an".
    pub(super) noun: KeyNoun,
    /// Parses the text of a secret. The error contains no part of the text.
    pub(super) parse: fn(&str) -> Result<T, ApiKeyError>,
}

impl<T: Send + Sync + 'static> SharedSecret<T> {
    /// Creates a handle to this secret.
    pub(super) fn new(secret: T) -> Self {
        Self { secret: Arc::new(ArcSwap::from_pointee(secret)), _watcher: None }
    }

    /// Creates a handle to the secret in a file, which is read before this returns, and again when it changes. An invalid new
    /// content, and a removed file, keep the last secret.
    ///
    /// Returns an error if the file cannot be read, contains no such secret, or cannot be watched.
    pub(super) fn from_file(path: &Path, parser: SecretParser<T>) -> Result<Self, ApiKeyError> {
        let file = match WatchedFile::open(path, &parser) {
            Ok(file) => file,
            Err(error) => {
                // A user may pass a secret in place of the path. The error of a second reading does not repeat it.
                return Err(match read_secret_file(path, parser.noun, parser.parse) {
                    Ok(_) => unwatched(&parser, &error),
                    Err(read_error) => read_error,
                });
            }
        };
        let secret = Arc::new(ArcSwap::new(file.parsed.clone()));
        let watched_secret = secret.clone();
        let watcher = watch::follow(vec![file], move |reading| {
            if reading.any_changed {
                watched_secret.store(reading.files[0].parsed.clone());
            }
        });
        match watcher {
            Ok(watcher) => Ok(Self { secret, _watcher: Some(Arc::new(watcher)) }),
            Err(error) => Err(unwatched(&parser, &error)),
        }
    }

    /// Returns the secret of this moment.
    pub(super) fn current(&self) -> Arc<T> {
        self.secret.load_full()
    }
}

/// The error of a file that cannot be watched.
fn unwatched<T>(parser: &SecretParser<T>, error: &WatchError) -> ApiKeyError {
    ApiKeyError::new(format!("the file of the {} cannot be watched: {error}", parser.noun))
}

impl<T> Clone for SharedSecret<T> {
    fn clone(&self) -> Self {
        Self { secret: self.secret.clone(), _watcher: self._watcher.clone() }
    }
}

impl<T> Clone for SecretParser<T> {
    fn clone(&self) -> Self {
        Self { noun: self.noun, parse: self.parse }
    }
}

impl<T: Send + Sync + 'static> Parse for SecretParser<T> {
    type Parsed = T;

    const WHAT: &'static str = "secrets";

    fn parse(&self, content: &[u8]) -> Result<T, ContentError> {
        let text = str::from_utf8(content).unwrap_or_default();
        (self.parse)(text).map_err(|error| ContentError {
            position: None,
            text: error.to_string(),
            source: Box::new(error),
        })
    }
}
