//! The section `groups`.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::keys_text::KeysText;
use super::limits::read_limits;
use super::upstreams::UpstreamsByName;
use crate::names::Provider;
use crate::proxy_keys::keys::{Group, ProxyKeysError, ProxyKeysErrorKind as Kind};
use crate::proxy_keys::upstream::Upstreams;

/// The groups of a file by their names.
pub(super) type GroupsByName = HashMap<String, Arc<Group>>;

/// Reads all groups. An absent section contains none.
pub(super) fn read_groups<'a>(
    text: KeysText<'a>,
    section: Option<&'a RawValue>,
    upstreams: &UpstreamsByName,
) -> Result<GroupsByName, ProxyKeysError> {
    let mut groups = HashMap::new();
    let Some(object) = section else { return Ok(groups) };
    for member in text.named_members(object, "groups", "group")? {
        let [limits, references] = text.fixed_members(member.value, "a group", ["limits", "upstreams"])?;
        let group = Group {
            id: member.name.clone().into_owned(),
            limits: read_limits(text, limits)?,
            upstreams: resolve_upstreams(text, references, upstreams)?,
        };
        groups.insert(member.name.into_owned(), Arc::new(group));
    }
    Ok(groups)
}

/// Returns the upstreams to which a group refers, such as `{"openai": "main"}`. Returns an error for a name that is not in
/// the section `upstreams`, or is that of another provider's upstream.
fn resolve_upstreams<'a>(
    text: KeysText<'a>,
    references: Option<&'a RawValue>,
    upstreams: &UpstreamsByName,
) -> Result<Upstreams, ProxyKeysError> {
    let mut resolved = Upstreams::default();
    let Some(object) = references else { return Ok(resolved) };
    let names =
        text.fixed_members(object, "the upstreams of a group", Provider::ALL.map(Provider::as_str))?;
    for (provider, name) in Provider::ALL.into_iter().zip(names) {
        let Some(value) = name else { continue };
        let Some(upstream) = upstreams.get(&*text.string(value, "the name of an upstream")?) else {
            let message =
                "there is no upstream of this name; add it to the section upstreams, or correct the name";
            return Err(text.error(Kind::UnknownUpstream, value, message));
        };
        if upstream.provider() != provider {
            let message = format!("this upstream is not one of {}; name another upstream", provider.as_str());
            return Err(text.error(Kind::UnknownUpstream, value, message));
        }
        resolved = resolved.with_shared(upstream.clone());
    }
    Ok(resolved)
}
