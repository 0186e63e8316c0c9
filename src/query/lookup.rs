//! The ids of the names in one filter.

use std::collections::{HashMap, HashSet};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::{FilterErrorKind, QueryNames};
use crate::names::{Label, Provider, Section};

/// All characters except the unreserved ones (RFC 3986 §2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The look-ups by name of one label. Each id is returned once.
pub(super) struct Lookup<'a> {
    /// The names of the label. `None` if the map has no such section.
    section: Option<Section<'a>>,
    provider: Option<Provider>,
    /// The ids in the query, and those that were returned.
    sent_ids: HashSet<String>,
    /// The names that were looked up. True if they have ids.
    seen_names: HashMap<String, bool>,
    /// The number of ids with the found names, also of those in the query. `None` if no name was found.
    pub(super) id_count: Option<usize>,
    /// The length of the returned ids, in bytes.
    returned_len: usize,
    max_length: usize,
}

impl<'a> Lookup<'a> {
    /// Creates the look-up in the section of a label.
    pub(super) fn new(label: &Label, names: &QueryNames<'a>) -> Self {
        Self {
            section: names.map.section(&label.id),
            provider: names.provider,
            sent_ids: HashSet::new(),
            seen_names: HashMap::new(),
            id_count: None,
            returned_len: 0,
            max_length: names.max_length,
        }
    }

    /// Adds an id that the query contains already. It is not returned.
    pub(super) fn add_sent_id(&mut self, id: String) {
        self.sent_ids.insert(id);
    }

    /// True if the map contains this id.
    pub(super) fn is_id(&self, text: &str) -> bool {
        self.section.is_some_and(|section| section.name(text).is_some())
    }

    /// True if an id of the provider has this name.
    pub(super) fn is_name(&self, text: &str) -> bool {
        !self.ids(text).is_empty()
    }

    /// Returns the ids with this name, percent-encoded, without those that the query contains or that were returned
    /// already. Returns `None` if no id has the name, and an error if the returned ids are too long for a query.
    pub(super) fn take_ids(&mut self, name: String) -> Result<Option<Vec<String>>, FilterErrorKind> {
        // The ids of a name that was looked up before are in the query already.
        match self.seen_names.get(&name) {
            Some(true) => return Ok(Some(Vec::new())),
            Some(false) => return Ok(None),
            None => {}
        }
        let ids = self.ids(&name);
        let has_ids = !ids.is_empty();
        self.seen_names.insert(name, has_ids);
        if !has_ids {
            return Ok(None);
        }
        self.id_count = Some(self.id_count.unwrap_or(0) + ids.len());
        let mut new_ids = Vec::new();
        for id in ids {
            let is_new = self.sent_ids.insert(id.to_owned());
            if !is_new {
                continue;
            }
            new_ids.push(utf8_percent_encode(id, RESERVED).to_string());
            // Any number of ids may have the same name, so the loop ends as soon as the result is too long.
            self.returned_len += id.len();
            if self.returned_len > self.max_length {
                return Err(FilterErrorKind::TooLong);
            }
        }
        Ok(Some(new_ids))
    }

    /// Returns the ids with this name that the provider may own, in the order of the map.
    fn ids(&self, name: &str) -> Vec<&'a str> {
        let Some(section) = self.section else { return Vec::new() };
        let is_owned = |id: &&str| self.provider.is_none_or(|provider| provider.may_own(id));
        section.ids(name).filter(is_owned).collect()
    }
}

/// Decodes a value. `+` is a space, as in forms.
pub(super) fn decode(value: &str) -> String {
    percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned()
}
