//! The laws of `docs::design`. Each is a function of any bytes that panics if the law is broken: property tests draw
//! the bytes, fuzz targets search for them, and `tests/corpus.rs` replays the corpora of the fuzz targets.

pub mod amend;
pub mod events;
pub mod gate;
pub mod keys;
pub mod layer;
pub mod map;
pub mod page;
pub mod query;
pub mod scan;

/// Panics if a law does not hold for these bytes.
pub type Law = fn(&[u8]);

/// The laws by the names of their fuzz targets, except `events`, `gate`, `keys` and `page`, which need features of the
/// library.
pub const LAWS: &[(&str, Law)] = &[
    ("amend", amend::check),
    ("layer", layer::check),
    ("map", map::check),
    ("query", query::check),
    ("scan", scan::check),
];
