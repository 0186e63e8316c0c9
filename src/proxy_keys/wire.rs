//! Bodies as bytes: the events of a stream, and the usage in a JSON document.

pub(super) mod events;
pub(super) mod usage;
