//! Calls with proxy keys (`--keys`): the library's layer between the main listener and the providers.
//!
//! ```text
//! main listener ─▶ log ─▶ checks ─▶ errors ─▶ usage ─▶ ProxyKeyLayer (the library) ─▶ decompression ─▶ timeout ─▶ upstream
//!                                               └─▶ names ─▶ UsageLayer (the library) ─▶ ledger
//! ```
//!
//! [`flags`] are the flags, and [`stack`] lists the layers in the order of the path. [`revocation`] is one of the checks.
//! [`usage`] serves the usage in the ledger. [`operator_usage`] serves all of it at the operator listener.
pub mod credential_headers;
pub mod flags;
pub mod operator_usage;
pub mod revocation;
pub mod stack;
pub mod usage;

use std::path::Path;
use std::time::Duration;

use tower_api_key_name::ApiKeyNameLayer;
use tower_api_key_name::directory::BaseUrl;
use tower_api_key_name::names::Provider;
use tower_api_key_name::proxy_keys::{
    Ledger, LedgerOptions, OperatorToken, ProxyKeyLayer, ProxyKeys, Upstream, UpstreamKey, Upstreams,
};

use super::by_provider::ByProvider;
use super::start_error::StartError;
use flags::ProxyKeyFlags;
use usage::LedgerUsageApi;

/// The keys, their ledger, and the addresses with the real keys.
pub struct ProxyKeyParts {
    pub keys: ProxyKeys,
    pub ledger: Ledger,
    upstreams: Upstreams,
    max_request_body: usize,
    drain_timeout: Duration,
}

impl ProxyKeyParts {
    pub fn new(keys: ProxyKeys, ledger: Ledger, upstreams: Upstreams, flags: &ProxyKeyFlags) -> Self {
        let ProxyKeyFlags { max_request_body, drain_timeout, .. } = *flags;
        Self { keys, ledger, upstreams, max_request_body, drain_timeout }
    }

    /// Opens a keys file and a ledger, and reads the real keys from the environment.
    ///
    /// Fails if a file cannot be used, if another process writes the ledger, or if there is no real key.
    pub fn open(
        keys: &Path,
        ledger: &Path,
        flags: &ProxyKeyFlags,
        base: &ByProvider<BaseUrl>,
    ) -> Result<Self, StartError> {
        let keys = open_keys(keys)?;
        let upstreams = upstreams_from_env(base, keys.has_upstreams())?;
        let ledger = LedgerOptions::new().keep_rows(flags.keep_rows).open(ledger);
        let ledger = ledger.map_err(|e| StartError::CannotStart(format!("--ledger: {e}")))?;
        Ok(Self::new(keys, ledger, upstreams, flags))
    }

    /// Returns the usage of the keys for their callers.
    pub fn usage_api(&self, naming_layer: ApiKeyNameLayer) -> LedgerUsageApi {
        LedgerUsageApi::new(self.keys.clone(), &self.ledger, naming_layer)
    }

    /// Returns the usage of the keys for the holder of the token in a file. Fails if the file contains no operator token.
    pub fn operator_usage_api(
        &self,
        token_file: &Path,
        naming_layer: ApiKeyNameLayer,
    ) -> Result<LedgerUsageApi, StartError> {
        let token = OperatorToken::from_file(token_file)
            .map_err(|e| StartError::BadUse(format!("--operator-token-file: {e}")))?;
        let keys = self.keys.clone().operator_token(token);
        Ok(LedgerUsageApi::new(keys, &self.ledger, naming_layer))
    }

    /// Creates the layer that accepts the keys.
    pub fn layer(&self) -> ProxyKeyLayer {
        ProxyKeyLayer::new(self.keys.clone(), self.ledger.clone(), self.upstreams.clone())
            .max_request_body(self.max_request_body)
            .drain_timeout(self.drain_timeout)
    }
}

/// Reads a keys file, and again when it changes.
fn open_keys(path: &Path) -> Result<ProxyKeys, StartError> {
    ProxyKeys::watch(path).map_err(|e| StartError::CannotStart(format!("--keys: {e}")))
}

/// Returns the upstream of each provider whose real key is in the environment, at its base URL.
///
/// Fails if a variable contains no key, if another machine could read a key on its way to the base URL, or if there is no
/// key. A keys file with upstreams has real keys of its own.
pub fn upstreams_from_env(base: &ByProvider<BaseUrl>, has_other_keys: bool) -> Result<Upstreams, StartError> {
    let mut upstreams = Upstreams::default();
    let mut has_key = has_other_keys;
    for (provider, base_url) in base.iter() {
        let key = match UpstreamKey::from_env(key_variable(provider)) {
            Ok(key) => key,
            Err(error) if error.is_not_set() => continue,
            Err(error) => return Err(StartError::BadUse(format!("--keys: {error}"))),
        };
        let upstream = Upstream::new(provider, base_url.clone(), key)
            .map_err(|e| StartError::BadUse(format!("--{}-base-url with --keys: {e}", provider.as_str())))?;
        upstreams = upstreams.with(upstream);
        has_key = true;
    }
    if has_key {
        return Ok(upstreams);
    }
    Err(StartError::BadUse(
        "--keys: there is no real key; set OPENAI_API_KEY or ANTHROPIC_API_KEY to an API key, or OPENAI_API_KEY_FILE or \
         ANTHROPIC_API_KEY_FILE to the file with the key"
            .to_owned(),
    ))
}

/// Returns the environment variable with a provider's real key.
fn key_variable(provider: Provider) -> &'static str {
    match provider {
        Provider::Anthropic => "ANTHROPIC_API_KEY",
        _ => "OPENAI_API_KEY",
    }
}
