//! The values of the settings of [`ApiKeyNameLayer`](crate::ApiKeyNameLayer).

pub use crate::json::rules::{NamePosition, Prefer, Unmatched};
pub use crate::naming::settings::{ErrorForm, InsertNames};
