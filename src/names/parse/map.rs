//! The maps that are not list pages: names of keys, sections of labels, and sections of providers.

use serde_json::value::RawValue;

use crate::json_text::{RawMember, RawObject, kind_of, position_of, string};
use crate::names::error::{ID, KeyNamesError, KeyNamesErrorKind as Kind};
use crate::names::labels::KNOWN_ID_MEMBERS;
use crate::names::{KEYS, KeyNames, Labels, Provider};

/// The text of a map, the labels that are on, and the provider whose sections are read.
pub(super) struct MapText<'a> {
    pub(super) text: &'a str,
    pub(super) labels: &'a Labels,
    pub(super) provider: Option<Provider>,
}

impl<'a> MapText<'a> {
    /// Builds the map of these members, whose form the first member shows. Returns the first error, with its position in
    /// the text.
    pub(super) fn parse(&self, members: &[RawMember<'a>]) -> Result<KeyNames, KeyNamesError> {
        let mut names = KeyNames { has_all_sections: members.is_empty(), ..KeyNames::default() };
        let Some((first_name, first_value)) = members.first() else { return Ok(names) };
        // An error response is `{"error": {…}}`. As an entry it causes an error with a remedy.
        let is_error_response = string(first_name).as_deref() == Some("error");
        if is_error_response || !is_object(first_value) {
            self.add_entries(&mut names, KEYS, members)?;
        } else if provider(first_name).is_some() {
            names = self.providers(members)?;
        } else {
            names = self.sections(members)?;
        }
        Ok(names)
    }

    /// Returns the names of the wanted provider, or of all providers. The sections of an unwanted provider are only checked.
    fn providers(&self, members: &[RawMember<'a>]) -> Result<KeyNames, KeyNamesError> {
        let mut seen = Vec::new();
        let mut maps = Vec::new();
        for (name, value) in members {
            let Some(provider) = provider(name) else {
                return Err(self.error_at(Kind::UnknownSection, "provider", name));
            };
            if seen.contains(&provider) {
                return Err(self.error_at(Kind::DuplicateSection, "", name));
            }
            seen.push(provider);
            let names = self.sections(&self.members(value)?)?;
            if self.provider.is_none_or(|wanted| wanted == provider) {
                maps.push(names);
            }
        }
        // Both providers may have the same id, so each of them has a map first.
        Ok(KeyNames::merged(&maps))
    }

    /// Returns the names in the section of each label. Returns an error for a section of no label, and for a repeated section.
    fn sections(&self, members: &[RawMember<'a>]) -> Result<KeyNames, KeyNamesError> {
        let mut names = KeyNames { lacks_keys: true, ..KeyNames::default() };
        let mut seen = Vec::new();
        for (name, value) in members {
            let entries = self.members(value)?;
            let id_member = string(name).unwrap_or_default();
            let has_label = self.labels.iter().any(|(label_id, _)| label_id == id_member);
            if !has_label && !KNOWN_ID_MEMBERS.contains(&&*id_member) {
                return Err(self.error_at(Kind::UnknownSection, "label", name));
            }
            if seen.contains(&id_member) {
                return Err(self.error_at(Kind::DuplicateSection, "", name));
            }
            let section = names.add_section(&id_member);
            self.add_entries(&mut names, section, &entries)?;
            seen.push(id_member);
        }
        Ok(names)
    }

    /// Adds the entries of one section. An error has the position of the id or of the name, whichever is wrong.
    fn add_entries(
        &self,
        names: &mut KeyNames,
        section: usize,
        members: &[RawMember<'a>],
    ) -> Result<(), KeyNamesError> {
        for (id, value) in members {
            if let Err(error) = add_entry(names, section, id, value) {
                let part = if error.subject == ID { id } else { value };
                return Err(self.at(error, part));
            }
        }
        Ok(())
    }

    /// Returns the members of a section. Returns an error if it is not an object.
    fn members(&self, value: &'a RawValue) -> Result<Vec<RawMember<'a>>, KeyNamesError> {
        if !is_object(value) {
            return Err(self.error_at(Kind::MixedSections, "", value));
        }
        let Ok(RawObject(members)) = serde_json::from_str(value.get()) else {
            return Err(self.error_at(Kind::Syntax, "", value));
        };
        Ok(members)
    }

    fn error_at(&self, kind: Kind, subject: &'static str, part: &RawValue) -> KeyNamesError {
        self.at(KeyNamesError::new(kind, subject), part)
    }

    /// Adds the position of a part, which is a slice of the text.
    fn at(&self, error: KeyNamesError, part: &RawValue) -> KeyNamesError {
        error.at(position_of(self.text, part))
    }
}

/// Adds an entry to a section. The subject of an error is [`ID`] if its position is that of the id.
fn add_entry(
    names: &mut KeyNames,
    section: usize,
    raw_id: &RawValue,
    value: &RawValue,
) -> Result<(), KeyNamesError> {
    let Some(id) = string(raw_id) else {
        return Err(KeyNamesError::new(Kind::Syntax, ID));
    };
    if let Some(name) = string(value) {
        return names.add(section, &id, &name);
    }
    Err(match value.get().as_bytes().first() {
        Some(b'{') if id == "error" => KeyNamesError::new(Kind::ErrorResponse, ID),
        Some(b'{') => KeyNamesError::new(Kind::MixedSections, ID),
        // A string with an invalid escape.
        Some(b'"') => KeyNamesError::new(Kind::Syntax, ""),
        _ => KeyNamesError::new(Kind::NotAName, kind_of(value)),
    })
}

fn is_object(value: &RawValue) -> bool {
    value.get().starts_with('{')
}

/// Returns the provider with this name.
fn provider(name: &RawValue) -> Option<Provider> {
    let name = string(name)?;
    Provider::ALL.into_iter().find(|provider| provider.as_str() == name)
}
