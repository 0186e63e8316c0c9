//! The map from id to name: parsed, shared, and reloaded.

mod error;
pub(crate) mod index;
pub(crate) mod key_names;
#[cfg(feature = "directory")]
pub(crate) mod learned;
mod read;
pub(crate) mod shared;
mod snapshot;
mod sources;
mod status;
mod store;
#[cfg(test)]
mod tests;
mod unmatched;
#[cfg(feature = "watch")]
pub(crate) mod watch;

pub use error::KeyNamesError;
pub use key_names::KeyNames;
#[cfg(feature = "tracing")]
pub(crate) use key_names::shown;
pub(crate) use key_names::{Found, HIDDEN, looks_like_secret};
pub use snapshot::Snapshot;
pub use status::Status;
pub use unmatched::UnmatchedReceiver;
