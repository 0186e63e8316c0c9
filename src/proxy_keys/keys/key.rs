//! One proxy key, and the group that it belongs to.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use super::{Limits, PatternList};
use crate::proxy_keys::upstream::Upstreams;

/// The default of `reserve`, in tokens. Most responses are shorter, so concurrent calls rarely exceed a limit.
pub(crate) const DEFAULT_RESERVE: u64 = 4096;

/// The id, permissions and limits of one proxy key.
pub(crate) struct ProxyKey {
    /// The id of the key in usage rows and logs, such as `key_stmary_tutor`.
    pub(crate) id: String,
    /// The name of the key, such as `St Mary's, tutor`.
    pub(crate) name: String,
    /// The group whose limits also count, if the key belongs to one.
    pub(crate) group: Option<Arc<Group>>,
    /// The models that the key may call, by the name in the request.
    pub(crate) models: PatternList,
    /// The tool types that the key may use beside those of the endpoint table, which every key may use.
    pub(crate) hosted_tools: PatternList,
    /// The limits of this key alone.
    pub(crate) limits: Limits,
    /// The greatest number of output tokens that are reserved for a call.
    pub(crate) reserve: u64,
    /// The instant at which the key was created, if the file contains it.
    pub(crate) created_at: Option<Timestamp>,
    /// The instant from which the key is rejected.
    pub(crate) expires_at: Option<Timestamp>,
    /// The usage rows that the key may read.
    pub(crate) usage_scope: UsageScope,
}

/// A customer with one or several keys.
#[derive(Debug)]
pub(crate) struct Group {
    /// The name of the group in the keys file.
    pub(crate) id: String,
    /// The limits of all keys of the group together.
    pub(crate) limits: Limits,
    /// The upstreams of its calls. Calls to another provider go to the default upstream.
    pub(crate) upstreams: Upstreams,
}

/// The usage rows that a key may read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum UsageScope {
    /// Those of the key itself: the default, because a key may be given to anyone.
    #[default]
    Own,
    /// Those of calls in its group, and its own in any group. A key without a group has the scope `own` instead.
    Group,
    /// Those of all keys.
    All,
}

impl ProxyKey {
    /// True if the key is no longer valid at this instant.
    pub(crate) fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|expires_at| expires_at <= now)
    }

    /// True if the key or its group has a limit.
    #[cfg(test)]
    pub(crate) fn is_limited(&self) -> bool {
        self.all_limits().any(|limits| !limits.is_empty())
    }

    /// The limits of the key, and those of its group.
    pub(crate) fn all_limits(&self) -> impl Iterator<Item = &Limits> {
        let group_limits = self.group.as_ref().map(|group| &group.limits);
        std::iter::once(&self.limits).chain(group_limits)
    }
}

impl UsageScope {
    /// All scopes.
    pub(crate) const ALL: [UsageScope; 3] = [UsageScope::Own, UsageScope::Group, UsageScope::All];

    /// The name in the keys file.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            UsageScope::Own => "own",
            UsageScope::Group => "group",
            UsageScope::All => "all",
        }
    }
}

/// Writes the members in the forms of the keys file, and the group by its name.
impl fmt::Debug for ProxyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyKey")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("group", &self.group.as_ref().map(|group| &group.id))
            .field("models", &self.models)
            .field("tools", &self.hosted_tools)
            .field("limits", &self.limits)
            .field("reserve", &self.reserve)
            .field("created_at", &self.created_at.map(Timestamp::as_second))
            .field("expires_at", &self.expires_at)
            .field("usage_scope", &self.usage_scope.as_str())
            .finish()
    }
}
