//! The items of the array `data`: the keys.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::value::RawValue;

use super::groups::GroupsByName;
use super::keys_text::KeysText;
use super::limits::read_limits;
use crate::proxy_keys::keys::key::DEFAULT_RESERVE;
use crate::proxy_keys::keys::{
    Group, KeyDigest, KeyTable, Meter, Pattern, PatternList, Prices, ProxyKey, ProxyKeysError,
    ProxyKeysErrorKind as Kind, UsageScope,
};

/// The subject of errors in an item.
const KEY: &str = "a key";

/// The members of an item.
const MEMBERS: [&str; 11] = [
    "id",
    "name",
    "group",
    "hashes",
    "models",
    "tools",
    "limits",
    "reserve",
    "created_at",
    "expires_at",
    "usage_scope",
];

/// Reads items one by one.
pub(super) struct KeyReader<'a> {
    text: KeysText<'a>,
    groups: GroupsByName,
    pub(super) prices: Prices,
    ids: HashSet<String>,
    /// The keys that can be used, so far.
    pub(super) table: KeyTable,
    /// The ids and names of all keys so far, also of revoked keys.
    pub(super) pairs: Vec<(String, String)>,
    /// Those of the keys in each group, by the group's name.
    pub(super) pairs_by_group: HashMap<String, Vec<(String, String)>>,
}

impl<'a> KeyReader<'a> {
    pub(super) fn new(text: KeysText<'a>, groups: GroupsByName, prices: Prices) -> Self {
        Self {
            text,
            groups,
            prices,
            ids: HashSet::new(),
            table: KeyTable::default(),
            pairs: Vec::new(),
            pairs_by_group: HashMap::new(),
        }
    }

    /// Adds the key of an item. A key without digests, which is revoked, is added to the names only.
    pub(super) fn add_key(&mut self, item: &'a RawValue) -> Result<(), ProxyKeysError> {
        let text = self.text;
        let [id, name, group, hashes, models, tools, limits, reserve, created_at, expires_at, usage_scope] =
            text.fixed_members(item, KEY, MEMBERS)?;
        let id_value = text.required(id, item, KEY, "id")?;
        let name_value = text.required(name, item, KEY, "name")?;
        let hashes_value = text.required(hashes, item, KEY, "hashes")?;
        let key = ProxyKey {
            id: self.read_id(id_value)?,
            name: text.label(name_value, "name")?.into_owned(),
            group: self.find_group(group)?,
            models: read_patterns(text, models, "models", PatternList::All)?,
            hosted_tools: read_patterns(text, tools, "tools", PatternList::Only(Vec::new()))?,
            limits: read_limits(text, limits)?,
            reserve: read_reserve(text, reserve)?,
            created_at: read_created_at(text, created_at)?,
            expires_at: read_expires_at(text, expires_at)?,
            usage_scope: read_usage_scope(text, usage_scope)?,
        };
        let pair = (key.id.clone(), key.name.clone());
        if let Some(group) = &key.group {
            self.pairs_by_group.entry(group.id.clone()).or_default().push(pair.clone());
        }
        self.pairs.push(pair);
        let digests = text.items(hashes_value, "hashes")?;
        if !digests.is_empty() {
            self.check_prices(&key, id_value, models)?;
        }
        self.add_digests(&digests, &Arc::new(key))
    }

    /// Reads an id, which must differ from those of all earlier keys.
    fn read_id(&mut self, value: &'a RawValue) -> Result<String, ProxyKeysError> {
        let id = self.text.label(value, "id")?.into_owned();
        if !self.ids.insert(id.clone()) {
            let message = "this id belongs to an earlier key; give each key an id of its own";
            return Err(self.text.error(Kind::DuplicateId, value, message));
        }
        Ok(id)
    }

    /// Finds the group to which a key refers. Returns `None` if the key has no group.
    fn find_group(&self, value: Option<&'a RawValue>) -> Result<Option<Arc<Group>>, ProxyKeysError> {
        let Some(value) = value else { return Ok(None) };
        let name = self.text.string(value, "group")?;
        match self.groups.get(&*name) {
            Some(group) => Ok(Some(group.clone())),
            None => {
                let message =
                    "there is no group of this name; add it to the section groups, or correct the name";
                Err(self.text.error(Kind::UnknownGroup, value, message))
            }
        }
    }

