//! The addresses of the APIs and the admin keys for them, from the flags and the environment.
use tower_api_key_name::directory::{AdminKey, BaseUrl, DirectoryError};
use tower_api_key_name::names::Provider;

use super::flags::SpendFlags;
use crate::base_url_flags::BaseUrlFlags;
use crate::by_provider::ByProvider;
use crate::demo::Demo;
use crate::server::limits::Limits;
use crate::start_error::StartError;
use crate::sync::{self, FoundAdminKey};

/// The base URL of each API, and the admin key of each provider whose costs are read.
pub(super) struct ApiAccess {
    pub(super) base: ByProvider<BaseUrl>,
    pub(super) keys: ByProvider<Option<AdminKey>>,
}

impl ApiAccess {
    /// Starts the demo API, which accepts any key and runs until the process ends.
    pub(super) async fn demo(limits: Limits) -> Result<Self, StartError> {
        // Dropping `demo` does not stop the API.
        let demo = Demo::start(limits).await.map_err(StartError::cannot_start)?;
        let key = AdminKey::new("demo".to_owned()).map_err(StartError::cannot_start)?;
        Ok(Self { base: ByProvider::both(demo.base.clone()), keys: ByProvider::both(Some(key)) })
    }

    /// Reads the base URL and the key of each provider that the flags select. A provider without a key keeps its public
    /// address.
    ///
    /// Fails if a provider of --provider has no key. Without that flag, fails if no provider has a key.
    pub(super) fn from_flags(flags: &SpendFlags) -> Result<Self, StartError> {
        let keys = ByProvider { openai: None, anthropic: None };
        let mut access = Self { base: BaseUrlFlags::public(), keys };
        let mut reasons = Vec::new();
        let selected = flags.selected_providers();
        for provider in selected.iter().copied() {
            if let Some(reason) = access.read_provider(provider, flags)? {
                reasons.push(reason);
            }
        }
        let is_failure =
            if flags.provider.is_some() { !reasons.is_empty() } else { reasons.len() == selected.len() };
        if is_failure {
            return Err(StartError::BadUse(reasons.join("; ")));
        }
        Ok(access)
    }

    /// Reads the key of a provider, and its base URL if it has a key. Returns the reason why its costs are not read, or
    /// `None` if they are. Fails if the key or the base URL is invalid.
    fn read_provider(
        &mut self,
        provider: Provider,
        flags: &SpendFlags,
    ) -> Result<Option<String>, StartError> {
        // The base URL of a provider without a key may be invalid, because it is not used.
        let key = match sync::key_from_env(provider).map_err(bad_key)? {
            FoundAdminKey::Usable(key) => key,
            FoundAdminKey::NotUsable(reason) => return Ok(Some(reason)),
        };
        let base = flags.base_urls.parse_one(provider).map_err(StartError::BadUse)?;
        if let Some(reason) = sync::reason_to_withhold_key(provider, &base) {
            return Ok(Some(reason));
        }
        *self.keys.get_mut(provider) = Some(key);
        *self.base.get_mut(provider) = base;
        Ok(None)
    }

    /// Returns the selected providers that have a key.
    pub(super) fn providers(&self, flags: &SpendFlags) -> Vec<Provider> {
        let mut providers = flags.selected_providers();
        providers.retain(|provider| self.keys.get(*provider).is_some());
        providers
    }
}

fn bad_key(error: DirectoryError) -> StartError {
    StartError::BadUse(error.to_string())
}
