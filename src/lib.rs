//! A Tower middleware that puts `api_key_name` beside every `api_key_id`: so far, the map of names.

// What only the engine calls has no caller yet.
#![allow(dead_code)]

mod names;
mod shared;
#[cfg(feature = "watch")]
mod watch;

pub use names::{KeyNames, KeyNamesError};
pub use shared::{SharedKeyNames, Snapshot, Status};
#[cfg(feature = "watch")]
pub use watch::WatchError;
