//! The section `upstreams`.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::keys_text::KeysText;
use crate::api_key::ApiKeyError;
use crate::base_url::BaseUrl;
use crate::names::Provider;
use crate::proxy_keys::keys::{ProxyKeysError, ProxyKeysErrorKind as Kind};
use crate::proxy_keys::upstream::{Upstream, UpstreamKey};

/// The subject of errors in an upstream.
const UPSTREAM: &str = "an upstream";

/// The upstreams of a file by their names.
pub(super) type UpstreamsByName = HashMap<String, Arc<Upstream>>;

/// The treatment of the real keys that a file refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum RealKeys {
    /// They are read from the environment and from files.
    Read,
    /// They are not read: the upstreams cannot be used.
    Ignore,
}

/// Reads all upstreams. An absent section contains none.
pub(super) fn read_upstreams<'a>(
    text: KeysText<'a>,
    section: Option<&'a RawValue>,
    real_keys: RealKeys,
) -> Result<UpstreamsByName, ProxyKeysError> {
    let mut upstreams = HashMap::new();
    let Some(object) = section else { return Ok(upstreams) };
    for member in text.named_members(object, "upstreams", "upstream")? {
        let upstream = read_upstream(text, member.value, real_keys)?;
        upstreams.insert(member.name.into_owned(), Arc::new(upstream));
    }
    Ok(upstreams)
}

/// Reads one upstream, and its real key from an environment variable or a file.
fn read_upstream<'a>(
    text: KeysText<'a>,
    object: &'a RawValue,
    real_keys: RealKeys,
) -> Result<Upstream, ProxyKeysError> {
    let [provider, base_url, key_env, key_file] =
        text.fixed_members(object, UPSTREAM, ["provider", "base_url", "key_env", "key_file"])?;
    let provider_value = text.required(provider, object, UPSTREAM, "provider")?;
    let provider = read_provider(text, provider_value)?;
    let address = match base_url {
        Some(url) => read_base_url(text, url)?,
        None => public_base_url(provider),
    };
    let key = match (key_env, key_file) {
        (Some(variable), None) => read_key_variable(text, variable, real_keys)?,
        (None, path) => {
            let path_value = text.required(path, object, UPSTREAM, "key_env or key_file")?;
            read_key_file(text, path_value, real_keys)?
        }
        (Some(_), Some(path)) => {
            let message = "an upstream has one real key; remove key_env or key_file";
            return Err(text.error(Kind::DuplicateMember, path, message));
        }
    };
    // The error's own text repeats the address.
    Upstream::new(provider, address, key).map_err(|_| {
        let message = "the base URL is http to another machine, so others can read the real key; use https";
        text.error(Kind::InvalidValue, base_url.unwrap_or(object), message)
    })
}

/// Reads the real key from the environment variable that the file names.
fn read_key_variable<'a>(
    text: KeysText<'a>,
    value: &'a RawValue,
    real_keys: RealKeys,
) -> Result<UpstreamKey, ProxyKeysError> {
    let variable = text.string(value, "key_env")?;
    if real_keys == RealKeys::Ignore {
        return Ok(unread_key());
    }
    UpstreamKey::from_env(&variable).map_err(|error| {
        let message = if error.is_not_set() {
            "the environment variable that key_env names is not set; set it to the real key of the provider"
                .to_owned()
        } else {
            key_error("the environment variable that key_env names", &error)
        };
        text.error(Kind::UpstreamKey, value, message)
    })
}

/// Reads the real key from the file that the keys file names.
fn read_key_file<'a>(
    text: KeysText<'a>,
    value: &'a RawValue,
    real_keys: RealKeys,
) -> Result<UpstreamKey, ProxyKeysError> {
    let path = text.string(value, "key_file")?;
    if real_keys == RealKeys::Ignore {
        return Ok(unread_key());
    }
    UpstreamKey::from_file(&*path).map_err(|error| {
        let message = key_error("the file that key_file names", &error);
        text.error(Kind::UpstreamKey, value, message)
    })
}

/// The key of an upstream whose real key is not read.
fn unread_key() -> UpstreamKey {
    UpstreamKey::new("unread".to_owned()).expect("the text is one word")
}

/// Describes why a place contains no real key. The text of an [`ApiKeyError`] repeats the variable or path, which may
/// be a key in the wrong place; that of the system does not.
fn key_error(place: &str, error: &ApiKeyError) -> String {
    match error.source() {
        Some(cause) => format!("{place} cannot be read: {cause}"),
        None => format!("{place} contains no key; a key is one word of visible ASCII"),
    }
}

/// Reads the name of a provider.
fn read_provider<'a>(text: KeysText<'a>, value: &'a RawValue) -> Result<Provider, ProxyKeysError> {
    let name = text.string(value, "provider")?;
    match Provider::from_name(&name) {
        Some(provider) => Ok(provider),
        None => Err(text.error(Kind::InvalidValue, value, "provider must be openai or anthropic")),
    }
}

/// Reads a base URL.
fn read_base_url<'a>(text: KeysText<'a>, value: &'a RawValue) -> Result<BaseUrl, ProxyKeysError> {
    match text.string(value, "base_url")?.parse::<BaseUrl>() {
        Ok(base_url) => Ok(base_url),
        Err(error) => Err(text.error(Kind::InvalidValue, value, error.to_string())),
    }
}

/// The public address of a provider's API.
fn public_base_url(provider: Provider) -> BaseUrl {
    match provider {
        Provider::OpenAi => BaseUrl::openai(),
        Provider::Anthropic => BaseUrl::anthropic(),
    }
}
