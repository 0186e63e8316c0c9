//! A Tower middleware that puts `api_key_name` beside every `api_key_id`: so far, the map and the engine.

// What only the layer calls has no caller yet.
#![allow(dead_code)]

mod names;
mod outcome;
mod rewrite;
mod shared;
#[cfg(feature = "watch")]
mod watch;

pub use names::{KeyNames, KeyNamesError};
pub use outcome::{Counts, Outcome, Skip};
pub use rewrite::amend::Unmatched;
pub use shared::{SharedKeyNames, Snapshot, Status};
#[cfg(feature = "watch")]
pub use watch::WatchError;