    /// Adds a key to the table under each of its digests, which must differ from all earlier ones.
    fn add_digests(&mut self, items: &[&'a RawValue], key: &Arc<ProxyKey>) -> Result<(), ProxyKeysError> {
        for item in items {
            let Some(digest) = KeyDigest::parse(&self.text.string(item, "a digest")?) else {
                let message = "a digest must be sha256: and 64 lower-case hexadecimal digits, the SHA-256 of the \
                               whole key; if this is the key, remove it, and revoke it if others could read it here";
                return Err(self.text.error(Kind::InvalidValue, item, message));
            };
            if !self.table.add(digest, key.clone()) {
                let message = "this digest occurs twice in the file; remove one of the two";
                return Err(self.text.error(Kind::DuplicateDigest, item, message));
            }
        }
        Ok(())
    }

    /// Returns an error if a dollar limit applies to the key, and it may call a model without a price. The position of the
    /// error is that of the model's pattern, or of the id if the key may call all models.
    fn check_prices(
        &self,
        key: &ProxyKey,
        id: &RawValue,
        models: Option<&'a RawValue>,
    ) -> Result<(), ProxyKeysError> {
        let has_dollar_limit = key.all_limits().any(|limits| limits.has_meter(Meter::Dollars));
        if !has_dollar_limit {
            return Ok(());
        }
        let Some(models) = models else {
            if self.prices.covers(&Pattern::all()) {
                return Ok(());
            }
            let message = "this key or its group has a dollar limit and the key may call every model, but not every model \
                           has a price; list its models, or add the pattern * to prices";
            return Err(self.text.error(Kind::NoPrice, id, message));
        };
        for item in self.text.items(models, "models")? {
            if !self.prices.covers(&self.text.pattern(item)?) {
                let message = "this key or its group has a dollar limit, but the models of this pattern have no price; \
                               add the pattern to prices";
                return Err(self.text.error(Kind::NoPrice, item, message));
            }
        }
        Ok(())
    }
}

/// Reads a list of patterns. Returns `default` if it is absent.
fn read_patterns<'a>(
    text: KeysText<'a>,
    value: Option<&'a RawValue>,
    subject: &str,
    default: PatternList,
) -> Result<PatternList, ProxyKeysError> {
    let Some(list) = value else { return Ok(default) };
    let mut patterns = Vec::new();
    for item in text.items(list, subject)? {
        patterns.push(text.pattern(item)?);
    }
    Ok(PatternList::Only(patterns))
}

/// Reads the number of tokens that are reserved for the output of a call.
fn read_reserve<'a>(text: KeysText<'a>, value: Option<&'a RawValue>) -> Result<u64, ProxyKeysError> {
    match value {
        Some(number) => text.positive_integer(number, "reserve"),
        None => Ok(DEFAULT_RESERVE),
    }
}

/// Reads the instant at which a key was created, in Unix seconds as in the lists of OpenAI.
fn read_created_at<'a>(
    text: KeysText<'a>,
    value: Option<&'a RawValue>,
) -> Result<Option<Timestamp>, ProxyKeysError> {
    let Some(number) = value else { return Ok(None) };
    let seconds = text.positive_integer(number, "created_at")?;
    match i64::try_from(seconds).map(Timestamp::from_second) {
        Ok(Ok(instant)) => Ok(Some(instant)),
        _ => {
            let message = "created_at must be a time in seconds since 1970, such as 1790000000";
            Err(text.error(Kind::InvalidValue, number, message))
        }
    }
}

/// Reads the instant from which a key is rejected.
fn read_expires_at<'a>(
    text: KeysText<'a>,
    value: Option<&'a RawValue>,
) -> Result<Option<Timestamp>, ProxyKeysError> {
    let Some(value) = value else { return Ok(None) };
    match text.string(value, "expires_at")?.parse() {
        Ok(instant) => Ok(Some(instant)),
        Err(_) => {
            let message =
                "expires_at must be a time with its offset from UTC (RFC 3339), such as 2027-07-31T00:00:00Z";
            Err(text.error(Kind::InvalidValue, value, message))
        }
    }
}

/// Reads the usage rows that a key may read.
fn read_usage_scope<'a>(
    text: KeysText<'a>,
    value: Option<&'a RawValue>,
) -> Result<UsageScope, ProxyKeysError> {
    let Some(value) = value else { return Ok(UsageScope::default()) };
    let name = text.string(value, "usage_scope")?;
    for scope in UsageScope::ALL {
        if scope.as_str() == name {
            return Ok(scope);
        }
    }
    Err(text.error(Kind::InvalidValue, value, "usage_scope must be own, group or all"))
}
