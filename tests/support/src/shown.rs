//! The output of the public types, in which the tests of secrecy look for secrets.

use std::collections::BTreeMap;
use std::fmt::Debug;

/// The output of each type, by its name.
#[derive(Default)]
pub struct Shown(pub BTreeMap<&'static str, Vec<String>>);

impl Shown {
    /// Adds both forms of the `Debug` output.
    pub fn debug(&mut self, name: &'static str, value: &dyn Debug) {
        self.0.entry(name).or_default().extend([format!("{value:?}"), format!("{value:#?}")]);
    }

    /// Adds the texts of an error and of its causes.
    pub fn error(&mut self, name: &'static str, error: &dyn std::error::Error) {
        let texts = self.0.entry(name).or_default();
        let mut next = Some(error);
        while let Some(error) = next {
            texts.extend([format!("{error:?}"), error.to_string()]);
            next = error.source();
        }
    }
}
