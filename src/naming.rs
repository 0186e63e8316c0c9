//! The Tower layer: its settings, the service, the response future and body, and the headers.
//!
//! A request passes `service`, which rewrites its query and headers (`head`) or answers it itself (`refusal`). `future`
//! waits until the `body` is complete or over the limit; `report` sends the final `outcome` to the callback.

pub(crate) mod body;
pub(crate) mod future;
pub(crate) mod head;
pub(crate) mod layer;
pub mod outcome;
mod refusal;
pub(crate) mod report;
pub(crate) mod service;
pub(crate) mod settings;
pub(crate) mod total;
