//! The map from the ids of keys to their names: parsed, shared, and reloaded.
//!
//! ```text
//!  bytes ─▶ KeyNames::from_json ─▶ KeyNames ─▶ SharedKeyNames ─▶ one Snapshot per request
//!  files ─▶ watch ─▶ one KeyNames per file ─┐        ▲
//!  directory ─▶ LearnedNames ─▶ KeyNames ───┴▶ Store ┘
//! ```
//!
//! [`KeyNames`] is an immutable map. [`SharedKeyNames`] is the handle to the current map, and [`Snapshot`] one
//! generation of it. [`Status`] describes the handle, and [`UnmatchedReceiver`] receives the ids without a name.

mod entries;
mod error;
mod key_names;
#[cfg(feature = "directory")]
mod learned;
mod parse;
mod secret;
mod shared;
mod store;
mod unmatched;
#[cfg(feature = "watch")]
pub(crate) mod watch;
#[cfg(feature = "watch")]
mod watch_error;

pub(crate) use entries::EntryRef;
pub use error::{KeyNamesError, KeyNamesErrorKind};
pub use key_names::KeyNames;
#[cfg(feature = "directory")]
pub(crate) use learned::LearnedNames;
#[cfg(feature = "watch")]
pub(crate) use secret::display_path;
#[cfg(feature = "tracing")]
pub(crate) use secret::mask;
pub(crate) use secret::{HIDDEN, looks_like_secret};
pub use shared::SharedKeyNames;
pub use store::{Snapshot, Status};
pub use unmatched::UnmatchedReceiver;
#[cfg(feature = "watch")]
pub use watch_error::{WatchError, WatchErrorKind};
