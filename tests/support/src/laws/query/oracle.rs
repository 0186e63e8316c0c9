//! The oracle: decodes the whole query first, and compares texts.

use std::collections::BTreeSet;

use tower_api_key_name::_internal::query::{FilterError, FilterErrorKind};
use tower_api_key_name::KeyNames;
use tower_api_key_name::names::Provider;

/// The settings of one rewriting.
pub(super) struct Oracle<'a> {
    /// The id member and the name member of each label.
    pub(super) labels: &'a [(&'a str, &'a str)],
    pub(super) map: KeyNames,
    pub(super) provider: Option<Provider>,
    pub(super) accepts_names_as_ids: bool,
}

/// The ids that a query requests.
#[derive(Debug)]
pub(super) struct Requested {
    /// The ids of each label in sorted order.
    pub(super) ids: Vec<Vec<String>>,
    /// The text that is sent in place of the names.
    pub(super) sent: Vec<String>,
}

impl Oracle<'_> {
    /// Returns all requested ids, or the error of the first label with an error.
    pub(super) fn requested(&self, query: &str) -> Result<Requested, FilterError> {
        let pairs = pairs(query);
        let dimensions: Vec<_> =
            query.split('&').flat_map(dimensions).map(|dimension| decode(&dimension)).collect();
        let grouped =
            self.labels.iter().filter(|(_, name)| dimensions.iter().any(|dimension| dimension == name));
        let mut sent: Vec<_> = grouped.map(|(id, _)| format!("group_by={id}")).collect();
        let mut ids = Vec::new();
        for label in 0..self.labels.len() {
            let filter = self.filter(label, &pairs);
            let (label_ids, found) = filter.map_err(|kind| FilterError { label: label as u8, kind })?;
            if !found.is_empty() {
                sent.push(format!("{}s={} ids", self.labels[label].0, found.len()));
            }
            ids.push(label_ids);
        }
        Ok(Requested { ids, sent })
    }

    /// Returns the ids of a label that are sent, in sorted order, and those of the names among them.
    fn filter(
        &self,
        label: usize,
        pairs: &Pairs,
    ) -> Result<(Vec<String>, BTreeSet<String>), FilterErrorKind> {
        let (id, name) = self.labels[label];
        if pairs.iter().any(|(parameter, _)| self.label_of_wrong_names(parameter) == Some(label)) {
            return Err(FilterErrorKind::InvalidParameter);
        }
        let is_name = |value: &str| !self.ids(id, value).is_empty();
        let is_id = |value: &str| self.map.section(id).is_some_and(|section| section.name(value).is_some());
        let is_in_map = |value: &str| self.accepts_names_as_ids && (is_name(value) || is_id(value));
        let (mut ids, mut names) = (Vec::new(), Vec::new());
        for value in values(&known_list(pairs, &format!("{id}s")), is_in_map) {
            let is_replaced = self.accepts_names_as_ids && is_name(&value) && !is_id(&value);
            if is_replaced { names.push(value) } else { ids.push(value) }
        }
        let requested = known_list(pairs, &format!("{name}s"));
        for value in values(&requested, is_name) {
            if value.is_empty() {
                return Err(FilterErrorKind::EmptyName);
            }
            if !is_name(&value) {
                return Err(FilterErrorKind::UnknownName { name: value, has_comma: false });
            }
            names.push(value);
        }
        let found: BTreeSet<String> = names.iter().flat_map(|name| self.ids(id, name)).collect();
        let mut new_ids: Vec<_> = found.iter().filter(|id| !ids.contains(id)).cloned().collect();
        ids.append(&mut new_ids);
        ids.sort();
        Ok((ids, found))
    }

    /// Returns the ids with this name that the provider may own.
    fn ids(&self, id_member: &str, name: &str) -> Vec<String> {
        let other_prefix = match self.provider {
            Some(Provider::OpenAi) => "apikey_",
            Some(Provider::Anthropic) => "key_",
            _ => "\0",
        };
        let entries = self.map.section(id_member).into_iter().flat_map(|section| section.iter());
        let found = entries.filter(|(id, known)| *known == name && !id.starts_with(other_prefix));
        found.map(|(id, _)| id.to_owned()).collect()
    }

    /// Returns the label whose names a parameter contains in an unknown form or misspelled.
    fn label_of_wrong_names(&self, parameter: &str) -> Option<usize> {
        if self.is_exact(parameter) {
            return None;
        }
        self.labels.iter().position(|(_, name)| {
            let plural = format!("{name}s");
            let pair = vec![(parameter.to_owned(), String::new())];
            !list(&pair, &plural).is_empty()
                || [letters(name), letters(&plural)].contains(&letters(parameter))
        })
    }

    /// True if a parameter is `group_by`, or a list of a label in a known form.
    fn is_exact(&self, parameter: &str) -> bool {
        let pair = vec![(parameter.to_owned(), String::new())];
        let lists = self.labels.iter().flat_map(|(id, name)| [format!("{id}s"), format!("{name}s")]);
        lists.chain(["group_by".to_owned()]).any(|name| !known_list(&pair, &name).is_empty())
    }

    /// True if a pair contains ids or names of a label in a known form.
    pub(super) fn is_list(&self, pair: &str) -> bool {
        let pair = pairs(pair);
        known_list(&pair, "group_by").is_empty() && self.is_exact(&pair[0].0)
    }
}

