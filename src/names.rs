//! The map from id to name: parsed, shared, and reloaded.

mod error;
pub(crate) mod index;
pub(crate) mod key_names;
mod read;
pub(crate) mod shared;
#[cfg(test)]
mod tests;
#[cfg(feature = "watch")]
pub(crate) mod watch;

pub use error::KeyNamesError;
pub use key_names::KeyNames;
#[cfg(feature = "tracing")]
pub(crate) use key_names::shown;
pub(crate) use key_names::{Found, HIDDEN, looks_like_secret};
