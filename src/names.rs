//! The map from ids to names: parsed, shared, and reloaded.
//!
//! ```text
//!  bytes ─▶ MapReader ─▶ parse ─▶ KeyNames ─▶ SharedKeyNames ─▶ one Snapshot per request
//!  files ─▶ crate::watch ─▶ watch ─▶ KeyNames ─┐        ▲
//!  directory ─▶ LearnedNames ─▶ KeyNames ──────┴▶ Store ┘
//! ```
//!
//! [`KeyNames`] is an immutable map, with a [`Section`] for each of the [`Labels`]. `watch` follows one map per file.
//! [`SharedKeyNames`] is the handle to the current map, and [`Snapshot`] one generation of it. [`Status`] describes the
//! handle, and [`UnmatchedReceiver`] receives the ids without a name.

mod entries;
mod error;
mod key_names;
mod labels;
#[cfg(feature = "directory")]
mod learned;
mod parse;
mod provider;
mod reader;
mod section;
mod shared;
mod store;
mod unmatched;
#[cfg(feature = "watch")]
mod watch;

#[cfg(feature = "watch")]
pub use crate::watch::{WatchError, WatchErrorKind};
pub(crate) use entries::{EntryRef, KEYS};
pub use error::{KeyNamesError, KeyNamesErrorKind};
pub use key_names::KeyNames;
#[cfg(feature = "proxy-keys")]
pub(crate) use key_names::check_text;
#[doc(hidden)]
pub use labels::LabelSet;
pub(crate) use labels::{KEY_ID, KEY_NAME, Label, MAX_LABELS, MAX_MEMBER_LEN};
pub use labels::{LabelError, Labels};
#[cfg(feature = "directory")]
pub(crate) use learned::LearnedNames;
pub use provider::Provider;
pub use reader::MapReader;
pub use section::Section;
pub use shared::SharedKeyNames;
pub use store::{Snapshot, Status};
pub use unmatched::UnmatchedReceiver;
