//! The usage rows and the names that the caller of a request may see.

use std::sync::Arc;

use http::HeaderMap;
use jiff::Timestamp;

use super::gate;
use super::keys::{KeyTable, ProxyKey, ProxyKeys, UsageScope};
use super::operator_token::OperatorToken;
use crate::{KeyNames, SharedKeyNames};

#[cfg(test)]
mod tests;

/// The caller of a request, and the usage rows that it may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UsageAccess {
    /// The id of the caller's key. `None` for the holder of the operator token.
    pub(crate) key_id: Option<Arc<str>>,
    pub(crate) visible: VisibleUsage,
}

/// The usage rows that the caller of a request may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum VisibleUsage {
    /// The rows of all keys.
    All,
    /// The rows of calls that were made in the group, and the rows of the key in any group.
    Group { group_id: Arc<str>, key_id: Arc<str> },
    /// The rows of the key.
    Own { key_id: Arc<str> },
}

impl VisibleUsage {
    /// True if a row of this key is visible. The group is that of the row, and empty if the call had no group.
    pub(crate) fn includes(&self, row_key_id: &str, row_group_id: &str) -> bool {
        match self {
            VisibleUsage::All => true,
            VisibleUsage::Group { group_id, key_id } => {
                **group_id == *row_group_id || **key_id == *row_key_id
            }
            VisibleUsage::Own { key_id } => **key_id == *row_key_id,
        }
    }

    /// Returns the rows that a key may see. A key without a group has the scope `own` in place of `group`.
    fn of_key(key: &ProxyKey) -> Self {
        let key_id: Arc<str> = Arc::from(&*key.id);
        match (key.usage_scope, &key.group) {
            (UsageScope::All, _) => VisibleUsage::All,
            (UsageScope::Group, Some(group)) => {
                VisibleUsage::Group { group_id: Arc::from(&*group.id), key_id }
            }
            (UsageScope::Group, None) | (UsageScope::Own, _) => VisibleUsage::Own { key_id },
        }
    }
}

impl ProxyKeys {
    /// Also accepts an operator token, as the credential of a caller who may see the usage and the names of all keys.
    ///
    /// It applies to this handle, its later clones, and their [`names`](Self::names). Earlier clones do not accept the token,
    /// so a program can give it to the layers of one listener only. A token permits no call: [`accepts`](Self::accepts) and
    /// [`ProxyKeyLayer`](super::ProxyKeyLayer) reject it.
    pub fn operator_token(mut self, token: OperatorToken) -> Self {
        self.operator_token = Some(token);
        self
    }

    /// True if the credential of a request is the [operator token](Self::operator_token) of this handle.
    pub fn is_operator(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.operator_token else { return false };
        match gate::read_credential(headers) {
            Ok(credential) => token.is_equal_to(credential),
            Err(_) => false,
        }
    }

    /// Returns a handle to the names of the keys, for [`ApiKeyNameLayer`](crate::ApiKeyNameLayer). Its generations are
    /// those of the keys.
    ///
    /// The layer reads the credential of each request, and uses only the names that its caller may see:
    ///
    /// | caller | names |
    /// |---|---|
    /// | the [operator token](Self::operator_token), or a key with the `usage_scope` `all` | of all keys |
    /// | a key with the scope `group`, and a group | of the keys that are now in that group |
    /// | any other valid key | its own |
    /// | no valid credential | none |
    ///
    /// A filter by another name has the same response as a filter by a name that does not exist. Usage of a key that has left
    /// the group has no name for the callers of the group.
    ///
    /// [`snapshot`](SharedKeyNames::snapshot), `status` and the other methods of the handle see all names, and
    /// [`replace`](SharedKeyNames::replace) has no effect on requests.
    pub fn names(&self) -> SharedKeyNames {
        let keys = self.clone();
        self.all_names.with_selection(Arc::new(move |headers| keys.visible_names(headers)))
    }

    /// Returns the caller of a request and the rows that it may see. Returns `None` if the credential is neither the operator
    /// token nor a proxy key that is valid now.
    pub(crate) fn usage_access(&self, headers: &HeaderMap) -> Option<UsageAccess> {
        self.usage_access_in(&self.table(), headers)
    }

    /// Returns the caller of a request and the rows that it may see, by this table.
    fn usage_access_in(&self, table: &KeyTable, headers: &HeaderMap) -> Option<UsageAccess> {
        if self.is_operator(headers) {
            return Some(UsageAccess { key_id: None, visible: VisibleUsage::All });
        }
        let key = gate::authenticate(headers, table, Timestamp::now()).ok()?;
        Some(UsageAccess { key_id: Some(Arc::from(&*key.id)), visible: VisibleUsage::of_key(&key) })
    }

    /// Returns the names that the caller of a request may see: those of all keys, of the keys in its group, or its own.
    fn visible_names(&self, headers: &HeaderMap) -> Arc<KeyNames> {
        let table = self.table();
        match self.usage_access_in(&table, headers).map(|access| access.visible) {
            Some(VisibleUsage::All) => table.names().clone(),
            Some(VisibleUsage::Group { group_id, .. }) => table.names_of_group(&group_id),
            Some(VisibleUsage::Own { key_id }) => Arc::new(table.names_of_key(&key_id)),
            None => Arc::default(),
        }
    }
}
