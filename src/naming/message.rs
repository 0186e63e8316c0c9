//! The messages about filters by name that cannot be translated, for the user of the API.

#[cfg(test)]
mod tests;

use crate::names::{KEY_ID, Label, Provider};
use crate::naming::suggestions::similar_names;
use crate::query::FilterErrorKind;
use crate::secret::{HIDDEN, looks_like_secret};
use crate::{KeyNames, Snapshot};

/// A filter by name that cannot be translated.
pub(crate) struct RejectedFilter<'a> {
    pub(crate) kind: &'a FilterErrorKind,
    pub(crate) label: &'a Label,
    pub(crate) names: &'a Snapshot,
    /// The provider that the path of the request belongs to.
    pub(crate) provider: Option<Provider>,
}

impl RejectedFilter<'_> {
    /// The parameter of the filter, such as `api_key_names`.
    pub(crate) fn parameter(&self) -> String {
        format!("{}s", self.label.name)
    }

    /// True if an absent name belongs to no id. Otherwise the next map may contain the name.
    pub(crate) fn is_map_complete(&self) -> bool {
        self.names.is_complete_for(&self.label.id)
    }

    /// Returns the message about the reason, which names the label's parameter.
    pub(crate) fn explain(&self) -> String {
        let parameter = self.parameter();
        match self.kind {
            FilterErrorKind::InvalidParameter => {
                format!("Write {parameter}[]=a, {parameter}[0]=a or {parameter}=a,b.")
            }
            FilterErrorKind::EmptyName => self.explain_empty_name(),
            FilterErrorKind::TooLong => {
                let plural = noun(&self.label.id, "s");
                format!(
                    "These names belong to too many {plural} for one request. Request fewer names at once."
                )
            }
            FilterErrorKind::UnknownName { name, has_comma } => {
                let mut message = self.explain_unknown_name(name);
                if *has_comma {
                    message += &format!(
                        " A list is written {parameter}=a,b or, if a name contains a comma, \
                         {parameter}[]=a&{parameter}[]=b."
                    );
                }
                message
            }
        }
    }

    /// Returns the message about an empty name, with the queries that the user may have meant.
    fn explain_empty_name(&self) -> String {
        let is_key = *self.label.id == *KEY_ID;
        let mut message = format!("A name in {} is empty.", self.parameter());
        // Anthropic's reports select the usage that no key made by an empty id.
        if is_key && self.provider == Some(Provider::Anthropic) {
            message += " To query usage without a key, send an empty api_key_ids[]=.";
        }
        let all = if is_key { "keys".to_owned() } else { noun(&self.label.id, "s") };
        message + &format!(" To query all {all}, omit the parameter.")
    }

    /// Returns the message about an unknown name, with the advice to retry if the next map may contain the name.
    fn explain_unknown_name(&self, name: &str) -> String {
        let owner = noun(&self.label.id, "");
        let quoted = quote(name);
        if self.is_map_complete() {
            return format!("No {owner} is named {quoted}.");
        }
        format!(
            "No known {owner} is named {quoted}, but some names are not known yet. Retry later, or use {}s.",
            self.label.id
        )
    }

    /// Returns a sentence with names that are similar to an unknown one, or nothing if there are none. Names of other
    /// labels and providers are not suggested.
    pub(crate) fn suggest(&self) -> String {
        let FilterErrorKind::UnknownName { name, .. } = self.kind else { return String::new() };
        let Some(section) = self.names.section(&self.label.id) else { return String::new() };
        let is_owned = |id: &str| self.provider.is_none_or(|provider| provider.may_own(id));
        let owned_entries = section.iter().filter(|(id, _)| is_owned(id));
        let similar = similar_names(name, owned_entries.map(|(_, known_name)| known_name));
        if similar.is_empty() {
            return String::new();
        }
        let quoted: Vec<_> = similar.into_iter().map(quote).collect();
        format!(" Similar names: {}.", quoted.join(", "))
    }
}

/// Returns the noun for an id, such as "service account" for `service_account_id`, and `id of apiKeyId` for a member
/// without that ending. `plural` is the ending of the noun.
fn noun(id_member: &str, plural: &str) -> String {
    if id_member == KEY_ID {
        return format!("API key{plural}");
    }
    match id_member.strip_suffix("_id") {
        Some(subject) if !subject.is_empty() => format!("{}{plural}", subject.replace('_', " ")),
        _ => format!("id{plural} of {id_member}"),
    }
}

/// Quotes a name, shortened to the maximum length of names. Text that looks like a secret is hidden.
fn quote(name: &str) -> String {
    if looks_like_secret(name) {
        return HIDDEN.to_owned();
    }
    if name.len() <= KeyNames::MAX_LEN {
        return format!("'{name}'");
    }
    let mut end = KeyNames::MAX_LEN;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("'{}…'", &name[..end])
}
