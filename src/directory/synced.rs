//! The report of a listing whose names were stored.

use super::listing::{Changes, Listing};
use crate::KeyNames;
use std::fmt;
use std::sync::Arc;

/// The result of a listing and of storing its names. `Display` writes a summary in one line.
#[derive(Clone, Debug)]
pub struct Synced {
    pub(super) listing: Arc<Listing>,
    pub(super) names: Arc<KeyNames>,
    pub(super) changes: Changes,
    pub(super) written: bool,
}

impl Synced {
    /// The result of the listing.
    pub fn listing(&self) -> &Listing {
        &self.listing
    }

    /// All learned names: those of the listing, and those known before.
    pub fn names(&self) -> &KeyNames {
        &self.names
    }

    /// The difference between the listing and the names known before.
    pub fn changes(&self) -> Changes {
        self.changes
    }

    /// True if the file was written. False if it contained the same names already, or could not be written.
    pub fn is_written(&self) -> bool {
        self.written
    }
}

impl fmt::Display for Synced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Changes { new, renamed, gone } = self.changes;
        let (projects, keys) = (self.listing.projects(), self.listing.keys());
        if projects > 0 {
            write!(f, "{projects} projects, ")?;
        }
        write!(f, "{keys} keys: {new} new, {renamed} renamed")?;
        if let Some(gone) = gone {
            write!(f, ", {gone} gone")?;
        }
        match self.listing.left_out() {
            0 => {}
            left_out => write!(f, ", {left_out} left out without a usable name")?,
        }
        match self.listing.missing().len() {
            0 => Ok(()),
            missing => write!(f, "; {missing} lists are missing"),
        }
    }
}