/// The letters and digits of a parameter before its brackets, in lower case.
fn letters(parameter: &str) -> String {
    let name = parameter.split('[').next().unwrap_or_default().to_ascii_lowercase();
    name.chars().filter(char::is_ascii_alphanumeric).collect()
}

type Pairs = Vec<(String, String)>;

/// Returns the decoded parameter and value of each pair.
pub(super) fn pairs(query: &str) -> Pairs {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.map(|(name, value)| (decode(name), decode(&value.replace('+', " ")))).collect()
}

/// Decodes percent-encoding. A `%` without two hexadecimal digits after it is literal.
pub(super) fn decode(text: &str) -> String {
    let is_triplet =
        |bytes: &[u8]| bytes.len() > 2 && bytes[0] == b'%' && bytes[1..3].iter().all(u8::is_ascii_hexdigit);
    let mut rest = text.as_bytes();
    let mut out = Vec::new();
    while let Some(first) = rest.first() {
        if is_triplet(rest) {
            let digits = String::from_utf8_lossy(&rest[1..3]);
            out.extend(u8::from_str_radix(&digits, 16));
            rest = &rest[3..];
        } else {
            out.push(*first);
            rest = &rest[1..];
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Returns the form (`""`, `"[]"`, `"[7]"` or another suffix) and the value of each pair whose parameter begins with
/// `name`, unless the name continues as a word.
fn list<'a>(pairs: &'a Pairs, name: &str) -> Vec<(&'a str, &'a str)> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let mut list = Vec::new();
    for (parameter, value) in pairs {
        let Some((start, suffix)) = parameter.split_at_checked(name.len()) else { continue };
        if start.eq_ignore_ascii_case(name) && !suffix.starts_with(is_word) {
            // Another letter case is an unknown form.
            let form = if start == name { suffix } else { "?" };
            list.push((form, value.as_str()));
        }
    }
    list
}

fn is_unknown_form(form: &str) -> bool {
    let digits = form.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    !form.is_empty() && !digits.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
}

/// Returns the pairs of a list in a known form.
pub(super) fn known_list<'a>(pairs: &'a Pairs, name: &str) -> Vec<(&'a str, &'a str)> {
    let mut found = list(pairs, name);
    found.retain(|(form, _)| !is_unknown_form(form));
    found
}

/// Returns the values of a list. A single value without brackets is split at its commas, unless it is a name.
pub(super) fn values(list: &[(&str, &str)], is_name: impl Fn(&str) -> bool) -> Vec<String> {
    match list {
        [("", value)] if !is_name(value) => value.split(',').map(Into::into).collect(),
        _ => list.iter().map(|(_, value)| value.to_string()).collect(),
    }
}

/// Returns the dimensions in a pair, as they are written. A pair without an equals sign has none.
pub(super) fn dimensions(pair: &str) -> Vec<String> {
    let is_list = !known_list(&pairs(pair), "group_by").is_empty();
    match pair.split_once('=') {
        Some((_, value)) if is_list => {
            value.replace("%2C", ",").replace("%2c", ",").split(',').map(Into::into).collect()
        }
        _ => Vec::new(),
    }
}
