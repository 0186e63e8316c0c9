//! The laws of `docs::design`, each said once: as a function of any bytes, that panics where the law is broken. A
//! property test draws the bytes, a fuzz target finds them, and what it found worth keeping is replayed.

pub mod amend;
pub mod layer;
pub mod map;
#[cfg(feature = "directory")]
pub mod page;
pub mod query;
pub mod scan;

/// Says that some law holds for these bytes, or panics.
pub type Law = fn(&[u8]);

/// Every law, by the name of its fuzz target.
pub const LAWS: &[(&str, Law)] = &[
    ("amend", amend::hold),
    ("layer", layer::hold),
    ("map", map::hold),
    #[cfg(feature = "directory")]
    ("page", page::hold),
    ("query", query::hold),
    ("scan", scan::hold),
];
