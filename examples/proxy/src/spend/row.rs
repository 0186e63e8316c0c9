//! One row of costs, in the same form for all providers.
use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde_json::value::RawValue;

use super::amount::{Amount, AmountError};
use super::query::Dimension;

/// One row of costs. The members by which the request does not group are absent or null.
#[derive(Clone, Debug, Default)]
pub struct CostRow<'a> {
    /// The display name of the provider.
    pub provider: &'a str,
    pub organization: Option<Cow<'a, str>>,
    pub key: NamedId<'a>,
    pub project: NamedId<'a>,
    pub user: NamedId<'a>,
    pub line_item: RowMember<'a>,
    pub model: RowMember<'a>,
    pub currency: Cow<'a, str>,
    pub amount: Amount,
}

/// An id with its name.
#[derive(Clone, Debug, Default)]
pub struct NamedId<'a> {
    pub id: RowMember<'a>,
    /// `None` for an id without a name.
    pub name: Option<Cow<'a, str>>,
}

/// A member of a row, which may be absent or null.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum RowMember<'a> {
    #[default]
    Absent,
    Null,
    Text(Cow<'a, str>),
}

/// The reason why a row is invalid.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RowError {
    #[error("a member occurs twice or has an unexpected type")]
    UnexpectedType,
    #[error(transparent)]
    Amount(#[from] AmountError),
    #[error("the amount has no currency")]
    NoCurrency,
    #[error("the row has no valid time")]
    NoTime,
    #[error("the costs are those of more than one day")]
    NotDaily,
}

/// The value of a dimension in a row. `T` is its text, or the index of its text.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum GroupValue<T> {
    Text(T),
    /// The id, where a name is expected, because the id has no name.
    UnnamedId(T),
    /// The costs belong to no key, project, user or other value.
    Null,
    /// The row lacks the member of the dimension.
    Absent,
}

impl<T> GroupValue<T> {
    /// Converts the text.
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> GroupValue<U> {
        match self {
            Self::Text(text) => GroupValue::Text(convert(text)),
            Self::UnnamedId(id) => GroupValue::UnnamedId(convert(id)),
            Self::Null => GroupValue::Null,
            Self::Absent => GroupValue::Absent,
        }
    }

    /// Returns the name, or the id if it has no name. `None` if the value is null or absent.
    pub fn text(self) -> Option<T> {
        match self {
            Self::Text(text) | Self::UnnamedId(text) => Some(text),
            Self::Null | Self::Absent => None,
        }
    }

    /// Returns the name of the case in the data of charts and of the browser's page.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::UnnamedId(_) => "unnamed",
            Self::Null => "null",
            Self::Absent => "absent",
        }
    }
}

impl CostRow<'_> {
    /// Returns the value of a dimension.
    pub fn value(&self, dimension: Dimension) -> GroupValue<&str> {
        match dimension {
            Dimension::KeyName => self.key.name_or_id(),
            Dimension::KeyId => self.key.id.value(),
            Dimension::ProjectName => self.project.name_or_id(),
            Dimension::ProjectId => self.project.id.value(),
            Dimension::UserName => self.user.name_or_id(),
            Dimension::LineItem => self.line_item.value(),
            Dimension::Model => self.model.value(),
            Dimension::Provider => GroupValue::Text(self.provider),
            Dimension::Organization => {
                self.organization.as_deref().map_or(GroupValue::Null, GroupValue::Text)
            }
        }
    }

    /// Returns the id of the key, if the row has one.
    pub fn key_id(&self) -> Option<&str> {
        match &self.key.id {
            RowMember::Text(id) => Some(id),
            RowMember::Null | RowMember::Absent => None,
        }
    }
}

impl<'a> NamedId<'a> {
    /// Creates an id with its name. An empty id is treated as null.
    pub fn new(id: RowMember<'a>, name: RowMember<'a>) -> Self {
        let is_empty = matches!(&id, RowMember::Text(text) if text.is_empty());
        Self { id: if is_empty { RowMember::Null } else { id }, name: name.into_text() }
    }

    /// Returns the name of the id, or the id if it has no name.
    fn name_or_id(&self) -> GroupValue<&str> {
        match (&self.id, &self.name) {
            (RowMember::Absent, _) => GroupValue::Absent,
            (RowMember::Null, _) => GroupValue::Null,
            (RowMember::Text(_), Some(name)) => GroupValue::Text(name),
            (RowMember::Text(id), None) => GroupValue::UnnamedId(id),
        }
    }
}

impl<'a> RowMember<'a> {
    /// Returns the text of a currency. An error means that it is absent, null or empty.
    pub fn into_currency(self) -> Result<Cow<'a, str>, RowError> {
        match self {
            Self::Text(text) if !text.is_empty() => Ok(text),
            _ => Err(RowError::NoCurrency),
        }
    }

    /// Returns the text, or `None` if the member is absent or null.
    pub fn into_text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null | Self::Absent => None,
        }
    }

    fn value(&self) -> GroupValue<&str> {
        match self {
            Self::Absent => GroupValue::Absent,
            Self::Null => GroupValue::Null,
            Self::Text(text) => GroupValue::Text(text),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for RowMember<'a> {
    /// Borrows a string without escapes. serde's `Option<Cow<str>>` would copy each string.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RowMemberVisitor)
    }
}

struct RowMemberVisitor;

impl<'de> Visitor<'de> for RowMemberVisitor {
    type Value = RowMember<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or null")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(RowMember::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(RowMember::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(RowMember::Null)
    }
}

/// Parses an amount from the JSON of a number or a string.
pub fn parse_amount(json: &RawValue) -> Result<Amount, AmountError> {
    let text = json.get();
    if !text.starts_with('"') {
        return Amount::parse(text);
    }
    match serde_json::from_str(text) {
        Ok(RowMember::Text(unescaped)) => Amount::parse(&unescaped),
        _ => Err(AmountError::NotDecimal),
    }
}
