//! Bodies as bytes: the events of a stream, the usage in a JSON document, and the event with nothing but usage.

pub(super) mod events;
pub(super) mod usage;
pub(super) mod usage_event;
