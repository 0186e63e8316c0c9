//! Parses a keys file, strictly: see [`ProxyKeys`](super::ProxyKeys) for the format.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::value::RawValue;

use self::groups::read_groups;
use self::keys::KeyReader;
use self::keys_text::KeysText;
use self::prices::read_prices;
pub(super) use self::upstreams::RealKeys;
use self::upstreams::read_upstreams;
use super::{KeyTable, ProxyKeysError, ProxyKeysErrorKind as Kind};
use crate::json_text::{self, decode};
use crate::names::KeyNames;

mod groups;
mod keys;
mod keys_text;
mod limits;
mod prices;
mod upstreams;

#[cfg(test)]
mod tests;

/// A keys file after parsing.
#[derive(Debug)]
pub(super) struct KeysFile {
    /// The keys that can be used.
    pub(super) table: Arc<KeyTable>,
    /// The names of all keys, also of those without a digest.
    pub(super) names: Arc<KeyNames>,
}

impl KeysFile {
    /// Parses a keys file in UTF-8. Returns the first defect.
    pub(super) fn parse(json: &[u8], real_keys: RealKeys) -> Result<Self, ProxyKeysError> {
        const FILE: &str = "the keys file";
        let text = KeysText(decode(json)?);
        let file: &RawValue = json_text::parse(text.0)?;
        let [object, has_more, data, groups, upstreams, prices] =
            text.fixed_members(file, FILE, ["object", "has_more", "data", "groups", "upstreams", "prices"])?;
        check_list(text, object, has_more)?;
        let data = text.required(data, file, FILE, "data")?;
        let upstreams = read_upstreams(text, upstreams, real_keys)?;
        let groups = read_groups(text, groups, &upstreams)?;
        let prices = read_prices(text, prices)?;
        let mut reader = KeyReader::new(text, groups, prices);
        for item in text.items(data, "data")? {
            reader.add_key(item)?;
        }
        let names = Arc::new(KeyNames::new(reader.pairs)?);
        let mut names_by_group = HashMap::new();
        for (group_id, pairs) in reader.pairs_by_group {
            names_by_group.insert(group_id, Arc::new(KeyNames::new(pairs)?));
        }
        let mut table = reader.table;
        table.set_prices(reader.prices);
        table.set_names(names.clone(), names_by_group);
        Ok(Self { table: Arc::new(table), names })
    }
}

/// Checks the members with which a complete list of OpenAI begins and ends. Both may be absent.
fn check_list<'a>(
    text: KeysText<'a>,
    object: Option<&'a RawValue>,
    has_more: Option<&'a RawValue>,
) -> Result<(), ProxyKeysError> {
    if let Some(value) = object
        && text.string(value, "object")? != "list"
    {
        return Err(text.error(Kind::InvalidValue, value, "object must be list, or absent"));
    }
    match has_more {
        Some(value) if value.get() == "true" => {
            let message = "has_more is true, so this list is incomplete; add the other keys, and write false";
            Err(text.error(Kind::Incomplete, value, message))
        }
        Some(value) if value.get() != "false" => Err(text.wrong_type(value, "has_more", "false")),
        _ => Ok(()),
    }
}
