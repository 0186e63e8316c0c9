//! Strict reading of the values of a keys file, with the position of each defect.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::value::RawValue;

use crate::json_text::{RawMember, RawObject, SYNTAX, kind_of, position_of, string};
use crate::names::check_text;
use crate::proxy_keys::keys::{Pattern, ProxyKeysError, ProxyKeysErrorKind as Kind};

/// The text of a keys file, of which all values are slices.
#[derive(Clone, Copy)]
pub(super) struct KeysText<'a>(pub(super) &'a str);

/// A member whose name the user chose, such as that of a group.
pub(super) struct NamedMember<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) raw_name: &'a RawValue,
    pub(super) value: &'a RawValue,
}

impl<'a> KeysText<'a> {
    /// Creates an error at the start of a part of the text.
    pub(super) fn error(
        self,
        kind: Kind,
        part: &RawValue,
        message: impl Into<Cow<'static, str>>,
    ) -> ProxyKeysError {
        ProxyKeysError::new(kind, message).at(position_of(self.0, part))
    }

    /// Returns the values of an object's members in the order of `names`, with `None` for an absent member. Returns an
    /// error for a value that is not an object, an unknown member, and a member that occurs twice.
    pub(super) fn fixed_members<const N: usize>(
        self,
        value: &'a RawValue,
        subject: &str,
        names: [&'static str; N],
    ) -> Result<[Option<&'a RawValue>; N], ProxyKeysError> {
        let mut values = [None; N];
        for (raw_name, member_value) in self.members(value, subject)? {
            let name = self.string(raw_name, "the name of a member")?;
            let Some(index) = names.iter().position(|known| *known == name) else {
                let list = names.join(", ");
                let message = format!(
                    "this is no member of {subject}; the members are {list}; correct its spelling, or remove it"
                );
                return Err(self.error(Kind::UnknownMember, raw_name, message));
            };
            if values[index].is_some() {
                return Err(self.duplicate_member(raw_name));
            }
            values[index] = Some(member_value);
        }
        Ok(values)
    }

    /// Returns the members of an object whose names the user chose. Returns an error for a value that is not an object,
    /// a name that breaks the rules of ids, and a name that occurs twice.
    pub(super) fn named_members(
        self,
        value: &'a RawValue,
        subject: &'static str,
        name_subject: &'static str,
    ) -> Result<Vec<NamedMember<'a>>, ProxyKeysError> {
        let mut seen = HashSet::new();
        let mut members = Vec::new();
        for (raw_name, member_value) in self.members(value, subject)? {
            let name = self.label(raw_name, name_subject)?;
            if !seen.insert(name.clone()) {
                return Err(self.duplicate_member(raw_name));
            }
            members.push(NamedMember { name, raw_name, value: member_value });
        }
        Ok(members)
    }

    /// Returns the value of a required member of `object`, or an error at the start of the object.
    pub(super) fn required(
        self,
        member: Option<&'a RawValue>,
        object: &RawValue,
        subject: &str,
        name: &str,
    ) -> Result<&'a RawValue, ProxyKeysError> {
        member.ok_or_else(|| {
            self.error(Kind::MissingMember, object, format!("{subject} needs the member {name}; add it"))
        })
    }

    /// Returns the items of an array, or an error for another value.
    pub(super) fn items(
        self,
        value: &'a RawValue,
        subject: &str,
    ) -> Result<Vec<&'a RawValue>, ProxyKeysError> {
        if !value.get().starts_with('[') {
            return Err(self.wrong_type(value, subject, "an array"));
        }
        serde_json::from_str(value.get()).map_err(|_| self.error(Kind::Syntax, value, SYNTAX))
    }

    /// Returns the unescaped text of a string, or an error for another value or an invalid escape.
    pub(super) fn string(self, value: &'a RawValue, subject: &str) -> Result<Cow<'a, str>, ProxyKeysError> {
        match string(value) {
            Some(text) => Ok(text),
            None if value.get().starts_with('"') => Err(self.error(Kind::Syntax, value, SYNTAX)),
            None => Err(self.wrong_type(value, subject, "text in quotes")),
        }
    }

    /// Returns a string that keeps the rules of ids and names: see [`KeyNames`](crate::KeyNames).
    pub(super) fn label(
        self,
        value: &'a RawValue,
        subject: &'static str,
    ) -> Result<Cow<'a, str>, ProxyKeysError> {
        let label = self.string(value, subject)?;
        match check_text(&label, subject) {
            Ok(()) => Ok(label),
            Err(error) => Err(ProxyKeysError::from(error).at(position_of(self.0, value))),
        }
    }

    /// Returns the pattern in a string. Returns an error if the string breaks the rules of ids, or has a `*` before its
    /// end.
    pub(super) fn pattern(self, value: &'a RawValue) -> Result<Pattern, ProxyKeysError> {
        let text = self.label(value, "pattern")?;
        Pattern::parse(&text).ok_or_else(|| {
            let message = "a pattern may have one *, at its end, such as gpt-5-mini*; remove the other *";
            self.error(Kind::InvalidValue, value, message)
        })
    }

    /// Returns a whole number from 1 to `i64::MAX`, in which counters are stored.
    pub(super) fn positive_integer(self, value: &'a RawValue, subject: &str) -> Result<u64, ProxyKeysError> {
        let is_number = value.get().starts_with(|first: char| first == '-' || first.is_ascii_digit());
        if !is_number {
            return Err(self.wrong_type(value, subject, "a whole number"));
        }
        match value.get().parse::<i64>() {
            Ok(number @ 1..) => Ok(number.unsigned_abs()),
            _ => {
                let message = format!("{subject} must be a whole number from 1 to {}, such as 60", i64::MAX);
                Err(self.error(Kind::InvalidValue, value, message))
            }
        }
    }

    /// Creates the error of a value that has another type than `expected`.
    pub(super) fn wrong_type(self, value: &RawValue, subject: &str, expected: &str) -> ProxyKeysError {
        let message = format!("{subject} must be {expected}, not {}", kind_of(value));
        self.error(Kind::WrongType, value, message)
    }

    /// Returns the members of an object, or an error for another value.
    fn members(self, value: &'a RawValue, subject: &str) -> Result<Vec<RawMember<'a>>, ProxyKeysError> {
        if !value.get().starts_with('{') {
            return Err(self.wrong_type(value, subject, "an object"));
        }
        match serde_json::from_str(value.get()) {
            Ok(RawObject(members)) => Ok(members),
            Err(_) => Err(self.error(Kind::Syntax, value, SYNTAX)),
        }
    }

    fn duplicate_member(self, raw_name: &RawValue) -> ProxyKeysError {
        self.error(
            Kind::DuplicateMember,
            raw_name,
            "this member occurs twice in its object; remove one of the two",
        )
    }
}
