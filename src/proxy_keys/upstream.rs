//! The upstreams: the address of a provider's API, with the real key that is sent there.

mod real_key;

use std::error::Error;
use std::fmt;
use std::sync::Arc;

pub(crate) use self::real_key::RealKey;
pub use self::real_key::UpstreamKey;
use crate::api_key::ApiKeyError;
use crate::base_url::BaseUrl;
use crate::names::Provider;

/// The address of a provider's API, with the real key of its calls.
///
/// The key is bound to the address: it is sent nowhere else.
#[derive(Clone, Debug)]
pub struct Upstream {
    provider: Provider,
    base: BaseUrl,
    key: UpstreamKey,
}

impl Upstream {
    /// Creates an upstream. The address is `https`, or on this machine.
    ///
    /// # Errors
    ///
    /// If another machine could read the key on its way to the address: see [`BaseUrl::is_confidential`].
    ///
    /// ```
    /// use tower_api_key_name::names::Provider;
    /// use tower_api_key_name::proxy_keys::{Upstream, UpstreamKey};
    ///
    /// let key = UpstreamKey::new("sk-…".replace('…', "x"))?;
    /// let error = Upstream::new(Provider::OpenAi, "http://gateway.example".parse()?, key).unwrap_err();
    /// assert!(error.to_string().starts_with("http://gateway.example is not https"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(provider: Provider, base: BaseUrl, key: UpstreamKey) -> Result<Self, UpstreamError> {
        if base.is_confidential() {
            Ok(Self { provider, base, key })
        } else {
            Err(UpstreamError { origin: base.origin() })
        }
    }

    /// The provider whose API the upstream serves.
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// The address of the API.
    pub(crate) fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// Returns the real key of this moment. A key in a file may be replaced later.
    pub(crate) fn real_key(&self) -> RealKey {
        self.key.current()
    }
}

/// An address to which a real key must not be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamError {
    /// The scheme, host and port. The path of an address may be secret.
    origin: String,
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = &self.origin;
        write!(
            f,
            "{origin} is not https and not this machine: a key sent there can be read on its way; use https"
        )
    }
}

impl Error for UpstreamError {}

/// The upstreams of a layer: at most one for each provider.
///
/// A group of the keys file may have upstreams of its own, which have precedence.
#[derive(Clone, Debug, Default)]
pub struct Upstreams {
    upstreams: Vec<Arc<Upstream>>,
}

impl Upstreams {
    /// Creates the upstreams of the public APIs whose keys are in the environment: `OPENAI_API_KEY` for
    /// `https://api.openai.com`, and `ANTHROPIC_API_KEY` for `https://api.anthropic.com`. In place of each,
    /// `OPENAI_API_KEY_FILE` or `ANTHROPIC_API_KEY_FILE` may contain the path of a file with the key.
    ///
    /// # Errors
    ///
    /// If no variable is set, or if one contains no key. An empty variable counts as one that is not set.
    pub fn from_env() -> Result<Self, ApiKeyError> {
        let mut upstreams = Self::default();
        for (provider, base, variable) in [
            (Provider::OpenAi, BaseUrl::openai(), "OPENAI_API_KEY"),
            (Provider::Anthropic, BaseUrl::anthropic(), "ANTHROPIC_API_KEY"),
        ] {
            match UpstreamKey::from_env(variable) {
                Ok(key) => upstreams = upstreams.with(Upstream { provider, base, key }),
                Err(error) if error.is_not_set() => {}
                Err(error) => return Err(error),
            }
        }
        if upstreams.is_empty() {
            return Err(ApiKeyError::not_set(
                "neither OPENAI_API_KEY nor ANTHROPIC_API_KEY is set; set one to an API key, \
                 or OPENAI_API_KEY_FILE or ANTHROPIC_API_KEY_FILE to the file with the key",
            ));
        }
        Ok(upstreams)
    }

    /// True if there is no upstream.
    pub(crate) fn is_empty(&self) -> bool {
        self.upstreams.is_empty()
    }

    /// Adds an upstream. It replaces that of the same provider.
    #[must_use]
    pub fn with(self, upstream: Upstream) -> Self {
        self.with_shared(Arc::new(upstream))
    }

    /// Adds an upstream that several groups share. It replaces that of the same provider.
    pub(crate) fn with_shared(mut self, upstream: Arc<Upstream>) -> Self {
        self.upstreams.retain(|other| other.provider != upstream.provider);
        self.upstreams.push(upstream);
        self
    }

    /// Returns the upstream of this provider, or `None` if there is none.
    pub(crate) fn of_provider(&self, provider: Provider) -> Option<&Arc<Upstream>> {
        self.upstreams.iter().find(|upstream| upstream.provider == provider)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(base: &str) -> Result<Upstream, UpstreamError> {
        let key = UpstreamKey::new("sk-real".to_owned()).unwrap();
        Upstream::new(Provider::OpenAi, base.parse().unwrap(), key)
    }

    #[test]
    fn upstream_without_tls_is_rejected_unless_it_is_on_this_machine() {
        for base in ["https://gateway", "http://127.0.0.1:8080", "http://localhost", "http://[::1]/v1"] {
            assert!(upstream(base).is_ok(), "{base}");
        }
        let error = upstream("http://gateway:8080/secret").unwrap_err();
        assert!(error.to_string().starts_with("http://gateway:8080 is not https"), "{error}");
        assert!(!format!("{error}{error:?}").contains("secret"));
    }

    #[test]
    fn upstream_replaces_that_of_its_provider() {
        let first = upstream("https://first").unwrap();
        let second = upstream("https://second").unwrap();
        let upstreams = Upstreams::default().with(first).with(second);
        let found = upstreams.of_provider(Provider::OpenAi).unwrap();
        assert_eq!(found.base().host(), "second");
        assert!(upstreams.of_provider(Provider::Anthropic).is_none());
    }
}
